//! The rows of the table of keys for `[notify]`, which only `hb notify` acts on. Texts and ranges
//! only.

use super::{KeyId, Kind, NativeKey};
use crate::settings::notify::{Event, Gravity};

/// The keys of `[notify]`, for an exhaustive match. Those that every kind of channel has stand in
/// the table once for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented in KEYS")]
pub enum NotifyKey {
    Settle,
    Clear,
    DaemonGrace,
    Name,
    Events,
    MinSeverity,
    Timeout,
    From,
    To,
    Server,
    Tls,
    User,
    PasswordFile,
    CaFile,
    Sendmail,
    Url,
    TokenFile,
    HeaderFile,
    Command,
}

/// Sections of channels.
pub(crate) const MAIL: &str = "notify.mail";
/// Sections of channels.
pub(crate) const WEBHOOK: &str = "notify.webhook";
/// Sections of channels.
pub(crate) const EXEC: &str = "notify.exec";

const HOUR_MS: u64 = 3_600_000;
/// Words of `tls`, in the order of `Tls`.
const TLS: &[&str] = &["starttls", "implicit", "none"];

const fn row(
    key: NotifyKey,
    section: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> NativeKey {
    NativeKey { id: KeyId::Notify(key), section, name, kind, default, doc }
}

const fn name(section: &'static str) -> NativeKey {
    row(
        NotifyKey::Name,
        section,
        "name",
        Kind::Text,
        "",
        "What `hb notify test NAME` and the logs call it: letters, digits, `_` and `-`. The \
         default is the kind and its number: `mail-1`.",
    )
}

const fn events(section: &'static str) -> NativeKey {
    row(
        NotifyKey::Events,
        section,
        "events",
        Kind::Texts,
        "",
        "Only these: move, node, split, group, resource, link, configuration, fence, \
         maintenance, daemon. The default is all of them.",
    )
}

const fn severity(section: &'static str) -> NativeKey {
    row(
        NotifyKey::MinSeverity,
        section,
        "min_severity",
        Kind::Choice(Gravity::WORDS),
        "info",
        "Only incidents that are at least so grave. `info`: all, also moves that somebody asked \
         for. `warning`: what is not as it should be. `critical`: what is not served.",
    )
}

const fn timeout(section: &'static str) -> NativeKey {
    row(
        NotifyKey::Timeout,
        section,
        "timeout",
        Kind::Time { min: 100, max: 600_000 },
        "30s",
        "Limit of one try. Then it is broken off and tried again later.",
    )
}

const fn ca_file(section: &'static str) -> NativeKey {
    row(
        NotifyKey::CaFile,
        section,
        "ca_file",
        Kind::Text,
        "",
        "A file with certificates (PEM) that are trusted beside those of the system, for a \
         server with a certificate of your own authority.",
    )
}

/// The rows.
pub(super) const ROWS: [NativeKey; 28] = [
    row(
        NotifyKey::Settle,
        "notify",
        "settle",
        Kind::Time { min: 0, max: HOUR_MS },
        "10s",
        "How long something must last before it is told. What is critical is told at once. The \
         daemon does not act on this section; see `hb notify`.",
    ),
    row(
        NotifyKey::Clear,
        "notify",
        "clear",
        Kind::Time { min: 0, max: HOUR_MS },
        "30s",
        "How long it must be gone before it is told as resolved. It doubles each time the same \
         thing comes back, up to 16 times, so that what flaps is one incident.",
    ),
    row(
        NotifyKey::DaemonGrace,
        "notify",
        "daemon_grace",
        Kind::Time { min: 1_000, max: HOUR_MS },
        "30s",
        "How long the daemon of this node may not answer before that is an incident.",
    ),
    name(MAIL),
    row(NotifyKey::To, MAIL, "to", Kind::Texts, "", "Recipients: `oncall@example.com`."),
    row(
        NotifyKey::From,
        MAIL,
        "from",
        Kind::Text,
        "",
        "Sender: `heartbeat@example.com` or `Web pair <heartbeat@example.com>`.",
    ),
    row(
        NotifyKey::Server,
        MAIL,
        "server",
        Kind::Text,
        "",
        "The mail server: `HOST`, `HOST:PORT`, `[IPV6]:PORT`. The default port is 587, with \
         `tls = \"implicit\"` 465, with `tls = \"none\"` 25.",
    ),
    row(
        NotifyKey::Tls,
        MAIL,
        "tls",
        Kind::Choice(TLS),
        "starttls",
        "`starttls`: the server must offer it, else nothing is sent. `implicit`: encrypted from \
         the first byte. `none`: in clear.",
    ),
    row(NotifyKey::User, MAIL, "user", Kind::Text, "", "User of the mail server, if it wants one."),
    row(
        NotifyKey::PasswordFile,
        MAIL,
        "password_file",
        Kind::Text,
        "",
        "A file with the password alone, which others cannot read (mode 600).",
    ),
    ca_file(MAIL),
    row(
        NotifyKey::Sendmail,
        MAIL,
        "sendmail",
        Kind::Text,
        "",
        "In place of `server`: a program that takes mail as sendmail does, by its absolute path: \
         `/usr/sbin/sendmail`.",
    ),
    events(MAIL),
    severity(MAIL),
    timeout(MAIL),
    name(WEBHOOK),
    row(
        NotifyKey::Url,
        WEBHOOK,
        "url",
        Kind::Text,
        "",
        "Where the event is sent as one JSON object by POST: `https://…` or `http://…`.",
    ),
    row(
        NotifyKey::TokenFile,
        WEBHOOK,
        "token_file",
        Kind::Text,
        "",
        "A file with a token for `Authorization: Bearer`, which others cannot read (mode 600).",
    ),
    row(
        NotifyKey::HeaderFile,
        WEBHOOK,
        "header_file",
        Kind::Text,
        "",
        "A file with lines `Name: value` that are sent as headers, which others cannot read \
         (mode 600).",
    ),
    ca_file(WEBHOOK),
    events(WEBHOOK),
    severity(WEBHOOK),
    timeout(WEBHOOK),
    name(EXEC),
    row(
        NotifyKey::Command,
        EXEC,
        "command",
        Kind::Texts,
        "",
        "A program by its absolute path, and its arguments: `[\"/usr/local/bin/page\", \"web\"]`. \
         No shell is between. It gets the event as JSON on its standard input and in variables \
         `HB_…`.",
    ),
    events(EXEC),
    severity(EXEC),
    timeout(EXEC),
];

/// Words of `events` that can be written: a test goes to every channel.
pub(crate) fn event(word: &str) -> Option<Event> {
    Event::from_word(word).filter(|event| *event != Event::Test)
}
