//! Deliberate bugs: each of `tests/mutants/mutants.toml` is made in a copy of the sources, built, and must be
//! noticed by the simulator's seeds or by the tests that it names, within its budget. Not for every
//! commit: it builds some dozen times. That each bug can still be made is checked by `tidy`.
#![expect(clippy::disallowed_methods, reason = "copies sources, runs cargo and the simulator")]
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

const TABLE: &str = "tests/mutants/mutants.toml";
/// Below the target folder of the workspace: the copy, and what is built of it.
const FOLDER: &str = "target/mutants";
/// Seeds that are run at once; the budget is looked at in between.
const CHUNK: u64 = 40;
/// A chunk, or a run of tests, that takes longer hangs: that is noticed too.
const LIMIT: Duration = Duration::from_secs(300);
/// Optimised enough to run seeds, built as fast as that allows.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "true"),
    ("CARGO_PROFILE_RELEASE_STRIP", "none"),
    // Tests are built so in any case.
    ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
];

/// One bug.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    /// What it would do to people.
    text: String,
    file: String,
    /// Stands exactly once in `file`.
    old: String,
    new: String,
    /// How many seeds may be run, when no test notices; without it only tests are.
    seeds: Option<u64>,
    /// Arguments of `cargo test`.
    tests: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutant: Vec<Mutant>,
}

/// How a bug fared.
struct Seen {
    /// Who noticed; `None`: nobody.
    caught: Option<String>,
    /// After what.
    after: String,
    took: Duration,
}

/// A bug that was noticed, for a run that goes on where this one was ended.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Noticed {
    name: String,
    /// The bug as it was then.
    new: String,
    caught: String,
    after: String,
    seconds: u64,
}

#[derive(Default, Deserialize, Serialize)]
struct Journal {
    noticed: Vec<Noticed>,
}

const USAGE: &str = "usage: cargo xtask mutants [--only NAME | --table FILE | --go-on FILE]
  --only NAME   this one
  --table FILE  all, and the table goes there
  --go-on FILE  the same, but for those that an earlier run with a table has seen noticed";

/// Runs what the arguments choose; whether every bug was noticed.
pub(crate) fn run(root: &Path, args: impl Iterator<Item = String>) -> Result<bool, String> {
    let args: Vec<String> = args.collect();
    let (only, table, goes_on) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (None, None, false),
        ["--only", name] => (Some(name), None, false),
        ["--table", file] => (None, Some(file), false),
        ["--go-on", file] => (None, Some(file), true),
        _ => return Err(USAGE.to_owned()),
    };
    let mutants = read(root)?;
    let chosen: Vec<&Mutant> =
        mutants.iter().filter(|mutant| only.is_none_or(|name| mutant.name == name)).collect();
    if chosen.is_empty() {
        return Err("no such mutant".to_owned());
    }
    let tree = copy(root)?;
    // A checker that complains of everything would catch everything.
    let original = seeds(&tree, root, CHUNK)?;
    if let Some(caught) = original.caught {
        return Err(format!("the sources without any bug are complained of: {caught}"));
    }
    let journal = root.join(FOLDER).join("noticed.toml");
    let before = if goes_on { earlier(&journal)? } else { Journal::default() };
    let mut rows = Vec::new();
    for mutant in chosen {
        let seen = match before.of(mutant) {
            Some(seen) => seen,
            None => judge(mutant, &tree, root)?,
        };
        let caught = seen.caught.as_deref().unwrap_or("NOBODY");
        println!("{:<28} {caught} after {} ({} s)", mutant.name, seen.after, seen.took.as_secs());
        rows.push((mutant, seen));
        if let Some(file) = table {
            put(Path::new(file), &page(&rows, mutants.len()))?;
            let text = toml::to_string(&Journal::new(&rows)).map_err(|error| error.to_string())?;
            put(&journal, &text)?;
        }
    }
    let survivors = rows.iter().filter(|(_, seen)| seen.caught.is_none()).count();
    println!("{} bugs, {survivors} not noticed", rows.len());
    Ok(survivors == 0)
}

