//! One word of haresources → [`ResourceSpec`]: script, OCF agent, systemd unit or address.

use std::net::{IpAddr, Ipv6Addr};

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::ha_cf::shorten;
use crate::lexer::{self, Word};
use crate::secret::cover_resource;
use crate::settings::{AgentSpec, BuiltIn, ResourceSpec};

use super::address;

/// What a word means, and what to say of it although it is valid.
pub(super) struct Parsed {
    pub(super) spec: ResourceSpec,
    /// Why Heartbeat 3.0.6 does not understand it.
    pub(super) only_twinbeat: Option<&'static str>,
    pub(super) warning: Option<Diagnostic>,
}

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// Units that systemd has; a name without one of these is a service.
const UNIT_SUFFIXES: [&str; 11] = [
    "service",
    "socket",
    "target",
    "timer",
    "mount",
    "automount",
    "path",
    "slice",
    "scope",
    "swap",
    "device",
];

pub(super) fn parse(word: &Word) -> Result<Parsed> {
    let text = word.text.as_str();
    if text == "\\" {
        let found = invalid(word, "it continues a line only as its very last character");
        return Err(Box::new(found.help("remove what stands behind it, blanks too")));
    }
    if looks_like_ipv4(text) || looks_like_part_of_ipv4(text) {
        // Heartbeat: a word that begins with four dotted numbers is an argument of IPaddr.
        return script(word, "IPaddr", text, None);
    }
    if let Some(name) = bare_ipv6(text) {
        let why = "a bare IPv6 address: 3.0.6 looks for a script of that name";
        return script(word, name, text, Some(why));
    }
    match text.split_once("::") {
        Some(("ocf", rest)) => ocf(word, rest),
        Some(("systemd", rest)) => systemd(word, rest),
        Some(("lsb", rest)) => Err(Box::new(
            invalid(word, "`lsb` is not a script")
                .help(format!("write `{}`: init scripts stand by their name", shorten(rest))),
        )),
        Some((name, arguments)) => script(word, name, arguments, None),
        None => script(word, text, "", None),
    }
}

/// `digits.digits.digits.digits…`
fn looks_like_ipv4(text: &str) -> bool {
    let mut parts = text.splitn(4, '.');
    let number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    number(parts.next())
        && number(parts.next())
        && number(parts.next())
        && parts.next().is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()))
}

/// `192.168.1/24`: not what Heartbeat takes for an address, but nothing else either.
fn looks_like_part_of_ipv4(text: &str) -> bool {
    let ip = text.split('/').next().unwrap_or_default();
    ip.contains('.') && ip.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// The script for a bare IPv6 address. Only what can be a floating address is one: global
/// unicast, unique local and link-local (RFC 4291, RFC 4193). `db2::1` and `a::b` are addresses
/// too, but more likely scripts with an argument.
fn bare_ipv6(text: &str) -> Option<&'static str> {
    let address: Ipv6Addr = text.split('/').next()?.parse().ok()?;
    let first = address.segments()[0];
    let usable = first & 0xe000 == 0x2000 || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
    // A multicast address is an error that is better told as such.
    (usable || first & 0xff00 == 0xff00).then_some("IPv6addr")
}

fn script(
    word: &Word,
    name: &str,
    arguments: &str,
    mut only_twinbeat: Option<&'static str>,
) -> Result<Parsed> {
    check_script_name(word, name)?;
    let (built_in, whole) = match name {
        "IPaddr" | "IPaddr2" => (Some(address::ipaddr(word, arguments)), true),
        "IPv6addr" => (Some(address::ipv6addr(word, arguments)), true),
        "SendArp" => (Some(address::send_arp(word, arguments)), true),
        _ => (None, false),
    };
    let built_in = built_in.transpose().map_err(with_example)?;
    // The `::` of an IPv6 address separates no arguments.
    let args: Vec<String> = match whole {
        true => vec![arguments.to_owned()],
        false if arguments.is_empty() && !word.text.contains("::") => Vec::new(),
        false => arguments.split("::").map(str::to_owned).collect(),
    };
    if args.iter().any(String::is_empty) {
        let found = invalid(word, "an argument behind `::` is empty");
        return Err(Box::new(found.help("remove the `::`, or write the argument")));
    }
    if whole && arguments.contains("::") && only_twinbeat.is_none() {
        only_twinbeat = Some("3.0.6 divides the address at `::`; in full, without `::`, it works");
    }
    let warning = match &built_in {
        Some(BuiltIn::Address(spec)) => address::warning(word, spec),
        Some(BuiltIn::SendArp { .. }) | None => None,
    };
    let agent = AgentSpec::Script { name: name.to_owned(), args };
    Ok(Parsed {
        spec: ResourceSpec { text: cover_resource(&word.text), agent, built_in },
        only_twinbeat,
        warning,
    })
}

