//! Hooks: an operator's own scripts in `rc.d`, run through Heartbeat's `harc` when something
//! happens (I/O). One at a time, in order, within limits of number and time; the core never waits
//! for them and never learns how they ended. `docs/reference/hooks.md` is their contract,
//! `docs/decisions/0007-heartbeats-own-hooks-are-not-run.md` says why Heartbeat's own scripts there are not run.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_messaging::fields::KIND_MAX;
use hb_node::effect::{Level, LogEvent};
use hb_resource::exec::Runner;
use hb_resource::operation::Outcome;
use tokio::sync::mpsc;

use crate::logging::Logger;

/// Names of the scripts of Heartbeat's package: they acquire and release resources, which this
/// daemon does itself, so they would work against it.
const PERFORMED: [&str; 5] =
    ["ask_resources", "hb_takeover", "ip-request", "ip-request-resp", "status"];
/// The hook for a change of a node's status: `status` itself is always Heartbeat's own script.
const STATUS_HOOK: &str = "hb-status";
/// Hooks that wait for their turn. One whose scripts are slower than what happens is not followed.
const WAITING_MAX: usize = 16;
/// How long one hook may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Scripts that are looked for: Heartbeat has about twenty types of messages.
const TYPES_MAX: usize = 64;

/// Which hooks there are, and the way to whoever runs them.
#[derive(Debug)]
pub(crate) struct Hooks {
    types: BTreeSet<String>,
    queue: mpsc::Sender<Hook>,
    logger: Logger,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hook {
    kind: String,
    variables: Vec<(String, String)>,
}

impl Hooks {
    /// Looks at `rc.d` once: when something happens, a disk that hangs must not matter.
    pub(crate) fn open(config: &Path, runner: Runner, logger: &Logger) -> Self {
        let harc = config.join("harc");
        let (performed, mut types): (BTreeSet<_>, BTreeSet<_>) =
            scripts(&config.join("rc.d")).partition(|name| PERFORMED.contains(&name.as_str()));
        if !performed.is_empty() {
            let list = Vec::from_iter(performed).join(", ");
            let text = format!("not run from rc.d: {list}: the daemon does this itself");
            logger.say(Level::Info, "hooks_performed", text);
        }
        if !types.is_empty() && !is_executable(&harc) {
            let text = format!("{} is missing: the hooks in rc.d are not run", harc.display());
            logger.say(Level::Error, "hooks_unusable", text);
            types.clear();
        }
        let (queue, calls) = mpsc::channel(WAITING_MAX);
        if !types.is_empty() {
            let list = Vec::from_iter(types.iter().map(String::as_str)).join(", ");
            logger.say(Level::Info, "hooks", format!("hooks in rc.d: {list}"));
            tokio::spawn(work(calls, harc, runner, logger.clone()));
        }
        Self { types, queue, logger: logger.clone() }
    }

    /// Calls the hook for what a log line tells, if there is one.
    pub(crate) fn see(&self, event: &LogEvent) {
        let Some(hook) = hook(event).filter(|hook| self.types.contains(&hook.kind)) else { return };
        if let Err(error) = self.queue.try_send(hook) {
            let kind = error.into_inner().kind;
            let text = format!("hook {kind} not run: {WAITING_MAX} hooks are waiting");
            self.logger.say(Level::Warn, "hook_dropped", text);
        }
    }
}

/// Names in `rc.d` that can be a type of message and can be executed.
fn scripts(dir: &Path) -> impl Iterator<Item = String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| is_executable(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(move |name| name.len() <= KIND_MAX && name.chars().all(fits))
        .take(TYPES_MAX)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The call that belongs to a log line. The variables are these three, whatever a message holds:
/// Heartbeat 3.0.6 exports each field under the name that its sender chose.
fn hook(event: &LogEvent) -> Option<Hook> {
    let field = |name: &str| event.field(name).map(str::to_owned);
    let (kind, status) = match event.event.as_str() {
        "node_status" | "node_dead" => (STATUS_HOOK.to_owned(), Some(field("to")?)),
        "message_received" | "peer_shutdown" => (field("type")?, None),
        _ => return None,
    };
    let mut variables =
        vec![("HA_t".to_owned(), kind.clone()), ("HA_src".to_owned(), field("peer")?)];
    variables.extend(status.map(|word| ("HA_st".to_owned(), word)));
    Some(Hook { kind, variables })
}

async fn work(mut calls: mpsc::Receiver<Hook>, harc: PathBuf, runner: Runner, logger: Logger) {
    while let Some(Hook { kind, variables }) = calls.recv().await {
        let outcome = runner.run_program(&harc, &[&kind], &variables, LIMIT).await;
        let level = if outcome == Outcome::Ok { Level::Info } else { Level::Warn };
        logger.say(level, "hook_ended", format!("hook {kind}: {}", outcome.describe()));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "writes files of the tests")]
mod tests {
    use super::*;

    fn script(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).expect("writable");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn scripts_are_found_by_name_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [
            ("shutdone", 0o755),
            ("status", 0o755),
            ("README", 0o644),
            ("a b", 0o755),
            (".x", 0o755),
        ] {
            script(&dir.path().join(name), "", mode);
        }
        fs::create_dir(dir.path().join("resource")).expect("writable");
        let found: BTreeSet<String> = scripts(dir.path()).collect();
        assert_eq!(found, ["shutdone".to_owned(), "status".to_owned()].into());
        assert_eq!(scripts(&dir.path().join("none")).count(), 0);
    }

    #[test]
    fn only_fixed_variables_are_exported() {
        let check = |event: LogEvent, expect: Option<(&str, &[(&str, &str)])>| {
            let expect = expect.map(|(kind, list)| Hook {
                kind: kind.into(),
                variables: list.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            });
            assert_eq!(hook(&event), expect, "{event:?}");
        };
        let event = |name: &str| LogEvent::new(Level::Info, name, "").with("peer", "node2");
        check(
            event("node_dead").with("from", "active").with("to", "dead").with("cause", "x"),
            Some(("hb-status", &[("HA_t", "hb-status"), ("HA_src", "node2"), ("HA_st", "dead")])),
        );
        check(
            event("message_received").with("type", "resource").with("PATH", "/evil"),
            Some(("resource", &[("HA_t", "resource"), ("HA_src", "node2")])),
        );
        check(
            event("peer_shutdown").with("type", "shutdone"),
            Some(("shutdone", &[("HA_t", "shutdone"), ("HA_src", "node2")])),
        );
        check(event("message_received"), None);
        check(event("link_status").with("to", "up"), None);
    }
}
