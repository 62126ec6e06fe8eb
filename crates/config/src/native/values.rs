//! One value of hb.toml, read as its key's kind says. The error is a label for the place.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use toml::de::{DeTable, DeValue};

use super::keys::{Kind, native_time};
use crate::duration::{self, DurationError, Units};
use crate::hint;
use crate::settings::{DayWindow, Probe, Secret};

/// Lists longer than this are mistakes.
const LIST_MAX: usize = 32;
/// Limit of a check over the network that says nothing of it, in ms.
const PROBE_TIMEOUT_MS: u64 = 1_000;
/// Status that a web server's answer may have when nothing is said of it.
const PROBE_STATUS: (u16, u16) = (200, 399);

/// A value that fits its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// ms, count, or index of the word; 0 and 1 for a flag; for hours [`day_window`]'s number.
    Number(u64),
    Text(String),
    Texts(Vec<String>),
    Addresses(Vec<SocketAddr>),
    Probes(Vec<Probe>),
    Parameters(BTreeMap<String, Secret>),
}

/// Reads `value`.
pub(super) fn read(kind: Kind, value: &DeValue<'_>) -> Result<Item, String> {
    match kind {
        Kind::Time { min, max } => time(value, min, max).map(Item::Number),
        Kind::Integer { min, max } => integer(value, min, max).map(Item::Number),
        Kind::Choice(words) => choice(value, words).map(Item::Number),
        Kind::Flag => match value.as_bool() {
            Some(flag) => Ok(Item::Number(u64::from(flag))),
            None => Err(format!("expected true or false, this is {}", article(value))),
        },
        Kind::Hours => hours(value).map(Item::Number),
        Kind::Text => text(value).map(Item::Text),
        Kind::Texts => list(value, text).map(Item::Texts),
        Kind::Path => path(value).map(Item::Text),
        Kind::Addresses => list(value, address).map(Item::Addresses),
        Kind::Probes => list(value, probe).map(Item::Probes),
        Kind::Parameters => parameters(value).map(Item::Parameters),
    }
}

fn time(value: &DeValue<'_>, min: u64, max: u64) -> Result<u64, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("expected text in quotes, this is {}", article(value)))?;
    let ms = duration::parse(text, Units::Native).map_err(|error| match error {
        DurationError::Unit => "the unit is none of ms, s and m".to_owned(),
        DurationError::NotANumber | DurationError::Negative | DurationError::TooLong => {
            error.to_string()
        }
    })?;
    match (min..=max).contains(&ms) {
        true => Ok(ms),
        false => Err(format!("outside {} to {}", native_time(min), native_time(max))),
    }
}

fn integer(value: &DeValue<'_>, min: u32, max: u32) -> Result<u64, String> {
    let number = value
        .as_integer()
        .ok_or_else(|| format!("expected a number without quotes, this is {}", article(value)))?;
    let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok();
    match parsed.filter(|number| (min..=max).contains(number)) {
        Some(number) => Ok(u64::from(number)),
        None => Err(format!("outside {min} to {max}")),
    }
}

fn choice(value: &DeValue<'_>, words: &[&str]) -> Result<u64, String> {
    let text = value.as_str().unwrap_or_default();
    let index = words.iter().position(|word| *word == text);
    index.and_then(|index| u64::try_from(index).ok()).ok_or_else(|| {
        match hint::nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "not one of its words".into(),
        }
    })
}

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// `HH:MM-HH:MM` as one number.
fn hours(value: &DeValue<'_>) -> Result<u64, String> {
    let text = text(value)?;
    let (from, to) = text.split_once('-').ok_or("expected two times with a `-` between them")?;
    let (from, to) = (minute(from.trim())?, minute(to.trim())?);
    match from == to {
        true => Err("it is over as soon as it begins".to_owned()),
        false => Ok(u64::from(from) * u64::from(DAY) + u64::from(to)),
    }
}

/// What a number of [`Kind::Hours`] stands for.
pub(super) fn day_window(number: u64) -> DayWindow {
    let minute = |number: u64| u16::try_from(number % u64::from(DAY)).unwrap_or_default();
    DayWindow { from: minute(number / u64::from(DAY)), to: minute(number) }
}

/// `HH:MM`; `24:00` is the midnight at the end of the day.
fn minute(text: &str) -> Result<u16, String> {
    let part = |digits: &str, max: u16| {
        let fits = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|number| fits && *number <= max)
    };
    let found = text.split_once(':').filter(|(_, minutes)| minutes.len() == 2);
    let found = found.and_then(|(hour, minute)| Some(part(hour, 24)? * 60 + part(minute, 59)?));
    match found {
        Some(minute) if minute <= DAY => Ok(minute % DAY),
        Some(_) | None => Err("a time is `HH:MM`, from 00:00 to 24:00".to_owned()),
    }
}

fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str() {
        Some("") => Err("empty".to_owned()),
        Some(text) if text.contains(['\0', '\n', '\r']) => Err("more than one line".to_owned()),
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("expected text in quotes, this is {}", article(value))),
    }
}

