//! `stonith` and `stonith_host`: fence devices of ha.cf (Heartbeat 3.0.6), driven by cluster-glue's
//! command `stonith`. Whether a device works is not known here.

use std::collections::BTreeMap;

use super::{Parser, Statement};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::directives::DirectiveId as Id;
use crate::settings::{FenceDevice, FenceKind, Secret};
use crate::span::Span;

/// Limit of one attempt, in ms; Heartbeat 3.0.6 waits for as long as the device does.
const TIMEOUT_MS: u64 = 60_000;

/// A fence device of ha.cf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stonith {
    /// Where it stands.
    pub span: Span,
    /// The node that can use it, in lower case; `None`: any.
    pub from: Option<String>,
    /// The device.
    pub device: FenceDevice,
}

impl Parser<'_> {
    /// `stonith TYPE FILE`, or `stonith_host FROM|* TYPE PARAMETER…`.
    pub(super) fn stonith(&mut self, statement: &Statement<'_>) {
        let span = statement.name.span.to(statement.values_span());
        let words: Vec<&str> = statement.values.iter().map(|word| word.text.as_str()).collect();
        let by_host = statement.row.id == Id::StonithHost;
        let (from, kind, option, value) = match (by_host, words.as_slice()) {
            (false, [kind, file]) => (None, kind, "-F", (*file).to_owned()),
            (true, [from, kind, parameters @ ..]) => {
                let from = (*from != "*").then(|| from.to_ascii_lowercase());
                (from, kind, "-p", parameters.join(" "))
            }
            (true | false, _) => {
                let syntax = statement.row.grammar.syntax();
                self.cf.faulty.insert(statement.row.id);
                self.sink.push(
                    Diagnostic::new(Code::StonithSyntax, "a fence device with a part missing")
                        .at(span, "not a whole device")
                        .help(format!("write `{} {syntax}`", statement.row.name)),
                );
                return;
            }
        };
        // Heartbeat tries one device after the other.
        let level = u8::try_from(self.cf.stonith.len() + 1).unwrap_or(u8::MAX);
        let parameters = match value.is_empty() {
            true => BTreeMap::new(),
            false => BTreeMap::from([(option.to_owned(), Secret::new(value.into_bytes()))]),
        };
        self.cf.stonith.push(Stonith {
            span,
            from,
            device: FenceDevice {
                name: format!("{kind}-{level}"),
                target: None,
                level,
                kind: FenceKind::Stonith { kind: (*kind).to_owned() },
                parameters,
                timeout_ms: TIMEOUT_MS,
                retries_max: 1,
            },
        });
    }
}
