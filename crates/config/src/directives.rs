//! **The** table of ha.cf directives: what each takes, its default, how far it is performed, and
//! its documentation. It drives the parser, the "did you mean" hints, `hb explain` and the man
//! page. How values are parsed is not told here.

mod table;

use crate::hint;

pub use table::TABLE;

/// One row for each name; `udp` and `crm` are aliases inside a row.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// What the parser does with it.
    pub id: DirectiveId,
    /// The word in ha.cf; case matters.
    pub name: &'static str,
    /// Another word for the same.
    pub alias: Option<&'static str>,
    /// What stands behind the word.
    pub grammar: Grammar,
    /// What holds when the directive is absent, for people.
    pub default: Option<&'static str>,
    /// How far it is performed.
    pub support: Support,
    /// One line for lists.
    pub doc_short: &'static str,
    /// A paragraph for `hb explain` and the man page.
    pub doc_long: &'static str,
}

/// Shape of a directive's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// Node names, several on a line and several lines.
    Nodes,
    /// One time (Heartbeat 3.0.6, §6.1 of the protocol description).
    Time,
    /// One whole number from `min` to `max`, with its unit for people.
    Integer {
        /// Least.
        min: u32,
        /// Greatest.
        max: u32,
        /// Unit; empty for none.
        unit: &'static str,
    },
    /// A switch.
    Boolean,
    /// A switch or `legacy`.
    AutoFailback,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A syslog facility or `none`.
    Facility,
    /// One absolute path.
    Path,
    /// One word without rules.
    Text,
    /// Interfaces.
    Interfaces,
    /// Device paths.
    Devices,
    /// Hosts, each a ping node; `ipv6` for ping6.
    Hosts {
        /// Whether the addresses are IPv6.
        ipv6: bool,
    },
    /// `NAME HOST…`
    PingGroup,
    /// `IF HOST`
    Ucast,
    /// `IF ADDRESS`
    Ucast6,
    /// `IF GROUP PORT TTL LOOP`
    Mcast,
    /// `IF GROUP PORT HOPS LOOP`
    Mcast6,
    /// `NAME=VALUE`
    Assignment,
    /// The rest of the line, shown for people as this syntax.
    WholeLine(&'static str),
}

impl Grammar {
    /// What stands behind the directive, for people.
    pub fn syntax(self) -> String {
        match self {
            Self::Nodes => "NAME…".into(),
            Self::Time => "TIME (seconds, or with ms or us)".into(),
            Self::Integer { min, max: u32::MAX, unit } => join(&format!("NUMBER from {min}"), unit),
            Self::Integer { min, max, unit } => join(&format!("{min}..{max}"), unit),
            Self::Boolean => "on | off".into(),
            Self::AutoFailback => "on | off | legacy".into(),
            Self::Choice(words) => words.join(" | "),
            Self::Facility => "FACILITY | none".into(),
            Self::Path => "PATH".into(),
            Self::Text => "WORD".into(),
            Self::Interfaces => "INTERFACE…".into(),
            Self::Devices => "DEVICE…".into(),
            Self::Hosts { ipv6: false } => "HOST…".into(),
            Self::Hosts { ipv6: true } => "IPV6-ADDRESS…".into(),
            Self::PingGroup => "NAME HOST…".into(),
            Self::Ucast => "INTERFACE HOST".into(),
            Self::Ucast6 => "INTERFACE IPV6-ADDRESS".into(),
            Self::Mcast => "INTERFACE GROUP PORT TTL LOOP".into(),
            Self::Mcast6 => "INTERFACE GROUP PORT HOPS LOOP".into(),
            Self::Assignment => "NAME=VALUE…".into(),
            Self::WholeLine(syntax) => syntax.into(),
        }
    }

    /// Whether the value is one word, so that a second line replaces the first.
    pub fn is_scalar(self) -> bool {
        match self {
            Self::Time
            | Self::Integer { .. }
            | Self::Boolean
            | Self::AutoFailback
            | Self::Choice(_)
            | Self::Facility
            | Self::Path
            | Self::Text => true,
            Self::Nodes
            | Self::Interfaces
            | Self::Devices
            | Self::Hosts { .. }
            | Self::PingGroup
            | Self::Ucast
            | Self::Ucast6
            | Self::Mcast
            | Self::Mcast6
            | Self::Assignment
            | Self::WholeLine(_) => false,
        }
    }

