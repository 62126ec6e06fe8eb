//! Debian's own tools of Heartbeat 3.0.6 against our daemon: `cl_status`, `hb_standby`,
//! `hb_takeover`, `hb_addnode` and the init script, unchanged, byte for byte. Where the packages
//! are not installed the cases are skipped.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hb_netns::files::{ADDRESS, NODES, Setup};
use hb_netns::pair::{Pair, active_on};
use hb_netns::runner::{self, Case, skip};

const CASES: &[Case] = &[
    Case { name: "genuine_cl_status", run: genuine_cl_status },
    Case { name: "genuine_cl_status_while_waiting_for_the_peer", run: while_waiting_for_the_peer },
    Case { name: "genuine_hb_standby_and_hb_takeover", run: standby_and_takeover },
    Case { name: "genuine_scripts_are_refused_with_a_reason", run: refused_with_a_reason },
    Case { name: "genuine_init_script", run: init_script },
    Case { name: "hooks_of_the_operator", run: hooks },
    Case { name: "a_fifo_that_is_a_file_is_replaced", run: fifo_that_is_a_file },
    Case { name: "garbage_in_the_fifo_harms_nobody", run: garbage_in_the_fifo },
    Case { name: "bad_clients_of_the_socket_harm_nobody", run: bad_clients },
];

const CL_STATUS: &str = "/usr/bin/cl_status";
const SCRIPTS: &str = "/usr/share/heartbeat";
const INIT: &str = "/etc/init.d/heartbeat";
/// Where Debian's package has the daemon, and where ours is installed in its stead.
const DAEMON: &str = "/usr/libexec/heartbeat/heartbeat";
const FIFO: &str = "/var/lib/heartbeat/fifo";

fn main() -> ExitCode {
    runner::main(CASES)
}

/// Ends the case where Debian's Heartbeat is not installed.
fn need(path: &str) {
    if !Path::new(path).exists() {
        skip(&format!("{path} is not there: install Debian's package heartbeat"));
    }
}

/// An address that prefers node1, and a ping node.
fn setup() -> Setup {
    let mut setup = Setup::new(&format!("node1 {ADDRESS}\n"));
    setup.further = "ping 192.0.2.254\n".to_owned();
    setup
}

/// The package's scripts need its library of functions, which is a configuration file.
fn with_functions(pair: &Pair) {
    for node in NODES {
        pair.shell(node, "cp /.host/etc/ha.d/shellfuncs /etc/ha.d/");
    }
}

fn script(name: &str) -> String {
    format!("{SCRIPTS}/{name}")
}