fn put(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn earlier(journal: &Path) -> Result<Journal, String> {
    let text = fs::read_to_string(journal).map_err(|_| "there was no earlier run".to_owned())?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", journal.display()))
}

impl Journal {
    fn new(rows: &[(&Mutant, Seen)]) -> Self {
        let noticed = rows.iter().filter_map(|(mutant, seen)| {
            Some(Noticed {
                name: mutant.name.clone(),
                new: mutant.new.clone(),
                caught: seen.caught.clone()?,
                after: seen.after.clone(),
                seconds: seen.took.as_secs(),
            })
        });
        Self { noticed: noticed.collect() }
    }

    /// How it fared then, unless it is another bug today.
    fn of(&self, mutant: &Mutant) -> Option<Seen> {
        let same = |then: &&Noticed| then.name == mutant.name && then.new == mutant.new;
        let Noticed { caught, after, seconds, .. } = self.noticed.iter().find(same)?.clone();
        Some(Seen { caught: Some(caught), after, took: Duration::from_secs(seconds) })
    }
}

/// Bugs that cannot be made any more, for `tidy`.
pub(crate) fn stale(root: &Path) -> Vec<String> {
    let mutants = match read(root) {
        Ok(mutants) => mutants,
        Err(error) => return vec![error],
    };
    let mut faults = Vec::new();
    for (index, mutant) in mutants.iter().enumerate() {
        if let Err(error) = apply(mutant, root) {
            faults.push(format!("{TABLE}: {}: {error}", mutant.name));
        }
        if mutants[..index].iter().any(|other| other.name == mutant.name) {
            faults.push(format!("{TABLE}: {}: twice", mutant.name));
        }
        if mutant.seeds.is_none() && mutant.tests.is_none() {
            faults.push(format!("{TABLE}: {}: nobody is to notice", mutant.name));
        }
    }
    faults
}

fn read(root: &Path) -> Result<Vec<Mutant>, String> {
    let text = fs::read_to_string(root.join(TABLE)).map_err(|error| format!("{TABLE}: {error}"))?;
    let table: Table = toml::from_str(&text).map_err(|error| format!("{TABLE}: {error}"))?;
    Ok(table.mutant)
}

/// The original and the changed text of the file.
fn apply(mutant: &Mutant, root: &Path) -> Result<(String, String), String> {
    let file = root.join(&mutant.file);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", mutant.file))?;
    match text.matches(&mutant.old).count() {
        1 => {
            let changed = text.replacen(&mutant.old, &mutant.new, 1);
            Ok((text, changed))
        }
        count => Err(format!("`old` stands {count} times in {}, not once", mutant.file)),
    }
}

/// Brings the copy up to date; what has not changed keeps its time, so that cargo builds little.
fn copy(root: &Path) -> Result<PathBuf, String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let listed = listed.map_err(|error| format!("git: {error}"))?;
    let tree = root.join(FOLDER).join("tree");
    for name in listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = Path::new(std::str::from_utf8(name).map_err(|error| error.to_string())?);
        let (from, to) = (root.join(name), tree.join(name));
        if !from.is_file() {
            // A link, or a file that was removed and is still in the index.
            let _ = fs::remove_file(&to);
            continue;
        }
        let bytes = fs::read(&from).map_err(|error| format!("{}: {error}", from.display()))?;
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        let written =
            to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&to, bytes));
        written.map_err(|error| format!("{}: {error}", to.display()))?;
    }
    Ok(tree)
}

/// Makes the bug, asks whoever may notice, and puts the copy right again.
fn judge(mutant: &Mutant, tree: &Path, root: &Path) -> Result<Seen, String> {
    let (original, changed) = apply(mutant, tree)?;
    let file = tree.join(&mutant.file);
    put(&file, &changed)?;
    let seen = ask(mutant, tree, root);
    put(&file, &original)?;
    seen.map_err(|error| format!("{}: {error}", mutant.name))
}

