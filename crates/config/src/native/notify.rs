//! What hb.toml has said of `[notify]` so far, put together in [`NotifyDraft::finish`]. What is wrong
//! here is a warning: a pair must not stay down because of a mail server's name.

use std::collections::BTreeMap;

use super::keys::NotifyKey;
use super::keys::{EXEC, MAIL, WEBHOOK, event};
use super::values::Item;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::hint;
use crate::settings::notify::{
    Channel, ChannelKind, Event, Gravity, Login, Mail, MailBy, Notify, Smtp, Tls, Webhook,
};
use crate::span::{Span, Spanned};

/// Channels that are read; more is a mistake.
const CHANNELS_MAX: usize = 32;
/// Longest name of a channel: it is part of file names.
const NAME_MAX: usize = 32;
/// Limit of one try when nothing is said of it, in ms.
const TIMEOUT_MS: u64 = 30_000;

/// One table of a channel.
#[derive(Debug)]
struct Draft {
    section: &'static str,
    at: Span,
    name: Option<Spanned<String>>,
    events: Vec<Spanned<String>>,
    min_severity: Gravity,
    timeout_ms: u64,
    from: Option<Spanned<String>>,
    to: Vec<Spanned<String>>,
    server: Option<Spanned<String>>,
    tls: Tls,
    user: Option<Spanned<String>>,
    password_file: Option<Spanned<String>>,
    ca_file: Option<Spanned<String>>,
    sendmail: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    header_file: Option<Spanned<String>>,
    command: Vec<Spanned<String>>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct NotifyDraft {
    notify: Notify,
    at: Option<Span>,
    channels: Vec<Draft>,
}

impl NotifyDraft {
    /// `[notify]` begins.
    pub(super) fn begin(&mut self, at: Span) {
        self.at = Some(at);
    }

    /// `[[notify.mail]]` and the like begins; its index. `None` when there are too many.
    pub(super) fn begin_channel(&mut self, section: &'static str, at: Span) -> Option<usize> {
        if self.channels.len() == CHANNELS_MAX {
            return None;
        }
        self.channels.push(Draft {
            section,
            at,
            name: None,
            events: Vec::new(),
            min_severity: Gravity::Info,
            timeout_ms: TIMEOUT_MS,
            from: None,
            to: Vec::new(),
            server: None,
            tls: Tls::Starttls,
            user: None,
            password_file: None,
            ca_file: None,
            sendmail: None,
            url: None,
            token_file: None,
            header_file: None,
            command: Vec::new(),
        });
        Some(self.channels.len() - 1)
    }

    /// A value of `[notify]` itself.
    pub(super) fn put(&mut self, key: NotifyKey, number: u64) {
        match key {
            NotifyKey::Settle => self.notify.settle_ms = number,
            NotifyKey::Clear => self.notify.clear_ms = number,
            NotifyKey::DaemonGrace => self.notify.daemon_grace_ms = number,
            NotifyKey::Name
            | NotifyKey::Events
            | NotifyKey::MinSeverity
            | NotifyKey::Timeout
            | NotifyKey::From
            | NotifyKey::To
            | NotifyKey::Server
            | NotifyKey::Tls
            | NotifyKey::User
            | NotifyKey::PasswordFile
            | NotifyKey::CaFile
            | NotifyKey::Sendmail
            | NotifyKey::Url
            | NotifyKey::TokenFile
            | NotifyKey::HeaderFile
            | NotifyKey::Command => {}
        }
    }

    /// A value of a channel.
    pub(super) fn put_channel(&mut self, index: usize, key: NotifyKey, item: Item, span: Span) {
        let Some(channel) = self.channels.get_mut(index) else { return };
        match item {
            Item::Number(number) => channel.put_number(key, number),
            Item::Text(text) => channel.put_text(key, Spanned::new(text, span)),
            Item::Texts(texts) => {
                let texts = texts.into_iter().map(|text| Spanned::new(text, span)).collect();
                channel.put_texts(key, texts);
            }
            // No such key has such a kind.
            Item::Probes(_) | Item::Parameters(_) | Item::Addresses(_) => {}
        }
    }

