//! The two sockets of the control API: who may connect, how many, how long a line may be (I/O).
//! What a request means and how it is answered is the core's business.

pub(crate) mod client;
mod listen;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use hb_node::api::{CONTROL_SOCKET, Request, Response, STATUS_SOCKET};
use hb_node::input::ClientId;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub(crate) use crate::control::listen::bind;
use crate::control::listen::{Listener, next_client};
use crate::logging::Logger;

/// Connections at a time, for each socket: nobody who may only read can lock the operator out.
const CLIENTS_MAX: usize = 16;
/// Requests that may wait for the core; each connection has one at most.
const REQUESTS_MAX: usize = 2 * CLIENTS_MAX;

/// Which of the two sockets a client came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// `status.sock`: everybody, questions only.
    Read,
    /// `control.sock`: root and the group haclient, commands too.
    Command,
}

impl Access {
    /// Whether a request may be made here.
    fn allows(self, request: &Request) -> bool {
        match request {
            Request::Status | Request::History => true,
            Request::Standby { .. }
            | Request::Takeover { .. }
            | Request::Cleanup { .. }
            | Request::Maintenance { .. }
            | Request::Reload { .. }
            | Request::FenceTest
            | Request::FenceConfirm { .. }
            | Request::Stop => self == Self::Command,
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Read => STATUS_SOCKET,
            Self::Command => CONTROL_SOCKET,
        }
    }
}

/// What a client wants of the core.
#[derive(Debug)]
pub(crate) struct ClientEvent {
    /// Who.
    pub(crate) client: ClientId,
    /// The user's name, when a command came by a socket that knows it.
    pub(crate) who: Option<String>,
    /// What; `None` when it has gone without waiting for its answer.
    pub(crate) asks: Option<(Request, oneshot::Sender<Response>)>,
}

/// The way to the core: a request in, its answer out.
#[derive(Clone, Debug)]
pub(crate) struct Core(mpsc::Sender<ClientEvent>);

impl Core {
    /// Asks and waits for the answer; `None` when the daemon ends before it is there.
    pub(crate) async fn ask(&self, request: Request) -> Option<Response> {
        let (answer, response) = oneshot::channel();
        let event = ClientEvent { client: next_client(), who: None, asks: Some((request, answer)) };
        self.0.send(event).await.ok()?;
        response.await.ok()
    }
}

/// Both sockets, and the clients that wait for an answer.
#[derive(Debug)]
pub(crate) struct Control {
    core: Core,
    events: mpsc::Receiver<ClientEvent>,
    waiting: BTreeMap<ClientId, oneshot::Sender<Response>>,
}

/// Removes both sockets from `dir`: whoever asks then learns that there is no daemon.
pub(crate) fn remove(dir: &Path) {
    for access in [Access::Read, Access::Command] {
        let _ = std::fs::remove_file(dir.join(access.file_name()));
    }
}

/// Tells one daemon's socket in `dir` from that of the daemon before it; `None` when there is none.
pub(crate) fn door(dir: &Path) -> Option<(u64, i64, i64)> {
    let met = std::fs::symlink_metadata(dir.join(STATUS_SOCKET)).ok()?;
    Some((met.ino(), met.ctime(), met.ctime_nsec()))
}

/// What the core is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A question or a command, and who gives it where that is known.
    Request(ClientId, Option<String>, Request),
    /// This client's answer is not wanted any more.
    Gone(ClientId),
}

impl Control {
    /// Listens in `dir`. What does not work is logged: a node without its sockets still keeps the
    /// services up, which matters more than being asked.
    pub(crate) fn open(dir: &Path, logger: &Logger) -> Self {
        let (sender, events) = mpsc::channel(REQUESTS_MAX);
        let core = Core(sender.clone());
        for access in [Access::Read, Access::Command] {
            let path = dir.join(access.file_name());
            match bind(&path, access) {
                Ok(socket) => {
                    let listener = Listener {
                        access,
                        slots: Arc::new(Semaphore::new(CLIENTS_MAX)),
                        events: sender.clone(),
                        logger: logger.clone(),
                    };
                    tokio::spawn(listener.run(socket));
                }
                Err(error) => {
                    let path = path.display();
                    tracing::error!("no control socket {path}: {error}; hb cannot talk to us");
                }
            }
        }
        Self { core, events, waiting: BTreeMap::new() }
    }

    /// The way to the core for clients that come by another door.
    pub(crate) fn core(&self) -> Core {
        self.core.clone()
    }

    /// Waits for the next request. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Asked {
        loop {
            match self.events.recv().await {
                Some(ClientEvent { client, who, asks: Some((request, answer)) }) => {
                    self.waiting.insert(client, answer);
                    return Asked::Request(client, who, request);
                }
                Some(ClientEvent { client, asks: None, .. }) => {
                    // An answered client needs no farewell.
                    if self.waiting.remove(&client).is_some() {
                        return Asked::Gone(client);
                    }
                }
                // We hold a sender ourselves.
                None => std::future::pending().await,
            }
        }
    }

    /// Hands an answer over; one for a client that has gone is dropped.
    pub(crate) fn reply(&mut self, client: ClientId, response: Response) {
        if let Some(answer) = self.waiting.remove(&client) {
            let _ = answer.send(response);
        }
    }
}
