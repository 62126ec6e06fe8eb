//! A node's life, recorded and lived again.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one kind among many")]

use std::time::Duration;

use hb_sim::setup::{group, keys, pair, timing};

use super::*;

/// Two nodes side by side; the first is recorded. Returns its entries.
fn lives(secret: [&str; 2]) -> Vec<Entry> {
    let mut settings = pair(timing(100), &[group("node2", &["www", "nginx"])]);
    for (settings, secret) in settings.iter_mut().zip(secret) {
        settings.keys = keys(secret);
    }
    let identity = |node| Identity { uuid: [node; 16], generation: 1, seed: u64::from(node) };
    let mut nodes = [1, 2].map(|node| Node::new(&settings[usize::from(node) - 1], identity(node)));
    let recorder = Recorder::new(&settings[0], "1");
    let real = nodes[0].authenticator().clone();
    let stand_in = real.stand_in();
    let mut frames = vec![recorder.start(&settings[0], identity(1), &real, Vec::new())];
    let mut waiting: Vec<(Instant, usize, Input)> = Vec::new();
    for node in 0..2 {
        let load = "0.00".to_owned();
        waiting.push((Instant::ZERO, node, Input::Environment { unix_s: 1_767_225_600, load }));
        waiting.push((Instant::ZERO, node, Input::Start));
    }
    let end = Instant::ZERO + Duration::from_secs(8);
    let cut = Instant::ZERO + Duration::from_secs(4);
    loop {
        waiting.sort_by_key(|(at, ..)| *at);
        let due = (0..2).filter_map(|node| Some((nodes[node].next_timeout()?, node))).min();
        let first = waiting.first().map(|(at, ..)| *at);
        let (at, node, input) = match due {
            Some((at, node)) if first.is_none_or(|first| at < first) => (at, node, Input::Timeout),
            Some(_) | None if first.is_some() => waiting.remove(0),
            Some(_) | None => break,
        };
        if at > end {
            break;
        }
        let mut effects = Vec::new();
        nodes[node].handle(at, input.clone(), &mut effects);
        for effect in &effects {
            match effect {
                // The second node is off after a while.
                Effect::Transmit { link, bytes } if at < cut => {
                    let input = Input::Datagram { link: *link, bytes: bytes.to_vec() };
                    waiting.push((at + Duration::from_micros(200), 1 - node, input));
                }
                Effect::Run(operation) => {
                    let outcome = hb_resource::operation::Outcome::NotRunning;
                    let ok = hb_resource::operation::Outcome::Ok;
                    let asks = operation.action == hb_resource::operation::Action::Status;
                    let outcome = if asks { outcome } else { ok };
                    let input = Input::Done { op: operation.id, outcome };
                    waiting.push((at + Duration::from_millis(3), node, input));
                }
                _ => {}
            }
        }
        if node == 0 {
            frames.push(recorder.step(at, input, effects, &real, &stand_in));
        }
    }
    frames.iter().map(|frame| ciborium::from_reader(frame.as_slice()).unwrap()).collect()
}

/// How many inputs were lived, how many datagrams of them, and where it parts from the recording.
fn replay(entries: &[Entry]) -> (usize, usize, Option<Difference>) {
    let (mut replay, mut inputs, mut datagrams) = (Replay::new(), 0, 0);
    for entry in entries {
        let (step, difference) = replay.take(entry.clone());
        if difference.is_some() {
            return (inputs, datagrams, difference);
        }
        if let Some(Step::Took { input, .. }) = step {
            inputs += 1;
            datagrams += usize::from(matches!(input, Input::Datagram { .. }));
        }
    }
    (inputs, datagrams, None)
}

#[test]
fn a_life_is_lived_again_without_its_keys() {
    let entries = lives(["the cluster's key"; 2]);
    let (inputs, datagrams, difference) = replay(&entries);
    assert_eq!(difference, None);
    assert!(inputs > 200 && datagrams > 50, "{inputs} inputs, {datagrams} datagrams");
    // It has seen the peer come and go, or it proves little.
    let text = format!("{entries:?}");
    assert!(!text.contains("the cluster's key"));
    let mut replay = Replay::new();
    let mut said = Vec::new();
    for entry in entries {
        if let (Some(Step::Took { effects, .. }), _) = replay.take(entry) {
            said.extend(effects.into_iter().filter_map(|effect| match effect {
                Effect::Log(line) => Some(line.text),
                _ => None,
            }));
        }
    }
    assert!(said.iter().any(|line| line.contains("dead")), "{said:?}");
}

#[test]
fn datagrams_with_another_key_are_refused_again() {
    let (inputs, datagrams, difference) = replay(&lives(["the cluster's key", "another key"]));
    assert_eq!(difference, None);
    assert!(inputs > 100 && datagrams > 50);
}

#[test]
fn each_change_of_an_entry_is_found() {
    let entries = lives(["the cluster's key"; 2]);
    let check = |change: fn(&mut Entry) -> bool, expect: &[Difference]| {
        let mut changed = entries.clone();
        let third = changed.len() / 3;
        let at = third + changed[third..].iter_mut().position(change).unwrap();
        let (inputs, _, difference) = replay(&changed);
        assert!(difference.as_ref().is_some_and(|one| expect.contains(one)), "{difference:?}");
        assert!(inputs + 1 >= at, "found before it happened: {inputs} of {at}");
    };
    check(
        |entry| match entry {
            Entry::Datagram { bytes, .. } => {
                bytes[20] ^= 1;
                true
            }
            _ => false,
        },
        &[Difference::Effects],
    );
    check(
        |entry| match entry {
            Entry::Step { effects, .. } => {
                *effects ^= 1;
                true
            }
            _ => false,
        },
        &[Difference::Effects],
    );
    check(
        |entry| match entry {
            Entry::Datagram { at, .. } => {
                *at = Instant::ZERO;
                true
            }
            _ => false,
        },
        &[Difference::Time],
    );
}

#[test]
fn a_snapshot_is_the_node() {
    let entries = lives(["the cluster's key"; 2]);
    let recorder = Recorder { secrets: Vec::new(), version: "1".to_owned() };
    let half = entries.len() / 2;
    let mut first = Replay::new();
    for entry in entries[..half].iter().cloned() {
        assert_eq!(first.take(entry).1, None);
    }
    let snapshot = |node: Node| -> Entry {
        let frame = recorder.snapshot(Box::new(node), 0, true);
        ciborium::from_reader(frame.as_slice()).unwrap()
    };
    let node = first.node.clone().unwrap();
    // What comes before leads to it, and what comes after follows from it alone.
    assert_eq!(first.take(snapshot(node.clone())).1, None);
    let later: Vec<Entry> =
        std::iter::once(snapshot(node)).chain(entries[half..].iter().cloned()).collect();
    assert_eq!(replay(&later).2, None);
    let other =
        Node::new(&pair(timing(100), &[])[0], Identity { uuid: [1; 16], generation: 1, seed: 1 });
    assert_eq!(first.take(snapshot(other)).1, Some(Difference::State));
    assert_eq!(replay(&entries[1..]).2, Some(Difference::NoBeginning));
}
