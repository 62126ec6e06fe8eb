//! Guards the addresses that are held: the kernel's messages about them and other hosts' claims to
//! them are passed to `guard`, and what it wants is done. Does I/O. What follows from a notice is
//! decided by whoever asked for them.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hb_config::settings::{AddressSpec, Announce};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::claims::Claim;
use super::guard::{Duty, Guard, Health, Notice, Place};
use super::listen::Interest;
use super::netlink::{News, Told};
use super::{Addresses, Outcome};

/// Notices that may wait: a burst for each of very many addresses.
const NOTICES_MAX: usize = 1024;
/// Between two attempts to hear the kernel again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The addresses that are held, and what is known of them.
#[derive(Debug)]
pub(super) struct Watched {
    state: Mutex<State>,
    /// Something is due earlier than before.
    changed: Notify,
    /// Zero of the guard's time.
    began: Instant,
}

#[derive(Debug, Default)]
struct State {
    guard: Guard,
    /// How each held address is announced. As many as are held.
    kept: BTreeMap<IpAddr, Kept>,
    watching: bool,
}

#[derive(Debug)]
struct Kept {
    spec: AddressSpec,
    announce: Announce,
    _interest: Option<Interest>,
}

impl Watched {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), began: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// What happens to held addresses. The watch ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    notices: mpsc::Receiver<Notice>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// The next notice. Cancel-safe.
    pub async fn recv(&mut self) -> Notice {
        match self.notices.recv().await {
            Some(notice) => notice,
            // The task ends with us only.
            None => pending().await,
        }
    }
}

impl Addresses {
    /// Begins to watch every address that is started from here on, until it is stopped:
    ///
    /// - Removed, its interface down, unplugged, renamed or deleted, found to be a duplicate: a notice.
    /// - Claimed by another host: a notice, and one announcement in defence (RFC 5227, §2.4 (c)).
    /// - Its link works again, a conflict is over: a notice, and announced as after a start.
    /// - Each `refresh`: announced once. Zero: never.
    ///
    /// Must be called inside a tokio runtime, and once. Returns when the watch is set.
    pub async fn watch(self: &Arc<Self>, refresh: Duration) -> Watch {
        {
            let mut state = self.watched.state();
            state.watching = true;
            state.guard.set_refresh(Some(refresh).filter(|refresh| !refresh.is_zero()));
        }
        let (tell, notices) = mpsc::channel(NOTICES_MAX);
        // Subscribed first, listed then: nothing falls between.
        let news = open_news();
        let none_yet = self.learn_interfaces().await;
        self.perform(none_yet, &tell).await;
        let task = tokio::spawn(watch_for_ever(Arc::clone(self), news, tell));
        Watch { notices, task }
    }

    /// What became of each address that is held.
    pub fn health(&self) -> Vec<Health> {
        self.watched.state().guard.health()
    }

    /// The address is there and announced: it is guarded from here on.
    pub(super) fn hold(&self, spec: &AddressSpec, announce: Announce, index: u32, prefix_len: u8) {
        let now = self.watched.now();
        let mut state = self.watched.state();
        state.guard.hold(spec.ip, Place { index, prefix_len }, now);
        if !state.watching {
            return;
        }
        let interest = self.ears.listen(spec.ip).inspect_err(|error| {
            tracing::warn!(ip = %spec.ip, %error, "no packet socket: other hosts that use it stay unseen");
        });
        let kept = Kept { spec: spec.clone(), announce, _interest: interest.ok() };
        let before = state.kept.insert(spec.ip, kept);
        drop(state);
        drop(before);
        self.watched.changed.notify_one();
    }

    /// The address is about to be removed by this program.
    pub(super) fn let_go(&self, ip: IpAddr) {
        let mut state = self.watched.state();
        state.guard.let_go(ip);
        let before = state.kept.remove(&ip);
        drop(state);
        drop(before);
    }

    async fn told(&self, told: Told) -> Vec<Duty> {
        match told {
            Told::Address(entry) => self.watched.state().guard.address(&entry),
            Told::NoAddress(entry) => self.watched.state().guard.no_address(&entry),
            Told::Interface(interface) => self.watched.state().guard.interface(interface),
            Told::NoInterface(index) => self.watched.state().guard.no_interface(index),
            Told::Lost => self.look_again().await,
        }
    }

