//! The page of each state, with times masked, and what no name may do to it.

use hb_node::api::EntryKind;

use super::*;
use crate::testing;

fn shown(known: &Known) -> String {
    let entry = HistoryEntry {
        number: 7,
        kind: EntryKind::Node,
        subject: Some("node1".into()),
        what: "dead".into(),
        cause: "silence".into(),
        reason: "nothing heard".into(),
        ..HistoryEntry::default()
    };
    let clock = |_: u64| "DATE".to_owned();
    whole(&View { known, entries: &[entry], clock: &clock, has_token: false })
}

/// A line for each element, so that a difference can be read.
fn lines(html: &str) -> String {
    testing::masked(html).replace("><", ">\n<")
}

#[test]
fn each_state_has_its_page() {
    insta::assert_snapshot!("healthy", lines(&shown(&testing::healthy())));
    insta::assert_snapshot!("degraded", lines(&shown(&testing::degraded())));
    insta::assert_snapshot!("split", lines(&shown(&testing::split())));
    insta::assert_snapshot!("down", lines(&shown(&testing::down())));
    insta::assert_snapshot!("nothing", lines(&shown(&testing::nothing())));
}

#[test]
fn the_verdict_stands_before_everything_else() {
    for (known, word) in [
        (testing::healthy(), "HEALTHY"),
        (testing::degraded(), "DEGRADED"),
        (testing::split(), "SPLIT"),
        (testing::down(), "UNKNOWN"),
        (testing::nothing(), "UNKNOWN"),
    ] {
        let page = shown(&known);
        let (title, body) = page.split_once("<body>").expect("a body");
        assert!(title.contains(&format!(": {word}</title>")), "{title}");
        let first = body.split("</h1>").next().unwrap_or_default();
        assert!(first.contains(word), "{first}");
    }
}

#[test]
fn what_is_old_says_so_and_no_verdict_looks_current() {
    let page = shown(&testing::down());
    assert!(page.contains("<strong>3 min 02 s old</strong>"), "{page}");
    assert!(page.contains("verdict past") && page.contains("was HEALTHY"), "{page}");
    assert!(!page.contains("verdict good"), "{page}");
}

#[test]
fn each_problem_has_since_and_do() {
    let known = testing::degraded();
    let page = shown(&known);
    let problems = &known.snapshot.as_ref().expect("a state").problems;
    assert_eq!(page.matches("<p class=\"what\">").count(), problems.len());
    assert_eq!(page.matches("<p class=\"do\">do: ").count(), problems.len());
    assert!(page.contains("it would NOT be served"), "{page}");
}

#[test]
fn no_text_of_the_pair_becomes_markup() {
    let mut known = testing::degraded();
    let snapshot = known.snapshot.as_mut().expect("a state");
    let evil = "<img src=x onerror=alert(1)>\"'&";
    snapshot.cluster = evil.into();
    snapshot.problems[0].text = evil.into();
    snapshot.problems[0].hint = evil.into();
    snapshot.groups[0].reason = evil.into();
    snapshot.groups[0].resources[0].text = evil.into();
    snapshot.groups[0].resources[0].last = Some(evil.into());
    snapshot.unready.push(evil.into());
    snapshot.this_node.name = evil.into();
    let page = shown(&known);
    assert!(!page.contains("<img") && !page.contains("x onerror=alert(1)>\""), "{page}");
    assert!(page.matches("&lt;img").count() >= 8, "{page}");
}

#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    for known in [testing::healthy(), testing::split(), testing::nothing()] {
        let page = shown(&known) + &login(true);
        for part in ["style=", "<style", "onclick", "http://", "https://", "//"] {
            assert!(!page.contains(part), "{part}: {page}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script src=\"live.js\" defer></script>"));
    }
}

#[test]
fn without_javascript_the_page_asks_again() {
    let page = shown(&testing::healthy());
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>"));
}
