//! The rows of the table of keys that the daemon acts on. Texts and ranges only.

use super::{KeyId, Kind, NativeKey};
use crate::settings::{RECORD_MIB_MAX, RECORD_MIB_MIN};

const DAY_MS: u64 = 24 * 3600 * 1000;
const TIMEOUT: Kind = Kind::Time { min: 100, max: DAY_MS };

const FENCE_FAILURE: &[&str] = &["wait", "takeover"];

/// The rows.
pub(super) const ROWS: [NativeKey; 62] = [
    NativeKey {
        id: KeyId::Msgfmt,
        section: "compatibility",
        name: "msgfmt",
        kind: Kind::Choice(&["netstring", "classic"]),
        default: "netstring",
        doc: "Framing of sent packets; both are always received. `netstring` is what 3.0.6 sends. \
              `classic` lets keys be changed one node after the other with a 3.0.6 peer.",
    },
    NativeKey {
        id: KeyId::StartTimeout,
        section: "operations",
        name: "start_timeout",
        kind: TIMEOUT,
        default: "60s",
        doc: "How long a resource may take to start. After it the script is ended and the start \
              counts as failed. Heartbeat 3.0.6 waits for ever.",
    },
    NativeKey {
        id: KeyId::StopTimeout,
        section: "operations",
        name: "stop_timeout",
        kind: TIMEOUT,
        default: "60s",
        doc: "How long a resource may take to stop before the stop counts as failed.",
    },
    NativeKey {
        id: KeyId::StatusTimeout,
        section: "operations",
        name: "status_timeout",
        kind: TIMEOUT,
        default: "20s",
        doc: "How long a question for the status of a resource may take.",
    },
    NativeKey {
        id: KeyId::KillGrace,
        section: "operations",
        name: "kill_grace",
        kind: Kind::Time { min: 10, max: 3_600_000 },
        default: "2s",
        doc: "Time between TERM and KILL for a script that exceeded its limit.",
    },
    NativeKey {
        id: KeyId::OfferDelay,
        section: "failure",
        name: "offer_delay",
        kind: Kind::Time { min: 0, max: DAY_MS },
        default: "30s",
        doc: "How long a group that could not be started stays down before it is offered to the \
              peer.",
    },
    NativeKey {
        id: KeyId::StopRetries,
        section: "failure",
        name: "stop_retries",
        kind: Kind::Integer { min: 0, max: 1000 },
        default: "10",
        doc: "How often a failed stop is repeated before it is escalated.",
    },
    NativeKey {
        id: KeyId::StopRetryDelay,
        section: "failure",
        name: "stop_retry_delay",
        kind: Kind::Time { min: 10, max: 3_600_000 },
        default: "1s",
        doc: "Delay between repeated stops.",
    },
    NativeKey {
        id: KeyId::AnnounceCount,
        section: "announce",
        name: "count",
        kind: Kind::Integer { min: 1, max: 100 },
        default: "5",
        doc: "How often a moved address is announced (gratuitous ARP, unsolicited neighbour \
              advertisement); the first time at once.",
    },
    NativeKey {
        id: KeyId::AnnounceInterval,
        section: "announce",
        name: "interval",
        kind: Kind::Time { min: 10, max: 60_000 },
        default: "200ms",
        doc: "Delay between announcements.",
    },
    NativeKey {
        id: KeyId::MonitorEnabled,
        section: "monitor",
        name: "enabled",
        kind: Kind::Flag,
        default: "true",
        doc: "Whether started resources are watched. Heartbeat 3.0.6 never looks at a resource \
              again.",
    },
    NativeKey {
        id: KeyId::MonitorInterval,
        section: "monitor",
        name: "interval",
        kind: Kind::Time { min: 100, max: DAY_MS },
        default: "10s",
        doc: "Time between two checks of one resource. What the kernel tells (a process died, \
              an address went away) leads to a check at once.",
    },
    NativeKey {
        id: KeyId::MonitorTimeouts,
        section: "monitor",
        name: "timeouts",
        kind: Kind::Integer { min: 1, max: 100 },
        default: "2",
        doc: "How many checks in a row may fail to end in time before that counts as a failure \
              of the resource.",
    },
    NativeKey {
        id: KeyId::MonitorReadyInterval,
        section: "monitor",
        name: "ready_interval",
        kind: Kind::Time { min: 1_000, max: DAY_MS },
        default: "60s",
        doc: "Time between two looks at whether a group that is not held here could be: agents \
              present, configuration of the service valid.",
    },
    NativeKey {
        id: KeyId::RecoveryRestarts,
        section: "recovery",
        name: "restarts",
        kind: Kind::Integer { min: 0, max: 1000 },
        default: "3",
        doc: "How often a failed resource is restarted in place within the window before its \
              group moves. 0: the group moves at once.",
    },
    NativeKey {
        id: KeyId::RecoveryWindow,
        section: "recovery",
        name: "window",
        kind: Kind::Time { min: 1_000, max: DAY_MS },
        default: "10m",
        doc: "After this time without a failure, the failures of a resource are forgotten.",
    },
    NativeKey {
        id: KeyId::RecoveryRetry,
        section: "recovery",
        name: "retry",
        kind: Kind::Time { min: 1_000, max: DAY_MS },
        default: "60s",
        doc: "A group that failed on both nodes is tried again after this time.",
    },
    NativeKey {
        id: KeyId::FailbackStableFor,
        section: "failback",
        name: "stable_for",
        kind: Kind::Time { min: 0, max: DAY_MS },
        default: "",
        doc: "How long a node must be back, settled and ready before its groups go home to it \
              under `auto_failback on`. The default is twice deadtime. Each return within the \
              last hour doubles it. With a Heartbeat 3.0.6 peer groups go home at once.",
    },
    NativeKey {
        id: KeyId::FailbackWindow,
        section: "failback",
        name: "window",
        kind: Kind::Hours,
        default: "",
        doc: "At which time of day groups go home by themselves, by the local clock of the node \
              that has them. `22:00-04:00` goes over midnight. A time that the clock skips in \
              spring is left out that night. Commands are not bound to it.",
    },
    NativeKey {
        id: KeyId::AddressProbe,
        section: "address",
        name: "probe",
        kind: Kind::Time { min: 0, max: 300 },
        default: "50ms",
        doc: "How long the network is asked whether another host has an address, before it is \
              added. 0: not at all. Not asked when the peer has just said that it released it.",
    },
    NativeKey {
        id: KeyId::AddressHold,
        section: "address",
        name: "hold",
        kind: Kind::Time { min: 0, max: DAY_MS },
        default: "10s",
        doc: "When the peer is silent but its machine still answers for the address, the address is \
              left to it for this long, because the service may well run there. Then it is taken \
              over all the same. An address that any other machine has is never taken.",
    },
    NativeKey {
        id: KeyId::AddressRefresh,
        section: "address",
        name: "refresh",
        kind: Kind::Time { min: 0, max: DAY_MS },
        default: "60s",
        doc: "Time between two announcements of an address that is held, at least a second. 0: \
              none.",
    },
    NativeKey {
        id: KeyId::AddressRestores,
        section: "address",
        name: "restores",
        kind: Kind::Integer { min: 0, max: 1000 },
        default: "10",
        doc: "How often an address that somebody removed is put back within the recovery \
              window before that counts as a failure.",
    },
    NativeKey {
        id: KeyId::ResourceMonitor,
        section: "resource",
        name: "monitor",
        kind: Kind::Flag,
        default: "",
        doc: "Whether this resource is watched, in place of `monitor.enabled`.",
    },
    NativeKey {
        id: KeyId::ResourceInterval,
        section: "resource",
        name: "interval",
        kind: Kind::Time { min: 100, max: DAY_MS },
        default: "",
        doc: "Time between two checks of this resource, in place of `monitor.interval`.",
    },
    NativeKey {
        id: KeyId::ResourceRestarts,
        section: "resource",
        name: "restarts",
        kind: Kind::Integer { min: 0, max: 1000 },
        default: "",
        doc: "Restarts in place of this resource, in place of `recovery.restarts`.",
    },
    NativeKey {
        id: KeyId::ResourceWarm,
        section: "resource",
        name: "warm",
        kind: Kind::Flag,
        default: "false",
        doc: "Runs on both nodes all the time; only the rest of its group moves. For services \
              such as nginx or haproxy that listen on the floating address (sysctl \
              net.ipv4.ip_nonlocal_bind=1) or on all addresses.",
    },
    NativeKey {
        id: KeyId::ResourceProbe,
        section: "resource",
        name: "probe",
        kind: Kind::Probes,
        default: "",
        doc: "Checks over the network that belong to the check of this resource: \
              `tcp://ADDRESS:PORT` must accept a connection, `http://ADDRESS:PORT/PATH` must \
              answer with a status from 200 to 399. In place of a URL a table says more: \
              `{ url = \"http://127.0.0.1/up\", host = \"www.example.org\", status = \
              \"200-299\", contains = \"ok\", timeout = \"1s\" }`.",
    },
    NativeKey {
        id: KeyId::GroupAutoFailback,
        section: "group",
        name: "auto_failback",
        kind: Kind::Flag,
        default: "",
        doc: "Whether this group goes home, in place of `auto_failback` of ha.cf.",
    },
    NativeKey {
        id: KeyId::GroupStableFor,
        section: "group",
        name: "stable_for",
        kind: Kind::Time { min: 0, max: DAY_MS },
        default: "",
        doc: "In place of `failback.stable_for` for this group.",
    },
    NativeKey {
        id: KeyId::GroupFailbackWindow,
        section: "group",
        name: "failback_window",
        kind: Kind::Hours,
        default: "",
        doc: "In place of `failback.window` for this group.",
    },
    NativeKey {
        id: KeyId::GroupOnFenceFailure,
        section: "group",
        name: "on_fence_failure",
        kind: Kind::Choice(FENCE_FAILURE),
        default: "",
        doc: "In place of `fencing.on_failure` for this group.",
    },
    NativeKey {
        id: KeyId::FencingDelay,
        section: "fencing",
        name: "delay",
        kind: Kind::Time { min: 0, max: 600_000 },
        default: "2s",
        doc: "How long a node that holds nothing waits before it fences, so that of two nodes \
              that shoot at each other the one that serves wins.",
    },
    NativeKey {
        id: KeyId::FencingPerHour,
        section: "fencing",
        name: "per_hour",
        kind: Kind::Integer { min: 1, max: 100 },
        default: "3",
        doc: "How many fences are done within an hour at most. After them a person is asked for.",
    },
    NativeKey {
        id: KeyId::FencingOnFailure,
        section: "fencing",
        name: "on_failure",
        kind: Kind::Choice(FENCE_FAILURE),
        default: "wait",
        doc: "What a fence that failed means: `wait` takes nothing over until the other node \
              is heard again or an operator has confirmed that it is off (`hb fence confirm`); \
              `takeover` goes on all the same, for groups that may be on two nodes without \
              damage.",
    },
    NativeKey {
        id: KeyId::DeviceName,
        section: "fencing.device",
        name: "name",
        kind: Kind::Text,
        default: "",
        doc: "Name of the device in logs and status. The default is made of its kind and number.",
    },
    NativeKey {
        id: KeyId::DeviceTarget,
        section: "fencing.device",
        name: "target",
        kind: Kind::Text,
        default: "",
        doc: "The node that this device switches off. Without it: any.",
    },
    NativeKey {
        id: KeyId::DeviceLevel,
        section: "fencing.device",
        name: "level",
        kind: Kind::Integer { min: 1, max: 9 },
        default: "1",
        doc: "Devices of one level must all succeed; the levels are tried one after the other.",
    },
    NativeKey {
        id: KeyId::DeviceAgent,
        section: "fencing.device",
        name: "agent",
        kind: Kind::Text,
        default: "",
        doc: "A fence agent (`fence_ipmilan`), by file name or path.",
    },
    NativeKey {
        id: KeyId::DeviceExternal,
        section: "fencing.device",
        name: "external",
        kind: Kind::Text,
        default: "",
        doc: "A plugin of cluster-glue below `external/` (`ipmi`), by file name or path.",
    },
    NativeKey {
        id: KeyId::DeviceStonith,
        section: "fencing.device",
        name: "stonith",
        kind: Kind::Text,
        default: "",
        doc: "A device type of the command `stonith` of cluster-glue (`apcsmart`).",
    },
    NativeKey {
        id: KeyId::DeviceSsh,
        section: "fencing.device",
        name: "ssh",
        kind: Kind::Flag,
        default: "false",
        doc: "Switch the node off over ssh. It works only while the node lives: for tests.",
    },
    NativeKey {
        id: KeyId::DeviceNull,
        section: "fencing.device",
        name: "null",
        kind: Kind::Flag,
        default: "false",
        doc: "Does nothing and reports success: for tests only.",
    },
    NativeKey {
        id: KeyId::DeviceTimeout,
        section: "fencing.device",
        name: "timeout",
        kind: Kind::Time { min: 100, max: 3_600_000 },
        default: "60s",
        doc: "Limit of one attempt.",
    },
    NativeKey {
        id: KeyId::DeviceRetries,
        section: "fencing.device",
        name: "retries",
        kind: Kind::Integer { min: 0, max: 100 },
        default: "1",
        doc: "Attempts after the first.",
    },
    NativeKey {
        id: KeyId::DeviceParameters,
        section: "fencing.device",
        name: "parameters",
        kind: Kind::Parameters,
        default: "",
        doc: "Parameters of the agent or plugin: addresses, users, passwords.",
    },
    NativeKey {
        id: KeyId::WatchdogDevice,
        section: "watchdog",
        name: "device",
        kind: Kind::Text,
        default: "",
        doc: "The watchdog device, usually /dev/watchdog. It resets this machine when \
              heartbeat does not feed it.",
    },
    NativeKey {
        id: KeyId::WatchdogTimeout,
        section: "watchdog",
        name: "timeout",
        kind: Kind::Time { min: 5_000, max: 3_600_000 },
        default: "30s",
        doc: "The machine is reset when the watchdog was not fed for this long.",
    },
    NativeKey {
        id: KeyId::WatchdogRebootWhenStuck,
        section: "watchdog",
        name: "reboot_when_stuck",
        kind: Kind::Flag,
        default: "false",
        doc: "When a resource cannot be stopped by any means: reset this machine, so that the \
              other node may take over. Otherwise the group is blocked until somebody has seen \
              to it.",
    },
    NativeKey {
        id: KeyId::WatchdogSuicideWhenIsolated,
        section: "watchdog",
        name: "suicide_when_isolated",
        kind: Kind::Flag,
        default: "false",
        doc: "A node that hears neither its peer nor any ping node resets itself. For shared \
              disks.",
    },
    NativeKey {
        id: KeyId::WitnessEtcd,
        section: "witness",
        name: "etcd",
        kind: Kind::Texts,
        default: "",
        doc: "Endpoints of an etcd cluster, `http://HOST:2379`, that decides which node may go \
              on alone.",
    },
    NativeKey {
        id: KeyId::WitnessKey,
        section: "witness",
        name: "key",
        kind: Kind::Text,
        default: "",
        doc: "The key in etcd; the same on both nodes. The default is `/twinbeat/CLUSTER`.",
    },
    NativeKey {
        id: KeyId::WitnessFile,
        section: "witness",
        name: "file",
        kind: Kind::Text,
        default: "",
        doc: "A file on storage that both nodes mount, in place of etcd.",
    },
    NativeKey {
        id: KeyId::WitnessLease,
        section: "witness",
        name: "lease",
        kind: Kind::Time { min: 1_000, max: 3_600_000 },
        default: "",
        doc: "For how long the right to go on alone is given; less than deadtime. The default \
              is half of deadtime.",
    },
    NativeKey {
        id: KeyId::WitnessTimeout,
        section: "witness",
        name: "timeout",
        kind: Kind::Time { min: 100, max: 60_000 },
        default: "1s",
        doc: "Limit of one question to the witness.",
    },
    NativeKey {
        id: KeyId::RecordFile,
        section: "record",
        name: "file",
        kind: Kind::Text,
        default: "",
        doc: "Record what the daemon is told and decides in this file, so that an incident can be \
              replayed. An absolute path on a local disk; the directory must exist. Keys and \
              passwords are left out. Without it nothing is recorded.",
    },
    NativeKey {
        id: KeyId::RecordSize,
        section: "record",
        name: "size",
        kind: Kind::Integer { min: RECORD_MIB_MIN, max: RECORD_MIB_MAX },
        default: "16",
        doc: "The file never grows beyond this many MiB; the oldest half is overwritten. Some \
              hours of a quiet pair fit into 16.",
    },
    NativeKey {
        id: KeyId::ServeListen,
        section: "serve",
        name: "listen",
        kind: Kind::Addresses,
        default: "[\"127.0.0.1:9694\", \"[::1]:9694\"]",
        doc: "Where `hb serve` shows the status page, metrics and checks. The daemon ignores this \
              section. Another address than loopback needs `token_file`, `cert_file` and \
              `key_file`.",
    },
    NativeKey {
        id: KeyId::ServeTokenFile,
        section: "serve",
        name: "token_file",
        kind: Kind::Path,
        default: "",
        doc: "A file whose only line, of 16 characters at least, is what clients must show: \
              `Authorization: Bearer TOKEN`, or in the form that browsers get. Nobody but root \
              needs to read it.",
    },
    NativeKey {
        id: KeyId::ServeCertFile,
        section: "serve",
        name: "cert_file",
        kind: Kind::Path,
        default: "",
        doc: "The certificate and what signed it, PEM. `systemctl reload hb-serve` reads it again.",
    },
    NativeKey {
        id: KeyId::ServeKeyFile,
        section: "serve",
        name: "key_file",
        kind: Kind::Path,
        default: "",
        doc: "The private key of `cert_file`, PEM.",
    },
    NativeKey {
        id: KeyId::ServeInsecure,
        section: "serve",
        name: "insecure",
        kind: Kind::Flag,
        default: "false",
        doc: "Other addresses than loopback may do without a token and without TLS: anybody who \
              reaches them reads the state of the pair.",
    },
];
