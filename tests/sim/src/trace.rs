//! What happened, one line for each event, and a hash of all of it: two runs of one seed must
//! have the same. Lines are kept only when somebody wants to read them.

use std::fmt::{self, Write as _};

use hb_messaging::time::Instant;
use hb_node::effect::{Effect, Level};
use hb_node::input::Input;

use crate::perform::outcome_word;

/// The record of one run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: Mix,
    /// Events so far.
    pub events: u64,
    lines: Option<Vec<String>>,
    due_in_a_row: [usize; 2],
}

/// A multiplicative hash of eight bytes at a time: tells runs apart, resists nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mix(u64);

impl Default for Mix {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Mix {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Four words at a time: each lane waits only for itself.
    fn add(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<32>();
        if !blocks.is_empty() {
            let mut lanes = [Self(1), Self(2), Self(3), Self(4)];
            for block in blocks {
                let (words, _) = block.as_chunks::<8>();
                for (lane, word) in lanes.iter_mut().zip(words) {
                    lane.word(u64::from_le_bytes(*word));
                }
            }
            lanes.iter().for_each(|lane| self.word(lane.0));
        }
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
}

impl fmt::Write for Mix {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

impl Trace {
    /// Keeps the lines from here on.
    pub fn keep_lines(&mut self) {
        self.lines = Some(Vec::new());
    }

    /// The lines that were kept: time in seconds, node, kind of event, and what it was.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// Hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash.0
    }

    /// Something that the world or the plan did.
    pub fn line(&mut self, now: Instant, machine: usize, text: fmt::Arguments<'_>) {
        self.note(now, machine, "world", text);
    }

    /// A fault strikes.
    pub(crate) fn fault(&mut self, now: Instant, machine: usize, text: fmt::Arguments<'_>) {
        self.note(now, machine, "FAULT", text);
    }

    /// For what is rare enough to be written out for the hash.
    fn note(&mut self, now: Instant, machine: usize, kind: &str, text: fmt::Arguments<'_>) {
        self.events += 1;
        // Writing into a hash or a string cannot fail.
        let _ = write!(self.hash, "{} {machine} {text}", now.as_micros());
        self.show(now, machine, kind, text);
    }

    /// A daemon is fed.
    pub fn input(&mut self, now: Instant, machine: usize, input: &Input) {
        match input {
            Input::Datagram { link, bytes } => {
                self.hash.word(u64::from(link.0));
                self.hash.add(bytes);
                if self.lines.is_some() && !is_routine(bytes) {
                    let text = describe_datagram(bytes);
                    self.show(now, machine, "hears", format_args!("link {} {text}", link.0));
                }
            }
            Input::Environment { unix_s, .. } => self.hash.word(*unix_s),
            Input::Timeout => self.hash.word(1),
            Input::Done { op, outcome } => {
                self.hash.word(op.0);
                self.hash.add(outcome_word(outcome, false).as_bytes());
                let words = format_args!("op {} {}", op.0, outcome_word(outcome, false));
                self.show(now, machine, "ended", words);
            }
            Input::EchoReply { sequence, .. } => self.hash.word(u64::from(*sequence)),
            Input::Start
            | Input::LocalTime { .. }
            | Input::Ethernet(_)
            | Input::Link { .. }
            | Input::Request { .. }
            | Input::ClientName { .. }
            | Input::Clock { .. }
            | Input::ClientGone { .. }
            | Input::Look { .. }
            | Input::Left { .. }
            | Input::Guarded { .. }
            | Input::Rival { .. }
            | Input::LogHangs(_)
            | Input::Slept { .. }
            | Input::Fenced { .. }
            | Input::Witness { .. }
            | Input::Reload { .. }
            | Input::Shutdown => {
                return self.note(now, machine, "input", format_args!("{input:?}"));
            }
        }
        self.events += 1;
        self.hash.word(now.as_micros() << 1 | u64::from(machine == 1));
    }