fn genuine_cl_status() {
    need(CL_STATUS);
    let mut pair = Pair::running(setup());
    pair.wait("node1", "the ping node answers", |s| s.pings.iter().all(|p| p.status == "ping"));
    let check = |pair: &Pair, words: &str, out: &str, code: i32| {
        let argv: Vec<&str> = std::iter::once(CL_STATUS).chain(words.split(' ')).collect();
        assert_eq!(pair.expect("node1", &argv, code).out, out, "cl_status {words}");
    };
    let unknown = |words: &str, text: &str| {
        // Debian's own and `hb` under its name.
        for program in [CL_STATUS, "cl_status"] {
            let argv: Vec<&str> = std::iter::once(program).chain(words.split(' ')).collect();
            let ran = pair.expect("node1", &argv, 11);
            assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", text), "{program} {words}");
        }
    };
    unknown("nodestatus node3", "Error. May be due to incorrect node name\n");
    unknown("nodetype node3", "Error. May be due to incorrect node name\n");
    unknown("nodeweight node3", "Error. Maybe due to incorrect node name.\n");
    unknown("nodesite node3", "Error. May be due to incorrect node name\n");
    check(&pair, "hbstatus", "Heartbeat is running on this machine.\n", 0);
    check(&pair, "listnodes", "192.0.2.254\nnode2\nnode1\n", 0);
    check(&pair, "listnodes -n", "node2\nnode1\n", 0);
    check(&pair, "listnodes -p", "192.0.2.254\n", 0);
    let nodes = "\n192.0.2.254\tping\t(nodetype: ping)\n\t192.0.2.254\tup\n\
        \nnode2\tactive\t(nodetype: normal)\n\teth0\tup\n\teth1\tup\n\
        \nnode1\tactive\t(nodetype: normal)\n\teth0\tup\n\teth1\tup\n";
    // The client library turns the links round, so 3.0.6 lists them against the order of ha.cf.
    check(&pair, "listnodes -v", nodes, 0);
    let version = env!("CARGO_PKG_VERSION");
    let verbose =
        format!("version:\t3.0.6 (Twinbeat {version})\nmanaged by:\t\"haresources\"\n{nodes}");
    check(&pair, "hbstatus -v", &verbose, 0);
    // `hb` under the name of the tool says the same.
    for words in ["hbstatus -v", "listnodes -v", "listhblinks node2", "nodetype -m node1"] {
        let own: Vec<&str> = std::iter::once("cl_status").chain(words.split(' ')).collect();
        let own = pair.expect("node1", &own, 0).out;
        check(&pair, words, &own, 0);
    }
    check(&pair, "nodestatus node1", "active\n", 0);
    check(&pair, "nodestatus node2", "active\n", 0);
    check(&pair, "nodestatus 192.0.2.254", "ping\n", 0);
    check(&pair, "nodetype node2", "normal\n", 0);
    check(&pair, "nodetype 192.0.2.254", "ping\n", 0);
    check(&pair, "nodeweight node2", "100\n", 0);
    check(&pair, "nodesite node2", "\n", 0);
    check(&pair, "listhblinks node2", "\teth0\n\teth1\n", 0);
    check(&pair, "listhblinks -v node2", "\teth0\tup\n\teth1\tup\n", 0);
    check(&pair, "hblinkstatus node2 eth1", "up\n", 0);
    check(&pair, "hblinkstatus node2 eth7", "", 13);
    check(&pair, "rscstatus", "local\n", 0);
    check(&pair, "rscstatus -m", "This node is holding local resources.\n", 0);
    check(&pair, "hbparameter -p keepalive", "100ms\n", 0);
    check(&pair, "hbparameter -p auto_failback", "on\n", 0);
    check(&pair, "hbparameter -p nonsense", "", 1);
    check(&pair, "clientstatus node1 ipfail", "offline\n", 1);
    check(&pair, "clientstatus node2 ipfail", "offline\n", 1);
    check(&pair, "nonsense", "", 11);
    check(&pair, "nodetype -m node1", "The node node1's type: normal\n", 0);
    check(&pair, "hblinkstatus -m node2 eth1", "The node node2's heartbeat link eth1 is up\n", 0);
    check(&pair, "listhblinks node3", "", 13);
    check(&pair, "hblinkstatus node3 eth1", "", 13);

    pair.stop("node2");
    pair.wait("node1", "node1 has everything and node2 is dead", |status| {
        let dead = status
            .peer
            .as_ref()
            .is_some_and(|peer| peer.status == "dead" && peer.links.iter().all(|link| !link.up));
        dead && status.this_node.rscstatus == "all"
    });
    check(&pair, "nodestatus node2", "dead\n", 1);
    check(&pair, "nodestatus -m node2", "The cluster node node2 is dead\n", 1);
    check(&pair, "rscstatus -m", "This node is holding all resources.\n", 0);
    check(&pair, "hblinkstatus node2 eth1", "dead\n", 1);
    check(&pair, "listhblinks -v node2", "\teth0\tdead\n\teth1\tdead\n", 0);

    pair.stop("node1");
    check(&pair, "hbstatus", "Heartbeat is stopped on this machine.\n", 1);
    let ran = pair.expect("node1", &[CL_STATUS, "rscstatus"], 1);
    assert!(ran.err.contains("ERROR: Cannot signon with heartbeat"), "{ran}");
}

