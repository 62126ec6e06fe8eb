//! The table of keys of hb.toml: it drives the parser, the hints, `hb explain` and the reference.
//! Texts and ranges only; values are read in `values` and put in their place in
//! `draft`.

mod notify;
mod table;

pub use notify::NotifyKey;
pub(super) use notify::{EXEC, MAIL, WEBHOOK, event};

use crate::duration;

/// One key of hb.toml.
#[derive(Clone, Copy, Debug)]
pub struct NativeKey {
    /// What the parser does with it.
    pub id: KeyId,
    /// Section.
    pub section: &'static str,
    /// Name inside the section.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Default, for people.
    pub default: &'static str,
    /// A paragraph for `hb explain`.
    pub doc: &'static str,
}

impl NativeKey {
    /// The default, or `none`.
    pub fn default(&self) -> &'static str {
        if self.default.is_empty() { "none" } else { self.default }
    }

    /// How its section begins in the file.
    pub fn header(&self) -> String {
        match self.section {
            "resource" => "[resource.\"RESOURCE\"]".to_owned(),
            "group" => "[group.\"FIRST RESOURCE\"]".to_owned(),
            section @ ("fencing.device" | "notify.mail" | "notify.webhook" | "notify.exec") => {
                format!("[[{section}]]")
            }
            section => format!("[{section}]"),
        }
    }
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A time in quotes, in ms from `min` to `max`.
    Time {
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// A whole number.
    Integer {
        /// Least.
        min: u32,
        /// Greatest.
        max: u32,
    },
    /// One of these words, in quotes.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A part of each day in quotes, `HH:MM-HH:MM`.
    Hours,
    /// Text in quotes, not empty.
    Text,
    /// A list of texts, or one text.
    Texts,
    /// An absolute path in quotes.
    Path,
    /// A list of `ADDRESS:PORT`, or one.
    Addresses,
    /// A list of checks over the network, or one.
    Probes,
    /// A table of names and values.
    Parameters,
}

impl Kind {
    /// What to write, for people.
    pub fn syntax(self) -> String {
        match self {
            Self::Time { min, max } => {
                format!("a time in quotes, from {} to {}", native_time(min), native_time(max))
            }
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Choice(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
            Self::Flag => "true or false, without quotes".to_owned(),
            Self::Hours => "a part of the day in quotes, \"02:00-05:00\"".to_owned(),
            Self::Text => "text in quotes".to_owned(),
            Self::Texts => "a list of texts, [\"…\", \"…\"]".to_owned(),
            Self::Path => "an absolute path in quotes".to_owned(),
            Self::Addresses => "a list of addresses, [\"127.0.0.1:80\", \"[::1]:80\"]".to_owned(),
            Self::Probes => "a list: [\"tcp://127.0.0.1:80\", \"http://[::1]:80/up\"]".to_owned(),
            Self::Parameters => "a table, { name = \"value\", … }".to_owned(),
        }
    }
}

pub(super) fn native_time(ms: u64) -> String {
    format!("\"{}\"", duration::display(ms))
}

/// The keys, for an exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented in KEYS")]
pub enum KeyId {
    Msgfmt,
    StartTimeout,
    StopTimeout,
    StatusTimeout,
    KillGrace,
    OfferDelay,
    StopRetries,
    StopRetryDelay,
    AnnounceCount,
    AnnounceInterval,
    MonitorEnabled,
    MonitorInterval,
    MonitorTimeouts,
    MonitorReadyInterval,
    RecoveryRestarts,
    RecoveryWindow,
    RecoveryRetry,
    FailbackStableFor,
    FailbackWindow,
    AddressProbe,
    AddressHold,
    AddressRefresh,
    AddressRestores,
    ResourceMonitor,
    ResourceInterval,
    ResourceRestarts,
    ResourceWarm,
    ResourceProbe,
    GroupAutoFailback,
    GroupStableFor,
    GroupFailbackWindow,
    GroupOnFenceFailure,
    FencingDelay,
    FencingPerHour,
    FencingOnFailure,
    DeviceName,
    DeviceTarget,
    DeviceLevel,
    DeviceAgent,
    DeviceExternal,
    DeviceStonith,
    DeviceSsh,
    DeviceNull,
    DeviceTimeout,
    DeviceRetries,
    DeviceParameters,
    WatchdogDevice,
    WatchdogTimeout,
    WatchdogRebootWhenStuck,
    WatchdogSuicideWhenIsolated,
    WitnessEtcd,
    WitnessKey,
    WitnessFile,
    WitnessLease,
    WitnessTimeout,
    RecordFile,
    RecordSize,
    ServeListen,
    ServeTokenFile,
    ServeCertFile,
    ServeKeyFile,
    ServeInsecure,
    Notify(NotifyKey),
}

/// All keys of hb.toml. Sections `resource` and `group` have a name (`[resource."nginx"]`), and
/// `fencing.device` and the channels of `notify` may stand several times (`[[fencing.device]]`).
pub const KEYS: &[NativeKey] =
    &joined::<_, _, { table::ROWS.len() + notify::ROWS.len() }>(table::ROWS, notify::ROWS);

/// Both, one after the other.
const fn joined<const A: usize, const B: usize, const N: usize>(
    first: [NativeKey; A],
    second: [NativeKey; B],
) -> [NativeKey; N] {
    let mut all = [first[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < A { first[index] } else { second[index - A] };
        index += 1;
    }
    all
}

/// The key of `name`, which is `key` or `section.key`.
pub fn find(name: &str) -> Option<&'static NativeKey> {
    KEYS.iter().find(|key| match name.rsplit_once('.') {
        Some((section, rest)) => key.section == section && key.name == rest,
        None => key.name == name,
    })
}

/// The section that a key belongs to.
pub fn section_of(name: &str) -> Option<&'static str> {
    find(name).map(|key| key.section)
}
