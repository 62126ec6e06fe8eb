//! What a daemon records of a failover leads a replay to the same decisions.

use hb_netns::files::{ADDRESS, KEYS, Setup};
use hb_netns::pair::{Pair, active_on, has_problem};
use hb_netns::runner::Case;
use hb_sim::replay::{Seen, replay};

pub(crate) const CASES: &[Case] = &[
    Case { name: "recording_of_a_failover", run: recording_of_a_failover },
    Case { name: "recording_without_its_directory", run: recording_without_its_directory },
];

/// Below the state directory, which is the node's own and kept over its power loss.
const FILE: &str = "/var/lib/heartbeat/recording";

fn recorded() -> Setup {
    let mut setup = Setup::new(&format!("node1 {ADDRESS}\n"));
    setup.native.push_str(&format!("[record]\nfile = \"{FILE}\"\nsize = 4\n"));
    setup
}

/// The recording as it lies in the file system of `node`.
fn read(pair: &Pair, node: &str) -> Vec<u8> {
    let path = pair.lab.path(node, FILE).expect("a node that is on");
    std::fs::read(path).expect("a recording")
}

/// Waits until the writer has written all that it was given, and lives through it.
fn lived(pair: &Pair, node: &str) -> (Seen, String, Vec<u8>) {
    let bytes = read(pair, node);
    let mut text = String::new();
    let seen = replay(&bytes, |line| {
        text.push_str(line);
        text.push('\n');
    });
    let seen = seen.unwrap_or_else(|error| panic!("{node}: {error}\n{text}"));
    (seen, text, bytes)
}

fn recording_of_a_failover() {
    let mut pair = Pair::running(recorded());
    pair.crash("node1");
    let status = pair.wait("node2", "node1 is dead", |s| has_problem(s, "peer_dead"));
    assert_eq!(active_on(&status), Some("node2"));
    // Also while the daemon goes on writing: up to its last whole entry.
    let (seen, _, _) = lived(&pair, "node2");
    assert!(seen.inputs > 0);
    pair.stop("node2");
    let (seen, text, mut bytes) = lived(&pair, "node2");
    assert!(seen.datagrams > 20 && seen.moves > 0 && seen.lost == 0, "{seen:?}");
    for part in ["the daemon starts", "is dead", "192.0.2.100"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(bytes.len() <= 4 * 1024 * 1024);
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let key = KEYS.trim_end().rsplit(' ').next().expect("a key");
    assert!(!holds(key.as_bytes()), "the key is in the recording");
    // Written over by somebody: told, not replayed.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let error = replay(&bytes, |_| {}).expect_err("a changed recording");
    assert!(error.contains("damaged"), "{error}");
    if let Some(keep) = std::env::var_os("HB_KEEP_RECORDING") {
        bytes[middle] ^= 1;
        std::fs::write(keep, bytes).expect("a copy of the recording");
    }
}

/// A recording that cannot be made is a warning.
fn recording_without_its_directory() {
    let mut setup = recorded();
    setup.native = setup.native.replace(FILE, "/nowhere/recording");
    let pair = Pair::running(setup);
    pair.wait_log("node1", "nothing more is recorded in /nowhere/recording");
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
}
