//! The real `hb-serve` beside a daemon that says what a test wants. I/O: processes, sockets.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::disallowed_methods, reason = "tests with real time and real processes")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use hb_node::api::{
    Request, RequestLine, Response, ResponseLine, STATUS_SOCKET, StatusSnapshot, VERSION,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far more than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the daemon answers to `status`, by how many have asked before.
type Script = dyn FnMut(usize) -> StatusSnapshot + Send;

/// Answers on a status socket of its own until the test ends.
pub(crate) struct Daemon {
    dir: tempfile::TempDir,
}

impl Daemon {
    /// Says `snapshot` to all.
    pub(crate) fn new(snapshot: StatusSnapshot) -> Self {
        Self::scripted(move |_| snapshot.clone())
    }

    /// Says what `script` says.
    pub(crate) fn scripted(script: impl FnMut(usize) -> StatusSnapshot + Send + 'static) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join(STATUS_SOCKET)).expect("a socket");
        let script: Arc<Mutex<(usize, Box<Script>)>> = Arc::new(Mutex::new((0, Box::new(script))));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = script.clone();
                std::thread::spawn(move || answer(stream, &script));
            }
        });
        Self { dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Nobody answers any more.
    pub(crate) fn stop(&self) {
        let _ = std::fs::remove_file(self.dir.path().join(STATUS_SOCKET));
    }
}

fn answer(stream: UnixStream, script: &Mutex<(usize, Box<Script>)>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let Ok(RequestLine { id, request, .. }) = serde_json::from_str(&line) else { return };
        let response = if request == Request::Status {
            let mut script = script.lock().expect("not poisoned");
            let (asked, say) = &mut *script;
            *asked += 1;
            Response::Status(Box::new(say(*asked - 1)))
        } else {
            Response::History(Vec::new())
        };
        let answer = ResponseLine { v: VERSION, id, ok: true, response };
        let text = serde_json::to_string(&answer).expect("JSON") + "\n";
        if reader.get_mut().write_all(text.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

/// The real program, ended when the test ends.
pub(crate) struct Serve {
    pub(crate) child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    lines: mpsc::Receiver<String>,
}

impl Serve {
    /// On a free port of loopback, with hb.toml and state in `dir`.
    pub(crate) fn start(run_dir: &Path, dir: &Path) -> Self {
        Self::with(run_dir, dir, &["--listen", "127.0.0.1:0"])
    }

    pub(crate) fn with(run_dir: &Path, dir: &Path, further: &[&str]) -> Self {
        let mut child = command(run_dir, dir).args(further).spawn().expect("hb-serve");
        let stderr = child.stderr.take().expect("its messages");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut serve = Self { child, url: String::new(), lines };
        let line = serve.line("listening on ");
        let place = line.split("listening on ").nth(1).unwrap_or_default();
        place.trim_end_matches('/').clone_into(&mut serve.url);
        serve
    }

    /// The next message with `part`.
    #[track_caller]
    pub(crate) fn line(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no message with `{part}`, only {seen:?}"),
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a signal");
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `hb-serve` with these directories, its messages in a pipe.
pub(crate) fn command(run_dir: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program());
    let pairs = [("--run-dir", run_dir), ("--state-dir", dir), ("--dir", dir)];
    for (name, value) in pairs {
        command.arg(name).arg(value);
    }
    command.stderr(Stdio::piped()).stdout(Stdio::null());
    command
}

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_hb-serve").into()
}

/// A client that shows every answer, also refusals, and follows nothing.
pub(crate) fn agent() -> ureq::Agent {
    agent_with(None)
}

/// As [`agent`]; trusts `root` (PEM).
pub(crate) fn agent_with(root: Option<&str>) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE));
    if let Some(pem) = root {
        let root = ureq::tls::Certificate::from_pem(pem.as_bytes()).expect("a certificate");
        let roots = ureq::tls::RootCerts::new_with_certs(&[root]);
        config = config.tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build());
    }
    config.build().into()
}

/// Status, headers and text of `url`.
#[track_caller]
pub(crate) fn get(agent: &ureq::Agent, url: &str, headers: &[(&str, &str)]) -> Got {
    let request = headers.iter().fold(agent.get(url), |it, (name, value)| it.header(*name, *value));
    Got::of(request.call().expect("an answer"))
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn of(mut response: ureq::http::Response<ureq::Body>) -> Self {
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
        let headers = headers.collect();
        let status = response.status().as_u16();
        Self { status, headers, text: response.body_mut().read_to_string().expect("its text") }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }
}
