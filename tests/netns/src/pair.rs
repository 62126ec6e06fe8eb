//! A pair of real nodes in a lab: the daemon `heartbeat` and the command `hb` as cargo built them,
//! started, asked, killed, and waited for. What they must do is said by the cases.

#![allow(clippy::print_stdout, reason = "what a failed case shows goes where the runner reads it")]

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::client;
use hb_cli::lab::{self, HEARTBEAT, Lab, LabConfig, PROGRAMS, PUBLIC, Proc};
use hb_node::api::{self, Problem, StatusSnapshot};

use crate::files::{AGENT_DIR, JOURNAL, NODES, Setup};
use crate::runner::skip;
use crate::traffic::{LIMIT, Traffic};

/// How often a condition is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Lines of each log that are shown when a case fails.
const LAST_LINES: usize = 60;
/// How long they may take to be asked for.
const SHOW_LIMIT: Duration = Duration::from_secs(10);
/// What a daemon in the foreground prints goes here, below /var/log.
const OUTPUT: &str = "heartbeat.out";
/// Where daemons log.
const LOG: &str = "/var/log/ha-log";
/// Names under which scripts know `hb`.
const LEGACY_NAMES: [&str; 3] = ["cl_status", "hb_standby", "hb_takeover"];

/// Further machines of the lab, switched off unless a case needs them.
pub const STRANGERS: [&str; 2] = ["other1", "other2"];

/// Problems that say that this machine had no time.
const PASSING: [&str; 2] = ["late_heartbeats", "core_stalled"];

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\nout: {}\nerr: {}", self.code, self.out.trim(), self.err.trim())
    }
}

/// The pair.
#[derive(Debug)]
pub struct Pair {
    /// Daemons in the foreground. Before the lab: they end before it does.
    daemons: BTreeMap<String, Proc>,
    web: BTreeMap<String, Proc>,
    setup: Setup,
    /// The lab around the nodes.
    pub lab: Lab,
}

/// A program of the project beside this one. Cargo builds both for the tests of their own crates.
fn program(name: &str) -> PathBuf {
    built(name).unwrap_or_else(|| {
        panic!(
            "the program {name} is not built: cargo build --package hb-heartbeat --package hb-cli"
        )
    })
}

/// The program, when cargo has built it.
fn built(name: &str) -> Option<PathBuf> {
    let this = std::env::current_exe().expect("the path of this program");
    // target/PROFILE/deps/pair-HASH
    this.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|p| p.is_file())
}

impl Pair {
    /// Both nodes switched on, their files written, no daemon.
    pub fn new(setup: Setup) -> Self {
        let mut config = LabConfig::pair()
            .program("heartbeat", &program("heartbeat"))
            .program("hb", &program("hb"));
        // Only some cases need it.
        if let Some(path) = built("hb-notify") {
            config = config.program("hb-notify", &path);
        }
        config.kept.extend(setup.kept.iter().cloned());
        config.nodes.extend(STRANGERS.map(str::to_owned));
        let lab = Lab::new(config).expect("a lab");
        let mut pair = Self { daemons: BTreeMap::new(), web: BTreeMap::new(), setup, lab };
        for (index, node) in NODES.into_iter().enumerate() {
            for (path, text, mode) in pair.setup.files(index) {
                pair.write(node, &path, &text, mode);
            }
            pair.boot(node);
        }
        pair
    }

    /// Both nodes on, both daemons running and at one.
    #[track_caller]
    pub fn running(setup: Setup) -> Self {
        let pair = Self::running_with(setup, is_well);
        pair.wait_well();
        pair
    }

    /// As [`Self::running`], when what both know `fits`.
    #[track_caller]
    pub fn running_with(setup: Setup, fits: impl Fn(&StatusSnapshot) -> bool) -> Self {
        let mut pair = Self::new(setup);
        NODES.into_iter().for_each(|node| pair.start(node));
        for node in NODES {
            pair.wait(node, "both have started", &fits);
        }
        pair
    }

    /// Switches `node` on, without its daemon.
    pub fn boot(&mut self, node: &str) {
        self.lab.boot(node).expect("a node");
        let links = LEGACY_NAMES.map(|name| format!("ln -s hb {PROGRAMS}/{name}")).join(" && ");
        self.shell(node, &links);
        if self.setup.web {
            let server = self.lab.serve(node).expect("a web server");
            self.web.insert(node.to_owned(), server);
        }
    }

    /// Power loss of `node`.
    pub fn crash(&mut self, node: &str) {
        self.lab.power_off(node).expect("power loss");
        self.daemons.remove(node);
        self.web.remove(node);
    }

    /// Starts the daemon of `node` in the foreground.
    pub fn start(&mut self, node: &str) {
        let program = format!("{PROGRAMS}/heartbeat");
        let daemon = self.lab.spawn(node, &[&program, "-f"], OUTPUT).expect("a daemon");
        self.daemons.insert(node.to_owned(), daemon);
    }

