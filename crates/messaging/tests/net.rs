//! Heartbeat's media over real sockets, in network namespaces that each test makes for itself. Not
//! about what datagrams mean. Skipped, loudly, where namespaces cannot be made.
#![cfg(feature = "net")]
#![expect(clippy::disallowed_methods, reason = "threads with namespaces of their own")]
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

use std::fs::File;
use std::future::Future;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use futures_util::stream::TryStreamExt;
use hb_config::settings::{Medium, NodeName, PingKind, PingTarget};
use hb_messaging::engine::{LinkId, PingId};
use hb_messaging::net::{Links, NetEvent, Pings};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, new_connection};
use tokio::time::{interval, timeout};

const PORT: u16 = 694;

/// Far above anything that these tests wait for.
const PATIENCE: Duration = Duration::from_secs(30);

// Media between two nodes.

#[test]
fn bcast_reaches_the_peer() {
    exchange("bcast_reaches_the_peer", Broadcast::Configured, |_| vec![bcast()]);
}

#[test]
fn bcast_reaches_the_peer_without_a_broadcast_address() {
    let test = "bcast_reaches_the_peer_without_a_broadcast_address";
    exchange(test, Broadcast::Missing, |_| vec![bcast()]);
}

#[test]
fn ucast_reaches_the_peer() {
    exchange("ucast_reaches_the_peer", Broadcast::Configured, |side| {
        vec![ucast(side.peer().ipv4())]
    });
}

#[test]
fn ucast_lines_of_both_nodes_serve_both() {
    exchange("ucast_lines_of_both_nodes_serve_both", Broadcast::Configured, |_| {
        vec![ucast(Side::Left.ipv4()), ucast(Side::Right.ipv4())]
    });
}

#[test]
fn mcast_reaches_the_peer() {
    exchange("mcast_reaches_the_peer", Broadcast::Configured, |_| {
        vec![Medium::Multicast {
            interface: "hb0".into(),
            group: "239.0.0.43".parse().unwrap(),
            port: 695,
            ttl: 1,
            loopback: false,
        }]
    });
}

#[test]
fn ucast6_reaches_the_peer() {
    exchange("ucast6_reaches_the_peer", Broadcast::Configured, |side| {
        vec![ucast6(side.peer().ipv6())]
    });
}

#[test]
fn ucast6_reaches_the_peer_by_its_link_local_address() {
    let test = "ucast6_reaches_the_peer_by_its_link_local_address";
    exchange(test, Broadcast::Configured, |side| vec![ucast6(side.peer().link_local())]);
}

#[test]
fn mcast6_reaches_the_peer() {
    exchange("mcast6_reaches_the_peer", Broadcast::Configured, |_| {
        vec![Medium::Multicast6 {
            interface: "hb0".into(),
            group: "ff02::4321".parse().unwrap(),
            port: 694,
            hops: 1,
            loopback: false,
        }]
    });
}

/// Media that share an interface share its name in the protocol, so they share a link when heard.
#[test]
fn all_media_of_an_interface_are_heard_as_its_first() {
    let test = "all_media_of_an_interface_are_heard_as_its_first";
    exchange(test, Broadcast::Configured, |side| {
        vec![bcast(), ucast(side.peer().ipv4()), ucast6(side.peer().ipv6())]
    });
}

#[test]
fn a_flood_on_one_link_does_not_hide_the_other() {
    let [left, right] = [Signal::default(), Signal::default()];
    let (left_too, right_too) = (left.clone(), right.clone());
    let flooder = async move |net: Net| {
        net.prepare(Side::Left, Broadcast::Configured).await;
        let mut links = Links::open(&[bcast(), mcast()], PORT);
        assert_eq!(links.try_recv(), None);
        right_too.wait().await;
        links.send(LinkId(1), b"heartbeat");
        for _ in 0..500 {
            links.send(LinkId(0), b"flood");
        }
        left.raise();
    };
    let reader = async move |net: Net| {
        net.prepare(Side::Right, Broadcast::Configured).await;
        // Two sockets: the media have ports of their own.
        let mut links = Links::open(&[bcast(), mcast()], PORT);
        assert_eq!(links.try_recv(), None);
        right.raise();
        left_too.wait().await;
        let mut before = 0;
        while datagram(links.recv().await) != b"heartbeat" {
            before += 1;
        }
        assert!(before <= 2, "{before} datagrams of the flood came first");
    };
    two_nodes("a_flood_on_one_link_does_not_hide_the_other", flooder, reader);
}

