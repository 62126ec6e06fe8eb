//! The page for people: the screen of `hb status` as HTML, verdict first. Values in, text out; all of
//! it is escaped by maud, nothing is inline. It needs no JavaScript; with it `live.js` exchanges the
//! fragment every second.

mod groups;
mod nodes;

use hb_cli::history::line;
use hb_cli::status::{Down, Known, age};
use hb_node::api::{HistoryEntry, Problem, StatusSnapshot, Verdict};
use maud::{DOCTYPE, Markup, html};

/// Entries of the history that are shown; `hb history` shows all.
const ENTRIES_MAX: usize = 12;
/// Seconds after which a browser without JavaScript asks again.
const REFRESH_S: u32 = 5;

/// What is shown.
pub struct View<'a> {
    /// The state, and whether the daemon said so just now.
    pub known: &'a Known,
    /// The history, oldest first.
    pub entries: &'a [HistoryEntry],
    /// Shows a moment of Unix time in ms.
    pub clock: &'a dyn Fn(u64) -> String,
    /// Whether who looks has shown a token.
    pub has_token: bool,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("known", self.known).finish_non_exhaustive()
    }
}

/// The whole page.
pub fn whole(view: &View<'_>) -> String {
    let refresh = html! {
        script src="live.js" defer {}
        noscript { meta http-equiv="refresh" content=(REFRESH_S); }
    };
    let body = html! {
        p #stale role="alert" hidden {}
        main #state { (state(view)) }
    };
    frame(&title(view.known), &refresh, &body).into_string()
}

/// What of it changes.
pub fn fragment(view: &View<'_>) -> String {
    state(view).into_string()
}

/// The form that asks for the token.
pub fn login(failed: bool) -> String {
    let body = html! {
        main {
            form.login method="post" action="login" {
                h1 { "Twinbeat" }
                @if failed { p.bad role="alert" { "This is not the token." } }
                label for="token" { "Token" }
                input #token type="password" name="token" autocomplete="current-password" required autofocus;
                button { "Show the state" }
            }
        }
    };
    frame("Twinbeat", &html! {}, &body).into_string()
}

fn frame(title: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="icon.svg";
                link rel="stylesheet" href="style.css";
                (head)
            }
            body { (body) }
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "HEALTHY",
        Verdict::Transition => "IN TRANSITION",
        Verdict::Degraded => "DEGRADED",
        Verdict::Down => "NOT SERVED",
        Verdict::Split => "SPLIT",
    }
}

/// Colours of the style sheet; the words carry the meaning.
fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "good",
        Verdict::Transition => "moving",
        Verdict::Degraded => "warn",
        Verdict::Down | Verdict::Split => "bad",
    }
}

fn symbol(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "●",
        Verdict::Transition => "◌",
        Verdict::Degraded => "▲",
        Verdict::Down | Verdict::Split => "✖",
    }
}

fn title(known: &Known) -> String {
    match (&known.snapshot, &known.down) {
        (Some(snapshot), None) => format!("{}: {}", snapshot.cluster, word(snapshot.verdict)),
        (Some(snapshot), Some(_)) => format!("{}: UNKNOWN", snapshot.cluster),
        (None, _) => "Twinbeat: UNKNOWN".to_owned(),
    }
}

fn state(view: &View<'_>) -> Markup {
    html! {
        div.state data-title=(title(view.known)) {
            @if let Some(down) = &view.known.down { (unknown(view, down)) }
            @if let Some(snapshot) = &view.known.snapshot {
                (verdict(snapshot, view.known.down.as_ref()))
                (problems(snapshot))
                (nodes::split(snapshot))
                (nodes::nodes(snapshot))
                @for group in &snapshot.groups { (groups::group(snapshot, group)) }
            }
            (history(view))
            (footer(view))
        }
    }
}

/// The daemon cannot be asked: everything below is older than it looks.
fn unknown(view: &View<'_>, down: &Down) -> Markup {
    html! {
        header.verdict.bad {
            p.cluster { "this node" }
            h1 { span.symbol aria-hidden="true" { "?" } " UNKNOWN" }
            p { (down.error) }
            @if view.known.snapshot.is_some() {
                @if down.is_last { p { "It was stopped in order." } }
                p {
                    "Below is the last state that was kept, "
                    strong { (age(down.age_ms)) " old" }
                    " (" ((view.clock)(down.saved_unix_ms)) ")."
                }
            } @else {
                p.do { "do: " code { "systemctl start heartbeat" } "; " code { "hb check" }
                    " tells whether its configuration is right" }
            }
        }
    }
}

/// The first thing that is read: is it fine, and could the other node take over.
fn verdict(snapshot: &StatusSnapshot, down: Option<&Down>) -> Markup {
    let tone = if down.is_some() { "past" } else { tone(snapshot.verdict) };
    let ready = if snapshot.failover_ready { "yes" } else { "NO" };
    let reasons = match snapshot.unready.len() {
        0 => String::new(),
        1 => " (1 reason)".to_owned(),
        count => format!(" ({count} reasons)"),
    };
    html! {
        header class={ "verdict " (tone) } {
            p.cluster { (snapshot.cluster) " cluster" }
            h1 {
                span.symbol aria-hidden="true" { (symbol(snapshot.verdict)) } " "
                @if down.is_some() { "was " }
                (word(snapshot.verdict))
            }
            dl {
                div { dt { "failover ready" } dd class=[(!snapshot.failover_ready).then_some("alarm")] { (ready) (reasons) } }
                div { dt { "since" } dd { (age(snapshot.verdict_since_ms)) } }
            }
        }
    }
}

fn problems(snapshot: &StatusSnapshot) -> Markup {
    html! {
        @if !snapshot.problems.is_empty() {
            ol.problems aria-label="What is wrong" {
                @for problem in &snapshot.problems { (one_problem(problem)) }
            }
        }
        @if !snapshot.unready.is_empty() {
            ul.unready aria-label="Why it could not fail over" {
                @for reason in &snapshot.unready { li { "not ready: " (reason) } }
            }
        }
    }
}

fn one_problem(problem: &Problem) -> Markup {
    html! {
        li {
            p.what { (problem.text) " " span.since { "since " (age(problem.since_ms)) } }
            @if !problem.hint.is_empty() { p.do { "do: " (problem.hint) } }
        }
    }
}

fn history(view: &View<'_>) -> Markup {
    let last = view.known.snapshot.as_ref().and_then(|snapshot| snapshot.last_move.as_ref());
    let at = |entry: &HistoryEntry| (view.clock)(entry.at_ms());
    let earlier = view.entries.len().saturating_sub(ENTRIES_MAX);
    html! {
        @if let Some(last) = last {
            section {
                h2 { "last move" }
                p { (line::line(last, &at(last), true)) }
                p.reason { (last.reason) }
            }
        }
        @if !view.entries.is_empty() {
            section {
                h2 { "what happened" }
                ol.history {
                    @for entry in view.entries.iter().skip(earlier).rev() {
                        li { (line::line(entry, &at(entry), true)) }
                    }
                }
                @if earlier > 0 {
                    p.more { (earlier) " earlier: " code { "hb history" } ", " a href="history.json" { "JSON" } }
                }
            }
        }
    }
}

fn footer(view: &View<'_>) -> Markup {
    html! {
        footer {
            @if let Some(snapshot) = &view.known.snapshot {
                p { "as " strong { (snapshot.this_node.name) } " sees it; Twinbeat " (snapshot.version) }
            }
            p { a href="status.json" { "status.json" } " " a href="history.json" { "history.json" } " "
                a href="metrics" { "metrics" } }
        }
    }
}

#[cfg(test)]
mod tests;
