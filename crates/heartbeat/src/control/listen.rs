//! Binding the sockets with their owner and mode, and accepting clients within bounds (I/O).
#![expect(clippy::disallowed_methods, reason = "makes the directory of the sockets")]

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hb_node::input::ClientId;
use nix::sys::stat::{Mode, umask};
use nix::unistd::Group;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc};

use crate::control::client::{Client, refuse};
use crate::control::{Access, ClientEvent};
use crate::logging::Logger;

/// Who may give commands besides root, where the machine has this group (Heartbeat's own).
const GROUP: &str = "haclient";
/// How long accepting rests when the machine is out of descriptors or memory.
const REST: Duration = Duration::from_secs(1);

/// Numbers clients over all doors, for the life of the process.
static NEXT_CLIENT: AtomicU64 = AtomicU64::new(1);

pub(super) fn next_client() -> ClientId {
    ClientId(NEXT_CLIENT.fetch_add(1, Ordering::Relaxed))
}

/// One socket.
pub(super) struct Listener {
    pub(super) access: Access,
    pub(super) slots: Arc<Semaphore>,
    pub(super) events: mpsc::Sender<ClientEvent>,
    pub(super) logger: Logger,
}

impl Listener {
    /// Accepts for ever; each failure has its own answer, none ends the loop.
    pub(super) async fn run(self, socket: UnixListener) {
        loop {
            let stream = match socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    self.failed(&error).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                refuse(&stream, "too many clients are connected; try again");
                continue;
            };
            let client = Client {
                id: next_client(),
                access: self.access,
                peer: stream.peer_cred().ok(),
                events: self.events.clone(),
                logger: self.logger.clone(),
            };
            tokio::spawn(async move {
                client.serve(stream).await;
                drop(slot);
            });
        }
    }

    async fn failed(&self, error: &io::Error) {
        match error.raw_os_error() {
            // The client has gone, or a signal came: nothing is wrong here.
            Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO | libc::EPERM) => {}
            Some(libc::EMFILE | libc::ENFILE) => {
                tracing::error!("control socket: no descriptors left: {error}; raise LimitNOFILE");
                tokio::time::sleep(REST).await;
            }
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                tracing::error!("control socket: no memory left: {error}");
                tokio::time::sleep(REST).await;
            }
            Some(_) | None => {
                tracing::error!("control socket: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Makes the directory and the socket; a socket file left behind by a crash is replaced.
pub(crate) fn bind(path: &Path, access: Access) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
        let mode = fs::metadata(dir)?.permissions().mode();
        // Debian's Heartbeat leaves 0750; whoever may read the status must get at its socket.
        if mode & 0o005 != 0o005 {
            fs::set_permissions(dir, Permissions::from_mode((mode & 0o7777) | 0o055))?;
        }
    }
    if StdStream::connect(path).is_ok() {
        let text = "another process answers on it";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // The mode comes from the umask and the owner from lchown: neither follows a link that somebody
    // with rights on the directory could put in the place of the socket.
    let open = match access {
        Access::Read => Mode::from_bits_truncate(0o111),
        Access::Command => Mode::from_bits_truncate(0o117),
    };
    let before = umask(open);
    let socket = UnixListener::bind(path);
    umask(before);
    let socket = socket?;
    if access == Access::Command
        && let Ok(Some(group)) = Group::from_name(GROUP)
    {
        lchown(path, None, Some(group.gid.as_raw()))?;
    }
    Ok(socket)
}
