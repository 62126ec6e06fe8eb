//! Settings of a pair, written by hand: what the files would say, without files.

use std::collections::BTreeMap;

use hb_config::settings::{
    AddressSpec, AgentSpec, AuthKey, AuthKeys, AuthMethod, AutoFailback, BuiltIn, GenerationSource,
    GroupSpec, Logging, Medium, Native, NodeName, ResourceSpec, Secret, Settings, Timing,
    UuidSource,
};

/// Names of the two nodes.
pub const NODES: [&str; 2] = ["node1", "node2"];

/// Heartbeats each `keepalive_ms`, dead after five of them.
pub fn timing(keepalive_ms: u64) -> Timing {
    let deadtime_ms = keepalive_ms * 5;
    Timing {
        keepalive_ms,
        deadtime_ms,
        warntime_ms: deadtime_ms / 2,
        initdead_ms: deadtime_ms * 2,
        deadping_ms: deadtime_ms,
    }
}

/// A group that prefers `node` and consists of scripts of these names and of bare addresses.
pub fn group(node: &str, names: &[&str]) -> GroupSpec {
    GroupSpec {
        key: names.first().copied().unwrap_or_default().to_owned(),
        preferred: NodeName::new(node),
        resources: names.iter().map(|name| resource(name)).collect(),
    }
}

/// A bare address is performed by the daemon itself and started without asking first.
fn resource(name: &str) -> ResourceSpec {
    let address = name.parse().ok().map(|ip| {
        let (prefix_len, interface, label, broadcast) = (Some(24), None, None, None);
        BuiltIn::Address(AddressSpec { ip, prefix_len, interface, label, broadcast })
    });
    let (script, args) = match &address {
        Some(_) => ("IPaddr", vec![name.to_owned()]),
        None => (name, Vec::new()),
    };
    ResourceSpec {
        text: name.to_owned(),
        agent: AgentSpec::Script { name: script.to_owned(), args },
        built_in: address,
    }
}

/// Settings of both nodes: two broadcast links, sha1, `auto_failback on`.
pub fn pair(timing: Timing, groups: &[GroupSpec]) -> [Settings; 2] {
    NODES.map(|node| Settings {
        node: NodeName::new(node),
        nodes: NODES.map(NodeName::new).to_vec(),
        cluster: "web".to_owned(),
        timing,
        media: ["eth0", "eth1"]
            .map(|interface| Medium::Broadcast { interface: interface.to_owned() })
            .to_vec(),
        pings: Vec::new(),
        udp_port: 694,
        auto_failback: AutoFailback::On,
        keys: keys("sim"),
        groups: groups.to_vec(),
        logging: Logging::default(),
        realtime: false,
        realtime_priority: None,
        inner_auth: true,
        hopfudge: 1,
        max_rexmit_delay_ms: 250,
        generation_source: GenerationSource::File,
        uuid_source: UuidSource::File,
        ipfail: false,
        environment: Vec::new(),
        parameters: BTreeMap::new(),
        native: Native::default(),
    })
}

/// A device without parameters.
pub fn no_parameters() -> BTreeMap<String, Secret> {
    BTreeMap::new()
}

/// One sha1 key.
pub fn keys(secret: &str) -> AuthKeys {
    let secret = Secret::new(secret.as_bytes().to_vec());
    AuthKeys {
        active: 1,
        keys: BTreeMap::from([(1, AuthKey { method: AuthMethod::Sha1, secret })]),
    }
}
