//! The migration guide, performed: two nodes with the genuine Heartbeat 3.0.6 serve a page; the
//! commands of `docs/migrating/heartbeat-3.md` are given as they stand there, with one going back on
//! the way, until both run Twinbeat and sign with sha256. A client measures how long the page was
//! away in all. The genuine programs are run and never read. I/O throughout.
//!
//! Where the kernel allows no namespaces, or the package is missing, it says SKIP, which
//! `HB_FORBID_SKIPS=1` makes a failure.

#![allow(clippy::disallowed_methods, reason = "a test with real time and real processes")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "says what it does, as a test harness"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab::{self, Entered, Lab, LabConfig, Prober, RESOURCE_FLAG, enter};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const GUIDE: &str = include_str!("../../../docs/migrating/heartbeat-3.md");
const NODES: [&str; 2] = ["node1", "node2"];
/// The genuine daemon, and an agent of the package that moves the addresses.
const GENUINE: &str = "/usr/libexec/heartbeat/heartbeat";
const AGENT: &str = "/usr/lib/ocf/resource.d/heartbeat/IPaddr2";
/// Longer than Heartbeat's longest way to a settled pair, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const AUTHKEYS: &str = "/etc/ha.d/authkeys";
/// Time between two probes of the client.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);
/// Time that a probe may take: a machine with other work must not look like an outage.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// A move away, and a move home.
const OUTAGES_MAX: usize = 2;

/// What the package's installation makes, and writable folders where the guide writes. The machine's
/// own files are below /.host.
const PREPARE: &str = "\
set -e
cp -a /.host/etc/ha.d/. /etc/ha.d/
cp -a /.host/var/lib/heartbeat/. /var/lib/heartbeat/
mkdir -p /run/lock/subsys /run/resource-agents /run/heartbeat/ccm /run/heartbeat/crm /run/heartbeat/dopd
chown -R hacluster:haclient /run/heartbeat
chmod 750 /run/heartbeat /run/heartbeat/*
for folder in /usr/local/sbin /usr/local/bin /root /etc/systemd/system; do
  mount -t tmpfs -o mode=755 tmpfs $folder
done
cp /twinbeat/new-heartbeat /root/heartbeat
cp /twinbeat/new-hb /root/hb";

/// Stands in for systemd's choice between a unit in /etc and the package's own.
const SYSTEMCTL: &str = "#!/bin/sh
unit=/etc/systemd/system/heartbeat.service
daemon=/usr/libexec/heartbeat/heartbeat
[ ! -e $unit ] || daemon=$(sed -n 's/^ExecStart=\\([^ ]*\\).*/\\1/p' $unit)
case \"$1 $2\" in
'start heartbeat') exec $daemon </dev/null >>/var/log/start.out 2>&1 ;;
'stop heartbeat') exec $daemon -k ;;
'reload heartbeat') exec $daemon -r ;;
'enable heartbeat' | 'daemon-reload '*) exit 0 ;;
*) echo \"systemctl $*: not foreseen\" >&2; exit 1 ;;
esac
";

const HA_CF: &str = "logfile /var/log/ha-log\nlogfacility none\nuse_logd no\nkeepalive 200ms\n\
    warntime 1\ndeadtime 4\ninitdead 12\nudpport 694\nbcast eth0\nbcast eth1\nauto_failback on\n\
    node node1 node2\n";

fn main() -> ExitCode {
    match enter() {
        Ok(Entered::Outside(code)) => code.into(),
        Ok(Entered::Inside) if !Path::new(GENUINE).exists() || !Path::new(AGENT).exists() => {
            skip("the packages heartbeat and resource-agents are not installed")
        }
        Ok(Entered::Inside) => {
            migrate();
            ExitCode::SUCCESS
        }
        Err(reason) => skip(&reason),
    }
}

fn skip(reason: &str) -> ExitCode {
    eprintln!("SKIP: {reason}");
    ExitCode::from(u8::from(std::env::var_os("HB_FORBID_SKIPS").is_some()))
}

