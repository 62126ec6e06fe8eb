//! The real program from its command line, in a directory of its own: exit codes, texts, files.
//! Needs neither root nor a second node; its only link is the loopback interface.
#![expect(clippy::disallowed_methods, reason = "starts the program and writes its files")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for something that takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node's directories and the options that lead to them.
struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

impl Place {
    /// A valid configuration of a node without a peer. `port` differs between tests: they run at
    /// the same time in one network namespace.
    fn new(port: u16) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for part in ["etc/resource.d", "state", "run"] {
            fs::create_dir_all(dir.path().join(part)).expect("writable");
        }
        let place = Self { dir, port };
        place.write("etc/nodeinfo", "alpha\n");
        place.write("etc/ha.cf", &place.ha_cf());
        place.write("etc/haresources", "");
        place.write("etc/authkeys", "auth 1\n1 sha1 not-a-real-key\n");
        place.mode("etc/authkeys", 0o600);
        place
    }

    fn ha_cf(&self) -> String {
        format!(
            "logfile {}\nkeepalive 200ms\ndeadtime 2\ninitdead 10\nudpport {}\nucast lo 127.0.0.1\n\
             auto_failback off\nrealtime no\nnode alpha beta\n",
            self.path("log").display(),
            self.port
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("writable");
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("ours");
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeat"));
        command
            .args(options)
            .arg("--config-dir")
            .arg(self.path("etc"))
            .arg("--state-dir")
            .arg(self.path("state"))
            .arg("--run-dir")
            .arg(self.path("run"))
            .arg("--pid-file")
            .arg(self.path("pid"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, options: &[&str]) -> Output {
        self.command(options).output().expect("it starts")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until `wanted` is in the log.
    fn await_log(&self, wanted: &str) {
        await_that(&format!("{wanted:?} in the log"), || self.log().contains(wanted));
    }

    /// Starts in the foreground and waits until it answers.
    fn start(&self) -> Daemon {
        let child = self.command(&["-f"]).stderr(Stdio::null()).spawn().expect("it starts");
        let daemon = Daemon(child);
        await_that("the status socket", || {
            UnixStream::connect(self.path("run/status.sock")).is_ok()
        });
        daemon
    }

    fn ask(&self, socket: &str, request: &str) -> String {
        let mut stream = UnixStream::connect(self.path("run").join(socket)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        writeln!(stream, "{request}").expect("connected");
        let mut answer = String::new();
        // Without an answer in time it stays empty, and the caller's check says so.
        let _ = BufReader::new(stream).read_line(&mut answer);
        answer
    }
}

/// A running daemon, killed at the end of a test whatever happened.
struct Daemon(Child);

impl Daemon {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Its exit code once it has left by itself.
    fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        await_that("the end of the daemon", || {
            code = self.0.try_wait().expect("ours");
            code.is_some()
        });
        code.and_then(|status| status.code())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn the_version_names_program_and_protocol() {
    let place = Place::new(29_100);
    let output = place.run(&["-V"]);
    assert_eq!(code(&output), Some(0));
    assert!(stdout(&output).starts_with("heartbeat 0."), "{}", stdout(&output));
    assert!(stdout(&output).contains("Heartbeat 3.0.6"));
}

#[test]
fn a_wrong_option_is_a_usage_error() {
    let place = Place::new(29_101);
    assert_eq!(code(&place.run(&["-Z"])), Some(2));
    assert_eq!(code(&place.run(&["-s", "-k"])), Some(2));
}

#[test]
fn status_and_stop_when_nothing_runs() {
    let place = Place::new(29_102);
    let output = place.run(&["-s"]);
    assert_eq!(stdout(&output), "heartbeat is stopped. No process\n");
    assert_eq!(code(&output), Some(3));
    place.write("pid", "2147483646\n");
    let output = place.run(&["-s"]);
    assert_eq!(stdout(&output), "heartbeat is stopped. No process\n");
    assert_eq!(code(&output), Some(1), "a pid file is left");
    let output = place.run(&["-k"]);
    assert_eq!(stdout(&output), "INFO: Heartbeat already stopped.\n");
    assert_eq!(code(&output), Some(0));
}

#[test]
fn bad_configurations_are_refused_with_their_reason() {
    let place = Place::new(29_103);
    let check = |what: &str, wanted: &str| {
        for options in [&["-f"][..], &[]] {
            let output = place.run(options);
            let text = stderr(&output);
            assert_eq!(code(&output), Some(6), "{what} {options:?}: {text}");
            assert!(text.contains(wanted), "{what}: {wanted:?} is not in {text}");
            assert!(text.contains("Configuration error, heartbeat not started."), "{text}");
            assert!(!text.contains("not-a-real-key"), "{text}");
        }
        assert!(!place.path("pid").exists(), "{what}");
    };
    place.write("etc/ha.cf", &format!("{}frobnicate 7\n", place.ha_cf()));
    check("unknown directive", "frobnicate");
    place.write("etc/ha.cf", &place.ha_cf().replace("deadtime 2", "deadtime 300ms"));
    check("deadtime", "deadtime");
    place.write("etc/ha.cf", &place.ha_cf().replace("node alpha", "node gamma"));
    check("own node", "alpha");
    place.write("etc/ha.cf", &place.ha_cf());
    place.mode("etc/authkeys", 0o644);
    check("mode", "authkeys");
    place.mode("etc/authkeys", 0o600);
    fs::remove_file(place.path("etc/authkeys")).expect("ours");
    check("no keys", "authkeys");
}

#[test]
fn a_bad_configuration_is_in_the_log_too() {
    let place = Place::new(29_104);
    place.write("etc/haresources", "gamma 10.0.0.1\n");
    assert_eq!(code(&place.run(&["-f"])), Some(6));
    place.await_log("gamma");
    place.await_log("Configuration error, heartbeat not started.");
}

#[test]
fn one_runs_answers_and_stops() {
    let place = Place::new(29_105);
    place.write("state/hb_generation", "             41\n");
    let mut daemon = place.start();
    let pid = daemon.0.id();
    let kept = fs::read_to_string(place.path("state/hb_generation")).expect("kept");
    assert_eq!(kept, "             42\n");
    assert_eq!(fs::read(place.path("state/hb_uuid")).expect("made").len(), 16);
    assert_eq!(fs::read_to_string(place.path("pid")).expect("made"), format!("{pid:>10}\n"));

    let output = place.run(&["-s"]);
    let text = stdout(&output);
    assert!(text.starts_with(&format!("heartbeat OK [pid {pid} et al] is running on ")), "{text}");
    assert!(text.ends_with(" [alpha]...\n"), "{text}");
    assert_eq!(code(&output), Some(0));

    for options in [&["-f"][..], &[]] {
        let output = place.run(options);
        assert_eq!(code(&output), Some(0), "{options:?}");
        let text = stderr(&output);
        assert!(text.contains(&format!("heartbeat: already running [pid {pid}].")), "{text}");
    }

    let answer = place.ask("status.sock", "{\"v\":1,\"id\":5,\"cmd\":\"status\"}");
    assert!(answer.starts_with("{\"v\":1,\"id\":5,\"ok\":true,"), "{answer}");
    assert!(answer.contains(&format!("\"pid\":{pid}")), "{answer}");
    let answer = place.ask("status.sock", "{\"v\":1,\"id\":6,\"cmd\":\"stop\"}");
    assert!(answer.contains("\"ok\":false"), "{answer}");

    let output = place.run(&["-k"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(daemon.exit_code(), Some(0));
    assert!(!place.path("pid").exists());
    assert!(!place.path("run/status.sock").exists());
    place.await_log("Heartbeat shutdown complete.");
    assert_eq!(code(&place.run(&["-s"])), Some(3));
}

#[test]
fn it_becomes_a_daemon_that_outlives_its_caller() {
    let place = Place::new(29_106);
    let output = place.run(&[]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let text = stdout(&place.run(&["-s"]));
    assert!(text.starts_with("heartbeat OK"), "{text}");
    let pid = fs::read_to_string(place.path("pid")).expect("made").trim().to_owned();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    assert_ne!(fields[3], pid, "not a session leader, so it can never get a terminal");
    assert_eq!(fields[4], "0", "no controlling terminal");
    let output = place.run(&["-k"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    // Whoever adopts it may be slow to take notice of its end.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[test]
fn a_killed_daemon_is_started_again() {
    let place = Place::new(29_114);
    assert_eq!(code(&place.run(&[])), Some(0));
    let pid = || {
        let text = fs::read_to_string(place.path("pid")).unwrap_or_default();
        text.trim().parse::<i32>().ok()
    };
    let first = pid().expect("it runs");
    let stat = fs::read_to_string(format!("/proc/{first}/stat")).expect("it runs");
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
    let guardian = parent.expect("a parent").to_owned();
    // However young it is: it was ready.
    let kill = nix::sys::signal::SIGKILL;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), kill).expect("ours");
    await_that("another daemon", || pid().is_some_and(|pid| pid != first));
    place.await_log("was killed or has crashed");
    await_that("the status socket", || UnixStream::connect(place.path("run/status.sock")).is_ok());
    assert_eq!(code(&place.run(&["-k"])), Some(0));
    await_that("the end of the guardian", || {
        let stat = fs::read_to_string(format!("/proc/{guardian}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    assert!(!place.path("pid").exists(), "nobody has started it again");
}

#[test]
fn a_daemon_that_is_killed_again_and_again_is_given_up() {
    let place = Place::new(29_118);
    assert_eq!(code(&place.run(&[])), Some(0));
    let pid = || {
        let text = fs::read_to_string(place.path("pid")).unwrap_or_default();
        text.trim().parse::<i32>().ok()
    };
    let mut last = None;
    // The first one and five more.
    for _ in 0..6 {
        await_that("a daemon that has opened its sockets", || {
            pid() != last && UnixStream::connect(place.path("run/status.sock")).is_ok()
        });
        last = pid();
        let kill = nix::sys::signal::SIGKILL;
        let target = nix::unistd::Pid::from_raw(last.expect("it runs"));
        nix::sys::signal::kill(target, kill).expect("ours");
    }
    place.await_log("is not started any more");
    assert_eq!(pid(), last, "nobody has started it again");
}

#[test]
fn a_killed_daemon_leaves_nothing_that_stops_the_next_one() {
    let place = Place::new(29_107);
    place.start().kill();
    assert_eq!(code(&place.run(&["-s"])), Some(1), "the pid file is left");
    let mut next = place.start();
    let answer = place.ask("control.sock", "{\"v\":1,\"id\":1,\"cmd\":\"stop\"}");
    assert!(answer.contains("\"ok\":true"), "{answer}");
    assert_eq!(next.exit_code(), Some(0));
}

/// In a migration: 3.0.6 leaves its pid file when it is stopped.
#[test]
fn a_pid_file_of_an_orderly_stop_is_no_crash() {
    let place = Place::new(29_117);
    // Beyond any pid that Linux gives.
    place.write("pid", "   4194305\n");
    let _daemon = place.start();
    place.await_log("(pid 4194305) left its pid file");
    assert!(!place.log().contains("was killed or has crashed"), "{}", place.log());
}

#[test]
fn a_reload_takes_keys_and_refuses_nonsense() {
    let place = Place::new(29_108);
    let output = place.run(&["-r"]);
    assert_eq!(code(&output), Some(1), "it does not run");
    let mut daemon = place.start();
    assert_eq!(code(&place.run(&["-r"])), Some(0));
    place.await_log("Configuration unchanged.");

    place.write("etc/authkeys", "auth 2\n1 sha1 not-a-real-key\n2 sha1 another\n");
    assert_eq!(code(&place.run(&["-r"])), Some(0));
    place.await_log("Rereading authentication file.");
    let status = place.ask("status.sock", "{\"v\":1,\"id\":1,\"cmd\":\"status\"}");
    assert!(status.contains("#2 sha1"), "{status}");

    place.write("etc/ha.cf", &place.ha_cf().replace("deadtime 2", "deadtime 3"));
    assert_eq!(code(&place.run(&["-r"])), Some(0));
    place.await_log("ha.cf: deadtime 3 in place of 2");
    let starts = || place.log().matches("starting as").count();
    await_that("the daemon to start anew", || starts() == 2);
    assert_eq!(daemon.0.try_wait().expect("ours"), None, "it is the same process");

    place.write("etc/authkeys", "nonsense\n");
    let output = place.run(&["-r"]);
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("authkeys"), "{}", stderr(&output));
    // Past the check of -r, as an impatient administrator does it.
    nix::sys::signal::kill(pid_of(&daemon), nix::sys::signal::SIGHUP).expect("ours");
    place.await_log("everything stays as it was");
    assert_eq!(daemon.0.try_wait().expect("ours"), None, "it still runs");
    daemon.kill();
    assert!(!place.log().contains("not-a-real-key"), "keys never enter the log");
}

#[test]
fn a_storm_of_signals_does_no_harm() {
    let place = Place::new(29_109);
    let mut daemon = place.start();
    let pid = pid_of(&daemon);
    let send = |signal| nix::sys::signal::kill(pid, signal);
    for _ in 0..200 {
        send(nix::sys::signal::SIGHUP).expect("it runs");
        send(nix::sys::signal::SIGUSR1).expect("it runs");
    }
    for _ in 0..50 {
        // It may have left already, as told.
        let _ = send(nix::sys::signal::SIGTERM);
    }
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn a_port_in_use_is_a_link_failure_with_its_reason() {
    let place = Place::new(29_110);
    let other = std::net::UdpSocket::bind(("0.0.0.0", place.port)).expect("free");
    let mut daemon = place.start();
    await_that("the reason", || {
        let status = place.ask("status.sock", "{\"v\":1,\"id\":1,\"cmd\":\"status\"}");
        status.contains("in use")
    });
    drop(other);
    await_that("the link", || {
        let status = place.ask("status.sock", "{\"v\":1,\"id\":1,\"cmd\":\"status\"}");
        !status.contains("in use")
    });
    daemon.kill();
}

#[test]
fn a_flood_of_datagrams_starves_nobody() {
    let place = Place::new(29_116);
    let mut daemon = place.start();
    let answered = std::sync::atomic::AtomicBool::new(false);
    let flooding = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
            let send = || socket.send_to(&[b'x'; 200], ("127.0.0.1", place.port));
            // More than the daemon takes in one turn, before anybody asks it anything.
            (0..1_000).for_each(|_| drop(send()));
            flooding.wait();
            while !answered.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = send();
            }
        });
        flooding.wait();
        let request = "{\"v\":1,\"id\":1,\"cmd\":\"status\"}";
        let answers: Vec<String> = (0..20).map(|_| place.ask("status.sock", request)).collect();
        answered.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(answers.iter().all(|answer| answer.contains("\"ok\":true")), "{answers:?}");
    });
    assert_eq!(code(&place.run(&["-k"])), Some(0));
    assert_eq!(daemon.exit_code(), Some(0));
    place.await_log("refused");
}

#[test]
fn a_missing_script_is_named_at_start() {
    let place = Place::new(29_111);
    place.write("etc/haresources", "alpha no-such-script::x\n");
    let _daemon = place.start();
    place.await_log("no-such-script");
    assert!(place.log().contains("ERROR"), "{}", place.log());
}

#[test]
fn a_heartbeat_of_another_make_is_neither_joined_nor_stopped() {
    let place = Place::new(29_115);
    let program = place.path("heartbeat");
    fs::copy("/bin/sleep", &program).expect("copied");
    let other = Command::new(&program).arg("60").spawn().expect("it runs");
    let mut other = Daemon(other);
    place.write("pid", &format!("{:>10}\n", other.0.id()));
    for options in [&["-f"][..], &[], &["-k"]] {
        let output = place.run(options);
        assert_eq!(code(&output), Some(1), "{options:?}");
        let text = stderr(&output);
        assert!(text.contains(&program.display().to_string()), "{options:?}: {text}");
    }
    assert_eq!(code(&place.run(&["-s"])), Some(1));
    assert_eq!(other.0.try_wait().expect("ours"), None, "it was not touched");
}

#[test]
fn two_daemons_of_one_machine_do_not_share_a_port() {
    let first = Place::new(29_112);
    let _daemon = first.start();
    let second = Place::new(29_112);
    let output = second.run(&["-f"]);
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("UDP port 29112"), "{}", stderr(&output));
}

#[test]
fn help_shows_heartbeats_letters_only() {
    let place = Place::new(29_113);
    let mut text = String::new();
    let mut child = place.command(&["--help"]).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("ours").success());
    assert!(text.contains("-k") && !text.contains("--config-dir"), "{text}");
}

fn pid_of(daemon: &Daemon) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(i32::try_from(daemon.0.id()).expect("a pid"))
}
