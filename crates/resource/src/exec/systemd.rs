//! Units of systemd through `systemctl`: start or stop, wait for the job, then look at the state.
//! It does I/O; what a state means is decided in `status`.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::child::{self, End, Output, Shared, Terms};
use super::watch::UnitProcesses;
use crate::agent::{self, AgentError, Invocation};
use crate::operation::{Action, Outcome};
use crate::status::{self, UnitState};

/// The question after a job has this much time even when the job took all of its own.
const QUERY_TIME_MIN: Duration = Duration::from_secs(5);

/// How units are reached.
pub(super) struct Systemd<'a> {
    pub(super) shared: &'a Shared,
    pub(super) systemctl: &'a Path,
    pub(super) environment: &'a [(String, String)],
    pub(super) grace: Duration,
    /// See [`Terms::ends_when_dropped`].
    pub(super) ends_when_dropped: bool,
}

impl Systemd<'_> {
    /// Performs `action` by `call`. At the end of its time systemctl is ended, but its job stays
    /// with systemd; the stop that follows a start which timed out replaces that job.
    pub(super) async fn perform(
        &self,
        unit: &str,
        action: Action,
        call: &Invocation,
        limit: Duration,
    ) -> Outcome {
        let deadline = Instant::now() + limit;
        let job = match action {
            Action::Status | Action::Validate => Output::default(),
            Action::Start | Action::Stop | Action::Announce => match self.call(call, limit).await {
                End::Exited { output, .. } => output,
                End::TimedOut => return Outcome::TimedOut,
                End::CouldNotRun { reason } => return Outcome::CouldNotRun { reason },
            },
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let query = match agent::unit_query(unit, self.systemctl) {
            Ok(query) => query,
            Err(error) => return refused(&error),
        };
        match self.call(&query, left.max(QUERY_TIME_MIN.min(limit))).await {
            End::Exited { exit, output, .. } => match UnitState::parse(output.text().stdout) {
                Some(state) => status::judge_unit(action, &state, job.text()),
                None => status::unit_unknown(exit, output.text()),
            },
            End::TimedOut => Outcome::TimedOut,
            End::CouldNotRun { reason } => Outcome::CouldNotRun { reason },
        }
    }

    /// Kills all processes of the unit; whether it worked is seen by the stop that follows.
    pub(super) async fn kill(&self, unit: &str, limit: Duration) -> Result<(), AgentError> {
        let call = agent::unit_kill(unit, self.systemctl)?;
        if let End::CouldNotRun { reason } = self.call(&call, limit).await {
            tracing::warn!(unit, reason, "systemctl kill could not be run");
        }
        Ok(())
    }

    /// Which processes the unit has; `None` when systemd did not tell.
    pub(super) async fn processes(&self, unit: &str, limit: Duration) -> Option<UnitProcesses> {
        let query = agent::unit_processes(unit, self.systemctl).ok()?;
        match self.call(&query, limit).await {
            End::Exited { output, .. } => Some(UnitProcesses::parse(output.text().stdout)),
            End::TimedOut | End::CouldNotRun { .. } => None,
        }
    }

    async fn call(&self, call: &Invocation, limit: Duration) -> End {
        let Self { grace, ends_when_dropped, .. } = *self;
        let terms =
            Terms { time: limit, grace, ends_when_dropped, is_agent: true, has_input: false };
        child::run(self.shared, call, self.environment, terms).await
    }
}

fn refused(error: &AgentError) -> Outcome {
    Outcome::CouldNotRun { reason: error.to_string() }
}
