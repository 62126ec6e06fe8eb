//! One client of Heartbeat's client socket: who it is, whether it may, and what it gets for a
//! message (Heartbeat 3.0.6, §13.2). Pure: the kernel's word on the client and the node's snapshot
//! come in, messages go out.

use std::collections::BTreeSet;

use hb_messaging::fields::{self, FieldList};
use hb_node::api::StatusSnapshot;

use crate::legacy::answers::{self, OK};

/// The type of every request.
const REQUEST: &str = "hbapi-req";
/// The field with the kind of request.
pub(crate) const REQUEST_KIND: &str = "reqtype";
/// Longest name of a client that is repeated in a log line.
const NAME_MAX: usize = 32;

/// What the kernel says of the other end of the socket (SO_PEERCRED, unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: u32,
}

/// Heartbeat's accounts on this machine, where it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accounts {
    /// User `hacluster`.
    pub(crate) hacluster: Option<u32>,
    /// Group `haclient`.
    pub(crate) haclient: Option<u32>,
}

impl Accounts {
    /// Heartbeat 3.0.6's built-in `apiauth anon`: root, or group haclient (`cl_status` is setgid).
    fn allows_casual(self, peer: Peer) -> bool {
        peer.uid == 0 || self.haclient == Some(peer.gid)
    }

    /// Heartbeat 3.0.6's other built-in `apiauth` entries.
    fn allows_named(self, name: &str, peer: Peer) -> bool {
        match name {
            "ipfail" | "ccm" => self.hacluster == Some(peer.uid),
            "ping" => self.haclient == Some(peer.gid),
            "lha-snmpagent" => peer.uid == 0,
            _ => false,
        }
    }
}

/// How far a client has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing said yet.
    Fresh,
    /// May ask.
    Casual,
    /// May ask, and is seen by `clientstatus` under its name.
    Named(String),
}

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    peer: Peer,
    accounts: Accounts,
    state: State,
    /// Whether it was logged that this client's messages for the cluster go nowhere.
    told: bool,
}

/// What follows from one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Answers in order.
    pub(crate) replies: Vec<FieldList>,
    /// Whether the connection ends after them.
    pub(crate) end: bool,
    /// What the log should know.
    pub(crate) note: Option<String>,
}

impl Session {
    pub(crate) fn new(peer: Peer, accounts: Accounts) -> Self {
        Self { peer, accounts, state: State::Fresh, told: false }
    }

    /// The name under which it has signed on.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.state {
            State::Named(name) => Some(name),
            State::Fresh | State::Casual => None,
        }
    }

    /// Whether it has signed on.
    pub(crate) fn is_signed_on(&self) -> bool {
        self.state != State::Fresh
    }

    /// Takes one message. `online` are the names of the clients that are signed on.
    pub(crate) fn take(
        &mut self,
        message: &FieldList,
        snapshot: &StatusSnapshot,
        online: &BTreeSet<String>,
    ) -> Turn {
        if message.text(fields::KIND) != Some(REQUEST) {
            return self.not_a_request(message);
        }
        let kind = message.text(REQUEST_KIND).unwrap_or_default();
        match (kind, &self.state) {
            ("signon", State::Fresh) => self.sign_on(message, snapshot, online),
            ("signoff", _) => Turn { end: true, ..Turn::default() },
            (_, State::Fresh) => Turn {
                end: true,
                replies: vec![answers::refused(kind, "not signed on")],
                note: Some(format!("pid {}: {} before the sign-on", self.peer.pid, shown(kind))),
            },
            // Nothing is ever sent unasked, so there is nothing to filter and no queue to bound.
            ("set_sendqlen", _) => Turn::default(),
            ("setfilter" | "setsignal", _) => {
                Turn { replies: vec![answers::response(kind, OK)], ..Turn::default() }
            }
            _ => Turn { replies: answers::answer(message, snapshot, online), ..Turn::default() },
        }
    }

    fn sign_on(
        &mut self,
        message: &FieldList,
        snapshot: &StatusSnapshot,
        online: &BTreeSet<String>,
    ) -> Turn {
        match self.identify(message, online) {
            Ok(state) => {
                self.state = state;
                let replies = vec![answers::signed_on(None, snapshot)];
                Turn { replies, ..Turn::default() }
            }
            Err((info, reason)) => {
                let Peer { uid, gid, pid } = self.peer;
                let note = format!("client refused (uid {uid}, gid {gid}, pid {pid}): {reason}");
                let replies = vec![answers::signed_on(Some(info), snapshot)];
                Turn { replies, end: true, note: Some(note) }
            }
        }
    }

    /// Compares what the client says of itself with what the kernel says. The error is in
    /// Heartbeat's words for the client and in ours for the log.
    fn identify(
        &self,
        message: &FieldList,
        online: &BTreeSet<String>,
    ) -> Result<State, (&'static str, String)> {
        let Peer { uid, gid, pid } = self.peer;
        for (field, kernel) in [("uid", uid), ("gid", gid), ("pid", pid)] {
            let said = message.text(field).and_then(fields::parse_decimal);
            if said != Some(u64::from(kernel)) {
                let reason = format!("its {field} is not what it says");
                return Err(("incorrect/false credentials", reason));
            }
        }
        let denied = |reason: String| Err(("client failed authorization", reason));
        let id = message.text("from_id").unwrap_or_default();
        if id.is_empty() || fields::parse_decimal(id) == Some(u64::from(pid)) {
            return if self.accounts.allows_casual(self.peer) {
                Ok(State::Casual)
            } else {
                denied("neither root nor of group haclient".into())
            };
        }
        if !self.accounts.allows_named(id, self.peer) {
            return denied(format!("not allowed to be {}", shown(id)));
        }
        if online.contains(id) {
            return denied(format!("{} has signed on already", shown(id)));
        }
        Ok(State::Named(id.into()))
    }

    /// Heartbeat sends a named client's messages to the cluster; no client of this daemon does so.
    fn not_a_request(&mut self, message: &FieldList) -> Turn {
        let kind = shown(message.text(fields::KIND).unwrap_or_default());
        match &self.state {
            State::Named(name) => {
                let text = format!("client {name}: message {kind} not sent: clients may only ask");
                let note = (!self.told).then_some(text);
                self.told = true;
                Turn { note, ..Turn::default() }
            }
            State::Fresh | State::Casual => {
                let note = format!("client of pid {}: {kind} is no request", self.peer.pid);
                Turn { end: true, note: Some(note), ..Turn::default() }
            }
        }
    }
}

/// A word of a client as it may stand in a log line.
fn shown(word: &str) -> String {
    let short: String = word.chars().take(NAME_MAX).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests;
