//! `hb key`: another key without an outage between two Twinbeat nodes. A key is added on both nodes,
//! each signs with it as soon as the other has it, and drops the former ones as soon as the other
//! signs with it, too. The nodes tell each other by fingerprint which keys they have; the key itself
//! goes from one node to the other by the operator's hand, through standard input (I/O).
#![expect(clippy::disallowed_methods, reason = "waits for two daemons in real time")]

mod file;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use hb_config::dir::DEFAULT_DIR;
use hb_config::settings::AuthMethod;
use hb_messaging::auth::fingerprint;
use hb_node::api::{KeyStatus, StatusSnapshot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{client, exit, print};
use file::KeyFile;

/// How often both nodes' state is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long the daemon of this node may take to read its file again.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);
/// Packets that were signed with the former key may still be under way when both nodes sign with
/// the next one.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// Longest line that is read as a key.
const LINE_MAX: u64 = 1_024;

/// Change the key that signs heartbeats, without an outage
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key, have it confirmed by the peer, sign with it, drop the others
    ///
    /// Prints the one command that gives the key to the peer, and waits until it was given. Stopped
    /// halfway, it goes on with `--to N`. Both nodes must run Twinbeat.
    Rotate(RotateArgs),
    /// Add a key from standard input and follow the rotation that the peer has begun
    ///
    /// The line is as in authkeys: `N METHOD KEY`.
    Add(PlaceArgs),
}

#[derive(Debug, Args)]
struct RotateArgs {
    /// How the new key signs
    #[arg(long, value_enum, default_value = "sha256")]
    method: Method,
    /// Go on with this key of authkeys and make none
    #[arg(long, value_name = "N", conflicts_with = "method")]
    to: Option<u8>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// Directory of authkeys
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// Seconds to wait for the peer at each step
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    timeout: u64,
}

/// Methods worth rotating to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// HMAC-SHA256
    Sha256,
    /// HMAC-SHA1, as long as going back to Heartbeat 3 may be necessary
    Sha1,
}

/// Runs `hb key`. Exit: 0 done, 1 refused or not finished, with the reason.
pub(crate) fn run(run_dir: &Path, args: &KeyArgs) -> ExitCode {
    let done = match &args.verb {
        Verb::Rotate(args) => rotate(run_dir, args),
        Verb::Add(place) => add(run_dir, place),
    };
    match done {
        Ok(()) => exit::code(exit::OK),
        Err(error) => {
            print::err(&format!("hb key: {error}\n"));
            exit::code(exit::NEGATIVE)
        }
    }
}

type Step<T = ()> = Result<T, String>;

fn rotate(run_dir: &Path, args: &RotateArgs) -> Step {
    let file = KeyFile::open(&args.place.dir)?;
    let pair = Pair { run_dir, timeout: Duration::from_secs(args.place.timeout) };
    let peer = pair.ready()?;
    let index = match args.to {
        Some(index) if file.keys()?.keys.contains_key(&index) => index,
        Some(index) => return Err(format!("authkeys has no key {index}")),
        None => {
            let method = match args.method {
                Method::Sha256 => AuthMethod::Sha256,
                Method::Sha1 => AuthMethod::Sha1,
            };
            file.make(method)?
        }
    };
    let key = key_of(&file, index)?;
    pair.reload(|status| has(&status.this_node.keys, &key))?;
    if !pair.peer_keys()?.is_some_and(|keys| has(&keys, &key)) {
        print::out(&format!(
            "Key {index} ({}, fingerprint {}) is accepted here. From another shell of this node, \
             give it to {peer}:\n\n    grep '^{index} ' {} | ssh root@{peer} hb key add\n\n\
             Waiting for {peer} ...\n",
            key.method,
            key.fingerprint,
            file.shown(),
        ));
    }
    pair.walk(&file, &key, &peer)
}

fn add(run_dir: &Path, args: &PlaceArgs) -> Step {
    let mut line = String::new();
    io::stdin()
        .take(LINE_MAX)
        .read_to_string(&mut line)
        .map_err(|error| format!("standard input cannot be read: {error}"))?;
    let file = KeyFile::open(&args.dir)?;
    let pair = Pair { run_dir, timeout: Duration::from_secs(args.timeout) };
    let peer = pair.ready()?;
    let index = file.add(&line)?;
    let key = key_of(&file, index)?;
    pair.reload(|status| has(&status.this_node.keys, &key))?;
    print::out(&format!(
        "Key {index} ({}, fingerprint {}) is accepted here.\n",
        key.method, key.fingerprint
    ));
    pair.walk(&file, &key, &peer)
}

