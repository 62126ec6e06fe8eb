//! Looks at everything that a report holds (I/O). What must not be told is found here and covered by
//! `archive`.
#![expect(clippy::disallowed_methods, reason = "reads files and runs programs that look")]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_config::Files;
use hb_config::dir;
use hb_config::ha_cf::{self, HaCf};
use hb_config::render;
use hb_config::settings::NodeName;
use hb_config::span::FileId;

use super::Entry;
use super::secrets::{Secrets, named_files};
use crate::client;
use crate::doctor::gather::tool::{self, Ran};

/// The end of a log that is taken.
const LOG_MAX: u64 = 8 << 20;
/// Largest recording that is taken; its size is bounded by `[record] size`.
const RECORDING_MAX: u64 = 64 << 20;
/// Any other file.
const FILE_MAX: u64 = 4 << 20;
/// `hb doctor` asks agents, each of which may take its time.
const DOCTOR_LIMIT: Duration = Duration::from_secs(120);
/// Lines of the journal.
const JOURNAL_LINES: &str = "50000";
const KERNEL_LINES: &str = "5000";

/// Where to look.
pub(super) struct Places {
    pub(super) dir: PathBuf,
    pub(super) run_dir: PathBuf,
    pub(super) state_dir: PathBuf,
}

/// What was found.
pub(super) struct Collected {
    /// This node's name, or that of the machine.
    pub(super) node: String,
    pub(super) entries: Vec<Entry>,
    pub(super) secrets: Secrets,
}

/// Programs that look: file in the archive, what it is, words.
const PROGRAMS: &[(&str, &str, &[&str])] = &[
    ("network/addresses.txt", "addresses and interfaces", &["ip", "-details", "address"]),
    ("network/links.txt", "counters of interfaces", &["ip", "-statistics", "link"]),
    ("network/rules.txt", "routing rules", &["ip", "rule"]),
    ("network/routes.txt", "routes of all tables", &["ip", "route", "show", "table", "all"]),
    ("network/neighbours.txt", "who answers for which address", &["ip", "neighbour"]),
    ("network/udp.txt", "open UDP ports", &["ss", "-ulnp"]),
    ("network/tcp.txt", "listening TCP ports", &["ss", "-tlnp"]),
    ("network/nft.txt", "the packet filter", &["nft", "list", "ruleset"]),
    ("network/iptables.txt", "the packet filter as iptables has it", &["iptables-save"]),
    (
        "network/sysctl.txt",
        "kernel settings of the network",
        &["sysctl", "-e", "net.ipv4", "net.ipv6.conf"],
    ),
    (
        "network/networkctl.txt",
        "what systemd-networkd manages",
        &["networkctl", "--no-pager", "status", "--all"],
    ),
    ("network/nmcli.txt", "what NetworkManager manages", &["nmcli", "device"]),
    ("system/uname.txt", "kernel", &["uname", "-a"]),
    ("system/uptime.txt", "uptime and load", &["uptime"]),
    ("system/space.txt", "free space", &["df", "-hT"]),
    ("system/clock.txt", "the clock", &["timedatectl"]),
    ("system/virtualisation.txt", "what the machine is", &["systemd-detect-virt"]),
    ("system/unit.txt", "the unit with its drop-ins", &["systemctl", "cat", "heartbeat.service"]),
    (
        "system/unit-state.txt",
        "what systemd knows of it",
        &["systemctl", "show", "heartbeat.service"],
    ),
    ("system/failed-units.txt", "units that have failed", &["systemctl", "--failed", "--no-pager"]),
    (
        "system/packages-deb.txt",
        "packages",
        &[
            "dpkg-query",
            "--show",
            "twinbeat",
            "heartbeat",
            "systemd",
            "resource-agents",
            "cluster-glue",
            "fence-agents",
            "nginx*",
            "haproxy",
            "apache2",
        ],
    ),
    (
        "system/packages-rpm.txt",
        "packages",
        &["rpm", "-q", "twinbeat", "systemd", "resource-agents"],
    ),
];

/// Files of the system.
const SYSTEM_FILES: [(&str, &str, &str); 7] = [
    ("system/os-release", "distribution", "/etc/os-release"),
    ("system/hosts", "names", "/etc/hosts"),
    ("system/meminfo", "memory", "/proc/meminfo"),
    ("system/pressure-cpu", "waiting for processors", "/proc/pressure/cpu"),
    ("system/pressure-memory", "waiting for memory", "/proc/pressure/memory"),
    ("system/pressure-io", "waiting for disks", "/proc/pressure/io"),
    ("system/cmdline", "arguments of the kernel", "/proc/cmdline"),
];

/// Files of the daemon's process.
const PROCESS_FILES: [&str; 6] = ["status", "limits", "cgroup", "stat", "sched", "oom_score_adj"];

