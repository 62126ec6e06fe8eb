//! Hints: what the edge has noticed about a resource (a process died, an address went away), on their
//! way to the core. A hint is no verdict: the core answers it with a check. Who notices is elsewhere.
//! What else the watchers find out about this machine goes the same way.

use hb_node::input::Input;
use hb_resource::operation::GroupKey;
use tokio::sync::mpsc;

/// Hints that may wait for the core. Far more than a haresources has resources; one that finds no
/// place costs the time until the next regular check.
const HINTS_MAX: usize = 1024;

/// Something happened to a resource: it is to be checked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// Its group.
    pub(crate) group: GroupKey,
    /// As written in haresources.
    pub(crate) resource: String,
    /// What happened, in words.
    pub(crate) reason: String,
}

impl From<Hint> for Input {
    fn from(Hint { group, resource, reason }: Hint) -> Self {
        Self::Look { group, resource, reason }
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
        Hint { group: "10.0.0.50".into(), resource: "nginx".into(), reason: reason.to_string() }
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
}
