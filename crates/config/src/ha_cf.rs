//! ha.cf → [`HaCf`]: each value with its place, each line checked by itself. What lines mean
//! together is `check`'s work. Order matters here only where it does in Heartbeat: `udpport`
//! acts on the media below it, and the last of several scalars is taken.

mod media;
mod stonith;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, MAX_PER_FILE, Sink};
use crate::directives::{self, Directive, DirectiveId as Id, Grammar, Support};
use crate::lexer::{self, Word};
use crate::native;
use crate::secret::cover_resource;
use crate::settings::{
    AutoFailback, GenerationSource, Logging, Medium, NodeName, PingTarget, UuidSource,
};
use crate::source::SourceFile;
use crate::span::{FileId, Span, Spanned};

use values::Value;

pub(crate) use media::{address_fault, interface_fault};
pub use stonith::Stonith;
pub(crate) use values::is_node_name;

/// Longest line that Heartbeat 3.0.6 reads, in characters.
const MAX_LINE_CHARS: usize = 5119;

/// The port when no `udpport` is given.
pub const DEFAULT_PORT: u16 = 694;

/// ha.cf as it stands; what is absent is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HaCf {
    /// `node`
    pub nodes: Vec<Spanned<NodeName>>,
    /// `keepalive`, ms
    pub keepalive: Option<Spanned<u64>>,
    /// `deadtime`, ms
    pub deadtime: Option<Spanned<u64>>,
    /// `warntime`, ms
    pub warntime: Option<Spanned<u64>>,
    /// `initdead`, ms
    pub initdead: Option<Spanned<u64>>,
    /// `deadping`, ms
    pub deadping: Option<Spanned<u64>>,
    /// `udpport`
    pub udpport: Option<Spanned<u16>>,
    /// Heartbeat links
    pub media: Vec<Spanned<Medium>>,
    /// `ping`, `ping6`, `ping_group`
    pub pings: Vec<Spanned<PingTarget>>,
    /// `auto_failback`
    pub auto_failback: Option<Spanned<AutoFailback>>,
    /// `nice_failback`
    pub nice_failback: Option<Spanned<bool>>,
    /// `logfile`, `debugfile`, `logfacility`, `debug`, `log_badpack`
    pub logging: Logging,
    /// `log_badpack`
    pub log_bad_packets: Option<bool>,
    /// `realtime`
    pub realtime: Option<bool>,
    /// `rtprio`
    pub realtime_priority: Option<u8>,
    /// `msgfmt classic`
    pub inner_auth: Option<bool>,
    /// `hopfudge`
    pub hopfudge: Option<u8>,
    /// `max_rexmit_delay`, ms
    pub max_rexmit_delay_ms: Option<u64>,
    /// `hbgenmethod`
    pub generation_source: Option<GenerationSource>,
    /// `uuidfrom`
    pub uuid_source: Option<UuidSource>,
    /// `cluster`
    pub cluster: Option<String>,
    /// The last `respawn` line that runs `ipfail`.
    pub ipfail: Option<Span>,
    /// `env`
    pub environment: Vec<(String, String)>,
    /// Last value of each directive as written.
    pub parameters: BTreeMap<String, String>,
    /// `stonith` and `stonith_host` lines.
    pub stonith: Vec<Stonith>,
    /// `watchdog`
    pub watchdog: Option<String>,
    /// A `serial` line.
    pub serial: Option<Span>,
    /// Directives with a line that could not be understood: what they say is not all here.
    pub faulty: BTreeSet<Id>,
}

/// Reads ha.cf. Never fails: what cannot be understood is left out and reported.
pub fn parse(source: &SourceFile) -> (HaCf, Vec<Diagnostic>) {
    let mut parser = Parser {
        source,
        cf: HaCf::default(),
        sink: Sink::new(FileId::HaCf),
        seen: BTreeMap::new(),
        first_udp: None,
    };
    lexer::check_characters(source, FileId::HaCf, &mut parser.sink);
    for line in source.lines() {
        parser.line(&line);
    }
    (parser.cf, parser.sink.finish())
}

struct Parser<'a> {
    source: &'a SourceFile,
    cf: HaCf,
    sink: Sink,
    /// Where each scalar was given last.
    seen: BTreeMap<Id, Span>,
    /// The first medium that uses `udpport`, and the port in force there.
    first_udp: Option<(Span, u16)>,
}

