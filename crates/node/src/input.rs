//! What happens to a node. Closed and serialisable, so that a run can be recorded and replayed.

use std::collections::BTreeSet;

use hb_messaging::engine::{LinkId, PingId};
use hb_resource::input::Evidence;
use hb_resource::operation::{GroupKey, OpId, Outcome};
use serde::{Deserialize, Serialize};

use crate::api::Request;

/// A client of the control socket, for as long as it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub u64);

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Wall clock and load, for display and for the fields `ts` and `ld` only: first input, then
    /// about once a second.
    Environment {
        /// Unix time in seconds.
        unix_s: u64,
        /// First line of `/proc/loadavg`.
        load: String,
    },
    /// Before `Start`: what a daemon before this one has started since the machine booted and not
    /// stopped, by group and resource as written in haresources.
    Left {
        /// Group and resource. Names that are not in haresources mean nothing.
        resources: BTreeSet<(GroupKey, String)>,
    },
    /// What the local clock shows: before `Start` and then about once a second, when hb.toml binds
    /// failback to a time of day.
    LocalTime {
        /// Minute of the day, 0 to 1439.
        minute: u16,
    },
    /// Ethernet addresses of the interfaces on which this node's floating addresses are or would be
    /// (`02:00:00:00:00:01`), when they have changed.
    Ethernet(Vec<String>),
    /// Sockets are open as far as they can be: begin.
    Start,
    /// A datagram arrived.
    Datagram {
        /// On which link.
        link: LinkId,
        /// As read.
        bytes: Vec<u8>,
    },
    /// A ping target, or the peer's machine, answered.
    EchoReply {
        /// Which target.
        ping: PingId,
        /// Sequence number of the request.
        sequence: u16,
    },
    /// A link's sockets failed or work again.
    Link {
        /// Which link.
        link: LinkId,
        /// `None`: works. Otherwise the system's words.
        failure: Option<String>,
    },
    /// `next_timeout()` is due.
    Timeout,
    /// An operation ended.
    Done {
        /// Which.
        op: OpId,
        /// How.
        outcome: Outcome,
    },
    /// A client asks.
    Request {
        /// Who.
        client: ClientId,
        /// What.
        request: Request,
    },
    /// Who a client is, before its first request: the name of the user as the socket knows it. For
    /// the history; nothing is decided by it.
    ClientName {
        /// Which client.
        client: ClientId,
        /// The user's name; what is no name is ignored.
        name: String,
    },
    /// The wall clock, more exactly than `Environment` says it. For display only.
    Clock {
        /// Unix time in milliseconds.
        unix_ms: u64,
    },
    /// A client has gone; its answers are no longer wanted.
    ClientGone {
        /// Who.
        client: ClientId,
    },
    /// Something happened to a resource that this node runs: a process died, an address or its link
    /// went away, another host answered for it. A hint: a check follows.
    Look {
        /// Its group.
        group: GroupKey,
        /// As written in haresources.
        resource: String,
        /// What it rests on.
        #[serde(default)]
        evidence: Evidence,
        /// In words.
        reason: String,
    },
    /// A fence attempt ended (`Effect::Fence`).
    Fenced {
        /// Which.
        attempt: u64,
        /// `Ok`: the node is off, for certain.
        outcome: Outcome,
    },
    /// The witness answered `Effect::Witness`, or could not be asked.
    Witness {
        /// Which question.
        question: u64,
        /// What it said.
        answer: WitnessAnswer,
    },
    /// What the guard of the held addresses did since the last one, at most each second or so. For
    /// status only.
    Guarded {
        /// Announcements in defence, by refresh and after a link had come back.
        announced: u64,
        /// Other hosts that began to claim a held address.
        conflicts: u64,
    },
    /// Another host claims an address that this node holds, or does so no more. For status only.
    Rival {
        /// Its group.
        group: GroupKey,
        /// As written in haresources.
        resource: String,
        /// The host's Ethernet address (`02:00:00:00:00:01`); `None`: nobody claims it any more.
        ethernet: Option<String>,
    },
    /// The writer of the log has waited for a disk or a log server for seconds, or does so no more. For
    /// status only.
    LogHangs(bool),
    /// The machine slept: time passed that the clock of `handle` did not count.
    Slept {
        /// How long, in ms.
        ms: u64,
    },
    /// The files were read again, are valid and differ: end with `Effect::Restart` as soon as nothing
    /// moves, or with `Effect::KeepConfiguration`.
    Reload {
        /// Groups that must not run any more when the other configuration comes into force.
        release: BTreeSet<GroupKey>,
    },
    /// SIGTERM or `heartbeat -k`: release everything in order, then `Effect::Exit`.
    Shutdown,
}

/// What a witness says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WitnessAnswer {
    /// This node has the right to go on alone until the lease ends; the peer cannot have it.
    Granted,
    /// The other node has it.
    Refused,
    /// It could not be asked.
    Unreachable {
        /// Why.
        reason: String,
    },
}
