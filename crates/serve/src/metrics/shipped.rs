//! The alert rules and the dashboard that are shipped, against what is exported: no name in them that
//! nobody exports, no name that nobody looks at. promtool judges the rest where it is installed.
#![expect(clippy::disallowed_methods, reason = "reads shipped files, runs promtool")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::text;
use crate::testing;

const RULES: &str = "etc/prometheus/twinbeat.rules.yml";
const DASHBOARD: &str = "etc/grafana/twinbeat.json";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of series, each with the metric that it belongs to.
fn exported() -> Vec<(String, String)> {
    let text = text(&testing::healthy(), &[], None);
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let series = |(name, kind): (&str, &str)| {
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        let series = |ending: &&str| (format!("{name}{ending}"), name.to_owned());
        endings.iter().map(series).collect::<Vec<_>>()
    };
    kinds.flat_map(series).collect()
}

/// Words of an expression that are names of ours.
fn names(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("hb_")).map(str::to_owned).collect()
}

fn rule_lines(key: &str) -> Vec<String> {
    let text = file(RULES);
    let values = text.lines().filter_map(|line| {
        let line = line.trim_start().trim_start_matches("- ");
        line.strip_prefix(key).map(|value| value.trim().to_owned())
    });
    values.collect()
}

/// Every `expr` below `value`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key == "expr" || key == "definition" => {
                        found.push(text.to_owned());
                    }
                    Some(_) | None => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn dashboard() -> Vec<String> {
    let value: Value = serde_json::from_str(&file(DASHBOARD)).expect("valid JSON");
    let mut found = Vec::new();
    expressions(&value, &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

#[test]
fn what_is_shipped_names_what_is_exported_and_all_of_it() {
    let exported = exported();
    let known: BTreeSet<&str> = exported.iter().map(|(series, _)| series.as_str()).collect();
    let rules = rule_lines("expr:");
    assert!(rules.len() > 10, "{rules:?}");
    let mut used: BTreeSet<String> = BTreeSet::new();
    for expression in rules.into_iter().chain(dashboard()) {
        let names = names(&expression);
        assert!(!names.is_empty(), "{expression}");
        for name in &names {
            assert!(known.contains(name.as_str()), "{name} of `{expression}` is not exported");
        }
        used.extend(names);
    }
    for (_, metric) in &exported {
        let mut series = exported.iter().filter(|(_, other)| other == metric);
        assert!(series.any(|(series, _)| used.contains(series)), "nobody looks at {metric}");
    }
}

#[test]
fn each_alert_leads_to_a_page_that_exists() {
    let (alerts, pages) = (rule_lines("alert:"), rule_lines("runbook:"));
    assert_eq!(alerts.len(), pages.len());
    assert_eq!(alerts.len(), alerts.iter().collect::<BTreeSet<_>>().len());
    for page in pages {
        assert!(page.starts_with("docs/guide/alarms/"), "{page}");
        assert!(root().join(&page).is_file(), "{page}");
    }
}

#[test]
fn ids_of_problems_are_those_of_the_reference() {
    let page = file("docs/reference/status-json.md");
    for id in super::PROBLEMS {
        assert!(page.contains(&format!("`{id}`")), "{id}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn promtool_finds_nothing_wrong() {
    let check = Command::new("promtool").args(["check", "rules"]).arg(root().join(RULES)).output();
    let Ok(output) = check else {
        // Debian has it only together with a server that would start by itself.
        eprintln!("SKIP: promtool is not installed (package prometheus): rules not checked by it");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
