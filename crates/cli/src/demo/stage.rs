//! The pair on its stage: daemons started and stopped, their state asked for, their logs read. I/O
//! through the lab. What is done in which order, and what it means, is in `scenes`.

#![expect(clippy::disallowed_methods, reason = "waits for daemons in real time")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hb_node::api::{self, HistoryEntry, Request, Response, StatusSnapshot, Verdict};

use super::pair::{NODES, Pair, Web};
use crate::client::{self, Client};
use crate::lab::{self, Lab, LabConfig, LabError, PROGRAMS, Prober, Proc};

/// How often a daemon is asked whether it is ready.
const ASK_INTERVAL: Duration = Duration::from_millis(10);
/// How often is looked whether a daemon has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Time that a daemon has to answer on its status socket.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// Lines of each log that are shown after a failure.
const LAST_LINES: usize = 15;
/// What the daemon prints goes here, below /var/log.
const OUTPUT: &str = "heartbeat.out";
/// Bytes of the demo's key.
const KEY_BYTES: usize = 32;

/// The pair, the client, and what runs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) pair: Pair,
    pub(super) prober: Prober,
    running: BTreeMap<String, Running>,
    /// How many lines of each node's log were shown already.
    shown: BTreeMap<String, usize>,
    // Last: what runs in the lab ends before it.
    lab: Lab,
}

/// What runs on a node that is on.
#[derive(Debug, Default)]
struct Running {
    /// The daemon, unless it was stopped in good order.
    daemon: Option<Proc>,
    /// The web server, when it runs at all times.
    _web: Option<Proc>,
}

impl Stage {
    /// Makes the lab and the nodes' files. Everything is switched off.
    pub(super) fn new(pair: Pair, daemon: PathBuf) -> Result<Self, LabError> {
        let hb =
            std::env::current_exe().map_err(|e| LabError::system("finding this program", e))?;
        let config = LabConfig::pair().program("heartbeat", &daemon).program("hb", &hb);
        let lab = Lab::new(config)?;
        let key = random_key()?;
        let is_root = lab::is_machines_root();
        for node in NODES {
            for (path, text, mode) in pair.files(node, &key, is_root) {
                lab.write_file(node, &path, &text, mode)?;
            }
        }
        let prober = lab.client()?;
        Ok(Self { pair, prober, running: BTreeMap::new(), shown: BTreeMap::new(), lab })
    }

    /// Switches `node` on; its web server runs if it runs at all times, its daemon does not.
    pub(super) fn boot(&mut self, node: &str) -> Result<(), LabError> {
        self.lab.boot(node)?;
        let web = match self.pair.web {
            Web::Warm => Some(self.lab.serve(node)?),
            Web::Nginx(_) | Web::BuiltIn => None,
        };
        self.running.insert(node.to_owned(), Running { daemon: None, _web: web });
        Ok(())
    }

    /// Starts the daemon on `node`.
    pub(super) fn start(&mut self, node: &str) -> Result<(), LabError> {
        let program = format!("{PROGRAMS}/heartbeat");
        let daemon = self.lab.spawn(node, &[&program, "-f"], OUTPUT)?;
        self.running.entry(node.to_owned()).or_default().daemon = Some(daemon);
        Ok(())
    }

    /// Stops the daemon of `node` in good order.
    ///
    /// # Errors
    /// What the command said, when its exit code is not 0.
    pub(super) fn stop(&mut self, node: &str) -> Result<(), String> {
        self.command(node, &["heartbeat", "-k"])?;
        if let Some(running) = self.running.get_mut(node) {
            running.daemon = None;
        }
        Ok(())
    }

