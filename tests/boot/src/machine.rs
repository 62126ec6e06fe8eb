//! One machine: a container with its own systemd, its disk over the common Debian, its cables. I/O:
//! mounts, control groups, `systemd-nspawn`, `nsenter`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::network::{self, NETWORKS};

/// Where everything of the test is, on a tmpfs that only the test sees.
const PLACE: &str = "/run/hb-boot";
/// Longest boot and longest orderly end.
const LIMIT: Duration = Duration::from_secs(90);
/// Longest run of a command inside, in seconds: longer than a stop of everything.
const COMMAND_LIMIT_S: &str = "120";
/// The same for what is only shown, of a machine that may be in a bad state.
const SHOW_LIMIT_S: &str = "10";
const LOOK: Duration = Duration::from_millis(50);
const NONE: Option<&str> = None;
/// What is shown of each machine when a step has failed.
const SHOWN: [&[&str]; 3] = [
    &["journalctl", "--no-pager", "--lines", "60"],
    &["tail", "-n", "60", "/var/log/ha-log"],
    &["hb", "status"],
];

/// A container, on or off.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    number: usize,
    place: PathBuf,
    /// Its control group, below that of the play.
    group: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    nspawn: Child,
    /// The first process of the container, as we number it.
    first: Pid,
}

/// Mounts what the machines need in this process' own mount namespace.
pub(crate) fn make_places() {
    let on = |kind: &str, place: &str| {
        mount(Some(kind), place, Some(kind), MsFlags::empty(), NONE).expect("a mount");
    };
    on("tmpfs", "/run");
    fs::create_dir_all(PLACE).expect("a folder");
    // Whatever kind of tree the machine has here, a container wants the second version.
    let _ = umount2("/sys/fs/cgroup", MntFlags::MNT_DETACH);
    on("cgroup2", "/sys/fs/cgroup");
}

