//! `hb plan`: what would happen, by the real node of both sides run forward in the modelled world,
//! from today's configuration and state, with action times as they were measured. It changes
//! nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hb_config::settings::{NodeName, Settings};
use hb_config::{Loaded, dir, load};
use hb_node::api::{HistoryEntry, StatusSnapshot};
use serde::Serialize;

use crate::status::{Known, known};
use crate::{exit, history, print};

mod reload;
mod scene;
mod show;
mod story;
mod svg;
mod times;

use scene::Scene;
use story::Story;

/// What would happen: nothing is changed, and what is assumed is said
///
/// `hb plan standby [GROUP]`, `hb plan takeover [GROUP]`, `hb plan NODE dies`, `hb plan LINK cut`,
/// `hb plan maintenance on`, `hb plan cleanup [GROUP]`, `hb plan reload`
#[derive(Clone, Debug, Args)]
pub(crate) struct PlanArgs {
    /// `standby [GROUP]`, `takeover [GROUP]`, `NODE dies`, `LINK cut`, `maintenance on|off`,
    /// `cleanup [GROUP]` or `reload`
    #[arg(required = true, num_args = 1.., value_name = "WORDS")]
    words: Vec<String>,
    /// Also draw it
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print it as JSON (docs/reference/history-json.md)
    #[arg(long)]
    json: bool,
    /// Directory of the configuration
    #[arg(long, value_name = "DIR", default_value = dir::DEFAULT_DIR)]
    dir: PathBuf,
    /// Plan as this node and not as this machine
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
}

/// What is to be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// This node gives one group, or all.
    Standby(Option<String>),
    /// This node gets one group, or all.
    Takeover(Option<String>),
    /// A node loses power.
    Dies(String),
    /// A heartbeat link carries nothing any more.
    Cut(String),
    /// Both nodes keep their hands off, or do no longer.
    Maintenance(bool),
    /// A failure is mended and forgotten, of one group or of all, on this node.
    Cleanup(Option<String>),
    /// The files are read again.
    Reload,
}

impl What {
    fn read(words: &[String]) -> Result<Self, String> {
        let joined = words.join(" ");
        let words: Vec<&str> = joined.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["reload"] => Self::Reload,
            ["standby"] => Self::Standby(None),
            ["standby", group] => Self::Standby(Some((*group).to_owned())),
            ["takeover"] => Self::Takeover(None),
            ["takeover", group] => Self::Takeover(Some((*group).to_owned())),
            ["maintenance", "on"] => Self::Maintenance(true),
            ["maintenance", "off"] => Self::Maintenance(false),
            ["cleanup"] => Self::Cleanup(None),
            ["cleanup", group] => Self::Cleanup(Some((*group).to_owned())),
            [node, "dies"] => Self::Dies((*node).to_owned()),
            [link, "cut"] => Self::Cut((*link).to_owned()),
            _ => {
                return Err(format!(
                    "{joined:?} cannot be planned: write standby [GROUP], takeover [GROUP], \
                     NODE dies, LINK cut, maintenance on, maintenance off, cleanup [GROUP] or reload"
                ));
            }
        })
    }

    /// As people say it.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Standby(None) => "standby: this node gives all its groups".to_owned(),
            Self::Standby(Some(key)) => format!("standby: this node gives {key}"),
            Self::Takeover(None) => "takeover: this node gets all groups".to_owned(),
            Self::Takeover(Some(key)) => format!("takeover: this node gets {key}"),
            Self::Dies(node) => format!("{node} loses power"),
            Self::Cut(link) => format!("{link} carries nothing any more"),
            Self::Maintenance(true) => {
                "maintenance on: nothing is started, stopped or moved".to_owned()
            }
            Self::Maintenance(false) => "maintenance off".to_owned(),
            Self::Cleanup(None) => "cleanup: failures on this node are forgotten".to_owned(),
            Self::Cleanup(Some(key)) => {
                format!("cleanup: the failure of {key} on this node is forgotten")
            }
            Self::Reload => "reload".to_owned(),
        }
    }
}

