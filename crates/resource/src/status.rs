//! What the end of an agent means: class, action, exit and output become an [`Outcome`]. Nothing
//! runs here.

use crate::agent::Class;
use crate::operation::{Action, Outcome};

/// Longest reason made from an agent's output, in bytes: it travels to logs, history and status.
const REASON_MAX: usize = 1_000;
/// Lines of output that a reason holds at most; the last ones say what went wrong.
const REASON_LINES: usize = 8;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It called `exit`.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

/// What a process wrote, bounded by whoever caught it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    /// Standard output: what the text rule of Heartbeat looks at.
    pub stdout: &'a [u8],
    /// Both outputs in the order of arrival: what people want to read after a failure.
    pub all: &'a [u8],
}

/// The outcome of one run of a script or OCF agent. Units of systemd are judged by [`judge_unit`].
///
/// A death by signal is never "not running": an agent that was killed has not told anything.
pub fn judge(class: Class, action: Action, exit: Exit, text: Text<'_>) -> Outcome {
    let code = match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => {
            let reason = with_output(format!("ended by signal {signal}"), text.all);
            return Outcome::Failed { code: None, reason };
        }
    };
    match class {
        Class::Heartbeat => heartbeat(action, code, text),
        Class::Lsb => lsb(action, code, text),
        Class::Ocf => ocf(action, code, text),
        Class::Systemd => plain(code, text),
    }
}

/// Heartbeat 3.0.6 judges `status` by text alone, and the other actions by exit 0.
fn heartbeat(action: Action, code: i32, text: Text<'_>) -> Outcome {
    if is_shell_failure(code) && text.stdout.trim_ascii().is_empty() {
        return could_not_run(code, text);
    }
    match action {
        Action::Status if says_running(text.stdout) => Outcome::Ok,
        Action::Status => Outcome::NotRunning,
        Action::Start | Action::Stop | Action::Announce | Action::Validate => plain(code, text),
    }
}

/// LSB 5.0, 22.2 (`Init Script Actions`).
fn lsb(action: Action, code: i32, text: Text<'_>) -> Outcome {
    match (action, code) {
        (Action::Status, 1..=3) => Outcome::NotRunning,
        // 7: "program is not running", which is what a stop is for.
        (Action::Stop, 7) => Outcome::Ok,
        // 5: "program is not installed".
        (Action::Start | Action::Stop, 5) | (_, 126 | 127) => could_not_run(code, text),
        (
            Action::Status | Action::Start | Action::Stop | Action::Announce | Action::Validate,
            _,
        ) => plain(code, text),
    }
}

/// OCF resource agent API 1.0, and the codes of clones that Pacemaker added (8, 9, 190, 191).
fn ocf(action: Action, code: i32, text: Text<'_>) -> Outcome {
    match (action, code) {
        (Action::Status, 7) => Outcome::NotRunning,
        // Running as the promoted instance; running though degraded.
        (Action::Status, 8 | 190 | 191) => Outcome::Ok,
        // The agent could not look, which says nothing of the service.
        (Action::Status, 2..=6) | (_, 5 | 126 | 127) => could_not_run(code, text),
        (Action::Stop, 7) => Outcome::Ok,
        // An agent without `validate-all` has nothing to object.
        (Action::Validate, 3) => Outcome::Ok,
        (
            Action::Status | Action::Start | Action::Stop | Action::Announce | Action::Validate,
            _,
        ) => match ocf_meaning(code) {
            Some(meaning) => Outcome::Failed {
                code: Some(code),
                reason: with_output(meaning.to_owned(), text.all),
            },
            None => plain(code, text),
        },
    }
}

fn ocf_meaning(code: i32) -> Option<&'static str> {
    match code {
        2 => Some("wrong arguments"),
        3 => Some("action not implemented by the agent"),
        4 => Some("not permitted"),
        5 => Some("a program it needs is not installed"),
        6 => Some("not configured"),
        7 => Some("not running"),
        9 => Some("failed as the promoted instance"),
        _ => None,
    }
}

fn plain(code: i32, text: Text<'_>) -> Outcome {
    if code == 0 {
        return Outcome::Ok;
    }
    Outcome::Failed { code: Some(code), reason: reason(text.all) }
}

fn could_not_run(code: i32, text: Text<'_>) -> Outcome {
    let what = match code {
        126 => "exit code 126: a program it needs is not executable".to_owned(),
        127 => "exit code 127: a program it needs was not found".to_owned(),
        _ => match ocf_meaning(code) {
            Some(meaning) => format!("exit code {code}: {meaning}"),
            None => format!("exit code {code}"),
        },
    };
    Outcome::CouldNotRun { reason: with_output(what, text.all) }
}

