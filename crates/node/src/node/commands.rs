//! Commands and questions of clients: each goes to whoever answers it, and answers find their client
//! again. It decides nothing.

use std::time::Duration;

use hb_resource::input as resource;

use super::{Node, Turn};
use crate::api::{Request, Response};
use crate::effect::{Effect, Level, LogEvent};
use crate::input::ClientId;

impl Node {
    pub(super) fn take_request(&mut self, client: ClientId, request: Request, turn: &mut Turn<'_>) {
        let response = match request {
            Request::Status => Response::Status(Box::new(self.status(self.now))),
            Request::History => Response::History(self.history.entries().cloned().collect()),
            Request::Stop => {
                let text = if self.stopping { "already stopping" } else { "stopping" };
                let response = Response::Done { text: text.to_owned() };
                turn.effects.push(Effect::Reply { client, response });
                self.note_order(client, "shutdown");
                return self.stop(turn);
            }
            Request::Standby { which } => {
                self.note_order(client, "standby");
                return self
                    .command(client, turn, |request| resource::Input::Standby { request, which });
            }
            Request::Takeover { which } => {
                self.note_order(client, "takeover");
                return self
                    .command(client, turn, |request| resource::Input::Takeover { request, which });
            }
            Request::Maintenance { on, limit_ms } => {
                let limit = limit_ms.map(Duration::from_millis);
                self.note_order(client, "maintenance");
                return self.command(client, turn, |request| resource::Input::Maintenance {
                    request,
                    on,
                    limit,
                });
            }
            // The files are the daemon's business, which takes this question before it comes here.
            Request::Reload { .. } => Response::Error { text: "there are no files here".into() },
            Request::FenceTest => return self.test_fencing(client, turn),
            Request::FenceConfirm { node } => self.confirm_fence(client, &node, turn),
            Request::Cleanup { group } => {
                self.note_order(client, "cleanup");
                return self
                    .command(client, turn, |request| resource::Input::Cleanup { request, group });
            }
        };
        turn.effects.push(Effect::Reply { client, response });
    }

    /// A command that the manager answers when it is done or refused.
    fn command(
        &mut self,
        client: ClientId,
        turn: &mut Turn<'_>,
        input: impl FnOnce(resource::RequestId) -> resource::Input,
    ) {
        let Some(request) = self.requests.begin(client) else {
            let text = "too many commands wait for an answer: try again later".to_owned();
            let response = Response::Error { text };
            return turn.effects.push(Effect::Reply { client, response });
        };
        let input = input(request);
        turn.log(
            LogEvent::new(Level::Info, "command", format!("command received: {input:?}"))
                .with("client", client.0),
        );
        self.feed_manager(input, turn);
    }
}
