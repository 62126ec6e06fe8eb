//! One arm per effect: what the node wants is handed to whoever does it. Nothing here waits on the
//! outside, and nothing here decides (I/O).

use std::net::SocketAddr;
use std::process;
use std::sync::Arc;

use hb_messaging::net::{Links, Pings};
use hb_node::STEPPED_DOWN;
use hb_node::api::Response;
use hb_node::effect::{Effect, Level, RestartedMaintenance};

use crate::control::Control;
use crate::daemonize::Report;
use crate::fence::Fence;
use crate::hint::Hints;
use crate::legacy::hooks::Hooks;
use crate::logging::Logger;
use crate::operations::Operations;
use crate::service::Service;
use crate::watchdog::Watchdog;
use crate::witness::Witness;

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code.
    Exit(u8),
    /// Another daemon takes the place of this one.
    Restart(Option<RestartedMaintenance>),
}

impl Ended {
    /// What the process ends with when no other program takes its place.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exit(code) => code,
            Self::Restart(_) => STEPPED_DOWN,
        }
    }
}

/// Everything outside of the node.
pub(crate) struct Edge {
    pub(crate) links: Links,
    pub(crate) pings: Pings,
    /// Where the datagram came from that the node handled last.
    pub(crate) source: Option<SocketAddr>,
    pub(crate) control: Control,
    pub(crate) operations: Operations,
    pub(crate) hints: Hints,
    pub(crate) fence: Fence,
    pub(crate) witness: Witness,
    pub(crate) watchdog: Watchdog,
    pub(crate) hooks: Hooks,
    pub(crate) service: Service,
    pub(crate) logger: Logger,
    pub(crate) report: Report,
}

impl Edge {
    /// Performs one effect; how it ends when the node leaves.
    pub(crate) fn perform(&mut self, effect: Effect) -> Option<Ended> {
        match effect {
            Effect::Transmit { link, bytes } => self.links.send(link, &bytes),
            Effect::Echo { ping, sequence } => self.pings.send(ping, sequence),
            Effect::Run(operation) => self.operations.start(Arc::unwrap_or_clone(operation)),
            Effect::Cancel(op) => self.operations.cancel(op),
            Effect::Fence { attempt, target, device, action, timeout } => {
                self.fence.start(attempt, target, device, action, timeout);
            }
            Effect::Witness { question, acquire } => self.witness.ask(question, acquire),
            Effect::PeerAddress { link } => {
                if let Some(source) = self.source {
                    self.pings.peer_is_at(link, source);
                }
            }
            Effect::PeerEthernet(ethernet) => self.operations.peer_is(ethernet),
            Effect::Alive => self.watchdog.feed(),
            // Why was logged by the core.
            Effect::LetWatchdogBite { .. } => self.watchdog.let_it_bite(),
            Effect::Reply { client, response } => {
                self.control.reply(client, with_pid(response));
            }
            Effect::Log(event) => {
                self.hooks.see(&event);
                self.logger.log(event);
            }
            // Our own type of strings and numbers always serialises.
            Effect::History(entry) => {
                self.logger.history(serde_json::to_string(&entry).unwrap_or_default());
            }
            Effect::Notify { status } => self.service.status(&status),
            Effect::KeepConfiguration { reason } => {
                let text = format!("{reason}; the old configuration stays in force");
                self.logger.say(Level::Error, "reload_refused", text);
            }
            Effect::Restart { maintenance } => return Some(Ended::Restart(maintenance)),
            Effect::Exit { code } => return Some(Ended::Exit(code)),
        }
        None
    }

    /// The node has left in order: this machine need not be reset.
    pub(crate) fn ended(&mut self) {
        if let Err(error) = self.watchdog.disarm() {
            let text =
                format!("the watchdog could not be disarmed and may reset this machine: {error}");
            self.logger.say(Level::Error, "watchdog", text);
        }
    }

    /// The node has begun: whoever started us need not wait any longer. Not until the node is
    /// active: that may last as long as `initdead`, and a boot must not wait for a dead peer.
    pub(crate) fn started(&mut self) {
        self.service.status("starting: listening for the other node");
        if let Err(error) = self.report.ready() {
            self.logger.say(Level::Warn, "detach", error.to_string());
        }
    }
}

/// The core does not know the number of its process.
fn with_pid(response: Response) -> Response {
    match response {
        Response::Status(mut snapshot) => {
            snapshot.pid = process::id();
            Response::Status(snapshot)
        }
        Response::History(_)
        | Response::Changes { .. }
        | Response::Done { .. }
        | Response::Error { .. } => response,
    }
}
