//! One message: what people and programs are told. Values and their JSON; the words are made in
//! `words`, when one is due is decided in `incident`.

use hb_config::settings::notify::{Channel, Event, Gravity};
use serde::{Deserialize, Serialize};

/// Version of the JSON of a message; changes only when an old reader would misread.
pub const VERSION: u32 = 1;
/// Longest line of a message, in characters: names and reasons come from agents.
const LINE_MAX: usize = 400;
/// Longest subject, in characters: mail headers and pagers end somewhere.
const SUBJECT_MAX: usize = 200;
/// Lines that a part of a message keeps.
const LINES_MAX: usize = 60;

/// What a message does to its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Something is wrong and lasts; a `resolved` follows.
    Begin,
    /// It is over.
    Resolved,
    /// It happened and is over; nothing follows.
    Event,
    /// Somebody tries the channel.
    Test,
}

impl Phase {
    /// The word in JSON and in variables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Resolved => "resolved",
            Self::Event => "event",
            Self::Test => "test",
        }
    }
}

/// One message, the same on all channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// [`VERSION`].
    pub v: u32,
    /// Unique: whoever gets the same twice may drop one of them.
    pub id: String,
    /// Id of the first message of the incident.
    pub incident: String,
    /// Counts the messages of the node that tells, from 1.
    pub seq: u64,
    /// What it does to its incident.
    pub phase: Phase,
    /// What it is about.
    pub events: Vec<Event>,
    /// How grave the incident is.
    pub severity: Gravity,
    /// Name of the cluster.
    pub cluster: String,
    /// The node that tells.
    pub node: String,
    /// Groups that it is about.
    pub groups: Vec<String>,
    /// The only cause, one word: `peer_dead`, `standby`, the id of a problem …
    pub cause: String,
    /// Unix time in ms at which it was told.
    pub unix_ms: u64,
    /// Unix time in ms at which it began.
    pub began_unix_ms: u64,
    /// How long it lasted, in ms; of what is over.
    pub duration_ms: Option<u64>,
    /// For how long a group was served by nobody, in ms, as far as this node knows.
    pub outage_ms: Option<u64>,
    /// How often the same thing happened within this incident, beside the first time.
    pub repeats: u32,
    /// One line that says it all.
    pub subject: String,
    /// What happened, in order.
    pub happened: Vec<String>,
    /// What both nodes say, with its age.
    pub views: Vec<String>,
    /// What is not redundant now; empty when everything is.
    pub not_redundant: Vec<String>,
    /// What to do, most useful first.
    pub next: Vec<String>,
}

impl Message {
    /// Makes every text one line of bounded length, so that no name can become a header or a
    /// control sequence, and no message grows without end.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.subject = line(&self.subject, SUBJECT_MAX);
        for part in [&mut self.happened, &mut self.views, &mut self.not_redundant, &mut self.next] {
            part.truncate(LINES_MAX);
            for text in part {
                *text = line(text, LINE_MAX);
            }
        }
        for text in [&mut self.cluster, &mut self.node, &mut self.cause] {
            *text = line(text, LINE_MAX);
        }
        self.groups.truncate(LINES_MAX);
        for group in &mut self.groups {
            *group = line(group, LINE_MAX);
        }
        self
    }

    /// Whether `channel` wants it.
    pub fn is_for(&self, channel: &Channel) -> bool {
        let fits = |event: &Event| channel.events.contains(event);
        self.phase == Phase::Test
            || (self.severity >= channel.min_severity
                && (channel.events.is_empty() || self.events.iter().any(fits)))
    }

    /// The text below the subject. `dropped`: messages before this one that could not be kept.
    pub fn text(&self, dropped: u64) -> String {
        let mut text = format!("{}\n", self.subject);
        if dropped > 0 {
            let count =
                if dropped == 1 { "1 message".into() } else { format!("{dropped} messages") };
            text += &format!(
                "\nBefore this one {count} could not be kept, because this channel took none for too \
                 long.\n"
            );
        }
        let parts = [
            ("What happened", &self.happened),
            ("What both nodes say", &self.views),
            ("Not redundant now", &self.not_redundant),
            ("What to do", &self.next),
        ];
        for (title, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            text += &format!("\n{title}\n");
            for line in lines {
                text += &format!("  {line}\n");
            }
        }
        text + &format!("\n-- \nTwinbeat on {}, message {}\n", self.node, self.id)
    }
}

/// `text` on one line of at most `max` characters, without anything that controls a terminal.
pub fn line(text: &str, max: usize) -> String {
    let plain = |c: char| if c.is_control() || is_format(c) { ' ' } else { c };
    let mut short: String = text.chars().take(max).map(plain).collect();
    if text.chars().nth(max).is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// Line separators and marks that turn the direction of writing.
fn is_format(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_break_out_of_its_line() {
        let check = |text: &str, expect: &str| assert_eq!(line(text, 8), expect, "{text:?}");
        check("a\r\nBcc: x", "a  Bcc:…");
        check("\u{1b}[2J", " [2J");
        check("a\u{202e}b", "a b");
        check("12345678", "12345678");
        check("123456789", "1234567…");
        check("ääääääää", "ääääääää");
    }
}
