//! The real program over HTTP and HTTPS: what it answers to whom, and what it refuses.

#![allow(clippy::disallowed_methods, reason = "tests with real time and real processes")]

mod support;
#[path = "../src/testing.rs"]
#[allow(dead_code, reason = "a part of the states is used here")]
mod testing;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hb_cli::status::Known;
use hb_node::api::{SavedStatus, StatusSnapshot};
use nix::sys::signal::Signal;
use support::{Daemon, Got, PATIENCE, Serve, agent, agent_with, command, get};

const TOKEN: &str = "a-token-of-the-tests";

fn state(known: Known) -> StatusSnapshot {
    known.snapshot.expect("a state")
}

fn write(path: &Path, text: &str, mode: u32) -> String {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    path.to_string_lossy().into_owned()
}

#[test]
fn each_address_answers_by_the_verdict() {
    let dir = tempfile::tempdir().unwrap();
    for (known, word, check) in [
        (testing::healthy(), "HEALTHY", 200),
        (testing::degraded(), "DEGRADED", 503),
        (testing::split(), "SPLIT", 503),
    ] {
        let snapshot = state(known);
        let daemon = Daemon::new(snapshot.clone());
        let serve = Serve::start(daemon.dir(), dir.path());
        let agent = agent();
        let get = |path: &str| get(&agent, &format!("{}{path}", serve.url), &[]);
        let page = get("/");
        assert_eq!(page.status, 200);
        assert!(page.text.contains(word), "{}", page.text);
        assert!(
            page.header("content-security-policy").starts_with("default-src 'none'"),
            "{page:?}"
        );
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(get("/fragment").text.contains(word));
        assert_eq!(get("/check").status, check, "{word}");
        assert_eq!(
            serde_json::from_str::<StatusSnapshot>(&get("/status.json").text).unwrap(),
            snapshot
        );
        let metrics = get("/metrics");
        assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
        assert!(metrics.text.contains("hb_up 1.0\n") && metrics.text.ends_with("# EOF\n"));
        let history: serde_json::Value = serde_json::from_str(&get("/history.json").text).unwrap();
        assert_eq!((&history["v"], &history["daemon"]), (&1.into(), &true.into()));
        for (path, kind) in [
            ("/style.css", "text/css; charset=utf-8"),
            ("/live.js", "text/javascript; charset=utf-8"),
            ("/icon.svg", "image/svg+xml"),
        ] {
            assert_eq!(get(path).header("content-type"), kind);
        }
        assert_eq!(get("/nothing").status, 404);
        let head = Got::of(agent.head(format!("{}/check", serve.url)).call().unwrap());
        assert_eq!((head.status, head.text.as_str()), (check, ""));
        let post = Got::of(agent.post(format!("{}/check", serve.url)).send("").unwrap());
        assert_eq!(post.status, 405);
    }
}

#[test]
fn without_a_daemon_the_last_state_has_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let status = state(testing::healthy());
    let saved = SavedStatus { saved_unix_ms: 1_000, is_last: true, status };
    let path = dir.path().join(hb_node::api::LAST_STATUS_FILE);
    std::fs::write(path, serde_json::to_string(&saved).unwrap()).unwrap();
    let serve = Serve::start(dir.path(), dir.path());
    let agent = agent();
    let get = |path: &str| get(&agent, &format!("{}{path}", serve.url), &[]);
    let page = get("/");
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("UNKNOWN") && page.text.contains(" d ") && page.text.contains(" old")
    );
    let check = get("/check");
    assert_eq!(check.status, 503);
    assert!(check.text.contains("heartbeat down"), "{}", check.text);
    let json: serde_json::Value = serde_json::from_str(&get("/status.json").text).unwrap();
    assert_eq!((&json["daemon"], &json["stopped_in_order"]), (&"down".into(), &true.into()));
    assert!(json["age_ms"].as_u64() > Some(1_000_000) && json["last_status"]["v"] == 1);
    assert!(get("/metrics").text.contains("hb_up 0.0\n"));
    assert_eq!(get("/history.json").status, 503);
    assert_eq!(get("/healthz").status, 200);
}