// Failures and repairs.

#[test]
fn an_interface_may_come_go_and_come_again() {
    one_node("an_interface_may_come_go_and_come_again", async |net: Net| {
        let mut links = Links::open(&[bcast()], PORT);
        expect_failure(&mut links, "interface hb0 does not exist").await;
        net.add_veth("hb0", "far0").await;
        net.set_up("far0").await;
        expect_failure(&mut links, "interface hb0 is down").await;
        net.set_up("hb0").await;
        expect_failure(&mut links, "interface hb0 has no IPv4 address").await;
        net.add_address("hb0", Side::Left.ipv4(), 24, Broadcast::Configured).await;
        expect_restored(&mut links).await;

        net.set_down("hb0").await;
        links.send(LinkId(0), b"lost");
        expect_any_failure(&mut links).await;
        net.set_up("hb0").await;
        expect_restored(&mut links).await;

        // Deleted: the socket is bound to an index that is gone for good.
        net.delete("hb0").await;
        expect_failure(&mut links, "interface hb0 does not exist").await;
        net.add_veth("hb0", "far0").await;
        net.set_up("far0").await;
        net.set_up("hb0").await;
        net.add_address("hb0", Side::Left.ipv4(), 24, Broadcast::Configured).await;
        expect_restored(&mut links).await;
        links.send(LinkId(0), b"works");
        // Own broadcasts are heard, which shows that both sockets are bound to the right one.
        loop {
            if datagram_of(next(&mut links).await) == Some(b"works".to_vec()) {
                break;
            }
        }

        net.rename("hb0", "hb7").await;
        expect_failure(&mut links, "interface hb0 does not exist").await;
        net.rename("hb7", "hb0").await;
        expect_restored(&mut links).await;
    });
}

#[test]
fn a_send_that_fails_is_told_at_once_and_made_good() {
    one_node("a_send_that_fails_is_told_at_once_and_made_good", async |net: Net| {
        net.prepare_alone().await;
        let mut links = Links::open(&[bcast()], PORT);
        assert_eq!(links.try_recv(), None);
        net.set_down("hb0").await;
        links.send(LinkId(0), b"made good");
        let event = links.try_recv();
        let Some(NetEvent::Failed { link: LinkId(0), reason }) = event else {
            panic!("not told: {event:?}")
        };
        assert!(reason.contains("10.77.0.255:694 on hb0: no route"), "{reason}");
        net.set_up("hb0").await;
        expect_restored(&mut links).await;
        // Sent again to find out whether the link works; own broadcasts are heard.
        assert_eq!(datagram(next(&mut links).await), b"made good");
    });
}

#[test]
fn a_link_without_address_is_failed_until_it_has_one() {
    one_node("a_link_without_address_is_failed_until_it_has_one", async |net: Net| {
        net.prepare_alone().await;
        let mut links = Links::open(&[ucast(Side::Right.ipv4())], PORT);
        assert_eq!(links.try_recv(), None);
        net.remove_addresses("hb0").await;
        expect_failure(&mut links, "interface hb0 has no IPv4 address").await;
        net.add_address("hb0", Side::Left.ipv4(), 24, Broadcast::Configured).await;
        expect_restored(&mut links).await;
    });
}

#[test]
fn a_port_in_use_is_named_and_taken_once_free() {
    one_node("a_port_in_use_is_named_and_taken_once_free", async |net: Net| {
        net.prepare_alone().await;
        let other = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
        let mut links = Links::open(&[bcast()], PORT);
        expect_failure(&mut links, "UDP port 694 is in use by another program").await;
        // Sending works; that must not pass for a repair.
        links.send(LinkId(0), b"heartbeat");
        assert_eq!(links.try_recv(), None);
        drop(other);
        expect_restored(&mut links).await;
    });
}

