//! Heartbeat's media as sockets: `bcast`, `ucast`, `mcast`, `ucast6`, `mcast6`, and ICMP echo for
//! ping nodes. Does I/O and reads the timer; it neither decodes nor judges what arrives.
//!
//! Nothing here fails for good. A socket that cannot be made or used is a failed link with a
//! reason, looked at again each second: [`Links::recv`] tells [`NetEvent::Failed`] and, once it
//! works, [`NetEvent::Restored`].
#![forbid(unsafe_code)]

mod icmp;
mod interfaces;
mod link;
mod options;
mod resolve;

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hb_config::settings::Medium;
use nix::sys::socket::{SockaddrStorage, recvfrom};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

pub use self::icmp::Pings;
use self::interfaces::Interfaces;
use self::link::Link;
use self::options::Binding;
use crate::engine::LinkId;

/// How often all links are compared with the machine and failed ones are tried again: the longest
/// time that a link stays failed after its cause is gone.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long [`Links::open`] waits for the names in `ucast` lines, each: `/etc/hosts` answers in
/// microseconds; a dead name server must not delay the start.
const FIRST_RESOLUTION: Duration = Duration::from_millis(500);

/// Longest datagram that UDP can carry, and a little more.
const DATAGRAM_MAX: usize = 1 << 16;

/// What the sockets have to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetEvent {
    /// A datagram arrived.
    Datagram {
        /// The first configured medium on the interface that it came in by. 3.0.6 has one link per
        /// interface, too.
        link: LinkId,
        /// All of it.
        bytes: Vec<u8>,
        /// Where it came from, as the kernel says it; anybody can write another's address there.
        source: Option<SocketAddr>,
    },
    /// A link does not work, or fails for another reason than before. It stays failed until
    /// `Restored`.
    Failed {
        /// Which medium.
        link: LinkId,
        /// What is wrong and, where known, what to do.
        reason: String,
    },
    /// A failed link works again.
    Restored {
        /// Which medium.
        link: LinkId,
    },
}

/// The sockets of all media.
///
/// One socket receives for all media that share interface, family and port; each medium has its own
/// to send. Receiving goes round robin, one datagram per socket, so that a flood on one link delays
/// the others by one datagram each. Receiving does not stop when only sending fails.
#[derive(Debug)]
pub struct Links {
    links: Vec<Link>,
    receivers: Vec<Receiver>,
    /// Receiver whose turn it is.
    turn: usize,
    check: Interval,
    /// The look at this machine's interfaces that is under way.
    look: Option<oneshot::Receiver<io::Result<Interfaces>>>,
    buffer: Box<[u8]>,
}

#[derive(Debug)]
struct Receiver {
    binding: Binding,
    index: u32,
    link: LinkId,
    socket: UdpSocket,
}

