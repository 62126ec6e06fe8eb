//! The table of faults: `docs/failures/faults.toml` becomes `docs/failures/README.md`. It checks that the
//! tests that are named exist; that they pass is for `cargo test`.
#![expect(clippy::disallowed_methods, reason = "reads and writes pages and the source tree")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

const DATA: &str = "docs/failures/faults.toml";
const PAGE: &str = "docs/failures/README.md";
/// Faults that there are.
const FAULTS: usize = 83;
/// Pages beside the table, with what they are called in it.
const OTHERS: [(&str, &str); 4] = [
    ("found.md", "Bugs that this machinery has found"),
    ("seeds.md", "How many seeds were played, and how fast"),
    ("mutants.md", "Deliberate bugs, and who notices them"),
    ("model.md", "What the model checker has seen"),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    fault: Vec<Fault>,
}

/// One fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    number: usize,
    area: String,
    fault: String,
    inject: String,
    expect: String,
    seen: Seen,
    tests: Vec<String>,
    /// Outage or overlap, where a test or a page has it.
    #[serde(default)]
    measured: String,
    /// What no test shows.
    #[serde(default)]
    gap: String,
    /// A page of its own.
    #[serde(default)]
    page: String,
}

/// How far a test shows what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Seen {
    #[serde(rename = "real")]
    Real,
    #[serde(rename = "simulated")]
    Simulated,
    #[serde(rename = "part")]
    Part,
    #[serde(rename = "not yet")]
    NotYet,
}

impl Seen {
    fn word(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Simulated => "simulated",
            Self::Part => "in part",
            Self::NotYet => "**not yet**",
        }
    }
}

/// Writes the page below `root`.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let page = page(root, &read(root)?);
    std::fs::write(root.join(PAGE), page).map_err(|error| format!("{PAGE}: {error}"))
}

/// What is wrong with the table, for `tidy`.
pub(crate) fn stale(root: &Path) -> Vec<String> {
    let data = match read(root) {
        Ok(data) => data,
        Err(error) => return vec![error],
    };
    let mut faults = Vec::new();
    let numbers: Vec<usize> = data.fault.iter().map(|fault| fault.number).collect();
    if !numbers.iter().copied().eq(1..=FAULTS) {
        faults.push(format!("{DATA}: the numbers are not 1 to {FAULTS} in order"));
    }
    let known = functions(root);
    for fault in &data.fault {
        for test in fault.tests.iter().filter(|test| !known.contains(*test)) {
            faults.push(format!("{DATA}: fault {}: there is no test `{test}`", fault.number));
        }
        if fault.tests.is_empty() != (fault.seen == Seen::NotYet) {
            let number = fault.number;
            faults.push(format!("{DATA}: fault {number}: what is seen does not fit its tests"));
        }
        if (fault.seen == Seen::Part) && fault.gap.is_empty() {
            faults.push(format!("{DATA}: fault {}: in part, and no gap is told", fault.number));
        }
        let own = format!("docs/failures/{}.md", fault.page);
        if !fault.page.is_empty() && !root.join(&own).is_file() {
            faults.push(format!("{DATA}: fault {}: there is no page {own}", fault.number));
        }
    }
    let written = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    if written != page(root, &data) {
        faults.push(format!("{PAGE}: not as its data: `cargo xtask failures` writes it"));
    }
    faults
}

fn read(root: &Path) -> Result<Data, String> {
    let text =
        std::fs::read_to_string(root.join(DATA)).map_err(|error| format!("{DATA}: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("{DATA}: {error}"))
}

/// Names of all functions of the sources, and of the cases of the namespace tests.
fn functions(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in crate::tidy::sources(root) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for line in text.lines() {
            // Cases of the namespace tests have names of their own.
            if let Some((_, name)) = line.split_once("Case { name: \"") {
                names.extend(name.split('"').next().map(str::to_owned));
            }
            let Some((before, rest)) = line.split_once("fn ") else { continue };
            let begins = before.trim();
            if begins.split(' ').all(|word| matches!(word, "" | "pub" | "pub(crate)" | "async")) {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                names.insert(rest[..end.unwrap_or(rest.len())].to_owned());
            }
        }
    }
    names
}

fn page(root: &Path, data: &Data) -> String {
    let count = |seen| data.fault.iter().filter(|fault| fault.seen == seen).count();
    let mut page = format!(
        "# Faults, and what is known of them\n\n\
         What two nodes must survive, what they are to do, and which test has seen them do it. \
         Made from `faults.toml` by\n`cargo xtask failures`; `cargo xtask tidy` checks that the tests exist.\n\n\
         - **real** ({}): daemons, kernel and programs in network namespaces, or the real edge of the daemon.\n\
         - **simulated** ({}): the real core of both nodes in a modelled world (`tests/sim`, `crates/node/tests`).\n\
         - **in part** ({}): what no test shows is told.\n\
         - **not yet** ({}).\n\n\
         `seeds_hold_every_property` runs the simulator's seeds; \
         `cargo run --release -p hb-sim -- --seeds N` runs more.\n\n",
        count(Seen::Real),
        count(Seen::Simulated),
        count(Seen::Part),
        count(Seen::NotYet)
    );
    for (file, what) in
        OTHERS.iter().filter(|(file, _)| root.join("docs/failures").join(file).is_file())
    {
        // Writing into a string cannot fail.
        let _ = writeln!(page, "- [{what}]({file})");
    }
    let mut area = "";
    for fault in &data.fault {
        if fault.area != area {
            area = &fault.area;
            let _ = write!(
                page,
                "\n## {area}\n\n| | Fault | How | What is to happen | Seen | Measured | Tests |\n\
                 |---|---|---|---|---|---|---|\n"
            );
        }
        let name = match fault.page.as_str() {
            "" => fault.fault.clone(),
            own => format!("[{}]({own}.md)", fault.fault),
        };
        let seen = match fault.gap.as_str() {
            "" => fault.seen.word().to_owned(),
            gap => format!("{}: {gap}", fault.seen.word()),
        };
        let tests: Vec<String> = fault.tests.iter().map(|test| format!("`{test}`")).collect();
        let _ = writeln!(
            page,
            "| {} | {name} | {} | {} | {seen} | {} | {} |",
            fault.number,
            fault.inject,
            fault.expect,
            fault.measured,
            tests.join(", ")
        );
    }
    page
}
