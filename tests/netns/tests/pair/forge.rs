//! A hostile neighbour: takes packets off the wire, makes others, and throws them at a node. It
//! knows nothing of what a node should make of them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, Framing, NodeName, Secret, Timing};
use hb_messaging::engine::{Config, Input, Messaging, Output};
use hb_messaging::time;

/// Heartbeat's port.
pub(crate) const PORT: u16 = 694;
/// How long the wire is listened to for one packet.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);

/// A socket on the public network, where the client is.
pub(crate) struct Neighbour {
    socket: UdpSocket,
    random: u64,
}

impl Neighbour {
    /// It hears what nodes broadcast there.
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("a free port");
        socket.set_read_timeout(Some(LISTEN_LIMIT)).expect("a time limit");
        Self { socket, random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// The next `count` packets of `sender`.
    pub(crate) fn capture(&self, sender: Ipv4Addr, count: usize) -> Vec<Vec<u8>> {
        let begin = Instant::now();
        let mut found = Vec::new();
        let mut buffer = [0; 65_536];
        while found.len() < count {
            assert!(begin.elapsed() < LISTEN_LIMIT, "too few packets of {sender}");
            let (length, from) = self.socket.recv_from(&mut buffer).expect("a packet");
            if from.ip() == sender {
                found.push(buffer[..length].to_vec());
            }
        }
        found
    }

    /// Throws `bytes` at a node.
    pub(crate) fn throw(&self, node: Ipv4Addr, bytes: &[u8]) {
        // A full queue loses it, as any wire may.
        let _ = self.socket.send_to(bytes, (node, PORT));
    }

    /// As many random bytes.
    pub(crate) fn noise(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// Below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or_default() % limit
    }

    /// xorshift64 (Marsaglia): the same in each run.
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// The first packets of a node `name` whose key is `secret`, with a generation above any in use.
pub(crate) fn packets_of(name: &str, method: AuthMethod, secret: &str) -> Vec<Vec<u8>> {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let key = AuthKey { method, secret: Secret::new(secret.as_bytes().to_vec()) };
    let mut engine = Messaging::new(Config {
        node: NodeName::new(name),
        uuid: [7; 16],
        generation: unix_s + 1_000,
        nodes: [name, "node1"].map(NodeName::new).to_vec(),
        links: vec!["eth0".to_owned()],
        pings: Vec::new(),
        timing: Timing {
            keepalive_ms: 100,
            deadtime_ms: 1_000,
            warntime_ms: 500,
            initdead_ms: 2_000,
            deadping_ms: 1_000,
        },
        keys: AuthKeys { active: 1, keys: BTreeMap::from([(1, key)]) },
        framing: Framing::Netstring,
        inner_auth: true,
        hopfudge: 1,
        max_rexmit_delay_ms: 250,
        seed: 1,
        announce: BTreeMap::new(),
    });
    let mut outputs = Vec::new();
    let at = time::Instant::from_millis(0);
    engine.handle(at, Input::Environment { unix_s, load: "0.00".into() }, &mut outputs);
    engine.handle(at, Input::Start, &mut outputs);
    let sent = outputs.into_iter().filter_map(|output| match output {
        Output::Transmit { bytes, .. } => Some(bytes.to_vec()),
        Output::Echo { .. } | Output::Event(_) => None,
    });
    sent.collect()
}
