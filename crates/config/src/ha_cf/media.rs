//! Heartbeat links and ping nodes of ha.cf: interfaces, hosts, groups and ports. Whether an
//! interface exists or a name resolves is for the machine to say when the node starts.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::directives::Grammar;
use crate::lexer::{self, Word};
use crate::settings::{Medium, NodeName, PingKind, PingTarget};
use crate::span::Spanned;

use super::values::{integer, invalid_number};
use super::{Parser, Statement, shorten};

/// Longest interface name: IFNAMSIZ without its NUL.
pub(crate) const MAX_INTERFACE_BYTES: usize = 15;

impl Parser<'_> {
    pub(super) fn bcast(&mut self, words: &[Word]) -> Vec<Spanned<Medium>> {
        let mut media = Vec::new();
        for word in words {
            if let Some(interface) = self.interface(word) {
                media.push(Spanned::new(Medium::Broadcast { interface }, word.span));
            }
        }
        media
    }

    /// `ucast`, `ucast6`, `mcast`, `mcast6`. Every word is looked at, so that one run tells all.
    pub(super) fn medium(&mut self, statement: &Statement<'_>) -> Option<Spanned<Medium>> {
        let span = statement.values_span();
        let medium = match (statement.row.grammar, &statement.values[..]) {
            (Grammar::Ucast, [interface, host]) => {
                let interface = self.interface(interface);
                let host = self.host(host, "ucast6");
                Medium::Unicast { interface: interface?, host: host? }
            }
            (Grammar::Ucast6, [interface, address]) => {
                let interface = self.interface(interface);
                let address = self.ipv6(address, "ucast");
                Medium::Unicast6 { interface: interface?, address: address? }
            }
            (Grammar::Mcast, [interface, group, port, ttl, looped]) => {
                let interface = self.interface(interface);
                let group = self.group4(group);
                let port = self.number("the port", port, 1, 65_535);
                let ttl = self.number("the ttl", ttl, 0, 4);
                let looped = self.number("the loop switch", looped, 0, 1);
                Medium::Multicast {
                    interface: interface?,
                    group: group?,
                    port: u16::try_from(port?).ok()?,
                    ttl: u8::try_from(ttl?).ok()?,
                    loopback: looped? == 1,
                }
            }
            (Grammar::Mcast6, [interface, group, port, hops, looped]) => {
                let interface = self.interface(interface);
                let group = self.group6(group);
                let port = self.number("the port", port, 1, 65_535);
                let hops = self.number("the hop limit", hops, 0, 255);
                let looped = self.number("the loop switch", looped, 0, 1);
                Medium::Multicast6 {
                    interface: interface?,
                    group: group?,
                    port: u16::try_from(port?).ok()?,
                    hops: u8::try_from(hops?).ok()?,
                    loopback: looped? == 1,
                }
            }
            (grammar, words) => {
                let name = &statement.name.text;
                let syntax = grammar.syntax();
                let expected = syntax.split(' ').count();
                let found = Diagnostic::new(
                    Code::MediumSyntax,
                    match words.len() {
                        1 => format!("`{name}` takes {expected} words, here is one"),
                        many => format!("`{name}` takes {expected} words, here are {many}"),
                    },
                )
                .at(span, format!("expected: {name} {syntax}"))
                .maybe_help(words.last().and_then(|word| lexer::comment_hint(&word.text)));
                let commas = words.iter().any(|word| word.text.contains(','));
                self.sink.push(match commas {
                    true => found.help("separate the words by blanks, not by commas"),
                    false => found.help(format!("write one `{name}` line for each path")),
                });
                return None;
            }
        };
        Some(Spanned::new(medium, span))
    }

    pub(super) fn pings(&mut self, words: &[Word], ipv6: bool) -> Vec<Spanned<PingTarget>> {
        let mut pings = Vec::new();
        for word in words {
            let host = match ipv6 {
                true => self.ipv6(word, "ping").map(|_| word.text.clone()),
                false => self.host(word, "ping6"),
            };
            let kind = if ipv6 { PingKind::Ping6 } else { PingKind::Ping };
            if let Some(host) = host {
                let target =
                    PingTarget { name: NodeName::new(&word.text), hosts: vec![host], kind };
                pings.push(Spanned::new(target, word.span));
            }
        }
        pings
    }

    pub(super) fn ping_group(&mut self, statement: &Statement<'_>) -> Option<Spanned<PingTarget>> {
        let (name, words) = statement.values.split_first()?;
        if words.is_empty() {
            self.sink.push(
                Diagnostic::new(Code::MediumSyntax, "`ping_group` needs hosts behind its name")
                    .at(name.span, "this is the group's name")
                    .help("write `ping_group NAME HOST HOST…`"),
            );
            return None;
        }
        let mut hosts = Vec::new();
        for word in words {
            hosts.extend(self.host(word, "ping6"));
        }
        let target = PingTarget { name: NodeName::new(&name.text), hosts, kind: PingKind::Group };
        (target.hosts.len() == words.len()).then(|| Spanned::new(target, name.span))
    }

    fn interface(&mut self, word: &Word) -> Option<String> {
        let text = word.text.as_str();
        let label = match interface_fault(text) {
            None => return Some(text.to_owned()),
            Some(label) => label,
        };
        let base = text.split(':').next().unwrap_or_default();
        let help = match text.contains(':') && interface_fault(base).is_none() {
            true => format!("write `{base}`: a link is bound to the interface, not to an alias"),
            false => "write the name that `ip link` shows".into(),
        };
        self.sink.push(
            Diagnostic::new(
                Code::InvalidInterface,
                format!("`{}` is no network interface", shorten(text)),
            )
            .at(word.span, label)
            .help(help),
        );
        None
    }

    /// A host name or an IPv4 address; `other` is the directive for IPv6.
    fn host(&mut self, word: &Word, other: &str) -> Option<String> {
        let text = word.text.as_str();
        let dotted = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let found = |label: &str| {
            Diagnostic::new(
                Code::InvalidAddress,
                format!("`{}` is no IPv4 address or host name", shorten(text)),
            )
            .at(word.span, label)
        };
        let finding = if text.parse::<Ipv6Addr>().is_ok() {
            found("this is an IPv6 address").help(format!("use `{other}` for it"))
        } else if dotted && text.parse::<Ipv4Addr>().is_err() {
            found(address_fault(text)).help("an address has four numbers from 0 to 255")
        } else if !is_host_name(text) {
            let hint = lexer::comment_hint(text);
            let slash = text.contains('/').then(|| "leave out the prefix length".to_owned());
            found("not an address or host name").maybe_help(hint).maybe_help(slash)
        } else {
            return Some(text.to_owned());
        };
        self.sink.push(finding);
        None
    }

    /// A numeric IPv6 address; `other` is the directive for IPv4.
    fn ipv6(&mut self, word: &Word, other: &str) -> Option<Ipv6Addr> {
        let text = word.text.as_str();
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let help = if text.parse::<Ipv4Addr>().is_ok() {
            format!("use `{other}` for IPv4")
        } else if text.contains('%') {
            "leave out the part from `%` on; the interface stands before it".into()
        } else {
            "write a numeric address such as fd00::2; names are not resolved here".into()
        };
        self.sink.push(
            Diagnostic::new(
                Code::InvalidAddress,
                format!("`{}` is no IPv6 address", shorten(text)),
            )
            .at(word.span, "expected a numeric IPv6 address")
            .help(help),
        );
        None
    }

    fn group4(&mut self, word: &Word) -> Option<Ipv4Addr> {
        let group = word.text.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast);
        if group.is_none() {
            self.sink.push(
                Diagnostic::new(
                    Code::InvalidAddress,
                    format!("`{}` is no IPv4 multicast group", shorten(&word.text)),
                )
                .at(word.span, "expected 224.0.0.0 to 239.255.255.255")
                .help("225.0.0.1 is a usual choice"),
            );
        }
        group
    }

    fn group6(&mut self, word: &Word) -> Option<Ipv6Addr> {
        // Heartbeat 3.0.6 takes link-, admin-, site- and organisation-local scopes (RFC 4291, 2.7).
        let scoped = |group: &Ipv6Addr| {
            group.is_multicast() && matches!(group.segments()[0] & 0xf, 2 | 4 | 5 | 8)
        };
        let group = word.text.parse::<Ipv6Addr>().ok().filter(scoped);
        if group.is_none() {
            self.sink.push(
                Diagnostic::new(
                    Code::InvalidAddress,
                    format!("`{}` is no usable IPv6 multicast group", shorten(&word.text)),
                )
                .at(word.span, "expected link-, admin-, site- or organisation-local scope")
                .help("a group begins with ff02, ff04, ff05 or ff08 (or ff12, ff14, …)"),
            );
        }
        group
    }

    fn number(&mut self, what: &str, word: &Word, min: u32, max: u32) -> Option<u32> {
        let number = integer(word, min, max);
        if number.is_none() {
            let mut found = invalid_number("", word, min, max, "");
            found.message = format!("`{}` cannot be {what}", shorten(&word.text));
            self.sink.push(found);
        }
        number
    }
}

/// Why `text` is no interface name; `None` when it is one.
pub(crate) fn interface_fault(text: &str) -> Option<&'static str> {
    if text.contains(':') {
        Some("this is an alias, not an interface")
    } else if text.len() > MAX_INTERFACE_BYTES {
        Some("longer than 15 bytes")
    } else if text.is_empty() || text == "." || text == ".." {
        Some("not a name")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
        Some("has a character that no interface has")
    } else {
        None
    }
}

/// Letters, digits, `.`, `-` and `_`; `_` occurs in /etc/hosts although RFC 1123 has it not.
pub(crate) fn is_host_name(text: &str) -> bool {
    const MAX_BYTES: usize = 253;
    (1..=MAX_BYTES).contains(&text.len())
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// What is wrong with dotted digits that are no IPv4 address.
pub(crate) fn address_fault(text: &str) -> &'static str {
    let parts: Vec<_> = text.split('.').collect();
    if parts.len() != 4 {
        "an IPv4 address has four numbers"
    } else if parts.iter().any(|part| part.is_empty()) {
        "a number is missing"
    } else if parts.iter().any(|part| part.parse::<u8>().is_err()) {
        "a number is above 255"
    } else {
        "a number has a leading zero"
    }
}