impl Machine {
    /// Switched off, with a fresh disk over `system`.
    pub(crate) fn new(name: &'static str, number: usize, system: &Path, group: &str) -> Self {
        let group = Path::new("/sys/fs/cgroup").join(group).join(name);
        let place = Path::new(PLACE).join(name);
        for folder in ["upper", "work", "root"] {
            fs::create_dir_all(place.join(folder)).expect("a folder");
        }
        let options = format!(
            "lowerdir={},upperdir={place}/upper,workdir={place}/work",
            system.display(),
            place = place.display()
        );
        mount(
            Some("overlay"),
            &place.join("root"),
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .expect("an overlay");
        let machine = Self { name, number, place, group, running: None };
        machine.furnish();
        machine
    }

    /// Name, networks and nobody's services, as after the installation of a Debian.
    fn furnish(&self) {
        self.write("/etc/hostname", &format!("{}\n", self.name));
        self.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.1 node1\n192.0.2.2 node2\n");
        for (index, (_, interface)) in NETWORKS.into_iter().enumerate() {
            let net = if index == 0 { "192.0.2" } else { "198.51.100" };
            let text = format!(
                "[Match]\nName={interface}\n[Network]\nAddress={net}.{}/24\nIPv6AcceptRA=no\n",
                self.number
            );
            self.write(&format!("/etc/systemd/network/{interface}.network"), &text);
        }
        self.write(
            "/etc/nginx/sites-available/default",
            &format!(
                "server {{ listen 80 default_server; add_header X-Served-By {} always; \
                 location / {{ return 200 \"a page\\n\"; }} }}\n",
                self.name
            ),
        );
        let root = self.place.join("root");
        let mut systemctl = Command::new("systemctl");
        systemctl.arg("--root").arg(&root).args(["enable", "systemd-networkd.service"]);
        assert!(systemctl.output().expect("systemctl").status.success());
        // The same number in both would make two journals of one machine.
        self.write("/etc/machine-id", &format!("{:032x}\n", self.number));
    }

    /// Writes a file of the machine, on or off.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let place = self.disk(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).expect("a folder");
        }
        fs::write(&place, text).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    }

    /// Where a file of the machine's disk is.
    pub(crate) fn disk(&self, path: &str) -> PathBuf {
        self.place.join("root").join(path.trim_start_matches('/'))
    }

    /// What its console has shown.
    pub(crate) fn console(&self) -> String {
        let bytes = fs::read(self.place.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Switches it on and waits until systemd has started everything.
    pub(crate) fn boot(&mut self) {
        assert!(self.running.is_none(), "{} is on", self.name);
        fs::create_dir_all(&self.group).expect("a control group");
        let console = File::create(self.place.join("console")).expect("a file");
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ >\"$1/cgroup.procs\" && shift && exec \"$@\"", "sh"])
            .arg(&self.group)
            .args(["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"])
            .arg(format!("--machine={}", self.name))
            .arg(format!("--directory={}", self.place.join("root").display()))
            .args(["--private-network", "--resolv-conf=off", "--timezone=off"])
            .args(["--link-journal=no", "--console=pipe"]);
        for (index, (_, interface)) in NETWORKS.into_iter().enumerate() {
            let cable = network::cable(self.number, index);
            command.arg(format!("--network-veth-extra={cable}:{interface}"));
        }
        command
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            // What a container forbids is not what is tested.
            .env("SYSTEMD_SECCOMP", "0")
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("a file"))
            .stderr(console);
        let mut nspawn = command.spawn().expect("systemd-nspawn");
        let first = self.wait_first(&mut nspawn);
        network::plug_in(self.number);
        self.running = Some(Running { nspawn, first });
        on().insert(self.name, first);
        self.wait_booted();
    }

    fn wait_first(&self, nspawn: &mut Child) -> Pid {
        let begin = Instant::now();
        loop {
            if let Some(pid) = first_below(nspawn.id()) {
                return pid;
            }
            let lives = nspawn.try_wait().expect("a child").is_none();
            let hopes = lives && begin.elapsed() < LIMIT;
            assert!(hopes, "{} has no process:\n{}", self.name, self.console());
            thread::sleep(LOOK);
        }
    }

    fn wait_booted(&self) {
        let begin = Instant::now();
        loop {
            let output = self.try_run(&["systemctl", "is-system-running"]);
            let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if state == "running" || state == "degraded" {
                return;
            }
            assert!(begin.elapsed() < LIMIT, "{}: {state}:\n{}", self.name, self.console());
            thread::sleep(LOOK);
        }
    }

    /// Power loss: every process ends at once, and with them the cables.
    pub(crate) fn power_off(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        on().remove(self.name);
        let _ = kill(running.first, Signal::SIGKILL);
        let _ = running.nspawn.wait();
    }

    /// Waits for the end of a machine that was told to switch itself off.
    pub(crate) fn wait_off(&mut self) {
        let begin = Instant::now();
        let Some(mut running) = self.running.take() else { return };
        on().remove(self.name);
        while running.nspawn.try_wait().expect("a child").is_none() {
            assert!(begin.elapsed() < LIMIT, "{} stays on:\n{}", self.name, self.console());
            thread::sleep(LOOK);
        }
    }

    /// Whether it is on.
    pub(crate) fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Runs a program inside to its end, as a shell of root would.
    pub(crate) fn try_run(&self, argv: &[&str]) -> Output {
        run_in(self.running.as_ref().expect("it is on").first, COMMAND_LIMIT_S, argv)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.power_off();
    }
}

/// The first processes of the machines that are on, for [`show`].
static ON: Mutex<BTreeMap<&str, Pid>> = Mutex::new(BTreeMap::new());

fn on() -> MutexGuard<'static, BTreeMap<&'static str, Pid>> {
    ON.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints what whoever looks at a failed step wants to see.
pub(crate) fn show() {
    for (name, first) in on().clone() {
        for argv in SHOWN {
            let Output { stdout, stderr, .. } = run_in(first, SHOW_LIMIT_S, argv);
            let text = [stdout, stderr].concat();
            println!("---- {name}: {}\n{}", argv.join(" "), String::from_utf8_lossy(&text));
        }
    }
}

fn run_in(first: Pid, limit_s: &str, argv: &[&str]) -> Output {
    Command::new("nsenter")
        .args(["--target", &first.to_string()])
        .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"])
        .args(["/usr/bin/timeout", limit_s])
        .args(["/usr/bin/env", "-i", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"])
        .args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
        .arg("DEBIAN_FRONTEND=noninteractive")
        .args(argv)
        .stdin(Stdio::null())
        .output()
        .expect("nsenter")
}

/// The child of `parent` that is the first process of its own PID namespace.
fn first_below(parent: u32) -> Option<Pid> {
    let numbers = fs::read_dir("/proc").ok()?.flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.into_iter().find_map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let is_child = field("PPid:")?.trim().parse() == Ok(parent);
        let numbers: Vec<&str> = field("NSpid:")?.split_whitespace().collect();
        (is_child && numbers.len() > 1 && numbers.last() == Some(&"1"))
            .then_some(Pid::from_raw(pid))
    })
}