    /// What is only known when all is read.
    pub(super) fn finish(self, sink: &mut Sink) -> Notify {
        let Self { mut notify, at, mut channels } = self;
        // A table of TOML is read by name.
        channels.sort_by_key(|draft| draft.at.start);
        if let (Some(at), true) = (at, channels.is_empty()) {
            let found = Diagnostic::new(Code::NotifyNobody, "[notify] has no channel");
            sink.push(
                found
                    .at(at, "nobody is told")
                    .help("add [[notify.mail]], [[notify.webhook]] or [[notify.exec]]"),
            );
        }
        let mut counts = BTreeMap::new();
        for draft in channels {
            let number = counts.entry(draft.section).and_modify(|count| *count += 1).or_insert(1);
            let name = draft.name(*number, &notify.channels, sink);
            if let (Some(name), Some(channel)) = (name, draft.finish(sink)) {
                notify.channels.push(Channel { name, ..channel });
            }
        }
        notify
    }
}

impl Draft {
    fn put_number(&mut self, key: NotifyKey, number: u64) {
        let index = usize::try_from(number).unwrap_or_default();
        // The table gives no other key of a channel this kind.
        if key == NotifyKey::Timeout {
            self.timeout_ms = number;
        } else if key == NotifyKey::MinSeverity {
            self.min_severity = Gravity::ALL.get(index).copied().unwrap_or(Gravity::Info);
        } else if key == NotifyKey::Tls {
            self.tls = match number {
                0 => Tls::Starttls,
                1 => Tls::Implicit,
                _ => Tls::None,
            };
        }
    }

    fn put_text(&mut self, key: NotifyKey, text: Spanned<String>) {
        let places = [
            (NotifyKey::Name, &mut self.name),
            (NotifyKey::From, &mut self.from),
            (NotifyKey::Server, &mut self.server),
            (NotifyKey::User, &mut self.user),
            (NotifyKey::PasswordFile, &mut self.password_file),
            (NotifyKey::CaFile, &mut self.ca_file),
            (NotifyKey::Sendmail, &mut self.sendmail),
            (NotifyKey::Url, &mut self.url),
            (NotifyKey::TokenFile, &mut self.token_file),
            (NotifyKey::HeaderFile, &mut self.header_file),
        ];
        if let Some((_, place)) = places.into_iter().find(|(own, _)| *own == key) {
            *place = Some(text);
        }
    }

    fn put_texts(&mut self, key: NotifyKey, texts: Vec<Spanned<String>>) {
        let places = [
            (NotifyKey::Events, &mut self.events),
            (NotifyKey::To, &mut self.to),
            (NotifyKey::Command, &mut self.command),
        ];
        if let Some((_, place)) = places.into_iter().find(|(own, _)| *own == key) {
            *place = texts;
        }
    }

    /// `number` counts those of its kind, from 1.
    fn name(&self, number: usize, others: &[Channel], sink: &mut Sink) -> Option<String> {
        let kind = self.section.rsplit('.').next().unwrap_or_default();
        let Some(name) = &self.name else { return Some(format!("{kind}-{number}")) };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let text = if !name.value.chars().all(fits) || name.value.len() > NAME_MAX {
            format!("a name has letters, digits, `_` and `-`, at most {NAME_MAX}")
        } else if others.iter().any(|other| other.name == name.value) {
            "another channel has this name".to_owned()
        } else {
            return Some(name.value.clone());
        };
        sink.push(
            Diagnostic::new(Code::NotifyValue, "this is no name for a channel")
                .at(name.span, text)
                .help("write `name = \"oncall\"`"),
        );
        None
    }

