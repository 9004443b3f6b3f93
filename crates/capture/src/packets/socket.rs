use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use aya::programs::SocketFilter;

use crate::Error;
use crate::kernel;

/// Opens a packet socket on an interface of the calling thread's network namespace, with the filter
/// on it before any packet can reach it.
pub(super) fn open(filter: &SocketFilter, interface: u32) -> Result<OwnedFd, Error> {
    let failed = |what: &str, error: io::Error| Error::Failed(format!("cannot {what} a packet socket: {error}"));
    let socket = create().map_err(|error| {
        let hint =
            if error.raw_os_error() == Some(libc::EPERM) { " (it needs CAP_NET_RAW: run l7trace as root)" } else { "" };
        Error::Failed(format!("cannot open a packet socket: {error}{hint}"))
    })?;
    // Nothing is ever queued on it.
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 0).map_err(|error| failed("shrink", error))?;
    if interface == LOOPBACK {
        // The kernel clones every outgoing packet for whoever wants it, before any filter is asked;
        // what leaves by loopback comes in by it a moment later.
        set_option(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1).map_err(|error| failed("configure", error))?;
    }
    filter.attach(&socket).map_err(|error| {
        Error::Failed(format!("cannot put the filter on a packet socket: {}", kernel::chain(&error)))
    })?;
    bind(&socket, interface).map_err(|error| failed("bind", error))?;
    Ok(socket)
}

/// The index of the loopback interface in every network namespace (`linux/netdevice.h`).
const LOOPBACK: u32 = 1;
/// `linux/if_packet.h`, since Linux 4.20.
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// `SOCK_DGRAM`: its packets begin behind the link-layer header, whatever the device. Protocol 0:
/// none arrive before it is bound.
#[expect(unsafe_code, reason = "the standard library has no packet sockets")]
fn create() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers alone.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

#[expect(unsafe_code, reason = "the standard library has no packet sockets")]
fn bind(socket: &OwnedFd, interface: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: interface as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `address` is a sockaddr_ll of that length that outlives the call.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "the standard library has no packet sockets")]
fn set_option(socket: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: `value` is an int of that length that outlives the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
