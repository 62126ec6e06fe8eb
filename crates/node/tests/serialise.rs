//! Inputs and effects survive a recording; control lines are what clients write and read.

use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::{AddressSpec, AgentSpec, BuiltIn, ResourceSpec};
use hb_messaging::engine::{LinkId, PingId};
use hb_node::api::{HistoryEntry, Request, RequestLine, Response, ResponseLine, VERSION};
use hb_node::effect::{Effect, Level, LogEvent};
use hb_node::input::{ClientId, Input};
use hb_resource::input::{Holdings, Which};
use hb_resource::operation::{Action, OpId, Operation, Outcome};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("serialises");
    assert!(!text.contains('\n'), "one line for each: {text}");
    let back: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(back, *value);
}

fn operation() -> Operation {
    let address = AddressSpec {
        ip: "192.0.2.7".parse().expect("an address"),
        prefix_len: Some(24),
        interface: Some("eth0".into()),
        label: None,
        broadcast: None,
    };
    Operation {
        id: OpId(9),
        group: "192.0.2.7/24/eth0".into(),
        resource: ResourceSpec {
            text: "192.0.2.7/24/eth0".into(),
            agent: AgentSpec::Script { name: "IPaddr".into(), args: vec!["192.0.2.7".into()] },
            built_in: Some(BuiltIn::Address(address)),
        },
        action: Action::Start,
        timeout: Duration::from_millis(1_500),
        kill: false,
        monitor: false,
        probe: false,
    }
}

fn requests() -> Vec<Request> {
    vec![
        Request::Status,
        Request::History,
        Request::Standby { which: Which::Sets(Holdings::FOREIGN) },
        Request::Takeover { which: Which::Group("www".into()) },
        Request::Cleanup { group: None },
        Request::Cleanup { group: Some("www".into()) },
        Request::Stop,
    ]
}

fn entry() -> HistoryEntry {
    HistoryEntry {
        number: 3,
        unix_s: 1_700_000_000,
        group: "www".into(),
        what: "acquired".into(),
        cause: "peer_dead".into(),
        reason: "node2 is dead".into(),
        elapsed_ms: 44,
        ..HistoryEntry::default()
    }
}

#[test]
fn every_input_survives_a_recording() {
    let client = ClientId(4);
    let outcomes = [
        Outcome::Ok,
        Outcome::NotRunning,
        Outcome::Failed { code: Some(1), reason: "no \"disk\"\n".into() },
        Outcome::TimedOut,
        Outcome::CouldNotRun { reason: "no such script".into() },
    ];
    let mut inputs = vec![
        Input::Environment { unix_s: 1_700_000_000, load: "0.00 0.01 0.05 1/123 4567".into() },
        Input::Left { resources: [("db".to_owned(), "mount::/srv".to_owned())].into() },
        Input::LocalTime { minute: 1_439 },
        Input::Ethernet(vec!["02:00:00:00:00:01".into()]),
        Input::Start,
        Input::Datagram { link: LinkId(1), bytes: vec![0, 255, 10, b'#'] },
        Input::EchoReply { ping: PingId(0), sequence: u16::MAX },
        Input::Link { link: LinkId(0), failure: None },
        Input::Link { link: LinkId(0), failure: Some("Network is down".into()) },
        Input::Timeout,
        Input::ClientName { client, name: "root".into() },
        Input::Clock { unix_ms: 1_700_000_000_123 },
        Input::ClientGone { client },
        Input::Guarded { announced: 3, conflicts: 1 },
        Input::LogHangs(true),
        Input::Rival {
            group: "www".into(),
            resource: "10.0.0.50".into(),
            ethernet: Some("02:00:00:00:00:02".into()),
        },
        Input::Slept { ms: 8_000 },
        Input::Shutdown,
    ];
    inputs.extend(outcomes.map(|outcome| Input::Done { op: OpId(u64::MAX), outcome }));
    inputs.extend(requests().into_iter().map(|request| Input::Request { client, request }));
    inputs.iter().for_each(round_trip);
}

#[test]
fn every_effect_survives_a_recording() {
    let client = ClientId(4);
    let line = LogEvent::new(Level::Warn, "node_dead", "node node2: is dead").with("peer", "node2");
    let effects = [
        Effect::Transmit { link: LinkId(0), bytes: Arc::from(&b"###\n\xff"[..]) },
        Effect::PeerAddress { link: LinkId(1) },
        Effect::PeerEthernet(vec!["02:00:00:00:00:01".into()]),
        Effect::Echo { ping: PingId(1), sequence: 7 },
        Effect::Run(Arc::new(operation())),
        Effect::Reply { client, response: Response::Done { text: "moved".into() } },
        Effect::Reply { client, response: Response::Error { text: "refused".into() } },
        Effect::Reply { client, response: Response::History(vec![entry()]) },
        Effect::Log(line),
        Effect::History(Box::new(entry())),
        Effect::Notify { status: "web: HEALTHY".into() },
        Effect::Exit { code: 0 },
    ];
    effects.iter().for_each(round_trip);
}

#[test]
fn control_lines_read_and_write_as_documented() {
    for request in requests() {
        round_trip(&RequestLine { v: VERSION, id: 7, request });
    }
    let responses = [
        Response::History(vec![entry()]),
        Response::Done { text: "done".into() },
        Response::Error { text: "no".into() },
    ];
    for response in responses {
        round_trip(&ResponseLine { v: VERSION, id: 7, ok: true, response });
    }
    let text = r#"{"v":1,"id":7,"cmd":"standby","which":{"sets":{"local":true,"foreign":false}}}"#;
    let line: RequestLine = serde_json::from_str(text).expect("reads");
    assert_eq!(line.request, Request::Standby { which: Which::Sets(Holdings::LOCAL) });
    let text = r#"{"v":1,"id":8,"cmd":"cleanup"}"#;
    let line: RequestLine = serde_json::from_str(text).expect("reads");
    assert_eq!(line.request, Request::Cleanup { group: None });
}

/// Lines of a history that an earlier version wrote.
#[test]
fn an_entry_of_an_earlier_version_is_read() {
    let old = r#"{"number":3,"unix_s":1700000000,"group":"www","what":"acquired","cause":"peer_dead",
        "reason":"node2 is dead","elapsed_ms":44}"#;
    let read: HistoryEntry = serde_json::from_str(old).expect("reads");
    assert_eq!(read, entry());
    assert_eq!((read.at_ms(), read.is_move()), (1_700_000_000_000, true));
}

#[test]
fn a_status_snapshot_survives_the_socket() {
    let mut world = hb_sim::world::World::new(
        hb_sim::setup::pair(
            hb_sim::setup::timing(100),
            &[hb_sim::setup::group("node1", &["www", "nginx"])],
        ),
        1,
    );
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(5));
    let status = world.status(0).expect("the daemon runs");
    let response = Response::Status(Box::new(status));
    round_trip(&ResponseLine { v: VERSION, id: 1, ok: true, response });
}
