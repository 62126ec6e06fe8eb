//! What `[notify]` of hb.toml means: who is told of incidents, and how. The daemon does not know of
//! it: it is no part of [`super::Settings`], so that a change here is no change of the cluster.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `[notify]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// How long something that is not critical must last before it is told, in ms (default 10 s).
    pub settle_ms: u64,
    /// How long it must be gone before it is told as resolved, in ms (default 30 s).
    pub clear_ms: u64,
    /// How long the daemon may be away before that is an incident, in ms (default 30 s).
    pub daemon_grace_ms: u64,
    /// Where messages go, in the order of the file.
    pub channels: Vec<Channel>,
}

impl Default for Notify {
    fn default() -> Self {
        Self { settle_ms: 10_000, clear_ms: 30_000, daemon_grace_ms: 30_000, channels: Vec::new() }
    }
}

/// One place that messages go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Letters, digits, `_` and `-`; unique.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
    /// Only these events; empty: all.
    pub events: Vec<Event>,
    /// Only incidents as grave as this.
    pub min_severity: Gravity,
    /// Limit of one try, in ms (default 30 s).
    pub timeout_ms: u64,
}

/// Kinds of channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelKind {
    /// Mail.
    Mail(Mail),
    /// An HTTP POST of one JSON object.
    Webhook(Webhook),
    /// A program that gets the event on its standard input.
    Exec {
        /// Program by its absolute path, and arguments. No shell is between.
        command: Vec<String>,
    },
}

/// Mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Sender.
    pub from: String,
    /// Recipients; at least one.
    pub to: Vec<String>,
    /// How it leaves.
    pub by: MailBy,
}

/// How mail leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailBy {
    /// A program that takes `-i -f SENDER -- RECIPIENT…` and the mail on its standard input.
    Sendmail {
        /// Absolute path.
        program: String,
    },
    /// SMTP.
    Smtp(Smtp),
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smtp {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Encryption.
    pub tls: Tls,
    /// User and the file with the password, when the server wants them.
    pub login: Option<Login>,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca_file: Option<String>,
}

/// A user and where the password is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// User.
    pub user: String,
    /// File with the password alone.
    pub password_file: String,
}

/// Encryption of a connection to a mail server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// After `STARTTLS`, which the server must offer.
    #[default]
    Starttls,
    /// From the first byte (port 465).
    Implicit,
    /// None.
    None,
}

/// A web server that takes events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// `https://…` or `http://…`.
    pub url: String,
    /// File with a token for `Authorization: Bearer`.
    pub token_file: Option<String>,
    /// File with lines `Name: value` that are sent as headers.
    pub header_file: Option<String>,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca_file: Option<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Their words, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The word in hb.toml and in JSON.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What a word means.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// What an incident is about. A channel may take some of them only.
    Event {
        /// A group moved, was started, or was started again in place.
        Move = "move",
        /// A node died, left, or returned.
        Node = "node",
        /// Both nodes claim a group.
        Split = "split",
        /// A group failed, or nobody serves it.
        Group = "group",
        /// A resource failed, hangs, or cannot be checked.
        Resource = "resource",
        /// A heartbeat link, a ping node, or the traffic between the nodes.
        Link = "link",
        /// The nodes' files or keys differ, or a node could not take over.
        Configuration = "configuration",
        /// A power switch was used or does not work.
        Fence = "fence",
        /// Maintenance.
        Maintenance = "maintenance",
        /// The daemon of this node.
        Daemon = "daemon",
        /// `hb notify test`; goes to every channel.
        Test = "test",
    }
}

words! {
    /// How grave an incident is.
    Gravity {
        /// Worth knowing.
        Info = "info",
        /// Served, but not as it should be.
        Warning = "warning",
        /// Not served, or about to be damaged.
        Critical = "critical",
    }
}
