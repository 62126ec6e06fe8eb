//! What speaks against the peer's death, rule by rule, and that nothing but success ends it.

use std::collections::BTreeMap;

use hb_config::settings::{
    self, FenceDevice, FenceKind, GroupOptions, Native, Watchdog, Witness, WitnessKind,
};
use hb_sim::setup;
use proptest::prelude::*;

use super::*;
use crate::effect::FenceAction;

const DEADTIME_MS: u64 = 500;
const NOW: u64 = 100_000;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn doubt(change: impl Fn(&mut Native)) -> Doubt {
    let groups = [setup::group("node1", &["www"]), setup::group("node2", &["10.0.0.7"])];
    let [mut settings, _] = setup::pair(setup::timing(DEADTIME_MS / 5), &groups);
    change(&mut settings.native);
    Doubt::new(&settings).expect("a peer")
}

fn with_fencing(native: &mut Native) {
    let device = FenceDevice {
        name: "switch".to_owned(),
        target: None,
        level: 1,
        kind: FenceKind::Null,
        parameters: BTreeMap::new(),
        timeout_ms: 1_000,
        retries_max: 0,
    };
    let options =
        GroupOptions { on_fence_failure: Some(FenceFailure::Takeover), ..GroupOptions::default() };
    native.groups.insert("10.0.0.7".to_owned(), options);
    native.fencing = Some(settings::Fencing {
        devices: vec![device],
        delay_ms: 2_000,
        per_hour_max: 3,
        on_failure: FenceFailure::Wait,
    });
}

fn with_witness(native: &mut Native) {
    let kind = WitnessKind::File { path: String::new() };
    native.witness = Some(Witness { kind, lease_ms: 300, timeout_ms: 100 });
}

fn with_suicide(native: &mut Native) {
    native.watchdog = Some(Watchdog {
        device: String::new(),
        timeout_ms: 5_000,
        reboot_when_stuck: false,
        suicide_when_isolated: true,
    });
}

/// The peer was verified and heard last a dead time before `NOW`; this node runs something.
fn facts() -> Facts {
    Facts { heard: Some(at(NOW - DEADTIME_MS)), generation: 3, owner: true, ..Facts::default() }
}

fn told(steps: &[Step]) -> Vec<PeerStatus> {
    let status = |step: &Step| if let Step::Tell(status) = step { Some(*status) } else { None };
    steps.iter().filter_map(status).collect()
}

fn levels(steps: &[Step]) -> Vec<Level> {
    let level = |step: &Step| {
        if let Step::Effect(Effect::Log(line)) = step { Some(line.level) } else { None }
    };
    steps.iter().filter_map(level).collect()
}

fn hold(doubt: &Doubt) -> Option<String> {
    doubt.hold().map(|hold| hold.id.to_string())
}

/// The attempt that is asked for.
fn shot(steps: &[Step]) -> Option<u64> {
    steps.iter().find_map(|step| {
        if let Step::Effect(Effect::Fence { attempt, action: FenceAction::Fence, .. }) = step {
            Some(*attempt)
        } else {
            None
        }
    })
}

fn question(steps: &[Step]) -> Option<(u64, bool)> {
    steps.iter().find_map(|step| {
        if let Step::Effect(Effect::Witness { question, acquire }) = step {
            Some((*question, *acquire))
        } else {
            None
        }
    })
}

fn ping(heard: u64) -> Ping {
    Ping { heard: Some(at(heard)), answers: true }
}

#[test]
fn without_anything_against_it_silence_is_death() {
    let mut doubt = doubt(|_| {});
    let steps = doubt.silent(at(NOW), &facts());
    assert_eq!(steps, [Step::Tell(PeerStatus::Dead)]);
    assert_eq!(doubt.weigh(at(NOW + 1), &facts()), []);
    assert_eq!(doubt.due(at(NOW + 1)), None);
}

