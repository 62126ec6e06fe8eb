//! Tables of results per class.

use proptest::prelude::*;

use super::*;

fn text(output: &str) -> Text<'_> {
    Text { stdout: output.as_bytes(), all: output.as_bytes() }
}

/// One word per outcome, with the code where there is one.
fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => "ok".into(),
        Outcome::NotRunning => "not running".into(),
        Outcome::Failed { code: Some(code), .. } => format!("failed {code}"),
        Outcome::Failed { code: None, .. } => "failed".into(),
        Outcome::TimedOut => "timed out".into(),
        Outcome::CouldNotRun { .. } => "could not run".into(),
    }
}

#[test]
fn scripts_of_resource_d_are_judged_by_text() {
    let check = |action, code, output: &str, expect: &str| {
        let got = judge(Class::Heartbeat, action, Exit::Code(code), text(output));
        assert_eq!(short(&got), expect, "{action:?} {code} {output:?}");
    };
    for word in ["not running", "Not running", "not Running", "Not Running"] {
        check(Action::Status, 0, &format!("x is {word} (OK)"), "not running");
    }
    check(Action::Status, 0, "running", "ok");
    check(Action::Status, 3, "nginx (pid 12) is Running", "ok");
    check(Action::Status, 1, "OK", "ok");
    check(Action::Status, 0, "stopped", "not running");
    check(Action::Status, 0, "", "not running");
    check(Action::Status, 0, "RUNNING", "not running");
    check(Action::Status, 0, "ok", "not running");
    check(Action::Status, 7, "Resource is stopped", "not running");
    // Heartbeat looks for the two letters anywhere; scripts that rely on it exist.
    check(Action::Status, 0, "BROKEN", "ok");
    check(Action::Status, 126, "", "could not run");
    check(Action::Status, 127, " \n", "could not run");
    check(Action::Status, 127, "running", "ok");
    check(Action::Start, 0, "", "ok");
    check(Action::Start, 1, "running", "failed 1");
    check(Action::Start, 127, "", "could not run");
    check(Action::Stop, 0, "not running", "ok");
    check(Action::Stop, 7, "", "failed 7");
}

#[test]
fn text_on_standard_error_does_not_count_as_status() {
    let text = Text { stdout: b"stopped\n", all: b"stopped\nnginx: OK\n" };
    let got = judge(Class::Heartbeat, Action::Status, Exit::Code(0), text);
    assert_eq!(got, Outcome::NotRunning);
}

#[test]
fn init_scripts_are_judged_by_lsb_codes() {
    let check = |action, code, expect: &str| {
        let got = judge(Class::Lsb, action, Exit::Code(code), text("is running"));
        assert_eq!(short(&got), expect, "{action:?} {code}");
    };
    check(Action::Status, 0, "ok");
    check(Action::Status, 1, "not running");
    check(Action::Status, 2, "not running");
    check(Action::Status, 3, "not running");
    check(Action::Status, 4, "failed 4");
    check(Action::Status, 99, "failed 99");
    check(Action::Status, 127, "could not run");
    check(Action::Start, 0, "ok");
    check(Action::Start, 1, "failed 1");
    check(Action::Start, 5, "could not run");
    check(Action::Start, 7, "failed 7");
    check(Action::Stop, 0, "ok");
    check(Action::Stop, 7, "ok");
    check(Action::Stop, 1, "failed 1");
    check(Action::Stop, 126, "could not run");
}

#[test]
fn ocf_agents_are_judged_by_ocf_codes() {
    let check = |action, code, expect: &str| {
        let got = judge(Class::Ocf, action, Exit::Code(code), text(""));
        assert_eq!(short(&got), expect, "{action:?} {code}");
    };
    check(Action::Status, 0, "ok");
    check(Action::Status, 1, "failed 1");
    for code in 2..=6 {
        check(Action::Status, code, "could not run");
    }
    check(Action::Status, 7, "not running");
    check(Action::Status, 8, "ok");
    check(Action::Status, 9, "failed 9");
    check(Action::Status, 190, "ok");
    check(Action::Start, 0, "ok");
    check(Action::Start, 1, "failed 1");
    check(Action::Start, 2, "failed 2");
    check(Action::Start, 3, "failed 3");
    check(Action::Start, 4, "failed 4");
    check(Action::Start, 5, "could not run");
    check(Action::Start, 6, "failed 6");
    check(Action::Start, 7, "failed 7");
    check(Action::Stop, 0, "ok");
    check(Action::Stop, 7, "ok");
    check(Action::Stop, 1, "failed 1");
    check(Action::Stop, 5, "could not run");
    check(Action::Validate, 0, "ok");
    check(Action::Validate, 3, "ok");
    check(Action::Validate, 5, "could not run");
    check(Action::Validate, 6, "failed 6");
}

