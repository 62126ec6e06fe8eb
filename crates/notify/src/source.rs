//! Asks the daemon: its status each time, its history when something may have changed.
#![expect(clippy::disallowed_methods, reason = "edge: reads what the daemon left")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_cli::client::{Client, ClientError};
use hb_node::api::{
    self, HistoryEntry, LAST_STATUS_FILE, Request, Response, SavedStatus, StatusSnapshot,
};

/// Limit of one question: longer than any healthy daemon takes, shorter than anybody waits.
const LIMIT: Duration = Duration::from_secs(3);
/// The history is asked for after so many looks at the latest.
const LOOKS: u32 = 20;

/// Where the daemon is asked.
#[derive(Debug)]
pub(crate) struct Source {
    run_dir: PathBuf,
    state_dir: PathBuf,
    client: Option<Client>,
    /// What the last status said of anything that stands in the history.
    last: Option<String>,
    looks: u32,
}

/// One look.
#[derive(Debug)]
pub(crate) enum Look {
    /// It answers.
    Here(Box<StatusSnapshot>, Option<Vec<HistoryEntry>>),
    /// It does not, and why; whether it has said that it stops.
    Away(String, bool),
}

impl Source {
    pub(crate) fn new(run_dir: &Path, state_dir: &Path) -> Self {
        let (run_dir, state_dir) = (run_dir.to_owned(), state_dir.to_owned());
        Self { run_dir, state_dir, client: None, last: None, looks: 0 }
    }

    /// Looks once.
    pub(crate) fn look(&mut self) -> Look {
        match self.ask() {
            Ok((status, history)) => Look::Here(Box::new(status), history),
            Err(error) => {
                self.client = None;
                self.last = None;
                Look::Away(error.to_string(), self.has_left())
            }
        }
    }

    fn ask(&mut self) -> Result<(StatusSnapshot, Option<Vec<HistoryEntry>>), ClientError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&self.run_dir, api::STATUS_SOCKET, Some(LIMIT))?,
        };
        let status = match client.ask(Request::Status)? {
            Response::Status(status) => *status,
            other => return Err(unexpected(&other)),
        };
        let print = fingerprint(&status);
        self.looks += 1;
        let mut history = None;
        if self.looks >= LOOKS || self.last.as_deref() != Some(&print) {
            history = Some(match client.ask(Request::History)? {
                Response::History(entries) => entries,
                other => return Err(unexpected(&other)),
            });
            self.looks = 0;
            self.last = Some(print);
        }
        self.client = Some(client);
        Ok((status, history))
    }

    fn has_left(&self) -> bool {
        let text = fs::read(self.state_dir.join(LAST_STATUS_FILE)).unwrap_or_default();
        serde_json::from_slice::<SavedStatus>(&text).is_ok_and(|saved| saved.is_last)
    }
}

fn unexpected(response: &Response) -> ClientError {
    match response {
        Response::Error { text } => ClientError::Protocol(text.clone()),
        Response::Status(_)
        | Response::History(_)
        | Response::Changes { .. }
        | Response::Done { .. } => ClientError::Protocol("an answer to something else".to_owned()),
    }
}

/// Changes whenever something happens that the history tells.
fn fingerprint(status: &StatusSnapshot) -> String {
    let problems: Vec<_> = status.problems.iter().map(|it| (&it.id, &it.subject)).collect();
    let groups: Vec<_> = status.groups.iter().map(|it| (it.here, it.peer, &it.active_on)).collect();
    let peer = status.peer.as_ref().map(|it| (&it.status, it.generation));
    let own = (status.verdict, status.this_node.generation, &status.this_node.phase);
    let fencing = status.fencing.as_ref().map(|it| (&it.state, &it.last));
    let moved = status.last_move.as_ref().map(|it| (it.number, it.outage_ms));
    let maintenance = status.maintenance.as_ref().map(|it| (it.here, it.peer));
    format!("{own:?} {peer:?} {problems:?} {groups:?} {fencing:?} {moved:?} {maintenance:?}")
}
