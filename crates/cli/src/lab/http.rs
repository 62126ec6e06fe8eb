//! A small HTTP server for nodes without nginx: one page that names the node. It serves files to
//! nobody and is never part of a real cluster. I/O: sockets, and the processes of its resource
//! script.

#![expect(clippy::disallowed_methods, reason = "starts the server and waits for it")]

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::machine::{complain, silent};
use super::node::{PROGRAMS, SELF};
use super::{helper, prober};

/// Longest request that is read: far more than a browser sends.
const REQUEST_MAX: usize = 16 * 1024;
/// Time that a client has to send its request.
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// Connections that wait to be accepted, as nginx has it.
const BACKLOG: u32 = 511;
/// Where the resource script keeps the server's PID.
const PID_FILE: &str = "/run/demo-httpd.pid";
/// How long `stop` waits; the server has nothing to finish.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// How often `stop` looks.
const STOP_INTERVAL: Duration = Duration::from_millis(1);

/// Exit codes of an LSB script: not running, wrong arguments.
const NOT_RUNNING: i32 = 3;
const USAGE: i32 = 2;

/// Serves the page of node `name` on `address` for ever. Closes its standard output once it
/// accepts connections.
pub(super) fn serve(name: &str, address: &str) -> i32 {
    // What is measured is the cluster and not this machine's other work; without root it stays as
    // it is.
    let _ = rustix::process::setpriority_process(None, prober::NICE);
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(accept(name, address)));
    if let Err(error) = served {
        complain(&format!("cannot serve on {address}: {error}"));
    }
    1
}

async fn accept(name: &str, address: &str) -> io::Result<()> {
    let address = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let listener = listen(address)?;
    let answer: std::sync::Arc<str> = page(name).into();
    nix::unistd::dup2_stdout(fs::OpenOptions::new().write(true).open("/dev/null")?)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: those in use are freed within REQUEST_LIMIT.
            tokio::time::sleep(REQUEST_LIMIT).await;
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(REQUEST_LIMIT, answer_one(stream, &answer)).await;
        });
    }
}

fn listen(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn answer_one(mut stream: TcpStream, answer: &str) -> io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < REQUEST_MAX {
        match stream.read(&mut part).await? {
            0 => return Ok(()),
            n => request.extend_from_slice(part.get(..n).unwrap_or_default()),
        }
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The page as HTML; nginx serves the same text.
pub(crate) fn html(name: &str) -> String {
    format!("<!doctype html><title>{name}</title><h1>{name}</h1><p>Served by {name}.</p>\n")
}

fn page(name: &str) -> String {
    let body = html(name);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n{}: {name}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len(),
        prober::SERVED_BY,
    )
}

/// The resource script `demo-httpd`: `args` are its path and `start`, `stop`, `status` or
/// `monitor`.
pub(super) fn resource(args: &[String]) -> i32 {
    match args.last().map(String::as_str) {
        Some("start") => start(),
        Some("stop") => stop(),
        Some("status" | "monitor") => status(),
        _ => {
            complain("usage: demo-httpd start|stop|status|monitor");
            USAGE
        }
    }
}

fn start() -> i32 {
    if running().is_some() {
        return 0;
    }
    let name = nix::unistd::gethostname().unwrap_or_default();
    let mut command = Command::new(format!("{PROGRAMS}/{SELF}"));
    silent(&mut command)
        .args([helper::FLAG, helper::HTTP, &name.to_string_lossy(), "0.0.0.0:80"])
        .stdout(Stdio::piped())
        .process_group(0);
    let started = command.spawn().and_then(|mut child| {
        // Its output ends when it listens, or when it ends itself.
        let mut nothing = Vec::new();
        child.stdout.take().map(|mut out| out.read_to_end(&mut nothing)).transpose()?;
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("the server ended with {status}")));
        }
        fs::write(PID_FILE, child.id().to_string())
    });
    match started {
        Ok(()) => 0,
        Err(error) => {
            complain(&format!("demo-httpd: {error}"));
            1
        }
    }
}

fn stop() -> i32 {
    let Some(pid) = running() else { return 0 };
    let _ = kill(pid, Signal::SIGKILL);
    let begin = Instant::now();
    while running().is_some() {
        if begin.elapsed() > STOP_LIMIT {
            return 1;
        }
        thread::sleep(STOP_INTERVAL);
    }
    let _ = fs::remove_file(PID_FILE);
    0
}

fn status() -> i32 {
    let text = if running().is_some() { "running" } else { "stopped" };
    let _ = io::Write::write_all(&mut io::stdout(), format!("{text}\n").as_bytes());
    if text == "running" { 0 } else { NOT_RUNNING }
}

/// The server's PID while it runs: a PID file alone may name another process.
fn running() -> Option<Pid> {
    let pid: i32 = fs::read_to_string(PID_FILE).ok()?.trim().parse().ok()?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let is_server = line.split(|b| *b == 0).any(|word| word == helper::HTTP.as_bytes());
    is_server.then(|| Pid::from_raw(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_names_the_node_and_its_own_length() {
        let answer = page("node1");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("\r\nX-Served-By: node1\r\n"), "{head}");
    }
}
