//! Text of Heartbeat's FIFO: cutting it into messages, and what a message asks for (Heartbeat
//! 3.0.6, §13.4). Pure; any bytes at all may come, and none make it grow.

use hb_messaging::fields::{self, FieldList};
use hb_messaging::wire;
use hb_node::api::Request;
use hb_resource::input::{Holdings, Which};

/// Longest line with its end (Heartbeat 3.0.6: 510 bytes and the end).
const LINE_MAX: usize = 512;
/// Longest message: its scripts write some 60 bytes.
const MESSAGE_MAX: usize = 8 * 1024;
/// Longest type that is repeated in a log line.
const SHOWN_MAX: usize = fields::KIND_MAX;
const START: &[u8] = b">>>\n";
const END: &[u8] = b"<<<\n";

/// Cuts a stream of text into messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cutter {
    line: Vec<u8>,
    /// Whether the line is too long and what is left of it is skipped.
    skips_line: bool,
    /// From the start mark on; `None` between messages.
    message: Option<Vec<u8>>,
}

impl Cutter {
    /// The most that it keeps: a message and the line that is being read.
    pub(crate) const BUFFERED_MAX: usize = LINE_MAX + MESSAGE_MAX;

    /// Bytes kept until the end of their message.
    pub(crate) fn buffered(&self) -> usize {
        self.line.len() + self.message.as_ref().map_or(0, Vec::len)
    }

    /// Takes what was read; whole messages, or why one is none, go to `found`.
    pub(crate) fn push(&mut self, bytes: &[u8], found: &mut Vec<Result<FieldList, String>>) {
        for byte in bytes {
            if self.line.len() < LINE_MAX {
                self.line.push(*byte);
            } else {
                self.skips_line = true;
            }
            if *byte != b'\n' {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if std::mem::take(&mut self.skips_line) {
                if self.message.take().is_some() {
                    found.push(Err(format!("a line is longer than {LINE_MAX} bytes")));
                }
            } else {
                found.extend(self.take(&line));
            }
        }
    }

    /// One line with its end.
    fn take(&mut self, line: &[u8]) -> Option<Result<FieldList, String>> {
        // A writer that was killed leaves a beginning; the next start mark is a fresh one.
        if line == START {
            self.message = Some(line.to_vec());
            return None;
        }
        let message = self.message.as_mut()?;
        message.extend_from_slice(line);
        if line == END {
            let text = self.message.take()?;
            let decoded = wire::decode(&text).map(|frame| frame.fields);
            return Some(decoded.map_err(|error| error.to_string()));
        }
        if message.len() > MESSAGE_MAX {
            self.message = None;
            return Some(Err(format!("it is longer than {MESSAGE_MAX} bytes")));
        }
        None
    }
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// For the log: `standby [all]`.
    pub(crate) text: String,
    pub(crate) request: Request,
}

/// Understands a message, or says why not and what to do.
pub(crate) fn command(message: &FieldList) -> Result<Command, String> {
    let kind = message.text(fields::KIND).unwrap_or_default();
    let info = message.text(fields::INFO).unwrap_or_default();
    match kind {
        "ask_resources" if info == "me" => {
            let (word, which) = sets(message)?;
            Ok(Command { text: format!("standby [{word}]"), request: Request::Standby { which } })
        }
        "hb_takeover" => {
            let (word, which) = sets(message)?;
            Ok(Command { text: format!("takeover [{word}]"), request: Request::Takeover { which } })
        }
        _ => Err(format!("{} refused: {}", shown(kind), advice(kind))),
    }
}

/// `rsc_hold`; `failback` means `foreign` (Heartbeat 3.0.6 took it for `all` in `hb_takeover`).
fn sets(message: &FieldList) -> Result<(&'static str, Which), String> {
    let (word, sets) = match message.text(fields::HOLD) {
        None | Some("all") => ("all", Holdings::ALL),
        Some("local") => ("local", Holdings::LOCAL),
        Some("foreign") => ("foreign", Holdings::FOREIGN),
        Some("failback") => ("failback", Holdings::FOREIGN),
        Some(other) => {
            return Err(format!(
                "rsc_hold {} is none of all, foreign, local, failback",
                shown(other)
            ));
        }
    };
    Ok((word, Which::Sets(sets)))
}

fn advice(kind: &str) -> &'static str {
    match kind {
        "addnode" | "delnode" => {
            "a cluster has the two nodes of ha.cf; change ha.cf on both nodes and run hb reload"
        }
        "setweight" | "set_weight" | "setsite" | "set_site" => {
            "weights and sites have no use in a cluster of two nodes"
        }
        "ask_resources" | "resource" | "starting" | "shutdone" | "ip-request"
        | "ip-request-resp" | "status" => {
            "the daemon says this itself when it is so; use hb_standby or hb_takeover to move \
             resources"
        }
        _ => "only hb_standby and hb_takeover may write here; see hb --help for other commands",
    }
}

