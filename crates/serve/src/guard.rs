//! What every request goes through before it is answered, and every answer before it leaves: is it
//! meant for this machine, may its sender look, and what a browser may do with the answer.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use crate::gate::Gate;
use crate::reading::Source;

/// Longest time for one answer: the daemon has 5 s for each of two questions.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// What needs no token: it says nothing of the pair.
const FREE: [&str; 5] = ["/healthz", "/login", "/style.css", "/live.js", "/icon.svg"];
/// Everything comes from here, nothing is inline, nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What all requests share.
#[derive(Debug)]
pub(crate) struct App {
    /// The daemon.
    pub(crate) source: Source,
    /// `None`: whoever reaches it may look.
    gate: Option<RwLock<Arc<Gate>>>,
    /// Only this machine reaches it.
    local: bool,
    /// Cookies travel through TLS only.
    pub(crate) secure: bool,
}

impl App {
    pub(crate) fn new(source: Source, gate: Option<Gate>, local: bool, secure: bool) -> Self {
        let gate = gate.map(|gate| RwLock::new(Arc::new(gate)));
        Self { source, gate, local, secure }
    }

    /// The token in force.
    pub(crate) fn gate(&self) -> Option<Arc<Gate>> {
        let gate = self.gate.as_ref()?;
        Some(gate.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Another token.
    pub(crate) fn exchange(&self, fresh: Gate) {
        if let Some(gate) = &self.gate {
            *gate.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(gate) = self.gate() else { return true };
        let text = |name| headers.get_all(name).iter();
        let mut cookies = text(header::COOKIE).filter_map(|value| value.to_str().ok());
        text(header::AUTHORIZATION).any(|value| gate.admits_header(value.as_bytes()))
            || cookies.any(|value| gate.admits_cookies(value, now_s()))
    }
}

/// Unix time in seconds.
pub(crate) fn now_s() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// See the module's text.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&app, &request) {
        Some(refusal) => refusal,
        None => match tokio::time::timeout(ANSWER_LIMIT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer in time\n").into_response(),
        },
    };
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn refusal(app: &App, request: &Request) -> Option<Response> {
    let headers = request.headers();
    if app.gate.is_none() && app.local && !is_named_locally(headers) {
        let text = "this page is for this machine only: use localhost or its address, or set a \
                    token (token_file in [serve] of hb.toml)\n";
        return Some((StatusCode::MISDIRECTED_REQUEST, text).into_response());
    }
    if FREE.contains(&request.uri().path()) || app.admits(headers) {
        return None;
    }
    if request.uri().path() == "/" && request.method() == Method::GET && !has_authorization(headers)
    {
        return Some((StatusCode::SEE_OTHER, [(header::LOCATION, "login")]).into_response());
    }
    let text = "show the token: Authorization: Bearer TOKEN\n";
    Some((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], text).into_response())
}

fn has_authorization(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

/// A site elsewhere can give its own name this machine's address (DNS rebinding) and read what its
/// visitors' browsers get here. An address or `localhost` cannot be such a name.
fn is_named_locally(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_others_can_give_are_not_ours() {
        let check = |host: &str, expect: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            assert_eq!(is_named_locally(&headers), expect, "{host}");
        };
        check("127.0.0.1:9694", true);
        check("127.0.0.1", true);
        check("[::1]:9694", true);
        check("[::1]", true);
        check("localhost:9694", true);
        check("LOCALHOST", true);
        check("evil.example:9694", false);
        check("localhost.evil.example", false);
        check("127.0.0.1.evil.example:80", false);
        check("", false);
        assert!(is_named_locally(&HeaderMap::new()));
    }
}