#[test]
fn packets_that_cannot_be_verified_hold_before_the_first_that_can() {
    let check = |generation, age_ms, expect| {
        let unverified = Some((at(NOW - age_ms), "eth1".to_owned()));
        let facts = Facts { generation, heard: None, unverified, ..facts() };
        let mut doubt = doubt(|_| {});
        let steps = doubt.silent(at(NOW), &facts);
        assert_eq!(told(&steps), [expect], "{generation} {age_ms}");
        (doubt, facts)
    };
    check(0, DEADTIME_MS, PeerStatus::Dead);
    check(3, DEADTIME_MS, PeerStatus::Dead);
    let (mut doubt, mut facts) = check(0, DEADTIME_MS - 1, PeerStatus::Lost);
    let text = &doubt.hold().expect("a reason").text;
    assert!(text.contains("node2") && text.contains("eth1") && text.contains("key mismatch"));
    assert_eq!(doubt.due(at(NOW)), Some(at(NOW + 1)));
    // For as long as they arrive, and then no longer.
    for now in [NOW + 400, NOW + 800, NOW + 3_600_000] {
        facts.unverified = Some((at(now), "eth1".to_owned()));
        assert_eq!(told(&doubt.weigh(at(now), &facts)), []);
    }
    let over = NOW + 3_600_000 + DEADTIME_MS;
    assert_eq!(doubt.due(at(NOW + 3_600_000)), Some(at(over)));
    assert_eq!(told(&doubt.weigh(at(over), &facts)), [PeerStatus::Dead]);
}

/// The number of the question to the peer's machine.
fn asked_machine(steps: &[Step]) -> Option<u16> {
    steps.iter().find_map(|step| {
        if let Step::Effect(Effect::Echo { ping: PingId::PEER, sequence }) = step {
            Some(*sequence)
        } else {
            None
        }
    })
}

#[test]
fn packets_that_cannot_be_verified_any_more_hold_while_the_machine_answers() {
    let mut doubt = doubt(with_fencing);
    let unverified = |now| Some((at(now), "eth1".to_owned()));
    let mut facts = Facts { unverified: unverified(NOW), ..facts() };
    let steps = doubt.silent(at(NOW), &facts);
    let mut question = asked_machine(&steps).expect("its machine is asked");
    assert_eq!((told(&steps), shot(&steps)), (vec![PeerStatus::Lost], None));
    for now in (NOW..NOW + 3_600_000).step_by(100) {
        doubt.machine_answered(at(now + 1), question);
        facts.unverified = unverified(now);
        let steps = doubt.weigh(at(now + 1), &facts);
        assert_eq!((told(&steps), shot(&steps)), (vec![], None), "{now}");
        question = asked_machine(&steps).unwrap_or(question);
    }
    assert!(doubt.hold().is_some_and(|hold| hold.text.contains("its machine answers")));
    // The machine dies, and somebody goes on sending in its name.
    let end = NOW + 3_600_000 + DEADTIME_MS;
    facts.unverified = unverified(end);
    assert!(shot(&doubt.weigh(at(end), &facts)).is_some(), "it is taken for dead");
}

#[test]
fn whoever_sends_in_the_name_of_a_dead_machine_delays_little() {
    let mut doubt = doubt(|_| {});
    let mut facts = Facts { unverified: Some((at(NOW), "eth1".to_owned())), ..facts() };
    let mut now = at(NOW);
    let mut steps = doubt.silent(now, &facts);
    let mut questions = 0;
    while told(&steps) != [PeerStatus::Dead] {
        questions += u32::from(asked_machine(&steps).is_some());
        now = doubt.due(now).expect("it does not wait for ever");
        facts.unverified = Some((now, "eth1".to_owned()));
        steps = doubt.weigh(now, &facts);
    }
    assert_eq!((now, questions), (at(NOW + 500), 4));
    assert_eq!(doubt.due(now), facts.unverified.map(|(at, _)| at + doubt.deadtime()));
}

#[test]
fn a_node_that_is_cut_off_neither_fences_nor_asks_the_witness() {
    let mut doubt = doubt(|native| {
        with_fencing(native);
        with_witness(native);
    });
    let mut facts = Facts { pings: vec![ping(NOW - DEADTIME_MS)], ..facts() };
    let steps = doubt.silent(at(NOW), &facts);
    assert!(steps.contains(&Step::AskPings));
    assert_eq!(
        (told(&steps), shot(&steps), question(&steps)),
        (vec![PeerStatus::Lost], None, None)
    );
    assert_eq!(levels(&steps), [Level::Warn], "an answer may be under way");
    let due = doubt.due(at(NOW)).expect("the answer's time");
    assert_eq!(levels(&doubt.weigh(due, &facts)), [Level::Error]);
    let steps = doubt.weigh(at(NOW + 3_600_000), &facts);
    assert_eq!((steps, hold(&doubt).as_deref()), (vec![], Some("isolated")));
    // Its network is back, and the peer has had its time.
    facts.pings = vec![ping(NOW + 3_600_001)];
    doubt.weigh(at(NOW + 3_600_001), &facts);
    let due = doubt.due(at(NOW + 3_600_001)).expect("the peer's time");
    assert_eq!(question(&doubt.weigh(due, &facts)), Some((1, true)));
}

