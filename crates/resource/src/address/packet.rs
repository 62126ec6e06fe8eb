//! Packet sockets: one that sends frames to a link-layer address, and those that listen. Does I/O and
//! holds the crate's only `unsafe`: the system's `sockaddr_ll` has no safe builder or reader. What is
//! in a frame is decided by `frames` and read by `claims`.
#![expect(unsafe_code, reason = "no safe way to build or read a sockaddr_ll")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::slice;

use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::filter::Step;
use super::frames::{ETHERNET_LEN, Ethernet, Frame};

/// Longest frame that is read. What speaks of an address has less than 100 bytes; of longer ones the
/// rest is cut off, and then they are not well-formed.
const FRAME_MAX: usize = 1024;
/// Bytes of frames that may wait in the kernel: some hundred. More are dropped there.
const QUEUE_BYTES: usize = 128 * 1024;

/// A packet socket that only sends. The kernel puts the link-layer header before each frame, with
/// the interface's own address as source.
///
/// It is kept for the life of the process: closing one waits for the kernel's next grace period.
#[derive(Debug)]
pub(super) struct PacketSocket(Socket);

impl PacketSocket {
    /// Needs CAP_NET_RAW.
    pub(super) fn open() -> io::Result<Self> {
        // Protocol 0 receives nothing: no queue fills that nobody reads.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Sends through the interface with this index, without waiting.
    pub(super) fn send(&self, interface: u32, frame: &Frame) -> io::Result<()> {
        let address = link_layer_address(interface, frame.protocol, frame.destination)?;
        self.0.send_to(&frame.payload, &address).map(|_all_of_it| ())
    }
}

/// A frame as it arrived, without its link-layer header.
#[derive(Debug)]
pub(super) struct Received {
    /// EtherType.
    pub(super) protocol: u16,
    /// Index of the interface.
    pub(super) index: u32,
    /// Sent by this machine.
    pub(super) outgoing: bool,
    pub(super) source: Ethernet,
    pub(super) payload: Vec<u8>,
}

/// A packet socket that receives one kind of frames from all interfaces. Kept for the life of the
/// process, as [`PacketSocket`] is.
#[derive(Debug)]
pub(super) struct Listener(AsyncFd<Socket>);

impl Listener {
    /// Receives what passes `filter`. Needs CAP_NET_RAW and must be called inside a tokio runtime.
    pub(super) fn open(protocol: u16, filter: &[Step]) -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(QUEUE_BYTES)?;
        // Before it is bound nothing arrives, so nothing gets past the filter.
        attach(&socket, filter)?;
        socket.bind(&link_layer_address(0, protocol, [0; ETHERNET_LEN])?)?;
        // SAFETY: a `Socket` owns its descriptor and gives the same one for as long as it lives.
        let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Self(registered?))
    }

    /// Replaces the filter.
    pub(super) fn filter(&self, filter: &[Step]) -> io::Result<()> {
        attach(self.0.get_ref(), filter)
    }

    /// The next frame. Cancel-safe.
    pub(super) async fn recv(&self) -> io::Result<Received> {
        self.0.async_io(Interest::READABLE, read).await
    }
}

fn attach(socket: &Socket, filter: &[Step]) -> io::Result<()> {
    let steps: Vec<SockFilter> =
        filter.iter().map(|step| SockFilter::new(step.0, step.1, step.2, step.3)).collect();
    socket.attach_filter(&steps)
}

fn read(socket: &Socket) -> io::Result<Received> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); FRAME_MAX];
    let (length, from) = socket.recv_from(&mut buffer)?;
    let filled = &buffer[..length.min(FRAME_MAX)];
    // SAFETY: the system has written this many bytes to the buffer, and `u8` has the layout of
    // `MaybeUninit<u8>`.
    let payload = unsafe { slice::from_raw_parts(filled.as_ptr().cast::<u8>(), filled.len()) };
    let mut storage = from.as_storage();
    // SAFETY: as in `link_layer_address`; what the system did not fill in is zero.
    let from = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    let [a, b, c, d, e, f, ..] = from.sll_addr;
    Ok(Received {
        protocol: u16::from_be(from.sll_protocol),
        index: u32::try_from(from.sll_ifindex).unwrap_or(0),
        outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
        source: [a, b, c, d, e, f],
        payload: payload.to_vec(),
    })
}

/// `struct sockaddr_ll` (packet(7)).
fn link_layer_address(
    interface: u32,
    protocol: u16,
    destination: [u8; ETHERNET_LEN],
) -> io::Result<SockAddr> {
    let too_large = |_| io::Error::from_raw_os_error(libc::ENODEV);
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is a plain C structure that fits into the storage (checked below at
    // compile time) and for which any bytes, zeros included, are valid.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = AF_PACKET;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = i32::try_from(interface).map_err(too_large)?;
    address.sll_halen = HALEN;
    address.sll_addr[..ETHERNET_LEN].copy_from_slice(&destination);
    // SAFETY: the storage holds an initialised `sockaddr_ll`, and the length is that structure's.
    Ok(unsafe { SockAddr::new(storage, SOCKADDR_LL_LEN) })
}

const _: () = assert!(size_of::<libc::sockaddr_ll>() <= size_of::<SockAddrStorage>());
/// The constants fit: AF_PACKET is 17, an Ethernet address has 6 bytes, `sockaddr_ll` has 20.
const AF_PACKET: u16 = libc::AF_PACKET as u16;
const HALEN: u8 = ETHERNET_LEN as u8;
const SOCKADDR_LL_LEN: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_layer_address_has_the_layout_of_packet_7() {
        let address = link_layer_address(7, 0x0806, [1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(address.len(), 20);
        assert_eq!(i32::from(address.family()), libc::AF_PACKET);
        let mut storage = address.as_storage();
        // SAFETY: as above; the storage was filled as a `sockaddr_ll`.
        let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
        assert_eq!(address.sll_protocol.to_ne_bytes(), [0x08, 0x06]);
        assert_eq!((address.sll_ifindex, address.sll_halen), (7, 6));
        assert_eq!(address.sll_addr, [1, 2, 3, 4, 5, 6, 0, 0]);
    }

    #[test]
    fn an_impossible_interface_index_is_an_error() {
        assert!(link_layer_address(u32::MAX, 0x0806, [0; 6]).is_err());
    }
}