    /// A daemon that ended though nobody stopped it.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.running.iter_mut().find_map(|(node, running)| {
            let status = running.daemon.as_mut()?.status()?;
            Some(format!("the daemon of {node} has ended ({status})"))
        })
    }

    /// Waits until `node`, or any, serves the page without a miss. Gives up early when a daemon
    /// ends.
    pub(super) fn wait_served(
        &mut self,
        node: Option<&str>,
        limit: Duration,
    ) -> Result<Arc<str>, String> {
        let begin = Instant::now();
        loop {
            let left = limit.saturating_sub(begin.elapsed());
            match self.prober.wait_served(node, left.min(LOOK_INTERVAL)) {
                Ok(server) => return Ok(server),
                Err(_) if left <= LOOK_INTERVAL => {
                    let who = node.unwrap_or("any node");
                    return Err(format!("the page was not served by {who} within {limit:?}"));
                }
                Err(_) => self.ended().map_or(Ok(()), Err)?,
            }
        }
    }

    /// Power loss of `node`. The moment before anything was done.
    pub(super) fn power_off(&mut self, node: &str) -> Result<Instant, LabError> {
        let loss = self.lab.power_off(node)?;
        self.running.remove(node);
        Ok(loss.at)
    }

    /// Runs a command of the product on `node`.
    ///
    /// # Errors
    /// What the command said, when its exit code is not 0.
    pub(super) fn command(&self, node: &str, words: &[&str]) -> Result<(), String> {
        let [program, rest @ ..] = words else { return Ok(()) };
        let program = format!("{PROGRAMS}/{program}");
        let argv: Vec<&str> =
            std::iter::once(program.as_str()).chain(rest.iter().copied()).collect();
        let output = self.lab.exec(node, &argv).map_err(|e| e.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        Err(format!("`{}` on {node} failed ({}): {said}", words.join(" "), output.status))
    }

    /// Waits until the daemons of all nodes that are on say that all is well.
    pub(super) fn wait_healthy(&mut self, limit: Duration) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let problem = NODES.iter().find_map(|node| self.problem(node));
            let Some(problem) = problem else { return Ok(()) };
            if let Some(ended) = self.ended() {
                return Err(ended);
            }
            if begin.elapsed() > limit {
                return Err(format!("the pair is not healthy after {limit:?}: {problem}"));
            }
            thread::sleep(ASK_INTERVAL);
        }
    }

    fn problem(&mut self, node: &str) -> Option<String> {
        if !self.lab.is_on(node) {
            return None;
        }
        match self.snapshot(node) {
            Ok(snapshot) if snapshot.verdict == Verdict::Healthy => None,
            Ok(snapshot) => {
                let problems: Vec<_> = snapshot.problems.iter().map(|p| p.text.as_str()).collect();
                let problems = problems.join("; ");
                Some(format!("{node} says {:?}: {problems}", snapshot.verdict).to_lowercase())
            }
            Err(error) => Some(format!("{node}: {error}")),
        }
    }

    fn snapshot(&self, node: &str) -> Result<StatusSnapshot, String> {
        let sockets = self.lab.path(node, api::RUN_DIR).map_err(|e| e.to_string())?;
        client::snapshot(&sockets).map_err(|e| e.to_string())
    }

    /// The moves that `node` carried out since its daemon started; none when it does not answer.
    pub(super) fn history(&self, node: &str) -> Vec<HistoryEntry> {
        let ask = |sockets: &Path| {
            Client::connect(sockets, api::STATUS_SOCKET, Some(ASK_LIMIT))?.ask(Request::History)
        };
        match self.lab.path(node, api::RUN_DIR).ok().map(|sockets| ask(&sockets)) {
            Some(Ok(Response::History(entries))) => entries,
            _ => Vec::new(),
        }
    }

    /// Everything on and running again, as after the first step.
    pub(super) fn make_whole(&mut self) -> Result<(), LabError> {
        for node in NODES {
            if !self.lab.is_on(node) {
                self.boot(node)?;
            }
            if self.snapshot(node).is_err() {
                self.start(node)?;
            }
        }
        Ok(())
    }

    /// What the logs say that was not shown yet, a line each.
    pub(super) fn fresh_logs(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for node in NODES {
            let log = self.log(node);
            let shown = self.shown.entry(node.to_owned()).or_default();
            let fresh = log.get(*shown..).unwrap_or_default();
            lines.extend(fresh.iter().map(|line| format!("{node}| {line}")));
            *shown = log.len();
        }
        lines
    }

    /// The end of each log.
    pub(super) fn last_logs(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for node in NODES {
            let log = self.log(node);
            let last = log.get(log.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
            lines.extend(last.iter().map(|line| format!("{node}| {line}")));
        }
        lines
    }

    /// What the daemon of `node` printed since the lab began. In the foreground it prints what it
    /// logs, and what is wrong before there is a log.
    fn log(&self, node: &str) -> Vec<String> {
        let text = self.lab.read_file(node, &format!("/var/log/{OUTPUT}")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets the client go on for a while, to see what follows an event.
    #[expect(clippy::unused_self, reason = "the client is this stage's")]
    pub(super) fn watch(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// How busy this machine is: the average of `/proc/loadavg` over a minute, and its processors.
pub(super) fn load() -> (Option<f64>, usize) {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().and_then(|word| word.parse().ok());
    (load, thread::available_parallelism().map_or(1, usize::from))
}

fn random_key() -> Result<String, LabError> {
    let mut bytes = [0; KEY_BYTES];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|e| LabError::system("making a key", e))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