#[test]
fn maintenance_holds_everything() {
    let mut doubt = doubt(with_fencing);
    let facts = Facts { maintenance: true, ..facts() };
    let steps = doubt.silent(at(NOW), &facts);
    assert_eq!((told(&steps), shot(&steps)), (vec![PeerStatus::Lost], None));
    let facts = Facts { maintenance: false, ..facts };
    assert!(shot(&doubt.weigh(at(NOW + 1), &facts)).is_some());
}

#[test]
fn fenced_and_then_dead() {
    let mut doubt = doubt(with_fencing);
    let steps = doubt.silent(at(NOW), &facts());
    assert_eq!(told(&steps), [PeerStatus::Lost]);
    let attempt = shot(&steps).expect("at once");
    doubt.fence_answer(at(NOW + 90), attempt, &Outcome::Ok, &facts());
    assert_eq!(told(&doubt.weigh(at(NOW + 90), &facts())), [PeerStatus::Dead]);
    assert_eq!(doubt.fencing_status(at(0)).expect("configured").state, "fenced");
}

#[test]
fn a_fence_that_fails_lets_only_those_go_on_that_may() {
    let mut doubt = doubt(with_fencing);
    let attempt = shot(&doubt.silent(at(NOW), &facts())).expect("at once");
    doubt.fence_answer(at(NOW), attempt, &Outcome::TimedOut, &facts());
    let steps = doubt.weigh(at(NOW), &facts());
    assert_eq!(steps, [Step::MayTake(BTreeSet::from(["10.0.0.7".to_owned()]))]);
    assert!(doubt.hold().expect("lost").text.contains("FENCING FAILED"));
    // Heard again: what it may is over.
    let (is_trusted, steps) = doubt.heard(3);
    assert!(is_trusted && steps.contains(&Step::MayTake(BTreeSet::new())));
    assert_eq!(doubt.due(at(NOW)), None);
}

#[test]
fn an_operator_confirms_what_nobody_can_know() {
    let check = |native: fn(&mut Native), facts: Facts| {
        let mut doubt = doubt(native);
        assert_eq!(told(&doubt.silent(at(NOW), &facts)), [PeerStatus::Lost]);
        assert!(doubt.confirm("node1", false).is_err(), "the wrong one");
        assert!(doubt.confirm("node2", true).is_err(), "it is heard");
        assert_eq!(told(&doubt.weigh(at(NOW + 1), &facts)), []);
        assert!(doubt.confirm("Node2", false).is_ok());
        assert_eq!(told(&doubt.weigh(at(NOW + 1), &facts)), [PeerStatus::Dead]);
    };
    check(with_fencing, facts());
    check(with_fencing, Facts { generation: 0, heard: None, ..facts() });
    check(with_witness, facts());
    check(|_| {}, Facts { maintenance: true, ..facts() });
    check(|_| {}, Facts { pings: vec![ping(NOW - DEADTIME_MS)], ..facts() });
}

#[test]
fn a_peer_that_left_in_order_is_not_fenced() {
    let mut doubt = doubt(with_fencing);
    doubt.left();
    let steps = doubt.silent(at(NOW), &facts());
    assert_eq!(steps, [Step::Tell(PeerStatus::Dead)]);
    // The next time it may not have.
    doubt.heard(4);
    assert!(shot(&doubt.silent(at(NOW + 9_000), &Facts { generation: 4, ..facts() })).is_some());
}

#[test]
fn who_speaks_after_it_was_fenced_is_not_believed() {
    let mut doubt = doubt(with_fencing);
    let attempt = shot(&doubt.silent(at(NOW), &facts())).expect("at once");
    doubt.fence_answer(at(NOW), attempt, &Outcome::Ok, &facts());
    doubt.weigh(at(NOW), &facts());
    let (is_trusted, steps) = doubt.heard(3);
    assert!(!is_trusted && doubt.is_distrusted());
    assert_eq!(told(&steps), [PeerStatus::Lost]);
    let (is_trusted, steps) = doubt.heard(3);
    assert_eq!((is_trusted, steps), (false, vec![]), "told once");
    // Silent again: that fence proves nothing of what came after it.
    let spoke = Facts { heard: Some(at(NOW + 1_000)), ..facts() };
    let steps = doubt.silent(at(NOW + 1_500), &spoke);
    assert_eq!((told(&steps), shot(&steps).is_some()), (vec![PeerStatus::Lost], true));
    assert!(doubt.heard(4).0, "it has restarted");
}

