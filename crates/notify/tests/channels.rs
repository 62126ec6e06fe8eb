//! The channels against real servers and programs: what they send, what they refuse to send, and
//! that nothing holds them longer than their limit.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

#[allow(dead_code, reason = "each test uses a part of it")]
mod servers;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use hb_config::settings::notify::{Channel, Event, Gravity};
use hb_notify::channel::send;
use hb_notify::message::{Message, Phase, VERSION};
use hb_notify::settings::Settings;
use servers::{Certificate, Encryption, Http, Reply, Smtp};

/// Far longer than any of these takes, far shorter than for ever.
const ENOUGH: Duration = Duration::from_secs(60);

fn message() -> Message {
    Message {
        v: VERSION,
        id: "web-ha2-0-7".into(),
        incident: "web-ha2-0-7".into(),
        seq: 7,
        phase: Phase::Begin,
        events: vec![Event::Node, Event::Move],
        severity: Gravity::Warning,
        cluster: "web".into(),
        node: "ha2".into(),
        groups: vec!["www".into()],
        cause: "dead".into(),
        unix_ms: 1_795_000_000_000,
        began_unix_ms: 1_794_999_990_000,
        duration_ms: None,
        outage_ms: Some(6_300),
        repeats: 0,
        subject: "[web] www moved ha1→ha2 — ha1 silent 5.0 s — service back after 6.3 s".into(),
        happened: vec!["ha1 dead: nothing heard".into()],
        views: vec!["ha2: active, holds www".into()],
        not_redundant: vec!["no failover: ha1 is dead".into()],
        next: vec!["look at its power".into()],
    }
}

/// The first channel of an hb.toml below `dir`, with its secrets.
fn channel(dir: &Path, toml: &str) -> (Channel, Settings) {
    fs::write(dir.join("hb.toml"), toml).unwrap();
    let settings = Settings::read(dir).unwrap();
    assert_eq!(settings.notify.channels.len(), 1, "{:?}", settings.complaints);
    (settings.notify.channels[0].clone(), settings)
}

fn secret(dir: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn mail(dir: &Path, port: u16, tls: &str, more: &str) -> Result<String, String> {
    let password = secret(dir, "password", "geheim\n");
    let toml = format!(
        "[[notify.mail]]\nto = [\"oncall@example.com\", \"b@example.com\"]\n\
         from = \"Web <hb@example.com>\"\nserver = \"localhost:{port}\"\ntls = \"{tls}\"\n\
         user = \"hb\"\npassword_file = \"{password}\"\ntimeout = \"5s\"\n{more}"
    );
    let (channel, settings) = channel(dir, &toml);
    send(&channel, &settings.contents, &message(), 2)
}

#[test]
fn mail_arrives_by_each_encryption() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = Certificate::make();
    let ca = secret(dir.path(), "ca.pem", &certificate.pem);
    for (encryption, word) in [
        (Encryption::None, "none"),
        (Encryption::Starttls, "starttls"),
        (Encryption::Implicit, "implicit"),
    ] {
        let server = Smtp::start(encryption, Some(&certificate));
        let answer = mail(dir.path(), server.port, word, &format!("ca_file = \"{ca}\"\n"));
        assert!(answer.as_ref().is_ok_and(|it| it.starts_with("250")), "{word}: {answer:?}");
        let mail = server.mail();
        assert_eq!(mail.encrypted, encryption != Encryption::None, "{word}");
        // "\0hb\0geheim"
        assert_eq!(mail.auth.as_deref(), Some("AGhiAGdlaGVpbQ=="), "{word}");
        assert_eq!(mail.from, "hb@example.com");
        assert_eq!(mail.to, ["oncall@example.com", "b@example.com"]);
        assert!(
            mail.data.contains("\r\nMessage-ID: <web-ha2-0-7@example.com>\r\n"),
            "{}",
            mail.data
        );
        assert!(mail.data.contains("Auto-Submitted: auto-generated\r\n"), "{}", mail.data);
        assert!(
            mail.data.contains("Before this one 2 messages could not be kept"),
            "{}",
            mail.data
        );
        assert!(mail.data.contains("Not redundant now"), "{}", mail.data);
    }
}

#[test]
fn without_encryption_or_trust_no_password_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = Certificate::make();
    let check = |encryption, word: &str, expect: &str| {
        let server = Smtp::start(encryption, Some(&certificate));
        let error = mail(dir.path(), server.port, word, "").unwrap_err();
        assert!(error.to_lowercase().contains(expect), "{word}: {error}");
        assert_eq!(server.secrets(), 0, "{word}");
    };
    check(Encryption::None, "starttls", "starttls");
    check(Encryption::Starttls, "starttls", "certificate");
    check(Encryption::Implicit, "implicit", "certificate");
}

#[test]
fn a_mail_server_that_refuses_or_hangs_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let server = Smtp::start(Encryption::None, None).refusing("550 5.7.1 not from you");
    let error = mail(dir.path(), server.port, "none", "").unwrap_err();
    assert!(error.contains("not from you"), "{error}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let begin = Instant::now();
    let (channel, settings) = channel(
        dir.path(),
        &format!(
            "[[notify.mail]]\nto = \"a@b.example\"\nfrom = \"c@d.example\"\n\
             server = \"127.0.0.1:{port}\"\ntls = \"none\"\ntimeout = \"300ms\"\n"
        ),
    );
    send(&channel, &settings.contents, &message(), 0).unwrap_err();
    assert!(begin.elapsed() < ENOUGH);
}

