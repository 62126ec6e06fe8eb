//! Our package in the place of Debian's heartbeat on a node that serves. The genuine programs are run
//! and never read. Begins with node2 purged and node1 serving.

use std::time::Instant;

use crate::Step;
use crate::life::generation;
use crate::pair::{NODES, Pair};

pub(crate) const STEPS: &[Step] =
    &[("beside_debians_heartbeat", beside_debians_heartbeat), ("replaced_live", replaced_live)];

/// What both know.
const HARESOURCES: &str = "node1 IPaddr::192.0.2.100/24/eth0 nginx\n";
/// policy-rc.d of Debian: no package stops or starts anything.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// node2 gets the genuine daemon, and everything.
fn beside_debians_heartbeat(pair: &mut Pair) {
    pair.configure("node1", HARESOURCES);
    pair.sh("node1", "systemctl restart heartbeat");
    pair.sh("node2", "apt-get install -y --no-install-recommends heartbeat resource-agents");
    pair.configure("node2", HARESOURCES);
    pair.sh("node2", "systemctl enable heartbeat && systemctl restart heartbeat");
    pair.wait_served("node1");
    pair.wait("node2", "[ \"$(cl_status nodestatus node1)\" = active ]");
    pair.wait("node1", "hb status");
    pair.wait(
        "node2",
        "/usr/share/heartbeat/hb_takeover all; sleep 2; [ \"$(cl_status rscstatus)\" = all ]",
    );
    pair.wait_served("node2");
}

/// The service does not notice; configuration, generation and UUID go on.
fn replaced_live(pair: &mut Pair) {
    let files =
        "/var/lib/heartbeat/hb_uuid /etc/ha.d/ha.cf /etc/ha.d/haresources /etc/ha.d/authkeys";
    let sums = |pair: &Pair| pair.sh("node2", &format!("md5sum {files}"));
    let (before, counted) = (sums(pair), generation(pair, "node2"));
    pair.sh("node2", &format!("printf '#!/bin/sh\\nexit 101\\n' >{POLICY} && chmod 755 {POLICY}"));
    let begin = Instant::now();
    pair.install("node2", &pair.prepared.upgrade);
    pair.sh("node2", &format!("rm {POLICY}"));
    NODES.into_iter().for_each(|node| pair.wait(node, "hb status"));
    pair.assert_unbroken(begin, "node2");
    assert_eq!(sums(pair), before);
    assert_eq!(generation(pair, "node2"), counted + 1);
    assert_eq!(pair.sh("node2", "systemctl is-enabled heartbeat").trim(), "enabled");
    assert_eq!(pair.sh("node2", "systemctl is-active heartbeat").trim(), "active");
    pair.sh("node2", "! dpkg-query -W -f '${db:Status-Abbrev}' heartbeat | grep -q ^ii");
}
