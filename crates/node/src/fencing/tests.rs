//! Levels, retries, limits, pauses and the hourly limit of fencing, one rule at a time.

use hb_config::settings::{FenceDevice, FenceFailure, FenceKind};

use super::*;

const OWNER: Weight = Weight { owner: true, first: true };
const TIMEOUT_MS: u64 = 5_000;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn device(name: &str, level: u8, retries_max: u32) -> FenceDevice {
    FenceDevice {
        name: name.to_owned(),
        target: None,
        level,
        kind: FenceKind::Null,
        parameters: BTreeMap::new(),
        timeout_ms: TIMEOUT_MS,
        retries_max,
    }
}

fn fencing(devices: &[FenceDevice]) -> Fencing<u32> {
    let config = settings::Fencing {
        devices: devices.to_vec(),
        delay_ms: 2_000,
        per_hour_max: 3,
        on_failure: FenceFailure::Wait,
    };
    Fencing::new(config, NodeName::new("node2"))
}

fn failed() -> Outcome {
    Outcome::Failed { code: Some(1), reason: "no".to_owned() }
}

/// Attempts among effects, each with its device.
fn shots(out: &mut Vec<Effect>) -> Vec<(u64, usize)> {
    let shot = |effect| {
        if let Effect::Fence { attempt, device, action: FenceAction::Fence, .. } = effect {
            Some((attempt, device))
        } else {
            None
        }
    };
    out.drain(..).filter_map(shot).collect()
}

/// Wants a fence at once, answers each attempt in turn, and says which devices were asked.
fn play(fencing: &mut Fencing<u32>, answers: &[Outcome]) -> (Vec<usize>, bool) {
    let (mut out, mut asked, mut done) = (Vec::new(), Vec::new(), false);
    fencing.want(at(1_000), true, OWNER, &mut out);
    for answer in answers {
        let shot = shots(&mut out);
        let [(attempt, device)] = shot[..] else { panic!("{shot:?} after {asked:?}") };
        asked.push(device);
        done = fencing.answer(at(1_000), attempt, answer, &mut out);
    }
    let more = shots(&mut out);
    asked.extend(more.into_iter().map(|(_, device)| device));
    (asked, done)
}

#[test]
fn levels_devices_and_retries_in_their_order() {
    let devices = [device("a", 2, 0), device("b", 1, 1), device("c", 1, 0)];
    let check = |answers: &[Outcome], asked: &[usize], done: bool| {
        assert_eq!(play(&mut fencing(&devices), answers), (asked.to_vec(), done), "{answers:?}");
    };
    use Outcome::{Ok, TimedOut};
    // Both of level 1 must succeed.
    check(&[Ok, Ok], &[1, 2], true);
    check(&[Ok, failed()], &[1, 2, 0], false);
    check(&[failed(), Ok, Ok], &[1, 1, 2], true);
    check(&[failed(), TimedOut], &[1, 1, 0], false);
    check(&[failed(), failed(), Ok], &[1, 1, 0], true);
    check(&[failed(), failed(), failed()], &[1, 1, 0], false);
}

#[test]
fn a_device_of_another_node_is_not_asked() {
    let mut other = device("other", 1, 0);
    other.target = Some(NodeName::new("node1"));
    let mut fencing = fencing(&[other, device("own", 1, 0)]);
    assert_eq!(play(&mut fencing, &[]), (vec![1], false));
}

#[test]
fn without_any_device_it_has_failed() {
    let mut fencing = fencing(&[]);
    assert_eq!(play(&mut fencing, &[]), (vec![], false));
    assert!(fencing.has_failed());
}

#[test]
fn the_owner_goes_first_and_no_two_at_the_same_moment() {
    let weights = [(true, true), (true, false), (false, true), (false, false)];
    let mut delays = Vec::new();
    for (owner, first) in weights {
        let (mut fencing, mut out) = (fencing(&[device("a", 1, 0)]), Vec::new());
        fencing.want(at(1_000), true, Weight { owner, first }, &mut out);
        let due = fencing.due().expect("waits or runs");
        if shots(&mut out).is_empty() {
            fencing.tick(due, &mut out);
            assert_eq!(shots(&mut out).len(), 1);
            delays.push(due - at(1_000));
        } else {
            delays.push(Duration::ZERO);
        }
    }
    assert_eq!(delays, [0, 1_000, 2_000, 3_000].map(Duration::from_millis));
}

#[test]
fn a_peer_that_was_never_seen_is_not_fenced() {
    let (mut fencing, mut out) = (fencing(&[device("a", 1, 0)]), Vec::new());
    for now in [0, 1_000, 9_000_000] {
        fencing.want(at(now), false, OWNER, &mut out);
    }
    let lines = out.iter().filter(|effect| matches!(effect, Effect::Log(_))).count();
    assert_eq!((shots(&mut out), lines, fencing.due()), (vec![], 1, None));
    assert!(fencing.has_failed(), "groups that go on all the same do");
    assert_eq!(fencing.status(false, at(0)).state, "waiting");
}

#[test]
fn a_lost_answer_of_the_edge_is_a_failure() {
    let (mut fencing, mut out) = (fencing(&[device("a", 1, 0)]), Vec::new());
    fencing.want(at(1_000), true, OWNER, &mut out);
    let until = fencing.due().expect("a limit");
    assert_eq!(until, at(1_000 + TIMEOUT_MS) + ANSWER_GRACE);
    fencing.tick(until, &mut out);
    assert!(fencing.has_failed());
}

