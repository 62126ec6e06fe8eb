//! Sends frames to a link-layer address through one packet socket. Does I/O and holds the crate's
//! only `unsafe`: the system's `sockaddr_ll` has no safe builder. What is in a frame is decided by
//! `frames`; nothing is received.
#![expect(unsafe_code, reason = "no safe way to build a sockaddr_ll")]

use std::io;
use std::mem::size_of;

use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use super::frames::{ETHERNET_LEN, Frame};

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
