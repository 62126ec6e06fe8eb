//! A webhook: one POST of the message as JSON. Certificates are always verified; redirects are not
//! followed, so that a token stays with whom it was meant for.

use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::notify::Webhook;
use serde::Serialize;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::message::Message;
use crate::settings::Contents;

/// Answer that is read for the log.
const ANSWER_MAX: u64 = 300;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    message: &'a Message,
    /// The whole of it for people: many services show this field.
    text: String,
    /// Messages before this one that were lost.
    dropped: u64,
}

pub(super) fn send(
    hook: &Webhook,
    contents: &Contents,
    message: &Message,
    dropped: u64,
    limit: Duration,
) -> Result<String, String> {
    let config = Agent::config_builder()
        .timeout_global(Some(limit))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .tls_config(tls(hook, contents)?)
        .build();
    let mut request = Agent::from(config)
        .post(&hook.url)
        .header("Content-Type", "application/json")
        .header("User-Agent", concat!("twinbeat/", env!("CARGO_PKG_VERSION")))
        .header("Idempotency-Key", &header_value(&message.id));
    if let Some(path) = &hook.token_file {
        request = request.header("Authorization", format!("Bearer {}", contents.get(path).trim()));
    }
    for (name, value) in headers(hook, contents)? {
        request = request.header(name, value);
    }
    let body = Body { message, text: message.text(dropped), dropped };
    let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
    let mut answer = request.send(&body[..]).map_err(|error| error.to_string())?;
    let status = answer.status();
    let said = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_string();
    let said = crate::message::line(said.unwrap_or_default().trim(), 200);
    let text = format!("{status} {said}").trim().to_owned();
    if status.is_success() { Ok(text) } else { Err(text) }
}

/// Only what may stand in a header.
fn header_value(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).collect()
}

/// Lines `Name: value`.
fn headers<'a>(
    hook: &'a Webhook,
    contents: &'a Contents,
) -> Result<Vec<(&'a str, &'a str)>, String> {
    let Some(path) = &hook.header_file else { return Ok(Vec::new()) };
    let lines = contents.get(path).lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &'a str| match line.split_once(':') {
        Some((name, value)) => Ok((name.trim(), value.trim())),
        // The line may be a secret: it is not shown.
        None => Err(format!("{path}: a line is not `Name: value`")),
    };
    lines.map(pair).collect()
}

/// The certificates of the system, and those that the channel names.
fn tls(hook: &Webhook, contents: &Contents) -> Result<TlsConfig, String> {
    let system = rustls_native_certs::load_native_certs().certs;
    let mut roots: Vec<Certificate<'static>> =
        system.iter().map(|it| Certificate::from_der(it).to_owned()).collect();
    if let Some(path) = &hook.ca_file {
        for item in parse_pem(contents.get(path).as_bytes()) {
            match item.map_err(|error| format!("{path}: {error}"))? {
                PemItem::Certificate(certificate) => roots.push(certificate),
                _ => return Err(format!("{path} holds something that is no certificate")),
            }
        }
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).build())
}
