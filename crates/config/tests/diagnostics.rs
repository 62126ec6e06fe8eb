//! Golden cases: each folder of `tests/cli/diagnostics` holds the files of one node and a snapshot
//! of what `hb check` prints for them. `case.toml` may say `node` ("" for
//! unknown), `unreadable` (a file), `last_lines` of the output to keep, `[mode]` of files,
//! `[secrets]`: modes of files that hb.toml names, and `[repeat]`: how often a file's text is repeated.
//! `INSTA_UPDATE=always cargo test -p hb-config --test diagnostics` writes them again.
#![expect(clippy::disallowed_methods, reason = "the test reads its cases")]

use std::fs;
use std::path::{Path, PathBuf};

use hb_config::render::{self, Style};
use hb_config::settings::NodeName;
use hb_config::span::FileId;
use hb_config::{Code, FileState, Files, Loaded, load};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cli/diagnostics");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

struct Case {
    files: Files,
    node: Option<NodeName>,
    /// Only the last lines of the output are kept, where all would be long and tell nothing.
    last_lines: usize,
}

fn read(dir: &Path) -> Case {
    let text = fs::read_to_string(dir.join("case.toml")).unwrap_or_default();
    let options: toml::Table = text.parse().unwrap();
    let node = match options.get("node").and_then(|value| value.as_str()) {
        Some("") => None,
        Some(name) => Some(NodeName::new(name)),
        None => Some(NodeName::new("node1")),
    };
    let number = |section: &str, name: &str| -> Option<u32> {
        let value = options.get(section)?.as_table()?.get(name)?.as_integer()?;
        Some(u32::try_from(value).unwrap())
    };
    let mut files = Files::missing_in("/etc/ha.d");
    for id in FileId::ALL {
        let usual = if id == FileId::AuthKeys { 0o600 } else { 0o644 };
        let mode = number("mode", id.file_name()).unwrap_or(usual);
        if let Ok(bytes) = fs::read(dir.join(id.file_name())) {
            let times = number("repeat", id.file_name()).unwrap_or(1);
            files.set(id, &bytes.repeat(usize::try_from(times).unwrap()), Some(mode));
        }
        if options.get("unreadable").and_then(|value| value.as_str()) == Some(id.file_name()) {
            let name = files.get(id).name().to_owned();
            *files.get_mut(id) = FileState::Unreadable { name, reason: "Permission denied".into() };
        }
    }
    let secrets = options.get("secrets").and_then(toml::Value::as_table).into_iter().flatten();
    let mode = |value: &toml::Value| u32::try_from(value.as_integer().unwrap()).unwrap();
    files.secret_modes = secrets.map(|(path, value)| (path.clone(), mode(value))).collect();
    let last_lines = options.get("last_lines").and_then(toml::Value::as_integer);
    let last_lines = last_lines.map_or(usize::MAX, |lines| usize::try_from(lines).unwrap());
    Case { files, node, last_lines }
}

fn output(case: &Case, loaded: &Loaded) -> String {
    let mut text = render::human(&case.files, &loaded.diagnostics, Style::default());
    text.push_str(&render::summary(loaded, "/etc/ha.d", case.node.as_ref().map(NodeName::as_str)));
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(case.last_lines)..].join("\n")
}

#[test]
fn each_case_prints_what_its_snapshot_says() {
    for dir in cases() {
        let case = read(&dir);
        let loaded = load(&case.files, case.node.as_ref());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&dir);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("output", output(&case, &loaded)));
    }
}

#[test]
fn every_code_has_a_case() {
    let mut missing: Vec<Code> = Code::ALL.to_vec();
    for dir in cases() {
        let case = read(&dir);
        let loaded = load(&case.files, case.node.as_ref());
        missing.retain(|code| !loaded.diagnostics.iter().any(|found| found.code == *code));
    }
    assert!(missing.is_empty(), "no golden case for {missing:?}");
}

#[test]
fn every_finding_says_what_to_do() {
    for dir in cases() {
        let case = read(&dir);
        for found in load(&case.files, case.node.as_ref()).diagnostics {
            assert!(!found.help.is_empty(), "{}: {found:?}", dir.display());
            assert!(!found.message.ends_with('.'), "{}: {found:?}", dir.display());
            let places = found.labels.iter().filter(|label| label.primary).count();
            assert!(places == 1 || found.labels.is_empty(), "{}: {found:?}", dir.display());
        }
    }
}
