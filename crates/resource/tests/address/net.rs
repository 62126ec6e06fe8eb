//! Namespaces for these tests: a wire between `eth0` and `far0`, what is heard at its far end, and a
//! second machine there.

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use futures_util::stream::TryStreamExt;
use hb_config::settings::{AddressSpec, Announce};
use hb_resource::address::Addresses;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{LinkAddr, recvfrom};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder, new_connection};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Far above anything that these tests wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const ONCE: Announce = Announce { count: 1, interval_ms: 0 };

pub(crate) fn spec(text: &str, interface: Option<&str>) -> AddressSpec {
    let (ip, prefix_len) = match text.split_once('/') {
        Some((ip, prefix_len)) => (ip, Some(prefix_len.parse().unwrap())),
        None => (text, None),
    };
    AddressSpec {
        ip: ip.parse().unwrap(),
        prefix_len,
        interface: interface.map(Into::into),
        label: None,
        broadcast: None,
    }
}

/// A gratuitous ARP frame of either form.
pub(crate) fn arp(operation: u8, mac: [u8; 6], ip: [u8; 4]) -> Vec<u8> {
    let target = if operation == 2 { mac } else { [0; 6] };
    let fixed = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, operation];
    [&[0xff; 6][..], &mac, &fixed, &mac, &ip, &target, &ip].concat()
}

/// What arrives at one interface, as a rule at `far0`, the other end of the wire of `eth0`.
pub(crate) struct Wire {
    /// A packet socket; only its system calls are used.
    socket: UdpSocket,
    at: u32,
}

impl Wire {
    pub(crate) async fn open(net: &Net) -> Self {
        Self::open_at(net, "far0").await
    }

    pub(crate) async fn open_at(net: &Net, interface: &str) -> Self {
        let socket = Self::socket();
        let at = net.index(interface).await;
        Self { socket, at }
    }

    fn socket() -> UdpSocket {
        let all = i32::from(0x0003_u16.to_be());
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(all))).unwrap();
        socket.set_nonblocking(true).unwrap();
        UdpSocket::from_std(socket.into()).unwrap()
    }

    pub(crate) async fn take(&self, count: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(self.next().await);
        }
        frames
    }

    /// The next frame of ours (ARP, neighbour advertisement).
    pub(crate) async fn next(&self) -> Vec<u8> {
        loop {
            let frame = async {
                self.socket.readable().await.unwrap();
                self.socket.try_io(Interest::READABLE, || self.read())
            };
            if let Ok(Some(frame)) = timeout(PATIENCE, frame).await.expect("nothing arrives") {
                return frame;
            }
        }
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        const OUTGOING: u8 = 4;
        let mut frame = vec![0; 2048];
        let (length, address) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut frame)?;
        frame.truncate(length);
        let address = address.unwrap();
        let is_arrival = address.ifindex() == self.at as usize && address.pkttype() != OUTGOING;
        let is_arp = frame[12..14] == [0x08, 0x06];
        let is_advertisement = frame[12..14] == [0x86, 0xdd] && frame.get(54) == Some(&136);
        Ok((is_arrival && (is_arp || is_advertisement)).then_some(frame))
    }
}

/// Runs `body` in a namespace with `eth0` (10.0.0.1/24) and `far0` joined by a wire, both up.
pub(crate) fn in_namespace<F: Future>(test: &str, body: impl FnOnce(Net) -> F + Send) {
    in_fresh_namespace(test, async move || {
        let net = Net::open();
        net.wire().await;
        timeout(PATIENCE, body(net)).await.expect("the test does not end");
    });
}

/// Another machine at the end of the wire: `far0` (10.0.0.2/24, fd00::2/64) is there.
pub(crate) struct Neighbour {
    pub(crate) net: Net,
    /// Speaks with that machine's voice; it is not told what it hears.
    pub(crate) addresses: Addresses,
    /// What arrives there.
    pub(crate) wire: Wire,
    pub(crate) mac: [u8; 6],
}

