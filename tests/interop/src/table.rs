//! The reports of many runs as one table and one line. Pure text.

use crate::play::Report;
use crate::{PAIRS, pair_name};

/// What the runs came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub runs: usize,
    /// Those with a Twinbeat node in which something was wrong.
    pub wrong: usize,
    /// Those of two genuine nodes in which something was wrong: what 3.0.6 does by itself.
    pub reference: usize,
    /// Those that cannot be played with their pair or on this machine.
    pub skipped: usize,
    /// Those that were played again because the machine stood still.
    pub again: usize,
    /// Those that were played again though it did not.
    pub unsteady: usize,
}

impl Count {
    /// Counts `reports`.
    pub fn of(reports: &[Report]) -> Self {
        let count = |is: fn(&Report) -> bool| reports.iter().filter(|report| is(report)).count();
        Self {
            runs: reports.len(),
            wrong: count(|report| !report.wrong.is_empty() && !report.is_reference()),
            reference: count(|report| !report.wrong.is_empty() && report.is_reference()),
            skipped: count(|report| report.skipped.is_some()),
            again: count(|report| report.first_try.as_ref().is_some_and(|r| !r.stalls.is_empty())),
            unsteady: count(|report| {
                report.first_try.as_ref().is_some_and(|r| r.stalls.is_empty())
            }),
        }
    }

    /// `8 runs, 0 wrong`, and what else there is to know.
    pub fn line(self) -> String {
        let mut text = format!("{} runs, {} wrong", self.runs, self.wrong);
        if self.reference > 0 {
            text += &format!(", {} more between two of 3.0.6", self.reference);
        }
        if self.skipped > 0 {
            text += &format!(", {} skipped", self.skipped);
        }
        if self.again > 0 {
            text += &format!(", {} played again after a stall of this machine", self.again);
        }
        if self.unsteady > 0 {
            text += &format!(", {} went wrong at first", self.unsteady);
        }
        text
    }
}

/// One line per measured outage and one column per pair, as Markdown that is also readable as text;
/// of several runs the shortest and the longest, in seconds.
pub fn markdown(reports: &[Report]) -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for report in reports {
        for (label, _) in &report.outages {
            let row = (report.scenario.as_str(), label.as_str());
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    let mut cells = vec![vec!["scenario".to_owned(), "event".to_owned()]];
    cells[0].extend(PAIRS.map(pair_name));
    let mut before = "";
    for (scenario, label) in rows {
        // A scenario's name once is enough.
        let name = if scenario == before { "" } else { scenario };
        before = scenario;
        let mut row = vec![name.to_owned(), label.to_owned()];
        row.extend(PAIRS.map(|sides| {
            let of_pair = reports.iter().filter(|r| r.scenario == scenario && r.sides == sides);
            let here = of_pair.flat_map(|r| &r.outages).filter(|(l, _)| l == label);
            let lengths: Vec<f64> =
                here.map(|(_, length)| length.unwrap_or_default().as_secs_f64()).collect();
            range(&lengths)
        }));
        cells.push(row);
    }
    align(&cells)
}

/// `0.12`, `0.10–0.25` or `–` when there is nothing; `0` when nobody missed an answer.
fn range(lengths: &[f64]) -> String {
    let round = |length: f64| if length == 0.0 { "0".to_owned() } else { format!("{length:.2}") };
    let min = round(lengths.iter().copied().fold(f64::INFINITY, f64::min));
    let max = round(lengths.iter().copied().fold(0.0, f64::max));
    match lengths {
        [] => "–".to_owned(),
        _ if min == max => max,
        _ => format!("{min}–{max}"),
    }
}

fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(3)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text += &format!("| {} |\n", cells.join(" | "));
        if number == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text += &format!("| {} |\n", rule.join(" | "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(pair: usize, label: &str, outage_ms: Option<u64>) -> Report {
        let mut report = Report::impossible("life", String::new());
        report.wrong.clear();
        report.sides = PAIRS[pair];
        report.outages = vec![(label.to_owned(), outage_ms.map(Duration::from_millis))];
        report
    }

    #[test]
    fn a_row_per_event_and_a_column_per_pair() {
        let reports = [
            report(0, "stop", Some(1_500)),
            report(0, "stop", Some(900)),
            report(3, "stop", None),
            report(3, "start", Some(12)),
        ];
        let expect = "\
| scenario | event | 3.0.6+3.0.6 | 3.0.6+ours | ours+3.0.6 | ours+ours |
| -------- | ----- | ----------- | ---------- | ---------- | --------- |
| life     | stop  | 0.90–1.50   | –          | –          | 0         |
|          | start | –           | –          | –          | 0.01      |
";
        assert_eq!(markdown(&reports), expect);
    }

    #[test]
    fn the_last_line_hides_nothing() {
        let mut reports = vec![report(0, "stop", None), report(1, "stop", None)];
        assert_eq!(Count::of(&reports).line(), "2 runs, 0 wrong");
        reports[0].skipped = Some("no iptables".into());
        reports[1].first_try = Some(Box::new(report(1, "stop", None)));
        reports.push(reports[1].clone());
        reports.push(Report::impossible("life", "no namespaces".into()));
        reports.push(report(1, "stop", None));
        reports[4].wrong.push("two owners".into());
        reports[1].first_try.as_mut().expect("set above").stalls.push("it stood still".into());
        let expect = "5 runs, 1 wrong, 1 more between two of 3.0.6, 1 skipped, 1 played again after a stall of this machine, \
                      1 went wrong at first";
        assert_eq!(Count::of(&reports).line(), expect);
    }
}
