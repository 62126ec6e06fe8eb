//! A failing seed made smaller: fewer faults, then a shorter time, as long as the same property
//! fails. What is left is named by one command line.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use hb_messaging::time::Instant;

use crate::checker::Violation;
use crate::plan::{Plan, Seed};
use crate::run::{Cut, Report, Watching, carry};

/// Runs that shrinking one seed may take.
const RUNS_MAX: usize = 400;
/// After the last fault that is left, faults cease so much later at first, then twice that.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The run ends so much after the violation.
const AFTER: Duration = Duration::from_millis(1);

/// The smallest run of `seed` that was found in which the property of `violation` still fails.
pub fn shrink(seed: Seed, violation: &Violation) -> (Cut, Report) {
    let fails = |cut: &Cut| {
        let report = carry(seed, cut, Watching::Checks);
        let same = report.violation.as_ref().is_some_and(|it| it.property == violation.property);
        same.then_some(report)
    };
    let plan = Plan::new(seed);
    let (mut cut, mut runs) = (Cut::default(), 0);
    let mut kept: Vec<usize> = (0..plan.faults.len()).collect();
    let mut size = kept.len().div_ceil(2);
    while size > 0 && runs < RUNS_MAX {
        let mut begin = 0;
        while begin < kept.len() && runs < RUNS_MAX {
            let mut fewer = kept.clone();
            fewer.drain(begin..(begin + size).min(kept.len()));
            let tried =
                Cut { only: Some(BTreeSet::from_iter(fewer.iter().copied())), ..Cut::default() };
            runs += 1;
            if fails(&tried).is_some() {
                (cut, kept) = (tried, fewer);
            } else {
                begin += size;
            }
        }
        size /= 2;
    }
    let last = kept.iter().map(|index| plan.faults[*index].0).max().unwrap_or(Instant::ZERO);
    let mut pause = FIRST_PAUSE;
    while last + pause < plan.calm && runs < RUNS_MAX {
        let tried = Cut { calm: Some(last + pause), ..cut.clone() };
        runs += 1;
        if fails(&tried).is_some() {
            cut = tried;
            break;
        }
        pause *= 2;
    }
    if let Some(at) = fails(&cut).and_then(|report| report.violation).map(|violation| violation.at)
    {
        let until = at + AFTER;
        let calm = cut.calm.filter(|calm| *calm < until);
        let tried = Cut { until: Some(until), calm, ..cut.clone() };
        if fails(&tried).is_some() {
            cut = tried;
        }
    }
    let report = carry(seed, &cut, Watching::Lines);
    (cut, report)
}

/// The command that carries out exactly this.
pub fn command(seed: Seed, cut: &Cut) -> String {
    let mut text = format!("cargo run --release -p hb-sim -- --seed {seed}");
    // Writing into a string cannot fail.
    if let Some(only) = &cut.only {
        let numbers: Vec<String> = only.iter().map(usize::to_string).collect();
        let _ = write!(
            text,
            " --only {}",
            if numbers.is_empty() { "-".into() } else { numbers.join(",") }
        );
    }
    for (name, moment) in [("--calm", cut.calm), ("--until", cut.until)] {
        if let Some(moment) = moment {
            let micros = moment.as_micros();
            let _ = write!(text, " {name} {}.{:06}", micros / 1_000_000, micros % 1_000_000);
        }
    }
    if cut.safety_only {
        text.push_str(" --mode safety");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_all_that_is_left() {
        let cut = Cut {
            only: Some(BTreeSet::from([1, 4])),
            calm: Some(Instant::from_millis(1_500)),
            until: Some(Instant::from_micros(2_000_001)),
            safety_only: true,
        };
        let text = command(Seed::new(7), &cut);
        let expect = "--seed 7 --only 1,4 --calm 1.500000 --until 2.000001 --mode safety";
        assert!(text.ends_with(expect), "{text}");
    }

    #[test]
    fn a_run_without_its_faults_is_another_run_and_a_repeatable_one() {
        let seed = Seed::new(3);
        let none = Cut { only: Some(BTreeSet::new()), ..Cut::default() };
        let hash = |cut: &Cut| carry(seed, cut, Watching::Checks).hash;
        assert_eq!(hash(&none), hash(&none));
        assert_ne!(hash(&none), hash(&Cut::default()));
    }
}
