//! `hb drill`: a rehearsal on the real pair. It checks that it is safe, says what will happen, asks,
//! does it, measures the service from both nodes, puts everything back, and reports (I/O: the daemon's
//! socket, the clock, files of reports).
//!
//! The fault is done on the node where the command runs, by a helper process that undoes it even when
//! the command is killed. Who serves decides what is rehearsed: on the standby a stop shows that the
//! service does not notice it.
#![expect(clippy::disallowed_methods, reason = "an edge: writes reports")]

mod course;
mod daemon;
mod fault;
mod guard;
mod helper;
mod observe;
mod preflight;
mod report;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use hb_config::duration::{self, Units};
use hb_config::settings::Settings;
use hb_config::{dir, load};
use hb_node::api::{HistoryEntry, StatusSnapshot};
use jiff::Timestamp;

use crate::probe::target::Target;
use crate::probe::watch::{self, Orders, TARGETS_MAX};
use crate::ssh::{Ssh, quote};
use crate::{ask, client, exit, history, lab, plan, print};
use course::{Course, Outcome, Watch};
use daemon::Daemon;
use fault::{Fault, Kind, Ledger};
use observe::Observation;
use preflight::{Check, Facts, Spec, Wish, checks};
use report::{Expected, Measured, Moment, Observer, Part, Report, Trouble, Verdict};

/// Milliseconds between two questions of an observer.
const EVERY_MS: u64 = 10;
/// Milliseconds that an answer may take.
const ANSWER_MS: u64 = 250;
/// Entries of the other node's history that are asked for.
const HISTORY_MAX: u32 = 200;

/// Rehearse a failure on the real pair, with a guard, and report what the service saw
///
/// It is done on the node where the command runs: `hb drill --kind stop --max-outage 10s`. It refuses
/// unless both nodes are well and the outage that `hb plan` expects is allowed, shows what will happen,
/// and asks. The service is asked every 10 ms from this node and, over ssh, from the other. Everything
/// is put back, also when the command is killed.
///
/// Exit status: 0 passed, 1 the outage was too long, 2 refused, 3 failed.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
pub(crate) struct DrillArgs {
    /// What is rehearsed
    #[arg(long, value_enum, required_unless_present = "undo")]
    kind: Option<Kind>,
    /// LINK of a cut, then a GROUP: only that one is moved (standby) or measured
    #[arg(value_name = "LINK|GROUP", num_args = 0..=2)]
    words: Vec<String>,
    /// The longest time without service that is accepted: `5s`, `500ms`
    #[arg(long, value_name = "TIME", value_parser = time,
          required_unless_present = "undo")]
    max_outage: Option<Duration>,
    /// How long a freeze or a cut lasts; else a little longer than the other node needs to notice it
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    hold: Option<Duration>,
    /// What is asked, in place of what the group tells: http://HOST/PATH, tcp:ADDRESS:PORT, ping:ADDRESS
    #[arg(long, value_name = "PROBE")]
    probe: Vec<String>,
    /// How to reach the other node by ssh, to measure there: `USER@HOST`; `none`: not at all
    #[arg(long, value_name = "ssh:USER@HOST")]
    peer: Option<String>,
    /// Leave groups where they are in the end
    #[arg(long)]
    no_back: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print the report as JSON (docs/guide/drills.md)
    #[arg(long)]
    json: bool,
    /// Also write the report there: as JSON when the name ends so
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// Undo a drill whose command and helper are gone, or end one
    #[arg(long, conflicts_with_all = ["kind", "words"])]
    undo: bool,
    /// Directory of the configuration
    #[arg(long, value_name = "DIR", default_value = dir::DEFAULT_DIR)]
    dir: PathBuf,
    /// Beside `--undo`, so that nothing else is required: be the process that does it and undoes it.
    #[arg(long, hide = true, requires = "undo")]
    helper: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    match duration::parse(text, Units::Native) {
        Ok(0) => Err("it must be more than nothing".to_owned()),
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => Err("write a time such as 5s or 500ms".to_owned()),
    }
}