/// One line with a known directive.
struct Statement<'a> {
    row: &'static Directive,
    /// The directive as written, perhaps an alias.
    name: &'a Word,
    /// All behind it, separated as its grammar says.
    values: Vec<Word>,
}

impl Statement<'_> {
    /// From the first value to the last.
    fn values_span(&self) -> Span {
        match (self.values.first(), self.values.last()) {
            (Some(first), Some(last)) => first.span.to(last.span),
            (None, _) | (_, None) => self.name.span,
        }
    }
}

impl Parser<'_> {
    fn line(&mut self, line: &Range<usize>) {
        let comment = lexer::comment_start(self.source, line);
        let code = line.start..comment.unwrap_or(line.end);
        let words = lexer::words(self.source, FileId::HaCf, code.clone(), |_| false);
        let Some(name) = words.first() else { return };
        self.check_length(line, name);
        let Some(row) = directives::find(&name.text) else {
            // Past the bound it is only counted: hints for a flood cost time and are not shown.
            if self.sink.errors() >= MAX_PER_FILE {
                self.sink.push(Diagnostic::new(Code::UnknownDirective, String::new()));
                return;
            }
            let word = name.text.split(['=', ':']).next().unwrap_or_default();
            let near = directives::nearest(word).and_then(directives::find);
            self.cf.faulty.extend(near.map(|row| row.id));
            self.sink.push(unknown(name, &words[1..]));
            return;
        };
        let commas = row.grammar.splits_at_commas();
        let rest = name.span.end..code.end;
        let values = lexer::words(self.source, FileId::HaCf, rest, |c| commas && c == ',');
        if values.is_empty() {
            self.cf.faulty.insert(row.id);
            self.sink.push(missing_value(row, name, comment));
            return;
        }
        let statement = Statement { row, name, values };
        self.check_hash(&statement, comment);
        self.statement(&statement);
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        let errors = self.sink.errors();
        let value = self.value(statement);
        if self.sink.errors() > errors {
            self.cf.faulty.insert(statement.row.id);
        }
        let Some(value) = value else { return };
        if statement.row.grammar.is_scalar() {
            self.note_repetition(statement);
        }
        let raw = if let Grammar::WholeLine(_) = statement.row.grammar {
            let span = statement.values_span();
            self.source.text().get(span.start..span.end).map(str::to_owned)
        } else {
            statement.values.last().map(|word| word.text.clone())
        };
        // Parameters are shown to everybody and exported to scripts; this line holds passwords, and
        // `env NAME=VALUE` may.
        if statement.row.id != Id::StonithHost {
            let raw = cover_resource(&raw.unwrap_or_default());
            self.cf.parameters.insert(statement.row.name.to_owned(), raw);
        }
        self.check_support(statement, &value);
        self.apply(statement, value);
    }

    /// Says what of a directive is not performed.
    fn check_support(&mut self, statement: &Statement<'_>, value: &Value) {
        let name = &statement.name.text;
        match statement.row.support {
            Support::Implemented => {}
            Support::AcceptedWithWarning { inert, .. } | Support::Refused { inert, .. }
                if inert.is_some_and(|inert| value.is_word(inert)) => {}
            Support::AcceptedWithWarning { .. } if statement.row.id == Id::NiceFailback => {
                let on = value.is_word("on");
                let instead = if on { "auto_failback off" } else { "auto_failback on" };
                let read = if on { "auto_failback off" } else { "auto_failback legacy" };
                self.sink.push(
                    Diagnostic::new(Code::Obsolete, "nice_failback is obsolete")
                        .at(statement.name.span, format!("read as `{read}`"))
                        .help(format!("write `{instead}`, the same on both nodes")),
                );
            }
            // The node makes ipfail's decision itself; the program is not started.
            Support::AcceptedWithWarning { .. } if is_ipfail(statement) => {}
            Support::AcceptedWithWarning { why, .. } => {
                self.sink.push(
                    Diagnostic::new(
                        Code::NotPerformed,
                        format!("`{name}` is accepted but not performed"),
                    )
                    .at(statement.name.span, "has no effect here")
                    .help(why),
                );
            }
            Support::Refused { why, instead, .. } => {
                let text = format!("`{name} {}` cannot be honoured", value.word());
                self.sink.push(
                    Diagnostic::new(Code::Refused, text)
                        .at(statement.name.span.to(statement.values_span()), why)
                        .help(instead),
                );
            }
        }
    }

    fn note_repetition(&mut self, statement: &Statement<'_>) {
        let span = statement.name.span.to(statement.values_span());
        let Some(before) = self.seen.insert(statement.row.id, span) else { return };
        let name = statement.row.name;
        self.sink.push(
            Diagnostic::new(Code::Repeated, format!("`{name}` is given twice"))
                .at(span, "this one is used")
                .see(before, "this one has no effect")
                .help("remove the line that is not meant"),
        );
    }

    fn check_length(&mut self, line: &Range<usize>, name: &Word) {
        let text = self.source.text().get(line.clone()).unwrap_or_default();
        if text.len() > MAX_LINE_CHARS && text.chars().count() > MAX_LINE_CHARS {
            let message = "the line is longer than the 5119 characters that Heartbeat 3.0.6 reads";
            self.sink.push(
                Diagnostic::new(Code::LineTooLong, message)
                    .at(name.span, "begins here")
                    .help("shorten it, or divide it into several lines"),
            );
        }
    }

    /// A `#` inside a path or command ends it there, which is easily overlooked.
    fn check_hash(&mut self, statement: &Statement<'_>, comment: Option<usize>) {
        let hides = matches!(statement.row.grammar, Grammar::Path | Grammar::WholeLine(_));
        let (Some(at), Some(last)) = (comment, statement.values.last()) else { return };
        if hides && last.span.end == at {
            self.sink.push(
                Diagnostic::new(Code::HashInValue, "the value ends before this `#`")
                    .at(Span::new(FileId::HaCf, at, at + 1), "a comment begins here")
                    .see(last.span, "the value")
                    .help("if the comment is meant, put a blank before it"),
            );
        }
    }

    /// Puts a value in its place. Directives that are not performed have none.
    fn apply(&mut self, statement: &Statement<'_>, value: Value) {
        let span = statement.values.last().map_or(statement.name.span, |word| word.span);
        let cf = &mut self.cf;
        match statement.row.id {
            Id::Node => cf.nodes.extend(value.into_nodes()),
            Id::Keepalive => cf.keepalive = value.time(span),
            Id::Deadtime => cf.deadtime = value.time(span),
            Id::Warntime => cf.warntime = value.time(span),
            Id::Initdead => cf.initdead = value.time(span),
            Id::Deadping => cf.deadping = value.time(span),
            Id::Udpport => self.udpport(&value, span),
            Id::Bcast | Id::Ucast | Id::Ucast6 => self.udp_media(value.into_media()),
            Id::Mcast | Id::Mcast6 => cf.media.extend(value.into_media()),
            Id::Ping | Id::Ping6 | Id::PingGroup => cf.pings.extend(value.into_pings()),
            Id::Respawn if is_ipfail(statement) => {
                cf.ipfail = Some(statement.name.span.to(statement.values_span()));
            }
            Id::AutoFailback => {
                cf.auto_failback = value.failback().map(|value| Spanned::new(value, span));
            }
            Id::NiceFailback => {
                cf.nice_failback = Some(Spanned::new(value.is_word("on"), span));
            }
            Id::Logfile => cf.logging.logfile = Some(value.word().to_owned()),
            Id::Debugfile => cf.logging.debugfile = Some(value.word().to_owned()),
            Id::Logfacility => cf.logging.facility = value.facility(),
            Id::Debug => cf.logging.debug = value.byte().unwrap_or_default(),
            Id::LogBadpack => cf.log_bad_packets = Some(value.is_word("on")),
            Id::Rtprio => cf.realtime_priority = value.byte(),
            Id::Realtime => cf.realtime = Some(value.is_word("on")),
            Id::Hbgenmethod => {
                let time = value.is_word("time");
                let source = if time { GenerationSource::Time } else { GenerationSource::File };
                cf.generation_source = Some(source);
            }
            Id::Uuidfrom => {
                let name = value.is_word("nodename");
                cf.uuid_source = Some(if name { UuidSource::NodeName } else { UuidSource::File });
            }
            Id::Msgfmt => cf.inner_auth = Some(value.is_word("classic")),
            Id::MaxRexmitDelay => cf.max_rexmit_delay_ms = value.number().map(u64::from),
            Id::Hopfudge => cf.hopfudge = value.byte(),
            Id::Cluster => cf.cluster = Some(value.word().to_owned()),
            Id::Env => cf.environment.extend(value.into_assignments()),
            Id::Stonith | Id::StonithHost => self.stonith(statement),
            Id::Watchdog => cf.watchdog = Some(value.word().to_owned()),
            Id::Serial => cf.serial = Some(statement.name.span),
            Id::Baud
            | Id::Respawn
            | Id::Failfast
            | Id::Apiauth
            | Id::UseLogd
            | Id::ConnLogdTime
            | Id::Syslogmsgfmt
            | Id::Memreserve
            | Id::Normalpoll
            | Id::Compression
            | Id::CompressionThreshold
            | Id::TraditionalCompression
            | Id::Coredumps
            | Id::Coreroot
            | Id::Autojoin
            | Id::QuorumServer
            | Id::UseApphbd
            | Id::Pacemaker
            | Id::CrmDaemonDir
            | Id::CrmdSpawnsPengine
            | Id::RecordConfigChanges
            | Id::RecordPengineInputs
            | Id::EnableConfigWrites => {}
        }
    }

    /// Media that use the port of `udpport`.
    fn udp_media(&mut self, media: Vec<Spanned<Medium>>) {
        let port = self.cf.udpport.as_ref().map_or(DEFAULT_PORT, |port| port.value);
        let first = media.first().map(|medium| (medium.span, port));
        self.first_udp = self.first_udp.or(first);
        self.cf.media.extend(media);
    }

    fn udpport(&mut self, value: &Value, span: Span) {
        let Some(port) = value.number().and_then(|port| u16::try_from(port).ok()) else { return };
        if let Some((medium, before)) = self.first_udp.filter(|(_, before)| port != *before) {
            self.sink.push(
                Diagnostic::new(
                    Code::PortAfterMedia,
                    format!("udpport {port} stands below a medium that should use it"),
                )
                .at(span, format!("port {port} from here on"))
                .see(medium, format!("Heartbeat 3.0.6 opens this on port {before}"))
                .help("move the udpport line above the first medium"),
            );
        }
        self.cf.udpport = Some(Spanned::new(port, span));
    }
}