#[test]
fn sendmail_gets_the_whole_mail() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("sendmail");
    let out = dir.path().join("out");
    fs::write(&program, format!("#!/bin/sh\n(echo \"$@\"; cat) > {}\n", out.display())).unwrap();
    make_executable(&program);
    let toml = format!(
        "[[notify.mail]]\nto = \"a@b.example\"\nfrom = \"c@d.example\"\nsendmail = \"{}\"\n",
        program.display()
    );
    let (channel, settings) = channel(dir.path(), &toml);
    assert_eq!(send(&channel, &settings.contents, &message(), 0), Ok("exit code 0".into()));
    let text = fs::read_to_string(out).unwrap();
    assert!(text.starts_with("-i -f c@d.example -- a@b.example\nFrom: c@d.example\r\n"), "{text}");
}

#[test]
fn a_webhook_that_fails_and_hangs_gets_the_same_event_again() {
    let dir = tempfile::tempdir().unwrap();
    let token = secret(dir.path(), "token", "s3cret\n");
    let headers = secret(dir.path(), "headers", "# for the gateway\nX-Team: web\n");
    let server = Http::start(
        None,
        vec![Reply::Status(503), Reply::Hang, Reply::Status(302), Reply::Status(200)],
    );
    let toml = format!(
        "[[notify.webhook]]\nurl = \"http://127.0.0.1:{}/hook\"\ntoken_file = \"{token}\"\n\
         header_file = \"{headers}\"\ntimeout = \"500ms\"\n",
        server.port
    );
    let (channel, settings) = channel(dir.path(), &toml);
    let once = || send(&channel, &settings.contents, &message(), 0);
    assert!(once().unwrap_err().contains("503"));
    let begin = Instant::now();
    once().unwrap_err();
    assert!(begin.elapsed() < ENOUGH);
    assert!(once().unwrap_err().contains("302"), "a token stays with whom it was meant for");
    assert!(once().is_ok_and(|it| it.starts_with("200")));
    let requests = server.requests(4);
    for (head, body) in &requests {
        assert!(head.starts_with("POST /hook HTTP/1.1\r\n"), "{head}");
        for line in ["idempotency-key: web-ha2-0-7", "authorization: bearer s3cret", "x-team: web"]
        {
            assert!(head.to_lowercase().contains(line), "{line} in {head}");
        }
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(value["id"], "web-ha2-0-7");
        assert_eq!(value["phase"], "begin");
        assert_eq!(value["events"], serde_json::json!(["node", "move"]));
        assert!(value["text"].as_str().is_some_and(|it| it.contains("What to do")));
    }
}

#[test]
fn certificates_of_webhooks_are_verified() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = Certificate::make();
    let server = Http::start(Some(&certificate), vec![Reply::Status(200)]);
    let ca = secret(dir.path(), "ca.pem", &certificate.pem);
    let toml = format!("[[notify.webhook]]\nurl = \"https://localhost:{}/\"\n", server.port);
    let (bare, settings) = channel(dir.path(), &toml);
    send(&bare, &settings.contents, &message(), 0).unwrap_err();
    let (trusting, settings) = channel(dir.path(), &format!("{toml}ca_file = \"{ca}\"\n"));
    let answer = send(&trusting, &settings.contents, &message(), 0);
    assert!(answer.as_ref().is_ok_and(|it| it.starts_with("200")), "{answer:?}");
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn exec(dir: &Path, script: &str, timeout: &str) -> Result<String, String> {
    let program = dir.join("program");
    fs::write(&program, format!("#!/bin/sh\ncd {}\n{script}", dir.display())).unwrap();
    make_executable(&program);
    let toml = format!(
        "[[notify.exec]]\ncommand = [\"{}\", \"two words\"]\ntimeout = \"{timeout}\"\n",
        program.display()
    );
    let (channel, settings) = channel(dir, &toml);
    send(&channel, &settings.contents, &message(), 0)
}

#[test]
fn a_program_gets_the_event_and_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let script = "cat > json; echo \"$1/$HB_PHASE/$HB_SUBJECT/$HB_OUTAGE_MS\"";
    let answer = exec(dir.path(), script, "30s").unwrap();
    let subject = message().subject;
    assert_eq!(answer, format!("exit code 0: two words/begin/{subject}/6300"));
    let json: Message =
        serde_json::from_slice(&fs::read(dir.path().join("json")).unwrap()).unwrap();
    assert_eq!(json, message());
    // It need not read, and may print more than anybody keeps.
    assert!(
        exec(dir.path(), "exec <&-; head -c 1000000 /dev/zero; echo no >&2; exit 3", "30s")
            .unwrap_err()
            .contains("exit code 3")
    );
}

/// A process that is gone, or waits for somebody to take note of its end.
fn has_ended(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    state
        .rsplit(')')
        .next()
        .is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with('Z'))
}

#[test]
fn a_program_that_hangs_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let check = |script: &str, timeout: &str, expect: Result<&str, &str>| {
        let begin = Instant::now();
        let answer = exec(dir.path(), script, timeout);
        assert!(begin.elapsed() < ENOUGH, "{script}");
        match (&answer, expect) {
            (Ok(text), Ok(part)) | (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
            (Ok(_) | Err(_), _) => panic!("{script}: {answer:?}"),
        }
        let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
        while !has_ended(&pid) {
            assert!(begin.elapsed() < ENOUGH, "{script}: {pid} lives");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let hangs = "sleep 1000 & echo $! > pid; sleep 1000";
    check(hangs, "300ms", Err("killed"));
    check(&format!("trap '' TERM; {hangs}"), "300ms", Err("killed"));
    // It has ended, and what it left behind still has its output.
    check("sleep 1000 & echo $! > pid; echo done", "100s", Ok("done"));
}
