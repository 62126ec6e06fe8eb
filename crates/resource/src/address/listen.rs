//! Hears what other hosts say of certain addresses. Does I/O: one packet socket for ARP and one for
//! neighbour discovery, opened when first needed. What a claim means is decided by those who listen.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::claims::{self, Claim};
use super::filter::{self, Speech};
use super::frames::{ETHERTYPE_ARP, ETHERTYPE_IPV6};
use super::packet::Listener;

/// Claims that a listener may be behind. It misses older ones: those who claim, repeat it.
const CLAIMS_MAX: usize = 256;
/// Frames that are read at one go; after as many the reader rests for [`REST`]. A host that floods
/// the network with one of our addresses costs no more than this, and the kernel drops the rest.
const BATCH_MAX: u32 = 64;
const REST: Duration = Duration::from_millis(10);

/// Where claims come from. Cloned freely.
#[derive(Clone, Debug)]
pub(super) struct Ears(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    claims: broadcast::Sender<Claim>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many want to hear of each address.
    wanted: BTreeMap<IpAddr, u32>,
    sockets: BTreeMap<Speech, (Arc<Listener>, JoinHandle<()>)>,
}

impl Drop for State {
    fn drop(&mut self) {
        for (_, reader) in self.sockets.values() {
            reader.abort();
        }
    }
}

/// As long as it lives, claims of one address are heard.
#[derive(Debug)]
pub(super) struct Interest {
    ip: IpAddr,
    ears: Ears,
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut state = self.ears.state();
        if let Some(count) = state.wanted.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                state.wanted.remove(&self.ip);
                // A filter that could not be narrowed passes more than is wanted, no less.
                let _ = state.adjust(Speech::about(self.ip));
            }
        }
    }
}

impl Ears {
    pub(super) fn new() -> Self {
        let (claims, _) = broadcast::channel(CLAIMS_MAX);
        Self(Arc::new(Inner { claims, state: Mutex::default() }))
    }

    /// All claims of addresses that somebody is interested in.
    pub(super) fn claims(&self) -> broadcast::Receiver<Claim> {
        self.0.claims.subscribe()
    }

    /// Begins to hear of `ip`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// There is no packet socket to be had (permission).
    pub(super) fn listen(&self, ip: IpAddr) -> io::Result<Interest> {
        let mut state = self.state();
        let speech = Speech::about(ip);
        *state.wanted.entry(ip).or_default() += 1;
        let interest = Interest { ip, ears: self.clone() };
        let opened = if state.sockets.contains_key(&speech) {
            state.adjust(speech)
        } else {
            self.open(&mut state, speech)
        };
        // The interest must not lock what is locked here.
        drop(state);
        opened.map(|()| interest)
    }

    fn open(&self, state: &mut State, speech: Speech) -> io::Result<()> {
        let protocol = match speech {
            Speech::Arp => ETHERTYPE_ARP,
            Speech::Neighbour => ETHERTYPE_IPV6,
        };
        let listener = Arc::new(Listener::open(protocol, &state.program(speech))?);
        let reader = tokio::spawn(read_for_ever(Arc::clone(&listener), self.0.claims.clone()));
        state.sockets.insert(speech, (listener, reader));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn adjust(&self, speech: Speech) -> io::Result<()> {
        match self.sockets.get(&speech) {
            Some((listener, _)) => listener.filter(&self.program(speech)),
            None => Ok(()),
        }
    }

    fn program(&self, speech: Speech) -> Vec<filter::Step> {
        let addresses: BTreeSet<IpAddr> = self.wanted.keys().copied().collect();
        filter::program(speech, &addresses)
    }
}

async fn read_for_ever(listener: Arc<Listener>, claims: broadcast::Sender<Claim>) {
    let mut batch = 0;
    loop {
        match listener.recv().await {
            Ok(frame) if frame.outgoing => {}
            Ok(frame) => {
                let claim = claims::read(frame.protocol, &frame.payload, frame.source, frame.index);
                if let Some(claim) = claim {
                    // Nobody listens at this moment: not an error.
                    let _ = claims.send(claim);
                }
            }
            // An interface went down; others go on.
            Err(error) => tracing::debug!(%error, "packet socket"),
        }
        batch += 1;
        if batch == BATCH_MAX {
            batch = 0;
            sleep(REST).await;
        }
    }
}