#[test]
fn a_death_by_signal_is_a_failure_in_every_class() {
    for class in [Class::Heartbeat, Class::Lsb, Class::Ocf, Class::Systemd] {
        let got = judge(class, Action::Status, Exit::Signal(9), text("out of memory"));
        let reason = "ended by signal 9: out of memory".to_owned();
        assert_eq!(got, Outcome::Failed { code: None, reason });
    }
}

#[test]
fn units_are_judged_by_their_state() {
    let check = |action, state: [&str; 3], expect: &str| {
        let [load, active, sub] = state.map(str::to_owned);
        let got = judge_unit(action, &UnitState { load, active, sub }, text(""));
        assert_eq!(short(&got), expect, "{action:?} {state:?}");
    };
    check(Action::Status, ["loaded", "active", "running"], "ok");
    check(Action::Status, ["loaded", "active", "exited"], "ok");
    check(Action::Status, ["loaded", "reloading", "reload"], "ok");
    check(Action::Status, ["loaded", "inactive", "dead"], "not running");
    check(Action::Status, ["loaded", "failed", "failed"], "not running");
    check(Action::Status, ["loaded", "activating", "start"], "not running");
    check(Action::Status, ["loaded", "activating", "auto-restart"], "not running");
    check(Action::Status, ["loaded", "deactivating", "stop-sigterm"], "failed");
    check(Action::Status, ["not-found", "inactive", "dead"], "could not run");
    check(Action::Status, ["not-found", "active", "running"], "ok");
    check(Action::Start, ["loaded", "active", "running"], "ok");
    check(Action::Start, ["loaded", "activating", "auto-restart"], "failed");
    check(Action::Start, ["loaded", "inactive", "dead"], "failed");
    check(Action::Start, ["loaded", "failed", "failed"], "failed");
    check(Action::Start, ["masked", "inactive", "dead"], "failed");
    check(Action::Start, ["not-found", "inactive", "dead"], "could not run");
    check(Action::Validate, ["loaded", "inactive", "dead"], "ok");
    check(Action::Validate, ["loaded", "failed", "failed"], "ok");
    check(Action::Validate, ["masked", "inactive", "dead"], "failed");
    check(Action::Validate, ["bad-setting", "inactive", "dead"], "failed");
    check(Action::Validate, ["not-found", "inactive", "dead"], "could not run");
    check(Action::Stop, ["loaded", "inactive", "dead"], "ok");
    check(Action::Stop, ["loaded", "failed", "failed"], "ok");
    check(Action::Stop, ["not-found", "inactive", "dead"], "ok");
    check(Action::Stop, ["loaded", "active", "running"], "failed");
    check(Action::Stop, ["loaded", "deactivating", "stop-sigterm"], "failed");
}

#[test]
fn the_state_of_a_unit_is_read_line_by_line() {
    let state = UnitState::parse(b"LoadState=loaded\nActiveState=active\nSubState=running\n");
    let expect =
        UnitState { load: "loaded".into(), active: "active".into(), sub: "running".into() };
    assert_eq!(state, Some(expect));
    for nothing in ["", "Failed to connect to bus: Host is down\n", "ActiveState=\n"] {
        assert_eq!(UnitState::parse(nothing.as_bytes()), None, "{nothing:?}");
    }
}

#[test]
fn unreachable_systemd_is_unknown_not_stopped() {
    let said = text("Failed to connect to bus: No such file or directory");
    let got = unit_unknown(Exit::Code(1), said);
    let Outcome::CouldNotRun { reason } = got else { panic!("{got:?}") };
    assert!(reason.contains("state unknown") && reason.contains("connect to bus"), "{reason}");
}

#[test]
fn reasons_are_the_last_lines_in_one_plain_line() {
    let check = |output: &[u8], expect: &str| assert_eq!(reason(output), expect);
    check(b"", "");
    check(b"\n\n", "");
    check(b"one\n  two \n", "one; two");
    check(b"red \x1b[31m\r\n", "red ?[31m");
    check(b"\xff\xfe", "\u{fffd}\u{fffd}");
    let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
    check(
        many.as_bytes(),
        "line 92; line 93; line 94; line 95; line 96; line 97; line 98; line 99",
    );
}

proptest! {
    #[test]
    fn reasons_of_any_output_are_bounded_and_plain(output: Vec<u8>) {
        let said = reason(&output);
        prop_assert!(said.len() <= REASON_MAX);
        prop_assert!(!said.chars().any(char::is_control));
    }

    #[test]
    fn no_output_makes_a_failed_start_succeed(output: Vec<u8>, code in 1..256) {
        let text = Text { stdout: &output, all: &output };
        for class in [Class::Heartbeat, Class::Lsb, Class::Ocf, Class::Systemd] {
            let got = judge(class, Action::Start, Exit::Code(code), text);
            prop_assert_ne!(got, Outcome::Ok);
        }
    }
}

#[test]
fn long_reasons_keep_their_end() {
    let said = reason(format!("{}end", "ä".repeat(5_000)).as_bytes());
    assert!(said.len() <= REASON_MAX && said.ends_with("end"), "{}", said.len());
}
