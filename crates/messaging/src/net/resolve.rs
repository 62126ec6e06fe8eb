//! Host names to addresses without ever holding up the caller: the system's resolver may wait for
//! a dead name server for a minute, so it runs on a thread of its own. Does I/O; keeps no cache.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

/// Which family a caller can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn allows(self, address: &SocketAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// A host as written and what is known of its address.
#[derive(Debug)]
pub(super) struct Host {
    text: String,
    family: Family,
    state: State,
}

#[derive(Debug)]
enum State {
    Unknown,
    Asked(Receiver<Result<SocketAddr, String>>),
    Known(SocketAddr),
}

impl Host {
    /// Literal addresses are known at once, without the resolver.
    pub(super) fn new(text: &str, family: Family) -> Self {
        let literal = text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
        let state = match literal.filter(|address| family.allows(address)) {
            Some(address) => State::Known(address),
            None => State::Unknown,
        };
        Self { text: text.to_owned(), family, state }
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// The address, once found; port 0. It is kept from then on: a name server that fails later
    /// takes nothing away.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Known(address) => Some(*address),
            State::Unknown | State::Asked(_) => None,
        }
    }

    /// The address, asking the resolver in the background and waiting at most `patience` for it.
    ///
    /// # Errors
    /// Why it is not known (yet); the next call asks again.
    pub(super) fn resolve(&mut self, patience: Duration) -> Result<SocketAddr, String> {
        if let State::Unknown = self.state {
            self.state = State::Asked(self.ask()?);
        }
        let answer = match &self.state {
            State::Known(address) => return Ok(*address),
            State::Unknown => return Err(self.pending()),
            State::Asked(answer) if patience.is_zero() => match answer.try_recv() {
                Ok(answer) => answer,
                Err(TryRecvError::Empty) => return Err(self.pending()),
                Err(TryRecvError::Disconnected) => Err("the resolver gave no answer".into()),
            },
            State::Asked(answer) => match answer.recv_timeout(patience) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => return Err(self.pending()),
                Err(RecvTimeoutError::Disconnected) => Err("the resolver gave no answer".into()),
            },
        };
        match answer {
            Ok(address) => {
                self.state = State::Known(address);
                Ok(address)
            }
            Err(reason) => {
                self.state = State::Unknown;
                Err(format!("cannot resolve host {:?}: {reason}", self.text))
            }
        }
    }

    fn pending(&self) -> String {
        format!("host {:?} is not resolved yet: the name service has not answered", self.text)
    }

    /// One thread per unanswered question; a thread that outlives its question ends by itself.
    fn ask(&self) -> Result<Receiver<Result<SocketAddr, String>>, String> {
        let (answer, receiver) = sync_channel(1);
        let (text, family) = (self.text.clone(), self.family);
        let look_up = move || {
            // Nobody waits any more when the receiver is gone.
            let _ = answer.send(look_up(&text, family));
        };
        match thread::Builder::new().name("resolver".into()).spawn(look_up) {
            Ok(_detached) => Ok(receiver),
            Err(error) => Err(format!("cannot resolve host {:?}: {error}", self.text)),
        }
    }
}

fn look_up(text: &str, family: Family) -> Result<SocketAddr, String> {
    let mut found = (text, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    found.find(|address| family.allows(address)).ok_or_else(|| match family {
        Family::V4 => "it has no IPv4 address".into(),
        Family::V6 => "it has no IPv6 address".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn literals_are_known_at_once_and_only_in_their_family() {
        let check = |text: &str, family, expect: Option<&str>| {
            let expect = expect.map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
            assert_eq!(Host::new(text, family).address(), expect);
        };
        check("10.0.0.1", Family::V4, Some("10.0.0.1"));
        check("10.0.0.1", Family::V6, None);
        check("fe80::1", Family::V6, Some("fe80::1"));
        check("node2", Family::V4, None);
    }

    #[test]
    fn a_name_is_found_and_then_kept() {
        let mut host = Host::new("localhost", Family::V4);
        assert_eq!(host.resolve(LONG).unwrap().ip(), IpAddr::from([127, 0, 0, 1]));
        assert!(host.address().is_some());
    }

    #[test]
    fn a_name_without_usable_address_says_so() {
        let mut host = Host::new("fe80::1", Family::V4);
        let reason = host.resolve(LONG).unwrap_err();
        assert!(reason.contains("\"fe80::1\"") && reason.contains("IPv4"), "{reason}");
    }
}