#[test]
fn failed_rounds_are_repeated_after_growing_pauses() {
    let (mut fencing, mut out) = (fencing(&[device("a", 1, 0)]), Vec::new());
    let mut now = at(1_000);
    let mut pauses = Vec::new();
    fencing.want(now, true, OWNER, &mut out);
    for _ in 0..9 {
        let shot = shots(&mut out);
        assert_eq!(shot.len(), 1);
        fencing.answer(now, shot[0].0, &failed(), &mut out);
        let line = |effect: &Effect| matches!(effect, Effect::Log(line) if line.text.contains("FENCING FAILED"));
        assert!(out.iter().any(line));
        let due = fencing.due().expect("tried again");
        pauses.push((due - now).as_secs());
        now = due;
        assert!(fencing.has_failed());
        fencing.tick(now, &mut out);
        assert!(fencing.has_failed(), "still, while it is tried again");
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
}

#[test]
fn at_most_so_many_within_an_hour() {
    let (mut fencing, mut out) = (fencing(&[device("a", 1, 0)]), Vec::new());
    // What a killed device did is not known: it counts.
    for (now, answer) in [(1_000, Outcome::Ok), (2_000, Outcome::TimedOut), (3_000, Outcome::Ok)] {
        fencing.want(at(now), true, OWNER, &mut out);
        let shot = shots(&mut out);
        fencing.answer(at(now), shot[0].0, &answer, &mut out);
        fencing.stop(&mut out);
    }
    fencing.want(at(4_000), true, OWNER, &mut out);
    assert_eq!((shots(&mut out), fencing.due()), (vec![], Some(at(3_601_000))));
    assert!(fencing.has_failed());
    assert_eq!(fencing.status(false, at(0)).state, "refused");
    fencing.tick(at(3_601_000), &mut out);
    assert_eq!(shots(&mut out).len(), 1);
}

#[test]
fn a_round_that_is_given_up_still_counts_when_it_ends_well() {
    let check = |devices: &[FenceDevice], expect: bool| {
        let (mut fencing, mut out) = (fencing(devices), Vec::new());
        fencing.want(at(1_000), true, OWNER, &mut out);
        fencing.stop(&mut out);
        assert_eq!(fencing.due(), None);
        assert_eq!(fencing.answer(at(2_000), 1, &Outcome::Ok, &mut out), expect);
        assert!(!fencing.answer(at(2_000), 1, &Outcome::Ok, &mut out), "once");
        assert_eq!(fencing.acted.len(), 2);
    };
    check(&[device("a", 1, 0)], true);
    check(&[device("a", 1, 0), device("b", 1, 0)], false);
}

#[test]
fn a_late_answer_counts_when_the_device_may_have_acted() {
    for (answer, counted) in [(Outcome::TimedOut, 1), (Outcome::Ok, 1), (failed(), 0)] {
        let (mut fencing, mut out) = (fencing(&[device("a", 1, 0)]), Vec::new());
        fencing.want(at(1_000), true, OWNER, &mut out);
        fencing.stop(&mut out);
        fencing.answer(at(2_000), 1, &answer, &mut out);
        assert_eq!(fencing.acted.len(), counted, "{answer:?}");
    }
}

#[test]
fn a_test_asks_every_device_and_tells_of_each() {
    let devices = [device("a", 1, 0), device("b", 2, 0)];
    let (mut fencing, mut out) = (fencing(&devices), Vec::new());
    assert!(fencing.test(at(0), 7, &mut out));
    assert!(!fencing.test(at(0), 8, &mut out), "one at a time");
    let asked =
        |effect: &Effect| matches!(effect, Effect::Fence { action: FenceAction::Status, .. });
    assert_eq!(out.iter().filter(|effect| asked(effect)).count(), 2);
    assert!(fencing.take_test_answer(1, &Outcome::Ok));
    assert!(!fencing.take_test_answer(1, &Outcome::Ok));
    assert_eq!(fencing.end_test(at(0)), None);
    assert!(fencing.take_test_answer(2, &failed()));
    let text = "a: ok\nb: failed with exit code 1: no".to_owned();
    assert_eq!(fencing.end_test(at(0)), Some(Tested { client: 7, ok: false, text }));
    // One that never answers does not keep the client waiting.
    assert!(fencing.test(at(0), 9, &mut out));
    assert!(fencing.take_test_answer(3, &Outcome::Ok));
    let until = fencing.due().expect("a limit");
    let tested = fencing.end_test(until).expect("over");
    assert_eq!((tested.client, tested.ok), (9, false));
}

#[test]
fn a_device_that_hangs_is_named_with_its_time() {
    let mut fencing = fencing(&[device("switch", 1, 0)]);
    let mut out = Vec::new();
    fencing.want(at(1_000), true, OWNER, &mut out);
    let status = fencing.status(false, at(4_200));
    assert_eq!(status.state, "fencing");
    let grace = short(Duration::from_millis(TIMEOUT_MS) + ANSWER_GRACE);
    assert_eq!(status.last, Some(format!("switch for 3.2 s, given up after {grace}")));
    let [(attempt, _)] = shots(&mut out)[..] else { panic!("no shot") };
    fencing.answer(at(6_000), attempt, &Outcome::TimedOut, &mut out);
    assert_eq!(fencing.status(false, at(6_000)).state, "failed");
}