fn path(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    match text.starts_with('/') {
        true => Ok(text),
        false => Err("the path is not absolute".to_owned()),
    }
}

fn address(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let text = text(value)?;
    text.parse().map_err(|_| "expected an address with a port, 127.0.0.1:80 or [::1]:80".to_owned())
}

/// A list, or one value in place of a list of one.
fn list<T>(
    value: &DeValue<'_>,
    one: impl Fn(&DeValue<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match value.as_array() {
        Some(items) if items.is_empty() => Err("an empty list".to_owned()),
        Some(items) if items.len() > LIST_MAX => Err(format!("more than {LIST_MAX} entries")),
        Some(items) => items.iter().map(|item| one(item.get_ref())).collect(),
        None => one(value).map(|item| vec![item]),
    }
}

fn parameters(value: &DeValue<'_>) -> Result<BTreeMap<String, Secret>, String> {
    let DeValue::Table(table) = value else {
        return Err(format!("expected a table in braces, this is {}", article(value)));
    };
    let mut found = BTreeMap::new();
    for (name, value) in table {
        let name = name.get_ref().as_ref();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(fits) {
            return Err("a name has letters, digits, `_` and `-`".to_owned());
        }
        let value = value.get_ref();
        let value = match (value.as_integer(), value.as_bool()) {
            (Some(number), _) => number.as_str().to_owned(),
            (None, Some(flag)) => flag.to_string(),
            (None, None) => text(value).map_err(|error| format!("`{name}`: {error}"))?,
        };
        found.insert(name.to_owned(), Secret::new(value.into_bytes()));
    }
    Ok(found)
}

/// `"tcp://…"`, `"http://…"`, or a table with `url`.
fn probe(value: &DeValue<'_>) -> Result<Probe, String> {
    match value.as_table() {
        Some(table) => {
            let url = table.get("url").ok_or("a check has a `url`")?;
            with_options(probe_url(&text(url.get_ref())?)?, table)
        }
        None => probe_url(&text(value)?),
    }
}

fn probe_url(url: &str) -> Result<Probe, String> {
    let (scheme, rest) = url.split_once("://").ok_or("expected tcp://… or http://…")?;
    let (place, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let address = |default: Option<u16>| -> Result<SocketAddr, String> {
        let numeric = "the address is numeric, with a port: 127.0.0.1:80 or [::1]:80";
        match (place.parse(), default) {
            (Ok(address), _) => Ok(address),
            (Err(_), Some(port)) => {
                format!("{place}:{port}").parse().map_err(|_| numeric.to_owned())
            }
            (Err(_), None) => Err(numeric.to_owned()),
        }
    };
    match scheme {
        "tcp" if path.is_empty() || path == "/" => {
            Ok(Probe::Tcp { address: address(None)?, timeout_ms: PROBE_TIMEOUT_MS })
        }
        "tcp" => Err("tcp://ADDRESS:PORT has no path".to_owned()),
        "http" if path.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Err("the path holds blanks".to_owned())
        }
        "http" => Ok(Probe::Http {
            address: address(Some(80))?,
            host: place.to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            status: PROBE_STATUS,
            contains: None,
            timeout_ms: PROBE_TIMEOUT_MS,
        }),
        "https" => Err("https is not checked; use http:// or tcp://ADDRESS:443".to_owned()),
        _ => Err("expected tcp:// or http://".to_owned()),
    }
}

fn with_options(mut probe: Probe, table: &DeTable<'_>) -> Result<Probe, String> {
    for (name, value) in table {
        let value = value.get_ref();
        match (name.get_ref().as_ref(), &mut probe) {
            ("url", _) => {}
            ("timeout", Probe::Tcp { timeout_ms, .. } | Probe::Http { timeout_ms, .. }) => {
                *timeout_ms = time(value, 10, 60_000)?;
            }
            ("host", Probe::Http { host, .. }) => {
                let name = text(value)?;
                if name.contains(char::is_whitespace) {
                    return Err("a host has no blanks".to_owned());
                }
                *host = name;
            }
            ("status", Probe::Http { status, .. }) => *status = status_range(value)?,
            ("contains", Probe::Http { contains, .. }) => *contains = Some(text(value)?),
            ("host" | "status" | "contains", Probe::Tcp { .. }) => {
                return Err("tcp:// takes `url` and `timeout`".to_owned());
            }
            (other, _) => {
                let known = ["url", "host", "status", "contains", "timeout"];
                return Err(match hint::nearest(other, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("a check takes {}", known.join(", ")),
                });
            }
        }
    }
    Ok(probe)
}

/// `"200-299"`, `"204"` or `204`.
fn status_range(value: &DeValue<'_>) -> Result<(u16, u16), String> {
    let words = match value.as_integer() {
        Some(number) => number.as_str().to_owned(),
        None => text(value)?,
    };
    let (from, to) = words.split_once('-').unwrap_or((&words, &words));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if 100 <= from && from <= to && to <= 599 => Ok((from, to)),
        _ => Err("a status is from 100 to 599, such as \"200-399\"".to_owned()),
    }
}

/// What a value is, for people.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
