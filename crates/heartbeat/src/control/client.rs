//! One connected client: lines in, one answer each, within limits of size and time (I/O).

use std::io;
use std::time::Duration;

use hb_node::api::{Request, RequestLine, Response, ResponseLine, VERSION};
use hb_node::effect::{Level, LogEvent};
use hb_node::input::ClientId;
use nix::unistd::{Uid, User};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::UCred;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::control::{Access, ClientEvent};
use crate::logging::Logger;

/// Longest request: the longest real one has some hundred bytes.
pub(crate) const LINE_MAX: usize = 64 * 1024;
/// Bytes that are read at a time.
pub(crate) const CHUNK: usize = 4096;
/// How long a connection may be silent before its place is given to others.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a client may take to read its answer.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// How long the name of whoever gives a command may be looked for.
const NAME_MAX: Duration = Duration::from_millis(500);
/// How often a client that has closed its side is looked at while it waits for an answer.
const GONE_CHECK: Duration = Duration::from_secs(1);

/// A client and the way to the core.
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) access: Access,
    pub(super) peer: Option<UCred>,
    pub(super) events: mpsc::Sender<ClientEvent>,
    pub(super) logger: Logger,
}

/// What reading found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(Vec<u8>),
    TooLong,
    End,
}

impl Client {
    /// Answers line by line until the client leaves, is too slow or is silent for too long.
    pub(super) async fn serve(self, mut stream: UnixStream) {
        let mut buffer = Vec::new();
        loop {
            let line = match timeout(IDLE_MAX, next_line(&mut stream, &mut buffer)).await {
                Ok(Ok(Line::Text(line))) => line,
                Ok(Ok(Line::TooLong)) => {
                    refuse(&stream, "a request has 64 KiB at most");
                    return;
                }
                Ok(Ok(Line::End) | Err(_)) | Err(_) => return,
            };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let answer = match understand(self.access, &line) {
                Ok(RequestLine { id, request, .. }) => match self.ask(&stream, request).await {
                    Some(response) => (id, response),
                    None => return,
                },
                Err((id, text)) => (id, Response::Error { text }),
            };
            let bytes = encode(answer.0, answer.1);
            match timeout(WRITE_MAX, stream.write_all(&bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Passes a request on and waits for its answer; `None` when the client has gone meanwhile.
    async fn ask(&self, stream: &UnixStream, request: Request) -> Option<Response> {
        let who = match (self.record(&request), &self.peer) {
            (true, Some(peer)) => Some(user_name(peer.uid()).await),
            (true, None) | (false, _) => None,
        };
        let (answer, response) = oneshot::channel();
        let event = ClientEvent { client: self.id, who, asks: Some((request, answer)) };
        self.events.send(event).await.ok()?;
        tokio::select! {
            response = response => Some(response.unwrap_or_else(|_| Response::Error {
                text: "the daemon ended before it could answer".into(),
            })),
            () = until_gone(stream) => {
                let _ = self.events.send(ClientEvent { client: self.id, who: None, asks: None }).await;
                None
            }
        }
    }

    /// Logs who gave which command; whether it is one.
    fn record(&self, request: &Request) -> bool {
        let command = match request {
            Request::Status | Request::History => return false,
            Request::Standby { .. } => "standby",
            Request::Takeover { .. } => "takeover",
            Request::Cleanup { .. } => "cleanup",
            Request::Reload { dry_run: false } => "reload",
            Request::Reload { dry_run: true } => "reload --dry-run",
            Request::Stop => "stop",
            Request::Maintenance { on: true, .. } => "maintenance on",
            Request::Maintenance { on: false, .. } => "maintenance off",
            Request::FenceTest => "fence test",
            Request::FenceConfirm { .. } => "fence confirm",
        };
        let text = format!("Command over the control socket: {command}");
        let mut line = LogEvent::new(Level::Info, "client_command", text).with("client", self.id.0);
        if let Some(peer) = &self.peer {
            line = line.with("uid", peer.uid()).with("gid", peer.gid());
            if let Some(pid) = peer.pid() {
                line = line.with("client_pid", pid);
            }
        }
        self.logger.log(line);
        true
    }
}

/// The name of a user, or `uid1000` when nobody knows it in time. Asked beside the core: a directory
/// service may take its time.
async fn user_name(uid: u32) -> String {
    if uid == 0 {
        return "root".into();
    }
    let lookup = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid)));
    match timeout(NAME_MAX, lookup).await {
        Ok(Ok(Ok(Some(user)))) => user.name,
        Ok(_) | Err(_) => format!("uid{uid}"),
    }
}

/// Reads a line, or says what is wrong with it under the id that it seems to have.
pub(crate) fn understand(access: Access, line: &[u8]) -> Result<RequestLine, (u64, String)> {
    let parsed: RequestLine = serde_json::from_slice(line).map_err(|error| {
        let value: Option<serde_json::Value> = serde_json::from_slice(line).ok();
        let id = value.as_ref().and_then(|value| value.get("id")?.as_u64()).unwrap_or(0);
        (id, format!("not a request of version {VERSION}: {error}"))
    })?;
    if parsed.v != VERSION {
        let text = format!("version {} is not spoken here, {VERSION} is", parsed.v);
        return Err((parsed.id, text));
    }
    if !access.allows(&parsed.request) {
        let text = "this socket is for questions only; commands go to control.sock".into();
        return Err((parsed.id, text));
    }
    Ok(parsed)
}

/// Tells why there is no service, without waiting; the client sees its connection end.
pub(super) fn refuse(stream: &UnixStream, text: &str) {
    let _ = stream.try_write(&encode(0, Response::Error { text: text.into() }));
}

/// One line to a client.
pub(crate) fn encode(id: u64, response: Response) -> Vec<u8> {
    let ok = match response {
        Response::Status(_)
        | Response::History(_)
        | Response::Changes { .. }
        | Response::Done { .. } => true,
        Response::Error { .. } => false,
    };
    // Our own types of strings, numbers and maps with string keys always serialise.
    let mut bytes =
        serde_json::to_vec(&ResponseLine { v: VERSION, id, ok, response }).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The next line without its end. What is left after it stays in `buffer`. The last line needs no
/// line feed.
async fn next_line(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> io::Result<Line> {
    loop {
        if let Some(line) = cut_line(buffer) {
            return Ok(line);
        }
        let mut chunk = [0; CHUNK];
        let length = stream.read(&mut chunk).await?;
        if length == 0 {
            let line = std::mem::take(buffer);
            return Ok(if line.is_empty() { Line::End } else { Line::Text(line) });
        }
        buffer.extend_from_slice(&chunk[..length]);
    }
}

/// The first line of `buffer` without its end; `None` when more must be read. As long as its caller
/// stops at [`Line::TooLong`], the buffer never holds more than [`LINE_MAX`] bytes and one chunk.
pub(crate) fn cut_line(buffer: &mut Vec<u8>) -> Option<Line> {
    if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
        let rest = buffer.split_off(end + 1);
        let mut line = std::mem::replace(buffer, rest);
        line.truncate(end);
        return Some(Line::Text(line));
    }
    (buffer.len() > LINE_MAX).then_some(Line::TooLong)
}

/// Waits until the client has closed both directions. One that has only said that it will ask no
/// more (`echo … | nc -U`) still wants its answer.
async fn until_gone(stream: &UnixStream) {
    loop {
        // Waiting for readable would end at once for a half-closed client: look now and then.
        sleep(GONE_CHECK).await;
        match stream.ready(Interest::WRITABLE).await {
            Ok(ready) if !ready.is_write_closed() => {}
            Ok(_) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests;
