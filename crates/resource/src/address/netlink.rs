//! The kernel's routing socket: reads addresses, interfaces and routes, adds and removes addresses.
//! Does I/O. It decides nothing; a connection that died is made anew once per request.

use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use hb_config::settings::AddressSpec;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol,
};
use rtnetlink::packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkLayerType, LinkMessage,
};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{Handle, MulticastGroup, new_connection, new_multicast_connection};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::plan::{self, ADDRESS_PROTOCOL, Entry, Interface};

/// The kernel answers in microseconds; after this the connection counts as dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Room for what the kernel tells unasked: some thousand messages.
const NEWS_BYTES: i32 = 2 * 1024 * 1024;

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The kernel's answer: an error number.
    Refused(io::Error),
    /// No answer at all, twice.
    NoAnswer(String),
}

impl Failure {
    /// Whether the kernel refused with this error number.
    pub(super) fn is(&self, number: i32) -> bool {
        match self {
            Self::Refused(error) => error.raw_os_error() == Some(number),
            Self::NoAnswer(_) => false,
        }
    }
}

/// How an interface is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    Name(&'a str),
    Index(u32),
}

/// The connection, kept open: a takeover pays for round trips only.
#[derive(Debug)]
pub(super) struct Netlink {
    connection: Mutex<Connection>,
}

#[derive(Debug)]
struct Connection {
    handle: Handle,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    fn open() -> io::Result<Self> {
        let (mut connection, handle, _unsolicited) = new_connection()?;
        // Without the final acknowledgement, a request that was never answered looks like success.
        connection.set_forward_ack(true);
        connection.set_forward_done(true);
        Ok(Self { handle, task: tokio::spawn(connection) })
    }
}

