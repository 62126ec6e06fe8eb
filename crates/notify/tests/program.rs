//! The program itself, beside a daemon that the test plays. It is killed between the moment at which a
//! channel has got a message and the moment at which it says so, and tells it again, under the same
//! id; what was told before is not told again. It takes other settings while it runs, or keeps those
//! that it has.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

#[allow(dead_code, reason = "each test uses a part of it")]
mod servers;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hb_node::api::{Request, RequestLine};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use servers::{Http, Reply};

const LIMIT: Duration = Duration::from_secs(60);

fn status(problems: &[&str]) -> Value {
    let problems: Vec<Value> = problems
        .iter()
        .map(|id| json!({"id": id, "subject": "x", "text": id, "hint": "do", "since_ms": 1}))
        .collect();
    json!({
        "v": 1, "cluster": "web", "version": "0", "pid": 1, "uptime_ms": 1, "verdict": "split",
        "problems": problems, "failover_ready": true, "members": ["ha1", "ha2"],
        "this_node": {"name": "ha1", "status": "active", "phase": "stable", "rscstatus": "all",
            "generation": 1, "key": "#1 sha256"},
        "peer": null, "pings": [], "groups": [], "last_move": null,
        "timing": {"keepalive_ms": 1, "deadtime_ms": 5, "warntime_ms": 2, "initdead_ms": 5,
            "deadping_ms": 1},
        "auto_failback": serde_json::to_value(hb_config::settings::AutoFailback::Off).unwrap(),
        "parameters": {}, "counters": hb_messaging::engine::Counters::default(),
    })
}

/// Answers as the daemon does, with the status of the moment and no history.
fn play_daemon(run_dir: &Path) -> Arc<Mutex<Value>> {
    let listener = UnixListener::bind(run_dir.join("status.sock")).unwrap();
    let now = Arc::new(Mutex::new(status(&[])));
    let shown = Arc::clone(&now);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shown = Arc::clone(&shown);
            thread::spawn(move || answer(stream, &shown));
        }
    });
    now
}

fn answer(mut stream: UnixStream, shown: &Mutex<Value>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        let request: RequestLine = serde_json::from_str(&line).unwrap();
        let mut answer = json!({"v": 1, "id": request.id, "ok": true});
        if request.request == Request::Status {
            answer["status"] = shown.lock().unwrap().clone();
        } else {
            answer["history"] = json!([]);
        }
        // The other side may be killed at any moment.
        if stream.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
    }
}

struct Notifier(Child);

impl Notifier {
    fn start(dir: &Path) -> Self {
        let path = |name: &str| dir.join(name).display().to_string();
        let words =
            ["--run-dir", &path("run"), "--dir", &path("etc"), "--notify-dir", &path("state")];
        let program = env!("CARGO_BIN_EXE_hb-notify");
        let mut command = Command::new(program);
        let log = fs::File::create(dir.join("log")).unwrap();
        Self(command.args(words).arg("run").stderr(log).spawn().unwrap())
    }