#[test]
fn a_late_success_is_a_success() {
    let mut doubt = doubt(with_fencing);
    let attempt = shot(&doubt.silent(at(NOW), &facts())).expect("at once");
    doubt.heard(3);
    let heard = Facts { heard: Some(at(NOW + 10)), ..facts() };
    doubt.fence_answer(at(NOW + 20), attempt, &Outcome::Ok, &heard);
    let steps = doubt.silent(at(NOW + 510), &heard);
    assert_eq!((told(&steps), shot(&steps)), (vec![PeerStatus::Dead], None), "not twice");
}

#[test]
fn the_witness_gives_the_right_and_takes_it_away() {
    let mut doubt = doubt(with_witness);
    let steps = doubt.silent(at(NOW), &facts());
    assert_eq!((told(&steps), question(&steps)), (vec![PeerStatus::Lost], Some((1, true))));
    doubt.witness_answer(at(NOW + 20), 1, WitnessAnswer::Granted);
    assert_eq!(told(&doubt.weigh(at(NOW + 20), &facts())), [PeerStatus::Dead]);
    // The witness cannot be asked any more: nothing further is taken, nothing is given up.
    let due = doubt.due(at(NOW + 20)).expect("a renewal");
    assert_eq!((due, question(&doubt.weigh(due, &facts()))), (at(NOW + 100), Some((2, true))));
    let reason = "no route".to_owned();
    doubt.witness_answer(at(NOW + 110), 2, WitnessAnswer::Unreachable { reason });
    assert_eq!(told(&doubt.weigh(at(NOW + 110), &facts())), []);
    let steps = doubt.weigh(at(NOW + 300), &facts());
    assert_eq!(told(&steps), [PeerStatus::Lost]);
    assert!(!steps.iter().any(|step| matches!(step, Step::Yield(_))));
    // The peer has it: it takes everything.
    doubt.witness_answer(at(NOW + 310), 3, WitnessAnswer::Refused);
    let steps = doubt.weigh(at(NOW + 310), &facts());
    assert!(steps.iter().any(|step| matches!(step, Step::Yield(_))));
    assert_eq!(doubt.weigh(at(NOW + 311), &facts()), [], "once");
}

#[test]
fn who_holds_nothing_lets_the_owner_ask_first_and_has_nothing_to_step_down_from() {
    let mut doubt = doubt(with_witness);
    let facts = Facts { owner: false, ..facts() };
    let steps = doubt.silent(at(NOW), &facts);
    assert_eq!((question(&steps), doubt.due(at(NOW))), (None, Some(at(NOW + 200))));
    assert_eq!(question(&doubt.weigh(at(NOW + 200), &facts)), Some((1, true)));
    doubt.witness_answer(at(NOW + 210), 1, WitnessAnswer::Refused);
    assert_eq!(told(&doubt.weigh(at(NOW + 9_000), &facts)), []);
    let steps = doubt.heard(3).1;
    assert_eq!(question(&steps), Some((3, false)), "a question under way may still be granted");
}

#[test]
fn alone_by_an_orderly_leave_the_right_is_taken_and_not_waited_for() {
    let mut doubt = doubt(with_witness);
    doubt.left();
    let steps = doubt.silent(at(NOW), &facts());
    assert_eq!((told(&steps), question(&steps)), (vec![PeerStatus::Dead], Some((1, true))));
    // The peer's last lease may not have run out: only a refusal that lasts means that it is back.
    for (now, number, steps_down) in [(NOW, 1, false), (NOW + 290, 2, false), (NOW + 301, 3, true)]
    {
        doubt.witness_answer(at(now), number, WitnessAnswer::Refused);
        let steps = doubt.weigh(at(now + 1), &facts());
        let found = steps.iter().any(|step| matches!(step, Step::Yield(_)));
        assert_eq!(found, steps_down, "{now}");
    }
}