/// Everything, logs and history from `since_ms` (Unix time) on.
pub(super) fn collect(places: &Places, since_ms: u64) -> Collected {
    let files = dir::read_dir(&places.dir).ok();
    let node = dir::own_node_name(&places.dir).ok();
    // A configuration that is not valid is what many reports are about.
    let cf = files.as_ref().and_then(|files| files.ha_cf.source()).map(|it| ha_cf::parse(it).0);
    let cf = cf.unwrap_or_default();
    let secrets = secrets(places, files.as_ref(), &cf);
    let mut entries = Vec::new();
    if let Some(files) = &files {
        entries.extend(configuration(places, files));
    }
    entries.extend(own(places, since_ms));
    entries.extend(kept(places, &cf));
    entries.extend(files.as_ref().and_then(recording));
    entries.extend(journal(since_ms));
    entries.extend(process(places));
    entries.extend(PROGRAMS.iter().map(|(path, about, words)| {
        let (program, args) = words.split_first().map_or(("", &[][..]), |(p, args)| (*p, args));
        entry(path, about, ran(tool::run(program, args)))
    }));
    entries
        .extend(SYSTEM_FILES.map(|(path, about, file)| entry(path, about, read(file, FILE_MAX))));
    let host =
        || read("/proc/sys/kernel/hostname", 256).ok().and_then(|it| String::from_utf8(it).ok());
    let node = node.map(|it| NodeName::as_str(&it).to_owned()).or_else(host).unwrap_or_default();
    // It becomes part of a path.
    let node: String =
        node.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).collect();
    Collected { node, entries, secrets }
}

fn entry(path: &str, about: &str, content: Result<Vec<u8>, String>) -> Entry {
    Entry { path: path.to_owned(), about: about.to_owned(), content }
}