    /// Stops the daemon of `node` in good order.
    #[track_caller]
    pub fn stop(&mut self, node: &str) {
        self.expect(node, &["heartbeat", "-k"], 0);
        if self.daemons.contains_key(node) {
            assert_eq!(self.wait_end(node), Some(0), "the daemon of {node} after an orderly stop");
        }
    }

    /// Waits until the daemon of `node` has ended; its exit code, `None` after a signal.
    #[track_caller]
    pub fn wait_end(&mut self, node: &str) -> Option<i32> {
        let mut daemon = self.daemons.remove(node).expect("a daemon that was started");
        daemon.wait().expect("its end").code()
    }

    /// Sends `signal` (`STOP`, `CONT` …) to the daemon of `node`.
    pub fn signal(&self, node: &str, signal: &str) {
        self.shell(node, &format!("kill -s {signal} $(cat /run/heartbeat.pid)"));
    }

    /// Kills the daemon of `node` and nothing else, and waits until it is gone.
    pub fn kill(&mut self, node: &str) {
        self.signal(node, "KILL");
        if self.daemons.contains_key(node) {
            self.wait_end(node);
        }
    }

    /// A client of the floating address.
    pub fn traffic(&self) -> Traffic {
        Traffic::start()
    }

    /// Starts any program by its path; it ends when the handle is dropped.
    pub fn spawn(&self, node: &str, argv: &[&str]) -> Proc {
        self.lab.spawn(node, argv, "further.out").expect("a program")
    }

