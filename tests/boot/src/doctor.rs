//! What `hb doctor` and `hb report` say of machines with a real systemd, networkd and packet filter.
//! Leaves the pair as it was.

use crate::pair::{NODES, Pair};
use crate::steps::{Begin, Step};

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "doctor_finds_and_its_cure_holds",
        begin: Begin::Serves("node1"),
        limit_s: 120,
        run: doctor_finds_and_its_cure_holds,
    },
    Step {
        name: "report_without_secrets",
        begin: Begin::Serves("node1"),
        limit_s: 60,
        run: report_without_secrets,
    },
];

/// What is found of one level: `jq` is not on a small machine.
fn found(pair: &Pair, node: &str, area: &str, id: &str) -> bool {
    let (_, text) = pair.run(node, &format!("hb doctor {area} --json"));
    assert!(text.contains("\"version\": 1"), "{text}");
    text.contains(&format!("\"id\": \"{id}\""))
}

/// Each finding is made for real, is found, and is gone when what it says was done.
fn doctor_finds_and_its_cure_holds(pair: &mut Pair) {
    let node = "node1";
    for node in NODES {
        let (code, text) = pair.run(node, "hb doctor");
        assert!(code < 2, "a pair on which all is well has no problem: {text}");
        assert!(text.contains("UDP 694 is the daemon's"), "{text}");
        assert!(text.contains("heartbeat starts at boot"), "{text}");
        assert!(text.contains("systemd::nginx: could be run here"), "{text}");
    }
    // networkd manages eth0 and would delete the address.
    let says = |area: &str, id: &str| found(pair, node, area, id);
    let (_, text) = pair.run(node, "hb doctor system");
    assert!(text.contains("keeps no foreign address"), "{text}");
    let folder = "/etc/systemd/network/eth0.network.d";
    assert!(text.contains(&format!("{folder}/heartbeat.conf")), "{text}");
    pair.sh(node, &format!("mkdir -p {folder} && printf '[Network]\\nKeepConfiguration=static\\n' >{folder}/heartbeat.conf && networkctl reload"));
    pair.wait(node, "hb doctor system --json | grep -q 'leaves addresses of eth0 alone'");
    // A service that starts by itself.
    assert!(!says("boot", "starts_by_itself"));
    pair.sh(node, "systemctl enable nginx");
    assert!(says("boot", "starts_by_itself"));
    pair.sh(node, "systemctl disable nginx");
    assert!(!says("boot", "starts_by_itself"));
    // heartbeat that does not.
    pair.sh(node, "systemctl disable heartbeat");
    assert!(says("boot", "not_enabled"));
    pair.sh(node, "systemctl enable heartbeat");
    assert!(!says("boot", "not_enabled"));
    // A drop-in that would end every service with the daemon.
    let drop_in = "/etc/systemd/system/heartbeat.service.d";
    pair.sh(node, &format!("mkdir -p {drop_in} && printf '[Service]\\nKillMode=control-group\\n' >{drop_in}/x.conf && systemctl daemon-reload"));
    assert!(says("boot", "unit_changed"));
    pair.sh(node, &format!("rm -r {drop_in} && systemctl daemon-reload"));
    assert!(!says("boot", "unit_changed"));
    // The floating address in a file that is read at boot.
    let folder = "/etc/network/interfaces.d";
    let line = "iface eth0:0 inet static\\n  address 192.0.2.100/24\\n";
    assert!(!says("system", "static_address"));
    pair.sh(node, &format!("mkdir -p {folder} && printf '{line}' >{folder}/x"));
    assert!(says("system", "static_address"));
    pair.sh(node, &format!("rm -r {folder}"));
    assert!(!says("system", "static_address"));
    pair.wait_well();
}

/// One archive, its owner's, without the key.
fn report_without_secrets(pair: &mut Pair) {
    let node = "node1";
    let said = pair.sh(node, "cd /root && hb report --output r.tar.gz");
    assert!(said.contains("r.tar.gz"), "{said}");
    assert_eq!(pair.sh(node, "stat -c %a /root/r.tar.gz").trim(), "600");
    let list = pair.sh(node, "tar tzf /root/r.tar.gz");
    for part in [
        "MANIFEST",
        "hb/status.txt",
        "hb/doctor.json",
        "logs/journal.txt",
        "process/limits",
        "configuration/authkeys",
    ] {
        assert!(list.contains(part), "{part} in {list}");
    }
    pair.sh(node, "! tar xzOf /root/r.tar.gz | grep -qa a-word-of-the-boot-test");
    pair.sh(node, "rm /root/r.tar.gz");
}