    fn finish(&self, sink: &mut Sink) -> Option<Channel> {
        let mut events = Vec::new();
        for word in &self.events {
            match event(&word.value) {
                Some(event) => events.push(event),
                None => sink.push(no_event(word)),
            }
        }
        // A filter of which nothing is valid must not become "all".
        let filtered_out = events.is_empty() && !self.events.is_empty();
        let kind = match self.section {
            MAIL => self.mail(sink).map(ChannelKind::Mail),
            WEBHOOK => self.webhook(sink).map(ChannelKind::Webhook),
            EXEC => self.exec(sink),
            _ => None,
        }?;
        let (min_severity, timeout_ms) = (self.min_severity, self.timeout_ms);
        let channel = Channel { name: String::new(), kind, events, min_severity, timeout_ms };
        (!filtered_out).then_some(channel)
    }

    fn mail(&self, sink: &mut Sink) -> Option<Mail> {
        let from = self.need(self.from.as_ref(), "from", "\"heartbeat@example.com\"", sink);
        if self.to.is_empty() {
            sink.push(self.lacks("to", "\"oncall@example.com\""));
        }
        for address in from.into_iter().chain(&self.to) {
            if !is_mailbox(&address.value) {
                let found = Diagnostic::new(Code::NotifyValue, "this is no mail address");
                sink.push(
                    found
                        .at(address.span, "expected NAME@HOST or TEXT <NAME@HOST>")
                        .help("write \"oncall@example.com\""),
                );
                return None;
            }
        }
        let by = self.mail_by(sink);
        let to: Vec<String> = self.to.iter().map(|it| it.value.clone()).collect();
        match (from, to.is_empty(), by) {
            (Some(from), false, Some(by)) => Some(Mail { from: from.value.clone(), to, by }),
            (None, ..) | (_, true, _) | (.., None) => None,
        }
    }

    fn mail_by(&self, sink: &mut Sink) -> Option<MailBy> {
        match (&self.server, &self.sendmail) {
            (None, Some(program)) => {
                let program = absolute(program, sink)?;
                Some(MailBy::Sendmail { program })
            }
            (Some(server), None) => self.smtp(server, sink).map(MailBy::Smtp),
            (Some(_), Some(_)) | (None, None) => {
                let found = Diagnostic::new(
                    Code::NotifyChannel,
                    "[[notify.mail]] has none or both of server and sendmail",
                );
                sink.push(
                    found
                        .at(self.at, "one of them takes the mail")
                        .help("write `server = \"smtp.example.com\"`")
                        .help("or `sendmail = \"/usr/sbin/sendmail\"`"),
                );
                None
            }
        }
    }

    fn smtp(&self, server: &Spanned<String>, sink: &mut Sink) -> Option<Smtp> {
        let default = match self.tls {
            Tls::Starttls => 587,
            Tls::Implicit => 465,
            Tls::None => 25,
        };
        let Some((host, port)) = host_and_port(&server.value, default) else {
            let found = Diagnostic::new(Code::NotifyValue, "this is no server");
            sink.push(
                found
                    .at(server.span, "expected HOST, HOST:PORT or [IPV6]:PORT")
                    .help("write `server = \"smtp.example.com:587\"`"),
            );
            return None;
        };
        let login = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => {
                let password_file = absolute(file, sink)?;
                if self.tls == Tls::None {
                    let found = Diagnostic::new(
                        Code::NotifyClear,
                        "the password of the mail server is sent in clear",
                    );
                    sink.push(
                        found.at(file.span, "without TLS").help("write `tls = \"starttls\"`"),
                    );
                }
                Some(Login { user: user.value.clone(), password_file })
            }
            (None, None) => None,
            (Some(_), None) => {
                sink.push(self.lacks("password_file", "\"/etc/ha.d/mail.password\""));
                return None;
            }
            (None, Some(_)) => {
                sink.push(self.lacks("user", "\"heartbeat\""));
                return None;
            }
        };
        let ca_file = optional(self.ca_file.as_ref(), sink)?;
        Some(Smtp { host, port, tls: self.tls, login, ca_file })
    }