/// Values that must not be told: of our files, and what files that they name hold.
fn secrets(places: &Places, files: Option<&Files>, cf: &HaCf) -> Secrets {
    let Some(files) = files else { return Secrets::default() };
    let mut parts = Vec::new();
    for id in FileId::ALL {
        if let Some(source) = files.get(id).source() {
            parts.extend(render::secrets(id, source));
        }
    }
    let native = files.native.source().map(|it| named_files(it.text())).unwrap_or_default();
    let held: Vec<String> = native
        .iter()
        .filter_map(|name| read(places.dir.join(name), FILE_MAX).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    let mut names: Vec<String> =
        cf.nodes.iter().map(|node| node.value.as_str().to_owned()).collect();
    names.extend(native);
    Secrets::new(&parts, &held, &names)
}

/// The four files with their secrets covered, and the names of scripts.
fn configuration(places: &Places, files: &Files) -> Vec<Entry> {
    let mut all = Vec::new();
    for id in FileId::ALL {
        let name = id.file_name();
        let content = match files.get(id).source() {
            Some(source) => Ok(render::covered(id, source).into_bytes()),
            None => Err("it is not there or cannot be read".to_owned()),
        };
        all.push(entry(&format!("configuration/{name}"), "configuration", content));
    }
    let listing =
        format!("ls -la {}/ {}/resource.d {}/rc.d", shown(places), shown(places), shown(places));
    let words: Vec<&str> = listing.split(' ').collect();
    let args = words.get(1..).unwrap_or_default();
    let listed = match tool::run("ls", args) {
        // Folders that are not there are told in it.
        Ran::Ended { text, .. } => Ok(text.into_bytes()),
        other @ (Ran::Missing | Ran::Failed(_)) => ran(other),
    };
    all.push(entry("configuration/listing.txt", "files, owners and modes", listed));
    all
}

fn shown(places: &Places) -> String {
    places.dir.to_string_lossy().trim_end_matches('/').to_owned()
}

/// What this program itself says.
fn own(places: &Places, since_ms: u64) -> Vec<Entry> {
    let Ok(program) = std::env::current_exe() else { return Vec::new() };
    let program = program.to_string_lossy().into_owned();
    let (run_dir, state_dir) =
        (places.run_dir.to_string_lossy(), places.state_dir.to_string_lossy());
    let dir = places.dir.to_string_lossy();
    let from =
        jiff::Timestamp::from_millisecond(i64::try_from(since_ms).unwrap_or(0)).unwrap_or_default();
    let from = from.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let say = |path: &str, about: &str, words: &[&str], limit: Duration| {
        let mut args = vec!["--run-dir", &run_dir, "--state-dir", &state_dir];
        args.extend(words);
        // A verdict is no failure: what was said counts, with whatever exit code.
        let content = match tool::run_within(&program, &args, limit) {
            Ran::Ended { text, .. } => Ok(text.into_bytes()),
            other @ (Ran::Missing | Ran::Failed(_)) => ran(other),
        };
        entry(path, about, content)
    };
    vec![
        say("hb/version.txt", "version of hb", &["--version"], tool::LIMIT),
        say("hb/status.txt", "hb status", &["status", "--ascii"], tool::LIMIT),
        say("hb/status.json", "hb status --json", &["status", "--json"], tool::LIMIT),
        say(
            "hb/history.txt",
            "hb history --long",
            &["history", "--long", "--plain", "--since", &from, "--limit", "10000"],
            tool::LIMIT,
        ),
        say(
            "hb/history.json",
            "hb history --json",
            &["history", "--json", "--since", &from, "--limit", "10000"],
            tool::LIMIT,
        ),
        say("hb/check.txt", "hb check", &["check", "--dir", &dir], tool::LIMIT),
        say("hb/doctor.txt", "hb doctor", &["doctor", "--dir", &dir], DOCTOR_LIMIT),
        say(
            "hb/doctor.json",
            "hb doctor --json",
            &["doctor", "--json", "--dir", &dir],
            DOCTOR_LIMIT,
        ),
    ]
}

/// What the daemon has kept.
fn kept(places: &Places, cf: &HaCf) -> Vec<Entry> {
    let mut all = Vec::new();
    for name in ["history.jsonl", "history.jsonl.1", "last-status.json", "hb_generation"] {
        let content = read(places.state_dir.join(name), FILE_MAX);
        all.push(entry(&format!("state/{name}"), "what the daemon keeps", content));
    }
    for name in ["started.json", "watched.json"] {
        let content = read(places.run_dir.join(name), FILE_MAX);
        all.push(entry(&format!("state/{name}"), "what the daemon has started", content));
    }
    for file in [&cf.logging.logfile, &cf.logging.debugfile].into_iter().flatten() {
        let name = Path::new(file).file_name().map(|it| it.to_string_lossy().into_owned());
        let path = format!("logs/{}", name.unwrap_or_default());
        all.push(entry(&path, "the daemon's log, its end", tail(file)));
    }
    all
}

/// What the daemon was told, when hb.toml wants it written down.
fn recording(files: &Files) -> Option<Entry> {
    let native: toml::Table = files.native.source()?.text().parse().ok()?;
    let file = native.get("record")?.get("file")?.as_str()?;
    let size = fs::metadata(file).map(|it| it.len()).unwrap_or(0);
    let content = match size {
        0..=RECORDING_MAX => read(file, RECORDING_MAX),
        _ => Err(format!("it has {} MiB", size >> 20)),
    };
    Some(entry("recording", "what the daemon was told; see docs/reference/recording.md", content))
}

fn journal(since_ms: u64) -> Vec<Entry> {
    let since = format!("@{}", since_ms / 1_000);
    let common = ["--no-pager", "--output=short-iso-precise", "--since", &since, "--lines"];
    let of = |path: &str, about: &str, lines: &str, units: &[&str]| {
        let args: Vec<&str> =
            common.into_iter().chain([lines]).chain(units.iter().copied()).collect();
        entry(path, about, ran(tool::run("journalctl", &args)))
    };
    let units = ["heartbeat", "heartbeat-gave-up", "hb-serve", "hb-notify"]
        .map(|it| format!("--unit={it}"));
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    vec![
        of("logs/journal.txt", "the journal of our units", JOURNAL_LINES, &units),
        of("logs/kernel.txt", "the kernel's journal", KERNEL_LINES, &["--dmesg"]),
    ]
}

fn process(places: &Places) -> Vec<Entry> {
    let pid = client::snapshot(&places.run_dir).ok().map(|status| status.pid);
    let of = |name: &str| match pid {
        Some(pid) => read(format!("/proc/{pid}/{name}"), FILE_MAX),
        None => Err("heartbeat does not answer".to_owned()),
    };
    PROCESS_FILES
        .iter()
        .map(|name| entry(&format!("process/{name}"), "the daemon's process", of(name)))
        .collect()
}

fn ran(ran: Ran) -> Result<Vec<u8>, String> {
    match ran {
        Ran::Ended { code: 0, text } => Ok(text.into_bytes()),
        Ran::Ended { code, text } => {
            let line = text.trim().lines().last().unwrap_or_default().to_owned();
            Err(format!("exit code {code}: {line}"))
        }
        Ran::Missing => Err("there is no such program".to_owned()),
        Ran::Failed(reason) => Err(reason),
    }
}

fn read(path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, String> {
    let open = || {
        let path = path.as_ref();
        // A pipe would wait for its writer.
        if !fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    open().map_err(|error: std::io::Error| error.to_string())
}

/// The last [`LOG_MAX`] bytes, from the beginning of a line on.
fn tail(path: &str) -> Result<Vec<u8>, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size <= LOG_MAX {
        return read(path, LOG_MAX);
    }
    let end = || {
        let mut bytes = Vec::new();
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(size - LOG_MAX))?;
        file.take(LOG_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = end().map_err(|error: std::io::Error| error.to_string())?;
    let line = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(bytes.get(line..).unwrap_or_default().to_vec())
}
