//! Drawing: no secret, no panic, and JSON that programs can read.

use proptest::prelude::*;

use super::*;
use crate::load::load;
use crate::settings::NodeName;
use crate::source::Files;

const SECRET: &str = "hunter2secret";

/// Everything that leaves the crate for these files, joined.
fn everything(files: &Files) -> String {
    let loaded = load(files, Some(&NodeName::new("node1")));
    let mut text = human(files, &loaded.diagnostics, Style::default());
    text.push_str(&human(files, &loaded.diagnostics, Style { color: true, width: 60 }));
    text.push_str(&json(files, &loaded));
    text.push_str(&summary(&loaded, "/etc/ha.d", Some("node1")));
    text.push_str(&format!("{loaded:?} {:?}", files.authkeys));
    for found in &loaded.diagnostics {
        text.push_str(&found.to_line(files));
    }
    text
}

fn files(authkeys: &[u8]) -> Files {
    let mut files = Files::missing_in("/etc/ha.d");
    files.set(FileId::HaCf, b"node node1 node2\nbcast eth0\n", Some(0o644));
    files.set(FileId::HaResources, b"node1 10.0.0.9 nginx\n", Some(0o644));
    files.set(FileId::AuthKeys, authkeys, Some(0o644));
    files
}

#[test]
fn a_key_is_never_shown() {
    for text in [
        "auth 1\n1 sha1 hunter2secret\n",
        "1 sha1 hunter2secret\nauth 1\n",
        "auth hunter2secret\n",
        "auth 1 hunter2secret\n",
        "ahunter2secret\n",
        "hunter2secret\n",
        "1 hunter2secret\n",
        "1 sha1 key hunter2secret\n",
        "1 crc hunter2secret\n",
        "1 hmac hunter2secret\n",
        "sha1 hunter2secret\n",
        "hunter2secret sha1 1\n",
        "#1 sha1 hunter2secret\nauth 1\n1 sha1\n",
        "auth 1\n# hunter2secret\n1 sha1 x\n1 sha1 hunter2secret\n1 sha1 x\n",
        "99 sha1 hunter2secret\n",
        "1sha1hunter2secret\n",
        "auth 1\r1 sha1 hunter2secret\n",
        "\u{feff}1 sha1 hunter2secret\n",
    ] {
        let text = everything(&files(text.as_bytes()));
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn passwords_in_other_files_are_not_drawn() {
    let mut files = files(b"auth 1\n1 sha1 0123456789abcdef\n");
    let cf = b"node node1 node2\nbcast eth0\nstonith_host * ipmi 10.0.0.1 admin hunter2secret#x\n";
    files.set(FileId::HaCf, cf, None);
    files.set(FileId::HaResources, b"node1 ocf::a:b::db_password=hunter2secret\n", None);
    let loaded = load(&files, Some(&NodeName::new("node1")));
    let drawn = human(&files, &loaded.diagnostics, Style::default());
    assert!(drawn.contains("stonith_host * ipmi ********"), "{drawn}");
    assert!(drawn.contains("db_password=********"), "{drawn}");
    assert!(!(drawn + &json(&files, &loaded)).contains(SECRET));
}

#[test]
fn json_is_for_programs() {
    let files = files("auth 1\n1 sha1 \u{4e3b}ab\n2 crc\n".as_bytes());
    let loaded = load(&files, Some(&NodeName::new("node1")));
    let report: serde_json::Value = serde_json::from_str(&json(&files, &loaded)).unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["starts"], false);
    let found = report["diagnostics"].as_array().unwrap();
    let short = found.iter().find(|it| it["code"] == "HB0413").unwrap();
    assert_eq!(short["severity"], "warning");
    assert_eq!(short["file"], "/etc/ha.d/authkeys");
    let label = &short["labels"][0];
    assert_eq!((label["line"].as_u64(), label["column"].as_u64()), (Some(2), Some(8)));
    assert_eq!(label["end_column"], 11, "columns are characters");
}

#[test]
fn terminal_escapes_in_files_do_not_reach_the_terminal() {
    let mut files = files(b"auth 1\n1 sha1 0123456789abcdef\n");
    files.set(FileId::HaCf, b"fr\x1b[2Job 1\nkeepalive \x1b]0;x\x07\n# \x1b[31m\n", None);
    files.set(FileId::HaResources, b"no\x1bde x\nnode1 a\x1b[1m::b\x07\n", None);
    files.set(FileId::Native, b"\x1b[1m = 3\n[announce]\n\"a\x7f\x1bb\" = 1\n", None);
    let loaded = load(&files, Some(&NodeName::new("node1")));
    let drawn = human(&files, &loaded.diagnostics, Style::default());
    assert!(!drawn.contains(['\x1b', '\x07', '\x7f']), "{drawn:?}");
}

#[test]
fn long_lines_and_far_labels_are_drawn_in_bounds() {
    let mut files = files(b"auth 1\n1 sha1 0123456789abcdef\n");
    let long = format!("frob {}\n", "x".repeat(200_000));
    let far = format!("debug 1\n{}debug 2\n{long}", "# filler\n".repeat(5_000));
    files.set(FileId::HaCf, far.as_bytes(), None);
    let loaded = load(&files, Some(&NodeName::new("node1")));
    let drawn = human(&files, &loaded.diagnostics, Style::default());
    assert!(drawn.len() < 10_000, "{}", drawn.len());
    assert!(drawn.contains("/etc/ha.d/ha.cf:5002:1"), "{drawn}");
    assert!(drawn.contains("/etc/ha.d/ha.cf:1:1"), "{drawn}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_key_of_any_file_is_shown(
        lines in prop::collection::vec(
            prop::collection::vec(
                prop::sample::select(vec![
                    "auth", "1", "2", "16", "sha1", "md5", "crc", "sha", "#", "hunter2secret",
                    "xhunter2secret", "-", "\t", "\r", "主", "",
                ]),
                0..6,
            ),
            0..8,
        ),
    ) {
        let lines: Vec<_> = lines.iter().map(|words| words.join(" ")).collect();
        let text = everything(&files(lines.join("\n").as_bytes()));
        prop_assert!(!text.contains(SECRET), "{}", text);
    }

    #[test]
    fn no_files_make_drawing_panic(
        cf in "(node|bcast|ucast|debug|frob|respawn x|logfile|#| |\t|\n|主|　|\u{200b}|\u{1}|/|a){0,30}",
        resources in "(node1|IPaddr::|10.0.0.9|/24|/eth0|\\\\\n|\\\\|\n|#|主| |::|\"){0,30}",
        keys: Vec<u8>,
        native in "(\\[announce\\]\n|count|=|\"|主|\n|3){0,12}",
    ) {
        let mut files = files(&keys);
        files.set(FileId::HaCf, cf.as_bytes(), Some(0o666));
        files.set(FileId::HaResources, resources.as_bytes(), Some(0o666));
        files.set(FileId::Native, native.as_bytes(), Some(0o666));
        prop_assert!(!everything(&files).is_empty());
    }
}

#[test]
fn a_whole_file_without_its_secrets() {
    let check = |file, text: &str, expect: &str| {
        let source = SourceFile::from_text("f", text);
        assert_eq!(covered(file, &source), expect, "{text:?}");
    };
    check(FileId::AuthKeys, "auth 1\n1 sha1 key\n", "auth 1\n1 sha1 ********\n");
    check(FileId::HaCf, "node a\n\nnode b", "node a\n\nnode b");
    check(FileId::HaCf, "", "");
    check(FileId::HaCf, "\n", "\n");
}
