//! The last sequenced messages that this node sent, for retransmission. Numbers them too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fields::{AUTH, FieldList};
use crate::time::Instant;
use crate::wire;

/// Messages kept (Heartbeat 3.0.6).
pub(crate) const KEPT_MAX: usize = 500;
/// A copy is not sent again within `max_rexmit_delay` less this (Heartbeat 3.0.6).
const RESEND_SLACK: Duration = Duration::from_millis(10);

/// Numbers and keeps what was sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct History {
    kept: VecDeque<Sent>,
    highest: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sent {
    /// As it went out: a third of what its fields take, and shared with who sends it.
    #[serde(rename = "fields", with = "as_fields")]
    message: Arc<[u8]>,
    resent: Option<Instant>,
}

/// A kept message is serialised as its fields: the signature is nobody's business.
mod as_fields {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    use crate::fields::FieldList;
    use crate::wire;

    pub(super) fn serialize<S: Serializer>(
        message: &Arc<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let fields = super::fields_of(message);
        fields.ok_or_else(|| ser::Error::custom("not a message"))?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<[u8]>, D::Error> {
        let fields = FieldList::deserialize(deserializer)?;
        wire::frame_unsigned(&fields).map(Arc::from).map_err(de::Error::custom)
    }
}

/// The fields of a kept message, to be signed anew.
fn fields_of(message: &[u8]) -> Option<FieldList> {
    let mut fields = wire::decode(message).ok()?.fields;
    fields.remove(AUTH);
    Some(fields)
}

/// What there is for a requested number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Send these fields again.
    Resend(FieldList),
    /// A copy left a moment ago.
    TooSoon,
    /// Too old to be kept.
    Gone,
    /// Not sent yet.
    Future,
}

impl History {
    /// The number of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.highest + 1
    }

    /// Highest number sent; 0 for none.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Keeps the message, framed, that carries the number [`Self::next`].
    pub(crate) fn push(&mut self, message: Arc<[u8]>) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Sent { message, resent: None });
        self.highest += 1;
    }

    /// Finds message `sequence` and books that it is sent again.
    pub(crate) fn resend(&mut self, now: Instant, sequence: u64, repeat: Duration) -> Lookup {
        if sequence > self.highest {
            return Lookup::Future;
        }
        let from_end = usize::try_from(self.highest - sequence).unwrap_or(usize::MAX);
        let Some(index) = self.kept.len().checked_sub(from_end.saturating_add(1)) else {
            return Lookup::Gone;
        };
        let sent = &mut self.kept[index];
        let pause = repeat.saturating_sub(RESEND_SLACK);
        if sent.resent.is_some_and(|at| now.since(at) < pause) {
            return Lookup::TooSoon;
        }
        sent.resent = Some(now);
        fields_of(&sent.message).map_or(Lookup::Gone, Lookup::Resend)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, Framing, Secret};

    use super::*;
    use crate::auth::Authenticator;

    fn message(number: u64) -> FieldList {
        let mut list = FieldList::new();
        list.push_text("n", number.to_string());
        list
    }

    fn framed(number: u64) -> Arc<[u8]> {
        wire::frame_unsigned(&message(number)).expect("it can be framed").into()
    }

    #[test]
    fn what_is_kept_is_read_again_without_its_signatures() {
        let secret = Secret::new(b"k".to_vec());
        let key = AuthKey { method: AuthMethod::Sha1, secret };
        let keys = AuthKeys { active: 1, keys: BTreeMap::from([(1, key)]) };
        let keys = Authenticator::new(&keys).expect("the active key is there");
        // The second value means a line feed in the classic framing only.
        for (framing, text) in [(Framing::Classic, "a\nb"), (Framing::Netstring, "a\x13b\n")] {
            let mut list = message(1);
            list.push_text("text", text);
            list.push_binary("id", [0, 1, 0xff]);
            let bytes = wire::encode(&list, framing, true, &keys).expect("it can be framed");
            let mut history = History::default();
            history.push(bytes.into());
            let json = serde_json::to_string(&history).expect("it can be written");
            assert!(!json.contains("auth"), "{json}");
            let mut again: History = serde_json::from_str(&json).expect("it can be read");
            for history in [&mut history, &mut again] {
                let found = history.resend(Instant::ZERO, 1, Duration::ZERO);
                assert_eq!(found, Lookup::Resend(list.clone()), "{framing:?}");
            }
        }
    }

    #[test]
    fn the_last_500_are_found_the_newest_too() {
        let mut history = History::default();
        for number in 1..=600 {
            assert_eq!(history.next(), number);
            history.push(framed(number));
        }
        let repeat = Duration::from_millis(250);
        let mut find = |sequence| history.resend(Instant::ZERO, sequence, repeat);
        assert_eq!(find(600), Lookup::Resend(message(600)));
        assert_eq!(find(101), Lookup::Resend(message(101)));
        assert_eq!(find(100), Lookup::Gone);
        assert_eq!(find(0), Lookup::Gone);
        assert_eq!(find(601), Lookup::Future);
    }

    #[test]
    fn copies_keep_a_distance() {
        let mut history = History::default();
        history.push(framed(1));
        let repeat = Duration::from_millis(250);
        let mut find = |millis| history.resend(Instant::from_millis(millis), 1, repeat);
        assert_eq!(find(0), Lookup::Resend(message(1)));
        assert_eq!(find(239), Lookup::TooSoon);
        assert_eq!(find(240), Lookup::Resend(message(1)));
        assert_eq!(find(250), Lookup::TooSoon);
    }
}