fn check_script_name(word: &Word, name: &str) -> Result<()> {
    let shown = shorten(name);
    if !name.is_ascii() {
        let found = Diagnostic::new(
            Code::NonAsciiResource,
            format!("`{shown}` has characters that no script has"),
        )
        .at(word.span, "is a comment stuck to the resource?")
        .maybe_help(lexer::comment_hint(name));
        return Err(Box::new(found));
    }
    if let Some((class, rest)) = name.split_once(':') {
        let found = invalid(word, "one colon where two are needed");
        let rest = format!("{rest}{}", word.text.get(name.len()..).unwrap_or_default());
        return Err(Box::new(match class {
            "lsb" | "service" => found.help(format!("write `{}`", shorten(&rest))),
            _ => found.help(format!("write `{class}::{}`", shorten(&rest))),
        }));
    }
    let ok = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+@-".contains(&byte));
    if ok && !name.is_empty() && !name.starts_with(['-', '.']) {
        return Ok(());
    }
    let found = invalid(word, "not the name of a script");
    let file = name.rsplit('/').next().unwrap_or_default();
    Err(Box::new(match name.contains('/') && !file.is_empty() {
        true => found.help(format!(
            "write `{}`: scripts are looked for in resource.d, then in /etc/init.d",
            shorten(file)
        )),
        false => found.help("a name has letters, digits, `.`, `_`, `+`, `@` and `-`"),
    }))
}

/// `provider:type::name=value::…`; a `::` inside a value stays part of it.
fn ocf(word: &Word, rest: &str) -> Result<Parsed> {
    let example = "`ocf::heartbeat:nginx::configfile=/etc/nginx/nginx.conf`";
    let mut parts = rest.split("::");
    let agent = parts.next().unwrap_or_default();
    let names = agent.split_once(':').filter(|(provider, kind)| is_file(provider) && is_file(kind));
    let Some((provider, kind)) = names else {
        let found = invalid(word, "expected `ocf::provider:type`");
        return Err(Box::new(found.help(format!("for instance {example}"))));
    };
    let mut parameters: Vec<(String, String)> = Vec::new();
    for part in parts {
        match (part.split_once('='), parameters.last_mut()) {
            (Some((name, value)), _) if is_parameter(name) => {
                parameters.push((name.to_owned(), value.to_owned()));
            }
            (None, Some((_, value))) => {
                value.push_str("::");
                value.push_str(part);
            }
            (Some(_), _) | (None, None) => {
                let found = invalid(word, "behind `::`, expected `name=value`");
                return Err(Box::new(found.help(format!("for instance {example}"))));
            }
        }
    }
    let agent = AgentSpec::Ocf { provider: provider.to_owned(), kind: kind.to_owned(), parameters };
    Ok(plain(word, agent, "an OCF agent: 3.0.6 has no `ocf::`"))
}

fn systemd(word: &Word, unit: &str) -> Result<Parsed> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if unit.is_empty() || unit.contains("::") || !unit.bytes().all(valid) || unit.starts_with('-') {
        let found = invalid(word, "expected `systemd::unit`");
        return Err(Box::new(found.help("for instance `systemd::nginx`; a unit has no arguments")));
    }
    let suffix = unit.rsplit_once('.').map(|(_, suffix)| suffix);
    let unit = match suffix.is_some_and(|suffix| UNIT_SUFFIXES.contains(&suffix)) {
        true => unit.to_owned(),
        false => format!("{unit}.service"),
    };
    Ok(plain(word, AgentSpec::Systemd { unit }, "a systemd unit: 3.0.6 has no `systemd::`"))
}

fn plain(word: &Word, agent: AgentSpec, only_twinbeat: &'static str) -> Parsed {
    Parsed {
        spec: ResourceSpec { text: cover_resource(&word.text), agent, built_in: None },
        only_twinbeat: Some(only_twinbeat),
        warning: None,
    }
}

fn is_file(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn invalid(word: &Word, label: &str) -> Diagnostic {
    let text = format!("`{}` is not a resource", shorten(&word.text));
    Diagnostic::new(Code::InvalidResource, text).at(word.span, label)
}

fn with_example(found: Box<Diagnostic>) -> Box<Diagnostic> {
    match found.help.is_empty() {
        true => Box::new(found.help("write for instance `192.168.1.10/24/eth0`")),
        false => found,
    }
}

/// The address of a built-in resource that owns one.
pub(crate) fn owned_address(spec: &ResourceSpec) -> Option<IpAddr> {
    match &spec.built_in {
        Some(BuiltIn::Address(address)) => Some(address.ip),
        Some(BuiltIn::SendArp { .. }) | None => None,
    }
}
