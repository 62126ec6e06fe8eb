//! Messages for tests. Compiled for tests only.

use hb_config::settings::notify::{Event, Gravity};

use crate::message::{Message, Phase, VERSION};

/// One with this number.
pub(crate) fn message(seq: u64, phase: Phase) -> Message {
    Message {
        v: VERSION,
        id: format!("web-ha2-0-{seq}"),
        incident: format!("web-ha2-0-{seq}"),
        seq,
        phase,
        events: vec![Event::Node, Event::Move],
        severity: Gravity::Warning,
        cluster: "web".into(),
        node: "ha2".into(),
        groups: vec!["www".into()],
        cause: "dead".into(),
        unix_ms: 1_795_000_000_000,
        began_unix_ms: 1_794_999_990_000,
        duration_ms: None,
        outage_ms: Some(6_300),
        repeats: u32::from(phase == Phase::Event),
        subject: "[web] www moved ha1→ha2 — ha1 silent 5.0 s — service back after 6.3 s".into(),
        happened: vec!["ha1 dead: nothing heard".into()],
        views: vec!["ha2: active, holds www".into()],
        not_redundant: vec!["no failover: ha1 is dead".into()],
        next: vec!["look at its power".into()],
    }
}
