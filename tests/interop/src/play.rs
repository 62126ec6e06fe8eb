//! Plays one scenario with one pair and judges it: its own steps, then what holds for all of them.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::NODES;
use crate::pair::Pair;
use crate::scenario::Scenario;
use crate::stall::{self, Watch};
use crate::{PAIRS, Programs, Side, Step, Trouble, genuine, pair_name};

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// Who ran where.
    pub sides: [Side; 2],
    /// Label and length of each outage.
    pub outages: Vec<(String, Option<Duration>)>,
    /// What was wrong; empty when all was well.
    pub wrong: Vec<String>,
    /// It could not be played here.
    pub skipped: Option<String>,
    /// The story and logs.
    pub story: String,
    /// Complaints in the logs of genuine nodes.
    pub complaints: Vec<String>,
    /// The machine did not do its part, so what was wrong may be no daemon's fault: how that shows.
    pub stalls: Vec<String>,
    /// How long it took, with the making of the lab.
    pub took: Duration,
    /// The run before this one, which went wrong while the machine did not do its part.
    pub first_try: Option<Box<Report>>,
}

impl Report {
    fn new(scenario: &str, sides: [Side; 2]) -> Self {
        Self {
            scenario: scenario.to_owned(),
            sides,
            outages: Vec::new(),
            wrong: Vec::new(),
            skipped: None,
            story: String::new(),
            complaints: Vec::new(),
            stalls: Vec::new(),
            took: Duration::ZERO,
            first_try: None,
        }
    }

    /// Of a run that could not even begin.
    pub fn impossible(scenario: &str, reason: String) -> Self {
        let [sides, ..] = PAIRS;
        Self { wrong: vec![reason], ..Self::new(scenario, sides) }
    }

    /// Whether both nodes were genuine: what is wrong then is no fault of Twinbeat's.
    pub fn is_reference(&self) -> bool {
        self.sides == [Side::Genuine; 2]
    }

    /// What was wrong, one thing after the other.
    pub fn reasons(&self) -> String {
        self.wrong.join("\n  and: ")
    }

    /// What came of it, in some lines for people.
    pub fn verdict(&self) -> String {
        let mut text = String::new();
        if let Some(first) = &self.first_try {
            let stalls = match first.stalls.as_slice() {
                [] => String::new(),
                stalls => format!(", because {}", stalls.join(" and ")),
            };
            text = format!(
                "played again{stalls}; before that {}\n{}\nand then: ",
                first.verdict(),
                first.story
            );
        }
        text + &match (&self.skipped, self.wrong.is_empty()) {
            (Some(reason), _) => format!("SKIP: {reason}"),
            (None, true) => format!("ok, {:.0} s", self.took.as_secs_f64()),
            (None, false) if self.stalls.is_empty() => {
                format!("WRONG: {}", self.reasons())
            }
            (None, false) => {
                let stalls = self.stalls.join(", ");
                format!("WRONG (while {stalls}): {}", self.reasons())
            }
        }
    }
}

/// Plays `scenario`; packets are kept in `capture` when it is given.
pub fn play(
    scenario: &Scenario,
    sides: [Side; 2],
    programs: &Programs,
    capture: Option<&Path>,
) -> Report {
    let mut report = Report::new(scenario.name, sides);
    let watch = Watch::start();
    let mut pair = match Pair::new(sides, (scenario.options)(), programs) {
        Ok(pair) => pair,
        Err(error) => {
            report.wrong.push(error.to_string());
            return report;
        }
    };
    let name = format!("{}.{}", scenario.name, pair_name(sides));
    let played = capture
        .map_or(Ok(()), |folder| pair.capture(folder, &name))
        .and_then(|()| (scenario.run)(&mut pair));
    match played {
        Ok(()) => {}
        Err(Trouble::Lab(error)) => {
            report.stalls.push(format!("the lab failed ({error})"));
            report.wrong.push(format!("lab: {error}"));
        }
        Err(Trouble::Wrong(text)) => match text.strip_prefix(SKIP) {
            Some(reason) => report.skipped = Some(reason.to_owned()),
            None => report.wrong.push(text),
        },
    }
    if let Err(error) = judge(scenario, &pair, &mut report) {
        report.wrong.push(error.to_string());
    }
    report.stalls.extend(watch.stall());
    report.story = pair.report();
    report.outages = std::mem::take(&mut pair.outages);
    report
}

/// Begins the text of a [`Trouble`] that only says what is missing here.
pub const SKIP: &str = "SKIP: ";

/// What holds in every scenario, whatever its steps are.
fn judge(scenario: &Scenario, pair: &Pair, report: &mut Report) -> Step {
    if !scenario.splits {
        for (group, at, length) in pair.overlaps()? {
            report.wrong.push(format!("{group} ran on both nodes for {length:.3} s at {at:.3}"));
        }
    }
    for (index, (side, node)) in pair.sides.iter().zip(NODES).enumerate() {
        let asked = pair.power_requests(index);
        if !asked.is_empty() {
            report.wrong.push(format!("{node} asked for {}", asked.trim_end()));
        }
        let log = pair.log(index);
        report.stalls.extend(stall::in_log(node, &log));
        match side {
            Side::Genuine => {
                report.complaints.extend(genuine::complaints(node, &log));
                let unusual = genuine::unusual(scenario.name, node, &log);
                report.wrong.extend(unusual.iter().map(|line| format!("{node}: {line}")));
            }
            Side::Ours => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_try_is_never_silent() {
        let mut first = Report::impossible("life", "node1: ERROR: late".to_owned());
        first.stalls.push("this machine stood still for 1.2 s".to_owned());
        first.story = "0.1 boots".to_owned();
        assert_eq!(
            first.verdict(),
            "WRONG (while this machine stood still for 1.2 s): node1: ERROR: late"
        );
        let mut second = Report::impossible("life", String::new());
        second.wrong.clear();
        assert_eq!(second.verdict(), "ok, 0 s");
        second.first_try = Some(Box::new(first));
        let verdict = second.verdict();
        for part in ["played again", "stood still for 1.2 s", "ERROR: late", "boots", "ok, 0 s"] {
            assert!(verdict.contains(part), "{part} in {verdict}");
        }
    }
}
