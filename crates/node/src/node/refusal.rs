//! A takeover that the giver refuses: it says so to a Twinbeat node, whose operator then need not wait
//! until Heartbeat's patience for an answer has passed. Whether it is refused is the manager's
//! business.

use hb_messaging::engine as messaging;
use hb_messaging::message::Body;
use hb_resource::input as resource;
use hb_resource::output::{Answer, Timer};

use super::{Node, Turn};
use crate::api::Response;
use crate::effect::{Effect, Level, LogEvent};
use crate::report;

/// Type of the message. A 3.0.6 node is never sent one.
const REFUSED: &str = "hb_takeover_refused";
/// Longest reason that is repeated to an operator.
const REASON_MAX: usize = 300;

impl Node {
    /// The peer's operator wants groups from here, and nothing comes of it.
    pub(super) fn refuse_takeover(&mut self, reason: String, turn: &mut Turn<'_>) {
        let Some(peer) = self.profile.peer.clone() else { return };
        let text = format!("takeover refused that {peer} wants: {reason}");
        turn.log(LogEvent::new(Level::Warn, "takeover_refused", text).with("peer", &peer));
        if self.peer_native == Some(true) {
            let fields = vec![("dest".to_owned(), peer.to_string()), ("info".to_owned(), reason)];
            let body = Body::Other { kind: REFUSED.to_owned(), fields };
            turn.log(report::sent(&body));
            self.feed_messaging(messaging::Input::Send(body), turn);
        }
    }

    /// A message of the peer, which may be a refusal of what this node's operator wants.
    pub(super) fn hear_refusal(&mut self, body: &Body, turn: &mut Turn<'_>) {
        let Body::Other { kind, fields } = body else { return };
        let field = |name: &str| fields.iter().find(|(field, _)| field == name);
        let for_us = field("dest").is_some_and(|(_, dest)| *dest == self.profile.node.as_str());
        if kind != REFUSED || !for_us || !self.wanting || !self.timers.runs(&Timer::StandbyAnswer) {
            return;
        }
        let peer = self.profile.peer.as_ref().map(ToString::to_string).unwrap_or_default();
        let reason: String = field("info").into_iter().flat_map(|(_, info)| info.chars()).collect();
        let reason: String = reason.chars().take(REASON_MAX).collect();
        self.refusal = Some(format!("{peer} refused: {reason}"));
        // What the manager does when the answer does not come is what is to be done at a refusal.
        self.timers.cancel(&Timer::StandbyAnswer);
        self.feed_manager(resource::Input::Timer(Timer::StandbyAnswer), turn);
        self.refusal = None;
    }

    /// The manager's answer to an operator; a refusal of the peer stands in for its silence.
    pub(super) fn answer(
        &mut self,
        request: resource::RequestId,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) {
        let response = match answer {
            Answer::Done { text } => Response::Done { text },
            Answer::Refused { reason } | Answer::Failed { reason } => {
                Response::Error { text: self.refusal.clone().unwrap_or(reason) }
            }
        };
        if let Some(client) = self.requests.end(request) {
            turn.effects.push(Effect::Reply { client, response });
        }
    }
}
