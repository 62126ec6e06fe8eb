//! A client of the pair that bears a loaded machine: it asks often enough to notice a short outage
//! and is patient enough not to take slowness for one. What came of its requests is kept by
//! `hb_cli::lab::Prober`.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab::{self, Miss, Probe, Prober};

use crate::runner::measured;

/// Between two requests.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long a request may take: below the second after which TCP sends a lost SYN again, so that a
/// lost request is never taken for a slow one.
const PATIENCE: Duration = Duration::from_millis(900);
/// Longest wait for something that has to come: a machine with other real-time work can leave an
/// agent without time for many seconds.
pub const LIMIT: Duration = Duration::from_secs(45);

/// The client at work.
#[derive(Debug)]
pub struct Traffic {
    prober: Prober,
}

impl Traffic {
    /// Asks for the page of the floating address from here on.
    pub fn start() -> Self {
        Self::to((lab::FLOATING, 80).into())
    }

    /// Asks for the page of `address` from here on.
    pub fn to(address: SocketAddr) -> Self {
        Self { prober: Prober::start(address, INTERVAL, PATIENCE).expect("a client") }
    }

    /// Waits until `node` answered every request for a while.
    #[track_caller]
    pub fn wait_served(&self, node: &str) {
        if let Err(error) = self.prober.wait_served(Some(node), LIMIT) {
            let last: Vec<_> =
                self.prober.probes_since(Instant::now() - Duration::from_millis(500));
            let last = last.last().map(|probe| &probe.result);
            panic!("{error}; the last answer: {last:?}");
        }
    }

    /// Waits until nobody answers.
    #[track_caller]
    pub fn wait_unserved(&self) {
        let begin = Instant::now();
        loop {
            let probes = self.prober.probes_since(begin);
            if probes.len() > 20 && probes.iter().rev().take(20).all(|p| p.result.is_err()) {
                return;
            }
            assert!(begin.elapsed() < LIMIT, "somebody still answers");
            thread::sleep(INTERVAL);
        }
    }

    /// Asserts that every request that was begun between `since` and this moment, and a few more,
    /// was answered, and by `node` where one is named.
    #[track_caller]
    pub fn assert_unbroken(&self, since: Instant, node: Option<&str>) {
        thread::sleep(10 * INTERVAL);
        let until = Instant::now();
        // Whoever was asked until then has answered or failed after that time.
        thread::sleep(PATIENCE + INTERVAL);
        let all = self.prober.probes_since(since);
        let mut asked: Vec<&Probe> =
            all.iter().filter(|p| p.start >= since && p.start <= until).collect();
        asked.sort_by_key(|probe| probe.start);
        assert!(!asked.is_empty(), "nothing was asked");
        let wrong = |probe: &&&Probe| match &probe.result {
            Ok(server) => node.is_some_and(|node| node != &**server),
            Err(Miss::ConnectTimeout | Miss::AnswerTimeout) => !was_starved(probe, &all),
            Err(_) => true,
        };
        if let Some(bad) = asked.iter().find(wrong) {
            let count = asked.iter().filter(wrong).count();
            panic!(
                "{count} of {} requests were not answered as they should; the first after {:?}: {:?}",
                asked.len(),
                bad.start - since,
                bad.result,
            );
        }
    }
}

/// The client that measures: it asks every 2 ms and is judged by nobody.
#[derive(Debug)]
pub struct Meter {
    prober: Prober,
    from: Instant,
}

impl Meter {
    /// Asks for the page of the floating address from here on, and waits until `node` serves it.
    #[track_caller]
    pub fn start(node: &str) -> Self {
        let limit = Duration::from_millis(50);
        let prober = Prober::start((lab::FLOATING, 80).into(), Duration::from_millis(2), limit);
        let prober = prober.expect("a client");
        prober.wait_served(Some(node), LIMIT).expect("service");
        Self { prober, from: Instant::now() }
    }

    /// Outages count from here on.
    pub fn begin(&mut self) -> Instant {
        self.from = Instant::now();
        self.from
    }

    /// Waits for the end of an outage after which `node` serves, and tells how long it was.
    #[track_caller]
    pub fn tell_outage(&self, what: &str, node: &str) {
        let begin = Instant::now();
        loop {
            let outage = self.prober.outage_since(self.from);
            if let Some(outage) = outage.filter(|outage| *outage.to == *node)
                && self.prober.server().is_some_and(|server| *server == *node)
            {
                return measured(what, outage.length());
            }
            assert!(begin.elapsed() < LIMIT, "{what}: {node} does not serve after it");
            thread::sleep(INTERVAL);
        }
    }

    /// Tells the longest time without an answer since [`Self::begin`], be it an outage or not.
    pub fn tell_gap(&self, what: &str) {
        measured(what, self.prober.longest_gap_since(self.from));
    }
}

/// Whether this process had so little time during a request that its time limit says nothing of
/// the pair: it began less than half of the requests that it should have begun meanwhile.
fn was_starved(probe: &Probe, all: &[Probe]) -> bool {
    let begun = all.iter().filter(|p| p.start >= probe.start && p.start <= probe.end).count();
    let due = (probe.end - probe.start).as_millis() / INTERVAL.as_millis();
    u128::try_from(2 * begun).is_ok_and(|twice| twice < due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_counts_unless_the_client_stood_still() {
        let base = Instant::now();
        let at = |ms: u64| base + Duration::from_millis(ms);
        let check = |begun: &[u64], expect: bool| {
            let timed_out = |start| Probe {
                start: at(start),
                end: at(start + 900),
                result: Err(Miss::AnswerTimeout),
            };
            let all: Vec<Probe> = begun.iter().map(|start| timed_out(*start)).collect();
            assert_eq!(was_starved(&all[0], &all), expect, "{begun:?}");
        };
        let each: Vec<u64> = (0..90).map(|n| n * 10).collect();
        check(&each, false);
        check(&each[..45], false);
        check(&each[..40], true);
        check(&[0, 850, 860], true);
    }
}
