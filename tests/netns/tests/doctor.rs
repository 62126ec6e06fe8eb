//! `hb doctor` on real nodes: what is wrong is made for real, must be found, and must be gone when
//! what the finding says was done. `hb report` of a real pair.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

use std::process::ExitCode;

use hb_cli::lab::find_program;
use hb_netns::files::{ADDRESS, KEY, SCRIPT_DIR, Setup};
use hb_netns::pair::{Pair, need_ip};
use hb_netns::runner::{self, Case, skip};
use serde_json::Value;

const CASES: &[Case] = &[
    Case { name: "doctor_of_a_pair_that_is_well", run: well },
    Case { name: "doctor_and_a_packet_filter", run: packet_filter },
    Case { name: "doctor_and_links", run: links },
    Case { name: "doctor_and_a_port_that_is_taken", run: port_taken },
    Case { name: "doctor_and_agents", run: agents },
    Case { name: "doctor_and_what_starts_at_boot", run: boot },
    Case { name: "doctor_and_the_machine", run: machine },
    Case { name: "doctor_and_the_daemons_limits", run: limits },
    Case { name: "report_of_a_pair", run: report },
];

const NODE: &str = "node1";
const UNITS: &str = "/etc/systemd/system";

fn main() -> ExitCode {
    runner::main(CASES)
}

/// An address and an agent; the units of the machine that runs the test are none of the node's.
fn setup() -> Setup {
    let mut setup = Setup::new(&format!("node1 {ADDRESS} agent::one\n")).calm();
    let runlevels = ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc5.d"];
    setup.kept.extend(runlevels.into_iter().chain([UNITS]).map(str::to_owned));
    setup
}

/// What is found in an area.
struct Found(Value);

impl Found {
    fn ids(&self) -> Vec<&str> {
        let all = self.0["findings"].as_array().expect("findings");
        let bad = all.iter().filter(|it| it["level"] != "ok");
        bad.map(|it| it["id"].as_str().expect("an id")).collect()
    }

    #[track_caller]
    fn one(&self, id: &str) -> &Value {
        let all = self.0["findings"].as_array().expect("findings");
        all.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("{id} in {}", self.0))
    }

    /// The command that mends it.
    #[track_caller]
    fn command(&self, id: &str) -> String {
        let cure = self.one(id)["cure"][0].as_str().expect("a cure").to_owned();
        cure.trim_matches('`').to_owned()
    }

    #[track_caller]
    fn text(&self, id: &str) -> &str {
        self.one(id)["text"].as_str().expect("a text")
    }
}

#[track_caller]
fn doctor(pair: &Pair, area: &str) -> Found {
    let ran = pair.run(NODE, &["hb", "doctor", area, "--json"]);
    let value: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran}"));
    assert_eq!(value["version"], 1);
    let code = match value["verdict"].as_str() {
        Some("problem") => 2,
        Some("warning") => 1,
        Some(_) | None => 0,
    };
    assert_eq!(ran.code, code, "{ran}");
    Found(value)
}

#[track_caller]
fn assert_none(pair: &Pair, area: &str, id: &str) {
    let found = doctor(pair, area);
    assert!(!found.ids().contains(&id), "{id} in {}", found.0);
}

fn well() {
    let pair = Pair::running(setup());
    let ids = |area: &str| -> Vec<String> {
        doctor(&pair, area).ids().into_iter().map(str::to_owned).collect()
    };
    // Without a tool for it the packet filter is not looked at.
    let links: Vec<String> =
        ids("links").into_iter().filter(|id| id != "firewall_unread").collect();
    assert!(links.is_empty(), "{links:?}");
    assert!(ids("agents").is_empty(), "{:?}", ids("agents"));
    let all = pair.run(NODE, &["hb", "doctor"]).out;
    for text in
        ["UDP 694 is the daemon's", "heartbeats of node2 arrive", "agent::one: could be run"]
    {
        assert!(all.contains(text), "{text:?} in {all}");
    }
}