impl Netlink {
    /// Must be called inside a tokio runtime.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { connection: Mutex::new(Connection::open()?) })
    }

    /// All addresses of one family.
    pub(super) async fn addresses(&self, like: IpAddr) -> Result<Vec<Entry>, Failure> {
        let mut message = AddressMessage::default();
        message.header.family = family(like);
        let request = RouteNetlinkMessage::GetAddress(message);
        let answer = self.exchange(&request, NLM_F_DUMP).await?;
        Ok(answer.iter().filter_map(entry_of).collect())
    }

    /// One interface; `None` when there is none.
    pub(super) async fn interface(&self, which: Which<'_>) -> Result<Option<Interface>, Failure> {
        let mut message = LinkMessage::default();
        match which {
            Which::Name(name) => message.attributes.push(LinkAttribute::IfName(name.into())),
            Which::Index(index) => message.header.index = index,
        }
        // Counters are most of the answer and of no use here.
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        match self.exchange(&RouteNetlinkMessage::GetLink(message), NLM_F_ACK).await {
            Ok(answer) => Ok(answer.iter().find_map(interface_of)),
            Err(failure) if failure.is(libc::ENODEV) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// All interfaces.
    pub(super) async fn interfaces(&self) -> Result<Vec<Interface>, Failure> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let answer = self.exchange(&RouteNetlinkMessage::GetLink(message), NLM_F_DUMP).await?;
        Ok(answer.iter().filter_map(interface_of).collect())
    }

    /// Index of the interface that the routing table names for `ip`; `None` without a route.
    pub(super) async fn route(&self, ip: IpAddr) -> Result<Option<u32>, Failure> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(ip);
        message.header.destination_prefix_length = if ip.is_ipv4() { 32 } else { 128 };
        message.attributes.push(RouteAttribute::Destination(RouteAddress::from(ip)));
        match self.exchange(&RouteNetlinkMessage::GetRoute(message), NLM_F_ACK).await {
            Ok(answer) => Ok(answer.iter().find_map(outgoing_interface)),
            Err(Failure::Refused(_no_route)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Adds the address, tagged with [`ADDRESS_PROTOCOL`]. IPv6 comes without duplicate address
    /// detection: it serves at once, and the node that holds the resource is the one that may
    /// have it.
    pub(super) async fn add(
        &self,
        spec: &AddressSpec,
        index: u32,
        prefix_len: u8,
    ) -> Result<(), Failure> {
        let mut message = address_message(spec.ip, prefix_len, index);
        if let Some(broadcast) = plan::broadcast(spec, prefix_len) {
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        if let Some(label) = spec.label.as_ref().filter(|_| spec.ip.is_ipv4()) {
            message.attributes.push(AddressAttribute::Label(label.clone()));
        }
        if spec.ip.is_ipv6() {
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let tag = AddressProtocol::Other(ADDRESS_PROTOCOL);
        message.attributes.push(AddressAttribute::Protocol(tag));
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.exchange(&RouteNetlinkMessage::NewAddress(message), flags).await.map(|_nothing| ())
    }

    /// Marks an address that somebody else has added with [`ADDRESS_PROTOCOL`], and makes it last.
    pub(super) async fn mark(&self, entry: &Entry) -> Result<(), Failure> {
        let mut message = address_message(entry.ip, entry.prefix_len, entry.index);
        if entry.ip.is_ipv6() {
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let tag = AddressProtocol::Other(ADDRESS_PROTOCOL);
        message.attributes.push(AddressAttribute::Protocol(tag));
        let request = RouteNetlinkMessage::NewAddress(message);
        self.exchange(&request, NLM_F_ACK | NLM_F_REPLACE).await.map(|_nothing| ())
    }

    /// Removes exactly this address.
    pub(super) async fn remove(&self, entry: &Entry) -> Result<(), Failure> {
        let message = address_message(entry.ip, entry.prefix_len, entry.index);
        match self.exchange(&RouteNetlinkMessage::DelAddress(message), NLM_F_ACK).await {
            Ok(_nothing) => Ok(()),
            // Somebody else was quicker.
            Err(failure) if failure.is(libc::EADDRNOTAVAIL) || failure.is(libc::ENODEV) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn exchange(
        &self,
        request: &RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        match exchange_once(self.handle(), request.clone(), flags).await {
            Err(Failure::NoAnswer(reason)) => {
                tracing::warn!(reason, "netlink connection lost: opening another");
                exchange_once(self.reopen()?, request.clone(), flags).await
            }
            answer => answer,
        }
    }

    fn handle(&self) -> Handle {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).handle.clone()
    }

    fn reopen(&self) -> Result<Handle, Failure> {
        let fresh = Connection::open().map_err(|error| Failure::NoAnswer(error.to_string()))?;
        let handle = fresh.handle.clone();
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(handle)
    }

    /// Ends the connection as a fault would.
    #[cfg(test)]
    pub(super) fn break_connection(&self) {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).task.abort();
    }
}

/// Sends one request and collects its answer up to the kernel's word that it is complete.
async fn exchange_once(
    mut handle: Handle,
    request: RouteNetlinkMessage,
    flags: u16,
) -> Result<Vec<RouteNetlinkMessage>, Failure> {
    let no_answer = |reason: &str| Failure::NoAnswer(reason.to_owned());
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | flags;
    let mut answers =
        handle.request(message).map_err(|_closed| no_answer("the connection is closed"))?;
    let collect = async {
        let mut collected = Vec::new();
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::InnerMessage(inner) = answer.payload {
                collected.push(inner);
            } else if let NetlinkPayload::Error(error) = answer.payload {
                return match error.code {
                    None => Ok(collected),
                    Some(code) => Err(refused(code.get())),
                };
            } else if let NetlinkPayload::Done(done) = answer.payload {
                return if done.code == 0 { Ok(collected) } else { Err(refused(done.code)) };
            }
        }
        Err(no_answer("the connection was closed"))
    };
    timeout(ANSWER_WITHIN, collect).await.unwrap_or_else(|_| Err(no_answer("no answer in time")))
}

/// The kernel sends error numbers negated.
fn refused(code: i32) -> Failure {
    Failure::Refused(io::Error::from_raw_os_error(code.saturating_abs()))
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address_message(ip: IpAddr, prefix_len: u8, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(ip);
    message.header.prefix_len = prefix_len;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(ip));
    message.attributes.push(AddressAttribute::Address(ip));
    message
}

/// What the kernel tells unasked.
#[derive(Debug)]
pub(super) enum Told {
    /// An address is there or has changed.
    Address(Entry),
    /// An address has gone.
    NoAddress(Entry),
    /// An interface is there or has changed.
    Interface(Interface),
    /// The interface with this index has gone.
    NoInterface(u32),
    /// Some messages were lost.
    Lost,
}

/// What the kernel tells of addresses and interfaces from here on, in order.
pub(super) struct News {
    messages: BoxStream<'static, NetlinkPayload<RouteNetlinkMessage>>,
    _connection: Connection,
}

impl News {
    /// Must be called inside a tokio runtime.
    pub(super) fn open() -> io::Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (mut connection, handle, messages) = new_multicast_connection(&groups)?;
        // A burst, as when containers come and go, is to fit in. Without permission it is smaller.
        let _ = connection.socket_mut().socket_mut().set_rx_buf_sz(NEWS_BYTES);
        let connection = Connection { handle, task: tokio::spawn(connection) };
        let messages = messages.map(|(message, _from_the_kernel)| message.payload).boxed();
        Ok(Self { messages, _connection: connection })
    }

    /// The next; `None` when the connection has ended. Cancel-safe.
    pub(super) async fn recv(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = told(self.messages.next().await?) {
                return Some(told);
            }
        }
    }
}

fn told(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Told> {
    if matches!(payload, NetlinkPayload::Overrun(_)) {
        return Some(Told::Lost);
    }
    let NetlinkPayload::InnerMessage(message) = payload else { return None };
    if let RouteNetlinkMessage::NewAddress(message) = &message {
        entry(message).map(Told::Address)
    } else if let RouteNetlinkMessage::DelAddress(message) = &message {
        entry(message).map(Told::NoAddress)
    } else if let RouteNetlinkMessage::NewLink(message) = &message {
        // A bridge tells of its ports with messages of its own family, which lack half.
        let of_itself = message.header.interface_family == AddressFamily::Unspec;
        if of_itself { interface(message).map(Told::Interface) } else { None }
    } else if let RouteNetlinkMessage::DelLink(message) = &message {
        let of_itself = message.header.interface_family == AddressFamily::Unspec;
        of_itself.then_some(Told::NoInterface(message.header.index))
    } else {
        None
    }
}

fn entry_of(message: &RouteNetlinkMessage) -> Option<Entry> {
    if let RouteNetlinkMessage::NewAddress(message) = message { entry(message) } else { None }
}

fn entry(message: &AddressMessage) -> Option<Entry> {
    let (mut local, mut address, mut protocol) = (None, None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        if let AddressAttribute::Local(ip) = attribute {
            local = Some(*ip);
        } else if let AddressAttribute::Address(ip) = attribute {
            address = Some(*ip);
        } else if let AddressAttribute::Flags(all) = attribute {
            flags = *all;
        } else if let AddressAttribute::Protocol(tag) = attribute {
            protocol = Some(u8::from(*tag));
        }
    }
    Some(Entry {
        // On a point-to-point interface `address` is the far end; IPv6 has no `local` elsewhere.
        ip: local.or(address)?,
        prefix_len: message.header.prefix_len,
        index: message.header.index,
        secondary: flags.contains(AddressFlags::Secondary),
        duplicate: flags.contains(AddressFlags::Dadfailed),
        tentative: flags.contains(AddressFlags::Tentative)
            && !flags.contains(AddressFlags::Optimistic),
        protocol,
    })
}

fn interface_of(message: &RouteNetlinkMessage) -> Option<Interface> {
    if let RouteNetlinkMessage::NewLink(message) = message { interface(message) } else { None }
}

fn interface(message: &LinkMessage) -> Option<Interface> {
    let (mut name, mut ethernet) = (None, None);
    let is_ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            name = Some(text.clone());
        } else if let LinkAttribute::Address(bytes) = attribute
            && is_ethernet
        {
            ethernet = bytes.as_slice().try_into().ok();
        }
    }
    let flags = message.header.flags;
    Some(Interface {
        index: message.header.index,
        name: name?,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        ethernet,
    })
}

fn outgoing_interface(message: &RouteNetlinkMessage) -> Option<u32> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    message.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Oif(index) = attribute { Some(*index) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::DoneMessage;
    use rtnetlink::packet_route::link::LinkHeader;

    use super::*;

    fn link(family: AddressFamily) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header = LinkHeader {
            interface_family: family,
            index: 7,
            flags: LinkFlags::Up,
            ..LinkHeader::default()
        };
        message.attributes.push(LinkAttribute::IfName("eth0".into()));
        message
    }

    #[test]
    fn what_the_kernel_tells_is_read_and_what_was_lost_is_seen() {
        let inner = |message| told(NetlinkPayload::InnerMessage(message));
        let address = || address_message([10, 0, 0, 50].into(), 24, 7);
        let is_entry = |entry: &Entry| (entry.prefix_len, entry.index) == (24, 7);
        assert!(matches!(inner(RouteNetlinkMessage::NewAddress(address())),
            Some(Told::Address(entry)) if is_entry(&entry)));
        assert!(matches!(inner(RouteNetlinkMessage::DelAddress(address())),
            Some(Told::NoAddress(entry)) if is_entry(&entry)));
        assert!(matches!(inner(RouteNetlinkMessage::NewLink(link(AddressFamily::Unspec))),
            Some(Told::Interface(eth0)) if eth0.up && !eth0.carrier && eth0.name == "eth0"));
        assert!(matches!(
            inner(RouteNetlinkMessage::DelLink(link(AddressFamily::Unspec))),
            Some(Told::NoInterface(7))
        ));
        // ENOBUFS, as netlink-proto hands it on.
        assert!(matches!(told(NetlinkPayload::Overrun(Vec::new())), Some(Told::Lost)));
        // A bridge's word about its port is not the port's end.
        assert!(inner(RouteNetlinkMessage::DelLink(link(AddressFamily::Bridge))).is_none());
        assert!(inner(RouteNetlinkMessage::NewLink(link(AddressFamily::Bridge))).is_none());
        assert!(told(NetlinkPayload::Done(DoneMessage::default())).is_none());
    }
}
