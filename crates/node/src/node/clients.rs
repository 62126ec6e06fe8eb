//! Programs that are signed on at a node's client socket, as far as the other node asks
//! (`cl_status clientstatus`, Heartbeat 3.0.6): asked of the peer, answered to it, remembered. It
//! decides nothing. The built-in ipfail counts as signed on, because 3.0.6's is a client.

use std::collections::BTreeSet;

use hb_messaging::engine as messaging;
use hb_messaging::message::{Body, NodeStatus};

use super::{Node, Turn};
use crate::report;

/// The client of 3.0.6 that is built in here, and the only one of a cluster with haresources.
const IPFAIL: &str = "ipfail";
/// Names of a peer's clients that are remembered. 3.0.6 knows seven.
const CLIENTS_MAX: usize = 16;
/// Longest name that is remembered or repeated.
const NAME_MAX: usize = 32;
/// Stands for the program that asks. Its answer comes to the daemon.
const ASKER: &str = "0";

impl Node {
    /// The peer and this node have become able to talk, or no longer are.
    pub(super) fn ask_for_clients(&mut self, status: NodeStatus, turn: &mut Turn<'_>) {
        self.peer_clients.clear();
        let Some(peer) = self.profile.peer.clone() else { return };
        if self.active && status == NodeStatus::Active {
            let fields = [("dest", peer.as_str()), ("cn", IPFAIL), ("from_id", ASKER)];
            self.send_of_clients("query-cstatus", &fields, turn);
        }
    }

    /// A message of the peer, which may be about clients.
    pub(super) fn hear_of_clients(&mut self, body: &Body, turn: &mut Turn<'_>) {
        let Body::Other { kind, fields } = body else { return };
        let field = |name: &str| {
            let found = fields.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.as_str()).filter(|value| value.len() <= NAME_MAX)
        };
        let for_us = field("dest") == Some(self.profile.node.as_str());
        match (kind.as_str(), field("cn"), field("from_id")) {
            ("query-cstatus", Some(name), Some(asker)) if for_us => {
                self.answer_of_clients(name, asker, turn);
            }
            ("respond-cstatus", Some(name), _) if for_us => {
                self.remember_client(name, field("cs") == Some("online"));
            }
            ("hbapi-clstat", _, Some(name)) => match field("st") {
                Some("join") => self.remember_client(name, true),
                Some("leave") => self.remember_client(name, false),
                Some(_) | None => {}
            },
            _ => {}
        }
    }

    /// Names of this node's own clients that are part of the daemon.
    pub(crate) fn own_clients(&self) -> BTreeSet<String> {
        let ipfail = self.active && self.ipfail.is_some();
        ipfail.then(|| IPFAIL.to_owned()).into_iter().collect()
    }

    fn answer_of_clients(&mut self, name: &str, asker: &str, turn: &mut Turn<'_>) {
        let Some(peer) = self.profile.peer.clone() else { return };
        let word = if self.own_clients().contains(name) { "online" } else { "offline" };
        let fields = [
            ("dest", peer.as_str()),
            ("result", "OK"),
            ("cn", name),
            ("to_id", asker),
            ("cs", word),
        ];
        self.send_of_clients("respond-cstatus", &fields, turn);
    }

    fn remember_client(&mut self, name: &str, online: bool) {
        if !online {
            self.peer_clients.remove(name);
        } else if self.peer_clients.len() < CLIENTS_MAX {
            self.peer_clients.insert(name.to_owned());
        }
    }

    fn send_of_clients(&mut self, kind: &str, fields: &[(&str, &str)], turn: &mut Turn<'_>) {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let fields = fields.iter().map(text).collect();
        let body = Body::Other { kind: kind.to_owned(), fields };
        turn.log(report::sent(&body));
        self.feed_messaging(messaging::Input::Send(body), turn);
    }
}