/// As [`in_namespace`], with a neighbour. IPv6 of both works without delay.
pub(crate) fn with_neighbour<F: Future>(test: &str, body: impl FnOnce(Net, Neighbour) -> F + Send) {
    in_fresh_namespace(test, async move || {
        let here = File::open("/proc/thread-self/ns/net").unwrap();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let there = File::open("/proc/thread-self/ns/net").unwrap();
        let there_net = Net::open();
        let addresses = Addresses::open().unwrap();
        let socket = Wire::socket();
        setns(here, CloneFlags::CLONE_NEWNET).unwrap();
        let net = Net::open();
        net.wire().await;
        let message = LinkUnspec::new_with_index(net.index("far0").await);
        let message = message.setns_by_fd(there.as_raw_fd()).build();
        net.0.link().set(message).execute().await.unwrap();
        there_net.set_up("far0").await;
        there_net.add("far0", "10.0.0.2/24", None).await;
        there_net.add("far0", "fd00::2/64", Some(AddressFlags::Nodad)).await;
        net.add("eth0", "fd00::1/64", Some(AddressFlags::Nodad)).await;
        let wire = Wire { socket, at: there_net.index("far0").await };
        let mac = there_net.mac("far0").await;
        let neighbour = Neighbour { net: there_net, addresses, wire, mac };
        timeout(PATIENCE, body(net, neighbour)).await.expect("the test does not end");
    });
}

fn in_fresh_namespace<F: Future>(test: &str, body: impl FnOnce() -> F + Send) {
    let run = || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            eprintln!("SKIP {test}: needs CAP_SYS_ADMIN to make a network namespace ({error})");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body());
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}

/// This thread's namespace.
pub(crate) struct Net(Handle);

impl Net {
    fn open() -> Self {
        let (connection, handle, _) = new_connection().unwrap();
        tokio::spawn(connection);
        Self(handle)
    }

    /// `eth0` and `far0`, up; `eth0` with 10.0.0.1/24.
    pub(crate) async fn wire(&self) {
        self.0.link().add(LinkVeth::new("eth0", "far0").build()).execute().await.unwrap();
        for name in ["lo", "far0", "eth0"] {
            self.set_up(name).await;
        }
        self.add("eth0", "10.0.0.1/24", None).await;
    }

    pub(crate) async fn remove(&self, name: &str, ip: &str) {
        let message = self.find(name, ip).await.unwrap();
        self.0.address().del(message).execute().await.unwrap();
    }

    pub(crate) async fn rename(&self, name: &str, to: &str) {
        let message = LinkUnspec::new_with_index(self.index(name).await).name(to).build();
        self.0.link().set(message).execute().await.unwrap();
    }
    pub(crate) async fn add(&self, name: &str, text: &str, flags: Option<AddressFlags>) {
        let spec = spec(text, None);
        let index = self.index(name).await;
        let mut request = self.0.address().add(index, spec.ip, spec.prefix_len.unwrap());
        let flags = flags.map(AddressAttribute::Flags);
        request.message_mut().attributes.extend(flags);
        request.execute().await.unwrap();
    }

    pub(crate) async fn add_route(&self, to: &str, prefix_len: u8, gateway: &str) {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(to.parse().unwrap(), prefix_len)
            .gateway(gateway.parse().unwrap())
            .build();
        self.0.route().add(route).execute().await.unwrap();
    }

    pub(crate) async fn find(&self, name: &str, ip: &str) -> Option<AddressMessage> {
        let request = self.0.address().get().set_link_index_filter(self.index(name).await);
        let request = request.set_address_filter(ip.parse().unwrap());
        request.execute().try_next().await.unwrap()
    }

    pub(crate) async fn set_up(&self, name: &str) {
        let message = LinkUnspec::new_with_index(self.index(name).await).up().build();
        self.0.link().set(message).execute().await.unwrap();
    }

    pub(crate) async fn set_down(&self, name: &str) {
        let message = LinkUnspec::new_with_index(self.index(name).await).down().build();
        self.0.link().set(message).execute().await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.0.link().del(self.index(name).await).execute().await.unwrap();
    }

    pub(crate) async fn mac(&self, name: &str) -> [u8; 6] {
        let attributes = self.link(name).await.attributes;
        let mac = attributes.into_iter().find_map(|attribute| {
            if let LinkAttribute::Address(bytes) = attribute { Some(bytes) } else { None }
        });
        mac.unwrap().try_into().unwrap()
    }

    pub(crate) async fn index(&self, name: &str) -> u32 {
        self.link(name).await.header.index
    }

    pub(crate) async fn link(&self, name: &str) -> LinkMessage {
        let found = self.0.link().get().match_name(name).execute().try_next().await.unwrap();
        found.unwrap()
    }
}
