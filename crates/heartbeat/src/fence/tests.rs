//! What each kind of device is run with, and how its answer is read. The devices are scripts.
#![expect(clippy::disallowed_methods, reason = "writes scripts and reads what they wrote")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hb_resource::exec::RunnerConfig;
use tempfile::TempDir;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

fn device(kind: FenceKind, parameters: &[(&str, &str)]) -> FenceDevice {
    let secret = |value: &str| Secret::new(value.as_bytes().to_vec());
    let parameters =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), secret(value))).collect();
    FenceDevice {
        name: "switch".to_owned(),
        target: None,
        level: 1,
        kind,
        parameters,
        timeout_ms: 20_000,
        retries_max: 0,
    }
}

fn script(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join("device");
    let log = dir.path().join("log");
    fs::write(&path, format!("#!/bin/sh\nL={}\n{text}\n", log.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_string_lossy().into_owned()
}

fn log(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("log")).unwrap_or_default()
}

/// What a device answers, as the core hears it.
async fn ask(device: FenceDevice, target: &str, action: FenceAction, limit: Duration) -> Outcome {
    let config = RunnerConfig { kill_grace: Duration::from_millis(50), ..RunnerConfig::default() };
    let (answer, answers) = mpsc::channel(ANSWERS_MAX);
    let (runner, devices) = (Runner::new(config), vec![device]);
    let mut fence = Fence { runner, node: NodeName::new("node1"), devices, answer, answers };
    fence.start(7, NodeName::new(target), 0, action, limit);
    let (attempt, outcome) = fence.recv().await;
    assert_eq!(attempt, 7);
    outcome
}

#[tokio::test]
async fn an_agent_reads_its_parameters_from_standard_input() {
    let check = async |given: &[(&str, &str)], action, expect: &str| {
        let dir = tempfile::tempdir().unwrap();
        let program = script(&dir, "cat >$L; echo \"args=$*\" >>$L");
        let outcome =
            ask(device(FenceKind::Agent { program }, given), "node2", action, LIMIT).await;
        assert_eq!((outcome, log(&dir).as_str()), (Outcome::Ok, expect));
    };
    check(
        &[("ip", "10.0.0.9"), ("password", "hush\nx=y")],
        FenceAction::Fence,
        "ip=10.0.0.9\npassword=hushx=y\naction=reboot\nplug=node2\nnodename=node2\nargs=\n",
    )
    .await;
    check(
        &[("action", "off"), ("port", "3")],
        FenceAction::Fence,
        "port=3\naction=off\nnodename=node2\nargs=\n",
    )
    .await;
    check(
        &[("action", "off"), ("plug", "3"), ("nodename", "n")],
        FenceAction::Status,
        "nodename=n\nplug=3\naction=status\nargs=\n",
    )
    .await;
}

#[tokio::test]
async fn a_plug_that_is_off_is_a_good_status_and_no_good_fence() {
    for (action, expect) in [(FenceAction::Status, true), (FenceAction::Fence, false)] {
        let dir = tempfile::tempdir().unwrap();
        let program = script(&dir, "exit 2");
        let outcome = ask(device(FenceKind::Agent { program }, &[]), "node2", action, LIMIT).await;
        assert_eq!(outcome == Outcome::Ok, expect, "{action:?} {outcome:?}");
    }
}

#[tokio::test]
async fn a_plugin_gets_its_parameters_by_the_environment() {
    for (action, expect) in
        [(FenceAction::Fence, "reset node2 hush\n"), (FenceAction::Status, "status hush\n")]
    {
        let dir = tempfile::tempdir().unwrap();
        let plugin = script(&dir, "echo \"$* $password\" >$L");
        let device = device(FenceKind::External { plugin }, &[("password", "hush")]);
        assert_eq!(ask(device, "node2", action, LIMIT).await, Outcome::Ok);
        assert_eq!(log(&dir), expect);
    }
}

#[tokio::test]
async fn what_a_device_says_is_told_without_its_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let program = script(&dir, "echo 'login root/hushhush refused by on'; exit 1");
    let given = [("password", "hushhush"), ("word", "hush"), ("short", "on")];
    let device = device(FenceKind::Agent { program }, &given);
    let outcome = ask(device, "node2", FenceAction::Fence, LIMIT).await;
    let reason = "login root/*** refused by on".to_owned();
    assert_eq!(outcome, Outcome::Failed { code: Some(1), reason });
}

#[tokio::test]
async fn one_that_hangs_is_ended_and_one_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let program = script(&dir, "sleep 60");
    let hangs = device(FenceKind::Agent { program }, &[]);
    let limit = Duration::from_millis(200);
    assert_eq!(ask(hangs, "node2", FenceAction::Fence, limit).await, Outcome::TimedOut);
    let program = dir.path().join("none").to_string_lossy().into_owned();
    let missing = device(FenceKind::Agent { program }, &[]);
    let outcome = ask(missing, "node2", FenceAction::Fence, LIMIT).await;
    assert!(matches!(outcome, Outcome::CouldNotRun { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_node_never_fences_itself() {
    let dir = tempfile::tempdir().unwrap();
    let program = script(&dir, "echo shot >$L");
    let device = device(FenceKind::Agent { program }, &[]);
    let outcome = ask(device.clone(), "node1", FenceAction::Fence, LIMIT).await;
    assert!(matches!(outcome, Outcome::CouldNotRun { .. }), "{outcome:?}");
    assert_eq!(log(&dir), "");
    assert_eq!(ask(device, "node1", FenceAction::Status, LIMIT).await, Outcome::Ok);
}

#[tokio::test]
async fn ssh_is_believed_when_the_machine_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    // Answers until it was told to stop, and once after.
    let text = "case \"$*\" in *reboot*) echo stop >>$L; exit 0;; esac\n\
                echo look >>$L\n[ $(grep -c look $L) -lt 2 ] || exit 255";
    let program = script(&dir, text);
    let device = device(FenceKind::Ssh, &[("program", &program)]);
    assert_eq!(ask(device, "node2", FenceAction::Fence, LIMIT).await, Outcome::Ok);
    assert_eq!(log(&dir), "stop\nlook\nlook\n");
}

#[test]
fn stonith_gets_no_secret_by_its_arguments() {
    let check = |given: &[(&str, &str)], action, args: &str, input: &str| {
        let kind = FenceKind::Stonith { kind: "apcsmart".to_owned() };
        let call = call(&device(kind, given), &NodeName::new("node2"), action).expect("a program");
        assert_eq!(call.args.join(" "), args);
        assert_eq!(String::from_utf8_lossy(&call.input), input);
        let named = given.iter().filter(|(name, _)| !name.starts_with('-')).count();
        assert_eq!(call.variables.len(), 1 + named);
    };
    let (fence, status) = (FenceAction::Fence, FenceAction::Status);
    check(&[("login", "x"), ("password", "hush")], fence, "-s -t apcsmart -E -T reset node2", "");
    check(&[("password", "hush")], status, "-s -t apcsmart -E -S", "");
    check(
        &[("-p", "/dev/ttyS0 node2")],
        fence,
        "-s -t apcsmart -F /dev/stdin -T reset node2",
        "/dev/ttyS0 node2\n",
    );
    check(&[("-F", "/etc/ha.d/apc")], status, "-s -t apcsmart -F /etc/ha.d/apc -S", "");
}

#[tokio::test]
async fn null_does_nothing_and_succeeds() {
    let outcome = ask(device(FenceKind::Null, &[]), "node2", FenceAction::Fence, LIMIT).await;
    assert_eq!(outcome, Outcome::Ok);
}