/// Heartbeat 3.0.6 opened its socket when the node was active; ours answers from the start.
fn while_waiting_for_the_peer() {
    need(CL_STATUS);
    let mut setup = setup();
    setup.initdead_ms = 60_000;
    let mut pair = Pair::new(setup);
    pair.start("node1");
    pair.wait("node1", "it runs", |_| true);
    assert_eq!(pair.expect("node1", &[CL_STATUS, "rscstatus"], 0).out, "transition\n");
    let running = "Heartbeat is running on this machine.\n";
    assert_eq!(pair.expect("node1", &[CL_STATUS, "hbstatus"], 0).out, running);
}

fn standby_and_takeover() {
    need(&script("hb_standby"));
    let pair = Pair::running(setup());
    with_functions(&pair);
    let served_by = |node: &str| {
        let what = format!("the address is on {node}");
        pair.wait("node1", &what, |status| active_on(status) == Some(node));
        pair.wait_well();
        assert_eq!(pair.owners("192.0.2.100"), [node]);
    };
    served_by("node1");
    let moves = |node: &str, name: &str, words: &[&str], to: &str| {
        let name = script(name);
        let argv: Vec<&str> = std::iter::once(name.as_str()).chain(words.iter().copied()).collect();
        let ran = pair.expect(node, &argv, 0);
        served_by(to);
        ran.err
    };
    let said = moves("node1", "hb_standby", &[], "node2");
    assert!(said.ends_with("Going standby [all].\n"), "{said}");
    pair.wait_log("node1", "Command over the FIFO: standby [all]");
    pair.wait_log("node1", "node1 wants to go standby [all]");
    pair.wait_log("node1", "standby [all]: ");
    moves("node1", "hb_takeover", &[], "node1");
    pair.wait_log("node1", "Command over the FIFO: takeover [all]");
    moves("node1", "hb_standby", &["local"], "node2");
    // What node2 has and is not its own goes back.
    moves("node2", "hb_standby", &["foreign"], "node1");
    moves("node2", "hb_takeover", &["failback"], "node2");
    let said = moves("node2", "hb_standby", &["failback"], "node1");
    assert!(said.ends_with("Going standby [foreign].\n"), "{said}");
}

fn refused_with_a_reason() {
    need(&script("hb_addnode"));
    let pair = Pair::running(setup());
    with_functions(&pair);
    let check = |words: &[&str], reason: &str| {
        let name = script(words[0]);
        let argv: Vec<&str> =
            std::iter::once(name.as_str()).chain(words.iter().skip(1).copied()).collect();
        pair.run("node1", &argv);
        pair.wait_log("node1", reason);
    };
    check(&["hb_addnode", "node3"], "\"addnode\" refused: a cluster has the two nodes of ha.cf");
    check(&["hb_delnode", "node2"], "\"delnode\" refused: a cluster has the two nodes of ha.cf");
    check(&["hb_setweight", "node1", "50"], "\"setweight\" refused");
    check(&["hb_setsite", "node1", "x"], "\"setsite\" refused");
    // What Heartbeat's own mach_down writes: that the resources of the other side are here.
    pair.shell(
        "node1",
        &format!("printf '>>>\\nt=resource\\nrsc_hold=foreign\\ninfo=mach_down\\n<<<\\n' > {FIFO}"),
    );
    pair.wait_log("node1", "\"resource\" refused: the daemon says this itself");
    pair.wait_well();
    assert_eq!(pair.status("node1").members, NODES);
    assert_eq!(pair.status("node1").this_node.rscstatus, "local");
}

