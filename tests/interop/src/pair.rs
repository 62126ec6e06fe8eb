//! Two nodes with their daemons: started, stopped, switched off, asked and looked at. I/O through the
//! lab. What an event should lead to is `scenario`'s business.

#![expect(clippy::disallowed_methods, reason = "waits for daemons in real time")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hb_cli::lab::{Lab, LabConfig, LabError, PROGRAMS, PUBLIC, Prober, Proc};

use crate::files::{NODES, Options, RUNNING, WITNESS_LOG, floating};
use crate::world::{self, Note, Seen};
use crate::{Programs, Side, Step, Trouble, flood, genuine};

/// How often is looked.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Looks in a row that must show the same for it to count as settled.
const STEADY_LOOKS: usize = 4;
/// Longer than 3.0.6's longest way to a settled pair: a restart of itself and 10 s of waiting.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// Time between two probes of a client, and time that one may take. Outages beside 3.0.6 last from
/// hundreds of milliseconds to seconds; more probes would only take the machine from the daemons.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
const PROBE_LIMIT: Duration = Duration::from_millis(100);
/// How far back an answer tells who serves.
const RECENT: Duration = Duration::from_millis(300);
/// Lines of each log in a report.
const LOG_LINES: usize = 60;

/// The pair, its clients, and what was noted of it.
#[derive(Debug)]
pub struct Pair {
    /// Who runs where.
    pub sides: [Side; 2],
    /// What it is configured to.
    pub options: Options,
    /// What happened, for a report.
    pub story: Vec<String>,
    /// Label and length of each measured outage of the first group.
    pub outages: Vec<(String, Option<Duration>)>,
    /// Whether the daemon is meant to run.
    up: [bool; 2],
    notes: Vec<Note>,
    begin: Instant,
    clients: Vec<Prober>,
    servers: [Option<Proc>; 2],
    captures: Vec<Child>,
    // Last: what runs in the lab ends before it.
    lab: Lab,
}

impl Pair {
    /// Both nodes on, with their files; no daemon runs.
    ///
    /// # Errors
    /// When the lab cannot be made.
    pub fn new(sides: [Side; 2], options: Options, programs: &Programs) -> Step<Self> {
        let config =
            LabConfig::pair().program("heartbeat", &programs.heartbeat).program("hb", &programs.hb);
        let mut pair = Self {
            sides,
            story: Vec::new(),
            outages: Vec::new(),
            up: [false; 2],
            notes: Vec::new(),
            begin: Instant::now(),
            clients: Vec::new(),
            servers: [None, None],
            captures: Vec::new(),
            lab: Lab::new(config)?,
            options,
        };
        for (index, node) in NODES.iter().enumerate() {
            pair.boot(index)?;
            for (path, text, mode) in pair.options.files(index) {
                pair.lab.write_file(node, path, &text, mode)?;
            }
        }
        for (number, _) in (0..).zip(pair.options.group_names()) {
            let address = (floating(number), 80).into();
            pair.clients.push(Prober::start(address, PROBE_INTERVAL, PROBE_LIMIT)?);
        }
        Ok(pair)
    }

