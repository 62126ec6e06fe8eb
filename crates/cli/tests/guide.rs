//! The guide is real: `hb check` finds nothing in the configurations of its pages, commands of `hb`
//! in it are taken by the command line, and what makes a file makes a good one.
//!
//! A fenced block whose second word is the name of a configuration file is that file. A page's files are
//! checked together; a file that is given again, and any haresources, begins another configuration.
//! Files that a page does not give are those of `two-machines.md`. A block `sh run` is executed in place of the test's own files.
#![expect(clippy::disallowed_methods, reason = "reads the guide, writes files, runs the program")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
/// Files, and their modes as the guide wants them.
const FILES: [(&str, u32); 4] =
    [("ha.cf", 0o644), ("haresources", 0o644), ("authkeys", 0o600), ("hb.toml", 0o600)];
/// Where the files of others come from.
const BASE: &str = "two-machines.md";
const NODES: [&str; 2] = ["node1", "node2"];

/// A fenced block: what stands behind its fence, its first line's number, its text.
#[derive(Debug)]
struct Block {
    info: Vec<String>,
    line: usize,
    text: String,
}

fn pages(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(DOCS).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(page).expect("a page")
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text += line;
                block.text.push('\n');
            }
            (None, Some(info)) => {
                let info = info.split_whitespace().map(str::to_owned).collect();
                open = Some(Block { info, line: number, text: String::new() });
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block without an end");
    found
}

/// Files of a configuration by name.
type Files = BTreeMap<&'static str, String>;

/// The file that a block is.
fn file_of(block: &Block) -> Option<&'static str> {
    let name = block.info.get(1)?;
    FILES.iter().map(|(file, _)| *file).find(|file| file == name)
}

/// The configurations of a page, each with the line of its last file.
fn configurations(text: &str, base: &Files) -> Vec<(usize, Files)> {
    let mut found = Vec::new();
    let mut files = base.clone();
    let mut given: Vec<&str> = Vec::new();
    let mut last = 0;
    for block in blocks(text) {
        let Some(file) = file_of(&block) else { continue };
        // What hb.toml says is about the resources above it.
        let other_resources = file == "haresources";
        if given.contains(&file) || (other_resources && !given.is_empty()) {
            found.push((last, files.clone()));
            given.clear();
        }
        if other_resources {
            files.remove("hb.toml");
        }
        given.push(file);
        files.insert(file, block.text);
        last = block.line;
    }
    if !given.is_empty() {
        found.push((last, files));
    }
    found
}

fn base() -> Files {
    let text = read(&Path::new(DOCS).join("guide").join(BASE));
    let mut files = Files::new();
    for block in blocks(&text) {
        if let Some(file) = file_of(&block) {
            files.insert(file, block.text);
        } else if block.info == ["sh", "run"] {
            files.insert("authkeys", made_by(&block.text));
        }
    }
    files
}

/// The authkeys that a command of the guide makes.
fn made_by(command: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let here = dir.path().display().to_string();
    let done = Command::new("sh").arg("-c").arg(command.replace("/etc/ha.d", &here)).status();
    assert!(done.expect("sh").success(), "{command}");
    let path = dir.path().join("authkeys");
    let mode = std::fs::metadata(&path).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{command}");
    std::fs::read_to_string(path).expect("made")
}

/// What `hb check` says of `files` on `node`, unless nothing but notes.
fn complaint(files: &Files, node: &str) -> Option<String> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, mode) in FILES {
        let Some(text) = files.get(name) else { continue };
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    }
    let mut check = Command::new(env!("CARGO_BIN_EXE_hb"));
    check.args(["check", "--node", node, "--dir"]).arg(dir.path());
    let output = check.output().expect("hb");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code() != Some(0)).then_some(said)
}

#[test]
fn hb_check_finds_nothing_in_the_configurations() {
    let base = base();
    let mut checked = 0;
    for page in pages("guide") {
        for (line, files) in configurations(&read(&page), &base) {
            for node in NODES {
                let said = complaint(&files, node);
                assert!(said.is_none(), "{}:{line}:\n{}", page.display(), said.unwrap());
            }
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} configurations were found");
}

#[test]
fn a_mistake_in_a_configuration_is_found() {
    let mut files = base();
    assert_eq!(complaint(&files, "node1"), None);
    files.insert("haresources", "node3 192.0.2.100/24/eth0\n".to_owned());
    assert!(complaint(&files, "node1").is_some_and(|said| said.contains("HB0301")));
}

#[test]
fn blocks_become_configurations() {
    let text = "```text ha.cf\na\n```\n```toml hb.toml\nb\n```\n```text hb.toml\nc\n```\n";
    let base = Files::from([("haresources", "r".to_owned())]);
    let found = configurations(text, &base);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1["hb.toml"], "b\n");
    assert_eq!((found[1].1["hb.toml"].as_str(), found[1].1["ha.cf"].as_str()), ("c\n", "a\n"));
    assert_eq!(found[1].1["haresources"], "r");
}

/// Commands of `hb` in a text: lines of `sh` blocks, prompts in screens, code in sentences.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in blocks(text) {
        for line in block.text.lines() {
            let line = line.trim_start();
            let prompt = NODES.iter().find_map(|node| line.strip_prefix(&format!("{node}# ")));
            let is_shell = block.info.first().is_some_and(|word| word == "sh");
            found.extend(prompt.or(is_shell.then_some(line)).map(str::to_owned));
        }
    }
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let parts = found.iter().flat_map(|line| line.split(['|', ';']).flat_map(|it| it.split("&&")));
    let parts = parts.map(|part| part.split('#').next().unwrap_or_default().trim());
    parts.filter(|part| part.starts_with("hb ")).map(str::to_owned).collect()
}

/// Words as a shell makes them, as far as the documentation needs it.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in command.chars() {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, ' ') => words.push(String::new()),
            (Some(_) | None, _) => words.last_mut().expect("one word").push(letter),
        }
    }
    words.retain(|word| !word.is_empty() && !word.starts_with('>'));
    words
}

#[test]
fn commands_of_hb_are_taken() {
    use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand};
    let mut tried = 0;
    let mut all = pages("guide");
    all.extend(pages("migrating"));
    all.extend(["README.md", "CONTRIBUTING.md"].map(|name| Path::new(DOCS).join("..").join(name)));
    for page in all {
        for command in commands(&read(&page)) {
            match hb_cli::command::tree().try_get_matches_from(words(&command)) {
                Ok(_) => tried += 1,
                // A verb that needs another word is spoken of by its name.
                Err(error)
                    if matches!(
                        error.kind(),
                        DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand
                    ) =>
                {
                    tried += 1;
                }
                Err(error) => panic!("{}: `{command}`: {error}", page.display()),
            }
        }
    }
    assert!(tried > 60, "only {tried} commands were found");
}

/// Words in backticks of the first column of the tables below a heading.
fn first_column(text: &str, heading: &str) -> Vec<String> {
    let section = text.lines().skip_while(|line| *line != heading).skip(1);
    let rows = section.take_while(|line| !line.starts_with("## ")).filter(|it| it.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

#[test]
fn every_problem_has_its_page() {
    let reference = read(&Path::new(DOCS).join("reference/status-json.md"));
    let index = read(&Path::new(DOCS).join("guide/alarms/README.md"));
    let problems = first_column(&reference, "## Problems");
    assert!(problems.len() > 15, "{problems:?}");
    for id in problems {
        assert!(index.contains(&format!("`{id}`")), "alarms/README.md: {id}");
    }
}