#[test]
fn a_node_ends_itself_only_when_it_was_told_to_and_hears_nobody() {
    let check = |native: fn(&mut Native), facts: &Facts, expect: bool| {
        let mut doubt = doubt(native);
        doubt.silent(at(NOW), facts);
        let limit = NOW + DEADTIME_MS * u64::from(SUICIDE_DEADTIMES);
        let bites = |step: &Step| matches!(step, Step::Bite(_));
        assert!(!doubt.weigh(at(limit - 1), facts).iter().any(bites));
        let steps = doubt.weigh(at(limit), facts);
        assert_eq!(steps.iter().any(bites), expect, "{facts:?}");
    };
    let isolated = Facts { pings: vec![ping(NOW - DEADTIME_MS)], ..facts() };
    check(with_suicide, &isolated, true);
    check(|_| {}, &isolated, false);
    check(with_suicide, &facts(), false);
    check(with_suicide, &Facts { owner: false, ..isolated.clone() }, false);
    check(with_suicide, &Facts { maintenance: true, ..isolated.clone() }, false);
    check(with_suicide, &Facts { stopping: true, ..isolated.clone() }, false);
    check(with_suicide, &Facts { heard: None, generation: 0, ..isolated.clone() }, false);
    let never = Ping { heard: None, answers: false };
    check(with_suicide, &Facts { pings: vec![never], ..isolated.clone() }, false);
    check(with_suicide, &Facts { pings: vec![ping(NOW - 1)], ..isolated }, false);
}

/// What may happen in any order.
#[derive(Clone, Debug)]
enum Happening {
    Wait(u64),
    Silent,
    Heard(bool),
    Left,
    Answer(bool),
    Late(u64),
    Ping,
    Unverified,
    Maintenance(bool),
    Confirm,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{
        Answer, Confirm, Heard, Late, Left, Maintenance, Ping, Silent, Unverified, Wait,
    };
    prop_oneof![
        4 => (1..20_000_u64).prop_map(Wait),
        4 => Just(Silent),
        2 => any::<bool>().prop_map(Heard),
        1 => Just(Left),
        4 => any::<bool>().prop_map(Answer),
        1 => (0..9_u64).prop_map(Late),
        2 => Just(Ping),
        1 => Just(Unverified),
        1 => any::<bool>().prop_map(Maintenance),
        1 => Just(Confirm),
    ]
}

proptest! {
    /// With fencing, the manager hears `Dead` only after a success that is younger than the peer's
    /// last packet, an operator's word, or an orderly leave.
    #[test]
    fn nobody_is_dead_without_proof(happenings in proptest::collection::vec(happening(), 1..60)) {
        let mut doubt = doubt(with_fencing);
        let mut now = NOW;
        let mut facts = Facts { heard: None, generation: 0, ..facts() };
        let (mut silent, mut proof, mut open) = (false, false, None);
        for one in happenings {
            let steps = match one {
                Happening::Wait(millis) => { now += millis; Vec::new() }
                Happening::Silent if !silent => { silent = true; doubt.silent(at(now), &facts) }
                Happening::Heard(restarted) if silent => {
                    (silent, proof) = (false, false);
                    facts.generation += u64::from(restarted || facts.generation == 0);
                    now += 1;
                    facts.heard = Some(at(now));
                    doubt.heard(facts.generation).1
                }
                Happening::Left if !silent && facts.generation > 0 => {
                    doubt.left();
                    proof = true;
                    Vec::new()
                }
                Happening::Answer(ok) => match open.take() {
                    Some(attempt) => {
                        proof |= ok;
                        let outcome = if ok { Outcome::Ok } else { Outcome::TimedOut };
                        doubt.fence_answer(at(now), attempt, &outcome, &facts)
                    }
                    None => Vec::new(),
                },
                // Answers that belong to nothing.
                Happening::Late(back) if open.is_none_or(|open| open > 1_000 + back) => {
                    doubt.fence_answer(at(now), 1_000_000 + back, &Outcome::Ok, &facts)
                }
                Happening::Ping => { facts.pings = vec![ping(now)]; Vec::new() }
                Happening::Unverified => {
                    facts.unverified = Some((at(now), "eth0".to_owned()));
                    Vec::new()
                }
                Happening::Maintenance(on) => { facts.maintenance = on; Vec::new() }
                Happening::Confirm => {
                    proof |= doubt.confirm("node2", !silent).is_ok();
                    Vec::new()
                }
                Happening::Silent | Happening::Heard(_) | Happening::Left | Happening::Late(_) => {
                    Vec::new()
                }
            };
            let more = doubt.weigh(at(now), &facts);
            for step in steps.iter().chain(&more) {
                prop_assert!(*step != Step::Tell(PeerStatus::Dead) || proof, "{doubt:?}");
            }
            open = shot(&more).or(shot(&steps)).or(open);
            prop_assert!(doubt.due(at(now)).is_none_or(|due| due > at(now)));
        }
    }
}
