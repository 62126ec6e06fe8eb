//! Heartbeat's client socket `/run/heartbeat/register`: binding, accepting within bounds, reading
//! and writing with limits of size and time (I/O). What is answered is `session`'s business.
//!
//! It is open from the start of the daemon, where Heartbeat 3.0.6 opened it only when the node
//! became active: status tools are not blind while a node waits for its peer.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hb_node::api::{Request, Response};
use hb_node::effect::Level;
use nix::unistd::{Group, User};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::control::{Access, Core, bind};
use crate::legacy::frame;
use crate::legacy::session::{Accounts, Peer, Session};
use crate::logging::Logger;

/// File name below the run directory (Heartbeat 3.0.6).
pub(super) const SOCKET: &str = "register";
/// Connections at a time.
const CLIENTS_MAX: usize = 16;
/// How long a client may take to sign on: the library does it at once.
const SIGN_ON_MAX: Duration = Duration::from_secs(5);
/// How long a client without a name may be silent before its place is given to others. A named
/// one is a daemon that stays.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a client may take to read an answer.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// How long accepting rests after a failure.
const REST: Duration = Duration::from_secs(1);
/// Bytes that are read at a time.
const CHUNK: usize = 1024;

/// Names of the clients that are signed on.
type Online = Arc<Mutex<BTreeSet<String>>>;

/// Listens on `path`. Its file mode lets root and the group haclient in, as `control.sock`'s does;
/// everybody else would be refused at the sign-on and could only take places.
pub(super) fn open(path: &Path, core: &Core, logger: &Logger) {
    match bind(path, Access::Command) {
        Ok(socket) => {
            let user = |name| User::from_name(name).ok().flatten();
            let group = |name| Group::from_name(name).ok().flatten();
            let accounts = Accounts {
                hacluster: user("hacluster").map(|user| user.uid.as_raw()),
                haclient: group("haclient").map(|group| group.gid.as_raw()),
            };
            let (core, logger) = (core.clone(), logger.clone());
            tokio::spawn(accept(socket, accounts, core, logger));
        }
        Err(error) => {
            let text = format!(
                "no client socket {}: {error}; Heartbeat's own cl_status cannot talk to us",
                path.display()
            );
            logger.say(Level::Error, "no_client_socket", text);
        }
    }
}

/// Accepts for ever.
async fn accept(socket: UnixListener, accounts: Accounts, core: Core, logger: Logger) {
    let slots = Arc::new(Semaphore::new(CLIENTS_MAX));
    let online = Online::default();
    loop {
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                logger.say(Level::Warn, "client_socket", format!("client socket: {error}"));
                sleep(REST).await;
                continue;
            }
        };
        let Some(peer) = peer_of(&stream) else { continue };
        // Closed without a word: the library says that it cannot sign on.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let client = Client {
            pid: peer.pid,
            session: Session::new(peer, accounts),
            online: Arc::clone(&online),
            core: core.clone(),
            logger: logger.clone(),
        };
        tokio::spawn(async move {
            client.serve(stream).await;
            drop(slot);
        });
    }
}

fn peer_of(stream: &UnixStream) -> Option<Peer> {
    let cred = stream.peer_cred().ok()?;
    let pid = u32::try_from(cred.pid()?).ok()?;
    Some(Peer { uid: cred.uid(), gid: cred.gid(), pid })
}

/// A client and the way to the core.
struct Client {
    pid: u32,
    session: Session,
    online: Online,
    core: Core,
    logger: Logger,
}

impl Client {
    /// Answers until the client leaves, is not understood, is too slow or silent for too long.
    async fn serve(mut self, mut stream: UnixStream) {
        if let Err(error) = self.talk(&mut stream).await {
            let text = format!("client of pid {} dropped: {error}", self.pid);
            self.logger.say(Level::Warn, "client_dropped", text);
        }
    }

    async fn talk(&mut self, stream: &mut UnixStream) -> io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            let message = match frame::take(&mut buffer).map_err(io::Error::other)? {
                Some(message) => message,
                None if self.read(stream, &mut buffer).await? => continue,
                None => return Ok(()),
            };
            let Some(Response::Status(snapshot)) = self.core.ask(Request::Status).await else {
                return Ok(());
            };
            let turn = {
                let mut online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
                let before = self.session.name().is_some();
                let turn = self.session.take(&message, &snapshot, &online);
                if !before && let Some(name) = self.session.name() {
                    online.insert(name.to_owned());
                }
                turn
            };
            if let Some(note) = turn.note {
                self.logger.say(Level::Warn, "client_refused", note);
            }
            let mut bytes = Vec::new();
            for reply in &turn.replies {
                bytes.extend(frame::encode(reply).map_err(io::Error::other)?);
            }
            timeout(WRITE_MAX, stream.write_all(&bytes)).await.map_err(|_| slow("read"))??;
            if turn.end {
                return Ok(());
            }
        }
    }

    /// Reads what has come; `false` at the end of the connection or of our patience with one that
    /// only takes a place.
    async fn read(&self, stream: &mut UnixStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        let free = frame::room(buffer).min(CHUNK);
        let Some(free) = chunk.get_mut(..free) else { return Ok(false) };
        let reading = stream.read(free);
        let length = match (self.session.is_signed_on(), self.session.name()) {
            (false, _) => timeout(SIGN_ON_MAX, reading).await.map_err(|_| slow("sign on"))?,
            (true, Some(_)) => reading.await,
            (true, None) => match timeout(IDLE_MAX, reading).await {
                Ok(length) => length,
                Err(_) => return Ok(false),
            },
        };
        let length = match length {
            // Whoever has its answer may leave as it likes.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            length => length?,
        };
        buffer.extend_from_slice(free.get(..length).unwrap_or_default());
        Ok(length > 0)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(name) = self.session.name() {
            self.online.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
    }
}

fn slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("it does not {what}"))
}