fn packet_filter() {
    if find_program("nft").is_none() {
        skip("nft (nftables) is not installed");
    }
    let pair = Pair::running(setup());
    let nft = |line: &str| pair.shell(NODE, &format!("PATH=$PATH:/usr/sbin; nft {line}"));
    nft("add table inet filter");
    assert_none(&pair, "links", "firewall_drops");
    nft("add chain inet filter input '{ type filter hook input priority 0; policy accept; }'");
    nft("add rule inet filter input ct state established accept");
    nft("add rule inet filter input iifname eth0 udp dport { 600-700 } drop");
    let found = doctor(&pair, "links");
    assert!(found.text("firewall_drops").contains("udp dport 600-700 drop"), "{}", found.0);
    let command = found.command("firewall_drops");
    assert!(
        command.contains("nft insert rule inet filter input iifname eth0 ip saddr"),
        "{command}"
    );
    // Exactly what it says.
    pair.shell(NODE, &format!("PATH=$PATH:/usr/sbin; {command}"));
    assert_none(&pair, "links", "firewall_drops");
    pair.wait_well();
    // On the way out, and by policy.
    nft("flush ruleset");
    nft("add table ip x");
    nft("add chain ip x out '{ type filter hook output priority 0; policy drop; }'");
    nft("add rule ip x out oifname lo accept");
    let found = doctor(&pair, "links");
    let commands: Vec<String> = found.0["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|it| it["id"] == "firewall_drops")
        .map(|it| it["cure"][0].as_str().expect("a cure").trim_matches('`').to_owned())
        .collect();
    assert_eq!(commands.len(), 2, "{}", found.0);
    for line in commands {
        pair.shell(NODE, &format!("PATH=$PATH:/usr/sbin; {line}"));
    }
    assert_none(&pair, "links", "firewall_drops");
}

fn links() {
    need_ip();
    let pair = Pair::new(setup());
    let ip = |line: &str| pair.shell(NODE, &format!("PATH=$PATH:/usr/sbin:/sbin; ip {line}"));
    ip("link set eth1 down");
    let found = doctor(&pair, "links");
    assert_eq!(found.text("interface_down"), "eth1 is switched off");
    ip("link set eth1 up");
    assert_none(&pair, "links", "interface_down");
    // The second link in the network of the first.
    let net = ip("-o -4 address show dev eth0");
    let base = net.split_whitespace().find(|word| word.contains("/24")).expect("an address");
    let base = base.rsplit_once('.').expect("an address").0.to_owned();
    ip(&format!("address add {base}.77/24 dev eth1"));
    assert_eq!(doctor(&pair, "links").one("same_network")["level"], "warning");
    ip(&format!("address del {base}.77/24 dev eth1"));
    let path = "/etc/ha.d/ha.cf";
    let text = pair.lab.read_file(NODE, path).expect("ha.cf");
    let with = |line: &str| pair.write(NODE, path, &format!("{text}\n{line}\n"), 0o644);
    with("bcast eth7");
    assert!(doctor(&pair, "links").text("no_interface").contains("eth7"));
    with("ucast eth0 nobody.invalid");
    assert!(doctor(&pair, "links").text("unknown_host").contains("nobody.invalid"));
    with("ucast eth0 localhost");
    assert!(doctor(&pair, "links").ids().contains(&"loopback_host"));
}

fn port_taken() {
    let pair = Pair::new(setup());
    let program = "use IO::Socket::INET; my $s = IO::Socket::INET->new(Proto => 'udp', \
        LocalPort => 694) or die; open(my $f, '>', '/run/taken'); close $f; sleep 1000";
    let taker = pair.spawn(NODE, &["/usr/bin/perl", "-e", program]);
    pair.until("the port is taken", || pair.lab.read_file(NODE, "/run/taken").is_ok());
    let found = doctor(&pair, "links");
    assert!(found.text("port_taken").contains("UDP 694 is taken by perl (process "), "{}", found.0);
    drop(taker);
    pair.until("the port is free", || !doctor(&pair, "links").ids().contains(&"port_taken"));
}

fn agents() {
    let pair = Pair::new(setup());
    let path = format!("{SCRIPT_DIR}/agent");
    assert!(doctor(&pair, "agents").ids().is_empty());
    let text = pair.lab.read_file(NODE, &path).expect("the agent");
    let with = |text: &str, mode| pair.write(NODE, &path, text, mode);
    with(&text, 0o644);
    let found = doctor(&pair, "agents");
    let expect = format!("{path} is not executable (mode 0644): chmod 0755 it");
    assert!(found.text("agent_cannot_run").contains(&expect), "{}", found.0);
    with(&text, 0o757);
    let found = doctor(&pair, "agents");
    assert!(found.text("unsafe_path").contains(&path), "{}", found.0);
    pair.shell(NODE, &found.command("unsafe_path"));
    assert!(doctor(&pair, "agents").ids().is_empty());
    let refuses = "#!/bin/sh\n# heartbeat-actions: validate\n[ \"$2\" != validate ] || \
        { echo \"unknown directive in line 14, $HA_CURHOST\"; exit 1; }\n";
    with(refuses, 0o755);
    let found = doctor(&pair, "agents");
    // In the daemon's own environment.
    assert!(found.text("agent_refuses").contains("line 14, node1"), "{}", found.0);
    with("#!/no/such/interpreter\n# heartbeat-actions: validate\n", 0o755);
    let found = doctor(&pair, "agents");
    assert!(found.text("agent_cannot_run").contains("/no/such/interpreter"), "{}", found.0);
}

fn boot() {
    let mut setup = setup();
    setup.haresources = format!("node1 {ADDRESS} agent::one\n");
    let pair = Pair::new(setup);
    assert!(doctor(&pair, "boot").ids().contains(&"not_enabled"));
    let wants = format!("{UNITS}/multi-user.target.wants");
    let link = |unit: &str| {
        pair.shell(
            NODE,
            &format!("mkdir -p {wants} && ln -s /lib/systemd/system/{unit} {wants}/{unit}"),
        );
    };
    link("heartbeat.service");
    assert_none(&pair, "boot", "not_enabled");
    link("agent.service");
    assert!(doctor(&pair, "boot").text("starts_by_itself").contains(&wants));
    link("keepalived.service");
    assert!(doctor(&pair, "system").text("other_manager").contains("keepalived starts at boot"));
    pair.shell(NODE, &format!("ln -s /dev/null {UNITS}/heartbeat.service"));
    assert!(doctor(&pair, "boot").ids().contains(&"masked"));
}

fn machine() {
    need_ip();
    let mut pair = Pair::new(setup());
    assert_none(&pair, "system", "left_address");
    let ip = |pair: &Pair, line: &str| {
        pair.shell(NODE, &format!("PATH=$PATH:/usr/sbin:/sbin; ip {line}"));
    };
    ip(&pair, "address add 192.0.2.100/24 dev eth0");
    let found = doctor(&pair, "system");
    assert!(found.text("left_address").contains("192.0.2.100 is on eth0"), "{}", found.0);
    ip(&pair, "address del 192.0.2.100/24 dev eth0");
    assert_none(&pair, "system", "left_address");
    pair.shell(NODE, "chmod 777 /var/lib/heartbeat && chmod 644 /etc/ha.d/authkeys");
    let found = doctor(&pair, "system");
    assert!(found.text("folder").contains("/var/lib/heartbeat"), "{}", found.0);
    pair.shell(NODE, &found.command("folder"));
    pair.shell(NODE, &found.command("unsafe_file"));
    let ids = doctor(&pair, "system");
    assert!(!ids.ids().contains(&"unsafe_file"), "{}", ids.0);
    pair.write(NODE, "/etc/ha.d/ha.cf", "nonsense\n", 0o644);
    assert!(doctor(&pair, "system").text("configuration").contains("error"));
    pair.crash(NODE);
}

fn limits() {
    let pair = Pair::new(setup());
    let line = "ulimit -n 256; exec /twinbeat/heartbeat -f";
    let _daemon = pair.spawn(NODE, &["/bin/sh", "-c", line]);
    pair.wait(NODE, "the daemon answers", |_| true);
    let found = doctor(&pair, "system");
    assert!(found.text("few_files").contains("256 files"), "{}", found.0);
}

fn report() {
    let pair = Pair::running(setup());
    pair.expect(NODE, &["hb", "report", "--output", "/var/log/r.tar.gz"], 0);
    let list = pair.shell(NODE, "stat -c %a /var/log/r.tar.gz; tar tzf /var/log/r.tar.gz");
    let mut lines = list.lines();
    assert_eq!(lines.next(), Some("600"));
    for part in
        ["MANIFEST", "hb/status.json", "hb/history.json", "hb/doctor.json", "process/limits"]
    {
        assert!(list.contains(part), "{part} in {list}");
    }
    let text = pair.shell(NODE, "tar xzOf /var/log/r.tar.gz");
    assert!(!text.contains(KEY), "the key is in it");
    assert!(text.contains("HEALTHY") && text.contains("1 sha256 ********"), "{text}");
    // A file that is there is not written over.
    pair.expect(NODE, &["hb", "report", "--output", "/var/log/r.tar.gz"], 1);
}
