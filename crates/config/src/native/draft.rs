//! What hb.toml has said so far: values go to their place in [`Native`], with the places in the file
//! that later findings need. What belongs together is put together in [`Draft::finish`].

use std::collections::BTreeMap;

use super::keys::KeyId;
use super::notify::NotifyDraft;
use super::values::{Item, day_window};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::duration;
use crate::settings::{
    Companions, FenceDevice, FenceFailure, FenceKind, Fencing, Framing, GroupOptions, Native,
    NodeName, RECORD_MIB_DEFAULT, Record, ResourceOptions, Secret, Watchdog, Witness, WitnessKind,
};
use crate::span::{Span, Spanned};

/// Where a value belongs when its section may stand more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A section that stands once.
    Plain,
    /// `[resource."TEXT"]`
    Resource(String),
    /// `[group."KEY"]`
    Group(String),
    /// The device of this index.
    Device(usize),
    /// The channel of `[notify]` of this index.
    Channel(usize),
}

/// Places in hb.toml, for findings between files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Names of `[resource."TEXT"]`.
    pub resources: Vec<Spanned<String>>,
    /// Names of `[group."KEY"]`.
    pub groups: Vec<Spanned<String>>,
    /// Resources that are warm, where they are called so.
    pub warm: Vec<Spanned<String>>,
    /// Targets of fence devices.
    pub targets: Vec<Spanned<NodeName>>,
    /// `[fencing]`
    pub fencing: Option<Span>,
    /// The lease of the witness.
    pub lease: Option<Spanned<u64>>,
    /// The key in etcd was written.
    pub has_key: bool,
    /// Values that may be passwords were written here.
    pub secrets: Option<Span>,
}

/// All that hb.toml says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What the node acts on.
    pub native: Native,
    /// Where that stands.
    pub places: Places,
    /// What the programs beside the daemon act on.
    pub companions: Companions,
}

#[derive(Debug)]
struct Device {
    at: Span,
    name: Option<String>,
    target: Option<NodeName>,
    level: u8,
    kinds: Vec<FenceKind>,
    timeout_ms: u64,
    retries_max: u32,
    parameters: BTreeMap<String, Secret>,
}

#[derive(Debug, Default)]
struct WitnessDraft {
    at: Option<Span>,
    etcd: Option<Vec<String>>,
    key: Option<String>,
    file: Option<String>,
    timeout_ms: Option<u64>,
}

#[derive(Debug, Default)]
struct RecordDraft {
    file: Option<String>,
    mib: Option<u64>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) native: Native,
    pub(super) places: Places,
    pub(super) notify: NotifyDraft,
    companions: Companions,
    devices: Vec<Device>,
    witness: WitnessDraft,
    record: RecordDraft,
    /// Where `kill_grace` stands.
    grace: Option<Span>,
    /// Where `[serve]` begins.
    serve: Option<Span>,
}

impl Draft {
    /// `[[fencing.device]]` begins; its index.
    pub(super) fn begin_device(&mut self, at: Span) -> usize {
        self.devices.push(Device {
            at,
            name: None,
            target: None,
            level: 1,
            kinds: Vec::new(),
            timeout_ms: 60_000,
            retries_max: 1,
            parameters: BTreeMap::new(),
        });
        self.devices.len() - 1
    }

    /// A section that stands once begins.
    pub(super) fn begin(&mut self, section: &str, at: Span) {
        match section {
            "fencing" => {
                self.places.fencing = Some(at);
                self.fencing();
            }
            "watchdog" => {
                self.watchdog();
            }
            "witness" => self.witness.at = Some(at),
            "serve" => self.serve = Some(at),
            "notify" => self.notify.begin(at),
            _ => {}
        }
    }

    fn fencing(&mut self) -> &mut Fencing {
        self.native.fencing.get_or_insert_with(Fencing::default)
    }

    fn watchdog(&mut self) -> &mut Watchdog {
        self.native.watchdog.get_or_insert_with(|| Watchdog::of("/dev/watchdog"))
    }

