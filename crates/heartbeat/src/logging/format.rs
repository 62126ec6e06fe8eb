//! What a line looks like in a file, for syslog and for the journal. Opens nothing, sends nothing.

use std::fmt::Write;

use hb_node::effect::{Level, LogEvent};

use crate::logging::Record;
use crate::sys::{LocalTime, local_time};

/// Month names of RFC 3164 §4.1.2.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Who speaks.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    node: String,
    pid: u32,
}

impl Origin {
    /// This process as `node`.
    pub(crate) fn new(node: &str) -> Self {
        Self { node: node.into(), pid: std::process::id() }
    }
}

/// `node1 heartbeat: [388]: 2026/11/20_12:00:00 WARN: text event=… key=value`, with a line end.
pub(crate) fn file_line(origin: &Origin, record: &Record) -> String {
    let LocalTime { year, month, day, hour, minute, second } = local_time(record.unix_s);
    format!(
        "{} heartbeat: [{}]: {year}/{month:02}/{day:02}_{hour:02}:{minute:02}:{second:02} {}: {}\n",
        origin.node,
        origin.pid,
        word(record.event.level),
        text_and_fields(&record.event),
    )
}

/// `<28>Nov 20 12:00:00 heartbeat[388]: WARN: text …` (RFC 3164 as local daemons expect it:
/// without the host name).
pub(crate) fn syslog_packet(origin: &Origin, record: &Record, facility: u8) -> String {
    let LocalTime { month, day, hour, minute, second, .. } = local_time(record.unix_s);
    let month = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).unwrap_or(&"Jan");
    format!(
        "<{}>{month} {day:>2} {hour:02}:{minute:02}:{second:02} heartbeat[{}]: {}: {}",
        u32::from(facility) * 8 + severity(record.event.level),
        origin.pid,
        word(record.event.level),
        text_and_fields(&record.event),
    )
}

/// The native protocol of the journal: `KEY=value` lines, or key, length and bytes when a value has
/// more than one line (systemd.journal-fields(7)).
pub(crate) fn journal_packet(record: &Record) -> Vec<u8> {
    let mut packet = Vec::new();
    let mut put = |key: &str, value: &str| {
        packet.extend_from_slice(key.as_bytes());
        if value.contains('\n') {
            packet.push(b'\n');
            packet.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            packet.push(b'=');
        }
        packet.extend_from_slice(value.as_bytes());
        packet.push(b'\n');
    };
    put("PRIORITY", &severity(record.event.level).to_string());
    put("SYSLOG_IDENTIFIER", "heartbeat");
    put("MESSAGE", &record.event.text);
    put("HB_EVENT", &record.event.event);
    for (name, value) in &record.event.fields {
        put(&journal_key(name), value);
    }
    packet
}

/// Heartbeat's words.
fn word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    }
}

/// Syslog severities (RFC 3164 §4.1.1).
fn severity(level: Level) -> u32 {
    match level {
        Level::Debug => 7,
        Level::Info => 6,
        Level::Warn => 4,
        Level::Error => 3,
    }
}

/// Letters, digits and underscores only, as the journal demands.
fn journal_key(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("HB_{}", name.chars().map(clean).collect::<String>())
}

fn text_and_fields(event: &LogEvent) -> String {
    let mut line = one_line(&event.text);
    let _ = write!(line, " event={}", one_line(&event.event));
    for (name, value) in &event.fields {
        let value = one_line(value);
        if value.is_empty() || value.contains([' ', '"', '=']) {
            let _ = write!(line, " {name}=\"{}\"", value.replace('"', "\\\""));
        } else {
            let _ = write!(line, " {name}={value}");
        }
    }
    line
}

/// Nobody else's text may look like a line of its own or steer a terminal.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str, fields: &[(&str, &str)]) -> Record {
        Record {
            unix_s: 1_795_219_200,
            event: LogEvent {
                level: Level::Warn,
                event: "late".into(),
                text: text.into(),
                fields: fields.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            },
        }
    }

    fn origin() -> Origin {
        Origin { node: "node1".into(), pid: 388 }
    }

    #[test]
    fn values_are_quoted_when_they_need_it() {
        let check = |value: &str, expect: &str| {
            let line = text_and_fields(&record("t", &[("k", value)]).event);
            assert_eq!(line, format!("t event=late k={expect}"));
        };
        check("plain", "plain");
        check("two words", "\"two words\"");
        check("", "\"\"");
        check("a\"b", "\"a\\\"b\"");
        check("a=b", "\"a=b\"");
    }

    #[test]
    fn a_text_cannot_forge_a_line() {
        let line = file_line(&origin(), &record("x\nnode2 heartbeat: forged\x1b[2J", &[]));
        assert_eq!(line.lines().count(), 1);
        assert!(!line.contains('\x1b'));
    }

    #[test]
    fn syslog_has_facility_and_severity() {
        let packet = syslog_packet(&origin(), &record("text", &[]), 3);
        assert!(packet.starts_with("<28>Nov 2"), "{packet}");
        assert!(packet.ends_with(" heartbeat[388]: WARN: text event=late"), "{packet}");
    }

    #[test]
    fn the_journal_gets_lines_or_lengths() {
        let packet = journal_packet(&record("two\nlines", &[("elapsed-ms", "12")]));
        let text = String::from_utf8_lossy(&packet);
        assert!(text.contains("PRIORITY=4\n"));
        assert!(text.contains("HB_ELAPSED_MS=12\n"));
        assert!(text.contains("MESSAGE\n\u{9}\0\0\0\0\0\0\0two\nlines\n"), "{text:?}");
    }
}
