//! `hb probe`: one check over the network, run by the daemon as a child so that the daemon itself
//! links no HTTP code. Exit 0 good, 1 bad, 4 could not be run; the reason is one line on stdout.
//! `hb probe watch` asks again and again and measures outages, for drills.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use ureq::Agent;

use crate::{exit, print};

mod echo;
pub(crate) mod meter;
pub(crate) mod target;
pub(crate) mod watch;

/// As much of an answer's body is searched.
const BODY_MAX: u64 = 64 * 1024;

/// A check over the network.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProbeArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// A connection must be accepted
    Tcp {
        address: SocketAddr,
        /// Limit in milliseconds
        #[arg(long, value_name = "MS", default_value_t = 1_000)]
        timeout: u64,
    },
    /// A GET must be answered with a status in the range
    Http {
        address: SocketAddr,
        /// `Host` header; the address when absent
        #[arg(long)]
        host: Option<String>,
        #[arg(long, default_value = "/")]
        path: String,
        /// Accepted status, `FROM-TO`
        #[arg(long, default_value = "200-399", value_parser = range)]
        status: (u16, u16),
        /// Text that the first 64 KiB of the body must contain
        #[arg(long)]
        contains: Option<String>,
        /// Limit in milliseconds
        #[arg(long, value_name = "MS", default_value_t = 1_000)]
        timeout: u64,
    },
    /// Questions again and again, as told on standard input, until it is closed
    Watch,
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok((from, to)),
        _ => Err("write FROM-TO, such as 200-399".to_owned()),
    }
}

/// How a check ended when it was not good.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// The service does not answer as it should.
    Bad(String),
    /// Nothing can be said of the service.
    NotRun(String),
}

/// Runs `hb probe`.
pub(crate) fn run(run_dir: &Path, args: &ProbeArgs) -> ExitCode {
    let result = match &args.what {
        What::Watch => return watch::run(run_dir),
        What::Tcp { address, timeout } => tcp(*address, Duration::from_millis(*timeout)),
        What::Http { address, host, path, status, contains, timeout } => {
            let host = host.clone().unwrap_or_else(|| address.to_string());
            let limit = Duration::from_millis(*timeout);
            http(*address, &host, path, *status, contains.as_deref(), limit)
        }
    };
    match result {
        Ok(()) => exit::code(exit::OK),
        Err(Fault::Bad(reason)) => {
            print::out(&format!("{reason}\n"));
            exit::code(exit::NEGATIVE)
        }
        Err(Fault::NotRun(reason)) => {
            print::out(&format!("{reason}\n"));
            exit::code(exit::UNREACHABLE)
        }
    }
}

fn tcp(address: SocketAddr, limit: Duration) -> Result<(), Fault> {
    match TcpStream::connect_timeout(&address, limit) {
        Ok(_) => Ok(()),
        Err(error) => Err(refused(address, &error)),
    }
}

/// A full table of this machine says nothing of the service.
fn refused(address: SocketAddr, error: &std::io::Error) -> Fault {
    let text = format!("tcp {address}: {error}");
    match error.raw_os_error() {
        Some(libc_errno::EMFILE | libc_errno::ENFILE | libc_errno::ENOBUFS) => Fault::NotRun(text),
        _ => Fault::Bad(text),
    }
}

/// Numbers of Linux on every architecture that Rust's standard library supports here.
mod libc_errno {
    pub(super) const ENFILE: i32 = nix::errno::Errno::ENFILE as i32;
    pub(super) const EMFILE: i32 = nix::errno::Errno::EMFILE as i32;
    pub(super) const ENOBUFS: i32 = nix::errno::Errno::ENOBUFS as i32;
}

fn http(
    address: SocketAddr,
    host: &str,
    path: &str,
    (from, to): (u16, u16),
    contains: Option<&str>,
    limit: Duration,
) -> Result<(), Fault> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(limit))
        .max_redirects(0)
        .http_status_as_error(false)
        // A proxy of the environment would answer for the service.
        .proxy(None)
        .build()
        .into();
    let url = format!("http://{address}{path}");
    let answer = agent.get(&url).header("Host", host).call();
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(ureq::Error::Io(error)) => return Err(refused(address, &error)),
        Err(error) => return Err(Fault::Bad(format!("http {address}: {error}"))),
    };
    let status = answer.status().as_u16();
    if !(from..=to).contains(&status) {
        return Err(Fault::Bad(format!("http {address}{path}: status {status}")));
    }
    let Some(wanted) = contains else { return Ok(()) };
    let mut body = Vec::new();
    let read = answer.body_mut().as_reader().take(BODY_MAX).read_to_end(&mut body);
    match read {
        Ok(_) if String::from_utf8_lossy(&body).contains(wanted) => Ok(()),
        Ok(_) => Err(Fault::Bad(format!("http {address}{path}: the page lacks `{wanted}`"))),
        Err(error) => Err(Fault::Bad(format!("http {address}{path}: {error}"))),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a server to ask needs a thread")]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Answers one request with `answer` and gives the request back.
    fn serve(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let size = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..size]).into_owned()
        });
        (address, thread)
    }

    fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(tcp(listener.local_addr().unwrap(), LIMIT), Ok(()));
        assert!(matches!(tcp(nobody(), LIMIT), Err(Fault::Bad(_))));
        assert!(matches!(http(nobody(), "x", "/", (200, 399), None, LIMIT), Err(Fault::Bad(_))));
    }

    #[test]
    fn answers_are_judged() {
        let check = |answer, status, contains, good: bool| {
            let (address, server) = serve(answer);
            let result = http(address, "www.example.org", "/up?x=1", status, contains, LIMIT);
            assert_eq!(result.is_ok(), good, "{answer:?}: {result:?}");
            let request = server.join().unwrap();
            assert!(request.starts_with("GET /up?x=1 HTTP/1.1\r\n"), "{request}");
            let hosts: Vec<_> =
                request.lines().filter(|line| line.to_lowercase().starts_with("host:")).collect();
            assert_eq!(hosts.len(), 1, "{request}");
            assert!(hosts[0].ends_with("www.example.org"), "{request}");
        };
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        check(ok, (200, 399), None, true);
        check(ok, (200, 399), Some("ell"), true);
        check(ok, (200, 399), Some("bye"), false);
        check(ok, (204, 204), None, false);
        let moved =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        check(moved, (200, 399), None, true);
        let bad = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        check(bad, (200, 399), None, false);
        check(bad, (503, 503), None, true);
    }

    #[test]
    fn ranges() {
        assert_eq!(range("200-299"), Ok((200, 299)));
        assert_eq!(range("204"), Ok((204, 204)));
        assert!(range("299-200").is_err());
        assert!(range("x").is_err());
    }
}
