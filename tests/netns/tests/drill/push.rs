//! `hb push-config` between two real nodes.

use hb_netns::files::{ADDRESS, ADDRESS2, KEY, Setup};
use hb_netns::pair::{Pair, groups, has_problem};
use hb_netns::runner::Case;

use crate::ssh;

pub(crate) const CASES: &[Case] = &[
    Case { name: "push_config", run: push_config },
    Case { name: "push_config_is_refused", run: refused },
];

const HARESOURCES: &str = "/etc/ha.d/haresources";
const AUTHKEYS: &str = "/etc/ha.d/authkeys";

fn setup() -> Setup {
    Setup::new(&format!("node1 {ADDRESS}\n")).calm()
}

fn read(pair: &Pair, path: &str) -> String {
    pair.lab.read_file("node2", path).expect("a file")
}

/// The difference is shown without keys, then the files are there, and in force.
fn push_config() {
    let pair = Pair::running(setup());
    let _ssh = ssh::on_both(&pair);
    let same = pair.expect("node1", &["hb", "push-config"], 0);
    assert_eq!(same.out, "node2 has the same files\n");
    let text = format!("node1 {ADDRESS}\nnode1 {ADDRESS2}\n");
    pair.write("node1", HARESOURCES, &text, 0o644);
    let keys = format!("auth 1\n1 sha256 {KEY}\n2 sha256 another-key-of-the-tests\n");
    pair.write("node1", AUTHKEYS, &keys, 0o600);
    let before = read(&pair, HARESOURCES);
    let shown = pair.expect("node1", &["hb", "push-config", "--dry-run"], 1).out;
    for part in [&format!("+node1 {ADDRESS2}"), "--- node2:haresources", "+2 sha256 fingerprint"] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert!(!shown.contains(KEY) && !shown.contains("another-key"), "{shown}");
    assert_eq!(read(&pair, HARESOURCES), before, "a dry run has changed it");
    pair.expect("node1", &["hb", "reload"], 0);
    pair.wait("node1", "the files differ", |status| has_problem(status, "config_differs"));
    pair.expect("node1", &["hb", "push-config", "--yes", "--reload", "--to", "root@node2"], 0);
    assert_eq!(read(&pair, HARESOURCES), text);
    assert_eq!(read(&pair, AUTHKEYS), keys);
    assert_eq!(read(&pair, &format!("{HARESOURCES}.before-push")), before);
    let modes = pair.shell("node2", &format!("stat -c %a {HARESOURCES} {AUTHKEYS}"));
    assert_eq!(modes, "644\n600\n");
    pair.wait_well();
    assert!(groups(&pair.status("node2")).contains_key(ADDRESS2), "not in force");
}

/// Files that are not valid go nowhere; only what was named goes.
fn refused() {
    let pair = Pair::running(setup());
    let _ssh = ssh::on_both(&pair);
    let before = read(&pair, HARESOURCES);
    pair.write("node1", HARESOURCES, "node1 IPaddr::999.0.0.1/24/eth0\n", 0o644);
    let ran = pair.expect("node1", &["hb", "push-config", "--yes"], 3);
    assert!(ran.err.contains("not valid"), "{ran}");
    pair.write("node1", HARESOURCES, &format!("node1 {ADDRESS2}\n"), 0o644);
    pair.write("node1", "/etc/ha.d/hb.toml", "[monitor]\ninterval = \"7s\"\n", 0o644);
    let ran = pair.expect("node1", &["hb", "push-config", "--yes", "--to", "node1"], 3);
    assert!(ran.err.contains("is node1"), "{ran}");
    let ran = pair.expect("node1", &["hb", "push-config", "hb.toml"], 3);
    assert!(ran.err.contains("add --yes"), "{ran}");
    pair.expect("node1", &["hb", "push-config", "hb.toml", "--yes"], 0);
    assert!(read(&pair, "/etc/ha.d/hb.toml").contains("7s"));
    assert_eq!(read(&pair, HARESOURCES), before);
}