    /// Puts a value in its place.
    pub(super) fn put(&mut self, scope: &Scope, id: KeyId, item: Item, span: Span) {
        match (scope, item) {
            (Scope::Resource(text), item) => self.put_resource(text, id, item, span),
            (Scope::Group(key), Item::Number(number)) => {
                put_group(self.native.groups.entry(key.clone()).or_default(), id, number);
            }
            (Scope::Device(index), item) => self.put_device(*index, id, item, span),
            (Scope::Channel(index), item) => {
                if let KeyId::Notify(key) = id {
                    self.notify.put_channel(*index, key, item, span);
                }
            }
            (Scope::Plain, Item::Number(number)) => self.put_number(id, number, span),
            (Scope::Plain, Item::Text(text)) => self.put_text(id, text),
            (Scope::Plain, Item::Texts(texts)) => self.witness.etcd = Some(texts),
            (Scope::Plain, Item::Addresses(listen)) => self.companions.serve.listen = listen,
            // No such key has such a kind.
            (Scope::Group(_), _) | (Scope::Plain, Item::Probes(_) | Item::Parameters(_)) => {}
        }
    }

    fn put_number(&mut self, id: KeyId, number: u64, span: Span) {
        let native = &mut self.native;
        // Counts are small by their ranges.
        let count = u32::try_from(number).unwrap_or(u32::MAX);
        let flag = number != 0;
        match id {
            KeyId::Msgfmt => {
                native.framing = if number == 0 { Framing::Netstring } else { Framing::Classic };
            }
            KeyId::StartTimeout => native.operations.start_timeout_ms = number,
            KeyId::StopTimeout => native.operations.stop_timeout_ms = number,
            KeyId::StatusTimeout => native.operations.status_timeout_ms = number,
            KeyId::KillGrace => {
                native.operations.kill_grace_ms = number;
                self.grace = Some(span);
            }
            KeyId::OfferDelay => native.failure.offer_delay_ms = number,
            KeyId::StopRetries => native.failure.stop_retries_max = count,
            KeyId::StopRetryDelay => native.failure.stop_retry_delay_ms = number,
            KeyId::AnnounceCount => native.announce.count = count,
            KeyId::AnnounceInterval => native.announce.interval_ms = number,
            KeyId::MonitorEnabled => native.monitor.enabled = flag,
            KeyId::MonitorInterval => native.monitor.interval_ms = number,
            KeyId::MonitorTimeouts => native.monitor.timeouts_max = count,
            KeyId::MonitorReadyInterval => native.monitor.ready_interval_ms = number,
            KeyId::RecoveryRestarts => native.recovery.restarts_max = count,
            KeyId::RecoveryWindow => native.recovery.window_ms = number,
            KeyId::RecoveryRetry => native.recovery.retry_ms = number,
            KeyId::FailbackStableFor => native.failback.stable_for_ms = Some(number),
            KeyId::FailbackWindow => native.failback.window = Some(day_window(number)),
            KeyId::AddressProbe => native.address.probe_ms = number,
            KeyId::AddressHold => native.address.hold_ms = number,
            KeyId::AddressRefresh => native.address.refresh_ms = number,
            KeyId::AddressRestores => native.address.restores_max = count,
            KeyId::FencingDelay => self.fencing().delay_ms = number,
            KeyId::FencingPerHour => self.fencing().per_hour_max = count,
            KeyId::FencingOnFailure => self.fencing().on_failure = fence_failure(number),
            KeyId::WatchdogTimeout => self.watchdog().timeout_ms = number,
            KeyId::WatchdogRebootWhenStuck => self.watchdog().reboot_when_stuck = flag,
            KeyId::WatchdogSuicideWhenIsolated => self.watchdog().suicide_when_isolated = flag,
            KeyId::WitnessLease => self.places.lease = Some(Spanned::new(number, span)),
            KeyId::WitnessTimeout => self.witness.timeout_ms = Some(number),
            KeyId::RecordSize => self.record.mib = Some(number),
            KeyId::ServeInsecure => self.companions.serve.insecure = flag,
            KeyId::Notify(key) => self.notify.put(key, number),
            KeyId::ResourceMonitor
            | KeyId::ResourceInterval
            | KeyId::ResourceRestarts
            | KeyId::ResourceWarm
            | KeyId::ResourceProbe
            | KeyId::GroupAutoFailback
            | KeyId::GroupStableFor
            | KeyId::GroupFailbackWindow
            | KeyId::GroupOnFenceFailure
            | KeyId::DeviceName
            | KeyId::DeviceTarget
            | KeyId::DeviceLevel
            | KeyId::DeviceAgent
            | KeyId::DeviceExternal
            | KeyId::DeviceStonith
            | KeyId::DeviceSsh
            | KeyId::DeviceNull
            | KeyId::DeviceTimeout
            | KeyId::DeviceRetries
            | KeyId::DeviceParameters
            | KeyId::WatchdogDevice
            | KeyId::WitnessEtcd
            | KeyId::WitnessKey
            | KeyId::WitnessFile
            | KeyId::RecordFile
            | KeyId::ServeListen
            | KeyId::ServeTokenFile
            | KeyId::ServeCertFile
            | KeyId::ServeKeyFile => {}
        }
    }

