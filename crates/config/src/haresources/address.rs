//! Arguments of the built-in address resources. Orders (Heartbeat 3.0.6, §9.4 of the protocol
//! description): IPaddr and IPaddr2 `ip[/netmask[/nic[/broadcast]]]` or `ip/netmask/broadcast`,
//! IPv6addr `ip[/bits[/nic]]`, SendArp `ip/nic`.

use std::net::{IpAddr, Ipv4Addr};

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::ha_cf::{address_fault, interface_fault, shorten};
use crate::lexer::{self, Word};
use crate::settings::{AddressSpec, BuiltIn};
use crate::span::Span;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// Longest IPv4 address label: IFNAMSIZ without its NUL.
const MAX_LABEL_BYTES: usize = 15;

/// A piece of the argument between slashes, with its place.
struct Part<'a> {
    text: &'a str,
    span: Span,
}

pub(super) fn ipaddr(word: &Word, arguments: &str) -> Result<BuiltIn> {
    let parts = parts(word, arguments);
    let ip = ip(word, &parts)?;
    let mut spec =
        AddressSpec { ip, prefix_len: None, interface: None, label: None, broadcast: None };
    if let Some(part) = parts.get(1) {
        spec.prefix_len = prefix(word, part, ip)?;
    }
    match (parts.get(2), parts.get(3)) {
        (Some(third), None) if third.text.parse::<Ipv4Addr>().is_ok() => {
            spec.broadcast = broadcast(word, third, ip)?;
        }
        (Some(third), fourth) => {
            interface(word, third, &mut spec)?;
            if let Some(part) = fourth {
                spec.broadcast = broadcast(word, part, ip)?;
            }
        }
        (None, _) => {}
    }
    too_many(word, &parts, 4)?;
    Ok(BuiltIn::Address(spec))
}

pub(super) fn ipv6addr(word: &Word, arguments: &str) -> Result<BuiltIn> {
    let parts = parts(word, arguments);
    let ip = ip(word, &parts)?;
    if let (IpAddr::V4(_), Some(part)) = (ip, parts.first()) {
        let found = invalid(word, part.span, "this is an IPv4 address");
        return Err(Box::new(found.help("use `IPaddr::` for it")));
    }
    let mut spec =
        AddressSpec { ip, prefix_len: None, interface: None, label: None, broadcast: None };
    if let Some(part) = parts.get(1) {
        spec.prefix_len = prefix(word, part, ip)?;
    }
    if let Some(part) = parts.get(2) {
        interface(word, part, &mut spec)?;
    }
    too_many(word, &parts, 3)?;
    Ok(BuiltIn::Address(spec))
}

pub(super) fn send_arp(word: &Word, arguments: &str) -> Result<BuiltIn> {
    let parts = parts(word, arguments);
    let ip = ip(word, &parts)?;
    let interface = parts.get(1).filter(|part| interface_fault(part.text).is_none());
    let Some(interface) = interface else {
        let span = parts.get(1).map_or(word.span, |part| part.span);
        let found = invalid(word, span, "expected `ip/interface`");
        return Err(Box::new(found.help("write for instance `SendArp::192.168.1.10/eth0`")));
    };
    too_many(word, &parts, 2)?;
    Ok(BuiltIn::SendArp { ip, interface: interface.text.to_owned() })
}

/// What to say of an address although it can be set.
pub(super) fn warning(word: &Word, spec: &AddressSpec) -> Option<Diagnostic> {
    let (IpAddr::V4(ip), Some(bits)) = (spec.ip, spec.prefix_len) else { return None };
    // RFC 3021: with 31 bits both addresses are hosts.
    let host_bits = 32u32.checked_sub(u32::from(bits)).filter(|bits| (2..32).contains(bits))?;
    let mask = (1u32 << host_bits) - 1;
    let what = match u32::from(ip) & mask {
        0 => "the network's own address",
        rest if rest == mask => "the network's broadcast address",
        _ => return None,
    };
    let text = format!("{ip} is no host's address in a /{bits} network");
    Some(
        Diagnostic::new(Code::NetworkAddress, text)
            .at(word.span, format!("this is {what}"))
            .help("check address and prefix"),
    )
}

/// The argument divided at slashes. A joined word's pieces have no places of their own.
fn parts<'a>(word: &Word, arguments: &'a str) -> Vec<Part<'a>> {
    let mut offset = word.text.len() - arguments.len();
    let direct = word.span.end - word.span.start == word.text.len();
    let mut found = Vec::new();
    for text in arguments.split('/') {
        let start = word.span.start + offset;
        let span = match direct && !text.is_empty() {
            true => Span::new(word.span.file, start, start + text.len()),
            false => word.span,
        };
        found.push(Part { text, span });
        offset += text.len() + 1;
    }
    found
}

