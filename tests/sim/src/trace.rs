//! What happened, one line for each event, and a hash of all of it: two runs of one seed must
//! have the same. Lines are kept only when somebody wants to read them.

use std::fmt::{self, Write as _};

use hb_messaging::time::Instant;
use hb_node::effect::{Effect, Level};
use hb_node::input::Input;

/// The record of one run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: Fnv,
    /// Events so far.
    pub events: u64,
    lines: Option<Vec<String>>,
    due_in_a_row: [usize; 2],
}

/// FNV-1a, 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl fmt::Write for Fnv {
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

    /// The lines that were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// Hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash.0
    }

    /// Something that the world or the plan did.
    pub fn line(&mut self, now: Instant, machine: usize, text: fmt::Arguments<'_>) {
        self.events += 1;
        // Writing into a hash or a string cannot fail.
        let _ = write!(self.hash, "{} {machine} {text}", now.as_micros());
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {} {text}", clock(now), name(machine)));
        }
    }

    /// A daemon is fed.
    pub fn input(&mut self, now: Instant, machine: usize, input: &Input) {
        self.events += 1;
        self.hash.add(&now.as_micros().to_be_bytes());
        match input {
            Input::Datagram { link, bytes } => {
                self.hash.add(&link.0.to_be_bytes());
                self.hash.add(bytes);
                if self.lines.is_some() {
                    let text = describe_datagram(bytes);
                    self.show(now, machine, format_args!("<- link {} {text}", link.0));
                }
            }
            Input::Environment { .. } | Input::Timeout => self.hash.add(b"tick"),
            Input::Start
            | Input::EchoReply { .. }
            | Input::Link { .. }
            | Input::Done { .. }
            | Input::Request { .. }
            | Input::ClientGone { .. }
            | Input::Look { .. }
            | Input::Left { .. }
            | Input::Slept { .. }
            | Input::Fenced { .. }
            | Input::Witness { .. }
            | Input::Reload { .. }
            | Input::Shutdown => self.line(now, machine, format_args!("<- {input:?}")),
        }
    }

    /// A daemon wants something done.
    pub fn effect(&mut self, now: Instant, machine: usize, effect: &Effect) {
        match effect {
            Effect::Transmit { link, bytes } => {
                self.hash.add(&link.0.to_be_bytes());
                self.hash.add(bytes);
                if self.lines.is_some() && !is_routine(bytes) {
                    let text = describe_datagram(bytes);
                    self.show(now, machine, format_args!("-> link {} {text}", link.0));
                }
            }
            Effect::Echo { .. } => self.hash.add(b"echo"),
            Effect::Run(operation) => self.line(
                now,
                machine,
                format_args!(
                    "   run op {} {} {}{}",
                    operation.id.0,
                    operation.resource.text,
                    operation.action.word(),
                    if operation.kill { " (escalated)" } else { "" }
                ),
            ),
            Effect::Log(line) if line.level == Level::Debug => self.hash.add(line.text.as_bytes()),
            Effect::Log(line) => {
                self.line(now, machine, format_args!("   {:?} {}", line.level, line.text));
            }
            Effect::Notify { status } => {
                self.line(now, machine, format_args!("   shows {status}"));
            }
            Effect::History(_) => self.hash.add(b"history"),
            Effect::Alive => self.hash.add(b"alive"),
            Effect::Reply { .. }
            | Effect::Exit { .. }
            | Effect::Restart { .. }
            | Effect::KeepConfiguration { .. }
            | Effect::Cancel(_)
            | Effect::Fence { .. }
            | Effect::Witness { .. }
            | Effect::LetWatchdogBite { .. } => {
                self.line(now, machine, format_args!("   {effect:?}"));
            }
        }
    }

    fn show(&mut self, now: Instant, machine: usize, text: fmt::Arguments<'_>) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {} {text}", clock(now), name(machine)));
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

fn clock(now: Instant) -> String {
    let micros = now.as_micros();
    format!("{:5}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The machines are called after their nodes.
pub fn name(machine: usize) -> String {
    format!("node{}", machine + 1)
}

/// Heartbeats, acknowledgements: too many to read.
fn is_routine(bytes: &[u8]) -> bool {
    let kind = field(bytes, "t").unwrap_or_default();
    kind == "status" || kind == "NS_ackmsg"
}

/// The fields of a datagram that matter to a reader.
fn describe_datagram(bytes: &[u8]) -> String {
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