fn init_script() {
    need(INIT);
    need(DAEMON);
    let mut setup = Setup::new("node1 agent::a\n");
    setup.further = "realtime off\n".to_owned();
    let pair = Pair::new(setup);
    with_functions(&pair);
    let init = |node: &str, verb: &str, code: i32| pair.expect(node, &[INIT, verb], code).out;
    let exe = |node: &str| pair.shell(node, "readlink /proc/$(echo $(cat /run/heartbeat.pid))/exe");
    for node in NODES {
        pair.shell(node, &format!("mount --bind /twinbeat/heartbeat {DAEMON}"));
        assert_eq!(init(node, "status", 3), "heartbeat is stopped. No process\n");
        let out = init(node, "start", 0);
        assert!(out.contains("Done."), "{out}");
        assert_eq!(exe(node), format!("{DAEMON}\n"));
        assert_eq!(pair.shell(node, "wc -c < /run/heartbeat.pid").trim(), "11");
        let out = init(node, "status", 0);
        assert!(out.starts_with("heartbeat OK [pid ") && out.contains("is running on"), "{out}");
    }
    pair.wait_well();
    assert_eq!(active_on(&pair.status("node1")), Some("node1"));
    init("node1", "reload", 0);
    pair.wait_log("node1", "Configuration unchanged.");
    let ran = pair.expect("node1", &[INIT, "standby"], 0);
    assert!(ran.err.contains("Going standby [all]."), "{ran}");
    pair.wait("node1", "node2 serves", |status| active_on(status) == Some("node2"));
    pair.wait_well();
    let before = pair.status("node2").pid;
    init("node2", "start", 0);
    assert_eq!(pair.status("node2").pid, before, "a second start changes nothing");
    let out = init("node2", "stop", 0);
    assert!(out.contains("Done."), "{out}");
    assert!(pair.try_status("node2").is_none());
    pair.wait("node1", "node1 serves", |status| active_on(status) == Some("node1"));
    assert_eq!(init("node2", "status", 3), "heartbeat is stopped. No process\n");
    assert!(init("node2", "stop", 0).contains("Done."), "stopped already");
    init("node1", "stop", 0);
    assert_eq!(pair.journal("node1").last().map(String::as_str), Some("a stop"));
}

/// With Debian's harc and its own scripts beside the operator's.
fn hooks() {
    need("/etc/ha.d/harc");
    let mut pair = Pair::new(setup());
    pair.shell(
        "node1",
        "cp -r /.host/etc/ha.d/harc /.host/etc/ha.d/shellfuncs /.host/etc/ha.d/rc.d /etc/ha.d/",
    );
    let note = "#!/bin/sh\necho \"$1 $HA_t $HA_src $HA_st\" >> /var/log/hooks\n";
    for name in ["hb-status", "shutdone"] {
        pair.write("node1", &format!("/etc/ha.d/rc.d/{name}"), note, 0o755);
    }
    let all = "#!/bin/sh\n/usr/bin/env | sort > /var/log/hook-env\n";
    pair.write("node1", "/etc/ha.d/rc.d/starting", all, 0o755);
    let own = "#!/bin/sh\n: > /var/log/hook-of-heartbeat\n";
    pair.write("node1", "/etc/ha.d/rc.d/status", own, 0o755);
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.wait_well();
    pair.wait_log(
        "node1",
        "not run from rc.d: ask_resources, hb_takeover, ip-request, ip-request-resp, status",
    );
    pair.stop("node2");
    let noted = |pair: &Pair| pair.lab.read_file("node1", "/var/log/hooks").unwrap_or_default();
    pair.until("the hooks have run", || noted(&pair).contains("hb-status hb-status node2 dead"));
    let noted = noted(&pair);
    for line in [
        "hb-status hb-status 192.0.2.254 ping",
        "hb-status hb-status node2 active",
        "shutdone shutdone node2 ",
    ] {
        assert!(noted.lines().any(|own| own == line), "{line:?} in {noted}");
    }
    let variables = pair.lab.read_file("node1", "/var/log/hook-env").expect("starting came");
    assert!(variables.contains("HA_src=node2\n") && variables.contains("HA_CURHOST=node1\n"));
    for field in ["HA_auth", "HA_seq", "HA_hg", "HA_x_"] {
        assert!(!variables.contains(field), "{field} in {variables}");
    }
    assert!(pair.lab.read_file("node1", "/var/log/hook-of-heartbeat").is_err());
}

