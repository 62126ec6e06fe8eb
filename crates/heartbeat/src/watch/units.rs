//! Hears what systemd says of the units that run here, by its D-Bus signals: a unit that was stopped
//! or has fallen over becomes a hint within milliseconds, also one without a process to watch
//! (`Type=oneshot` with `RemainAfterExit=yes`, a mount). I/O on a thread of its own; it decides
//! nothing, and where there is no bus the processes and the checks are left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use hb_config::settings::{AgentSpec, ResourceSpec, Settings};
use hb_resource::input::Evidence;
use hb_resource::operation::Operation;
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Owner, owner};
use crate::hint::{Budget, Hint, HintSender};

mod session;

use session::{Said, Session};

/// Where the system bus listens (D-Bus specification, "System message bus").
const BUS: &str = "/run/dbus/system_bus_socket";
/// Orders that may wait for the thread: more than a haresources has units, each started and stopped
/// while the bus does not answer. One that finds no place costs the time until the next check.
const ORDERS_MAX: usize = 1024;
/// Pause before the first attempt to reach the bus again; it doubles with each one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause. A connection that has lasted as long begins with [`PAUSE_MIN`] again.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// A unit runs for this resource.
    Hear(String, Owner),
    /// It is about to be started or stopped: what it does is no news.
    Leave(String, Owner),
}

/// The way to the thread; it ends with this.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// Missing when no resource is a unit, and when there was no thread to be had.
    orders: Option<mpsc::Sender<Order>>,
}

impl Units {
    /// Starts the thread when a resource of the configuration is a unit. The bus is not touched before
    /// one runs here.
    pub(super) fn open(settings: &Settings, hints: &HintSender) -> Self {
        let mut resources = settings.groups.iter().flat_map(|group| &group.resources);
        match resources.any(|resource| unit(resource).is_some()) {
            true => Self::start(BUS.into(), hints.clone()),
            false => Self::default(),
        }
    }

    fn start(bus: PathBuf, hints: HintSender) -> Self {
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        let listener =
            Listener { bus, orders: queue, wanted: Wanted::new(), budgets: BTreeMap::new(), hints };
        // With the priority of any program: so has the check to which a hint leads.
        let started = thread::Builder::new().name("units".into()).spawn(move || {
            match RuntimeBuilder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(listener.run()),
                Err(error) => tracing::warn!(%error, "systemd's signals are not heard"),
            }
        });
        match started {
            Ok(_) => Self { orders: Some(orders) },
            Err(error) => {
                tracing::warn!(%error, "systemd's signals are not heard");
                Self::default()
            }
        }
    }

    /// The resource runs: if it is a unit, what systemd says of it is news. Never waits.
    pub(super) fn hear(&self, operation: &Operation) {
        self.order(operation, Order::Hear);
    }

    /// The resource is about to be started or stopped. Never waits.
    pub(super) fn leave(&self, operation: &Operation) {
        self.order(operation, Order::Leave);
    }

    fn order(&self, operation: &Operation, order: impl FnOnce(String, Owner) -> Order) {
        if let (Some(orders), Some(unit)) = (&self.orders, unit(&operation.resource))
            && let Err(error) = orders.try_send(order(unit.to_owned(), owner(operation)))
        {
            tracing::warn!(%error, unit, "the regular check is all that watches over it");
        }
    }
}

fn unit(resource: &ResourceSpec) -> Option<&str> {
    match &resource.agent {
        AgentSpec::Systemd { unit } => Some(unit),
        AgentSpec::Script { .. } | AgentSpec::Ocf { .. } => None,
    }
}

/// Units that run here, and for whom.
type Wanted = BTreeMap<String, BTreeSet<Owner>>;

/// The thread.
#[derive(Debug)]
struct Listener {
    bus: PathBuf,
    orders: mpsc::Receiver<Order>,
    wanted: Wanted,
    /// By unit. They outlive connections: a bus that comes and goes must not lead to checks without end.
    budgets: BTreeMap<String, Budget>,
    hints: HintSender,
}

/// What an order means for a connection.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    None,
    Added(String),
    Removed(String),
}