fn ip(word: &Word, parts: &[Part<'_>]) -> Result<IpAddr> {
    let Some(part) = parts.first().filter(|part| !part.text.is_empty()) else {
        let found = invalid(word, word.span, "the address is missing");
        return Err(Box::new(found.help("write for instance `IPaddr::192.168.1.10/24/eth0`")));
    };
    let fault = match part.text.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => "this is no host's address",
        Ok(ip) if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) => {
            "this is a group's address"
        }
        Ok(ip) => return Ok(ip),
        Err(_) if part.text.contains(':') => "not an IPv6 address",
        Err(_) if part.text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            address_fault(part.text)
        }
        Err(_) => "expected an address",
    };
    let names = part.text.bytes().any(|b| b.is_ascii_alphabetic()) && !part.text.contains(':');
    let found = invalid(word, part.span, fault).maybe_help(lexer::comment_hint(part.text));
    Err(Box::new(match names && part.text.is_ascii() {
        true => found.help("write the address in numbers; names are not resolved here"),
        false => found,
    }))
}

/// A number of bits or, for IPv4, a netmask; empty leaves it to the route.
fn prefix(word: &Word, part: &Part<'_>, ip: IpAddr) -> Result<Option<u8>> {
    let max = match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let text = part.text;
    if text.is_empty() {
        return Ok(None);
    }
    if let (IpAddr::V4(_), Ok(mask)) = (ip, text.parse::<Ipv4Addr>()) {
        let bits = u32::from(mask);
        if bits.leading_ones() + bits.trailing_zeros() == 32 || bits == 0 {
            return Ok(u8::try_from(bits.leading_ones()).ok());
        }
        let found = invalid(word, part.span, "not a netmask: its bits have gaps");
        return Err(Box::new(found.help("write the prefix length, 24 for instance")));
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(bits) = text.parse::<u8>().ok().filter(|bits| digits && *bits <= max) {
        return Ok(Some(bits));
    }
    let found = invalid(word, part.span, &format!("expected a prefix length from 0 to {max}"))
        .maybe_help(lexer::comment_hint(text));
    Err(Box::new(match interface_fault(text) {
        None if !digits => {
            found.help("the order is ip/prefix/interface; write ip//interface to leave it out")
        }
        _ => found,
    }))
}

fn interface(word: &Word, part: &Part<'_>, spec: &mut AddressSpec) -> Result<()> {
    let text = part.text;
    if text.is_empty() {
        return Ok(());
    }
    let (base, label) = match text.split_once(':') {
        Some((base, label)) => (base, Some(label)),
        None => (text, None),
    };
    if let Some(fault) = interface_fault(base) {
        let found = invalid(word, part.span, &format!("not an interface: {fault}"))
            .maybe_help(lexer::comment_hint(text));
        return Err(Box::new(found.help("write the name that `ip link` shows")));
    }
    if let Some(label) = label {
        let fault = if spec.ip.is_ipv6() {
            Some("IPv6 addresses have no labels")
        } else if label.is_empty() || !label.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
            Some("the label behind the colon is not a word")
        } else {
            None
        };
        if let Some(fault) = fault {
            let found = invalid(word, part.span, fault).maybe_help(lexer::comment_hint(label));
            return Err(Box::new(found.help(format!("write `{base}`"))));
        }
        if text.len() > MAX_LABEL_BYTES {
            return Err(Box::new(too_long(part, base)));
        }
        spec.label = Some(text.to_owned());
    }
    spec.interface = Some(base.to_owned());
    Ok(())
}

fn too_long(part: &Part<'_>, base: &str) -> Diagnostic {
    let text = part.text;
    let room = MAX_LABEL_BYTES.saturating_sub(base.len() + 1);
    Diagnostic::new(
        Code::LabelTooLong,
        format!("the label `{}` is longer than {MAX_LABEL_BYTES} bytes", shorten(text)),
    )
    .at(part.span, format!("{} bytes", text.len()))
    .help(format!("leave at most {room} characters behind the colon"))
}

fn broadcast(word: &Word, part: &Part<'_>, ip: IpAddr) -> Result<Option<Ipv4Addr>> {
    if part.text.is_empty() {
        return Ok(None);
    }
    let address = part.text.parse().ok().filter(|_| ip.is_ipv4());
    address.map(Some).ok_or_else(|| {
        let found = invalid(word, part.span, "expected an IPv4 broadcast address")
            .maybe_help(lexer::comment_hint(part.text));
        Box::new(found.help("leave it out: the system computes it from the prefix"))
    })
}

fn too_many(word: &Word, parts: &[Part<'_>], max: usize) -> Result<()> {
    match parts.get(max) {
        None => Ok(()),
        Some(part) => {
            let found = invalid(word, part.span, "one part too many");
            Err(Box::new(found.help("the order is ip/prefix/interface/broadcast")))
        }
    }
}

fn invalid(word: &Word, span: Span, label: &str) -> Diagnostic {
    let text = format!("`{}` is not a usable address", shorten(&word.text));
    Diagnostic::new(Code::InvalidResourceAddress, text).at(span, label)
}