/// A script that ran while no daemon ever did has made a file where the FIFO belongs.
fn fifo_that_is_a_file() {
    let mut pair = Pair::new(setup());
    pair.write("node1", FIFO, ">>>\nt=hb_takeover\nrsc_hold=all\n<<<\n", 0o644);
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.wait_well();
    assert_eq!(pair.shell("node1", &format!("stat -c '%F %a' {FIFO}")), "fifo 600\n");
    pair.wait_log("node1", "fifo was no FIFO and is replaced");
    assert!(!pair.log("node1").contains("Command over the FIFO"));
    // A restart keeps what is a FIFO already.
    let inode = |pair: &Pair| pair.shell("node1", &format!("stat -c %i {FIFO}"));
    let before = inode(&pair);
    pair.stop("node1");
    pair.start("node1");
    pair.wait_well();
    assert_eq!(inode(&pair), before);
}

fn garbage_in_the_fifo() {
    let pair = Pair::running(setup());
    let write = |line: &str| drop(pair.shell("node1", &format!("{line} > {FIFO}")));
    // A writer that is killed in the middle, 4 MB without sense, one line without end.
    write("printf '>>>\\nt=ask_resources\\ninfo=me\\n'");
    write("head -c 4194304 /dev/urandom");
    write("head -c 100000 /dev/zero");
    write("printf '\\n>>>\\nt=hb_takeover\\nrsc_hold=nonsense\\n<<<\\n'");
    pair.wait_log("node1", "rsc_hold \"nonsense\" is none of all, foreign, local, failback");
    pair.wait_well();
    write("printf '>>>\\nt=ask_resources\\ninfo=me\\nrsc_hold=local\\n<<<\\n'");
    pair.wait("node1", "node2 serves", |status| active_on(status) == Some("node2"));
}

fn bad_clients() {
    let pair = Pair::running(setup());
    let path = pair.lab.path("node1", "/run/heartbeat/register").expect("node1 is on");
    let connect = || {
        let stream = UnixStream::connect(&path).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        stream
    };
    let frame = |length: i32, mark: u32, body: &[u8]| {
        [&length.to_ne_bytes()[..], &mark.to_ne_bytes()[..], body].concat()
    };
    let answer = |bytes: &[u8]| {
        let mut stream = connect();
        stream.write_all(bytes).expect("connected");
        let mut answer = Vec::new();
        // The daemon closes: with bytes of ours unread that is a reset.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(answer(&frame(i32::MAX, 0xabcd, b"x")), "");
    assert_eq!(answer(&frame(-1, 0xabcd, b"x")), "");
    assert_eq!(answer(b"GET / HTTP/1.0\r\n\r\n"), "");
    assert_eq!(answer(&frame(7, 0xabcd, b"no text")), "");
    let ask = b">>>\nt=hbapi-req\nreqtype=getrsc\n<<<\n\0";
    let answered = answer(&frame(i32::try_from(ask.len()).expect("short"), 0xabcd, ask));
    assert!(answered.contains("badreq") && !answered.contains("rsc_hold"), "{answered}");
    let lie = b">>>\nt=hbapi-req\nreqtype=signon\npid=1\nuid=0\ngid=0\n<<<\n\0";
    let answered = answer(&frame(i32::try_from(lie.len()).expect("short"), 0xabcd, lie));
    assert!(answered.contains("info=incorrect/false credentials"), "{answered}");
    // All places taken by clients that say nothing: they lose them, and nobody else waits.
    let silent: Vec<UnixStream> = (0..32).map(|_| connect()).collect();
    pair.wait_well();
    if Path::new(CL_STATUS).exists() {
        pair.until("cl_status gets a place", || {
            pair.run("node1", &[CL_STATUS, "rscstatus"]).out == "local\n"
        });
    }
    drop(silent);
}
