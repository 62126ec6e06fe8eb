//! Hints: what the edge has noticed about a resource (a process died, an address went away), on their
//! way to the core. A hint is no verdict: the core answers it with a check. Who notices is elsewhere.
//! What else the watchers find out about this machine goes the same way.

use std::collections::VecDeque;
use std::time::Duration;

use hb_node::input::Input;
use hb_resource::input::Evidence;
use hb_resource::operation::GroupKey;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Hints that may wait for the core. Far more than a haresources has resources; one that finds no
/// place costs the time until the next regular check.
const HINTS_MAX: usize = 1024;
/// Hints within [`BUDGET_WITHIN`] for one resource of one watcher at most: a service whose processes
/// come and go must not be checked all the time. What is left out is noticed by the regular check.
const BUDGET: usize = 10;
/// See [`BUDGET`].
const BUDGET_WITHIN: Duration = Duration::from_secs(10);

/// Something happened to a resource: it is to be checked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// Its group.
    pub(crate) group: GroupKey,
    /// As written in haresources.
    pub(crate) resource: String,
    /// What it rests on.
    pub(crate) evidence: Evidence,
    /// What happened, in words.
    pub(crate) reason: String,
}

impl From<Hint> for Input {
    fn from(Hint { group, resource, evidence, reason }: Hint) -> Self {
        Self::Look { group, resource, evidence, reason }
    }
}

/// Where watchers put their hints. Cloned freely, usable from any thread.
#[derive(Clone, Debug)]
pub(crate) struct HintSender(mpsc::Sender<Input>);

impl HintSender {
    /// Never waits.
    pub(crate) fn send(&self, hint: impl Into<Input>) {
        if let Err(error) = self.0.try_send(hint.into()) {
            tracing::warn!(%error, "a hint was lost: the next regular check will tell");
        }
    }
}

/// How many hints there may still be, see [`BUDGET`].
#[derive(Debug, Default)]
pub(crate) struct Budget(VecDeque<Instant>);

impl Budget {
    /// Whether there may be another one at `now`; it is counted.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        while self.0.front().is_some_and(|at| now.duration_since(*at) >= BUDGET_WITHIN) {
            self.0.pop_front();
        }
        let allowed = self.0.len() < BUDGET;
        if allowed {
            self.0.push_back(now);
        }
        allowed
    }
}

/// Where the core takes them.
#[derive(Debug)]
pub(crate) struct Hints {
    queue: mpsc::Receiver<Input>,
    /// Keeps the channel open when no watcher could be started.
    _sender: HintSender,
}

impl Hints {
    /// The next hint. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Input {
        match self.queue.recv().await {
            Some(hint) => hint,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }
}

/// One channel serves all watchers of the daemon.
pub(crate) fn channel() -> (HintSender, Hints) {
    let (sender, queue) = mpsc::channel(HINTS_MAX);
    let sender = HintSender(sender);
    (sender.clone(), Hints { queue, _sender: sender })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(reason: usize) -> Hint {
        let (group, resource) = ("10.0.0.50".into(), "nginx".into());
        Hint { group, resource, evidence: Evidence::Network, reason: reason.to_string() }
    }

    #[test]
    fn hints_arrive_in_order_and_a_full_queue_loses_the_newest() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (sender, mut hints) = channel();
        (0..HINTS_MAX + 3).for_each(|number| sender.send(hint(number)));
        for number in 0..HINTS_MAX {
            assert_eq!(runtime.block_on(hints.recv()), Input::from(hint(number)));
        }
        sender.send(hint(7));
        assert_eq!(runtime.block_on(hints.recv()), Input::from(hint(7)));
    }

    #[test]
    fn a_budget_is_full_again_later() {
        let (mut budget, begin) = (Budget::default(), Instant::now());
        let mut allowed = |ms| {
            let now = begin + Duration::from_millis(ms);
            (0..BUDGET + 5).filter(|_| budget.allows(now)).count()
        };
        assert_eq!([0, 9_999, 10_000, 10_001].map(&mut allowed), [BUDGET, 0, BUDGET, 0]);
    }
}
