//! Tells the network where an address lives, at once and then a few times more. Does I/O; whether
//! this machine has the address is the caller's business.
#![expect(clippy::disallowed_methods, reason = "reads one kernel setting")]

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hb_config::settings::Announce;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::frames::{self, Frame};
use super::packet::PacketSocket;
use super::plan::Interface;

/// Running repeats by address and interface name. One entry per resource at most: a repeat replaces
/// the one before, and finished ones are dropped.
type Repeats = BTreeMap<(IpAddr, String), JoinHandle<()>>;

/// The packet socket and the repeats under way.
#[derive(Debug)]
pub(super) struct Announcer {
    socket: Result<Arc<PacketSocket>, String>,
    repeats: Mutex<Repeats>,
}

impl Drop for Announcer {
    fn drop(&mut self) {
        for task in self.repeats().values() {
            task.abort();
        }
    }
}

impl Announcer {
    /// Without permission for packet sockets, only announcing fails.
    pub(super) fn open() -> Self {
        let reason = |error: io::Error| format!("no packet socket: {error}");
        let socket = PacketSocket::open().map(Arc::new).map_err(reason);
        Self { socket, repeats: Mutex::default() }
    }

    /// Announces once before it returns; the rest of `announce.count` follows in the background.
    ///
    /// # Errors
    /// Why the first announcement was not sent. The others are tried nevertheless.
    pub(super) fn announce(
        &self,
        ip: IpAddr,
        interface: &Interface,
        announce: Announce,
    ) -> Result<(), String> {
        if announce.count == 0 {
            return Ok(());
        }
        let Some(ethernet) = interface.ethernet else {
            tracing::debug!(%ip, interface = interface.name, "not Ethernet: nothing to announce");
            return Ok(());
        };
        let socket = self.socket.as_ref().map_err(Clone::clone)?;
        let router = ip.is_ipv6() && forwards_ipv6(&interface.name);
        let frames = frames::announcement(ip, ethernet, router);
        let sent = send_all(socket, interface.index, &frames);
        self.repeat(ip, interface, announce, frames, socket);
        sent.map_err(|error| format!("not sent on {}: {error}", interface.name))
    }

    /// Announces one single time, whatever repeats are under way.
    pub(super) fn once(&self, ip: IpAddr, interface: &Interface) -> Result<(), String> {
        let Some(ethernet) = interface.ethernet else { return Ok(()) };
        let router = ip.is_ipv6() && forwards_ipv6(&interface.name);
        let frames = frames::announcement(ip, ethernet, router);
        frames.iter().try_for_each(|frame| self.send(interface.index, frame))
    }

    /// Sends one frame.
    pub(super) fn send(&self, interface: u32, frame: &Frame) -> Result<(), String> {
        let socket = self.socket.as_ref().map_err(Clone::clone)?;
        socket.send(interface, frame).map_err(|error| format!("not sent: {error}"))
    }

    /// Ends the repeats of `ip` on all interfaces: it is about to leave this machine.
    pub(super) fn cancel(&self, ip: IpAddr) {
        self.repeats().retain(|(announced, _), task| {
            if *announced == ip {
                task.abort();
            }
            *announced != ip
        });
    }

    /// Waits until all repeats that are under way are sent.
    pub(super) async fn finished(&self) {
        let tasks = std::mem::take(&mut *self.repeats());
        for task in tasks.into_values() {
            // An error means that it was cancelled.
            let _ = task.await;
        }
    }

    fn repeat(
        &self,
        ip: IpAddr,
        interface: &Interface,
        announce: Announce,
        frames: Vec<Frame>,
        socket: &Arc<PacketSocket>,
    ) {
        let mut repeats = self.repeats();
        repeats.retain(|_, task| !task.is_finished());
        let key = (ip, interface.name.clone());
        if let Some(earlier) = repeats.remove(&key) {
            earlier.abort();
        }
        if announce.count < 2 {
            return;
        }
        let (socket, index) = (Arc::clone(socket), interface.index);
        let task = tokio::spawn(async move {
            for _ in 1..announce.count {
                sleep(Duration::from_millis(announce.interval_ms)).await;
                if let Err(error) = send_all(&socket, index, &frames) {
                    tracing::debug!(%ip, %error, "announcement not sent");
                }
            }
        });
        repeats.insert(key, task);
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send_all(socket: &PacketSocket, interface: u32, frames: &[Frame]) -> io::Result<()> {
    frames.iter().try_for_each(|frame| socket.send(interface, frame))
}

/// Unknown counts as no: most nodes are hosts.
fn forwards_ipv6(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    std::fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
}
