//! What the writer leaves in its file can be replayed, whole, and stays within its size.
#![expect(clippy::disallowed_methods, reason = "reads and writes files of the tests")]

use hb_messaging::fields;
use hb_node::record::{Damage, Entry, Replay, Step};
use hb_sim::setup::{group, pair, timing};

use super::*;

/// Less than hb.toml allows, so that it is soon full.
const SIZE: u64 = 2 * 1024 * 1024;

/// A writer with a small file, and a node that is recorded.
struct Case {
    writer: Writer,
    place: Place,
    node: Node,
    now: Instant,
    recorded: u64,
}

fn settings(file: &std::path::Path) -> Settings {
    let [mut settings, _] = pair(timing(100), &[group("node1", &["www", "nginx"])]);
    let file = file.to_string_lossy().into_owned();
    settings.native.record = Some(Record { file, size: SIZE });
    settings
}

impl Case {
    fn start(settings: &Settings) -> Self {
        let identity = Identity { uuid: [1; 16], generation: 1, seed: 7 };
        let node = Node::new(settings, identity);
        let wanted = settings.native.record.clone().unwrap();
        let mut place = Place::open(&wanted).unwrap();
        let mut writer = Writer {
            recorder: Recorder::new(settings, "1"),
            wanted,
            full: Arc::default(),
            keys: None,
            logger: Logger::to_nobody(),
        };
        let keys = Box::new(node.authenticator().clone());
        let (settings, kept) = (Box::new(settings.clone()), Vec::new());
        let job = Job::Start { settings, identity, keys, kept };
        writer.write(&mut place, job).unwrap();
        let mut case = Self { writer, place, node, now: Instant::ZERO, recorded: 0 };
        case.feed(Input::Start);
        case
    }

    fn feed(&mut self, input: Input) {
        if self.writer.full.swap(false, Ordering::Relaxed) {
            self.snapshot(0, true);
        }
        let mut effects = Vec::new();
        self.node.handle(self.now, input.clone(), &mut effects);
        self.writer.write(&mut self.place, Job::Step { at: self.now, input, effects }).unwrap();
        self.recorded += 1;
    }

    fn snapshot(&mut self, lost: u64, continues: bool) {
        let node = Box::new(self.node.clone());
        let job = Job::Snapshot { node, lost, continues };
        self.writer.write(&mut self.place, job).unwrap();
    }

    /// Lives for so many of its timeouts.
    fn live(&mut self, timeouts: u64) {
        for count in 0..timeouts {
            let Some(next) = self.node.next_timeout() else { return };
            self.now = self.now.max(next);
            self.feed(Input::Timeout);
            if count % 16 == 0 {
                let load = "0.00 0.00 0.00 1/1 1".to_owned();
                self.feed(Input::Environment { unix_s: 1_767_225_600 + count, load });
            }
        }
    }
}

/// Replays `file`; the inputs, the beginnings by a start, and the inputs that were lost.
fn replay(file: &std::path::Path) -> (u64, u64, u64) {
    let bytes = std::fs::read(file).unwrap();
    assert!(bytes.len() as u64 <= SIZE);
    let (entries, damage) = record::read(&bytes).unwrap();
    assert_eq!(damage, None);
    let (mut replay, mut seen) = (Replay::new(), (0, 0, 0));
    for entry in entries {
        let shown = format!("{entry:?}");
        let (step, difference) = replay.take(entry);
        assert_eq!(difference, None, "{}", &shown[..shown.len().min(300)]);
        match step {
            Some(Step::Took { .. }) => seen.0 += 1,
            Some(Step::Begins { start, lost, .. }) => {
                seen.1 += u64::from(start);
                seen.2 += lost;
            }
            None => {}
        }
    }
    seen
}

#[test]
fn the_ring_turns_and_each_bank_continues_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ring");
    let mut case = Case::start(&settings(&file));
    case.live(20);
    assert_eq!(replay(&file), (case.recorded, 1, 0));
    while case.place.number < 2 {
        case.live(500);
    }
    let (inputs, starts, lost) = replay(&file);
    assert!(inputs > 1_000 && inputs < case.recorded, "{inputs} of {}", case.recorded);
    assert_eq!((starts, lost), (0, 0));
}

#[test]
fn a_loss_is_told_and_the_recording_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ring");
    let mut case = Case::start(&settings(&file));
    case.live(20);
    let before = case.recorded;
    let mut effects = Vec::new();
    case.now = case.node.next_timeout().unwrap();
    case.node.handle(case.now, Input::Timeout, &mut effects);
    case.snapshot(1, false);
    case.live(20);
    assert!(case.recorded > before);
    assert_eq!(replay(&file), (case.recorded, 1, 1));
}

#[test]
fn the_last_bank_of_the_daemon_before_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ring");
    let settings = settings(&file);
    let mut first = Case::start(&settings);
    first.live(30);
    let mut second = Case::start(&settings);
    second.live(10);
    assert_eq!(replay(&file), (first.recorded + second.recorded, 2, 0));
    let mut third = Case::start(&settings);
    third.live(5);
    assert_eq!(replay(&file), (second.recorded + third.recorded, 2, 0));
    // Something else in its place is overwritten whole.
    std::fs::write(&file, "x".repeat(5_000_000)).unwrap();
    let fourth = Case::start(&settings);
    assert_eq!(replay(&file), (fourth.recorded, 1, 0));
}

#[test]
fn what_was_changed_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ring");
    let mut case = Case::start(&settings(&file));
    case.live(50);
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    let middle = usize::try_from(case.place.part.used).unwrap() - 40;
    bad[middle] ^= 1;
    let (_, damage) = record::read(&bad).unwrap();
    assert!(matches!(damage, Some(Damage::Damaged { bank: 0, .. })), "{damage:?}");
    assert_eq!(record::read(b"something else").unwrap_err(), Damage::Foreign);
    let (mut entries, _) = record::read(&good).unwrap();
    // Written again without one of the timeouts, which no checksum tells.
    let half = entries.len() / 2;
    let is_timeout = |entry: &Entry| matches!(entry, Entry::Step { input: Input::Timeout, .. });
    let at = half + entries[half..].iter().position(is_timeout).unwrap();
    entries.remove(at);
    let mut replay = Replay::new();
    let differences = entries.into_iter().filter_map(|entry| replay.take(entry).1);
    assert!(differences.count() > 0);
}

#[test]
fn no_key_and_no_password_is_in_the_file() {
    const PASSWORD: &str = "a password of a database";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ring");
    let mut settings = settings(&file);
    settings.keys = hb_sim::setup::keys("the key of the cluster");
    let text = format!("ocf::heartbeat:db::password={PASSWORD}");
    settings.groups[0].key.clone_from(&text);
    settings.groups[0].resources[0].text = text;
    settings.groups[0].resources[0].agent = hb_config::settings::AgentSpec::Ocf {
        provider: "heartbeat".to_owned(),
        kind: "db".to_owned(),
        parameters: vec![("password".to_owned(), PASSWORD.to_owned())],
    };
    let mut case = Case::start(&settings);
    case.live(200);
    case.snapshot(1, false);
    case.live(20);
    let written = std::fs::read(&file).unwrap();
    let holds = |part: &[u8]| written.windows(part.len()).any(|window| window == part);
    for key in settings.keys.keys.values() {
        assert!(!holds(key.secret.expose()), "a key is in the file");
    }
    assert!(!holds(PASSWORD.as_bytes()), "a password is in the file");
    assert!(holds(fields::SRC.as_bytes()) && holds(b"ocf::heartbeat:db::password=****"));
    assert_eq!(replay(&file).0, case.recorded);
}