    /// Nobody knows what happened meanwhile.
    async fn look_again(&self) -> Vec<Duty> {
        let mut duties = self.learn_interfaces().await;
        duties.extend(self.watched.state().guard.lost());
        duties
    }

    async fn learn_interfaces(&self) -> Vec<Duty> {
        match self.netlink.interfaces().await {
            Ok(all) => self.watched.state().guard.interfaces(all),
            Err(failure) => {
                tracing::warn!(?failure, "interfaces cannot be listed");
                Vec::new()
            }
        }
    }

    /// Notices first: they are what is urgent.
    async fn perform(&self, duties: Vec<Duty>, tell: &mpsc::Sender<Notice>) {
        let mut announcements = Vec::new();
        for duty in duties {
            if let Duty::Tell(notice) = duty {
                tracing::warn!(ip = %notice.ip, "{}", notice.reason);
                if tell.try_send(notice).is_err() {
                    tracing::warn!("a notice was lost: nobody takes them");
                }
            } else {
                announcements.push(duty);
            }
        }
        for duty in announcements {
            match duty {
                Duty::Announce(ip) => self.announce_held(ip, false).await,
                Duty::AnnounceOnce(ip) => self.announce_held(ip, true).await,
                Duty::Tell(_) => {}
            }
        }
    }

    async fn announce_held(&self, ip: IpAddr, once: bool) {
        let kept =
            self.watched.state().kept.get(&ip).map(|kept| (kept.spec.clone(), kept.announce));
        let Some((spec, announce)) = kept else { return };
        // What is not here, or is not fit to serve, must not be announced.
        let interface = match self.find_held(&spec).await {
            Ok(interface) => interface,
            Err(Outcome::NotRunning) => return,
            Err(outcome) => {
                tracing::debug!(%ip, reason = outcome.describe(), "not announced");
                return;
            }
        };
        // Stopped while the kernel was asked: repeats would outlive the address.
        if !self.watched.state().guard.holds(ip) {
            return;
        }
        let sent = if once {
            self.announcer.once(ip, &interface)
        } else {
            self.announcer.announce(ip, &interface, announce)
        };
        if let Err(reason) = sent {
            tracing::warn!(%ip, interface = interface.name, reason, "not announced");
        }
    }

    async fn until_due(&self) {
        let next = self.watched.state().guard.next();
        match next {
            Some(at) => sleep_until(self.watched.began + at).await,
            None => pending().await,
        }
    }
}

async fn watch_for_ever(
    addresses: Arc<Addresses>,
    mut news: Option<News>,
    tell: mpsc::Sender<Notice>,
) {
    let mut claims = addresses.ears.claims();
    loop {
        if let Some(news) = &mut news {
            listen(&addresses, news, &mut claims, &tell).await;
            tracing::warn!("the kernel's messages have ended: opening another socket");
        }
        sleep(RETRY_EVERY).await;
        news = open_news();
        if news.is_some() {
            let duties = addresses.look_again().await;
            addresses.perform(duties, &tell).await;
        }
    }
}

fn open_news() -> Option<News> {
    let warn = |error: &io::Error| {
        tracing::warn!(%error, "no netlink socket: what happens to addresses stays unseen");
    };
    News::open().inspect_err(warn).ok()
}

/// Until the kernel's messages end.
async fn listen(
    addresses: &Addresses,
    news: &mut News,
    claims: &mut broadcast::Receiver<Claim>,
    tell: &mpsc::Sender<Notice>,
) {
    loop {
        let duties = tokio::select! {
            told = news.recv() => match told {
                Some(told) => addresses.told(told).await,
                None => return,
            },
            claim = claims.recv() => match claim {
                Ok(claim) => {
                    let now = addresses.watched.now();
                    addresses.watched.state().guard.claim(&claim, now)
                }
                Err(RecvError::Lagged(_)) => Vec::new(),
                // `addresses` holds the sender.
                Err(RecvError::Closed) => return,
            },
            () = addresses.until_due() => {
                let now = addresses.watched.now();
                addresses.watched.state().guard.due(now)
            }
            () = addresses.watched.changed.notified() => Vec::new(),
        };
        addresses.perform(duties, tell).await;
    }
}
