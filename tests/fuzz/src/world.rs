//! What the targets share: keys, and the settings of a pair. Everything here is made up; nothing is
//! read from anywhere.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use hb_config::settings::{
    AuthKey, AuthKeys, AuthMethod, FenceDevice, FenceFailure, FenceKind, Fencing, Native, NodeName,
    Secret, Settings, Watchdog, Witness, WitnessKind,
};
use hb_config::span::FileId;
use hb_config::{Files, load};
use hb_messaging::auth::Authenticator;

/// Indices of the keys.
pub(crate) const KEY_INDICES: [u8; 4] = [0, 1, 2, 3];
/// Method and key of each index.
pub(crate) const KEYS: [(AuthMethod, &str); 4] = [
    (AuthMethod::Crc, "no key with crc"),
    (AuthMethod::Sha1, "a key for sha1 of the fuzz targets"),
    (AuthMethod::Md5, "a key for md5 of the fuzz targets"),
    (AuthMethod::Sha256, "a key for sha256 of the fuzz targets"),
];
/// Names of the two nodes.
pub(crate) const NODES: [&str; 2] = ["node1", "node2"];

/// All keys; `active` signs.
pub(crate) fn keys(active: u8) -> AuthKeys {
    let key = |(index, (method, secret)): (u8, (AuthMethod, &str))| {
        (index, AuthKey { method, secret: Secret::new(secret.as_bytes().to_vec()) })
    };
    AuthKeys { active, keys: KEY_INDICES.into_iter().zip(KEYS).map(key).collect() }
}

/// All keys; `active` signs.
pub(crate) fn authenticator(active: u8) -> &'static Authenticator {
    static ALL: OnceLock<Vec<Authenticator>> = OnceLock::new();
    let new = |index| Authenticator::new(&keys(index)).expect("the active key is there");
    let all = ALL.get_or_init(|| KEY_INDICES.map(new).into());
    all.get(usize::from(active)).unwrap_or(&all[1])
}

/// Somebody who has one key, of the method of `index`, under all indices, and it is not ours.
pub(crate) fn stranger(index: u8) -> &'static Authenticator {
    static ALL: OnceLock<Vec<Authenticator>> = OnceLock::new();
    let new = |(method, _)| {
        // crc has no key that one could lack.
        let method = if method == AuthMethod::Crc { AuthMethod::Sha1 } else { method };
        let key = AuthKey { method, secret: Secret::new(b"the key of somebody else".to_vec()) };
        let keys = KEY_INDICES.into_iter().map(|index| (index, key.clone())).collect();
        Authenticator::new(&AuthKeys { active: 1, keys }).expect("the active key is there")
    };
    &ALL.get_or_init(|| KEYS.map(new).into())[usize::from(index)]
}

/// What a byte of settings chooses.
const VARIANTS: usize = 32;

/// Settings of `node1` of a pair, or of a single node: by bits `auto_failback on`, one node only,
/// ipfail with ping nodes, classic framing, all guards.
pub(crate) fn settings(variant: u8) -> &'static Settings {
    static ALL: OnceLock<Vec<Settings>> = OnceLock::new();
    let all = ALL.get_or_init(|| (0..VARIANTS).map(|bits| made(NODES[0], bits)).collect());
    &all[usize::from(variant) % VARIANTS]
}

/// The settings of both nodes of a pair with `auto_failback on`.
pub(crate) fn pair() -> &'static [Settings; 2] {
    static PAIR: OnceLock<[Settings; 2]> = OnceLock::new();
    PAIR.get_or_init(|| NODES.map(|node| made(node, 1)))
}

/// Through the parsers, so that whatever the files can say needs no mention here.
fn made(node: &str, bits: usize) -> Settings {
    let mut cf = "keepalive 200ms\ndeadtime 1\nwarntime 500ms\ninitdead 2\n\
                  bcast eth0\nucast eth1 10.0.0.2\n"
        .to_owned();
    cf += if bits & 1 == 0 { "auto_failback off\n" } else { "auto_failback on\n" };
    cf += if bits & 2 == 0 { "node node1 node2\n" } else { "node node1\n" };
    if bits & 4 != 0 {
        cf += "ping 10.0.0.254\nping_group far 10.0.1.1 10.0.1.2\n\
               respawn hacluster /usr/lib/heartbeat/ipfail\n";
    }
    let mut groups = "node1 192.0.2.1/24/eth2 web db::main\nnode1 single\n".to_owned();
    if bits & 2 == 0 {
        groups += "node2 192.0.2.2/24/eth2 mail\n";
    }
    let mut keys = "auth 1\n".to_owned();
    for (index, (method, secret)) in KEY_INDICES.into_iter().zip(KEYS) {
        let secret = if method == AuthMethod::Crc { "" } else { secret };
        keys += &format!("{index} {} {}\n", method.word(), secret.replace(' ', "-"));
    }
    let msgfmt = if bits & 8 == 0 { "netstring" } else { "classic" };
    let native = format!(
        "[compatibility]\nmsgfmt = \"{msgfmt}\"\n\
         [failure]\nstop_retries = 2\noffer_delay = \"5s\"\n"
    );
    let mut files = Files::missing_in("/etc/ha.d");
    for (id, text) in [
        (FileId::HaCf, &*cf),
        (FileId::HaResources, &*groups),
        (FileId::AuthKeys, &*keys),
        (FileId::Native, &*native),
    ] {
        files.set(id, text.as_bytes(), Some(0o600));
    }
    let loaded = load(&files, Some(&NodeName::new(node)));
    let mut settings = loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    settings.keys = self::keys(1);
    if bits & 16 != 0 {
        guard(&mut settings.native);
    }
    settings
}

/// Everything that watches and guards, at times that an input can let pass.
fn guard(native: &mut Native) {
    native.monitor.interval_ms = 1_000;
    native.monitor.ready_interval_ms = 2_000;
    native.recovery.restarts_max = 1;
    native.recovery.window_ms = 5_000;
    native.recovery.retry_ms = 3_000;
    native.failback.stable_for_ms = Some(1_000);
    native.address.refresh_ms = 2_000;
    let device = |name: &str, level| FenceDevice {
        name: name.to_owned(),
        target: None,
        level,
        kind: FenceKind::Null,
        parameters: BTreeMap::new(),
        timeout_ms: 2_000,
        retries_max: 1,
    };
    native.fencing = Some(Fencing {
        devices: vec![device("switch", 1), device("switch two", 1), device("ssh", 2)],
        delay_ms: 500,
        per_hour_max: 2,
        on_failure: FenceFailure::Wait,
    });
    native.watchdog = Some(Watchdog {
        device: "/dev/watchdog".to_owned(),
        timeout_ms: 3_000,
        reboot_when_stuck: true,
        suicide_when_isolated: true,
    });
    let kind = WitnessKind::File { path: "/shared/witness".to_owned() };
    native.witness = Some(Witness { kind, lease_ms: 700, timeout_ms: 200 });
}