impl Links {
    /// Makes the sockets of `media`; [`LinkId`] is the index. What does not work is told by
    /// [`Self::recv`]. May take half a second per host name that does not resolve at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime that has I/O and time enabled.
    pub fn open(media: &[Medium], udp_port: u16) -> Self {
        let mut check = interval_at(Instant::now() + CHECK_EVERY, CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let numbered = (0..=u16::MAX).map(LinkId).zip(media);
        let mut links = Self {
            links: numbered.map(|(id, medium)| Link::new(id, medium.clone(), udp_port)).collect(),
            receivers: Vec::new(),
            turn: 0,
            check,
            look: None,
            buffer: vec![0; DATAGRAM_MAX].into_boxed_slice(),
        };
        links.check_all(Interfaces::read(), FIRST_RESOLUTION);
        links
    }

    /// Waits for the next event. Also looks after the links each second, so it must be polled all
    /// the time. Cancel-safe: nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> NetEvent {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// What is already there, without waiting; `None` when nothing is. Asks the kernel, not the
    /// runtime, so that it also finds what arrived while the caller was held up.
    pub fn try_recv(&mut self) -> Option<NetEvent> {
        if let Some(event) = self.change() {
            return Some(event);
        }
        for _ in 0..self.receivers.len() {
            let at = self.next_turn();
            let receiver = &self.receivers[at];
            match read(&receiver.socket, &mut self.buffer) {
                Ok((length, source)) => {
                    return Some(datagram(receiver.link, &self.buffer[..length], source));
                }
                Err(error) if is_harmless(&error) => {}
                Err(error) => {
                    self.drop_receiver(at, &error);
                    return self.change();
                }
            }
        }
        None
    }

    /// Sends without waiting. An error makes the link fail (told by [`Self::recv`]); a full queue
    /// or a refusing peer is borne a few times. Unknown links are ignored.
    pub fn send(&mut self, link: LinkId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(usize::from(link.0)) {
            link.send(bytes);
        }
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<NetEvent> {
        while self.check.poll_tick(context).is_ready() {
            if self.look.is_none() {
                self.look = Some(interfaces::look());
            }
        }
        if let Some(look) = &mut self.look
            && let Poll::Ready(seen) = Pin::new(look).poll(context)
        {
            self.look = None;
            self.check_all(
                seen.unwrap_or_else(|_| Err(io::Error::other("no answer"))),
                Duration::ZERO,
            );
        }
        if let Some(event) = self.change() {
            return Poll::Ready(event);
        }
        for _ in 0..self.receivers.len() {
            let at = self.next_turn();
            let receiver = &self.receivers[at];
            match poll_read(&receiver.socket, context, &mut self.buffer) {
                Poll::Pending => {}
                Poll::Ready(Ok((length, source))) => {
                    let bytes = &self.buffer[..length];
                    return Poll::Ready(datagram(receiver.link, bytes, Some(source)));
                }
                Poll::Ready(Err(error)) => {
                    self.drop_receiver(at, &error);
                    context.waker().wake_by_ref();
                    return self.change().map_or(Poll::Pending, Poll::Ready);
                }
            }
        }
        Poll::Pending
    }

    fn next_turn(&mut self) -> usize {
        let at = self.turn % self.receivers.len().max(1);
        self.turn = at + 1;
        at
    }

    fn change(&mut self) -> Option<NetEvent> {
        self.links.iter_mut().find_map(|entry| {
            let link = entry.id;
            entry.take_change().map(|state| match state {
                Some(reason) => NetEvent::Failed { link, reason },
                None => NetEvent::Restored { link },
            })
        })
    }

    /// Brings sockets and machine together again: interfaces come, go, are renamed or made anew.
    fn check_all(&mut self, seen: io::Result<Interfaces>, patience: Duration) {
        let interfaces = match seen {
            Ok(interfaces) => interfaces,
            Err(error) => {
                // Sockets may still work; only what failed stays failed.
                tracing::warn!(%error, "cannot read the interfaces of this machine");
                return;
            }
        };
        self.receivers.retain(|receiver| {
            let interface = interfaces.find(&receiver.binding.interface);
            interface.is_some_and(|interface| interface.index == receiver.index)
        });
        for at in 0..self.links.len() {
            let receiver = self.ensure_receiver(at, &interfaces);
            self.links[at].check(&interfaces, patience, receiver);
        }
    }

    fn ensure_receiver(&mut self, at: usize, interfaces: &Interfaces) -> Result<(), String> {
        let binding = self.links[at].binding.clone();
        if self.receivers.iter().any(|receiver| receiver.binding == binding) {
            return Ok(());
        }
        let name = &binding.interface;
        let index = interfaces.find(name).ok_or_else(|| options::absent(name))?.index;
        let sharing = self.links.iter().filter(|link| link.binding == binding);
        let media: Vec<&Medium> = sharing.map(|link| &link.medium).collect();
        let socket = options::receiver(&binding, index, &media)?;
        let socket = UdpSocket::from_std(socket.into())
            .map_err(|error| format!("cannot receive on {name}: {error}"))?;
        let first = self.links.iter().find(|link| link.binding.interface == *name);
        let link = first.map_or(self.links[at].id, |link| link.id);
        self.receivers.push(Receiver { binding, index, link, socket });
        Ok(())
    }

    fn drop_receiver(&mut self, at: usize, error: &io::Error) {
        let Receiver { binding, .. } = self.receivers.swap_remove(at);
        for link in self.links.iter_mut().filter(|link| link.binding == binding) {
            link.fail_receiving(format!("cannot receive on {}: {error}", binding.interface));
        }
    }
}

fn datagram(link: LinkId, bytes: &[u8], source: Option<SocketAddr>) -> NetEvent {
    NetEvent::Datagram { link, bytes: bytes.to_vec(), source }
}

/// Reads past the runtime, which believes that a socket that it has not watched yet is not ready.
fn read(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddr>)> {
    let (length, source) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer)?;
    let v4 = |source: &SockaddrStorage| {
        source.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)))
    };
    let v6 = |source: &SockaddrStorage| {
        source.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
    };
    Ok((length, source.as_ref().and_then(|source| v4(source).or_else(|| v6(source)))))
}

fn poll_read(
    socket: &UdpSocket,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<(usize, SocketAddr)>> {
    loop {
        let mut datagram = ReadBuf::new(buffer);
        match socket.poll_recv_from(context, &mut datagram) {
            Poll::Ready(Err(error)) if is_harmless(&error) => {}
            Poll::Ready(Ok(source)) => return Poll::Ready(Ok((datagram.filled().len(), source))),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Errors of reading that say nothing of the socket: nothing there, a signal, or an ICMP answer to
/// something that was sent. Each is gone once it was read.
fn is_harmless(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EAGAIN
                | libc::EINTR
                | libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
        )
    )
}