/// Runs `hb drill`.
pub(crate) fn run(run_dir: &Path, state_dir: &Path, args: &DrillArgs) -> ExitCode {
    if args.helper {
        return helper::run(run_dir);
    }
    if args.undo {
        return undo(run_dir);
    }
    let done = Place::look(run_dir, state_dir, args).and_then(|place| drill(&place, args));
    match done {
        Ok(verdict) => exit::code(match verdict {
            Verdict::Passed => exit::OK,
            Verdict::OutageTooLong => exit::NEGATIVE,
            Verdict::Refused => exit::USAGE,
            Verdict::Failed => exit::UNKNOWN,
        }),
        Err(text) => {
            print::err(&format!("hb drill: refused: {text}\n"));
            exit::code(exit::USAGE)
        }
    }
}

fn undo(run_dir: &Path) -> ExitCode {
    let undone = helper::under_way(run_dir).and_then(|ledger| match ledger {
        None => Ok("no drill is under way".to_owned()),
        Some(ledger) => helper::undo(run_dir, &ledger)
            .map(|()| format!("the drill of {} is undone", text::moment(ledger.begun_unix_ms))),
    });
    match undone {
        Ok(text) => {
            print::out(&format!("{text}\n"));
            exit::code(exit::OK)
        }
        Err(text) => {
            print::err(&format!("hb drill: {text}\n"));
            exit::code(exit::UNKNOWN)
        }
    }
}

/// This node and the other, before anything is done.
struct Place<'a> {
    run_dir: &'a Path,
    state_dir: &'a Path,
    status: StatusSnapshot,
    settings: Settings,
    entries: Vec<HistoryEntry>,
    daemon: Result<Daemon, String>,
    /// The other node, and the version of hb there.
    peer: Result<(Ssh, String), String>,
}

impl<'a> Place<'a> {
    fn look(run_dir: &'a Path, state_dir: &'a Path, args: &DrillArgs) -> Result<Self, String> {
        if let Some(ledger) = helper::under_way(run_dir)? {
            let begun = text::moment(ledger.begun_unix_ms);
            return Err(format!("a drill of {begun} is not over: hb drill --undo"));
        }
        let status = client::snapshot(run_dir).map_err(|error| error.to_string())?;
        let files =
            dir::read_dir(&args.dir).map_err(|error| format!("{}: {error}", args.dir.display()))?;
        let node = dir::own_node_name(&args.dir).map_err(|error| error.to_string())?;
        let settings = load(&files, Some(&node)).settings;
        let settings = settings.ok_or("the configuration is not valid: hb check tells why")?;
        let past = history::past(run_dir, state_dir);
        let peer = status.peer.as_ref().map(|peer| peer.name.clone()).unwrap_or_default();
        Ok(Self {
            run_dir,
            state_dir,
            entries: past.map(|past| past.entries).unwrap_or_default(),
            daemon: Daemon::look(status.pid),
            peer: reach(args.peer.as_deref(), &peer),
            status,
            settings,
        })
    }

    fn peer_name(&self) -> &str {
        self.status.peer.as_ref().map_or("", |peer| peer.name.as_str())
    }
}

/// Whether the other node can observe, and with which version.
fn reach(wanted: Option<&str>, peer: &str) -> Result<(Ssh, String), String> {
    if wanted == Some("none") {
        return Err("--peer none".to_owned());
    }
    let ssh = Ssh::to(wanted.unwrap_or(peer), true)?;
    let version = ssh.run("hb --version", Vec::new())?;
    let version = String::from_utf8_lossy(&version);
    let version = version.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    if version != env!("CARGO_PKG_VERSION") {
        let host = ssh.host();
        return Err(format!("{host} has hb {version}, and here is {}", env!("CARGO_PKG_VERSION")));
    }
    Ok((ssh, version))
}

/// What is asked, and for which group.
type Targets = Vec<(Target, Option<String>)>;