/// A word of a script as it may stand in a log line.
fn shown(word: &str) -> String {
    let short: String = word.chars().take(SHOWN_MAX).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &[u8]) -> Vec<Result<FieldList, String>> {
        let mut found = Vec::new();
        Cutter::default().push(text, &mut found);
        found
    }

    fn ask(text: &str) -> Result<Command, String> {
        let found = cut(format!(">>>\n{text}\n<<<\n").as_bytes());
        assert_eq!(found.len(), 1, "{text:?}");
        found.into_iter().next().expect("one").and_then(|fields| command(&fields))
    }

    #[test]
    fn commands_of_heartbeats_scripts() {
        let check = |text: &str, said: &str, request: Request| {
            assert_eq!(ask(text), Ok(Command { text: said.into(), request }), "{text:?}");
        };
        let standby = |sets| Request::Standby { which: Which::Sets(sets) };
        let takeover = |sets| Request::Takeover { which: Which::Sets(sets) };
        let me = "t=ask_resources\ninfo=me\nrsc_hold";
        check(&format!("{me}=all"), "standby [all]", standby(Holdings::ALL));
        check(&format!("{me}=local"), "standby [local]", standby(Holdings::LOCAL));
        check(&format!("{me}=foreign"), "standby [foreign]", standby(Holdings::FOREIGN));
        check(&format!("{me}=failback"), "standby [failback]", standby(Holdings::FOREIGN));
        check("t=hb_takeover", "takeover [all]", takeover(Holdings::ALL));
        check("t=hb_takeover\nrsc_hold=local", "takeover [local]", takeover(Holdings::LOCAL));
        check(
            "t=hb_takeover\nrsc_hold=failback",
            "takeover [failback]",
            takeover(Holdings::FOREIGN),
        );
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        let check = |text: &str, part: &str| {
            let refused = ask(text).expect_err(text);
            assert!(refused.contains(part), "{text:?}: {refused}");
        };
        check("t=addnode\nnode=node3", "\"addnode\" refused: a cluster has the two nodes of ha.cf");
        check("t=delnode\nnode=node2", "change ha.cf on both nodes");
        check("t=resource\nrsc_hold=foreign\ninfo=mach_down", "the daemon says this itself");
        check("t=ask_resources\ninfo=done\nrsc_hold=all", "\"ask_resources\" refused");
        check("t=ask_resources\ninfo=me\nrsc_hold=none", "rsc_hold \"none\" is none of");
        check("x=y", "\"\" refused");
        check("t=evil\u{1b}[2J", "\"evil\\u{1b}[2J\" refused");
        check("no equals sign", "malformed");
    }

    #[test]
    fn messages_are_found_in_any_text() {
        let check = |text: &[u8], kinds: &[Option<&str>]| {
            let found = cut(text);
            let found: Vec<Option<&str>> =
                found.iter().map(|one| one.as_ref().ok().and_then(|f| f.text("t"))).collect();
            assert_eq!(found, kinds, "{:?}", String::from_utf8_lossy(text));
        };
        check(b"noise\n>>>\nt=a\n<<<\nnoise\n>>>\nt=b\n<<<\n", &[Some("a"), Some("b")]);
        check(b">>>\nt=cut off\n>>>\nt=b\n<<<\n", &[Some("b")]);
        check(b">>>\nt=a\n", &[]);
        check(b"<<<\n<<<\n", &[]);
        check(
            &[b">>>\nt=a\nx=", &[b'x'; 600][..], b"\n<<<\n>>>\nt=b\n<<<\n"].concat(),
            &[None, Some("b")],
        );
        let long = b"x=0123456789\n".repeat(MESSAGE_MAX / 12);
        check(&[b">>>\n", &long[..], b"<<<\n>>>\nt=b\n<<<\n"].concat(), &[None, Some("b")]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_grow(chunks in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..700),
                Just(b">>>\n".to_vec()), Just(b"<<<\n".to_vec()), Just(b"t=hb_takeover\n".to_vec()),
            ], 0..64
        )) {
            let mut cutter = Cutter::default();
            let mut found = Vec::new();
            for chunk in chunks {
                found.clear();
                cutter.push(&chunk, &mut found);
                prop_assert!(found.len() <= chunk.len());
                prop_assert!(cutter.line.len() <= LINE_MAX);
                prop_assert!(cutter.message.as_ref().map_or(0, Vec::len) <= MESSAGE_MAX);
                for message in found.iter().flatten() {
                    let _ = command(message);
                }
            }
        }

        #[test]
        fn where_reads_end_does_not_matter(split in 0_usize..60) {
            let text = b"x\n>>>\nt=ask_resources\ninfo=me\nrsc_hold=all\n<<<\n>>>\nt=b\n<<<\n";
            let mut found = Vec::new();
            let mut cutter = Cutter::default();
            let (head, tail) = text.split_at(split.min(text.len()));
            cutter.push(head, &mut found);
            cutter.push(tail, &mut found);
            prop_assert_eq!(found, cut(text));
        }
    }
}
