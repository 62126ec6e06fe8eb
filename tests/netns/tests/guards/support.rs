//! Pairs that find things out soon, and nginx under test. It asserts nothing of the product.

use hb_cli::lab;
use hb_netns::files::{ADDRESS, NGINX_CONF, NODES, Setup, nginx_conf};
use hb_netns::pair::Pair;
use hb_netns::runner::skip;
use hb_node::api::StatusSnapshot;

/// The floating address.
pub(crate) const IP: &str = "192.0.2.100";

/// Dead after half a second, no failback, readiness looked at each second.
pub(crate) fn quick(haresources: &str) -> Setup {
    let mut setup =
        Setup { deadtime_ms: 500, initdead_ms: 1_000, failback: "off", ..Setup::new(haresources) };
    setup.native.push_str("[monitor]\nready_interval = \"1s\"\n");
    setup
}

/// An address and whoever has it serves.
pub(crate) fn web() -> Setup {
    Setup { web: true, ..quick(&format!("node1 {ADDRESS}\n")) }
}

/// An address and an agent to its right, and whoever has the address serves.
pub(crate) fn with_agent() -> Setup {
    Setup { web: true, ..quick(&format!("node1 {ADDRESS} agent::a\n")) }
}

/// Both nodes with an address and nginx to its right, node1 serving.
pub(crate) fn nginx_pair(further: &str) -> Pair {
    let mut pair = nginx_files(further);
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.wait_well();
    // Its first check tells that its status can be believed.
    let checked = |s: &StatusSnapshot| s.groups[0].resources[1].checked_ms_ago.is_some();
    pair.wait("node1", "nginx was checked", checked);
    pair
}

/// Skips the running case where nginx is missing.
pub(crate) fn need_nginx() {
    if lab::find_program("nginx").is_none() {
        skip("nginx is not installed");
    }
}

/// As [`nginx_pair`] without daemons.
pub(crate) fn nginx_files(further: &str) -> Pair {
    need_nginx();
    let mut setup = quick(&format!("node1 {ADDRESS} nginx\n"));
    setup.native.push_str(further);
    let pair = Pair::new(setup);
    NODES.into_iter().for_each(|node| configure_nginx(&pair, node));
    pair
}

/// A configuration with which nginx starts on `node`.
pub(crate) fn configure_nginx(pair: &Pair, node: &str) {
    pair.write(node, NGINX_CONF, &nginx_conf(node, "80"), 0o644);
}

/// Process ids of all nginx of `node` that serve, or were made to. `nginx -t`, which looks at the
/// configuration now and then, keeps the command line that it was started with.
pub(crate) fn nginx_pids(pair: &Pair, node: &str) -> Vec<u32> {
    let line = "grep -la '^nginx: ' /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 || true";
    let found = pair.shell(node, line);
    found.lines().map(|pid| pid.parse().expect("a number")).collect()
}

/// Kills every nginx of `node` at once.
pub(crate) fn kill_nginx(pair: &Pair, node: &str) {
    let pids: Vec<String> = nginx_pids(pair, node).iter().map(u32::to_string).collect();
    assert!(!pids.is_empty(), "nginx does not run on {node}");
    pair.shell(node, &format!("kill -s KILL {}", pids.join(" ")));
}