fn targets(
    spec: &Spec,
    settings: &Settings,
    probes: &[String],
) -> Result<(Targets, Vec<String>), String> {
    let mut missed = Vec::new();
    let mut found: Targets = Vec::new();
    for probe in probes {
        found.push((Target::read(probe)?, None));
    }
    if probes.is_empty() {
        let groups = settings.groups.iter().filter(|group| spec.home.contains_key(&group.key));
        for group in groups {
            match Target::of_group(group, &settings.native) {
                Some(target) => found.push((target, Some(group.key.clone()))),
                None => missed.push(format!(
                    "{}: it has neither an address nor a probe; say what to ask with --probe",
                    group.key
                )),
            }
        }
    }
    for (target, group) in found.drain(found.len().min(TARGETS_MAX)..) {
        let group = group.unwrap_or_default();
        missed.push(format!("{group} {target}: more than {TARGETS_MAX} are not asked at once"));
    }
    if found.is_empty() {
        return Err(missed.join("; "));
    }
    Ok((found, missed))
}

fn drill(place: &Place<'_>, args: &DrillArgs) -> Result<Verdict, String> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let wish = Wish {
        kind: args.kind.ok_or("which kind?")?,
        words: args.words.clone(),
        max_outage_ms: args.max_outage.map(ms).ok_or("how long may the outage be?")?,
        hold_ms: args.hold.map(ms),
    };
    let watchdog_ms = place.daemon.as_ref().ok().and_then(|daemon| daemon.watchdog_ms);
    let spec = Spec::of(&wish, &place.status, &place.settings, watchdog_ms)?;
    let (targets, missed) = targets(&spec, &place.settings, &args.probe)?;
    let (expected, assumed) = expected(&spec, place);
    let observer = place.peer.as_ref().map(|(_, version)| version.clone()).map_err(Clone::clone);
    let checks = checks(
        &spec,
        &Facts {
            status: &place.status,
            settings: &place.settings,
            daemon: place.daemon.as_ref().ok(),
            nft: lab::find_program("nft").is_some(),
            observer: &observer,
            expected: &expected,
        },
    );
    let fault = place.daemon.as_ref().ok().map(|daemon| spec.fault(daemon, &place.settings));
    print::err(&text::plan(&spec, fault.as_ref(), &checks, &assumed));
    let mut report = blank(&spec, place, checks, assumed, expected.unwrap_or(0));
    report.not_measured = missed;
    if let Err(why) = &place.peer {
        let node = place.peer_name();
        report.not_measured.push(format!("from {node}: {why}"));
    }
    let refused: Vec<String> = report
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|Check { name, text, .. }| format!("{name}: {text}"))
        .collect();
    if let (true, Some(fault)) = (refused.is_empty(), fault) {
        if !args.yes && !ask::yes("\nBegin?")? {
            return Err("not wanted".to_owned());
        }
        carry_out(place, &spec, fault, !args.no_back, &targets, &mut report)?;
    } else {
        report.reasons = refused;
    }
    publish(&report, args);
    Ok(report.verdict)
}

fn expected(spec: &Spec, place: &Place<'_>) -> (Result<u64, String>, Vec<String>) {
    let Some(words) = &spec.plan else {
        let text = "heartbeat is back within its dead time, and what runs goes on".to_owned();
        return (Ok(0), vec![text]);
    };
    match plan::outlook(&place.settings, &place.status, &place.entries, words) {
        Err(text) => (Err(text), Vec::new()),
        Ok((groups, assumed)) => {
            let ours = || groups.iter().filter(|group| spec.home.contains_key(&group.key));
            if let Some(lost) = ours().find(|group| group.ends_on.is_none()) {
                return (Err(format!("{} would be served by nobody", lost.key)), assumed);
            }
            (Ok(ours().map(|group| group.outage_ms).max().unwrap_or(0)), assumed)
        }
    }
}