    fn put_text(&mut self, id: KeyId, text: String) {
        match (id, text) {
            (KeyId::WatchdogDevice, text) => self.watchdog().device = text,
            (KeyId::WitnessKey, text) => self.witness.key = Some(text),
            (KeyId::WitnessFile, text) => self.witness.file = Some(text),
            (KeyId::RecordFile, text) => self.record.file = Some(text),
            (KeyId::ServeTokenFile, text) => self.companions.serve.token_file = Some(text),
            (KeyId::ServeCertFile, text) => self.companions.serve.cert_file = Some(text),
            (KeyId::ServeKeyFile, text) => self.companions.serve.key_file = Some(text),
            // The table gives no other key this kind.
            _ => {}
        }
    }

    fn put_resource(&mut self, text: &str, id: KeyId, item: Item, span: Span) {
        let options: &mut ResourceOptions =
            self.native.resources.entry(text.to_owned()).or_default();
        match (id, item) {
            (KeyId::ResourceMonitor, Item::Number(flag)) => options.monitor = Some(flag != 0),
            (KeyId::ResourceInterval, Item::Number(ms)) => options.interval_ms = Some(ms),
            (KeyId::ResourceRestarts, Item::Number(count)) => {
                options.restarts_max = u32::try_from(count).ok();
            }
            (KeyId::ResourceWarm, Item::Number(flag)) => {
                options.warm = flag != 0;
                if options.warm {
                    self.places.warm.push(Spanned::new(text.to_owned(), span));
                }
            }
            (KeyId::ResourceProbe, Item::Probes(probes)) => options.probes = probes,
            _ => {}
        }
    }

    fn put_device(&mut self, index: usize, id: KeyId, item: Item, span: Span) {
        let Some(device) = self.devices.get_mut(index) else { return };
        match (id, item) {
            (KeyId::DeviceName, Item::Text(text)) => device.name = Some(text),
            (KeyId::DeviceTarget, Item::Text(text)) => {
                let target = NodeName::new(&text);
                self.places.targets.push(Spanned::new(target.clone(), span));
                device.target = Some(target);
            }
            (KeyId::DeviceLevel, Item::Number(level)) => {
                device.level = u8::try_from(level).unwrap_or(1);
            }
            (KeyId::DeviceAgent, Item::Text(program)) => {
                device.kinds.push(FenceKind::Agent { program });
            }
            (KeyId::DeviceExternal, Item::Text(plugin)) => {
                device.kinds.push(FenceKind::External { plugin });
            }
            (KeyId::DeviceStonith, Item::Text(kind)) => {
                device.kinds.push(FenceKind::Stonith { kind });
            }
            (KeyId::DeviceSsh, Item::Number(1)) => device.kinds.push(FenceKind::Ssh),
            (KeyId::DeviceNull, Item::Number(1)) => device.kinds.push(FenceKind::Null),
            (KeyId::DeviceTimeout, Item::Number(ms)) => device.timeout_ms = ms,
            (KeyId::DeviceRetries, Item::Number(count)) => {
                device.retries_max = u32::try_from(count).unwrap_or(1);
            }
            (KeyId::DeviceParameters, Item::Parameters(parameters)) => {
                self.places.secrets.get_or_insert(span);
                device.parameters = parameters;
            }
            _ => {}
        }
    }

    /// What is only known when all is read.
    pub(super) fn finish(mut self, sink: &mut Sink) -> Parsed {
        self.check_grace(sink);
        self.check_serve(sink);
        for (index, device) in std::mem::take(&mut self.devices).into_iter().enumerate() {
            if let Some(device) = finish_device(device, index, sink) {
                self.fencing().devices.push(device);
            }
        }
        self.finish_witness(sink);
        let RecordDraft { file, mib } = std::mem::take(&mut self.record);
        let mib = mib.unwrap_or(RECORD_MIB_DEFAULT);
        self.native.record = file.map(|file| Record { file, size: mib * 1024 * 1024 });
        self.companions.notify = std::mem::take(&mut self.notify).finish(sink);
        Parsed { native: self.native, places: self.places, companions: self.companions }
    }

