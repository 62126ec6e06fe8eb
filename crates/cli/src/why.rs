//! `hb why`: the chain of reasons behind what status shows, in words: why it is here, why not
//! there, since when, what would come next, what to do. From the status and the history; it decides
//! nothing.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use hb_node::api::{HistoryEntry, StatusSnapshot};
use jiff::Zoned;
use serde::Serialize;

use crate::status::{Known, age, known};
use crate::{exit, history, print};

mod group;
mod node;
mod resource;

/// Options of `hb why`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WhyArgs {
    /// A group, a resource, a node, or the word `failback`; the verdict when absent
    subject: Option<String>,
    /// Print the answer as JSON (docs/reference/history-json.md)
    #[arg(long)]
    json: bool,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fact {
    /// What it answers: `since`, `why here`, `why not there`, `next`, `do` …
    pub(super) question: &'static str,
    /// In words.
    pub(super) text: String,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// What was asked about.
    pub(super) subject: String,
    /// The answer in one sentence.
    pub(super) headline: String,
    /// The chain of reasons.
    pub(super) facts: Vec<Fact>,
}

impl Answer {
    fn new(subject: &str, headline: String) -> Self {
        Self { subject: subject.to_owned(), headline, facts: Vec::new() }
    }

    fn add(&mut self, question: &'static str, text: impl Into<String>) {
        self.facts.push(Fact { question, text: text.into() });
    }

    fn maybe(&mut self, question: &'static str, text: Option<String>) {
        self.facts.extend(text.map(|text| Fact { question, text }));
    }
}

/// What answers are made from.
pub(super) struct View<'a> {
    pub(super) status: &'a StatusSnapshot,
    pub(super) entries: &'a [HistoryEntry],
    pub(super) clock: &'a dyn Fn(u64) -> String,
    /// Whether symbols beyond ASCII can be shown.
    pub(super) symbols: bool,
}

/// Runs `hb why`. Exit: 0, 2 when there is nothing of that name, 3 when the daemon does not answer.
pub(crate) fn run(run_dir: &Path, state_dir: &Path, args: &WhyArgs) -> ExitCode {
    let known = known(run_dir, state_dir);
    let Some(status) = &known.snapshot else {
        let error = known.down.map(|down| down.error.to_string()).unwrap_or_default();
        print::err(&format!("hb: {error}\n"));
        return exit::code(exit::UNKNOWN);
    };
    let entries = history::past(run_dir, state_dir).map(|past| past.entries).unwrap_or_default();
    let now = Zoned::now();
    let clock = |ms: u64| history::moment(ms, &now);
    let view = View { status, entries: &entries, clock: &clock, symbols: print::is_terminal() };
    let answer = match view.answer(args.subject.as_deref()) {
        Ok(answer) => answer,
        Err(text) => {
            print::err(&format!("hb: {text}\n"));
            return exit::code(exit::USAGE);
        }
    };
    if args.json {
        let age_ms = known.down.as_ref().map(|down| down.age_ms);
        let value = serde_json::json!({ "v": 1, "age_ms": age_ms, "answer": answer });
        print::out(&format!("{value:#}\n"));
    } else {
        print::out(&(warning(&known) + &drawn(&answer)));
    }
    exit::code(if known.down.is_some() { exit::UNKNOWN } else { exit::OK })
}

/// The answer as `hb why` prints it.
///
/// # Errors
/// When there is nothing of that name.
pub(crate) fn text(
    known: &Known,
    entries: &[HistoryEntry],
    clock: &dyn Fn(u64) -> String,
    symbols: bool,
    subject: Option<&str>,
) -> Result<String, String> {
    let Some(status) = &known.snapshot else {
        return Err("nothing is known of the cluster".to_owned());
    };
    let answer = View { status, entries, clock, symbols }.answer(subject)?;
    Ok(warning(known) + &drawn(&answer))
}

fn warning(known: &Known) -> String {
    let Some(down) = &known.down else { return String::new() };
    format!("UNKNOWN: {}\nThis was so {} ago:\n\n", down.error, age(down.age_ms))
}

/// The sentence, then question and answer side by side.
fn drawn(answer: &Answer) -> String {
    let width = answer.facts.iter().map(|fact| fact.question.len()).max().unwrap_or(0);
    let mut out = format!("{}\n", answer.headline);
    let mut last = "";
    for fact in &answer.facts {
        let question = if fact.question == last { "" } else { fact.question };
        last = fact.question;
        out += &format!(" {question:<width$}   {}\n", fact.text);
    }
    out
}

impl View<'_> {
    fn answer(&self, subject: Option<&str>) -> Result<Answer, String> {
        let Some(subject) = subject else { return Ok(self.verdict()) };
        if subject == "failback" {
            return Ok(self.failback());
        }
        let status = self.status;
        if self.is_node(subject) {
            return Ok(self.node(subject));
        }
        if let Some(group) = status.groups.iter().find(|group| group.key == subject) {
            return Ok(self.group(group));
        }
        let members = || {
            let all = status.groups.iter();
            all.flat_map(|group| group.resources.iter().map(move |member| (group, member)))
        };
        if let Some((group, member)) = members().find(|(_, member)| member.text == subject) {
            return Ok(self.resource(group, member));
        }
        // Keys are long: a part that only one of them has is enough.
        let groups: Vec<_> =
            status.groups.iter().filter(|group| group.key.contains(subject)).collect();
        let found: Vec<_> = members()
            .filter(|(group, member)| member.text.contains(subject) && member.text != group.key)
            .collect();
        match (groups.as_slice(), found.as_slice()) {
            ([group], []) => Ok(self.group(group)),
            ([], [(group, member)]) => Ok(self.resource(group, member)),
            _ => Err(self.unknown(subject)),
        }
    }

    fn unknown(&self, subject: &str) -> String {
        let status = self.status;
        let mut names: Vec<&str> = status.groups.iter().map(|group| group.key.as_str()).collect();
        let members = status.groups.iter().flat_map(|group| &group.resources);
        for name in members.map(|member| member.text.as_str()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.extend(status.members.iter().map(String::as_str));
        names.push("failback");
        format!(
            "{subject:?} names nothing, or more than one thing; ask about: {}",
            names.join(", ")
        )
    }

    fn verdict(&self) -> Answer {
        let status = self.status;
        let word = crate::status::word_of(status.verdict).to_uppercase();
        let since = age(status.verdict_since_ms);
        let mut answer =
            Answer::new(&status.cluster, format!("{} is {word}, for {since}.", status.cluster));
        for problem in &status.problems {
            answer.add("because", format!("{} (for {})", problem.text, age(problem.since_ms)));
            if !problem.hint.is_empty() {
                answer.add("do", problem.hint.clone());
            }
        }
        if status.problems.is_empty() {
            answer.add("because", "nothing is wrong that this node knows of");
        }
        if status.failover_ready {
            answer.add("failover", "ready: the other node has tested that it could take over");
        } else {
            answer.add("failover", "NOT ready");
        }
        for reason in &status.unready {
            answer.add("not ready", reason.clone());
        }
        answer
    }

    /// An entry as people read it.
    fn told(&self, entry: &HistoryEntry) -> String {
        history::line::line(entry, &(self.clock)(entry.at_ms()), self.symbols)
    }

    /// The last entries that fit, the newest first.
    fn last(&self, count: usize, fits: impl Fn(&HistoryEntry) -> bool) -> Vec<&HistoryEntry> {
        self.entries.iter().rev().filter(|entry| fits(entry)).take(count).collect()
    }
}

#[cfg(test)]
mod tests;
