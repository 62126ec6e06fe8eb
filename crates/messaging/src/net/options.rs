//! Makes the sockets of each medium with the options of Heartbeat 3.0.6 (protocol description,
//! §10), and says in words why one cannot be made. Does I/O; holds no state.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hb_config::settings::Medium;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::interfaces::Interface;

/// IPTOS_LOWDELAY (RFC 1349), which Heartbeat sets on what `ucast` sends.
const TOS_LOW_DELAY: u32 = 0x10;

/// Receive buffer of each socket. It holds more than a thousand heartbeats, so that a core that
/// stalls for seconds loses none; a flood fills it within milliseconds of work for the reader.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What a receiving socket is bound to. Media that share all of it share the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) interface: String,
    /// Any address and the port, or for `mcast` the group and the port.
    pub(super) local: SocketAddr,
}

impl Binding {
    /// Where a medium receives.
    pub(super) fn of(medium: &Medium, udp_port: u16) -> Self {
        let local = match medium {
            Medium::Broadcast { .. } | Medium::Unicast { .. } => {
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, udp_port))
            }
            Medium::Unicast6 { .. } => SocketAddr::from((Ipv6Addr::UNSPECIFIED, udp_port)),
            Medium::Multicast { group, port, .. } => SocketAddr::from((*group, *port)),
            Medium::Multicast6 { port, .. } => SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port)),
        };
        Self { interface: medium.interface().to_owned(), local }
    }
}

/// Makes a receiving socket for all `media` that have this binding.
pub(super) fn receiver(binding: &Binding, index: u32, media: &[&Medium]) -> Result<Socket, String> {
    let make = || -> io::Result<Socket> {
        let socket = new_socket(binding.local.ip(), &binding.interface)?;
        socket.set_reuse_address(true)?;
        let is_unicast =
            |medium: &&Medium| matches!(medium, Medium::Unicast { .. } | Medium::Unicast6 { .. });
        if media.iter().any(is_unicast) {
            // Tolerated where it is missing, as Heartbeat does.
            let _ = socket.set_reuse_port(true);
        }
        enlarge_receive_buffer(&socket);
        if binding.local.is_ipv4() {
            // A group joined by another socket of this machine is none of this socket's business.
            socket.set_multicast_all_v4(false)?;
        } else {
            socket.set_only_v6(true)?;
        }
        socket.bind(&binding.local.into())?;
        if let IpAddr::V4(group) = binding.local.ip()
            && group.is_multicast()
        {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))?;
        }
        for medium in media {
            if let Medium::Multicast6 { group, .. } = medium {
                socket.join_multicast_v6(group, index)?;
            }
        }
        Ok(socket)
    };
    make().map_err(|error| explain_receiver(binding, &error))
}

/// Makes a sending socket and asks the kernel whether it has a way to `destination`.
///
/// The asking (a `connect` of a second, equal socket) sends nothing. The socket that sends stays
/// unconnected, so that it follows a change of this machine's addresses.
pub(super) fn sender(
    medium: &Medium,
    interface: &Interface,
    destination: SocketAddr,
) -> Result<Socket, String> {
    let make = || -> io::Result<Socket> {
        let socket = new_socket(destination.ip(), medium.interface())?;
        set_sending_options(&socket, medium, interface)?;
        Ok(socket)
    };
    let checked = || {
        make()?.connect(&destination.into())?;
        make()
    };
    checked().map_err(|error| explain_sender(medium, destination, &error))
}

/// Words for a failed send.
pub(super) fn explain_sender(
    medium: &Medium,
    destination: SocketAddr,
    error: &io::Error,
) -> String {
    let interface = medium.interface();
    let hint = match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => return absent(interface),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => {
            "no route through this interface: check its addresses"
        }
        Some(libc::ENETDOWN) => "the interface is down",
        Some(libc::EADDRNOTAVAIL) => "the interface has no usable address yet",
        Some(libc::EPERM | libc::EACCES) => {
            "refused here: a packet filter rule, or the daemon lacks CAP_NET_RAW"
        }
        Some(libc::ENOBUFS | libc::EAGAIN) => "the interface's queue stays full",
        _ => "sending failed",
    };
    format!("cannot send to {destination} on {interface}: {hint} ({error})")
}

/// Words for a missing interface.
pub(super) fn absent(interface: &str) -> String {
    format!("interface {interface} does not exist")
}

fn explain_receiver(binding: &Binding, error: &io::Error) -> String {
    let Binding { interface, local } = binding;
    let port = local.port();
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => absent(interface),
        Some(libc::EADDRINUSE) => format!(
            "UDP port {port} is in use by another program: stop it (`ss -ulpn sport = :{port}` \
             names it) or choose another port"
        ),
        Some(libc::EACCES | libc::EPERM) => format!(
            "not permitted to receive on UDP port {port} of {interface}: run as root or grant \
             CAP_NET_BIND_SERVICE and CAP_NET_RAW"
        ),
        _ => format!("cannot receive on {local} of {interface}: {error}"),
    }
}

fn new_socket(family_of: IpAddr, interface: &str) -> io::Result<Socket> {
    let domain = if family_of.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    Ok(socket)
}

fn set_sending_options(socket: &Socket, medium: &Medium, interface: &Interface) -> io::Result<()> {
    match medium {
        Medium::Broadcast { .. } => {
            socket.set_broadcast(true)?;
            // Never through a router: a directed broadcast belongs to this wire.
            setsockopt(socket, sockopt::DontRoute, &true)?;
        }
        Medium::Unicast { .. } => {
            socket.set_tos_v4(TOS_LOW_DELAY)?;
            let _ = socket.set_reuse_port(true);
        }
        Medium::Unicast6 { .. } => {
            socket.set_tclass_v6(TOS_LOW_DELAY)?;
            let _ = socket.set_reuse_port(true);
        }
        Medium::Multicast { ttl, loopback, .. } => {
            if let Some(entry) = interface.ipv4.first() {
                socket.set_multicast_if_v4(&entry.address)?;
            }
            socket.set_multicast_ttl_v4(u32::from(*ttl))?;
            socket.set_multicast_loop_v4(*loopback)?;
        }
        Medium::Multicast6 { hops, loopback, .. } => {
            socket.set_multicast_if_v6(interface.index)?;
            socket.set_multicast_hops_v6(u32::from(*hops))?;
            socket.set_multicast_loop_v6(*loopback)?;
        }
    }
    Ok(())
}

/// Beyond the system's limit when allowed, else up to it. A smaller buffer still works.
fn enlarge_receive_buffer(socket: &Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
}