fn migrate() {
    let pair = Pair::new();
    for node in NODES {
        pair.give(node, "systemctl start heartbeat");
    }
    pair.wait_genuine();
    pair.wait_served("node1");
    let begin = Instant::now();

    pair.perform("### 1.");
    pair.perform("### 2.");
    pair.perform("### 3.");
    pair.wait("node1", "cl_status rscstatus", "all");
    pair.perform("### 4.");
    pair.wait_mixed();
    // Heartbeat leaves its pid file, which is no crash, and its generation, which goes on.
    let log = pair.read("node2", "/var/log/ha-log");
    assert!(log.contains("event=taken_over") && !log.contains("event=killed"), "{log}");
    let generations = generations(&log);
    assert!(generations.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{generations:?}");
    assert_eq!(generations.len(), 2, "{log}");
    pair.only_stays(begin, "until the first move");

    println!("going back on node2, and forward again");
    for command in pair.guide.blocks("## Going back", "back") {
        pair.give("node2", &command.lines);
    }
    pair.wait_genuine();
    pair.perform("### 3.");
    pair.wait("node1", "cl_status rscstatus", "all");
    pair.perform("### 4.");
    pair.wait_mixed();
    pair.only_stays(begin, "with a going back");

    pair.perform("### 5.");
    pair.wait_served("node2");
    pair.perform("### 6.");
    pair.wait("node2", "hb status", "node1 was stopped in order");
    pair.perform("### 7.");
    pair.wait_served("node1");
    for node in NODES {
        pair.wait_status(node, "healthy", Some(true));
    }

    for command in pair.guide.blocks("### By hand", "keys") {
        pair.give(&command.node, &command.lines);
        // The operator takes longer than a signal.
        for node in NODES {
            pair.wait_status(node, "healthy", Some(true));
        }
    }
    for node in NODES {
        pair.wait(node, "hb status", "#2 sha256                     #2 sha256");
        assert!(!pair.read(node, AUTHKEYS).contains("sha1"), "the old key is there");
    }
    rotate(&pair);
    pair.report(begin);
}

/// `hb key rotate`, from the key that was made by hand to another one.
fn rotate(pair: &Pair) {
    println!("node1# hb key rotate");
    let mut rotation =
        pair.lab.spawn("node1", &["/usr/local/bin/hb", "key", "rotate"], "rotate.out");
    pair.wait("node1", "cat /var/log/rotate.out", "hb key add");
    let before = pair.read("node1", AUTHKEYS);
    let line = before.lines().find(|line| line.starts_with("1 ")).expect("the new key");
    pair.wait("node1", "hb status", "also accepts  #1 sha256                     none");
    // What ssh does.
    pair.lab.write_file("node2", "/root/stdin", &format!("{line}\n"), 0o600).expect("a file");
    pair.give("node2", "hb key add </root/stdin");
    let ended = rotation.as_mut().expect("a program").wait().expect("its end");
    assert!(ended.success(), "{}", pair.logs());
    for node in NODES {
        pair.wait(node, "hb status", "#1 sha256                     #1 sha256");
        pair.wait_status(node, "healthy", Some(true));
        let keys = pair.read(node, AUTHKEYS);
        assert_eq!(keys.lines().filter(|text| *text == line).count(), 1);
        assert!(!keys.contains("\n2 "), "the old key is there");
    }
    let said = pair.read("node1", "/var/log/rotate.out");
    let secret = line.rsplit(' ').next().expect("a key");
    assert!(!said.contains(secret) && said.trim_end().ends_with("done."), "{said}");
    println!("{said}");
}

/// Two nodes, a client, and the guide.
struct Pair {
    guide: Guide,
    prober: Prober,
    // Last: what runs in the lab ends before it.
    lab: Lab,
}

impl Pair {
    fn new() -> Self {
        let systemctl = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systemctl");
        fs::write(&systemctl, SYSTEMCTL).expect("a folder for the test");
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).expect("its mode");
        let config = LabConfig::pair()
            .program("new-heartbeat", &program("heartbeat"))
            .program("new-hb", &program("hb"))
            .program("systemctl", &systemctl);
        let mut lab = Lab::new(config).expect("a lab");
        for node in NODES {
            lab.boot(node).expect("a node");
            let (code, said) = shell(&lab, node, PREPARE);
            assert_eq!(code, 0, "{said}");
            let unit = fs::read_to_string(format!("{ROOT}/etc/systemd/heartbeat.service"));
            let page = format!("#!{}/{} {RESOURCE_FLAG}\n", lab::PROGRAMS, lab::SELF);
            let (address, prefix, public) = (lab::FLOATING, lab::PREFIX, lab::PUBLIC);
            let haresources = format!("node1 IPaddr::{address}/{prefix}/{public} page\n");
            for (path, text, mode) in [
                ("/root/heartbeat.service", unit.expect("the unit"), 0o644),
                ("/etc/ha.d/ha.cf", HA_CF.to_owned(), 0o644),
                ("/etc/ha.d/haresources", haresources, 0o644),
                ("/etc/ha.d/authkeys", "auth 1\n1 sha1 key-of-the-test\n".to_owned(), 0o600),
                ("/etc/ha.d/resource.d/page", page, 0o755),
            ] {
                lab.write_file(node, path, &text, mode).expect("a file of the node");
            }
        }
        let address = (lab::FLOATING, 80).into();
        let prober = Prober::start(address, PROBE_INTERVAL, PROBE_LIMIT).expect("a client");
        Self { guide: Guide::read(GUIDE), prober, lab }
    }

    /// Gives the commands of one step of the guide.
    fn perform(&self, heading: &str) {
        let blocks = self.guide.blocks(heading, "");
        assert!(!blocks.is_empty(), "the guide has no step {heading}");
        for block in blocks {
            self.give(&block.node, &block.lines);
        }
    }

    /// Gives commands in the folder with the programs.
    fn give(&self, node: &str, commands: &str) {
        for command in commands.lines() {
            println!("{node}# {command}");
            // There is no sshd in the lab.
            if let Some(words) = command.strip_prefix("scp -p /etc/ha.d/authkeys root@") {
                let (to, path) = words.split_once(':').expect("a place");
                let text = self.read(node, path);
                self.lab.write_file(to, path, &text, 0o600).expect("a copy");
                continue;
            }
            let (code, said) = shell(&self.lab, node, &format!("cd /root\n{command}"));
            // These say how things are by their exit code, which is awaited elsewhere.
            let tells = command == "hb status" || command == "hb migrate scan";
            assert!(code == 0 || tells && code <= 2, "{command}: {code}: {said}\n{}", self.logs());
        }
    }

    /// Waits until what `command` prints contains `word`.
    fn wait(&self, node: &str, command: &str, word: &str) {
        let begin = Instant::now();
        loop {
            let (_, said) = shell(&self.lab, node, command);
            if said.contains(word) {
                return;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{node}: {command} never said {word}: {said}\n{}",
                self.logs()
            );
            thread::sleep(LOOK_INTERVAL);
        }
    }

    fn wait_status(&self, node: &str, verdict: &str, native: Option<bool>) {
        let begin = Instant::now();
        loop {
            let (_, said) = shell(&self.lab, node, "hb status --json");
            let status: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            if status["verdict"] == verdict && status["peer"]["native"].as_bool() == native {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{node} is not {verdict}: {said}\n{}", self.logs());
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until Twinbeat on node2 and Heartbeat on node1 have found each other and are settled.
    fn wait_mixed(&self) {
        // Heartbeat 3.0.6 has everything and offers node2's groups as soon as it is back, none that
        // there are: until that is over no command is taken.
        self.wait("node1", "cl_status rscstatus", "local");
        self.wait_status("node2", "healthy", Some(false));
        self.wait("node1", "cl_status nodestatus node2", "active");
        println!("{}", shell(&self.lab, "node2", "hb status").1);
    }

    /// Waits until both nodes run Heartbeat and each has the groups that prefer it.
    fn wait_genuine(&self) {
        for (node, peer) in [("node1", "node2"), ("node2", "node1")] {
            self.wait(node, &format!("cl_status nodestatus {peer}"), "active");
            self.wait(node, "cl_status rscstatus", "local");
        }
    }

    fn wait_served(&self, node: &str) {
        if let Err(error) = self.prober.wait_served(Some(node), PATIENCE) {
            panic!("{error}\n{}", self.logs());
        }
        println!("-- the page comes from {node}");
    }

    /// Nothing has moved since `begin`: the page was there all the time.
    fn only_stays(&self, begin: Instant, when: &str) {
        let outages = self.outages(begin);
        assert!(outages.is_empty(), "the page was away {when}: {outages:?}\n{}", self.logs());
    }

    /// Times without an answer in which a probe was begun that failed, or after which another node
    /// answered. Late answers are no outage: nobody was turned away.
    fn outages(&self, begin: Instant) -> Vec<(Duration, String)> {
        let probes = self.prober.probes_since(begin);
        let missed: Vec<Instant> =
            probes.iter().filter(|probe| probe.result.is_err()).map(|probe| probe.start).collect();
        let answers: Vec<(Instant, &str)> = probes
            .iter()
            .filter_map(|probe| Some((probe.end, &**probe.result.as_ref().ok()?)))
            .collect();
        let pairs = answers.iter().zip(answers.iter().skip(1));
        let outages = pairs.filter(|((last, from), (first, to))| {
            from != to || missed.iter().any(|start| start > last && start < first)
        });
        outages
            .map(|((last, from), (first, to))| {
                (first.saturating_duration_since(*last), format!("{from} to {to}"))
            })
            .collect()
    }

    fn report(&self, begin: Instant) {
        let outages = self.outages(begin);
        let total: Duration = outages.iter().map(|(away, _)| *away).sum();
        for (away, from) in &outages {
            println!("away for {:7.1} ms, {from}", away.as_secs_f64() * 1e3);
        }
        println!(
            "ok: migrated in {:.0} s; the page was away for {:.1} ms in all, {} times",
            begin.elapsed().as_secs_f64(),
            total.as_secs_f64() * 1e3,
            outages.len()
        );
        assert!(outages.len() <= OUTAGES_MAX, "more outages than moves: {outages:?}");
        let moves: Vec<&str> = outages.iter().map(|(_, from)| from.as_str()).collect();
        assert_eq!(moves, ["node1 to node2", "node2 to node1"], "away without a move");
    }

    fn read(&self, node: &str, path: &str) -> String {
        self.lab.read_file(node, path).expect("a file of the node")
    }

    /// The end of what the daemons logged.
    fn logs(&self) -> String {
        let tail = "tail -n 40 /var/log/ha-log; tail -n 20 /var/log/start.out";
        NODES.map(|node| format!("== {node}\n{}\n", shell(&self.lab, node, tail).1)).concat()
    }
}

/// The code blocks of the guide that a node is named for.
struct Guide {
    blocks: Vec<Block>,
}

#[derive(Clone)]
struct Block {
    /// The heading above it.
    heading: String,
    /// `back`, `keys`, or nothing for a step.
    part: String,
    /// Empty where the operator chooses.
    node: String,
    lines: String,
}

impl Guide {
    fn read(text: &str) -> Self {
        let mut blocks = Vec::new();
        let mut heading = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.starts_with('#') {
                line.clone_into(&mut heading);
            }
            let Some(info) = line.strip_prefix("```") else { continue };
            let code: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let Some(words) = info.strip_prefix("sh ") else { continue };
            let words: Vec<&str> = words.split(' ').collect();
            let part = words.iter().find(|word| !NODES.contains(word)).copied().unwrap_or_default();
            let nodes = words.iter().filter(|word| NODES.contains(word)).copied();
            let nodes = if words == [part] { vec![""] } else { nodes.collect() };
            for node in nodes {
                blocks.push(Block {
                    heading: heading.clone(),
                    part: part.to_owned(),
                    node: node.to_owned(),
                    lines: code.join("\n"),
                });
            }
        }
        Self { blocks }
    }

    fn blocks(&self, heading: &str, part: &str) -> Vec<Block> {
        let of = |block: &&Block| block.heading.starts_with(heading) && block.part == part;
        self.blocks.iter().filter(of).cloned().collect()
    }
}

/// The generations that both daemons say they start with, in the order of the log.
fn generations(log: &str) -> Vec<u64> {
    let words = ["Heartbeat generation: ", "with generation "];
    let number = |line: &str| {
        let rest = words.iter().find_map(|word| Some(line.split_once(word)?.1))?;
        rest.split(' ').next()?.parse().ok()
    };
    log.lines().filter_map(number).collect()
}

fn shell(lab: &Lab, node: &str, script: &str) -> (i32, String) {
    let output = lab.exec(node, &["/bin/sh", "-c", script]).expect("a command");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (output.status.code().expect("an exit code"), text)
}

/// A program that was built beside this one.
fn program(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("this program");
    let mut places = exe.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let found = places.find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("there is no {name} beside this test: `cargo build` first"))
}