    fn finish_witness(&mut self, sink: &mut Sink) {
        let draft = std::mem::take(&mut self.witness);
        let Some(at) = draft.at else { return };
        self.places.has_key = draft.key.is_some();
        let kind = match (draft.etcd, draft.file) {
            (Some(endpoints), None) => {
                let key = draft.key.unwrap_or_default();
                WitnessKind::Etcd { endpoints, key }
            }
            (None, Some(path)) => WitnessKind::File { path },
            (None, None) | (Some(_), Some(_)) => {
                sink.push(
                    Diagnostic::new(Code::WitnessKind, "[witness] has none or both of its kinds")
                        .at(at, "a witness is etcd or a file")
                        .help("write `etcd = [\"http://HOST:2379\"]` or `file = \"/PATH\"`"),
                );
                return;
            }
        };
        // 0 stands for half of deadtime, which is known when ha.cf was read.
        let lease_ms = self.places.lease.as_ref().map_or(0, |lease| lease.value);
        let timeout_ms = draft.timeout_ms.unwrap_or(1_000);
        self.native.witness = Some(Witness { kind, lease_ms, timeout_ms });
    }

    fn check_serve(&self, sink: &mut Sink) {
        let (Some(at), Some(refusal)) = (self.serve, self.companions.serve.refusal()) else {
            return;
        };
        sink.push(
            Diagnostic::new(Code::ServeOpen, format!("hb serve would not start: {refusal}"))
                .at(at, "this section")
                .help("`hb explain HB0516` tells more"),
        );
    }

    fn check_grace(&mut self, sink: &mut Sink) {
        let operations = self.native.operations;
        let shortest = operations
            .start_timeout_ms
            .min(operations.stop_timeout_ms)
            .min(operations.status_timeout_ms);
        let Some(span) = self.grace.filter(|_| operations.kill_grace_ms >= shortest) else {
            return;
        };
        sink.push(
            Diagnostic::new(
                Code::GraceTooLong,
                format!(
                    "kill_grace of {} is not shorter than the shortest timeout, {}",
                    duration::display(operations.kill_grace_ms),
                    duration::display(shortest)
                ),
            )
            .at(span, "time between TERM and KILL")
            .help("a few seconds are enough"),
        );
    }
}

fn put_group(options: &mut GroupOptions, id: KeyId, number: u64) {
    match (id, number) {
        (KeyId::GroupAutoFailback, flag) => options.auto_failback = Some(flag != 0),
        (KeyId::GroupStableFor, ms) => options.stable_for_ms = Some(ms),
        (KeyId::GroupFailbackWindow, hours) => {
            options.failback_window = Some(day_window(hours));
        }
        (KeyId::GroupOnFenceFailure, word) => options.on_fence_failure = Some(fence_failure(word)),
        // No other key stands in this section.
        _ => {}
    }
}

fn fence_failure(word: u64) -> FenceFailure {
    if word == 0 { FenceFailure::Wait } else { FenceFailure::Takeover }
}

fn finish_device(draft: Device, index: usize, sink: &mut Sink) -> Option<FenceDevice> {
    let [kind] = <[FenceKind; 1]>::try_from(draft.kinds)
        .map_err(|kinds| {
            let text = match kinds.len() {
                0 => "a fence device without a kind",
                _ => "a fence device with more than one kind",
            };
            sink.push(
                Diagnostic::new(Code::DeviceKind, text)
                    .at(draft.at, "this device")
                    .help("write one of agent, external, stonith, ssh and null"),
            );
        })
        .ok()?;
    if kind == FenceKind::Null {
        sink.push(
            Diagnostic::new(Code::NullFencing, "this device fences nothing")
                .at(draft.at, "`null` reports success without doing anything")
                .help("use it in tests only; remove it from a cluster that serves"),
        );
    }
    let word = match &kind {
        FenceKind::Agent { program: word }
        | FenceKind::External { plugin: word }
        | FenceKind::Stonith { kind: word } => word.clone(),
        FenceKind::Ssh => "ssh".to_owned(),
        FenceKind::Null => "null".to_owned(),
    };
    Some(FenceDevice {
        name: draft.name.unwrap_or_else(|| format!("{word}-{}", index + 1)),
        target: draft.target,
        level: draft.level,
        kind,
        parameters: draft.parameters,
        timeout_ms: draft.timeout_ms,
        retries_max: draft.retries_max,
    })
}
