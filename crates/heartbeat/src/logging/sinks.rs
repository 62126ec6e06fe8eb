//! Where a line can go: a file, syslog, the journal, standard error (I/O). Used by the writer
//! thread only, so a sink may block; it may not fail the daemon.
#![expect(clippy::disallowed_methods, reason = "opens log files and reads the clock to retry")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hb_node::effect::Level;
use nix::sys::stat::fstat;

use crate::logging::Record;
use crate::logging::format::{Origin, file_line, journal_packet, syslog_packet};

/// How often a file is looked at for a rotation, and a broken destination tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Where syslog daemons listen.
const SYSLOG_SOCKET: &str = "/dev/log";
/// Where the journal listens for its native protocol.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// A destination.
pub(crate) trait Sink: Send {
    /// What it is called in a complaint.
    fn name(&self) -> String;
    /// Writes one line.
    ///
    /// # Errors
    /// When the line is lost here.
    fn write(&mut self, origin: &Origin, record: &Record) -> io::Result<()>;
    /// After a rotation.
    fn reopen(&mut self) {}
}

/// A file that follows rotation.
#[derive(Debug)]
pub(crate) struct FileSink {
    path: PathBuf,
    least: Level,
    file: Option<File>,
    looked: Option<Instant>,
}

impl FileSink {
    /// Takes lines from `least` on.
    pub(crate) fn new(path: PathBuf, least: Level) -> Self {
        Self { path, least, file: None, looked: None }
    }

    /// The open file, opened again when another one lies at the path.
    fn file(&mut self) -> io::Result<&mut File> {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= RETRY);
        if due {
            self.looked = Some(Instant::now());
            if self.file.as_ref().is_some_and(|file| !is_at(file, &self.path)) {
                self.file = None;
            }
        }
        if self.file.is_none() && due {
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o640);
            self.file = Some(options.open(&self.path)?);
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("it could not be opened"))
    }
}

impl Sink for FileSink {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&mut self, origin: &Origin, record: &Record) -> io::Result<()> {
        if record.event.level < self.least {
            return Ok(());
        }
        self.file()?.write_all(file_line(origin, record).as_bytes())
    }

    fn reopen(&mut self) {
        self.file = None;
        self.looked = None;
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |data: fs::Metadata| (data.dev(), data.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

/// A datagram socket that is connected when it is needed and never waits.
#[derive(Debug)]
struct Datagrams {
    path: &'static str,
    socket: Option<UnixDatagram>,
    tried: Option<Instant>,
}

impl Datagrams {
    fn new(path: &'static str) -> Self {
        Self { path, socket: None, tried: None }
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        if self.socket.is_none() {
            if self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
                return Err(io::Error::other("nobody listens"));
            }
            self.tried = Some(Instant::now());
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.connect(self.path)?;
            self.socket = Some(socket);
        }
        let Some(socket) = &self.socket else { return Ok(()) };
        let sent = socket.send(packet);
        match sent {
            Ok(_) => Ok(()),
            // A full socket empties itself; any other failure means that the listener has gone.
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.socket = None;
                }
                Err(error)
            }
        }
    }
}

/// The local syslog daemon.
#[derive(Debug)]
pub(crate) struct Syslog {
    facility: u8,
    socket: Datagrams,
}

impl Syslog {
    /// With a facility number of RFC 3164.
    pub(crate) fn new(facility: u8) -> Self {
        Self { facility, socket: Datagrams::new(SYSLOG_SOCKET) }
    }
}

impl Sink for Syslog {
    fn name(&self) -> String {
        format!("syslog ({SYSLOG_SOCKET})")
    }

    fn write(&mut self, origin: &Origin, record: &Record) -> io::Result<()> {
        self.socket.send(syslog_packet(origin, record, self.facility).as_bytes())
    }
}

/// The systemd journal.
#[derive(Debug)]
pub(crate) struct Journal(Datagrams);

impl Journal {
    /// When this process was started by systemd with its standard error on the journal
    /// (`JOURNAL_STREAM`, systemd.exec(5)); the variable alone is inherited by everybody.
    pub(crate) fn of_this_service() -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = stream.split_once(':')?;
        let status = fstat(io::stderr()).ok()?;
        let same = device.parse() == Ok(status.st_dev) && inode.parse() == Ok(status.st_ino);
        (same && Path::new(JOURNAL_SOCKET).exists()).then(|| Self(Datagrams::new(JOURNAL_SOCKET)))
    }
}

impl Sink for Journal {
    fn name(&self) -> String {
        "the journal".into()
    }

    fn write(&mut self, _: &Origin, record: &Record) -> io::Result<()> {
        self.0.send(&journal_packet(record))
    }
}

/// Standard error.
#[derive(Debug)]
pub(crate) struct Stderr;

impl Stderr {
    /// A sentence outside the log; nobody to tell when it fails.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

impl Sink for Stderr {
    fn name(&self) -> String {
        "standard error".into()
    }

    fn write(&mut self, origin: &Origin, record: &Record) -> io::Result<()> {
        io::stderr().write_all(file_line(origin, record).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use hb_node::effect::LogEvent;

    use super::*;

    fn record(text: &str) -> Record {
        let event = LogEvent {
            level: Level::Info,
            event: "x".into(),
            text: text.into(),
            fields: Vec::new(),
        };
        Record { unix_s: 0, event }
    }

    #[test]
    fn a_rotated_file_is_left_alone_after_a_reopen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sink = FileSink::new(path.clone(), Level::Info);
        let origin = Origin::new("node1");
        sink.write(&origin, &record("first")).expect("written");
        fs::rename(&path, dir.path().join("log.1")).expect("renamed");
        sink.reopen();
        sink.write(&origin, &record("second")).expect("written");
        assert!(fs::read_to_string(path).expect("made again").contains("second"));
    }

    #[test]
    fn a_rotated_file_is_noticed_without_a_signal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sink = FileSink::new(path.clone(), Level::Info);
        let origin = Origin::new("node1");
        sink.write(&origin, &record("first")).expect("written");
        fs::rename(&path, dir.path().join("log.1")).expect("renamed");
        sink.looked = None; // as after a second
        sink.write(&origin, &record("second")).expect("written");
        assert!(fs::read_to_string(path).expect("made again").contains("second"));
    }

    #[test]
    fn a_destination_that_is_not_there_is_an_error_for_the_line_only() {
        let mut sink = FileSink::new("/proc/nowhere/log".into(), Level::Info);
        let origin = Origin::new("node1");
        assert!(sink.write(&origin, &record("first")).is_err());
        assert!(sink.write(&origin, &record("second")).is_err());
        let mut nobody = Datagrams::new("/proc/nowhere/socket");
        assert!(nobody.send(b"x").is_err());
    }
}
