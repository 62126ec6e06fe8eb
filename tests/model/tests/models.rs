//! Every model as far as a commit can wait for it; `cargo run --release -p hb-model` goes all the way
//! that its bounds allow.

use hb_model::check::{self, NO_DEAD_END, ONE_RUNNER, Report};
use hb_model::faults::{Faults, MODELS};
use hb_model::trace;

/// Steps from a settled pair, and from one that begins.
const DEPTH: usize = 11;

fn model(name: &str) -> Faults {
    *MODELS.iter().find(|faults| faults.name == name).expect("a known model")
}

fn check(name: &str) -> Report {
    let faults = model(name);
    let report = check::check(faults, DEPTH, 1);
    for verdict in &report.verdicts {
        let way = verdict.counterexample.as_deref().unwrap_or_default();
        let story = trace::tell(faults, way);
        assert!(verdict.is_as_expected(), "{name}: {}\n{story}", verdict.property);
    }
    // A model in which nothing happens proves nothing.
    assert!(report.states > 500, "{name}: {} states", report.states);
    assert_eq!(report.depth, DEPTH, "{name}");
    report
}

#[test]
fn without_partitions_nothing_runs_twice() {
    check("no-partition");
}

#[test]
fn fencing_makes_a_partition_safe() {
    check("partition-fencing");
}

#[test]
fn killed_daemons_adopt_what_runs() {
    check("crash-adopt");
}

#[test]
fn beside_a_3_0_6_node_nothing_runs_twice() {
    check("legacy");
}

/// Two nodes cannot be safe under a partition when nothing fences and nobody decides: the links are
/// cut, one takes the other for dead, and both run the address. It ends served all the same.
#[test]
fn a_partition_without_fencing_is_two_owners_in_two_steps() {
    let report = check("partition");
    let verdict = |name| report.verdicts.iter().find(|verdict| verdict.property == name);
    let way = verdict(ONE_RUNNER).and_then(|verdict| verdict.counterexample.as_ref());
    let way = way.expect("a counterexample");
    assert_eq!(way.len(), 2, "{}", trace::tell(model("partition"), way));
    let told = trace::tell(model("partition"), way);
    assert!(told.contains("all links are cut") || told.contains("nothing reaches"), "{told}");
    assert!(told.contains("takes node1 for dead"), "{told}");
    assert!(verdict(NO_DEAD_END).is_some_and(|verdict| verdict.counterexample.is_none()));
}

/// The graph sees dead ends where there are some: without the end of the cut, of the silence and of
/// anything else that follows by itself nothing is ever served.
#[test]
fn a_dead_end_would_be_found() {
    let mut faults = model("partition-fencing");
    faults.budget.crashes = 0;
    let graph = check::Graph::explore(faults, 5);
    assert!(graph.served() > 0 && graph.dead_ends().is_empty());
    let lame = graph.without_progress();
    assert_eq!(lame.dead_ends().len(), lame.len() - lame.served() - lame.beyond_unserved());
}