    /// Writes what both networks carry to `FOLDER/NAME.br0.pcap` and `br1`, with tcpdump.
    ///
    /// # Errors
    /// When tcpdump cannot be started.
    pub fn capture(&mut self, folder: &Path, name: &str) -> Step {
        for bridge in ["br0", "br1"] {
            let file = folder.join(format!("{name}.{bridge}.pcap"));
            let child = Command::new("tcpdump")
                .args(["-U", "-s0", "-i", bridge, "-w"])
                .arg(file)
                // Without the clients' probes.
                .arg("udp or arp")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|e| Trouble::Wrong(format!("starting tcpdump: {e}")))?;
            self.captures.push(child);
        }
        Ok(())
    }

    /// Notes a line of the story, with the time since the beginning.
    pub fn tell(&mut self, text: &str) {
        self.story.push(format!("{:7.3} {text}", self.begin.elapsed().as_secs_f64()));
    }

    /// Switches node `index` on; its daemon stays down, its web server runs.
    ///
    /// # Errors
    /// As of the lab.
    pub fn boot(&mut self, index: usize) -> Step {
        let node = NODES[index];
        self.tell(&format!("{node} boots"));
        self.lab.boot(node)?;
        self.servers[index] = Some(self.lab.serve(node)?);
        if self.sides[index] == Side::Genuine {
            self.run(index, genuine::PREPARE)?;
        }
        Ok(())
    }

    /// Power loss.
    ///
    /// # Errors
    /// As of the lab.
    pub fn power_off(&mut self, index: usize) -> Step {
        self.tell(&format!("{} loses its power", NODES[index]));
        self.lab.power_off(NODES[index])?;
        self.up[index] = false;
        self.servers[index] = None;
        self.notes.push(Note { at: wall_clock(), node: index, group: None, start: false });
        Ok(())
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// When its command fails.
    pub fn start(&mut self, index: usize) -> Step {
        self.tell(&format!("heartbeat starts on {}", NODES[index]));
        let daemon = self.daemon(index);
        self.run(index, &format!("{daemon} </dev/null >/var/log/start.out 2>&1"))?;
        self.up[index] = true;
        Ok(())
    }

    /// Stops the daemon in good order and waits for its end.
    ///
    /// # Errors
    /// When its command fails.
    pub fn stop(&mut self, index: usize) -> Step {
        self.tell(&format!("heartbeat stops on {}", NODES[index]));
        let daemon = self.daemon(index);
        // While it stops it says `none` or nothing, and nobody asks.
        self.up[index] = false;
        self.run(index, &format!("{daemon} -k"))?;
        self.tell(&format!("heartbeat has stopped on {}", NODES[index]));
        Ok(())
    }

    /// Makes the daemon read its files again.
    ///
    /// # Errors
    /// When its command fails.
    pub fn reload(&mut self, index: usize) -> Step {
        self.tell(&format!("heartbeat reads its files again on {}", NODES[index]));
        let daemon = self.daemon(index);
        self.run(index, &format!("{daemon} -r >/dev/null 2>&1"))?;
        Ok(())
    }

    /// Installs the other Heartbeat on a node whose daemon does not run; its files and its state
    /// stay as they are.
    ///
    /// # Errors
    /// When the package's files cannot be put in place.
    pub fn replace(&mut self, index: usize, side: Side) -> Step {
        self.tell(&format!("{} is {} from here on", NODES[index], side.word()));
        self.sides[index] = side;
        if side == Side::Genuine {
            self.run(index, genuine::PREPARE)?;
        }
        Ok(())
    }

    fn daemon(&self, index: usize) -> String {
        match self.sides[index] {
            Side::Genuine => genuine::DAEMON.to_owned(),
            Side::Ours => format!("{PROGRAMS}/heartbeat"),
        }
    }

    /// `hb_standby` or `hb_takeover` with a word, each node with its own command, which is not
    /// waited for longer than it takes.
    ///
    /// # Errors
    /// When the command fails.
    pub fn command(&mut self, index: usize, verb: &str, word: &str) -> Step {
        self.tell(&format!("{verb} {word} on {}", NODES[index]));
        let command = self.verb(index, verb, word);
        let said = self.run(index, &command)?;
        self.tell(&format!("it said: {}", said.replace('\n', " / ")));
        Ok(())
    }

    /// As [`Pair::command`], but does not wait for its end and not for its success.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin(&mut self, index: usize, verb: &str, word: &str) -> Step {
        self.tell(&format!("{verb} {word} begins on {}", NODES[index]));
        let command = self.verb(index, verb, word);
        self.run(index, &format!("{command} </dev/null >>/var/log/begun.out 2>&1 &"))?;
        Ok(())
    }

    /// Writes a file of a node, with mode 0600.
    ///
    /// # Errors
    /// As of the lab.
    pub fn write(&mut self, index: usize, path: &str, text: &str) -> Step {
        self.tell(&format!("{path} is written on {}", NODES[index]));
        Ok(self.lab.write_file(NODES[index], path, text, 0o600)?)
    }

    /// Sends packets with a wrong key from node `index` to the other for `time`, without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn flood(&mut self, index: usize, time: Duration) -> Step {
        let other = 1 - index;
        self.tell(&format!("{} floods {} with a wrong key", NODES[index], NODES[other]));
        let command = flood::command(other, NODES[index], time);
        self.run(index, &format!("{command} </dev/null >/var/log/flood.out 2>&1 &"))?;
        Ok(())
    }

    fn verb(&self, index: usize, verb: &str, word: &str) -> String {
        match self.sides[index] {
            Side::Genuine => format!("{}/hb_{verb} {word}", genuine::SCRIPTS),
            Side::Ours => format!("{PROGRAMS}/hb {verb} {word}"),
        }
    }

    /// Runs a shell script in a node; returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub fn run(&self, index: usize, script: &str) -> Step<String> {
        let output = self.lab.exec(NODES[index], &["/bin/sh", "-c", script])?;
        let text = [&output.stdout[..], &output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        if output.status.success() {
            return Ok(text);
        }
        let node = NODES[index];
        Err(Trouble::Wrong(format!("on {node} `{script}` ended with {}: {text}", output.status)))
    }

    /// Cuts or mends a cable of node `index`.
    ///
    /// # Errors
    /// As of the lab.
    pub fn cable(&mut self, index: usize, interface: &str, whole: bool) -> Step {
        let node = NODES[index];
        self.tell(&format!("{interface} of {node} {}", if whole { "mended" } else { "silent" }));
        if whole {
            self.lab.mend(node, interface)?;
        } else {
            self.lab.mute(node, interface)?;
        }
        Ok(())
    }

    /// Lets time pass in which nothing is awaited.
    pub fn pass(&mut self, time: Duration) {
        thread::sleep(time);
    }

    /// What is true at this moment.
    ///
    /// # Errors
    /// When a node that is on cannot be looked at.
    pub fn look(&mut self) -> Step<[Seen; 2]> {
        let mut seen = [Seen::default(), Seen::default()];
        for (index, seen) in seen.iter_mut().enumerate() {
            if !self.lab.is_on(NODES[index]) {
                continue;
            }
            // One visit for all that is asked.
            let mut script = format!("ip -4 -o addr show dev {PUBLIC}; ls {RUNNING}* 2>&1; :;");
            if self.up[index] {
                // Debian's own program, whoever answers it.
                let status = genuine::CL_STATUS;
                let _ = write!(script, "echo says $({status} rscstatus 2>&1)");
            }
            let text = self.run(index, &script)?;
            for (number, group) in (0..).zip(self.options.group_names()) {
                if text.contains(&format!("inet {}/", floating(number))) {
                    seen.addresses.push(*group);
                }
                if text.lines().any(|line| line == format!("{RUNNING}{group}")) {
                    seen.witnesses.push(*group);
                }
            }
            let says = text.lines().find_map(|line| line.strip_prefix("says "));
            seen.says = self.up[index].then(|| says.unwrap_or("nothing").to_owned());
        }
        Ok(seen)
    }

    /// Waits until everything is as `owners` says: for each group the number of its node, or `-`.
    /// The daemons must say so, and the page of each group must be served from there.
    ///
    /// # Errors
    /// What is still different after [`PATIENCE`].
    pub fn settle(&mut self, owners: &str) -> Step {
        self.settle_within(owners, PATIENCE)
    }

    /// As [`Pair::settle`] with another patience.
    ///
    /// # Errors
    /// As [`Pair::settle`].
    pub fn settle_within(&mut self, owners: &str, limit: Duration) -> Step {
        let begin = Instant::now();
        let mut steady = 0;
        loop {
            let seen = self.look()?;
            let mut wrong = world::differences(&seen, owners, self.options.group_names());
            wrong.extend(self.not_served(owners));
            steady = if wrong.is_empty() { steady + 1 } else { 0 };
            if steady == STEADY_LOOKS {
                let says = seen.map(|s| s.says.unwrap_or_else(|| "down".into())).join("/");
                self.tell(&format!("settled: {owners} ({says})"));
                return Ok(());
            }
            if begin.elapsed() > limit {
                let text = format!("{owners} awaited in vain: {}", wrong.join("; "));
                self.tell(&text);
                return Err(Trouble::Wrong(text));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until each group has exactly one owner and the daemons agree; says which.
    ///
    /// # Errors
    /// What is still different after [`PATIENCE`].
    pub fn settle_anyhow(&mut self) -> Step<String> {
        let begin = Instant::now();
        loop {
            let seen = self.look()?;
            let owner = |group: &char| match seen.each_ref().map(|s| s.witnesses.contains(*group)) {
                [true, false] => '1',
                [false, true] => '2',
                [true, true] | [false, false] => '-',
            };
            let owners: String = self.options.group_names().iter().map(owner).collect();
            let wrong = world::differences(&seen, &owners, self.options.group_names());
            let served = wrong.is_empty() && !owners.contains('-');
            if served || begin.elapsed() > PATIENCE {
                let left = PATIENCE.saturating_sub(begin.elapsed());
                self.settle_within(&owners, left)?;
                return Ok(owners);
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    fn not_served(&self, owners: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let names = self.options.group_names();
        for ((name, owner), client) in names.iter().zip(owners.chars()).zip(&self.clients) {
            let expected = owner.to_digit(10).map(|number| format!("node{number}"));
            let servers = recent_servers(client);
            if !servers.iter().eq(expected.as_ref()) {
                wrong.push(format!("the page of {name} comes from {servers:?}"));
            }
        }
        wrong
    }

    /// Runs `event`, waits until `owners` is true and notes the outage of the first group.
    ///
    /// # Errors
    /// Those of `event` and of [`Pair::settle`].
    pub fn measure(
        &mut self,
        label: &str,
        owners: &str,
        event: impl FnOnce(&mut Self) -> Step,
    ) -> Step {
        let begin = Instant::now();
        event(self)?;
        self.settle(owners)?;
        let outage = self.clients.first().and_then(|c| c.outage_since(begin));
        self.note_outage(label, outage.map(|o| o.length()));
        Ok(())
    }

    /// Runs `event` while nobody serves, waits until `owners` is true and notes the time until the
    /// first group's first answer.
    ///
    /// # Errors
    /// Those of `event` and of [`Pair::settle`].
    pub fn measure_first(
        &mut self,
        label: &str,
        owners: &str,
        event: impl FnOnce(&mut Self) -> Step,
    ) -> Step {
        let begin = Instant::now();
        event(self)?;
        self.settle(owners)?;
        let first = self.clients.first().and_then(|c| c.first_answer(begin));
        self.note_outage(label, first.map(|(at, _)| at.saturating_duration_since(begin)));
        Ok(())
    }

    fn note_outage(&mut self, label: &str, length: Option<Duration>) {
        let text = length.map_or_else(|| "none".into(), |l| format!("{:.3} s", l.as_secs_f64()));
        self.tell(&format!("outage of {label}: {text}"));
        self.outages.push((label.to_owned(), length));
    }

    /// When groups ran on both nodes at the same time.
    ///
    /// # Errors
    /// When a witness' log cannot be read.
    pub fn overlaps(&self) -> Step<Vec<(char, f64, f64)>> {
        let mut notes = self.notes.clone();
        for (index, node) in NODES.iter().enumerate() {
            if let Ok(log) = self.lab.read_file(node, WITNESS_LOG) {
                notes.extend(world::read_notes(index, &log));
            }
        }
        Ok(world::overlaps(notes, self.options.group_names()))
    }

    /// How often `group` has begun to start on node `index`.
    pub fn starts(&self, index: usize, group: char) -> usize {
        let log = self.lab.read_file(NODES[index], WITNESS_LOG).unwrap_or_default();
        let notes = world::read_notes(index, &log);
        notes.iter().filter(|note| note.start && note.group == Some(group)).count()
    }

    /// Waits until `group` has begun to start on node `index` for the `times`th time.
    ///
    /// # Errors
    /// When it has not after [`PATIENCE`].
    pub fn await_starts(&mut self, index: usize, group: char, times: usize) -> Step {
        let begin = Instant::now();
        while self.starts(index, group) < times {
            if begin.elapsed() > PATIENCE {
                let node = NODES[index];
                return Err(Trouble::Wrong(format!("{group} did not begin to start on {node}")));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// How often the daemon of node `index` has begun, as its log has it.
    pub fn begins(&self, index: usize) -> usize {
        let words = match self.sides[index] {
            Side::Genuine => "Heartbeat generation: ",
            Side::Ours => " with generation ",
        };
        self.log(index).matches(words).count()
    }

    /// Waits until the daemon of node `index` has begun `times` times.
    ///
    /// # Errors
    /// When it has not after [`PATIENCE`].
    pub fn await_begins(&mut self, index: usize, times: usize) -> Step {
        let begin = Instant::now();
        while self.begins(index) < times {
            if begin.elapsed() > PATIENCE {
                return Err(Trouble::Wrong(format!("{} did not restart itself", NODES[index])));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        self.tell(&format!("{} has restarted itself", NODES[index]));
        Ok(())
    }

    /// Waits until Debian's `cl_status` with these words prints `word` on node `index`.
    ///
    /// # Errors
    /// When it has not after [`PATIENCE`].
    pub fn await_answer(&mut self, index: usize, words: &str, word: &str) -> Step {
        let begin = Instant::now();
        let script = format!("{} {words} 2>/dev/null; :", genuine::CL_STATUS);
        loop {
            let said = self.run(index, &script)?;
            if said == word {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                let node = NODES[index];
                let text = format!("`cl_status {words}` on {node} says {said:?}, never {word:?}");
                return Err(Trouble::Wrong(text));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// The log of node `index`.
    pub fn log(&self, index: usize) -> String {
        self.lab.read_file(NODES[index], genuine::LOG).unwrap_or_default()
    }

    /// A counter of `hb status` on node `index`; `None` where the daemon is not ours.
    ///
    /// # Errors
    /// When the daemon does not answer or has no such counter.
    pub fn counter(&self, index: usize, name: &str) -> Step<Option<u64>> {
        if self.sides[index] == Side::Genuine {
            return Ok(None);
        }
        // The verdict is also the exit code.
        let text = self.run(index, &format!("{PROGRAMS}/hb status --json; :"))?;
        let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let value = status.pointer(&format!("/counters/{name}")).and_then(|v| v.as_u64());
        value.map(Some).ok_or_else(|| Trouble::Wrong(format!("no counter {name} in {text}")))
    }

    /// What a node asked of its power switch.
    pub fn power_requests(&self, index: usize) -> String {
        self.lab.power_requests(NODES[index])
    }

    /// The story and the ends of the logs, for a person who looks for the reason.
    pub fn report(&self) -> String {
        let mut text = self.story.join("\n");
        for (index, node) in NODES.iter().enumerate() {
            let log = self.log(index);
            let lines: Vec<&str> = log.lines().filter(|line| !is_of_loss(line)).collect();
            let from = lines.len().saturating_sub(LOG_LINES);
            let _ = write!(text, "\n-- {node} ({}):\n", self.sides[index].word());
            text += &lines.get(from..).unwrap_or_default().join("\n");
            if let Ok(witness) = self.lab.read_file(node, WITNESS_LOG) {
                let _ = write!(text, "\n-- {node}, witness:\n{}", witness.trim_end());
            }
        }
        text
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for capture in &mut self.captures {
            let _ = capture.kill();
            let _ = capture.wait();
        }
    }
}

/// What 3.0.6 writes several times a second while packets are lost.
fn is_of_loss(line: &str) -> bool {
    ["lost packet(s) for [", "No pkts missing from"].iter().any(|words| line.contains(words))
}

/// The nodes that answered of late. A probe that is missed counts for nothing: the machine may be
/// busy, and who measures outages looks at each.
fn recent_servers(client: &Prober) -> BTreeSet<String> {
    let since = Instant::now().checked_sub(RECENT);
    let probes = since.map(|since| client.probes_since(since)).unwrap_or_default();
    probes.iter().filter_map(|probe| Some(probe.result.as_ref().ok()?.to_string())).collect()
}

/// Seconds of the machine's clock, as `date +%s.%N` has them.
fn wall_clock() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// For scenarios that need a program which may be missing in the lab.
///
/// # Errors
/// Those of the lab itself.
pub fn is_possible(result: Step<String>) -> Result<bool, LabError> {
    match result {
        Ok(_) => Ok(true),
        Err(Trouble::Wrong(_)) => Ok(false),
        Err(Trouble::Lab(error)) => Err(error),
    }
}
