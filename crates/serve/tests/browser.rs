//! The page in a real browser, Debian's chromium without a window: with JavaScript and without it.
//! chromium takes 300 MB, so it is no package that every commit must have: without it the cases say
//! SKIP, also where skips are forbidden (`HB_FORBID_SKIPS`).
//!
//! `HB_SCREENSHOTS=DIR` keeps the pictures of the guide there.

#![allow(clippy::disallowed_methods, reason = "tests with real time and real processes")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod support;
#[path = "../src/testing.rs"]
#[allow(dead_code, reason = "a part of the states is used here")]
mod testing;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;

use hb_cli::status::Known;
use hb_node::api::StatusSnapshot;
use support::{Daemon, PATIENCE, Serve};

/// So much of the page's time passes before it is looked at: some thousand refreshes, which take a few
/// seconds.
const LONG: &str = "--virtual-time-budget=2000000";
/// One after the other: each is a whole browser.
static ONE: Mutex<()> = Mutex::new(());

fn state(known: Known) -> StatusSnapshot {
    known.snapshot.expect("a state")
}

/// The browser's path, or `None` with a reason on stderr.
fn chromium() -> Option<PathBuf> {
    let found = hb_cli::lab::find_program("chromium");
    if found.is_none() {
        eprintln!("SKIP: chromium is not installed: the page was not seen by a browser");
    }
    found
}

/// What the browser prints for `url`; with JavaScript or without.
fn browse(chromium: &Path, url: &str, scripts: bool, further: &[&str]) -> String {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let home = tempfile::tempdir().expect("a directory");
    if !scripts {
        let profile = home.path().join("Default");
        std::fs::create_dir(&profile).expect("a profile");
        std::fs::write(profile.join("Preferences"), OFF).expect("preferences");
    }
    let mut command = Command::new(chromium);
    // Without a sandbox: it is root in a test, and looks at nothing but our own page.
    let fixed =
        ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"];
    command.args(fixed).args(["--disable-dev-shm-usage", "--disable-background-networking"]);
    command.arg(format!("--user-data-dir={}", home.path().display())).env("HOME", home.path());
    command.args(further).arg(url).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().expect("chromium");
    let id = i32::try_from(child.id()).expect("a process id");
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(PATIENCE * 2) else {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGKILL);
        panic!("chromium does not end");
    };
    String::from_utf8_lossy(&output.expect("its output").stdout).into_owned()
}

/// The preference of a browser without JavaScript.
const OFF: &str = r#"{"profile":{"default_content_setting_values":{"javascript":2}}}"#;

#[test]
fn each_state_is_complete_with_javascript_and_without() {
    let Some(chromium) = chromium() else { return };
    for (known, name, parts) in [
        (testing::healthy(), "healthy", &["HEALTHY", "active on <strong>node2</strong>"][..]),
        (testing::degraded(), "degraded", &["DEGRADED", "could not run group", "do: "][..]),
        (testing::split(), "split", &["SPLIT", "node1 keeps it; the other lets go", "do: "][..]),
    ] {
        let daemon = Daemon::new(state(known));
        let serve = Serve::start(daemon.dir(), daemon.dir());
        for (scripts, words) in [(true, &["--dump-dom", LONG][..]), (false, &["--dump-dom"][..])] {
            let dom = browse(&chromium, &serve.url, scripts, words);
            for part in parts {
                assert!(dom.contains(part), "{name}, scripts {scripts}: no {part}\n{dom}");
            }
            assert!(dom.contains("<p id=\"stale\" role=\"alert\" hidden=\"\">"), "{dom}");
        }
        pictures(&chromium, &serve.url, name);
    }
}

/// The page as it looks, wide and on a phone.
fn pictures(chromium: &Path, url: &str, name: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = std::env::var_os("HB_SCREENSHOTS").map(PathBuf::from);
    let folder = kept.as_deref().unwrap_or(dir.path());
    for (size, kind) in [("960,900", "wide"), ("500,1100", "phone")] {
        let path = folder.join(format!("serve-{name}-{kind}.png"));
        let words = [format!("--screenshot={}", path.display()), format!("--window-size={size}")];
        browse(chromium, url, false, &words.each_ref().map(String::as_str));
        let bytes = std::fs::read(&path).expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000, "{} bytes", bytes.len());
    }
}

#[test]
fn with_javascript_the_page_changes_by_itself() {
    let Some(chromium) = chromium() else { return };
    let (before, after) = (state(testing::healthy()), state(testing::split()));
    let say = move |asked: usize| if asked == 0 { before.clone() } else { after.clone() };
    let daemon = Daemon::scripted(say);
    let serve = Serve::start(daemon.dir(), daemon.dir());
    let dom = browse(&chromium, &serve.url, true, &["--dump-dom", LONG]);
    assert!(dom.contains("<title>web: SPLIT</title>"), "{dom}");
    assert!(dom.contains("SPLIT</h1>") && !dom.contains("HEALTHY"), "{dom}");
}

#[test]
fn a_page_that_is_not_renewed_says_how_old_it_is() {
    let Some(chromium) = chromium() else { return };
    let (asked, was_asked) = mpsc::channel();
    let snapshot = state(testing::healthy());
    let daemon = Daemon::scripted(move |number| {
        let _ = asked.send(number);
        snapshot.clone()
    });
    let mut serve = Serve::start(daemon.dir(), daemon.dir());
    let url = serve.url.clone();
    let dom = std::thread::scope(|scope| {
        let browser = scope.spawn(|| browse(&chromium, &url, true, &["--dump-dom", LONG]));
        // The second question comes of a renewal.
        while was_asked.recv_timeout(PATIENCE).expect("a renewal") == 0 {}
        serve.child.kill().expect("an end");
        browser.join().expect("a page")
    });
    assert!(dom.contains("hb serve does not answer"), "{dom}");
    assert!(dom.contains("s old</p>") && dom.contains("HEALTHY"), "{dom}");
    assert!(dom.contains("<body class=\"old\">"), "{dom}");
}

#[test]
fn nothing_is_refused_by_the_page_s_own_policy() {
    let Some(chromium) = chromium() else { return };
    let daemon = Daemon::new(state(testing::degraded()));
    let serve = Serve::start(daemon.dir(), daemon.dir());
    let log = tempfile::NamedTempFile::new().expect("a file");
    let words = [format!("--log-file={}", log.path().display())];
    let words = ["--dump-dom", "--enable-logging", "--v=0", LONG, words[0].as_str()];
    browse(&chromium, &serve.url, true, &words);
    let said = std::fs::read_to_string(log.path()).expect("a log");
    assert!(!said.contains("Content Security Policy"), "{said}");
}
