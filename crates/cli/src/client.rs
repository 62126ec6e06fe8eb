//! A blocking client of the daemon's two sockets. It sends one request and reads its answer; what
//! the answer means to a person is for the verbs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_node::api::{self, Request, RequestLine, Response, ResponseLine, StatusSnapshot};

/// Longest answer that is read; a snapshot of a hundred groups is well below.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// How long an answer to a question is waited for.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon listens.
    #[error("heartbeat does not run here: cannot reach {} ({source})", path.display())]
    NotRunning {
        /// Socket.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The socket's mode refuses this user.
    #[error(
        "permission denied on {}: commands need root or membership of the group haclient",
        path.display()
    )]
    Denied {
        /// Socket.
        path: PathBuf,
    },
    /// The daemon did not answer in time.
    #[error("no answer from heartbeat within {} ms", limit.as_millis())]
    Timeout {
        /// Limit.
        limit: Duration,
    },
    /// The connection broke.
    #[error("the connection to heartbeat broke: {0}")]
    Io(#[from] io::Error),
    /// The answer is not one of this schema.
    #[error("heartbeat answered what this hb does not understand: {0}")]
    Protocol(String),
}

/// A connection to one of the sockets.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    limit: Option<Duration>,
    last_id: u64,
}

impl Client {
    /// Connects to the socket called `name` below `run_dir`. `limit` bounds each wait for an
    /// answer; `None` waits for as long as the daemon lives.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] or [`ClientError::Denied`].
    pub fn connect(
        run_dir: &Path,
        name: &str,
        limit: Option<Duration>,
    ) -> Result<Self, ClientError> {
        let path = run_dir.join(name);
        let stream = UnixStream::connect(&path).map_err(|source| {
            let path = path.clone();
            if source.kind() == io::ErrorKind::PermissionDenied {
                ClientError::Denied { path }
            } else {
                ClientError::NotRunning { path, source }
            }
        })?;
        stream.set_read_timeout(limit)?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self { stream: BufReader::new(stream), limit, last_id: 0 })
    }

    /// Sends `request` without waiting for its answer.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn send(&mut self, request: Request) -> Result<(), ClientError> {
        self.last_id += 1;
        let line = RequestLine { v: api::VERSION, id: self.last_id, request };
        let mut text = serde_json::to_string(&line)
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        text.push('\n');
        self.stream.get_mut().write_all(text.as_bytes())?;
        Ok(())
    }

    /// Sends `request` and waits for its answer.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub fn ask(&mut self, request: Request) -> Result<Response, ClientError> {
        self.send(request)?;
        loop {
            let mut text = String::new();
            let read = (&mut self.stream).take(ANSWER_BYTES_MAX).read_line(&mut text);
            match read {
                Ok(0) => {
                    return Err(ClientError::Io(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "heartbeat closed the connection",
                    )));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(ClientError::Timeout { limit: self.limit.unwrap_or_default() });
                }
                Err(error) => return Err(error.into()),
            }
            let line: ResponseLine = serde_json::from_str(&text)
                .map_err(|error| ClientError::Protocol(error.to_string()))?;
            if line.id == self.last_id {
                return Ok(line.response);
            }
        }
    }
}

/// The snapshot of the daemon below `run_dir`.
///
/// # Errors
/// Any [`ClientError`].
pub fn snapshot(run_dir: &Path) -> Result<StatusSnapshot, ClientError> {
    match Client::connect(run_dir, api::STATUS_SOCKET, Some(LIMIT))?.ask(Request::Status)? {
        Response::Status(snapshot) => Ok(*snapshot),
        Response::Error { text } => Err(ClientError::Protocol(text)),
        other @ (Response::History(_) | Response::Changes { .. } | Response::Done { .. }) => {
            Err(ClientError::Protocol(format!("{other:?}")))
        }
    }
}
