//! Plays one scenario with one pair and judges it: its own steps, then what holds for all of them.

use std::path::Path;
use std::time::Duration;

use crate::files::NODES;
use crate::pair::Pair;
use crate::scenario::Scenario;
use crate::{Programs, Side, Step, Trouble, genuine, pair_name};

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
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
    /// The machine did not let a daemon run for a while: what was wrong may be no daemon's fault.
    pub stalled: bool,
}

/// Plays `scenario`; packets are kept in `capture` when it is given.
pub fn play(
    scenario: &Scenario,
    sides: [Side; 2],
    programs: &Programs,
    capture: Option<&Path>,
) -> Report {
    let mut report = Report {
        scenario: scenario.name,
        sides,
        outages: Vec::new(),
        wrong: Vec::new(),
        skipped: None,
        story: String::new(),
        complaints: Vec::new(),
        stalled: false,
    };
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
        Err(Trouble::Lab(error)) => report.wrong.push(format!("lab: {error}")),
        Err(Trouble::Wrong(text)) => match text.strip_prefix(SKIP) {
            Some(reason) => report.skipped = Some(reason.to_owned()),
            None => report.wrong.push(text),
        },
    }
    if let Err(error) = judge(scenario, &pair, &mut report) {
        report.wrong.push(error.to_string());
    }
    report.story = pair.report();
    report.outages = std::mem::take(&mut pair.outages);
    report
}

/// Begins the text of a [`Trouble`] that only says what is missing here.
pub const SKIP: &str = "SKIP: ";

/// What holds in every scenario.
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
        match side {
            Side::Genuine => {
                report.stalled |= genuine::stood_still(node, &log);
                report.complaints.extend(genuine::complaints(node, &log));
                let unusual = genuine::unusual(scenario.name, node, &log);
                report.wrong.extend(unusual.iter().map(|line| format!("{node}: {line}")));
            }
            Side::Ours => report.stalled |= log.contains("this process stood still"),
        }
    }
    Ok(())
}
