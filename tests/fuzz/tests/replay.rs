//! Every committed input goes through its target, and so do some thousand inputs that are made of
//! them. What once broke an invariant is in the corpus and must not do so again.

use hb_fuzz::corpus::Corpus;
use hb_fuzz::mutate::Mutator;
use hb_fuzz::{TARGETS, report};

/// The whole corpus stays small enough to be replayed on each commit.
const BYTES_MAX: usize = 1 << 20;

#[test]
fn each_target_has_a_corpus_and_each_corpus_a_target() {
    let mut targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    targets.sort_unstable();
    assert_eq!(Corpus::names().expect("the corpora"), targets);
    assert_eq!(libfuzzer_targets(), targets);
    let mut size = 0;
    for name in targets {
        let corpus = Corpus::read(name).expect("a corpus");
        assert!(!corpus.inputs().is_empty(), "the corpus of {name} is empty");
        size += corpus.inputs().iter().map(|input| input.bytes.len()).sum::<usize>();
    }
    assert!(size <= BYTES_MAX, "{size} bytes: minimise the corpus");
}

/// What `fuzz/Cargo.toml` builds, in order.
fn libfuzzer_targets() -> Vec<&'static str> {
    let manifest = include_str!("../fuzz/Cargo.toml");
    let file = |line: &'static str| {
        line.strip_prefix("path = \"fuzz_targets/").and_then(|name| name.strip_suffix(".rs\""))
    };
    let mut names: Vec<_> = manifest.lines().filter_map(file).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_corpus_keeps_all_invariants() {
    report::print_failing_input();
    for target in TARGETS {
        for input in Corpus::read(target.name).expect("a corpus").inputs() {
            report::run(target, &input.bytes);
        }
    }
}

#[test]
fn inputs_made_of_the_corpus_keep_all_invariants() {
    report::print_failing_input();
    for target in TARGETS {
        let corpus = Corpus::read(target.name).expect("a corpus");
        let mut mutator = Mutator::new(target, &corpus, 1);
        for _ in 0..target.made {
            report::run(target, &mutator.make());
        }
    }
}
