//! Golden cases: each folder of `tests/cli/migrate` is an installation (`here`), perhaps the other
//! node's copy (`other`), and the rest of a machine (`root`).
//! `INSTA_UPDATE=always cargo test -p hb-cli migrate` writes the snapshots again.

use std::path::Path;

use super::*;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cli/migrate");

fn report(case: &str, node: &str) -> Report {
    let at = |part: &str| Path::new(CASES).join(case).join(part);
    // Git keeps one bit of a mode only; keys that others can read would be a finding.
    use std::os::unix::fs::PermissionsExt;
    for part in ["here", "other"] {
        let keys = at(part).join("authkeys");
        if keys.exists() {
            std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    let args = ScanArgs {
        dir: at("here"),
        other: Some(at("other")).filter(|dir| dir.exists()),
        node: Some(node.to_owned()),
        plan: None,
        json: false,
        root: at("root"),
    };
    scan(&args).unwrap()
}

fn shown(case: &str, text: &str) -> String {
    text.replace(&format!("{CASES}/{case}/here"), "/etc/ha.d")
        .replace(&format!("{CASES}/{case}/other"), "/root/ha.d-node2")
}

fn check(case: &str, node: &str, code: u8) -> String {
    let report = report(case, node);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(CASES).join(case));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let text = shown(case, &report.text());
    settings.bind(|| insta::assert_snapshot!("output", text));
    assert_eq!(exit_code(&report), code, "{case}");
    for text in [report.text(), report.markdown(), report.json()] {
        for secret in ["hidden-from-the-scan", "not-a-real-key", "another-key"] {
            assert!(!text.contains(secret), "{case} tells {secret}");
        }
    }
    text
}

#[test]
fn a_pair_that_is_ready() {
    let text = check("ready", "node1", READY);
    assert!(
        text.starts_with(
            "/etc/ha.d (node1, peer node2): can be migrated one node at a time: yes\n"
        )
    );
}

#[test]
fn the_httpd_pair_of_a_guide() {
    check("httpd-pair", "node1.anyisalin.com", NOT_YET);
}

#[test]
fn the_nginx_pair_of_a_guide() {
    check("nginx-pair", "zhaijunming", NOT_YET);
}

#[test]
fn two_nodes_that_do_not_agree() {
    check("differs", "node1", NOT_YET);
}

#[test]
fn directives_that_are_not_performed() {
    check("directives", "node1", NOT_YET);
}

#[test]
fn remarks_alone_change_the_exit_status() {
    let mut report = report("ready", "node1");
    report.findings.retain(|finding| finding.weight == finding::Weight::Note);
    assert_eq!(exit_code(&report), READY);
    report.findings.push(finding::Finding::new(finding::Weight::Remark, "x", "y"));
    assert_eq!(exit_code(&report), REMARKS);
}

#[test]
fn json_is_one_object() {
    let report: serde_json::Value =
        serde_json::from_str(&report("differs", "node1").json()).unwrap();
    assert_eq!(report["ready"], "not_yet");
    assert_eq!(report["findings"][0]["weight"], "change");
    assert_eq!(report["plan"][2]["nodes"][0], "node2");
}

#[test]
fn the_written_plan_has_everything() {
    let report = report("ready", "node1");
    let text = shown("ready", &report.markdown());
    for step in &report.plan {
        assert!(text.contains(&step.title), "{text}");
        assert!(step.commands.iter().all(|command| text.contains(command)), "{text}");
    }
    assert!(text.contains("## Notes"), "{text}");
}

#[test]
fn a_missing_directory_is_said() {
    let args = ScanArgs {
        dir: Path::new(CASES).join("no-such-case"),
        other: None,
        node: None,
        plan: None,
        json: false,
        root: "/".into(),
    };
    assert!(scan(&args).unwrap_err().contains("--dir DIR"));
}

/// The guide is the plan for node1 and node2 with `auto_failback on`.
#[test]
fn the_guide_has_the_same_steps() {
    const GUIDE: &str = include_str!("../../../../docs/migrating/heartbeat-3.md");
    let (_, steps) = GUIDE.split_once("\n## The steps\n").unwrap();
    let (steps, _) = steps.split_once("\n## ").unwrap();
    let plan = report("ready", "node1").plan;
    assert_eq!(steps.matches("\n### ").count(), plan.len());
    for ((number, text), step) in (1..).zip(steps.split("\n### ").skip(1)).zip(&plan) {
        assert!(text.starts_with(&format!("{number}. {}\n", step.title)), "{text}");
        let block = format!("```sh {}\n{}\n```", step.nodes.join(" "), step.commands.join("\n"));
        assert!(text.contains(&block), "step {number} of the guide is not\n{block}");
    }
}