fn ask(mutant: &Mutant, tree: &Path, root: &Path) -> Result<Seen, String> {
    let mut after = Vec::new();
    let mut took = Duration::ZERO;
    // What is quicker goes first.
    if let Some(tests) = &mutant.tests {
        let seen = run_tests(tree, root, tests)?;
        took += seen.took;
        if seen.caught.is_some() {
            return Ok(seen);
        }
        after.push(seen.after);
    }
    if let Some(budget) = mutant.seeds {
        let seen = seeds(tree, root, budget)?;
        took += seen.took;
        if seen.caught.is_some() {
            return Ok(seen);
        }
        after.push(seen.after);
    }
    Ok(Seen { caught: None, after: after.join(" and "), took })
}

fn cargo(tree: &Path, root: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(tree).envs(PROFILE).env("CARGO_TARGET_DIR", root.join(FOLDER).join("out"));
    // It would build into the folder of the program that runs this.
    cargo.env_remove("CARGO_MANIFEST_DIR");
    cargo
}

/// Builds the simulator and runs seeds until one complains or the budget is spent. The time is that of
/// the seeds.
fn seeds(tree: &Path, root: &Path, budget: u64) -> Result<Seen, String> {
    let built = cargo(tree, root)
        .args(["build", "--release", "--offline", "--quiet", "-p", "hb-sim"])
        .output();
    let built = built.map_err(|error| format!("cargo: {error}"))?;
    if !built.status.success() {
        return Err(format!("does not build:\n{}", String::from_utf8_lossy(&built.stderr)));
    }
    let program = root.join(FOLDER).join("out/release/hb-sim");
    let begun = Instant::now();
    let mut from = 1;
    while from <= budget {
        let count = CHUNK.min(budget + 1 - from);
        let mut command = Command::new(&program);
        command.args(["--from", &from.to_string(), "--seeds", &count.to_string()]);
        let (output, in_time) = limited(&mut command)?;
        if !in_time {
            let caught = Some("the simulator: time stands still".to_owned());
            return Ok(Seen { caught, after: format!("{from} seeds"), took: begun.elapsed() });
        }
        if !output.status.success() {
            let (seed, what) = complaint(&output);
            let after = format!("{} seeds", seed.unwrap_or(from));
            return Ok(Seen { caught: Some(what), after, took: begun.elapsed() });
        }
        from += count;
    }
    Ok(Seen { caught: None, after: format!("{budget} seeds"), took: begun.elapsed() })
}