#[test]
fn other_names_than_this_machine_are_refused_without_a_token() {
    let daemon = Daemon::new(state(testing::healthy()));
    let serve = Serve::start(daemon.dir(), daemon.dir());
    let ask = |host: &str| get(&agent(), &format!("{}/check", serve.url), &[("host", host)]).status;
    assert_eq!((ask("localhost"), ask("127.0.0.1:1"), ask("evil.example")), (200, 200, 421));
}

struct Keys {
    dir: tempfile::TempDir,
    cert: String,
}

/// hb.toml with a token and a certificate of its own.
fn keys() -> Keys {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let token = write(&path("token"), &format!("{TOKEN}\n"), 0o600);
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let cert = made.cert.pem();
    let (cert_file, key_file) = (
        write(&path("c"), &cert, 0o644),
        write(&path("k"), &made.signing_key.serialize_pem(), 0o600),
    );
    let toml = format!(
        "[serve]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{token}\"\ncert_file = \"{cert_file}\"\n\
         key_file = \"{key_file}\"\n"
    );
    write(&path("hb.toml"), &toml, 0o644);
    Keys { dir, cert }
}

#[test]
fn with_tls_only_the_token_opens() {
    let daemon = Daemon::new(state(testing::healthy()));
    let keys = keys();
    let serve = Serve::with(daemon.dir(), keys.dir.path(), &[]);
    assert!(serve.url.starts_with("https://"), "{}", serve.url);
    let agent = agent_with(Some(&keys.cert));
    let ask = |path: &str, headers: &[(&str, &str)]| {
        get(&agent, &format!("{}{path}", serve.url), headers)
    };
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/", "/fragment", "/status.json", "/history.json", "/metrics", "/check"] {
        assert_eq!(ask(path, &[("authorization", &bearer)]).status, 200, "{path}");
        for wrong in ["Bearer another-token-of-the-tests", "Bearer", "Basic Og=="] {
            let got = ask(path, &[("authorization", wrong)]);
            assert_eq!(
                (got.status, got.header("www-authenticate")),
                (401, "Bearer"),
                "{path} {wrong}"
            );
            assert!(!got.text.contains("10.0.0.50"), "{}", got.text);
        }
        if path != "/" {
            assert_eq!(ask(path, &[]).status, 401, "{path}");
        }
    }
    for free in ["/healthz", "/login", "/style.css"] {
        assert_eq!(ask(free, &[]).status, 200, "{free}");
    }
    let sent = ask("/", &[]);
    assert_eq!((sent.status, sent.header("location")), (303, "login"));
    // Plain HTTP is no way around.
    assert!(agent.get(serve.url.replace("https", "http")).call().is_err());
}

#[test]
fn a_browser_signs_on_with_a_form() {
    let daemon = Daemon::new(state(testing::healthy()));
    let keys = keys();
    let serve = Serve::with(daemon.dir(), keys.dir.path(), &[]);
    let agent = agent_with(Some(&keys.cert));
    let post = |token: &str| {
        let request = agent.post(format!("{}/login", serve.url));
        Got::of(request.send_form([("token", token)]).unwrap())
    };
    let wrong = post("another-token-of-the-tests");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    assert!(wrong.text.contains("This is not the token."));
    let right = post(TOKEN);
    assert_eq!((right.status, right.header("location")), (303, "./"));
    let cookie = right.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(TOKEN), "{cookie}");
    let session = cookie.split(';').next().unwrap_or_default();
    let url = format!("{}/fragment", serve.url);
    assert_eq!(get(&agent, &url, &[("cookie", session)]).status, 200);
    let forged = session.replace("hb_session=", "hb_session=9");
    assert_eq!(get(&agent, &url, &[("cookie", &forged)]).status, 401);
    let long = "x".repeat(100_000);
    let request = agent.post(format!("{}/login", serve.url));
    // The answer comes while the client still writes, and may be lost to it with the connection.
    let status = request.send_form([("token", long)]).map(|answer| answer.status().as_u16());
    assert!(matches!(status, Ok(413) | Err(ureq::Error::Io(_))), "{status:?}");
}

