//! The addresses that are answered and with what. What an answer says is made elsewhere; who may
//! have it is decided in `guard`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use hb_cli::history::{self, Past};
use hb_cli::status::{self, Known};
use hb_node::api::Verdict;
use jiff::Zoned;
use serde::Deserialize;

use crate::guard::{App, guard, now_s};
use crate::page::{self, View};
use crate::{Refused, gate, metrics, reading};

/// Largest body of a request: a token in a form, with each character escaped.
const BODY_MAX: usize = 4 * gate::TOKEN_MAX;
/// The text format of OpenMetrics 1.0, which Prometheus reads since 2.5.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Files that do not change while this program runs.
const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/live.js");
const ICON: &str = include_str!("../assets/icon.svg");

type Answer = Result<Response, Failed>;

/// This process cannot answer.
pub(crate) struct Failed(Refused);

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self(refused)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", self.0)).into_response()
    }
}

/// All of them.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(whole))
        .route("/fragment", get(fragment))
        .route("/status.json", get(status_json))
        .route("/history.json", get(history_json))
        .route("/metrics", get(measured))
        .route("/check", get(check))
        .route("/healthz", get(async || "ok\n"))
        .route("/login", get(login).post(sign_on))
        .route("/style.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/live.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/icon.svg", get(async || asset("image/svg+xml", ICON)))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=3600")], text).into_response()
}

async fn whole(State(app): State<Arc<App>>) -> Answer {
    Ok(Html(shown(&app, page::whole).await?).into_response())
}

async fn fragment(State(app): State<Arc<App>>) -> Answer {
    Ok(Html(shown(&app, page::fragment).await?).into_response())
}

async fn shown(app: &App, draw: fn(&View<'_>) -> String) -> Result<String, Failed> {
    let (known, past) = both(app).await?;
    let now = Zoned::now();
    let clock = |ms: u64| history::moment(ms, &now);
    let entries = past.as_ref().map_or(&[][..], |past| past.entries.as_slice());
    Ok(draw(&View { known: &known, entries, clock: &clock, has_token: app.gate().is_some() }))
}

/// State and history, asked for at the same time: a daemon that hangs costs its limit once.
async fn both(app: &App) -> Result<(Arc<Known>, Option<Arc<Past>>), Refused> {
    let (known, past) = tokio::join!(app.source.known(), app.source.past());
    Ok((known?, past?))
}

async fn status_json(State(app): State<Arc<App>>) -> Answer {
    Ok(json(status::json(app.source.known().await?.as_ref())))
}

async fn history_json(State(app): State<Arc<App>>) -> Answer {
    let Some(past) = app.source.past().await? else {
        let text = "{\"v\":1,\"error\":\"heartbeat does not run here and has kept no history\"}\n";
        return Ok((StatusCode::SERVICE_UNAVAILABLE, json(text.to_owned())).into_response());
    };
    let text = serde_json::to_string(past.as_ref()).map_err(|error| Refused(error.to_string()))?;
    Ok(json(text))
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn measured(State(app): State<Arc<App>>) -> Answer {
    let (known, past) = both(&app).await?;
    let entries = past.as_ref().map_or(&[][..], |past| past.entries.as_slice());
    let text = metrics::text(&known, entries, reading::notify_failures().await);
    Ok(([(header::CONTENT_TYPE, METRICS)], text).into_response())
}

/// For load balancers and uptime checks: 200 while the pair serves as it should or is about to, 503
/// otherwise.
async fn check(State(app): State<Arc<App>>) -> Answer {
    let known = app.source.known().await?;
    let code = if is_fine(&known) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((code, status::oneline(&known)).into_response())
}

fn is_fine(known: &Known) -> bool {
    match (&known.snapshot, &known.down) {
        (Some(snapshot), None) => match snapshot.verdict {
            Verdict::Healthy | Verdict::Transition => true,
            Verdict::Degraded | Verdict::Down | Verdict::Split => false,
        },
        (Some(_) | None, _) => false,
    }
}

async fn login(State(app): State<Arc<App>>) -> Response {
    match app.gate() {
        Some(_) => Html(page::login(false)).into_response(),
        None => home(),
    }
}

fn home() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, "./")]).into_response()
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn sign_on(State(app): State<Arc<App>>, Form(login): Form<Login>) -> Response {
    let Some(gate) = app.gate() else { return home() };
    if !gate.is_token(login.token.trim().as_bytes()) {
        return (StatusCode::UNAUTHORIZED, Html(page::login(true))).into_response();
    }
    let (name, value, age) = (gate::COOKIE, gate.session(now_s()), gate::SESSION_S);
    let secure = if app.secure { "; Secure" } else { "" };
    let cookie =
        format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    ([(header::SET_COOKIE, cookie)], home()).into_response()
}