#[test]
fn a_host_without_address_is_a_failure_with_its_name() {
    one_node("a_host_without_address_is_a_failure_with_its_name", async |net: Net| {
        net.prepare_alone().await;
        let media = [Medium::Unicast { interface: "hb0".into(), host: "no-such.invalid".into() }];
        let mut links = Links::open(&media, PORT);
        let reason = expect_any_failure(&mut links).await;
        assert!(reason.contains("\"no-such.invalid\""), "{reason}");
    });
}

#[test]
fn unknown_links_are_ignored_and_no_media_is_silence() {
    one_node("unknown_links_are_ignored_and_no_media_is_silence", async |_net: Net| {
        let mut links = Links::open(&[], PORT);
        links.send(LinkId(3), b"nowhere");
        assert_eq!(links.try_recv(), None);
        assert!(timeout(Duration::from_millis(20), links.recv()).await.is_err());
    });
}

// Ping nodes.

#[test]
fn ping_nodes_and_groups_answer_on_both_kinds_of_socket() {
    one_node("ping_nodes_and_groups_answer_on_both_kinds_of_socket", async |net: Net| {
        net.set_up("lo").await;
        let target = |kind, hosts: &[&str]| PingTarget {
            name: NodeName::new("target"),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            kind,
        };
        let targets = [
            target(PingKind::Ping, &["127.0.0.9"]),
            target(PingKind::Ping6, &["::1"]),
            target(PingKind::Group, &["192.0.2.1", "127.0.0.8"]),
            target(PingKind::Ping, &["192.0.2.2"]),
        ];
        // Nobody may have ping sockets, then everybody: raw sockets first.
        for range in ["1 0", "0 4294967294"] {
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", range).unwrap();
            let (mut pings, warnings) = Pings::open(&targets, 0x0123_4567_89ab_cdef);
            assert_eq!(warnings, Vec::<String>::new());
            let (mut other, _) = Pings::open(&targets, 0xfedc_ba98_7654_3210);
            for ping in 0..5 {
                other.send(PingId(ping), 8);
                pings.send(PingId(ping), 7);
            }
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(timeout(PATIENCE, pings.recv()).await.expect("no echo reply"));
            }
            answers.sort();
            assert_eq!(answers, [(PingId(0), 7), (PingId(1), 7), (PingId(2), 7)]);
        }
    });
}

// Below: helpers.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn peer(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Left => 1,
            Self::Right => 2,
        }
    }

    fn ipv4(self) -> IpAddr {
        IpAddr::from([10, 77, 0, self.number()])
    }

    fn ipv6(self) -> IpAddr {
        IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, u16::from(self.number())])
    }

    fn link_local(self) -> IpAddr {
        IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(self.number())])
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Broadcast {
    Configured,
    Missing,
}

fn bcast() -> Medium {
    Medium::Broadcast { interface: "hb0".into() }
}

fn mcast() -> Medium {
    Medium::Multicast {
        interface: "hb0".into(),
        group: "239.0.0.44".parse().unwrap(),
        port: PORT,
        ttl: 1,
        loopback: false,
    }
}

fn ucast(host: IpAddr) -> Medium {
    Medium::Unicast { interface: "hb0".into(), host: host.to_string() }
}

fn ucast6(host: IpAddr) -> Medium {
    let IpAddr::V6(address) = host else { panic!("{host} is not IPv6") };
    Medium::Unicast6 { interface: "hb0".into(), address }
}