/// The command's file name decides: distributions keep it in different directories.
fn is_ipfail(statement: &Statement<'_>) -> bool {
    statement.row.id == Id::Respawn
        && statement
            .values
            .get(1)
            .is_some_and(|command| command.text.rsplit('/').next() == Some("ipfail"))
}

fn unknown(name: &Word, rest: &[Word]) -> Diagnostic {
    let shown = shorten(&name.text);
    let found = Diagnostic::new(Code::UnknownDirective, format!("unknown directive `{shown}`"));
    let divided =
        name.text.split_once(['=', ':']).filter(|(word, _)| directives::find(word).is_some());
    if let Some((word, value)) = divided {
        let value = rest.first().filter(|_| value.is_empty()).map_or(value, |word| &word.text);
        return found
            .at(name.span, "a blank stands between directive and value")
            .help(format!("write `{word} {}`", shorten(value)));
    }
    if let Some(near) = directives::nearest(&name.text) {
        let more = rest.first().map(|word| format!(" {}", shorten(&word.text)));
        return found
            .at(name.span, format!("did you mean `{near}`?"))
            .help(format!("write `{near}{}`", more.unwrap_or_default()));
    }
    if let Some(section) = native::section_of(&name.text) {
        return found
            .at(name.span, "this belongs in hb.toml")
            .help(format!("move it to the section [{section}] of hb.toml"));
    }
    if ["hbaping", "tipc", "rds", "openais"].contains(&name.text.as_str()) {
        return found
            .at(name.span, "a medium that neither Debian's Heartbeat nor Twinbeat has")
            .help("use bcast, ucast, ucast6, mcast or mcast6");
    }
    found
        .at(name.span, "ha.cf has no directive of this name")
        .maybe_help(lexer::comment_hint(&name.text))
        .help("`hb explain` lists all directives")
}

fn missing_value(row: &Directive, name: &Word, comment: Option<usize>) -> Diagnostic {
    let found = Diagnostic::new(Code::MissingValue, format!("`{}` needs a value", name.text))
        .at(name.span, format!("expected: {} {}", name.text, row.grammar.syntax()));
    match comment {
        Some(at) => found.see(Span::new(FileId::HaCf, at, at + 1), "all from here on is a comment"),
        None => found,
    }
    .help("write the value, or remove the line")
}

/// At most 40 characters of `text`, for messages. Control characters are replaced: messages also
/// go to logs and terminals.
pub(crate) fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut short: String = text.chars().take(MAX_CHARS).map(plain).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
