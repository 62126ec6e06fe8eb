//! Drives fence devices: `fence_*` agents, cluster-glue's plugins and its command `stonith`, ssh.
//! One attempt in, one answer out (I/O). Which device is asked when is decided by the core.
//!
//! Parameters may be passwords. They reach a program by its standard input or its environment, never
//! by its arguments, which everybody on the machine can read; and they are cut out of what a device
//! says before that is logged. No device is ever asked to act on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_config::settings::{FenceDevice, FenceKind, NodeName, Secret, Settings};
use hb_node::effect::FenceAction;
use hb_resource::exec::Runner;
use hb_resource::operation::Outcome;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::mask;

/// Where fence agents are.
const AGENT_DIRS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];
/// Where cluster-glue's plugins are.
const EXTERNAL_DIR: &str = "/usr/lib/stonith/plugins/external";
/// cluster-glue's command.
const STONITH: &str = "/usr/sbin/stonith";
/// OpenSSH's client.
const SSH: &str = "/usr/bin/ssh";
/// What plugins find their helpers by: Debian keeps cluster-glue's there.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/share/cluster-glue";
/// Exit code of a fence agent's `status` for a plug that is off (fence agent API).
const PLUG_OFF: i32 = 2;
/// Between two looks at whether a machine that was told to stop by ssh has stopped.
const SSH_PAUSE: Duration = Duration::from_secs(1);
/// Limit of one look.
const SSH_LOOK: Duration = Duration::from_secs(5);
/// Stops the machine at once, without its services: they would wait for what is broken. It is
/// detached, so that the connection ends in order before the machine does.
const SSH_STOP: &str =
    "nohup sh -c 'sleep 1; reboot -f || reboot -nf' >/dev/null 2>&1 </dev/null &";
/// Answers that may wait for the core: one for each attempt that it has asked for.
const ANSWERS_MAX: usize = 64;

/// One program run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    program: PathBuf,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    input: Vec<u8>,
}

/// Drives the devices of hb.toml and ha.cf.
pub(crate) struct Fence {
    runner: Runner,
    node: NodeName,
    devices: Vec<FenceDevice>,
    answer: mpsc::Sender<(u64, Outcome)>,
    answers: mpsc::Receiver<(u64, Outcome)>,
}

impl Fence {
    pub(crate) fn open(settings: &Settings, runner: Runner) -> Self {
        let (answer, answers) = mpsc::channel(ANSWERS_MAX);
        let devices = settings.native.fencing.clone().map(|fencing| fencing.devices);
        let devices = devices.unwrap_or_default();
        Self { runner, node: settings.node.clone(), devices, answer, answers }
    }

    /// Begins an attempt; its answer comes from [`Self::recv`], exactly once.
    pub(crate) fn start(
        &self,
        attempt: u64,
        target: NodeName,
        device: usize,
        action: FenceAction,
        limit: Duration,
    ) {
        let (runner, answer) = (self.runner.clone(), self.answer.clone());
        let device = self.devices.get(device).cloned();
        let own = target == self.node && action == FenceAction::Fence;
        tokio::spawn(async move {
            let outcome = match device {
                None => Outcome::CouldNotRun { reason: "no such device".to_owned() },
                Some(_) if own => {
                    let reason = "a node does not fence itself".to_owned();
                    Outcome::CouldNotRun { reason }
                }
                Some(device) => {
                    let outcome = drive(&runner, &device, &target, action, limit).await;
                    masked(outcome, &device.parameters)
                }
            };
            // Fails only when the daemon is ending and nobody waits.
            let _ = answer.send((attempt, outcome)).await;
        });
    }

    /// Waits for the next answer. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> (u64, Outcome) {
        match self.answers.recv().await {
            Some(answer) => answer,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }
}

async fn drive(
    runner: &Runner,
    device: &FenceDevice,
    target: &NodeName,
    action: FenceAction,
    limit: Duration,
) -> Outcome {
    let Some(call) = call(device, target, action) else { return Outcome::Ok };
    let end = Instant::now() + limit;
    let outcome = run(runner, &call, limit).await;
    match (&device.kind, action, &outcome) {
        (
            FenceKind::Agent { .. },
            FenceAction::Status,
            Outcome::Failed { code: Some(PLUG_OFF), .. },
        ) => Outcome::Ok,
        (FenceKind::Ssh, FenceAction::Fence, Outcome::Ok) => {
            watch_it_go(runner, device, target, end).await
        }
        _ => outcome,
    }
}

async fn run(runner: &Runner, call: &Call, limit: Duration) -> Outcome {
    let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let Call { program, variables, input, .. } = call;
    runner.run_with_input(program, &args, variables, input.clone(), limit).await
}

/// The command was taken; that the machine is off shows only in that it does not answer any more.
async fn watch_it_go(
    runner: &Runner,
    device: &FenceDevice,
    target: &NodeName,
    end: Instant,
) -> Outcome {
    loop {
        sleep(SSH_PAUSE).await;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Outcome::TimedOut;
        }
        let Some(look) = call(device, target, FenceAction::Status) else {
            return Outcome::TimedOut;
        };
        if run(runner, &look, left.min(SSH_LOOK)).await != Outcome::Ok {
            return Outcome::Ok;
        }
    }
}

/// The program that drives a device; `None` for one that does nothing.
fn call(device: &FenceDevice, target: &NodeName, action: FenceAction) -> Option<Call> {
    match &device.kind {
        FenceKind::Agent { program } => Some(agent(device, program, target, action)),
        FenceKind::External { plugin } => Some(external(device, plugin, target, action)),
        FenceKind::Stonith { kind } => Some(stonith(device, kind, target, action)),
        FenceKind::Ssh => Some(ssh(device, target, action)),
        FenceKind::Null => None,
    }
}