/// A report of what has not begun.
fn blank(
    spec: &Spec,
    place: &Place<'_>,
    checks: Vec<Check>,
    assumed: Vec<String>,
    outage_ms: u64,
) -> Report {
    let status = &place.status;
    let part = |it: &hb_node::api::ConfigPart| Part {
        part: it.part.clone(),
        digest: it.here.clone(),
        same: it.same,
    };
    Report {
        v: report::VERSION,
        verdict: Verdict::Refused,
        reasons: Vec::new(),
        cluster: status.cluster.clone(),
        node: status.this_node.name.clone(),
        peer: place.peer_name().to_owned(),
        by: who(),
        kind: spec.kind,
        link: spec.link.clone(),
        groups: spec.home.clone(),
        begun_unix_ms: now_ms(),
        ended_unix_ms: now_ms(),
        max_outage_ms: spec.max_outage_ms,
        checks,
        expected: Expected { outage_ms, takeover: spec.moves, assumed },
        takeover: None,
        outage_ms: None,
        observers: Vec::new(),
        not_measured: Vec::new(),
        aborted: None,
        restored: true,
        timeline: Vec::new(),
        config: status.config.iter().map(part).collect(),
        versions: BTreeMap::from([(status.this_node.name.clone(), status.version.clone())]),
    }
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// The person, as far as the environment tells.
fn who() -> String {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let own = nix::unistd::getuid();
    let user = of("USER").or_else(|| of("LOGNAME")).unwrap_or_else(|| format!("uid {own}"));
    match of("SUDO_USER") {
        Some(person) => format!("{person} as {user}"),
        None => user,
    }
}

/// Does it, and fills in the report.
fn carry_out(
    place: &Place<'_>,
    spec: &Spec,
    fault: Fault,
    back: bool,
    targets: &Targets,
    report: &mut Report,
) -> Result<(), String> {
    let ledger = Ledger {
        v: 1,
        by: report.by.clone(),
        begun_unix_ms: report.begun_unix_ms,
        limit_ms: spec.limit_ms,
        node: report.node.clone(),
        run_dir: std::path::absolute(place.run_dir).map_err(|error| error.to_string())?,
        home: spec.home.clone(),
        back,
        fault,
    };
    let orders = Orders {
        v: watch::VERSION,
        targets: targets.iter().map(|(target, _)| target.clone()).collect(),
        every_ms: EVERY_MS,
        limit_ms: ANSWER_MS,
    };
    let (tell, events) = mpsc::channel();
    observe::catch_signals(tell.clone())?;
    let here = Observation::here(0, place.run_dir, &orders, &tell)?;
    let mut watches = vec![Watch::new(&report.node, spec.blind(), here)];
    if let Ok((ssh, _)) = &place.peer {
        let there = Observation::there(1, ssh, place.run_dir, &orders, &tell)?;
        watches.push(Watch::new(&report.peer, None, there));
    }
    let times = &place.settings.timing;
    let times = (times.deadtime_ms, times.initdead_ms);
    let mut course = Course::new(spec, &ledger, watches, events, times);
    course.prepare(place.run_dir, tell)?;
    report.begun_unix_ms = now_ms();
    let outcome = course.run();
    report.ended_unix_ms = now_ms();
    finish(place, &course, targets, outcome, report);
    Ok(())
}

/// What was measured and what happened goes into the report, and is judged.
fn finish(
    place: &Place<'_>,
    course: &Course<'_>,
    targets: &Targets,
    outcome: Outcome,
    report: &mut Report,
) {
    let Outcome { mut trouble, aborted, restored } = outcome;
    report.aborted = aborted;
    report.restored = restored;
    let all = course.spec.home.keys().all(|group| course.taken.contains(group));
    report.takeover = match (all, course.watches.len() > 1) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    let mut peer_begun = None;
    for (number, watch) in course.watches.iter().enumerate() {
        if let Some((version, unix_ms)) = &watch.hello {
            report.versions.entry(watch.node.clone()).or_insert_with(|| format!("{version} (hb)"));
            peer_begun = (number == 1).then_some(*unix_ms);
        }
        report.observers.push(observer(watch, targets, &mut trouble));
    }
    report.timeline.clone_from(&course.moments);
    let since = |entry: &&HistoryEntry, from: u64| entry.at_ms() >= from;
    let own = history::past(place.run_dir, place.state_dir).map(|past| past.entries);
    let own = own.unwrap_or_default();
    let from = report.begun_unix_ms;
    report
        .timeline
        .extend(own.iter().filter(|it| since(it, from)).map(|it| told(it, &report.node)));
    match (&place.peer, peer_begun) {
        (Ok((ssh, _)), Some(begun)) => match peer_history(ssh, place.run_dir) {
            Ok(entries) => {
                let theirs = entries.iter().filter(|it| since(it, begun));
                report.timeline.extend(theirs.map(|it| told(it, &report.peer)));
            }
            Err(why) => report.not_measured.push(format!("history of {}: {why}", report.peer)),
        },
        (Ok(_) | Err(_), _) => {
            report.not_measured.push(format!("history of {}: not reached", report.peer));
        }
    }
    report.timeline.sort();
    report.judge(trouble);
}

fn observer(watch: &Watch, targets: &Targets, trouble: &mut Trouble) -> Observer {
    let mut not_counted = watch.blind.clone();
    if watch.readings.is_none() {
        let why = watch.gone.clone().unwrap_or_else(|| "it did not answer in the end".to_owned());
        let text = format!("the observer on {} was lost: {why}", watch.node);
        if not_counted.is_none() {
            trouble.failures.push(text.clone());
        }
        not_counted.get_or_insert(text);
    }
    let readings = watch.readings.clone().unwrap_or_default();
    let measured = targets.iter().zip(readings).map(|((target, group), readings)| Measured {
        target: target.to_string(),
        group: group.clone(),
        readings,
    });
    Observer {
        node: watch.node.clone(),
        version: watch.hello.as_ref().map(|(version, _)| version.clone()),
        begun_unix_ms: watch.hello.as_ref().map(|(_, unix_ms)| *unix_ms),
        every_ms: EVERY_MS,
        not_counted,
        measured: measured.collect(),
    }
}

fn told(entry: &HistoryEntry, node: &str) -> Moment {
    let text = history::line::line(entry, "", false).replace("  ", " ");
    Moment { unix_ms: entry.at_ms(), who: node.to_owned(), text: format!("history {text}") }
}

fn peer_history(ssh: &Ssh, run_dir: &Path) -> Result<Vec<HistoryEntry>, String> {
    #[derive(serde::Deserialize)]
    struct Past {
        entries: Vec<HistoryEntry>,
    }
    let run_dir = quote(&run_dir.to_string_lossy());
    let line = format!("hb --run-dir {run_dir} history --json --limit {HISTORY_MAX}");
    let answer = ssh.run(&line, Vec::new())?;
    let past: Past = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    Ok(past.entries)
}

fn publish(report: &Report, args: &DrillArgs) {
    let json = serde_json::to_string_pretty(report).map(|text| text + "\n");
    let json = json.unwrap_or_else(|error| format!("{error}\n"));
    let words = text::report(report);
    for path in &args.report {
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let text = if is_json { &json } else { &words };
        if let Err(error) = std::fs::write(path, text) {
            print::err(&format!("hb drill: {}: {error}\n", path.display()));
        }
    }
    print::out(if args.json { &json } else { &words });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |text, expect: Option<u64>| {
            assert_eq!(time(text).ok(), expect.map(Duration::from_millis), "{text}");
        };
        check("5s", Some(5_000));
        check("500ms", Some(500));
        check("0", None);
        check("soon", None);
    }

    #[test]
    fn an_entry_of_the_history_is_one_line() {
        let entry = HistoryEntry {
            number: 41,
            unix_ms: 7,
            group: "www".to_owned(),
            what: "acquired".to_owned(),
            cause: "standby".to_owned(),
            from: Some("a".to_owned()),
            to: Some("b".to_owned()),
            ..HistoryEntry::default()
        };
        let moment = told(&entry, "b");
        assert_eq!(moment.text, "history #41 www a->b cause=standby");
        assert_eq!((moment.unix_ms, moment.who.as_str()), (7, "b"));
    }
}
