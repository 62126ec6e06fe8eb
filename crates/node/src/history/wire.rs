//! How a node tells the other why it gives groups and who asked for it: two fields beside the steps
//! of the standby dialogue and the wish for a takeover, which Heartbeat 3.0.6 ignores. They are for
//! the history alone; nothing is decided by them, and what cannot be read counts as not said.

use hb_messaging::message::{AskStep, Body, Extensions};
use serde::{Deserialize, Serialize};

/// Why groups are given: the cause word of the giver.
const CAUSE: &str = "x_cause";
/// Who asked: `USER@NODE`.
const BY: &str = "x_by";
/// Longest cause that is read; the longest word has 12.
const CAUSE_MAX: usize = 24;
/// Longest name that is told or read: 32 for a user of Linux, and a host name.
const BY_MAX: usize = 96;

/// Why something is to move, and who wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// A cause word: `standby`, `failback` …
    pub(crate) cause: String,
    /// `root@node2`; `None` when nobody asked or it is not known.
    pub(crate) by: Option<String>,
}

/// Adds what the other node is to know to a message that begins a move.
pub(crate) fn say(body: &mut Body, order: &Order) {
    let extensions = match body {
        Body::AskResources { step: AskStep::Me, extensions, .. }
        | Body::HbTakeover { extensions, .. } => extensions,
        Body::AskResources { .. }
        | Body::Starting
        | Body::Resource { .. }
        | Body::Shutdone
        | Body::Stonith { .. }
        | Body::Other { .. } => return,
    };
    extensions.insert(CAUSE.to_owned(), order.cause.clone());
    if let Some(by) = order.by.as_ref().filter(|by| is_name(by)) {
        extensions.insert(BY.to_owned(), by.clone());
    }
}

/// What the other node says of the move that it begins or wants.
pub(crate) fn hear(extensions: &Extensions) -> Option<Order> {
    let cause = extensions.get(CAUSE)?;
    let is_word = !cause.is_empty()
        && cause.len() <= CAUSE_MAX
        && cause.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let by = extensions.get(BY).filter(|by| is_name(by)).cloned();
    is_word.then(|| Order { cause: cause.clone(), by })
}

/// Short enough, and fit for a line of a screen.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |c: char| !c.is_control() && !c.is_whitespace();
    !text.is_empty() && text.len() <= BY_MAX && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use hb_messaging::message::HoldWord;

    use super::*;

    fn ask(step: AskStep) -> Body {
        Body::AskResources { hold: HoldWord::All, step, extensions: Extensions::new() }
    }

    fn heard(body: &Body) -> Option<Order> {
        match body {
            Body::AskResources { extensions, .. } | Body::HbTakeover { extensions, .. } => {
                hear(extensions)
            }
            _ => None,
        }
    }

    #[test]
    fn the_first_step_carries_cause_and_name() {
        let order = Order { cause: "failback".into(), by: Some("root@node2".into()) };
        let mut first = ask(AskStep::Me);
        say(&mut first, &order);
        assert_eq!(heard(&first), Some(order.clone()));
        let mut later = ask(AskStep::Done);
        say(&mut later, &order);
        assert_eq!(heard(&later), None);
    }

    #[test]
    fn what_cannot_be_read_was_not_said() {
        let check = |cause: &str, by: &str, expect: Option<(&str, Option<&str>)>| {
            let fields = [(CAUSE.to_owned(), cause.to_owned()), (BY.to_owned(), by.to_owned())];
            let order = hear(&fields.into_iter().collect());
            let order = order.as_ref().map(|order| (order.cause.as_str(), order.by.as_deref()));
            assert_eq!(order, expect, "{cause:?} {by:?}");
        };
        check("standby", "root@node2", Some(("standby", Some("root@node2"))));
        check("standby", "ro ot\n", Some(("standby", None)));
        check("standby", &"x".repeat(97), Some(("standby", None)));
        check("Standby!", "root@node2", None);
        check("", "", None);
        check(&"x".repeat(25), "", None);
    }
}