/// 126 and 127 are what a shell returns for a command that it could not execute (POSIX.1, 2.8.2).
fn is_shell_failure(code: i32) -> bool {
    code == 126 || code == 127
}

/// Heartbeat 3.0.6: "not running", any case of the two initials, is no; then `running`, `Running`
/// or `OK` anywhere is yes; all else is no.
fn says_running(output: &[u8]) -> bool {
    let no = ["not running", "not Running", "Not running", "Not Running"];
    let yes = ["running", "Running", "OK"];
    !no.iter().any(|word| contains(output, word)) && yes.iter().any(|word| contains(output, word))
}

fn contains(output: &[u8], word: &str) -> bool {
    output.windows(word.len()).any(|window| window == word.as_bytes())
}

/// What `systemctl show` says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked` …
    pub load: String,
    /// `active`, `inactive`, `activating`, `failed` …
    pub active: String,
    /// Finer state, by type of unit: `running`, `exited`, `auto-restart` …
    pub sub: String,
}

impl UnitState {
    /// Reads `Name=value` lines; `None` when the active state is missing.
    pub fn parse(output: &[u8]) -> Option<Self> {
        let mut state = Self::default();
        for line in String::from_utf8_lossy(output).lines() {
            match line.split_once('=') {
                Some(("LoadState", value)) => state.load = value.trim().to_owned(),
                Some(("ActiveState", value)) => state.active = value.trim().to_owned(),
                Some(("SubState", value)) => state.sub = value.trim().to_owned(),
                Some(_) | None => {}
            }
        }
        (!state.active.is_empty()).then_some(state)
    }

    fn is_up(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    fn is_missing(&self) -> bool {
        self.load == "not-found" && self.is_down()
    }
}

/// The outcome of an action on a unit, from the state in which it left the unit. The exit code of
/// `systemctl start` and `stop` only explains: it is 0 for a unit that fell over at once, and not 0
/// when the bus went away while the job did its work.
///
/// `job` is what `start` or `stop` wrote, for the reason.
pub fn judge_unit(action: Action, state: &UnitState, job: Text<'_>) -> Outcome {
    let failed = |what: &str| Outcome::Failed {
        code: None,
        reason: with_output(format!("{what}: unit is {} ({})", state.active, state.sub), job.all),
    };
    let refused = |what: &str| Outcome::Failed {
        code: None,
        reason: format!("unit cannot be started: {what}"),
    };
    let missing = || Outcome::CouldNotRun {
        reason: "systemd has no such unit: install it or correct its name in haresources".into(),
    };
    match action {
        Action::Status | Action::Start | Action::Validate if state.is_missing() => missing(),
        Action::Validate => match state.load.as_str() {
            "masked" => refused("it is masked: systemctl unmask it"),
            "error" | "bad-setting" => {
                refused("systemd cannot read it: see systemctl status and systemd-analyze verify")
            }
            _ => Outcome::Ok,
        },
        Action::Status if state.is_up() => Outcome::Ok,
        // On its way up is not running yet.
        Action::Status if state.is_down() || state.active == "activating" => Outcome::NotRunning,
        Action::Status => failed("neither running nor stopped"),
        Action::Start if state.is_up() => Outcome::Ok,
        Action::Start if state.active == "inactive" => failed(
            "the start ended but nothing runs (a unit of Type=oneshot needs RemainAfterExit=yes)",
        ),
        Action::Start => failed("start did not bring it up"),
        Action::Stop if state.is_down() => Outcome::Ok,
        Action::Stop => failed("stop did not bring it down"),
        Action::Announce => failed("units cannot be announced"),
    }
}

/// The outcome when systemd could not be asked: the state is unknown, which is never "stopped".
pub fn unit_unknown(exit: Exit, text: Text<'_>) -> Outcome {
    let how = match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    };
    let what = format!("systemd could not be asked (systemctl ended with {how}); state unknown");
    Outcome::CouldNotRun { reason: with_output(what, text.all) }
}

fn with_output(what: String, output: &[u8]) -> String {
    match reason(output) {
        said if said.is_empty() => what,
        said => format!("{what}: {said}"),
    }
}

/// The last lines of `output` in one line of plain text: control characters would forge log lines.
pub fn reason(output: &[u8]) -> String {
    // A character is at most four bytes: this is enough for REASON_MAX bytes of the end.
    let tail = &output[output.len().saturating_sub(4 * REASON_MAX)..];
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(REASON_LINES)..];
    let joined: String =
        last.join("; ").chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let cut = (joined.len().saturating_sub(REASON_MAX)..joined.len())
        .find(|at| joined.is_char_boundary(*at))
        .unwrap_or(joined.len());
    joined[cut..].to_owned()
}

#[cfg(test)]
mod tests;
