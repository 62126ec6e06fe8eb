//! The thread beside a bus and a systemd that this test plays: what is asked, what becomes a hint, and
//! what happens when the bus goes away.
#![expect(clippy::disallowed_types, reason = "zbus's macro keeps properties in a map")]

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use hb_node::input::Input;
use hb_resource::operation::{Action, OpId};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::time::{sleep, timeout};
use zbus::object_server::InterfaceRef;
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Guid, connection, fdo, interface};

use super::*;
use crate::hint::{self, Hints};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(60);
const OBJECT: &str = "/org/freedesktop/systemd1/unit/a_2eservice";

/// What was asked of bus and systemd, in order.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|one| one.starts_with(what)).count()
    }

    async fn wait(&self, what: &str, count: usize) {
        let wait = async {
            while self.count(what) < count {
                sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(timeout(LONG, wait).await.is_ok(), "never: {count} times {what}: {:?}", self.0);
    }
}

struct Bus(Asked);

#[interface(name = "org.freedesktop.DBus")]
impl Bus {
    fn hello(&self) -> String {
        ":1.7".to_owned()
    }

    fn add_match(&self, rule: String) {
        self.0.note(format!("AddMatch {rule}"));
    }

    fn remove_match(&self, rule: String) {
        self.0.note(format!("RemoveMatch {rule}"));
    }
}

struct Manager(Asked);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self) {
        self.0.note("Subscribe".to_owned());
    }

    fn load_unit(&self, name: String) -> fdo::Result<OwnedObjectPath> {
        self.0.note(format!("LoadUnit {name}"));
        match name.as_str() {
            "a.service" | "alias.service" => Ok(OwnedObjectPath::try_from(OBJECT).unwrap()),
            _ => Err(fdo::Error::InvalidArgs("no such unit".to_owned())),
        }
    }
}

struct Unit {
    state: &'static str,
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn active_state(&self) -> &str {
        self.state
    }

    #[zbus(property)]
    fn sub_state(&self) -> &str {
        "whatever"
    }
}

struct Bench {
    _dir: TempDir,
    listener: UnixListener,
    asked: Asked,
    units: Units,
    hints: Hints,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let (sender, hints) = hint::channel();
        let units = Units::start(path, sender);
        Self { _dir: dir, listener, asked: Asked::default(), units, hints }
    }

    /// The next connection, to a systemd whose unit is in `state`.
    async fn connection(&self, state: &'static str) -> Connection {
        let (stream, _) = timeout(LONG, self.listener.accept()).await.unwrap().unwrap();
        connection::Builder::unix_stream(stream)
            .server(Guid::generate())
            .unwrap()
            .p2p()
            .serve_at("/org/freedesktop/DBus", Bus(self.asked.clone()))
            .unwrap()
            .serve_at("/org/freedesktop/systemd1", Manager(self.asked.clone()))
            .unwrap()
            .serve_at(OBJECT, Unit { state })
            .unwrap()
            .build()
            .await
            .unwrap()
    }

    async fn hint(&mut self) -> (String, String) {
        let hint = timeout(LONG, self.hints.recv()).await.expect("a hint");
        let Input::Look { group, resource, evidence, reason } = hint else { panic!("not a hint") };
        assert_eq!((group.as_str(), evidence), ("group", Evidence::UnitInactive));
        (resource, reason)
    }
}

/// What systemd says of the unit from here on.
async fn turns(connection: &Connection, state: &'static str) {
    let unit: InterfaceRef<Unit> = connection.object_server().interface(OBJECT).await.unwrap();
    unit.get_mut().await.state = state;
    let value = unit.get().await;
    value.sub_state_changed(unit.signal_emitter()).await.unwrap();
    value.active_state_changed(unit.signal_emitter()).await.unwrap();
}

/// systemd has executed itself anew, says the bus.
async fn systemd_is_back(connection: &Connection) {
    let arguments = ("org.freedesktop.systemd1", ":1.1", ":1.9");
    let (path, interface) = ("/org/freedesktop/DBus", "org.freedesktop.DBus");
    let none: Option<&str> = None;
    let signal = connection.emit_signal(none, path, interface, "NameOwnerChanged", &arguments);
    signal.await.unwrap();
}