#[test]
fn sighup_takes_another_token_and_certificate_while_it_serves() {
    let daemon = Daemon::new(state(testing::healthy()));
    let keys = keys();
    let serve = Serve::with(daemon.dir(), keys.dir.path(), &[]);
    let ask = |root: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let request = agent_with(Some(root)).get(format!("{}/check", serve.url));
        request.header("authorization", &bearer).call().map(|answer| answer.status().as_u16()).ok()
    };
    assert_eq!(ask(&keys.cert, TOKEN), Some(200));
    let path = |name: &str| keys.dir.path().join(name);
    // What is wrong changes nothing.
    write(&path("token"), "short\n", 0o600);
    serve.signal(Signal::SIGHUP);
    serve.line("token: as before, because");
    serve.line("certificate: read again");
    assert_eq!(ask(&keys.cert, TOKEN), Some(200));
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    write(&path("token"), "another-token-of-the-tests\n", 0o600);
    write(&path("c"), &made.cert.pem(), 0o644);
    write(&path("k"), &made.signing_key.serialize_pem(), 0o600);
    serve.signal(Signal::SIGHUP);
    serve.line("token: read again");
    serve.line("certificate: read again");
    assert_eq!(ask(&keys.cert, TOKEN), None, "the certificate is another");
    assert_eq!(ask(&made.cert.pem(), TOKEN), Some(401));
    assert_eq!(ask(&made.cert.pem(), "another-token-of-the-tests"), Some(200));
}

#[test]
fn what_would_show_the_pair_to_others_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |listen: &str, part: &str| {
        let output = command(dir.path(), dir.path()).args(["--listen", listen]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(part), "{said}");
    };
    refused("0.0.0.0:0", "is open to the network: that needs a token");
    write(&dir.path().join("hb.toml"), "[serve]\ntoken_file = \"/absent\"\n", 0o644);
    refused("127.0.0.1:0", "cannot read /absent");
    let open = write(&dir.path().join("t"), TOKEN, 0o644);
    write(&dir.path().join("hb.toml"), &format!("[serve]\ntoken_file = \"{open}\"\n"), 0o644);
    refused("127.0.0.1:0", "everybody can read");
}

/// Everything that a raw connection gets for `request`.
fn raw(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn requests_have_bounds() {
    let daemon = Daemon::new(state(testing::healthy()));
    let serve = Serve::start(daemon.dir(), daemon.dir());
    let port = serve.port();
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    assert!(raw(port, long.as_bytes()).starts_with("HTTP/1.1 431"));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert!(raw(port, many.as_bytes()).starts_with("HTTP/1.1 431"));
    // Who never ends the header is cut off, and others are served meanwhile.
    let slow = std::thread::scope(|scope| {
        let slow = scope.spawn(|| raw(port, b"GET / HTTP/1.1\r\nHost: local"));
        assert_eq!(get(&agent(), &format!("{}/healthz", serve.url), &[]).status, 200);
        slow.join().unwrap()
    });
    assert!(!slow.contains("200 OK"), "{slow}");
}

#[test]
fn sigterm_ends_it_in_order() {
    let daemon = Daemon::new(state(testing::healthy()));
    let mut serve = Serve::start(daemon.dir(), daemon.dir());
    // One that waits idly does not hold it up for longer than the farewell.
    let _idle = TcpStream::connect(("127.0.0.1", serve.port())).unwrap();
    serve.signal(Signal::SIGTERM);
    assert!(serve.child.wait().unwrap().success());
}
