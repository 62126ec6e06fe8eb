//! What each problem of the status means for notifications: what it is about, how grave it is, and
//! which of two nodes tells it (docs/decisions/0019). A table; it decides nothing else.

use hb_config::settings::notify::{Event, Gravity};

/// Which node tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// Each node its own: the other one does not see it.
    Own,
    /// Both see it: the node that serves the group, else the first by name.
    Shared,
}

/// What a problem means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is about.
    pub event: Event,
    /// How grave.
    pub severity: Gravity,
    /// Who tells.
    pub teller: Teller,
}

/// What is made of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The other node is away: one incident, however it is called at the moment.
    Peer,
    /// An incident of its own.
    Incident(Entry),
    /// Told otherwise: by the history.
    Nothing,
}

const TABLE: &[(&str, Event, Gravity, Teller)] = &[
    ("split", Event::Split, Gravity::Critical, Teller::Shared),
    ("split_possible", Event::Split, Gravity::Critical, Teller::Own),
    ("address_conflict", Event::Resource, Gravity::Warning, Teller::Own),
    ("group_failed", Event::Group, Gravity::Warning, Teller::Shared),
    ("group_blocked", Event::Group, Gravity::Critical, Teller::Shared),
    ("group_not_served", Event::Group, Gravity::Critical, Teller::Shared),
    ("no_peer", Event::Configuration, Gravity::Info, Teller::Own),
    ("config_differs", Event::Configuration, Gravity::Warning, Teller::Shared),
    ("key_unconfirmed", Event::Configuration, Gravity::Warning, Teller::Own),
    ("not_ready", Event::Configuration, Gravity::Warning, Teller::Shared),
    ("link_down", Event::Link, Gravity::Warning, Teller::Shared),
    ("link_one_way", Event::Link, Gravity::Warning, Teller::Shared),
    ("ping_dead", Event::Link, Gravity::Warning, Teller::Own),
    ("ping_worse", Event::Link, Gravity::Warning, Teller::Own),
    ("late_heartbeats", Event::Link, Gravity::Warning, Teller::Own),
    ("bad_auth", Event::Link, Gravity::Warning, Teller::Own),
    ("core_stalled", Event::Link, Gravity::Info, Teller::Own),
    ("hung", Event::Resource, Gravity::Warning, Teller::Own),
    ("log_hangs", Event::Node, Gravity::Warning, Teller::Own),
    ("monitor_unusable", Event::Resource, Gravity::Warning, Teller::Own),
    ("maintenance", Event::Maintenance, Gravity::Info, Teller::Shared),
    ("fencing_failed", Event::Fence, Gravity::Critical, Teller::Own),
];

/// What the problem `id` means. One that this version does not know is told by who sees it.
pub fn meaning(id: &str) -> Meaning {
    match id {
        "peer_dead" | "peer_lost" | "peer_never_seen" => return Meaning::Peer,
        "resource_failed" => return Meaning::Nothing,
        _ => {}
    }
    let row = TABLE.iter().find(|(known, ..)| *known == id);
    let (event, severity, teller) = row
        .map_or((Event::Node, Gravity::Warning, Teller::Own), |(_, event, severity, teller)| {
            (*event, *severity, *teller)
        });
    Meaning::Incident(Entry { event, severity, teller })
}

/// Problems that only say again, while the other node is away, that it is.
pub fn follows_from_absence(id: &str) -> bool {
    matches!(id, "link_down" | "link_one_way" | "late_heartbeats" | "not_ready")
}