/// Both sides send until each has heard the other over these media.
fn exchange(test: &str, broadcast: Broadcast, media: fn(Side) -> Vec<Medium>) {
    let heard = [Signal::default(), Signal::default()];
    let node = |side: Side| {
        let (mine, theirs) = match side {
            Side::Left => (heard[0].clone(), heard[1].clone()),
            Side::Right => (heard[1].clone(), heard[0].clone()),
        };
        async move |net: Net| {
            net.prepare(side, broadcast).await;
            let media = media(side);
            let mut links = Links::open(&media, PORT);
            let mut tick = interval(Duration::from_millis(50));
            while !(mine.is_raised() && theirs.is_raised()) {
                tokio::select! {
                    event = links.recv() => {
                        let wanted = [b'f', b'r', b'o', b'm', side.peer().number()];
                        match event {
                            NetEvent::Datagram { link, bytes, .. } if bytes == wanted => {
                                assert_eq!(link, LinkId(0));
                                mine.raise();
                            }
                            NetEvent::Datagram { .. } => {}
                            NetEvent::Failed { reason, .. } => eprintln!("{reason}"),
                            NetEvent::Restored { .. } => {}
                        }
                    }
                    _ = tick.tick() => {
                        for link in (0..=u16::MAX).map(LinkId).take(media.len()) {
                            links.send(link, &[b'f', b'r', b'o', b'm', side.number()]);
                        }
                    }
                }
            }
        }
    };
    two_nodes(test, node(Side::Left), node(Side::Right));
}

async fn next(links: &mut Links) -> NetEvent {
    timeout(PATIENCE, links.recv()).await.expect("nothing happens")
}

fn datagram_of(event: NetEvent) -> Option<Vec<u8>> {
    match event {
        NetEvent::Datagram { bytes, .. } => Some(bytes),
        NetEvent::Failed { .. } | NetEvent::Restored { .. } => None,
    }
}

fn datagram(event: NetEvent) -> Vec<u8> {
    let told = format!("{event:?}");
    datagram_of(event).unwrap_or_else(|| panic!("{told}"))
}

async fn expect_any_failure(links: &mut Links) -> String {
    loop {
        match next(links).await {
            NetEvent::Failed { link, reason } => {
                assert_eq!(link, LinkId(0));
                return reason;
            }
            NetEvent::Restored { link } => panic!("{link:?} is restored, not failed"),
            // What was sent is heard, too, on broadcast links.
            NetEvent::Datagram { .. } => {}
        }
    }
}

/// The link fails, in the end, for this reason; steps on the way (down, then no address) may show.
async fn expect_failure(links: &mut Links, expect: &str) {
    loop {
        let reason = expect_any_failure(links).await;
        if reason.contains(expect) {
            return;
        }
        eprintln!("on the way to {expect:?}: {reason}");
    }
}

/// The link works in the end; other reasons for failure may show on the way.
async fn expect_restored(links: &mut Links) {
    loop {
        match next(links).await {
            NetEvent::Restored { link } => return assert_eq!(link, LinkId(0)),
            NetEvent::Failed { reason, .. } => eprintln!("on the way: {reason}"),
            NetEvent::Datagram { .. } => {}
        }
    }
}

/// A flag between the two nodes of a test.
#[derive(Clone, Default)]
struct Signal(Arc<AtomicBool>);

impl Signal {
    fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    async fn wait(&self) {
        let mut tick = interval(Duration::from_millis(5));
        while !self.is_raised() {
            tick.tick().await;
        }
    }
}

/// Runs `node` on a thread in a network namespace of its own.
fn one_node<F: Future>(test: &str, node: impl FnOnce(Net) -> F + Send) {
    thread::scope(|scope| {
        let body = || in_namespace(test, node);
        scope.spawn(body).join().unwrap();
    });
}

/// Runs both on threads in namespaces of their own, joined by a wire between interfaces `hb0`.
fn two_nodes<F: Future, G: Future>(
    test: &str,
    left: impl FnOnce(Net) -> F + Send,
    right: impl FnOnce(Net) -> G + Send,
) {
    let (namespace_of, given) = channel::<File>();
    let (wired, is_wired) = channel::<()>();
    thread::scope(|scope| {
        let left = scope.spawn(move || {
            in_namespace(test, async |net: Net| {
                net.wire_to(&given, &wired).await;
                left(net).await
            });
        });
        let right = scope.spawn(move || {
            in_namespace(test, async |net: Net| {
                namespace_of.send(File::open("/proc/thread-self/ns/net").unwrap()).unwrap();
                is_wired.recv().unwrap();
                right(net).await
            });
        });
        left.join().unwrap();
        right.join().unwrap();
    });
}