fn operation(unit: &str) -> Operation {
    let agent = AgentSpec::Systemd { unit: unit.into() };
    Operation {
        id: OpId(1),
        group: "group".into(),
        resource: ResourceSpec { text: format!("systemd::{unit}"), agent, built_in: None },
        action: Action::Start,
        timeout: LONG,
        kill: false,
        monitor: false,
        probe: false,
    }
}

fn says(unit: &str, state: &str) -> (String, String) {
    (format!("systemd::{unit}"), format!("systemd says that {unit} is {state}"))
}

#[test]
fn states_that_are_news() {
    for state in ["deactivating", "inactive", "failed", "maintenance", "anything"] {
        assert!(is_news(state), "{state}");
    }
    for state in ["active", "reloading", "refreshing", "activating"] {
        assert!(!is_news(state), "{state}");
    }
}

#[tokio::test]
async fn a_unit_that_stops_is_a_hint_for_each_of_its_resources() {
    let mut bench = Bench::new();
    for unit in ["a.service", "alias.service", "none.service"] {
        bench.units.hear(&operation(unit));
    }
    let connection = bench.connection("active").await;
    bench.asked.wait("AddMatch", 3).await;
    bench.asked.wait("LoadUnit none.service", 1).await;
    for state in ["reloading", "active", "deactivating", "inactive"] {
        turns(&connection, state).await;
    }
    for state in ["deactivating", "inactive"] {
        assert_eq!(bench.hint().await, says("a.service", state));
        assert_eq!(bench.hint().await, says("alias.service", state));
    }
}

#[tokio::test]
async fn what_is_stopped_or_started_here_is_no_news() {
    let mut bench = Bench::new();
    bench.units.hear(&operation("a.service"));
    let connection = bench.connection("active").await;
    bench.asked.wait("AddMatch type='signal',sender='org.freedesktop.systemd1'", 1).await;
    bench.units.leave(&operation("a.service"));
    bench.asked.wait("RemoveMatch", 1).await;
    turns(&connection, "inactive").await;
    // It had stopped before the start was over.
    turns(&connection, "failed").await;
    bench.units.hear(&operation("a.service"));
    assert_eq!(bench.hint().await, says("a.service", "failed"));
    assert_eq!(bench.asked.count("Subscribe"), 1);
}

#[tokio::test]
async fn a_bus_that_goes_away_is_asked_again() {
    let mut bench = Bench::new();
    bench.units.hear(&operation("a.service"));
    let connection = bench.connection("active").await;
    bench.asked.wait("LoadUnit", 1).await;
    drop(connection);
    // It was stopped while nobody listened.
    let connection = bench.connection("inactive").await;
    assert_eq!(bench.hint().await, says("a.service", "inactive"));
    bench.asked.wait("Subscribe", 2).await;
    systemd_is_back(&connection).await;
    bench.asked.wait("Subscribe", 3).await;
    assert_eq!(bench.hint().await, says("a.service", "inactive"));
}

/// A unit whose state is never still does not keep the core checking.
#[tokio::test]
async fn hints_are_bounded_and_nobody_asks_while_no_unit_runs() {
    let mut bench = Bench::new();
    let accepted = timeout(Duration::from_millis(50), bench.listener.accept()).await;
    assert!(accepted.is_err(), "the bus was touched");
    bench.units.hear(&operation("a.service"));
    let connection = bench.connection("active").await;
    bench.asked.wait("LoadUnit", 1).await;
    for _ in 0..30 {
        turns(&connection, "failed").await;
        turns(&connection, "active").await;
    }
    systemd_is_back(&connection).await;
    // All that came before has been read by then.
    bench.asked.wait("Subscribe", 2).await;
    let mut count = 0;
    while let Some(Input::Look { .. }) = bench.hints.recv().now_or_never() {
        count += 1;
    }
    assert_eq!(count, 10);
}