impl Listener {
    /// Until the daemon ends.
    async fn run(mut self) {
        let (mut pause, mut told) = (PAUSE_MIN, false);
        loop {
            while self.wanted.is_empty() {
                match self.orders.recv().await {
                    Some(order) => self.take(order),
                    None => return,
                };
            }
            let begin = Instant::now();
            let ended = match Session::begin(&self.bus).await {
                Ok(session) => self.listen(session).await,
                Err(error) => Err(error),
            };
            let Err(error) = ended else { return };
            if begin.elapsed() >= PAUSE_MAX {
                (pause, told) = (PAUSE_MIN, false);
            }
            // Many a machine has none, which is no fault.
            if !std::mem::replace(&mut told, true) {
                tracing::debug!(%error, "systemd's signals are not heard; its units are watched by \
                                          their processes and checks");
            }
            if !self.wait(pause).await {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits for `pause`; `false` when the daemon ends.
    async fn wait(&mut self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => return false,
                },
                () = sleep_until(end) => return true,
            };
        }
    }

    fn take(&mut self, order: Order) -> Change {
        match order {
            Order::Hear(unit, owner) => {
                let is_new = !self.wanted.contains_key(&unit);
                self.wanted.entry(unit.clone()).or_default().insert(owner);
                if is_new { Change::Added(unit) } else { Change::None }
            }
            Order::Leave(unit, owner) => {
                let Some(owners) = self.wanted.get_mut(&unit) else { return Change::None };
                owners.remove(&owner);
                if !owners.is_empty() {
                    return Change::None;
                }
                self.wanted.remove(&unit);
                Change::Removed(unit)
            }
        }
    }

    /// `Ok` when the daemon ends.
    async fn listen(&mut self, mut session: Session) -> zbus::Result<()> {
        self.hear_all(&mut session).await?;
        tracing::debug!("systemd's signals are heard");
        loop {
            tokio::select! {
                // What is about to be stopped is no news when it has stopped.
                biased;
                order = self.orders.recv() => {
                    let Some(order) = order else { return Ok(()) };
                    match self.take(order) {
                        Change::None => {}
                        Change::Added(unit) => self.hear(&mut session, &unit).await?,
                        Change::Removed(unit) => session.leave(&unit).await?,
                    }
                }
                message = session.signals.next() => match message {
                    Some(message) => match session.read(&message?) {
                        Said::Nothing => {}
                        Said::State(units, state) => {
                            units.iter().for_each(|unit| self.heard(unit, &state));
                        }
                        Said::SystemdIsBack => {
                            session.subscribe().await?;
                            self.hear_all(&mut session).await?;
                        }
                    },
                    None => return Err(zbus::Error::Failure("the bus has gone".to_owned())),
                },
            }
        }
    }

    async fn hear_all(&mut self, session: &mut Session) -> zbus::Result<()> {
        let units: Vec<String> = self.wanted.keys().cloned().collect();
        for unit in units {
            self.hear(session, &unit).await?;
        }
        Ok(())
    }

    /// Asks for signals of `unit`. It may have gone before they came.
    async fn hear(&mut self, session: &mut Session, unit: &str) -> zbus::Result<()> {
        if let Some(state) = session.hear(unit).await? {
            self.heard(unit, &state);
        }
        Ok(())
    }

    fn heard(&mut self, unit: &str, state: &str) {
        let Some(owners) = self.wanted.get(unit).filter(|_| is_news(state)) else { return };
        self.budgets.retain(|unit, _| self.wanted.contains_key(unit));
        if !self.budgets.entry(unit.to_owned()).or_default().allows(Instant::now()) {
            tracing::debug!(unit, state, "one hint too many: left out");
            return;
        }
        for (group, resource) in owners.clone() {
            let reason = format!("systemd says that {unit} is {state}");
            self.hints.send(Hint { group, resource, evidence: Evidence::UnitInactive, reason });
        }
    }
}

/// Whether a unit that runs here is worth a look in this `ActiveState`. One on its way up is being
/// started by somebody, or again by systemd (`Restart=`); the end of its processes was seen as such.
fn is_news(state: &str) -> bool {
    !matches!(state, "active" | "reloading" | "refreshing" | "activating")
}

#[cfg(test)]
mod tests;
