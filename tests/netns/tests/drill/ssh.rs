//! A stand-in for ssh between the nodes of a lab, which have no accounts: the command line of ssh as far
//! as `hb` uses it, a connection over the public network, one line of shell at the other end with its
//! input, output and exit code. It proves nobody's identity. The same program is both ends. Where it
//! is installed, OpenSSH itself plays the part, too.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use hb_cli::lab::{PROGRAMS, Proc, SELF, find_program};
use hb_netns::files::NODES;
use hb_netns::pair::Pair;
use hb_netns::runner::skip;

/// First argument of the end that listens.
const SERVER_FLAG: &str = "--ssh-server";
const PORT: u16 = 22;
/// As `hb` tells ssh.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// What frames carry.
const OUT: u8 = 1;
const ERR: u8 = 2;
const CODE: u8 = 3;
/// Exit code of ssh for failures of its own.
const FAILED: u8 = 255;

/// Plays its part when this process was started as one of both ends.
pub(crate) fn if_asked() -> Option<ExitCode> {
    let mut args = std::env::args();
    let name = args.next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|name| name == "ssh") {
        let args: Vec<String> = args.collect();
        return Some(ExitCode::from(client(&args).unwrap_or_else(|error| {
            let _ = writeln!(io::stderr(), "ssh: {error}");
            FAILED
        })));
    }
    (args.next().as_deref() == Some(SERVER_FLAG)).then(|| {
        let _ = serve();
        ExitCode::FAILURE
    })
}

/// Both nodes can be reached from each other from here on.
pub(crate) fn on_both(pair: &Pair) -> Vec<Proc> {
    NODES
        .into_iter()
        .map(|node| {
            pair.shell(node, &format!("ln -s {SELF} {PROGRAMS}/ssh"));
            let server = pair.spawn(node, &[&format!("{PROGRAMS}/{SELF}"), SERVER_FLAG]);
            pair.until("the remote shell listens", || {
                pair.shell(node, "cat /proc/net/tcp")
                    .contains(&format!(":{PORT:04X} 00000000:0000"))
            });
            server
        })
        .collect()
}

fn client(args: &[String]) -> io::Result<u8> {
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-o" => drop(words.next()),
            "--" => break,
            _ => {}
        }
    }
    let missing = || io::Error::other("no host or no command");
    let host = words.next().ok_or_else(missing)?;
    let line = words.next().ok_or_else(missing)?;
    let host = host.rsplit('@').next().unwrap_or(host);
    let address = (host, PORT).to_socket_addrs()?.next().ok_or_else(missing)?;
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
    let length = u32::try_from(line.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(line.as_bytes())?;
    let mut there = stream.try_clone()?;
    thread::spawn(move || {
        let _ = carry(&mut io::stdin().lock(), &mut there);
        let _ = there.shutdown(Shutdown::Write);
    });
    loop {
        let (kind, bytes) = read_frame(&mut stream)?;
        match (kind, bytes.as_slice()) {
            (OUT, bytes) => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush())?,
            (ERR, bytes) => io::stderr().write_all(bytes)?,
            (CODE, [code]) => return Ok(*code),
            _ => return Err(io::Error::other("odd frame")),
        }
    }
}

/// Passes on at once what comes; `io::copy` may have the kernel wait for more.
fn carry(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut part = vec![0; 64 * 1024];
    loop {
        match from.read(&mut part)? {
            0 => return Ok(()),
            length => to.write_all(part.get(..length).unwrap_or_default())?,
        }
        to.flush()?;
    }
}

fn read_frame(from: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [kind, a, b, c, d] = head;
    let mut bytes = vec![0; u32::from_be_bytes([a, b, c, d]) as usize];
    from.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}

fn write_frame(to: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let head = [&[kind][..], &length.to_be_bytes()].concat();
    // One write: two threads share the connection.
    to.write_all(&[&head[..], bytes].concat())
}

fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || run(stream));
    }
    Ok(())
}

fn run(mut stream: TcpStream) -> io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut line = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut line)?;
    let line = String::from_utf8(line).map_err(io::Error::other)?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &line]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut input, mut from) = (child.stdin.take().expect("piped"), stream.try_clone()?);
    thread::spawn(move || carry(&mut from, &mut input));
    let stdout = pass_on(child.stdout.take().expect("piped"), OUT, stream.try_clone()?);
    let stderr = pass_on(child.stderr.take().expect("piped"), ERR, stream.try_clone()?);
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED);
    let _ = (stdout.join(), stderr.join());
    write_frame(&mut stream, CODE, &[code])?;
    stream.shutdown(Shutdown::Both)
}

fn pass_on(
    mut from: impl Read + Send + 'static,
    kind: u8,
    mut to: TcpStream,
) -> thread::JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let mut part = vec![0; 64 * 1024];
        loop {
            match from.read(&mut part)? {
                0 => return Ok(()),
                length => write_frame(&mut to, kind, part.get(..length).unwrap_or_default())?,
            }
        }
    })
}

/// OpenSSH with keys of its own on both nodes; nothing of this machine's accounts is used.
pub(crate) fn genuine_on_both(pair: &Pair) -> Vec<Proc> {
    if !hb_cli::lab::is_machines_root() {
        skip("sshd needs more than one user, which a user namespace has not");
    }
    for program in ["sshd", "ssh", "ssh-keygen"] {
        if find_program(program).is_none() {
            skip(&format!("{program} is not installed"));
        }
    }
    let key = pair.shell(
        "node1",
        "mkdir -m 700 /run/ssh && ssh-keygen -q -t ed25519 -N '' -f /run/ssh/id && cat /run/ssh/id",
    );
    let client = "Host *\n  User root\n  IdentityFile /run/ssh/id\n  IdentitiesOnly yes\n  \
        UserKnownHostsFile /run/ssh/known\n  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n";
    let server = format!(
        "HostKey /run/ssh/host\nAuthorizedKeysFile /run/ssh/id.pub\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nPidFile none\nSetEnv PATH={PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin\n"
    );
    let start = |node: &'static str| {
        pair.shell(node, "mkdir -p -m 700 /run/ssh && mkdir -p -m 755 /run/sshd");
        pair.write(node, "/run/ssh/id", &key, 0o600);
        pair.write(node, "/run/ssh/client", client, 0o644);
        pair.write(node, "/run/ssh/server", &server, 0o644);
        pair.write(node, &format!("{PROGRAMS}/ssh"), WRAPPER, 0o755);
        pair.shell(
            node,
            "cd /run/ssh && ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -y -f id > id.pub",
        );
        let server = pair.spawn(node, &["/usr/sbin/sshd", "-D", "-e", "-f", "/run/ssh/server"]);
        pair.until("sshd listens", || {
            pair.shell(node, "cat /proc/net/tcp").contains(&format!(":{PORT:04X} 00000000:0000"))
        });
        server
    };
    NODES.into_iter().map(start).collect()
}

/// `ssh` of the nodes: the genuine one with the lab's own configuration.
const WRAPPER: &str = "#!/bin/sh\nexec /usr/bin/ssh -F /run/ssh/client \"$@\"\n";
