//! Asks the network whether another host has an address, before it is added. Does I/O (packet
//! sockets). When it is asked is decided by the caller.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::announcer::Announcer;
use super::claims::{Claim, Kind};
use super::frames::{self, Ethernet};
use super::listen::Ears;
use super::netlink::Netlink;
use super::plan::Interface;

/// Questions of one probe, as RFC 5227's PROBE_NUM. One lost frame must not hide an owner.
const QUESTIONS: u32 = 3;
/// A probe that has found nobody is worth this long: the addresses of a group are asked for together,
/// and used one after the other.
const FRESH: Duration = Duration::from_secs(1);

/// What a probe has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody answered in time.
    Free,
    /// This host has the address.
    Taken(Ethernet),
    /// Nobody could be asked.
    Unknown(String),
}

/// When the questions are asked, from the beginning: three in the first half of the time, so that the
/// last has at least half of it for its answer.
pub(super) fn schedule(limit: Duration) -> Vec<Duration> {
    (0..QUESTIONS).map(|number| limit * number / (2 * (QUESTIONS - 1))).collect()
}

/// Whether `claim` keeps us from taking an address by this probe. `own`: addresses of this machine's
/// interfaces.
///
/// Two that want the same address at the same time must not both give way (RFC 5227, §2.1.1, has
/// them do so): the one with the lower Ethernet address goes on.
pub(super) fn forbids(claim: &Claim, own: &[Ethernet], ours: Ethernet) -> bool {
    let foreign = claim.ethernet != ours && !own.contains(&claim.ethernet);
    foreign
        && match claim.kind {
            Kind::Has => true,
            Kind::Wants => claim.ethernet < ours,
        }
}

/// One probe, under way or over.
#[derive(Debug)]
struct Asked {
    index: u32,
    began: Instant,
    verdict: watch::Receiver<Option<Verdict>>,
}

/// Probes by address. Those that are over and not fresh are dropped with the next one, so there are
/// no more than address resources.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<BTreeMap<IpAddr, Asked>>);

/// What a probe needs.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) ears: Ears,
    pub(super) announcer: Arc<Announcer>,
    pub(super) netlink: Arc<Netlink>,
}

impl Probes {
    /// Begins to ask for `ip` on `interface`, or joins the probe under way or just over. Must be called
    /// inside a tokio runtime.
    pub(super) fn begin(
        &self,
        ip: IpAddr,
        interface: &Interface,
        limit: Duration,
        tools: &Tools,
    ) -> watch::Receiver<Option<Verdict>> {
        let mut probes = self.lock();
        probes.retain(|_, asked| asked.is_useful());
        if let Some(asked) = probes.get(&ip).filter(|asked| asked.index == interface.index) {
            return asked.verdict.clone();
        }
        let (tell, verdict) = watch::channel(None);
        let (interface, tools) = (interface.clone(), tools.clone());
        let asked = Asked { index: interface.index, began: Instant::now(), verdict };
        let verdict = asked.verdict.clone();
        probes.insert(ip, asked);
        tokio::spawn(async move {
            let found = ask(ip, &interface, limit, &tools).await;
            let _ = tell.send(Some(found));
        });
        verdict
    }

    /// Forgets what was found: the address has been ours meanwhile.
    pub(super) fn forget(&self, ip: IpAddr) {
        self.lock().remove(&ip);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn is_useful(&self) -> bool {
        match &*self.verdict.borrow() {
            None => true,
            Some(Verdict::Free) => self.began.elapsed() < FRESH,
            Some(Verdict::Taken(_) | Verdict::Unknown(_)) => false,
        }
    }
}

/// Waits for the end of a probe.
pub(super) async fn verdict(mut probe: watch::Receiver<Option<Verdict>>) -> Verdict {
    let ended = probe.wait_for(Option::is_some).await.map(|found| found.clone());
    let gone = || Verdict::Unknown("the probe was given up".into());
    ended.ok().flatten().unwrap_or_else(gone)
}

async fn ask(ip: IpAddr, interface: &Interface, limit: Duration, tools: &Tools) -> Verdict {
    let Some(ethernet) = interface.ethernet else { return Verdict::Free };
    let mut claims = tools.ears.claims();
    let _interest = match tools.ears.listen(ip) {
        Ok(interest) => interest,
        Err(error) => return Verdict::Unknown(format!("no packet socket: {error}")),
    };
    let began = Instant::now();
    let frame = frames::probe(ip, ethernet);
    for at in schedule(limit).into_iter().chain([limit]) {
        if let Some(owner) = hear(ip, interface, ethernet, &mut claims, began + at, tools).await {
            return Verdict::Taken(owner);
        }
        if at < limit
            && let Err(reason) = tools.announcer.send(interface.index, &frame)
        {
            return Verdict::Unknown(reason);
        }
    }
    Verdict::Free
}

/// Listens until `deadline`; who speaks against us.
async fn hear(
    ip: IpAddr,
    interface: &Interface,
    ours: Ethernet,
    claims: &mut broadcast::Receiver<Claim>,
    deadline: Instant,
    tools: &Tools,
) -> Option<Ethernet> {
    let mut next = async || loop {
        match claims.recv().await {
            Ok(claim) if claim.ip == ip && claim.index == interface.index => return claim,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            // `tools` holds the sender.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    };
    loop {
        let claim = tokio::select! {
            biased;
            claim = next() => claim,
            () = sleep_until(deadline) => return None,
        };
        // Asked only when somebody answers. Without an answer of the kernel, the claim stands.
        let own = tools.netlink.interfaces().await.unwrap_or_default();
        let own: Vec<Ethernet> = own.iter().filter_map(|one| one.ethernet).collect();
        if forbids(&claim, &own, ours) {
            return Some(claim.ethernet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Ethernet = [2, 0, 0, 0, 0, 1];
    const OURS: Ethernet = [2, 0, 0, 0, 0, 2];
    const HIGH: Ethernet = [2, 0, 0, 0, 0, 3];
    const OTHER_OF_OURS: Ethernet = [2, 0, 0, 0, 0, 0];

    #[test]
    fn who_has_it_forbids_and_of_two_who_want_it_the_lower_goes_on() {
        let check = |ethernet, kind, expect| {
            let claim = Claim { ip: [10, 0, 0, 50].into(), ethernet, index: 2, kind };
            assert_eq!(forbids(&claim, &[OURS, OTHER_OF_OURS], OURS), expect, "{claim:?}");
        };
        check(LOW, Kind::Has, true);
        check(HIGH, Kind::Has, true);
        check(LOW, Kind::Wants, true);
        check(HIGH, Kind::Wants, false);
        // Nothing known of our interfaces, and a switch that sends our own question back.
        let reflected =
            Claim { ip: [10, 0, 0, 50].into(), ethernet: OURS, index: 2, kind: Kind::Wants };
        assert!(!forbids(&reflected, &[], OURS));
        for kind in [Kind::Has, Kind::Wants] {
            check(OURS, kind, false);
            check(OTHER_OF_OURS, kind, false);
        }
    }

    #[test]
    fn questions_are_asked_in_the_first_half() {
        let check = |limit, expect: [u64; 3]| {
            let found = schedule(Duration::from_millis(limit));
            assert_eq!(found, expect.map(Duration::from_millis));
        };
        check(60, [0, 15, 30]);
        check(300, [0, 75, 150]);
        check(0, [0, 0, 0]);
    }
}