    fn webhook(&self, sink: &mut Sink) -> Option<Webhook> {
        let url = self.need(self.url.as_ref(), "url", "\"https://hooks.example.com/web\"", sink)?;
        let rest = ["https://", "http://"].iter().find_map(|it| url.value.strip_prefix(it));
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if !rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(blank)) {
            let found = Diagnostic::new(Code::NotifyValue, "this is no URL of a webhook");
            sink.push(
                found
                    .at(url.span, "expected https://… or http://…")
                    .help("write `url = \"https://hooks.example.com/web\"`"),
            );
            return None;
        }
        let secret = self.token_file.as_ref().or(self.header_file.as_ref());
        if let Some(secret) = secret.filter(|_| url.value.starts_with("http://")) {
            let found = Diagnostic::new(Code::NotifyClear, "a secret is sent in clear");
            sink.push(found.at(secret.span, "without TLS").help("write `url = \"https://…\"`"));
        }
        Some(Webhook {
            url: url.value.clone(),
            token_file: optional(self.token_file.as_ref(), sink)?,
            header_file: optional(self.header_file.as_ref(), sink)?,
            ca_file: optional(self.ca_file.as_ref(), sink)?,
        })
    }

    fn exec(&self, sink: &mut Sink) -> Option<ChannelKind> {
        let Some(program) = self.command.first() else {
            sink.push(self.lacks("command", "[\"/usr/local/bin/page\"]"));
            return None;
        };
        absolute(program, sink)?;
        let command = self.command.iter().map(|word| word.value.clone()).collect();
        Some(ChannelKind::Exec { command })
    }

    fn need<'a>(
        &self,
        value: Option<&'a Spanned<String>>,
        name: &str,
        example: &str,
        sink: &mut Sink,
    ) -> Option<&'a Spanned<String>> {
        if value.is_none() {
            sink.push(self.lacks(name, example));
        }
        value
    }

    fn lacks(&self, name: &str, example: &str) -> Diagnostic {
        let text = format!("[[{}]] has no `{name}`", self.section);
        Diagnostic::new(Code::NotifyChannel, text)
            .at(self.at, "this channel is left out")
            .help(format!("write `{name} = {example}`"))
    }
}

fn no_event(word: &Spanned<String>) -> Diagnostic {
    let words = Event::WORDS.iter().copied().filter(|word| *word != Event::Test.word());
    let label = match hint::nearest(&word.value, words.clone()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "not one of its words".to_owned(),
    };
    let known: Vec<&str> = words.collect();
    Diagnostic::new(Code::NotifyValue, "this is no kind of event")
        .at(word.span, label)
        .help(format!("write some of: {}", known.join(", ")))
}

/// A path, when one was written; `None` when it is none.
#[expect(clippy::option_option, reason = "absent is fine, wrong is not")]
fn optional(path: Option<&Spanned<String>>, sink: &mut Sink) -> Option<Option<String>> {
    match path {
        Some(path) => absolute(path, sink).map(Some),
        None => Some(None),
    }
}

fn absolute(path: &Spanned<String>, sink: &mut Sink) -> Option<String> {
    if path.value.starts_with('/') {
        return Some(path.value.clone());
    }
    sink.push(
        Diagnostic::new(Code::NotifyValue, "this is no absolute path")
            .at(path.span, "a service has no directory of its own")
            .help("write the path from `/`"),
    );
    None
}

/// `NAME@HOST` or `TEXT <NAME@HOST>`; the mail library reads it again.
fn is_mailbox(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    let fits = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace());
    let controls = text.contains(char::is_control);
    !controls && address.rsplit_once('@').is_some_and(|(name, host)| fits(name) && fits(host))
}

fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("")),
        },
    };
    let port = match port? {
        "" if text.ends_with(':') => return None,
        "" => default,
        port => port.parse().ok().filter(|port| *port > 0)?,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    (!host.is_empty() && host.chars().all(fits)).then(|| (host.to_owned(), port))
}
