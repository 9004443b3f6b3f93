//! Packets put into network devices by hand, for what no socket sends: tags, fragments, padding.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Sends Ethernet frames by an interface of the calling thread's network namespace.
///
/// # Errors
/// Where there is no such interface, or no right to.
#[expect(unsafe_code, reason = "the standard library has no packet sockets")]
pub fn send_frames(interface: &str, frames: &[Vec<u8>]) -> io::Result<()> {
    let name = CString::new(interface).map_err(io::Error::other)?;
    // SAFETY: `name` is a C string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    // SAFETY: takes numbers alone.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if index == 0 || socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    for frame in frames {
        // SAFETY: the frame and the address outlive the call, with the lengths that are given.
        let sent = unsafe {
            let to = (&raw const address).cast();
            libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, to, length)
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Makes a tun device of this name in the calling thread's network namespace: what is written to
/// the file comes in by it as IP packets.
///
/// # Errors
/// Where the kernel has none, or there is no right to.
#[expect(unsafe_code, reason = "the standard library has no ioctl")]
pub fn tun(name: &str) -> io::Result<File> {
    const SET_INTERFACE: libc::c_ulong = 0x4004_54ca;
    const TUN_WITHOUT_HEADER: u16 = 0x1001;
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // `struct ifreq`: a name of 16 bytes, then flags.
    let mut request = [0u8; 40];
    for (to, from) in request.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    request[16..18].copy_from_slice(&TUN_WITHOUT_HEADER.to_ne_bytes());
    // SAFETY: the request reads and writes a structure of 40 bytes, which outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), SET_INTERFACE as _, request.as_mut_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}