    /// Runs a program of the product, or any other by its path.
    pub fn run(&self, node: &str, words: &[&str]) -> Ran {
        let own = format!("{PROGRAMS}/{}", words[0]);
        let program = if words[0].starts_with('/') { words[0] } else { &own };
        let argv: Vec<&str> =
            std::iter::once(program).chain(words.iter().skip(1).copied()).collect();
        let output = self.lab.exec(node, &argv).expect("a command that ends");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            code: output.status.code().expect("an exit code"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// As [`Self::run`]; asserts the exit code.
    #[track_caller]
    pub fn expect(&self, node: &str, words: &[&str], code: i32) -> Ran {
        let ran = self.run(node, words);
        assert_eq!(ran.code, code, "`{}` on {node}: {ran}", words.join(" "));
        ran
    }

    /// Runs a line of shell that must succeed; its output.
    #[track_caller]
    pub fn shell(&self, node: &str, line: &str) -> String {
        self.expect(node, &["/bin/sh", "-c", line], 0).out
    }

    /// Writes a file of `node`.
    pub fn write(&self, node: &str, path: &str, text: &str, mode: u32) {
        self.lab.write_file(node, path, text, mode).expect("a file");
    }

    /// What the test agent `name` does on `node` in the place of `action`; `None`: the usual.
    pub fn agent(&self, node: &str, name: &str, action: &str, instead: Option<&str>) {
        let path = format!("{AGENT_DIR}/{name}.{action}");
        match instead {
            Some(text) => self.write(node, &path, &format!("{text}\n"), 0o644),
            None => drop(self.shell(node, &format!("rm {path}"))),
        }
    }

    /// What the test agents did on `node`, without questions for their status.
    pub fn journal(&self, node: &str) -> Vec<String> {
        let text = self.lab.read_file(node, JOURNAL).unwrap_or_default();
        let is_question = |line: &&str| line.ends_with("status") || line.ends_with("monitor");
        text.lines().filter(|line| !is_question(line)).map(str::to_owned).collect()
    }

    /// What `node` knows; `None` when its daemon does not answer.
    pub fn try_status(&self, node: &str) -> Option<StatusSnapshot> {
        client::snapshot(&self.lab.path(node, api::RUN_DIR).ok()?).ok()
    }

    /// What `node` knows.
    #[track_caller]
    pub fn status(&self, node: &str) -> StatusSnapshot {
        self.try_status(node).unwrap_or_else(|| panic!("the daemon of {node} does not answer"))
    }

    /// Waits until what `node` knows fits; returns it.
    #[track_caller]
    pub fn wait(
        &self,
        node: &str,
        what: &str,
        fits: impl Fn(&StatusSnapshot) -> bool,
    ) -> StatusSnapshot {
        let begin = Instant::now();
        loop {
            let status = self.try_status(node);
            match status {
                Some(status) if fits(&status) => return status,
                Some(_) | None => {}
            }
            assert!(begin.elapsed() < LIMIT, "{node} within {LIMIT:?}: {what}");
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until `fits`.
    #[track_caller]
    pub fn until(&self, what: &str, fits: impl Fn() -> bool) {
        let begin = Instant::now();
        while !fits() {
            assert!(begin.elapsed() < LIMIT, "within {LIMIT:?}: {what}");
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until `node` has taken a hundred more datagrams, which takes seconds; what it knows then.
    #[track_caller]
    pub fn hear_on(&self, node: &str) -> StatusSnapshot {
        let before = self.status(node).counters.accepted;
        self.wait(node, "many heartbeats", |s| s.counters.accepted > before + 100)
    }

    /// Waits until both nodes are at one and each could take over from the other.
    #[track_caller]
    pub fn wait_well(&self) {
        for node in NODES {
            self.wait(node, "all is well", is_well);
        }
        let views = NODES.map(|node| groups(&self.status(node)));
        assert_eq!(views[0], views[1], "the two nodes see it differently");
    }

    /// The nodes that have `address`.
    pub fn owners(&self, address: &str) -> Vec<&'static str> {
        self.owners_of(&NODES, address)
    }

    /// Those of `nodes`, which are on, that have `address`.
    pub fn owners_of<'a>(&self, nodes: &[&'a str], address: &str) -> Vec<&'a str> {
        let has = |node: &&&str| self.addresses(node).iter().any(|own| own == address);
        nodes.iter().filter(has).copied().collect()
    }

    /// The IPv4 addresses of `node`, from the kernel's own table.
    pub fn addresses(&self, node: &str) -> Vec<String> {
        let ran = self.run(node, &["/bin/cat", "/proc/net/fib_trie"]);
        local_addresses(&ran.out)
    }

    /// What the daemon of `node` logged.
    pub fn log(&self, node: &str) -> String {
        self.lab.read_file(node, LOG).unwrap_or_default()
    }

    /// Waits until the log of `node` says `text`.
    #[track_caller]
    pub fn wait_log(&self, node: &str, text: &str) {
        self.until(&format!("{text:?} in the log of {node}"), || self.log(node).contains(text));
    }

    /// Pulls both cables of the heartbeat and the public network of `node`, or puts them back.
    pub fn isolate(&self, node: &str, cut: bool) {
        for interface in [HEARTBEAT, PUBLIC] {
            let done =
                if cut { self.lab.cut(node, interface) } else { self.lab.mend(node, interface) };
            done.expect("a cable");
        }
    }

    /// What people want to see when a case has failed.
    #[expect(clippy::print_stdout, reason = "the case's output, which the runner shows")]
    fn show(&self) {
        for node in NODES {
            // In the foreground it prints what it logs, and what is wrong before there is a log.
            let printed = self.lab.read_file(node, &format!("/var/log/{OUTPUT}"));
            let text = printed.ok().filter(|text| !text.is_empty()).unwrap_or(self.log(node));
            println!("--- {node}: last lines of its log");
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.len().saturating_sub(LAST_LINES);
            lines.iter().skip(last).for_each(|line| println!("{line}"));
            println!("--- {node}: hb status");
            let shown = self.lab.exec_for(node, &[&format!("{PROGRAMS}/hb"), "status"], SHOW_LIMIT);
            let shown = shown.map(|ran| [ran.stdout, ran.stderr].concat());
            let shown = shown.unwrap_or_else(|error| error.to_string().into_bytes());
            println!("{}", String::from_utf8_lossy(&shown));
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show();
        }
    }
}

/// Skips the running case where iproute2 is missing, with which it looks at addresses or sets them.
pub fn need_ip() {
    if lab::find_program("ip").is_none() {
        skip("ip (iproute2) is not installed");
    }
}

/// Runs `ip` where the client is.
#[track_caller]
pub fn ip_here(words: &[&str]) {
    let ran = Command::new("ip").args(words).output().expect("ip");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "ip {}: {}", words.join(" "), said.trim());
}

/// Each could take over, and nothing is wrong but what a loaded machine leaves behind.
pub fn is_well(status: &StatusSnapshot) -> bool {
    status.failover_ready && problems(status).is_empty()
}

/// What is wrong, without what a loaded machine or a paused process leaves behind for a while.
pub fn problems(status: &StatusSnapshot) -> Vec<&Problem> {
    let passing = |problem: &&Problem| PASSING.contains(&problem.id.as_str());
    status.problems.iter().filter(|problem| !passing(problem)).collect()
}

/// The problem called `id`.
#[track_caller]
pub fn problem<'a>(status: &'a StatusSnapshot, id: &str) -> &'a Problem {
    let found = status.problems.iter().find(|problem| problem.id == id);
    found.unwrap_or_else(|| panic!("no problem {id} among {:#?}", status.problems))
}

/// Whether `status` has the problem called `id`.
pub fn has_problem(status: &StatusSnapshot, id: &str) -> bool {
    status.problems.iter().any(|problem| problem.id == id)
}

/// Which node serves each group, by key.
pub fn groups(status: &StatusSnapshot) -> BTreeMap<String, Option<String>> {
    status.groups.iter().map(|group| (group.key.clone(), group.active_on.clone())).collect()
}

/// Which node serves the first group.
pub fn active_on(status: &StatusSnapshot) -> Option<&str> {
    status.groups.first()?.active_on.as_deref()
}

/// Addresses of `/proc/net/fib_trie` that the kernel calls local, each once.
pub fn local_addresses(table: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut last = "";
    for line in table.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line == "/32 host LOCAL" && !found.iter().any(|known| known == last) {
            found.push(last.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_of_the_kernels_table() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.0\n        /24 link UNICAST\n\
            Local:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.100\n        \
            /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n     \
            |-- 192.0.2.100\n        /32 host LOCAL\n";
        assert_eq!(local_addresses(table), ["127.0.0.1", "192.0.2.100"]);
    }
}
