//! Floating addresses on a thread of their own. The kernel works on a netlink request inside of the
//! sender's call and may keep it waiting for a lock of the whole machine, as when network namespaces
//! come and go; heartbeats must not wait for that (starts a thread). What is done is in
//! `hb_resource::address`.

use std::io;
use std::sync::Arc;
use std::thread::Builder;

use hb_config::settings::{Announce, BuiltIn};
use hb_resource::address::Addresses;
use hb_resource::operation::{Action, Outcome};
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::{mpsc, oneshot};

use crate::sys;

/// Operations that may wait for the thread: more than any haresources has groups.
const JOBS_MAX: usize = 1024;
/// Small, because locked memory counts.
const STACK_BYTES: usize = 512 * 1024;

/// One operation and where its outcome goes.
#[derive(Debug)]
struct Job {
    built_in: BuiltIn,
    action: Action,
    announce: Announce,
    outcome: oneshot::Sender<Outcome>,
}

/// The way to the thread. Cloned freely; the thread ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct AddressThread {
    jobs: mpsc::Sender<Job>,
}

impl AddressThread {
    /// Starts the thread, with real-time priority when the core has it, for a takeover is as urgent
    /// as a heartbeat.
    ///
    /// # Errors
    /// When there is no thread, no event loop or no netlink socket to be had.
    pub(crate) fn start(priority: Option<u8>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let (ready, is_ready) = std::sync::mpsc::channel();
        Builder::new().name("addresses".into()).stack_size(STACK_BYTES).spawn(move || {
            if let Some(priority) = priority {
                // The core has logged a refusal already.
                let _ = sys::set_round_robin(priority);
            }
            let runtime = RuntimeBuilder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(serve(queue, &ready)),
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { jobs })
    }

    /// Performs `action`; as long as it takes.
    pub(crate) async fn perform(
        &self,
        built_in: BuiltIn,
        action: Action,
        announce: Announce,
    ) -> Outcome {
        let (outcome, result) = oneshot::channel();
        let gone = || Outcome::CouldNotRun { reason: "the address thread has ended".into() };
        match self.jobs.send(Job { built_in, action, announce, outcome }).await {
            Ok(()) => result.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }
}

async fn serve(mut queue: mpsc::Receiver<Job>, ready: &std::sync::mpsc::Sender<io::Result<()>>) {
    let addresses = match Addresses::open() {
        Ok(addresses) => Arc::new(addresses),
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    while let Some(job) = queue.recv().await {
        let addresses = Arc::clone(&addresses);
        tokio::spawn(async move {
            let outcome = perform(&addresses, &job.built_in, job.action, job.announce).await;
            // Nobody waits any more when the operation took too long.
            let _ = job.outcome.send(outcome);
        });
    }
}

async fn perform(
    addresses: &Addresses,
    built_in: &BuiltIn,
    action: Action,
    announce: Announce,
) -> Outcome {
    match (built_in, action) {
        (BuiltIn::Address(spec), Action::Status) => addresses.status(spec).await,
        // An adopted address is announced first thing: to start it again changes nothing, and makes
        // it ours to remove even if a Heartbeat before us had added it.
        (BuiltIn::Address(spec), Action::Start | Action::Announce) => {
            addresses.start(spec, announce).await
        }
        (BuiltIn::Address(spec), Action::Stop) => addresses.stop(spec).await,
        (BuiltIn::SendArp { ip, interface }, Action::Start | Action::Announce) => {
            addresses.send_arp(*ip, interface, announce).await
        }
        // An announcement does not last: it never runs, and there is nothing to undo.
        (BuiltIn::SendArp { .. }, Action::Status) => Outcome::NotRunning,
        (BuiltIn::SendArp { .. }, Action::Stop) => Outcome::Ok,
        (BuiltIn::Address(_) | BuiltIn::SendArp { .. }, Action::Validate) => Outcome::Ok,
    }
}
