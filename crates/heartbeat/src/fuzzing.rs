//! What local clients may send, as pure functions of bytes: the parsers behind the client socket,
//! the FIFO and the control sockets, with the loops that the sockets drive. No I/O and no decision;
//! only `tests/fuzz` calls it.

use std::collections::BTreeSet;

use hb_messaging::fields::FieldList;
use hb_node::api::{Request, RequestLine, Response, StatusSnapshot};

use crate::control::Access;
use crate::control::client::{self, Line};
use crate::legacy::fifo_text::{self, Cutter};
use crate::legacy::frame;
use crate::legacy::session::{Accounts, Peer, Session};

/// A connection to the client socket.
#[derive(Clone, Debug)]
pub struct RegisterClient {
    session: Session,
    buffer: Vec<u8>,
    ended: bool,
}

impl RegisterClient {
    /// What the kernel says of the client, and Heartbeat's accounts here.
    pub fn new(
        (uid, gid, pid): (u32, u32, u32),
        hacluster: Option<u32>,
        haclient: Option<u32>,
    ) -> Self {
        let session = Session::new(Peer { uid, gid, pid }, Accounts { hacluster, haclient });
        Self { session, buffer: Vec::new(), ended: false }
    }

    /// Takes bytes as they are read, and returns the answers that are written for them: each as
    /// bytes on the socket, in order. Nothing more is taken once the connection has ended.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        snapshot: &StatusSnapshot,
        online: &BTreeSet<String>,
    ) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        while !self.ended {
            match frame::take(&mut self.buffer) {
                Ok(Some(message)) => self.turn(&message, snapshot, online, &mut answers),
                Ok(None) if bytes.is_empty() => break,
                Ok(None) => {
                    let (now, later) = bytes.split_at(frame::room(&self.buffer).min(bytes.len()));
                    self.ended = now.is_empty();
                    self.buffer.extend_from_slice(now);
                    bytes = later;
                }
                Err(_) => self.ended = true,
            }
        }
        answers
    }

    fn turn(
        &mut self,
        message: &FieldList,
        snapshot: &StatusSnapshot,
        online: &BTreeSet<String>,
        answers: &mut Vec<Vec<u8>>,
    ) {
        let turn = self.session.take(message, snapshot, online);
        self.ended = turn.end;
        for reply in &turn.replies {
            match frame::encode(reply) {
                Ok(bytes) => answers.push(bytes),
                Err(_) => self.ended = true,
            }
        }
    }

    /// Bytes that wait for the rest of their frame.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The most that ever may wait.
    pub fn buffered_max() -> usize {
        frame::room(&[])
    }

    /// Whether the connection has ended.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The name under which it has signed on.
    pub fn name(&self) -> Option<&str> {
        self.session.name()
    }

    /// Whether it has signed on.
    pub fn is_signed_on(&self) -> bool {
        self.session.is_signed_on()
    }
}

/// One frame of the client socket, taken from the beginning of `bytes`; `None` when it is no whole
/// frame.
pub fn register_frame(mut bytes: Vec<u8>) -> Option<(FieldList, Vec<u8>)> {
    let fields = frame::take(&mut bytes).ok().flatten()?;
    Some((fields, bytes))
}

/// The reading side of the FIFO.
#[derive(Clone, Debug, Default)]
pub struct FifoReader(Cutter);

impl FifoReader {
    /// Takes bytes as they are read; each message becomes a request with its words for the log, or
    /// the reason of its refusal.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Result<(String, Request), String>> {
        let mut found = Vec::new();
        self.0.push(bytes, &mut found);
        let understand = |message: Result<FieldList, String>| {
            message.and_then(|message| fifo_text::command(&message))
        };
        found.into_iter().map(|one| understand(one).map(|it| (it.text, it.request))).collect()
    }

    /// Bytes that wait for the end of their message.
    pub fn buffered(&self) -> usize {
        self.0.buffered()
    }

    /// The most that ever may wait.
    pub fn buffered_max() -> usize {
        Cutter::BUFFERED_MAX
    }
}

/// The reading side of a control socket.
#[derive(Clone, Debug)]
pub struct ControlClient {
    access: Access,
    buffer: Vec<u8>,
    ended: bool,
}

/// A request, or the refusal with the id that it seems to have.
pub type Understood = Result<RequestLine, (u64, String)>;

impl ControlClient {
    /// `commands`: by `control.sock`; otherwise by `status.sock`.
    pub fn new(commands: bool) -> Self {
        let access = if commands { Access::Command } else { Access::Read };
        Self { access, buffer: Vec::new(), ended: false }
    }

    /// Takes bytes as they are read, a chunk at most at a time.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Understood> {
        let mut found = Vec::new();
        for chunk in bytes.chunks(client::CHUNK) {
            if self.ended {
                break;
            }
            self.buffer.extend_from_slice(chunk);
            while let Some(line) = client::cut_line(&mut self.buffer).filter(|_| !self.ended) {
                match line {
                    Line::Text(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                    Line::Text(line) => found.push(client::understand(self.access, &line)),
                    Line::TooLong | Line::End => self.ended = true,
                }
            }
        }
        found
    }

    /// Bytes that wait for the end of their line.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The most that ever may wait.
    pub fn buffered_max() -> usize {
        client::LINE_MAX + client::CHUNK
    }
}

/// An answer as it is written to a control socket.
pub fn control_answer(id: u64, response: Response) -> Vec<u8> {
    client::encode(id, response)
}