/// `name=value` lines on standard input (fence agent API). What hb.toml says wins: `action` (default
/// `reboot`), `plug` or `port` (default the node's name).
fn agent(device: &FenceDevice, program: &str, target: &NodeName, action: FenceAction) -> Call {
    let given = |name: &str| device.parameters.contains_key(name);
    let mut lines: Vec<(String, Vec<u8>)> = device
        .parameters
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "action" | "option"))
        .map(|(name, value)| (name.clone(), value.expose().to_vec()))
        .collect();
    let wanted = device.parameters.get("action").or_else(|| device.parameters.get("option"));
    let act = match action {
        FenceAction::Fence => wanted.map_or(b"reboot".to_vec(), |value| value.expose().to_vec()),
        FenceAction::Status => b"status".to_vec(),
    };
    lines.push(("action".to_owned(), act));
    if !given("plug") && !given("port") {
        lines.push(("plug".to_owned(), target.as_str().into()));
    }
    if !given("nodename") {
        lines.push(("nodename".to_owned(), target.as_str().into()));
    }
    let mut input = Vec::new();
    for (name, value) in lines {
        input.extend_from_slice(name.as_bytes());
        input.push(b'=');
        // A line end would begin another parameter.
        input.extend(value.into_iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
        input.push(b'\n');
    }
    Call { program: locate(program, &AGENT_DIRS), args: Vec::new(), variables: path(), input }
}

/// Parameters in the environment, the verb and the host as arguments (cluster-glue).
fn external(device: &FenceDevice, plugin: &str, target: &NodeName, action: FenceAction) -> Call {
    let args = match action {
        FenceAction::Fence => vec!["reset".to_owned(), target.to_string()],
        FenceAction::Status => vec!["status".to_owned()],
    };
    let variables = variables(device);
    Call { program: locate(plugin, &[EXTERNAL_DIR]), args, variables, input: Vec::new() }
}

/// `stonith -t TYPE … -T reset HOST`. Named parameters go by the environment (`-E`); the string of a
/// `stonith_host` line (`-p`) goes as a file of the same syntax by standard input.
fn stonith(device: &FenceDevice, kind: &str, target: &NodeName, action: FenceAction) -> Call {
    let mut args = vec!["-s".to_owned(), "-t".to_owned(), kind.to_owned()];
    let mut input = Vec::new();
    let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
    if let Some(file) = device.parameters.get("-F") {
        args.extend(["-F".to_owned(), text(file)]);
    } else if let Some(line) = device.parameters.get("-p") {
        args.extend(["-F".to_owned(), "/dev/stdin".to_owned()]);
        input = line.expose().to_vec();
        input.push(b'\n');
    } else {
        args.push("-E".to_owned());
    }
    match action {
        FenceAction::Fence => {
            args.extend(["-T".to_owned(), "reset".to_owned(), target.to_string()]);
        }
        FenceAction::Status => args.push("-S".to_owned()),
    }
    Call { program: STONITH.into(), args, variables: variables(device), input }
}

/// `user` (default root), `host` (default the node's name), `port`, `identity` (a key file).
fn ssh(device: &FenceDevice, target: &NodeName, action: FenceAction) -> Call {
    let given = |name: &str| {
        let value = device.parameters.get(name)?;
        Some(String::from_utf8_lossy(value.expose()).into_owned())
    };
    let mut args: Vec<String> =
        ["-oBatchMode=yes", "-oConnectTimeout=5"].map(str::to_owned).to_vec();
    args.extend(given("port").map(|port| format!("-p{port}")));
    args.extend(given("identity").map(|file| format!("-i{file}")));
    args.push(format!("-l{}", given("user").unwrap_or_else(|| "root".to_owned())));
    args.push("--".to_owned());
    args.push(given("host").unwrap_or_else(|| target.to_string()));
    args.push(match action {
        FenceAction::Fence => SSH_STOP.to_owned(),
        FenceAction::Status => "true".to_owned(),
    });
    let program = given("program").map_or_else(|| SSH.into(), PathBuf::from);
    let variables = vec![("HOME".to_owned(), "/root".to_owned())];
    Call { program, args, variables, input: Vec::new() }
}

fn variables(device: &FenceDevice) -> Vec<(String, String)> {
    let own = device.parameters.iter().filter(|(name, _)| !name.starts_with('-'));
    let own = own
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value.expose()).into_owned()));
    path().into_iter().chain(own).collect()
}

fn path() -> Vec<(String, String)> {
    vec![("PATH".to_owned(), PATH.to_owned())]
}

/// A path as it is; a file name in the first directory that has it.
fn locate(name: &str, dirs: &[&str]) -> PathBuf {
    if name.contains('/') {
        return name.into();
    }
    let places: Vec<PathBuf> = dirs.iter().map(|dir| Path::new(dir).join(name)).collect();
    let found = places.iter().find(|place| place.exists()).or(places.first());
    found.cloned().unwrap_or_else(|| name.into())
}

/// Without the values of the device's parameters.
fn masked(outcome: Outcome, parameters: &BTreeMap<String, Secret>) -> Outcome {
    let values = parameters.values().flat_map(|value| {
        let whole = String::from_utf8_lossy(value.expose()).into_owned();
        // The string of a stonith_host line holds several.
        let words: Vec<String> = whole.split_whitespace().map(str::to_owned).collect();
        words.into_iter().chain([whole])
    });
    mask::cut(outcome, values.collect())
}

#[cfg(test)]
mod tests;
