//! ha.cf line by line: what is taken, what is reported, and that nothing panics.

use proptest::prelude::*;

use super::*;
use crate::diagnostic::Severity;

/// The codes that `text` gives, as `HBnnnn@line:column`.
fn codes(text: &str) -> Vec<String> {
    let source = SourceFile::from_text("ha.cf", text);
    let (_, found) = parse(&source);
    found
        .iter()
        .map(|diagnostic| {
            let (line, column) = source.position(diagnostic.place().1);
            format!("{}@{line}:{column}", diagnostic.code)
        })
        .collect()
}

fn cf(text: &str) -> HaCf {
    parse(&SourceFile::from_text("ha.cf", text)).0
}

#[test]
fn findings_have_their_places() {
    let check = |text: &str, expect: &[&str]| assert_eq!(codes(text), expect, "{text:?}");
    check("", &[]);
    check("# only a comment\n\n   \t\n", &[]);
    check("node a # b\n", &[]);
    check("node a#b\n", &[]);
    check("  frob 1\n", &["HB0101@1:3"]);
    check("\nNode a\n", &["HB0101@2:1"]);
    check("deadtime=30\n", &["HB0101@1:1"]);
    check("deadtime\n", &["HB0102@1:1"]);
    check("deadtime # 30\n", &["HB0102@1:1"]);
    check("deadtime 10s\n", &["HB0104@1:10"]);
    check("deadtime 10 s\n", &["HB0104@1:10"]);
    check("deadtime 10 20\n", &["HB0103@1:13"]);
    check("deadtime 0\n", &["HB0104@1:10"]);
    check("deadtime 10\ndeadtime 20\n", &["HB0108@2:1"]);
    check("hopfudge 256\n", &["HB0105@1:10"]);
    check("hopfudge +1\n", &["HB0105@1:10"]);
    check("udpport 65536\n", &["HB0105@1:9"]);
    check("realtime 2\n", &["HB0106@1:10"]);
    check("logfacility LOCAL0\n", &["HB0107@1:13"]);
    check("logfile log\n", &["HB0114@1:9"]);
    check("logfile /a#b\n", &["HB0115@1:11"]);
    check("respawn hacluster /usr/lib/heartbeat/ipfail\n", &[]);
    check("respawn hacluster /usr/bin/logger ipfail\n", &["HB0109@1:1"]);
    check("failfast hacluster /usr/lib/heartbeat/ipfail\n", &["HB0109@1:1"]);
    check("respawn hacluster /usr/lib/heartbeat/ipfail-ng\n", &["HB0109@1:1"]);
    check("crm respawn\n", &["HB0110@1:1"]);
    check("pacemaker FALSE\nautojoin none\nuse_apphbd 0\n", &[]);
    check("autojoin other\n", &["HB0110@1:1"]);
    check("bcast eth0\nudpport 694\n", &[]);
    check("bcast eth0\nudpport 695\n", &["HB0123@2:9"]);
    check("mcast eth0 225.0.0.1 694 1 0\nudpport 695\n", &[]);
    check("udpport 695\nbcast eth0\n", &[]);
    check("ucast eth0\n", &["HB0120@1:7"]);
    check("ucast eth0 a b\n", &["HB0120@1:7"]);
    check("ucast eth0 1.2.3\n", &["HB0121@1:12"]);
    check("ucast eth/0 ::1\n", &["HB0124@1:7", "HB0121@1:13"]);
    check("env A\n", &["HB0180@1:5"]);
    check("node a b/c\n", &["HB0165@1:8"]);
}

#[test]
fn a_value_behind_an_equals_sign_is_understood() {
    let check = |line: &str, expect: &str| {
        let found = parse(&SourceFile::from_text("ha.cf", line)).1;
        assert_eq!(found[0].help, [expect], "{line}");
    };
    check("deadtime=30", "write `deadtime 30`");
    check("deadtime: 30", "write `deadtime 30`");
    check("logfile=/var/log/ha", "write `logfile /var/log/ha`");
    check("dedtime 30", "write `deadtime 30`");
}

#[test]
fn messages_hold_no_control_characters() {
    for line in ["fr\x1bob", "debug \x1b[2J", "ucast eth0 \x1b]0;x\x07", "node \x7f"] {
        for found in parse(&SourceFile::from_text("ha.cf", line)).1 {
            let texts = [&found.message].into_iter().chain(&found.help);
            assert!(
                !texts
                    .chain(found.labels.iter().map(|it| &it.text))
                    .any(|it| { it.contains(|c: char| c.is_control()) })
            );
        }
    }
}

