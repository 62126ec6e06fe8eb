//! The sending half of one medium: its socket, its destination and why it does not work. Does I/O
//! through the socket it owns; it neither receives nor decides when to try again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hb_config::settings::Medium;
use socket2::{SockAddr, Socket};

use super::interfaces::{Interface, Interfaces};
use super::options::{self, Binding};
use super::resolve::{Family, Host};
use crate::engine::LinkId;

/// Passing errors (full queue, peer's port closed) in a row before the link counts as failed: one
/// burst must not take a link down, a queue that stays full must.
const PASSING_ERRORS_MAX: u32 = 5;

/// One medium as configured, with what is known of it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) medium: Medium,
    pub(super) binding: Binding,
    udp_port: u16,
    /// Of `ucast` only, from the first look on.
    host: Option<Host>,
    sender: Option<Sender>,
    /// Why nothing can be received; `None` while it can.
    receive_failure: Option<String>,
    /// Why nothing can be sent; `None` while it can.
    send_failure: Option<String>,
    /// What the caller was last told.
    reported: Option<String>,
    passing_errors: u32,
    /// What could not be sent last. Sent again to find out whether the link works: the peer has
    /// not seen it, and an old packet is something that it must bear anyway.
    unsent: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Sender {
    socket: Socket,
    route: Route,
}

/// Where a sender sends and what it was made for; another route needs another sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    index: u32,
    destination: SocketAddr,
    /// The interface's own address, for IPv4 multicast, whose socket is bound to it.
    source: Option<IpAddr>,
}

impl Link {
    pub(super) fn new(id: LinkId, medium: Medium, udp_port: u16) -> Self {
        Self {
            id,
            binding: Binding::of(&medium, udp_port),
            medium,
            udp_port,
            host: None,
            sender: None,
            receive_failure: None,
            send_failure: None,
            reported: None,
            passing_errors: 0,
            unsent: None,
        }
    }

    /// A change of the link's state that the caller has not been told: the state it is in.
    pub(super) fn take_change(&mut self) -> Option<Option<String>> {
        let failure = self.receive_failure.as_ref().or(self.send_failure.as_ref());
        if failure == self.reported.as_ref() {
            return None;
        }
        self.reported = failure.cloned();
        Some(self.reported.clone())
    }

    /// Receiving stopped working.
    pub(super) fn fail_receiving(&mut self, reason: String) {
        self.receive_failure = Some(reason);
    }