/// Runs `hb plan`. Exit: 0, 1 when a group would not be served in the end (or the files are not
/// valid), 2 for words that mean nothing here, 3 when nothing can be planned.
pub(crate) fn run(run_dir: &Path, state_dir: &Path, args: &PlanArgs) -> ExitCode {
    let what = match What::read(&args.words) {
        Ok(what) => what,
        Err(text) => return refuse(&text, exit::USAGE),
    };
    let loaded = match settings(&args.dir, args.node.as_deref()) {
        Ok(loaded) => loaded,
        Err(text) => return refuse(&text, exit::UNKNOWN),
    };
    let known = known(run_dir, state_dir);
    if what == What::Reload && known.down.is_none() {
        // The daemon knows best: it is what will carry it out.
        return crate::reload::dry(run_dir);
    }
    if what == What::Reload {
        let (text, code) = reload::plan(&loaded, known.snapshot.as_ref());
        print::out(&text);
        return exit::code(code);
    }
    let Some(settings) = loaded.settings else { return refuse(NOT_VALID, exit::UNKNOWN) };
    let entries = history::past(run_dir, state_dir).map(|past| past.entries).unwrap_or_default();
    match play(&settings, as_known(&known), &entries, &what) {
        Ok(story) => tell(&story, args),
        Err(text) => refuse(&text, exit::USAGE),
    }
}

/// Why nothing can be planned.
const NOT_VALID: &str = "the configuration is not valid: hb check tells why";

/// A status, and its age in ms when the daemon did not say it just now.
type Today<'a> = Option<(&'a StatusSnapshot, Option<u64>)>;

fn as_known(known: &Known) -> Today<'_> {
    let age_ms = known.down.as_ref().map(|down| down.age_ms);
    known.snapshot.as_ref().map(|it| (it, age_ms))
}

/// The plan as text, for who asks before acting.
///
/// # Errors
/// Why it cannot be planned.
pub(crate) fn text(
    run_dir: &Path,
    state_dir: &Path,
    config_dir: &Path,
    what: &What,
    symbols: bool,
) -> Result<String, String> {
    let loaded = settings(config_dir, None)?;
    let settings = loaded.settings.ok_or(NOT_VALID)?;
    let known = known(run_dir, state_dir);
    let entries = history::past(run_dir, state_dir).map(|past| past.entries).unwrap_or_default();
    play(&settings, as_known(&known), &entries, what).map(|story| show::text(&story, symbols))
}

/// Sets the scene as it is today, lets it happen, and watches.
///
/// # Errors
/// What does not exist, or cannot be set up.
fn play(
    settings: &Settings,
    status: Today<'_>,
    entries: &[HistoryEntry],
    what: &What,
) -> Result<Story, String> {
    let times = times::Times::measured(entries);
    let scene = Scene::set(settings, status, &times)?;
    story::play(scene, what)
}

/// What becomes of a group, as far as a rehearsal needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// The group.
    pub(crate) key: String,
    /// Milliseconds in which nobody serves it.
    pub(crate) outage_ms: u64,
    /// Who serves it in the end.
    pub(crate) ends_on: Option<String>,
}

/// What `hb plan WORDS` tells of each group, and what it assumes.
///
/// # Errors
/// What cannot be planned.
pub(crate) fn outlook(
    settings: &Settings,
    status: &hb_node::api::StatusSnapshot,
    entries: &[hb_node::api::HistoryEntry],
    words: &[String],
) -> Result<(Vec<Outlook>, Vec<String>), String> {
    let story = play(settings, Some((status, None)), entries, &What::read(words)?)?;
    let groups = story.groups.into_iter().map(|group| Outlook {
        key: group.key,
        outage_ms: group.outage_ms,
        ends_on: group.ends_on,
    });
    Ok((groups.collect(), story.assumed))
}

fn tell(story: &Story, args: &PlanArgs) -> ExitCode {
    if let Some(path) = &args.svg {
        #[expect(clippy::disallowed_methods, reason = "the file that was asked for")]
        let written = std::fs::write(path, svg::draw(story));
        if let Err(error) = written {
            return refuse(&format!("{}: {error}", path.display()), exit::UNKNOWN);
        }
    }
    if args.json {
        match serde_json::to_string_pretty(story) {
            Ok(text) => print::out(&format!("{text}\n")),
            Err(error) => return refuse(&error.to_string(), exit::UNKNOWN),
        }
    } else {
        print::out(&show::text(story, print::is_terminal()));
    }
    let unserved = story.groups.iter().any(|group| group.ends_on.is_none());
    exit::code(if unserved { exit::NEGATIVE } else { exit::OK })
}

fn settings(config_dir: &Path, node: Option<&str>) -> Result<Loaded, String> {
    let shown = config_dir.display();
    let files = dir::read_dir(config_dir).map_err(|error| format!("{shown}: {error}"))?;
    let node = match node {
        Some(name) => NodeName::new(name),
        None => dir::own_node_name(config_dir).map_err(|error| error.to_string())?,
    };
    Ok(load(&files, Some(&node)))
}

fn refuse(text: &str, code: u8) -> ExitCode {
    print::err(&format!("hb: {text}\n"));
    exit::code(code)
}

#[cfg(test)]
mod tests;
