//! Our package purged, and in the place of Debian's heartbeat on a node that serves. The genuine programs are run
//! and never read.

use std::time::Instant;

use crate::life::{ADDRESS, assert_given, generation, log};
use crate::pair::{NODES, Pair};
use crate::steps::{Begin, Step};

pub(crate) const STEPS: &[Step] = &[
    Step { name: "purged", begin: Begin::Serves("node2"), limit_s: 90, run: purged },
    Step {
        name: "beside_debians_heartbeat",
        begin: Begin::Purged,
        limit_s: 150,
        run: put_debians_beside,
    },
    Step { name: "replaced_live", begin: Begin::Beside, limit_s: 120, run: replaced_live },
];

/// What both know.
const HARESOURCES: &str = "node1 IPaddr2::192.0.2.100/24/eth0 nginx\n";
/// policy-rc.d of Debian: no package stops or starts anything.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Gives everything away and leaves nothing that runs, nor what it has written itself.
fn purged(pair: &mut Pair) {
    log(pair, "node1");
    pair.sh("node2", "apt-get purge -y twinbeat");
    pair.wait_served("node1");
    pair.sh("node2", &format!("! {ADDRESS} && ! systemctl is-active nginx"));
    pair.sh("node2", "! grep -qsx heartbeat /proc/[0-9]*/comm");
    for gone in
        ["/usr/sbin/heartbeat", "/var/lib/heartbeat", "/run/heartbeat", "/etc/init.d/heartbeat"]
    {
        pair.sh("node2", &format!("! [ -e {gone} ]"));
    }
    // Written by people.
    pair.sh("node2", "cat /etc/ha.d/ha.cf /etc/ha.d/haresources /etc/ha.d/authkeys >/dev/null");
    pair.sh("node2", "! systemctl is-enabled heartbeat 2>/dev/null");
    assert_given(pair, "node1");
}

/// node2 gets the genuine daemon, and everything.
pub(crate) fn put_debians_beside(pair: &mut Pair) {
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