    fn hang_up(&self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGHUP).unwrap();
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn numbers(dir: &Path) -> Value {
    let text = fs::read(dir.join("state/notify.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn until(what: &str, fits: impl Fn() -> bool) {
    let begin = Instant::now();
    while !fits() {
        assert!(begin.elapsed() < LIMIT, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_a_crash_leaves_unsaid_is_told_again_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["run", "etc"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let server = Http::start(None, vec![Reply::Status(200), Reply::Hang, Reply::Status(200)]);
    let toml = format!(
        "[notify]\nclear = \"0\"\n[[notify.webhook]]\nurl = \"http://127.0.0.1:{}/\"\n\
         timeout = \"10m\"\n",
        server.port
    );
    fs::write(dir.path().join("etc/hb.toml"), toml).unwrap();
    let shown = play_daemon(&dir.path().join("run"));
    let sent = |count: u64| {
        until("it is sent and forgotten", || {
            let numbers = numbers(dir.path());
            numbers["sent"] == json!(count) && numbers["queue"] == json!(0)
        });
    };
    let got = || -> Value { serde_json::from_str(&server.requests(1)[0].1).unwrap() };
    let show = |problems: &[&str]| *shown.lock().unwrap() = status(problems);

    let first = Notifier::start(dir.path());
    until("it has looked once", || dir.path().join("state/state.json").exists());
    show(&["split"]);
    let split = got();
    assert_eq!((&split["phase"], &split["subject"]), (&json!("begin"), &json!("[web] split")));
    sent(1);
    show(&["split", "fencing_failed"]);
    let fencing = got();
    assert_eq!(fencing["subject"], json!("[web] fencing_failed"));
    // The server has it and has not answered.
    drop(first);
    let waiting = || fs::read_dir(dir.path().join("state/outbox/webhook-1")).unwrap().count();
    assert_eq!(waiting(), 1);

    let second = Notifier::start(dir.path());
    let again = got();
    assert_eq!(again["id"], fencing["id"]);
    sent(2);
    assert_eq!(waiting(), 0);
    show(&[]);
    let ends = [got(), got()];
    sent(4);
    drop(second);
    let mut incidents: Vec<&Value> = ends.iter().map(|it| &it["incident"]).collect();
    incidents.sort_by_key(|it| it.to_string());
    assert_eq!(incidents, [&split["id"], &fencing["id"]]);
    assert!(ends.iter().all(|it| it["phase"] == "resolved"), "{ends:?}");
    let seqs: Vec<&Value> =
        [&split, &fencing, &ends[0], &ends[1]].iter().map(|it| &it["seq"]).collect();
    assert_eq!(seqs, [&json!(1), &json!(2), &json!(3), &json!(4)]);
}

/// A channel that puts what it gets on a line of `file`, or refuses it when `file` is none.
fn exec(name: &str, file: Option<&Path>) -> String {
    let script = match file {
        Some(file) => format!("cat >>{0}; echo >>{0}", file.display()),
        None => "cat >/dev/null; exit 1".to_owned(),
    };
    format!("[[notify.exec]]\nname = \"{name}\"\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n")
}

#[test]
fn other_settings_are_taken_as_a_whole_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["run", "etc", "state"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let set = |text: &str| fs::write(dir.path().join("etc/hb.toml"), text).unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let file = |name: &str| dir.path().join(name);
    let subjects = |name: &str| -> Vec<String> {
        let messages = read(name);
        let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        messages.map(|it| it["subject"].as_str().unwrap().to_owned()).collect()
    };
    let shown = play_daemon(&file("run"));
    let show = |problems: &[&str]| *shown.lock().unwrap() = status(problems);

    set(&[exec("first", Some(&file("a"))), exec("mute", None)].concat());
    let notifier = Notifier::start(dir.path());
    until("it has looked once", || file("state/state.json").exists());
    show(&["split"]);
    until("the first channel tells it", || subjects("a") == ["[web] split"]);
    until("the mute one does not", || {
        numbers(dir.path())["channels"]["mute"]["failures"].as_u64() >= Some(1)
    });

    // Not TOML, and a channel whose secret is not there: nothing changes.
    let with_secret =
        "[[notify.webhook]]\nurl = \"https://x.example\"\ntoken_file = \"/nowhere\"\n";
    for (count, wrong) in [(1, "[notify\n"), (2, &[&exec("other", None), with_secret].concat())] {
        set(wrong);
        notifier.hang_up();
        until("it says that nothing changes", || {
            read("log").matches("settings stay as they were").count() == count
        });
    }
    show(&["split", "fencing_failed"]);
    let both = ["[web] split", "[web] fencing_failed"];
    until("the first channel still tells", || subjects("a") == both);

    // One goes, one comes, one is mended with all that waits for it.
    set(&[exec("second", Some(&file("b"))), exec("mute", Some(&file("c")))].concat());
    notifier.hang_up();
    until("what waited is told", || subjects("c") == both);
    until("the first channel is gone", || {
        !file("state/outbox/first").exists() && numbers(dir.path())["channels"]["first"].is_null()
    });
    show(&["split", "fencing_failed", "group_blocked"]);
    until("both tell", || subjects("b").len() == 1 && subjects("c").len() == 3);
    assert_eq!(subjects("a"), both);
    assert_eq!(subjects("b"), subjects("c")[2..]);
    until("nothing waits", || numbers(dir.path())["queue"] == json!(0));
}