    /// Whether commas separate words as blanks do (Heartbeat's option lists).
    pub fn splits_at_commas(self) -> bool {
        match self {
            Self::PingGroup
            | Self::Ucast
            | Self::Ucast6
            | Self::Mcast
            | Self::Mcast6
            | Self::WholeLine(_) => false,
            Self::Nodes
            | Self::Time
            | Self::Integer { .. }
            | Self::Boolean
            | Self::AutoFailback
            | Self::Choice(_)
            | Self::Facility
            | Self::Path
            | Self::Text
            | Self::Interfaces
            | Self::Devices
            | Self::Hosts { .. }
            | Self::Assignment => true,
        }
    }
}

fn join(text: &str, unit: &str) -> String {
    if unit.is_empty() { text.to_owned() } else { format!("{text} ({unit})") }
}

/// How far a directive is performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As in Heartbeat.
    Implemented,
    /// Read and not performed; a warning says so.
    AcceptedWithWarning {
        /// What it means for the node.
        why: &'static str,
        /// The value (a switch in its form `on` or `off`) that asks for nothing: no warning.
        inert: Option<&'static str>,
    },
    /// The node does not start with it.
    Refused {
        /// Why.
        why: &'static str,
        /// What to do.
        instead: &'static str,
        /// The value that asks for nothing, and is accepted.
        inert: Option<&'static str>,
    },
}

macro_rules! directive_ids {
    ($($name:ident)*) => {
        /// The directives, for exhaustive matches. The documentation of each is in [`TABLE`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DirectiveId {
            $(#[allow(missing_docs, reason = "documented in TABLE")] $name,)*
        }

        impl DirectiveId {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

directive_ids! {
    Node Keepalive Deadtime Warntime Initdead Deadping
    Udpport Bcast Ucast Ucast6 Mcast Mcast6 Ping Ping6 PingGroup
    AutoFailback Logfile Debugfile Logfacility Debug LogBadpack
    Rtprio Realtime Hbgenmethod Uuidfrom Msgfmt MaxRexmitDelay Hopfudge Cluster Env
    NiceFailback Serial Baud Watchdog Stonith StonithHost Respawn Failfast Apiauth
    UseLogd ConnLogdTime Syslogmsgfmt Memreserve Normalpoll
    Compression CompressionThreshold TraditionalCompression Coredumps Coreroot
    Autojoin QuorumServer UseApphbd Pacemaker CrmDaemonDir CrmdSpawnsPengine
    RecordConfigChanges RecordPengineInputs EnableConfigWrites
}

/// The row of a directive or alias; case matters, as in Heartbeat.
pub fn find(name: &str) -> Option<&'static Directive> {
    TABLE.iter().find(|row| row.name == name || row.alias == Some(name))
}

/// The directive that was probably meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let names = TABLE.iter().flat_map(|row| std::iter::once(row.name).chain(row.alias));
    hint::nearest(name, names)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_directive_has_one_row() {
        let ids: BTreeSet<_> = TABLE.iter().map(|row| row.id).collect();
        let names: BTreeSet<_> =
            TABLE.iter().flat_map(|row| std::iter::once(row.name).chain(row.alias)).collect();
        assert_eq!(ids.len(), DirectiveId::ALL.len());
        assert_eq!(TABLE.len(), DirectiveId::ALL.len());
        assert_eq!(names.len(), TABLE.len() + 2, "udp and crm are the only aliases");
    }

    #[test]
    fn texts_are_there_and_fit() {
        for row in TABLE {
            assert!(row.doc_short.len() <= 70 && !row.doc_short.ends_with('.'), "{}", row.name);
            assert!(row.doc_long.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn misspelt_names_are_recognised() {
        let check = |word, expect| assert_eq!(nearest(word), expect, "{word}");
        check("ogfile", Some("logfile"));
        check("Keepalive", Some("keepalive"));
        check("keep_alive", Some("keepalive"));
        check("dead_time", Some("deadtime"));
        check("deadtiem", Some("deadtime"));
        check("autofailback", Some("auto_failback"));
        check("nodes", Some("node"));
        check("frobnicate", None);
        check("", None);
    }
}