fn in_namespace<F: Future>(test: &str, body: impl FnOnce(Net) -> F) {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("SKIP {test}: needs CAP_SYS_ADMIN to make a network namespace ({error})");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (connection, handle, _) = new_connection().unwrap();
        tokio::spawn(connection);
        timeout(PATIENCE * 2, body(Net(handle))).await.expect("the test does not end");
    });
}

/// This thread's namespace.
struct Net(Handle);

impl Net {
    async fn wire_to(&self, peer: &Receiver<File>, wired: &Sender<()>) {
        let Ok(namespace) = peer.recv() else { return };
        self.add_veth("hb0", "far0").await;
        let far = LinkUnspec::new_with_name("far0").setns_by_fd(namespace.as_raw_fd());
        self.0.link().set(far.build()).execute().await.unwrap();
        wired.send(()).unwrap();
    }

    /// Gives this side of the wire its addresses.
    async fn prepare(&self, side: Side, broadcast: Broadcast) {
        self.set_up("lo").await;
        if side == Side::Right {
            self.rename("far0", "hb0").await;
        }
        self.set_up("hb0").await;
        self.add_address("hb0", side.ipv4(), 24, broadcast).await;
        self.add_address("hb0", side.ipv6(), 64, Broadcast::Missing).await;
        self.add_address("hb0", side.link_local(), 64, Broadcast::Missing).await;
    }

    /// A wire with nobody at its end.
    async fn prepare_alone(&self) {
        self.add_veth("hb0", "far0").await;
        self.set_up("far0").await;
        self.set_up("hb0").await;
        self.add_address("hb0", Side::Left.ipv4(), 24, Broadcast::Configured).await;
    }

    async fn add_veth(&self, name: &str, peer: &str) {
        self.0.link().add(LinkVeth::new(name, peer).build()).execute().await.unwrap();
    }

    async fn set_up(&self, name: &str) {
        let message = LinkUnspec::new_with_index(self.index(name).await).up().build();
        self.0.link().set(message).execute().await.unwrap();
    }

    async fn set_down(&self, name: &str) {
        let message = LinkUnspec::new_with_index(self.index(name).await).down().build();
        self.0.link().set(message).execute().await.unwrap();
    }

    async fn rename(&self, from: &str, to: &str) {
        let index = self.index(from).await;
        let message = LinkUnspec::new_with_index(index).down().build();
        self.0.link().set(message).execute().await.unwrap();
        let message = LinkUnspec::new_with_index(index).name(to).build();
        self.0.link().set(message).execute().await.unwrap();
        let message = LinkUnspec::new_with_index(index).up().build();
        self.0.link().set(message).execute().await.unwrap();
    }

    async fn delete(&self, name: &str) {
        self.0.link().del(self.index(name).await).execute().await.unwrap();
    }

    async fn add_address(&self, name: &str, ip: IpAddr, prefix_len: u8, broadcast: Broadcast) {
        let mut request = self.0.address().add(self.index(name).await, ip, prefix_len);
        let attributes = &mut request.message_mut().attributes;
        if broadcast == Broadcast::Missing {
            attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Broadcast(_)));
        }
        attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        request.execute().await.unwrap();
    }

    async fn remove_addresses(&self, name: &str) {
        let addresses = self.0.address().get().set_link_index_filter(self.index(name).await);
        let found: Vec<_> = addresses.execute().try_collect().await.unwrap();
        for address in found {
            self.0.address().del(address).execute().await.unwrap();
        }
    }

    async fn index(&self, name: &str) -> u32 {
        let found = self.0.link().get().match_name(name).execute().try_next().await.unwrap();
        found.unwrap().header.index
    }
}
