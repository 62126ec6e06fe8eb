//! Which client waits for which answer of the manager. It does not know what was asked.

use std::collections::BTreeMap;

use hb_resource::input::RequestId;
use serde::{Deserialize, Serialize};

use crate::input::ClientId;

/// Commands that may wait at once: more than one person and a few scripts never need.
pub(crate) const WAITING_MAX: usize = 64;

/// Requests that the manager has not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    last: u64,
    waiting: BTreeMap<RequestId, ClientId>,
}

impl Requests {
    /// A name for the next request of `client`; `None` when too many wait.
    pub(crate) fn begin(&mut self, client: ClientId) -> Option<RequestId> {
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        self.last += 1;
        let request = RequestId(self.last);
        self.waiting.insert(request, client);
        Some(request)
    }

    /// Who waits for this answer; `None` when the client has gone.
    pub(crate) fn end(&mut self, request: RequestId) -> Option<ClientId> {
        self.waiting.remove(&request)
    }

    /// Nobody waits for this client's answers any longer. What it asked for goes on.
    pub(crate) fn forget(&mut self, client: ClientId) {
        self.waiting.retain(|_, waiting| *waiting != client);
    }

    /// Everybody who still waits, in the order in which they asked.
    pub(crate) fn drain(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_client_once() {
        let mut requests = Requests::default();
        let first = requests.begin(ClientId(1)).expect("room");
        let second = requests.begin(ClientId(2)).expect("room");
        assert_ne!(first, second);
        assert_eq!(requests.end(second), Some(ClientId(2)));
        assert_eq!(requests.end(second), None);
        requests.forget(ClientId(1));
        assert_eq!(requests.end(first), None);
    }

    #[test]
    fn waiting_is_bounded_and_numbers_are_never_used_twice() {
        let mut requests = Requests::default();
        for client in 0..64 {
            assert!(requests.begin(ClientId(client)).is_some());
        }
        assert_eq!(requests.begin(ClientId(99)), None);
        assert_eq!(requests.drain().len(), WAITING_MAX);
        assert_eq!(requests.begin(ClientId(99)), Some(RequestId(65)));
    }
}