/// The first seed that failed, and the property.
fn complaint(output: &Output) -> (Option<u64>, String) {
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = said.lines().filter_map(|line| {
        let (seed, text) = line.strip_prefix("seed ")?.split_once(": ")?;
        Some((seed.parse::<u64>().ok()?, text.to_owned()))
    });
    if let Some((seed, text)) = failed.min_by_key(|(seed, _)| *seed) {
        let property = text.strip_prefix("VIOLATED ").and_then(|text| text.split_once(" at "));
        let what = property.map_or(text.as_str(), |(property, _)| property);
        return (Some(seed), format!("the simulator: {what}"));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let panic = said.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
    (None, format!("the simulator: {}", panic.unwrap_or("it broke off").trim()))
}

fn run_tests(tree: &Path, root: &Path, tests: &str) -> Result<Seen, String> {
    let build = |words: &[&str]| {
        let mut command = cargo(tree, root);
        command.args(["test", "--release", "--offline"]).args(tests.split_whitespace()).args(words);
        command
    };
    let built = build(&["--no-run"]).output().map_err(|error| format!("cargo: {error}"))?;
    if !built.status.success() {
        return Err(format!("does not build:\n{}", String::from_utf8_lossy(&built.stderr)));
    }
    let begun = Instant::now();
    let (output, in_time) = limited(&mut build(&[]))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed =
        said.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let caught = match (in_time, output.status.success(), failed) {
        (false, _, _) => Some("tests: one never ends".to_owned()),
        (true, false, Some(name)) => Some(format!("the test {name}")),
        (true, false, None) => Some("tests: they broke off".to_owned()),
        (true, true, _) => None,
    };
    Ok(Seen { caught, after: "the tests".to_owned(), took: begun.elapsed() })
}

/// Runs a command; `false` when it had to be ended. Its output goes to files, so that no pipe fills.
fn limited(command: &mut Command) -> Result<(Output, bool), String> {
    let scratch =
        |name: &str| std::env::temp_dir().join(format!("hb-mutants-{}-{name}", std::process::id()));
    let (out, err) = (scratch("out"), scratch("err"));
    let create = |path: &Path| fs::File::create(path).map_err(|error| error.to_string());
    command.stdout(create(&out)?).stderr(create(&err)?).stdin(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let (status, in_time) = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break (status, true);
        }
        if begun.elapsed() > LIMIT {
            let _ = child.kill();
            break (child.wait().map_err(|error| error.to_string())?, false);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let read = |path: &Path| {
        let bytes = fs::read(path).unwrap_or_default();
        let _ = fs::remove_file(path);
        bytes
    };
    Ok((Output { status, stdout: read(&out), stderr: read(&err) }, in_time))
}

/// The table, of `total` bugs those that have been made so far.
fn page(rows: &[(&Mutant, Seen)], total: usize) -> String {
    let mut page = String::from(
        "# Deliberate bugs, and who notices them\n\n\
         A checker that has never complained proves nothing. Each bug of `tests/mutants/mutants.toml` is made in a \
         copy of the\nsources, and the tests that the table names, or else the simulator's seeds from 1 upwards, must \
         notice. Written by\n`cargo xtask mutants --table docs/failures/mutants.md`; it takes an hour or two and is \
         not run for every commit. `cargo xtask tidy`\nchecks on every commit that each bug can still be made.\n\n\
         | Bug | What it does | Noticed by | After | Seconds |\n|---|---|---|---|---|\n",
    );
    for (mutant, seen) in rows {
        // Writing into a string cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            mutant.name,
            mutant.text,
            seen.caught.as_deref().unwrap_or("**nobody**").replace('|', "\\|"),
            seen.after,
            seen.took.as_secs().max(1)
        );
    }
    if rows.len() < total {
        let _ = writeln!(page, "\n{} of {total} bugs have been made so far.", rows.len());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_that_cannot_be_made_is_told() {
        let mut mutant = read(crate::root()).unwrap().remove(0);
        assert!(apply(&mutant, crate::root()).is_ok());
        mutant.old = "this stands nowhere".to_owned();
        assert!(apply(&mutant, crate::root()).unwrap_err().contains("0 times"));
        mutant.old = "\n".to_owned();
        assert!(apply(&mutant, crate::root()).unwrap_err().contains("not once"));
    }

    #[test]
    fn what_was_noticed_stays_noticed_as_long_as_it_is_the_same_bug() {
        let mut mutants = read(crate::root()).unwrap();
        let seen = |caught: Option<&str>| Seen {
            caught: caught.map(str::to_owned),
            after: "3 seeds".to_owned(),
            took: Duration::from_secs(9),
        };
        let rows = [(&mutants[0], seen(Some("a test"))), (&mutants[1], seen(None))];
        let text = toml::to_string(&Journal::new(&rows)).unwrap();
        let journal: Journal = toml::from_str(&text).unwrap();
        let then = journal.of(&mutants[0]).unwrap();
        assert_eq!((then.caught.as_deref(), then.took.as_secs()), (Some("a test"), 9));
        assert!(journal.of(&mutants[1]).is_none(), "nobody noticed it");
        mutants[0].new.push(' ');
        assert!(journal.of(&mutants[0]).is_none(), "another bug");
    }

    #[test]
    fn the_first_seed_that_failed_is_found() {
        let stdout = b"seed 7: VIOLATED S3 order at 1.5: x\n  replay: y\nseed 3: VIOLATED S1 one owner at 2: z\n";
        let status = std::os::unix::process::ExitStatusExt::from_raw(256);
        let output = Output { status, stdout: stdout.to_vec(), stderr: Vec::new() };
        assert_eq!(complaint(&output), (Some(3), "the simulator: S1 one owner".to_owned()));
    }
}
