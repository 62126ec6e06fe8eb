//! What a daemon wants done, done to the world: datagrams go on their way, agents begin, clients
//! have their answers. It judges nothing.

use std::sync::Arc;
use std::time::Duration;

use hb_messaging::engine::PingId;
use hb_node::effect::{Effect, Level, LogEvent};
use hb_resource::operation::{Action, OpId, Outcome};

use crate::agents::resource_of;
use crate::world::{Coming, News, UnderWay, World};

/// The edge ends the process group of a cancelled check at once.
const CANCEL_TAKES: Duration = Duration::from_millis(1);
/// How long a daemon needs to take the place of the one before it.
const RELOAD_TAKES: Duration = Duration::from_millis(30);
/// The service manager waits this long (`RestartSec`).
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// The gateway is near.
const ECHO_TAKES: Duration = Duration::from_micros(300);

impl World {
    pub(crate) fn perform(&mut self, machine: usize, effect: Effect) {
        let generation = self.machines[machine].generation;
        match effect {
            Effect::Transmit { link, bytes } => {
                let (to, sent) = (1 - machine, self.now());
                let arrivals = self.network.send(machine, usize::from(link.0), &mut self.rng);
                for arrival in arrivals.into_iter().flatten() {
                    let mut bytes = bytes.to_vec();
                    flip(&mut bytes, arrival.flip);
                    self.plan(arrival.after, Coming::Datagram { to, link, bytes, sent });
                }
            }
            Effect::Echo { ping, sequence } => {
                // The kernel answers, whatever its daemon does; it is asked on every link at once.
                let answers = if ping == PingId::PEER {
                    self.network.connects()
                } else {
                    self.network.gateway[machine]
                };
                if answers {
                    let coming = Coming::Echo { to: machine, generation, ping, sequence };
                    self.plan(ECHO_TAKES, coming);
                }
            }
            Effect::Run(operation) => {
                let this = &mut self.machines[machine];
                if operation.action == Action::Start {
                    this.left.insert(resource_of(&operation));
                }
                let after = this.agents.begin(&operation);
                let run = Arc::new(UnderWay { operation, generation });
                this.under_way.push(run.clone());
                self.news.push(News::Begun { machine, run: run.clone() });
                self.plan(after, Coming::Ended { machine, run, cancelled: false });
            }
            Effect::Cancel(op) => self.cancel(machine, op),
            effect @ (Effect::Fence { .. }
            | Effect::Witness { .. }
            | Effect::PeerAddress { .. }
            | Effect::PeerEthernet(_)
            | Effect::Alive
            | Effect::LetWatchdogBite { .. }) => self.ask(machine, effect),
            Effect::Reply { client, response } => {
                self.machines[machine].replies.push((client, response));
            }
            Effect::Log(line) => {
                self.count_transition(&line);
                if !self.terse || line.level != Level::Debug {
                    self.machines[machine].logs.push(line);
                }
            }
            Effect::History(entry) => {
                self.counts.add("move", &format!("{} {}", entry.what, entry.cause));
                self.machines[machine].history.push(*entry);
            }
            Effect::Notify { status } => self.machines[machine].notified.push(status),
            Effect::KeepConfiguration { .. } => {}
            Effect::Restart { .. } => {
                self.machines[machine].daemon = None;
                self.plan(RELOAD_TAKES, Coming::Boot { machine });
            }
            Effect::Exit { code } => {
                self.machines[machine].daemon = None;
                self.machines[machine].exit = Some(code);
                // A service manager starts a daemon again that left with a failure.
                if code != 0 && self.edge.is_some() {
                    self.plan(RESTART_AFTER, Coming::Boot { machine });
                }
            }
        }
    }

    /// For the table of state transitions.
    fn count_transition(&mut self, line: &LogEvent) {
        if line.event == "legacy" {
            return self.counts.add("3.0.6", &line.text);
        }
        let kind = match line.event.as_str() {
            "group_changed" => "group",
            "node_changed" => "node",
            "node_status" | "node_dead" => "peer",
            _ => return,
        };
        if let (Some(from), Some(to)) = (line.field("from"), line.field("to")) {
            self.counts.add(kind, &format!("{from} -> {to}"));
        }
    }

    /// Ends a check at once; an agent that changes something is never ended this way.
    fn cancel(&mut self, machine: usize, op: OpId) {
        let generation = self.machines[machine].generation;
        let is_meant = |run: &UnderWay| run.generation == generation && run.operation.id == op;
        let run = self.machines[machine].under_way.iter().find(|run| is_meant(run)).cloned();
        let Some(run) = run else { return };
        match run.operation.action {
            Action::Start | Action::Stop | Action::Announce => {
                self.news.push(News::BadCancel { machine, run });
                return;
            }
            Action::Status | Action::Validate => {}
        }
        let own = |coming: &Coming| matches!(coming, Coming::Ended { machine: of, run, .. } if *of == machine && is_meant(run));
        self.coming.retain(|_, coming| !own(coming));
        self.plan(CANCEL_TAKES, Coming::Ended { machine, run, cancelled: true });
    }
}

pub(crate) fn outcome_word(outcome: &Outcome, cancelled: bool) -> &'static str {
    match outcome {
        _ if cancelled => "cancelled",
        Outcome::Ok => "ok",
        Outcome::NotRunning => "not running",
        Outcome::Failed { .. } => "failed",
        Outcome::TimedOut => "timed out",
        Outcome::CouldNotRun { .. } => "could not run",
    }
}

fn flip(bytes: &mut [u8], bit: Option<u64>) {
    let Some(bit) = bit else { return };
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    if length == 0 {
        return;
    }
    let index = usize::try_from(bit / 8 % length).unwrap_or(0);
    bytes[index] ^= 1 << (bit % 8);
}
