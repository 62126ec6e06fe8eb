//! Agents of every class, as programs: the order in which they are started and stopped, what they
//! are told, and services that are real.

use hb_cli::lab;
use hb_netns::files::{ADDRESS, NGINX_CONF, NODES, Setup, lsb_agent, nginx_conf, ocf_agent};
use hb_netns::pair::{Pair, groups, is_well};
use hb_netns::runner::{Case, skip};

pub(crate) const CASES: &[Case] = &[
    Case { name: "order_within_a_group", run: order_within_a_group },
    Case { name: "lsb_and_shipped_scripts", run: lsb_and_shipped_scripts },
    Case { name: "ocf_agent", run: ocf_agent_case },
    Case { name: "haproxy_on_the_floating_address", run: haproxy_on_the_floating_address },
    Case { name: "nginx_bound_to_the_floating_address", run: nginx_bound },
];

/// Left to right, and right to left.
fn order_within_a_group() {
    let mut pair =
        Pair::running(Setup::new(&format!("node1 agent::a {ADDRESS} agent::b agent::c\n")));
    assert_eq!(pair.journal("node1"), ["a start", "b start", "c start"]);
    assert!(pair.journal("node2").is_empty());
    pair.expect("node1", &["hb", "standby"], 0);
    let all = ["a start", "b start", "c start", "c stop", "b stop", "a stop"];
    assert_eq!(pair.journal("node1"), all);
    assert_eq!(pair.journal("node2"), all[..3]);
    pair.stop("node2");
    pair.wait("node1", "it serves", |s| s.this_node.rscstatus == "all");
    assert_eq!(pair.journal("node2"), all);
}

fn lsb_and_shipped_scripts() {
    let mut setup = Setup::new("node1 first Dummy::x::y Delay::0 last\n");
    setup.kept = vec!["/etc/init.d".to_owned()];
    let mut pair = Pair::new(setup);
    for node in NODES {
        for name in ["first", "last"] {
            pair.write(node, &format!("/etc/init.d/{name}"), &lsb_agent(name), 0o755);
        }
        pair.start(node);
    }
    pair.wait_well();
    assert_eq!(pair.journal("node1"), ["first start", "last start"]);
    let state = "/run/heartbeat/rsctmp/Dummy-x-y.state";
    pair.shell("node1", &format!("test -e {state}"));
    pair.expect("node2", &["hb", "takeover"], 0);
    assert_eq!(pair.journal("node1"), ["first start", "last start", "last stop", "first stop"]);
    assert_eq!(pair.journal("node2"), ["first start", "last start"]);
    pair.shell("node1", &format!("test ! -e {state}"));
    pair.shell("node2", &format!("test -e {state}"));
}

/// An agent below /usr/lib/ocf, which a node cannot write: it gets another one there.
fn ocf_agent_case() {
    let setup = Setup::new("node1 ocf::test:fake::name=a ocf::test:fake::name=b\n");
    let mut pair = Pair::new(setup);
    for node in NODES {
        pair.write(node, "/run/fake", &ocf_agent(), 0o755);
        // A tmpfs where the folder is there; else a layer over the one above it.
        let place = "if [ -d /usr/lib/ocf ]; then mount -t tmpfs tmpfs /usr/lib/ocf; else \
            mkdir /run/upper /run/work && mount -t overlay overlay \
            -o lowerdir=/usr/lib,upperdir=/run/upper,workdir=/run/work /usr/lib; fi && \
            mkdir -p /usr/lib/ocf/resource.d/test && cp -p /run/fake /usr/lib/ocf/resource.d/test/";
        let ran = pair.run(node, &["/bin/sh", "-c", place]);
        if ran.code != 0 {
            skip(&format!("no writable /usr/lib/ocf can be made here: {}", ran.err.trim()));
        }
        pair.start(node);
    }
    pair.wait_well();
    assert_eq!(pair.journal("node1"), ["a start", "b start"]);
    pair.expect("node1", &["hb", "standby"], 0);
    assert_eq!(pair.journal("node1"), ["a start", "b start", "b stop", "a stop"]);
    assert_eq!(pair.journal("node2"), ["a start", "b start"]);
}

const HAPROXY_CONF: &str = "/etc/haproxy/haproxy.cfg";

/// It binds to the floating address: it can only start once that is there, and must be gone before
/// that goes.
fn haproxy_on_the_floating_address() {
    if lab::find_program("haproxy").is_none() {
        skip("haproxy is not installed");
    }
    let mut setup = Setup::new(&format!("node1 {ADDRESS} haproxy\n"));
    setup.kept = vec!["/etc/haproxy".to_owned()];
    let mut pair = Pair::new(setup);
    for node in NODES {
        let text = format!(
            "global\n  pidfile /run/haproxy.pid\ndefaults\n  mode http\n  timeout client 5s\n  \
             timeout server 5s\n  timeout connect 5s\nfrontend f\n  bind 192.0.2.100:80\n  \
             http-request return status 200 content-type text/plain string {node} \
             hdr X-Served-By {node}\n"
        );
        pair.write(node, HAPROXY_CONF, &text, 0o644);
        pair.start(node);
    }
    pair.wait_well();
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.expect("node1", &["hb", "standby"], 0);
    traffic.wait_served("node2");
    pair.crash("node2");
    traffic.wait_served("node1");
}

/// As many configurations in the field have it, with a group that is held by the other node, too.
fn nginx_bound() {
    if lab::find_program("nginx").is_none() {
        skip("nginx is not installed");
    }
    let mut pair = Pair::new(Setup::new(&format!("node2 {ADDRESS} nginx agent::a\n")));
    for node in NODES {
        pair.write(node, NGINX_CONF, &nginx_conf(node, "192.0.2.100:80"), 0o644);
        pair.start(node);
    }
    pair.wait_well();
    let traffic = pair.traffic();
    traffic.wait_served("node2");
    pair.stop("node2");
    traffic.wait_served("node1");
    pair.start("node2");
    traffic.wait_served("node2");
    pair.wait_well();
    assert!(is_well(&pair.status("node1")));
    assert_eq!(groups(&pair.status("node1"))[ADDRESS].as_deref(), Some("node2"));
}
