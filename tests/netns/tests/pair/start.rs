//! Starts, stops, and what the commands say of a pair that is well, or of a daemon that is not
//! there: the words and exit codes that scripts and monitoring read.

use hb_netns::files::{ADDRESS, NODES, Setup};
use hb_netns::pair::{Pair, active_on, has_problem};
use hb_netns::runner::Case;

pub(crate) const CASES: &[Case] = &[
    Case { name: "cold_start", run: cold_start },
];

fn cold_start() {
    let pair = Pair::running(Setup::web());
    pair.traffic().wait_served("node1");
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    for node in NODES {
        assert_eq!(active_on(&pair.status(node)), Some("node1"));
    }
}