    /// Sends without ever waiting. On a link whose socket exists but failed, it is the attempt that
    /// restores it.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let Some(sender) = &self.sender else {
            if self.send_failure.is_some() {
                self.unsent = Some(bytes.to_vec());
            }
            return;
        };
        let destination = sender.route.destination;
        match sender.socket.send_to(bytes, &SockAddr::from(destination)) {
            Ok(_all_of_it) => {
                self.passing_errors = 0;
                self.unsent = None;
                self.send_failure = None;
            }
            Err(error) => {
                self.passing_errors = self.passing_errors.saturating_add(1);
                if is_passing(&error) && self.passing_errors <= PASSING_ERRORS_MAX {
                    tracing::debug!(link = self.medium.interface(), %error, "datagram not sent");
                    return;
                }
                self.unsent = Some(bytes.to_vec());
                self.send_failure =
                    Some(options::explain_sender(&self.medium, destination, &error));
            }
        }
    }

    /// Compares the sender with the machine as it is, makes it anew where they differ or where it
    /// failed, and leaves the link working or with a reason.
    ///
    /// `patience` is how long a name may take; `receiver` is how its receiving socket fares.
    pub(super) fn check(
        &mut self,
        interfaces: &Interfaces,
        patience: Duration,
        receiver: Result<(), String>,
    ) {
        self.receive_failure = receiver.err();
        let route = self.route(interfaces, patience);
        match route.and_then(|(interface, route)| self.open(interface, route)) {
            Ok(()) => self.retry_unsent(),
            Err(reason) => self.send_failure = Some(reason),
        }
    }

    fn open(&mut self, interface: &Interface, route: Option<Route>) -> Result<(), String> {
        let Some(route) = route else {
            self.sender = None;
            return Ok(());
        };
        if self.send_failure.is_none()
            && self.sender.as_ref().is_some_and(|held| held.route == route)
        {
            return Ok(());
        }
        self.sender = None;
        let socket = options::sender(&self.medium, interface, route.destination)?;
        self.sender = Some(Sender { socket, route });
        Ok(())
    }

    fn retry_unsent(&mut self) {
        match self.unsent.take() {
            Some(bytes) if self.sender.is_some() => self.send(&bytes),
            Some(_) | None => self.send_failure = None,
        }
    }

    /// Where to send, and through what. `Ok(None)` for a `ucast` line that names this machine:
    /// nothing is sent there, as with Heartbeat 3.0.6, and the line still receives.
    fn route<'a>(
        &mut self,
        interfaces: &'a Interfaces,
        patience: Duration,
    ) -> Result<(&'a Interface, Option<Route>), String> {
        let name = self.medium.interface();
        let looked_up = match interfaces.find(name) {
            None => Err(options::absent(name)),
            Some(interface) if !interface.up => Err(format!("interface {name} is down")),
            Some(interface) => Ok(interface),
        };
        let interface = match looked_up {
            Ok(interface) => interface,
            Err(reason) => {
                self.sender = None;
                return Err(reason);
            }
        };
        let destination = self.destination(interface, patience)?;
        let is_unicast = matches!(self.medium, Medium::Unicast { .. } | Medium::Unicast6 { .. });
        if is_unicast && interfaces.is_own(destination.ip()) {
            return Ok((interface, None));
        }
        let source = match self.medium {
            Medium::Multicast { .. } => {
                interface.ipv4.first().map(|entry| IpAddr::V4(entry.address))
            }
            Medium::Broadcast { .. }
            | Medium::Unicast { .. }
            | Medium::Unicast6 { .. }
            | Medium::Multicast6 { .. } => None,
        };
        Ok((interface, Some(Route { index: interface.index, destination, source })))
    }

    /// Where to send. The kernel sends from an interface without address, too, and says nothing;
    /// such a link is failed here.
    fn destination(
        &mut self,
        interface: &Interface,
        patience: Duration,
    ) -> Result<SocketAddr, String> {
        let no_address =
            |family: &str| format!("interface {} has no {family} address", interface.name);
        let no_ipv4 = || no_address("IPv4");
        match &self.medium {
            Medium::Broadcast { .. } => {
                let address = interface.broadcast().ok_or_else(no_ipv4)?;
                Ok(SocketAddr::from((address, self.udp_port)))
            }
            Medium::Unicast { host, .. } => {
                interface.ipv4.first().ok_or_else(no_ipv4)?;
                let host = self.host.get_or_insert_with(|| Host::new(host, Family::V4));
                let mut address = host.resolve(patience)?;
                address.set_port(self.udp_port);
                Ok(address)
            }
            Medium::Multicast { group, port, .. } => {
                interface.ipv4.first().ok_or_else(no_ipv4)?;
                Ok(SocketAddr::from((*group, *port)))
            }
            Medium::Unicast6 { address, .. } => {
                interface.ipv6.first().ok_or_else(|| no_address("IPv6"))?;
                Ok(scoped(SocketAddr::from((*address, self.udp_port)), interface.index))
            }
            Medium::Multicast6 { group, port, .. } => {
                interface.ipv6.first().ok_or_else(|| no_address("IPv6"))?;
                Ok(scoped(SocketAddr::from((*group, *port)), interface.index))
            }
        }
    }
}

/// A link-local address means nothing without its interface (RFC 4007, §6).
fn scoped(mut address: SocketAddr, index: u32) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut address
        && (v6.ip().is_unicast_link_local() || v6.ip().is_multicast())
    {
        v6.set_scope_id(index);
    }
    address
}

/// Errors that go away by themselves or speak of the peer, not of the link.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM | libc::ECONNREFUSED | libc::EINTR)
    )
}