    /// A daemon wants something done.
    pub fn effect(&mut self, now: Instant, machine: usize, effect: &Effect) {
        match effect {
            Effect::Transmit { link, bytes } => {
                self.hash.word(u64::from(link.0));
                self.hash.add(bytes);
                if self.lines.is_some() && !is_routine(bytes) {
                    let text = describe_datagram(bytes);
                    self.show(now, machine, "sends", format_args!("link {} {text}", link.0));
                }
            }
            Effect::Echo { sequence, .. } => self.hash.word(u64::from(*sequence)),
            Effect::Run(operation) => {
                self.events += 1;
                let (text, action) = (&operation.resource.text, operation.action.word());
                self.hash.word(operation.id.0);
                self.hash.add(text.as_bytes());
                self.hash.add(action.as_bytes());
                let how = if operation.kill { " (escalated)" } else { "" };
                let words = format_args!("op {} {text} {action}{how}", operation.id.0);
                self.show(now, machine, "runs", words);
            }
            Effect::Log(line) => {
                self.hash.add(line.text.as_bytes());
                if line.level != Level::Debug {
                    self.events += 1;
                    self.show(now, machine, level_word(line.level), format_args!("{}", line.text));
                }
            }
            Effect::Notify { status } => {
                self.events += 1;
                self.hash.add(status.as_bytes());
                self.show(now, machine, "shows", format_args!("{status}"));
            }
            Effect::History(entry) => self.hash.word(entry.number),
            Effect::Alive => self.hash.word(2),
            Effect::Reply { .. }
            | Effect::Exit { .. }
            | Effect::Restart { .. }
            | Effect::KeepConfiguration { .. }
            | Effect::Cancel(_)
            | Effect::PeerAddress { .. }
            | Effect::PeerEthernet(_)
            | Effect::Fence { .. }
            | Effect::Witness { .. }
            | Effect::LetWatchdogBite { .. } => {
                self.note(now, machine, "wants", format_args!("{effect:?}"));
            }
        }
    }

    fn show(&mut self, now: Instant, machine: usize, kind: &str, text: fmt::Arguments<'_>) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {} {kind:<5} {text}", clock(now), name(machine)));
        }
    }

    /// Counts how often in a row a machine has something due at once.
    pub(crate) fn count_due(&mut self, machine: usize, due: bool) {
        self.due_in_a_row[machine] = if due { self.due_in_a_row[machine] + 1 } else { 0 };
    }

    pub(crate) fn due_in_a_row(&self, machine: usize) -> usize {
        self.due_in_a_row[machine]
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    }
}

fn clock(now: Instant) -> String {
    let micros = now.as_micros();
    format!("{:6}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The machines are called after their nodes.
pub fn name(machine: usize) -> String {
    format!("node{}", machine + 1)
}

/// Heartbeats, acknowledgements: too many to read.
pub(crate) fn is_routine(bytes: &[u8]) -> bool {
    let kind = field(bytes, "t").unwrap_or_default();
    kind == "status" || kind == "NS_ackmsg"
}

/// The fields of a datagram that matter to a reader.
pub(crate) fn describe_datagram(bytes: &[u8]) -> String {
    let names = ["t", "st", "rsc_hold", "rtype", "isstable", "info", "x_group", "x_groups", "seq"];
    let known = names.iter().filter_map(|name| {
        let value = field(bytes, name)?;
        Some(format!("{name}={value}"))
    });
    known.collect::<Vec<_>>().join(" ")
}

/// A string field of a netstring (`(0)name=value,`) or classic (`name=value\n`) datagram. Good
/// enough to show it; nothing is decided by it.
fn field(bytes: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    [(format!("(0){name}="), ','), (format!("\n{name}="), '\n')].iter().find_map(|(mark, end)| {
        let from = text.find(mark)? + mark.len();
        let rest = &text[from..];
        Some(rest[..rest.find(*end)?].to_owned())
    })
}