/// The key `index` as both nodes announce it.
fn key_of(file: &KeyFile, index: u8) -> Step<KeyStatus> {
    let keys = file.keys()?;
    let key = keys.keys.get(&index).ok_or_else(|| format!("authkeys has no key {index}"))?;
    let method = key.method.word().to_owned();
    Ok(KeyStatus { index, method, fingerprint: fingerprint(key), active: false })
}

fn has(keys: &[KeyStatus], key: &KeyStatus) -> bool {
    keys.iter().any(|one| one.is_same_key(key))
}

fn signs_with(keys: &[KeyStatus], key: &KeyStatus) -> bool {
    keys.iter().any(|one| one.active && one.is_same_key(key))
}

/// Both nodes, as the daemon of this one sees them.
struct Pair<'a> {
    run_dir: &'a Path,
    timeout: Duration,
}

impl Pair<'_> {
    fn status(&self) -> Step<StatusSnapshot> {
        client::snapshot(self.run_dir).map_err(|error| error.to_string())
    }

    /// The peer's name, when it takes part in a rotation.
    fn ready(&self) -> Step<String> {
        let peer = self.status()?.peer.ok_or("ha.cf names no other node")?;
        let name = peer.name;
        match (peer.native, peer.keys) {
            _ if peer.status != "active" => {
                Err(format!("{name} is {}: a rotation needs both nodes", peer.status))
            }
            (Some(false), _) => Err(format!(
                "{name} runs Heartbeat 3, which tells no fingerprints; the migration guide has \
                 the steps by hand"
            )),
            (_, None) => Err(format!("{name} has not told its keys (an older Twinbeat?)")),
            (_, Some(_)) => Ok(name),
        }
    }

    fn peer_keys(&self) -> Step<Option<Vec<KeyStatus>>> {
        Ok(self.status()?.peer.and_then(|peer| peer.keys))
    }

    /// From "accepted here" to the end; the same on both nodes.
    fn walk(&self, file: &KeyFile, key: &KeyStatus, peer: &str) -> Step {
        let index = key.index;
        self.wait_peer(&format!("{peer} to accept key {index}"), |keys| has(keys, key))?;
        print::out(&format!("{peer} accepts key {index}.\n"));
        file.activate(index)?;
        self.reload(|status| signs_with(&status.this_node.keys, key))?;
        print::out(&format!("This node signs with key {index}.\n"));
        self.wait_peer(&format!("{peer} to sign with key {index}"), |keys| signs_with(keys, key))?;
        thread::sleep(UNDER_WAY);
        file.drop_others(index)?;
        self.reload(|status| status.this_node.keys.iter().all(|one| one.is_same_key(key)))?;
        print::out(&format!(
            "{peer} signs with key {index}. The former keys are dropped here: done.\n"
        ));
        Ok(())
    }

    /// Lets the daemon of this node read its keys again and waits until it has done so.
    fn reload(&self, done: impl Fn(&StatusSnapshot) -> bool) -> Step {
        let status = self.status()?;
        if done(&status) {
            return Ok(());
        }
        let pid = i32::try_from(status.pid).ok().filter(|pid| *pid > 1);
        let pid = pid.ok_or("heartbeat does not tell its number")?;
        kill(Pid::from_raw(pid), Signal::SIGHUP)
            .map_err(|error| format!("heartbeat (pid {pid}) cannot be told to reload: {error}"))?;
        let begin = Instant::now();
        while begin.elapsed() < RELOAD_LIMIT {
            if done(&self.status()?) {
                return Ok(());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Err("heartbeat did not take the keys of its file: `hb check` and its log say why".into())
    }

    fn wait_peer(&self, what: &str, done: impl Fn(&[KeyStatus]) -> bool) -> Step {
        let begin = Instant::now();
        loop {
            if self.peer_keys()?.is_some_and(|keys| done(&keys)) {
                return Ok(());
            }
            if begin.elapsed() >= self.timeout {
                let limit = self.timeout.as_secs();
                return Err(format!(
                    "waited {limit} s for {what}. Nothing is lost: both keys are accepted here; \
                     `hb key rotate --to N` goes on"
                ));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}