#[test]
fn words_are_divided_as_in_heartbeat() {
    let nodes: Vec<_> = cf("node a,b\tc\rnode d\n").nodes.iter().map(|it| it.span.start).collect();
    assert_eq!(nodes, [5, 7, 9, 11, 16], "a carriage return is a blank, not a line end");
    assert_eq!(cf("keepalive 1 2\n").keepalive.map(|it| it.value), Some(2_000));
    assert_eq!(cf("keepalive 1\nkeepalive 2\n").keepalive.map(|it| it.value), Some(2_000));
    assert_eq!(cf("ping_group g a,b\n").pings, [], "ping_group is not an option list");
}

#[test]
fn switches_take_heartbeats_words() {
    for word in ["true", "ON", "Yes", "y", "1"] {
        assert_eq!(cf(&format!("realtime {word}\n")).realtime, Some(true), "{word}");
    }
    for word in ["FALSE", "off", "No", "n", "0"] {
        assert_eq!(cf(&format!("realtime {word}\n")).realtime, Some(false), "{word}");
    }
    assert_eq!(cf("realtime enable\n").realtime, None);
}

#[test]
fn parameters_keep_the_last_word_or_the_whole_line() {
    let parameters =
        cf("udp eth0 eth1\nrespawn root /bin/x -a  b # c\nkeepalive 500ms\n").parameters;
    assert_eq!(parameters["bcast"], "eth1");
    assert_eq!(parameters["respawn"], "root /bin/x -a  b");
    assert_eq!(parameters["keepalive"], "500ms");
    let parameters = cf("stonith_host * ipmi 10.0.0.1 admin password\n").parameters;
    assert!(parameters.is_empty(), "passwords are for nobody");
}

#[test]
fn what_is_faulty_is_known_to_later_checks() {
    let faulty = |text: &str| cf(text).faulty.into_iter().collect::<Vec<_>>();
    assert_eq!(
        faulty("keepalive x\nnode a b/c\nucast eth0\n"),
        [Id::Node, Id::Keepalive, Id::Ucast]
    );
    assert_eq!(faulty("Deadtime 3\nwarntime\n"), [Id::Deadtime, Id::Warntime]);
    assert_eq!(faulty("keepalive 1\nnode a b\nwatchdog /dev/x\n"), []);
}

#[test]
fn every_directive_that_is_not_performed_says_so() {
    for row in directives::TABLE {
        let value = if let Grammar::Choice(words) = row.grammar {
            words.last().copied().unwrap_or_default()
        } else if row.grammar == Grammar::Boolean {
            "on"
        } else if row.grammar.is_scalar() && row.grammar != Grammar::Path {
            "2"
        } else {
            "/a b c"
        };
        // The other value where this one asks for nothing.
        let value = if row.id == Id::Normalpoll { "off" } else { value };
        let source = SourceFile::from_text("ha.cf", &format!("{} {value}\n", row.name));
        let (_, found) = parse(&source);
        let has = |severity| found.iter().any(|it| it.severity == severity);
        match row.support {
            Support::Implemented => {}
            Support::AcceptedWithWarning { .. } => {
                assert!(has(Severity::Warning) && !has(Severity::Error), "{}: {found:?}", row.name);
            }
            Support::Refused { .. } => assert!(has(Severity::Error), "{}", row.name),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_labels_lie_inside(bytes: Vec<u8>) {
        check_labels(&SourceFile::from_bytes("ha.cf", &bytes, None))?;
    }

    #[test]
    fn no_lines_panic_and_labels_lie_inside(
        lines in prop::collection::vec(
            (prop::sample::select(names()), "[ a-z0-9.,:/#=主　\\-]{0,24}"), 0..12,
        ),
    ) {
        let text: String = lines.iter().map(|(name, rest)| format!("{name} {rest}\n")).collect();
        check_labels(&SourceFile::from_text("ha.cf", &text))?;
    }
}

fn names() -> Vec<&'static str> {
    directives::TABLE.iter().map(|row| row.name).chain(["udp", "crm", "frob"]).collect()
}

fn check_labels(source: &SourceFile) -> Result<(), TestCaseError> {
    for found in parse(source).1 {
        for label in &found.labels {
            prop_assert!(source.text().get(label.span.start..label.span.end).is_some());
        }
    }
    Ok(())
}
