use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use l7trace_event::Endpoint;

/// A TCP socket, as the kernel lists it (`inet_diag_msg` of `linux/inet_diag.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) state: u8,
    /// 0 where no process holds it yet, or any more.
    pub(super) inode: u32,
}

/// `TCP_ESTABLISHED` and so on, of `net/tcp_states.h`.
pub(super) const ESTABLISHED: u8 = 1;
pub(super) const CLOSE_WAIT: u8 = 8;
pub(super) const LISTEN: u8 = 10;
const SYN_SENT: u8 = 2;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;
/// Those in which a process may hold the socket.
const HELD: u32 = 1 << ESTABLISHED
    | 1 << SYN_SENT
    | 1 << FIN_WAIT1
    | 1 << FIN_WAIT2
    | 1 << CLOSE_WAIT
    | 1 << LAST_ACK
    | 1 << LISTEN
    | 1 << CLOSING;

/// One end of a connection to be looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) interface: u32,
}

/// A netlink socket for questions about sockets, which belongs to the namespace that it was opened in.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_LENGTH: usize = 16 + 56;
const ANSWER_LENGTH: usize = 72;
/// Questions sent at once: their answers must fit into the socket's receive buffer.
const AT_ONCE: usize = 64;

impl Diag {
    pub(super) fn open() -> io::Result<Diag> {
        let socket = open_netlink()?;
        Ok(Diag { socket, sequence: 0, buffer: vec![0; 64 << 10] })
    }

    /// Gives every TCP socket that a process may hold to `each`.
    pub(super) fn dump(&mut self, mut each: impl FnMut(Socket)) -> io::Result<()> {
        for family in [libc::AF_INET, libc::AF_INET6] {
            self.sequence = self.sequence.wrapping_add(1);
            let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
            self.send(&request(family as u8, flags, self.sequence, HELD, &[0; 48]))?;
            let (asked, mut done) = (self.sequence, false);
            while !done {
                self.receive(|sequence, socket| match socket {
                    _ if sequence != asked => {}
                    Some(socket) => each(socket),
                    None => done = true,
                })?;
            }
        }
        Ok(())
    }

    /// Looks up each end by its exact tuple; none where there is no such socket.
    pub(super) fn find(&mut self, queries: &[Query]) -> io::Result<Vec<Option<Socket>>> {
        let mut found = vec![None; queries.len()];
        for (chunk, results) in queries.chunks(AT_ONCE).zip(found.chunks_mut(AT_ONCE)) {
            let first = self.sequence.wrapping_add(1);
            self.sequence = self.sequence.wrapping_add(chunk.len() as u32);
            let mut requests = Vec::with_capacity(chunk.len() * REQUEST_LENGTH);
            for (at, query) in chunk.iter().enumerate() {
                let (family, identity) = identity(query);
                let sequence = first.wrapping_add(at as u32);
                requests.extend(request(family, libc::NLM_F_REQUEST as u16, sequence, u32::MAX, &identity));
            }
            self.send(&requests)?;
            let mut answered = 0;
            while answered < chunk.len() {
                self.receive(|sequence, socket| {
                    let at = sequence.wrapping_sub(first) as usize;
                    let (Some(result), Some(query)) = (results.get_mut(at), chunk.get(at)) else { return };
                    answered += 1;
                    // Where the connection is gone, the listening socket is what is found.
                    let fits = |socket: &Socket| {
                        socket.local == query.local && socket.remote == query.remote || socket.state == LISTEN
                    };
                    *result = socket.filter(fits);
                })?;
            }
        }
        Ok(found)
    }

    #[expect(unsafe_code, reason = "the standard library has no netlink")]
    fn send(&self, requests: &[u8]) -> io::Result<()> {
        // SAFETY: the buffer outlives the call; an unconnected netlink socket sends to the kernel.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), requests.as_ptr().cast(), requests.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Receives one datagram and gives its messages to `each`: which request they answer, and a
    /// socket, or none where there is none or no more.
    #[expect(unsafe_code, reason = "the standard library has no netlink")]
    fn receive(&mut self, mut each: impl FnMut(u32, Option<Socket>)) -> io::Result<()> {
        let (start, length) = (self.buffer.as_mut_ptr(), self.buffer.len());
        // SAFETY: writes at most `length` bytes to the buffer, which outlives the call.
        let received = unsafe { libc::recv(self.socket.as_raw_fd(), start.cast(), length, 0) };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        let mut rest = self.buffer.get(..received).unwrap_or_default();
        let mut some = false;
        while let Some(header) = rest.first_chunk::<16>() {
            let length = word(header, 0) as usize;
            let Some(message) = rest.get(16..length) else { break };
            let sequence = word(header, 8);
            match i32::from(u16::from_ne_bytes([header[4], header[5]])) {
                libc::NLMSG_DONE | libc::NLMSG_ERROR => each(sequence, None),
                _ => each(sequence, read_socket(message)),
            }
            some = true;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        if some { Ok(()) } else { Err(io::Error::other("netlink answered with nothing")) }
    }
}

#[expect(unsafe_code, reason = "the standard library has no netlink")]
fn open_netlink() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers alone.
    let socket =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, libc::NETLINK_SOCK_DIAG) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // An answer that got lost must not stop the thread for ever.
    let patience = libc::timeval { tv_sec: 1, tv_usec: 0 };
    let length = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: `patience` is a timeval of that length that outlives the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const patience).cast(), length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

/// `nlmsghdr` and `inet_diag_req_v2`.
fn request(family: u8, flags: u16, sequence: u32, states: u32, identity: &[u8; 48]) -> [u8; REQUEST_LENGTH] {
    let mut request = [0; REQUEST_LENGTH];
    request[0..4].copy_from_slice(&(REQUEST_LENGTH as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    request[8..12].copy_from_slice(&sequence.to_ne_bytes());
    request[16] = family;
    request[17] = libc::IPPROTO_TCP as u8;
    request[20..24].copy_from_slice(&states.to_ne_bytes());
    request[24..72].copy_from_slice(identity);
    request
}

/// The address family and the `inet_diag_sockid` of a query.
fn identity(query: &Query) -> (u8, [u8; 48]) {
    let mut identity = [0; 48];
    let mut family = libc::AF_INET as u8;
    for (at, end) in [(0, query.local), (1, query.remote)] {
        identity[at * 2..at * 2 + 2].copy_from_slice(&end.port().to_be_bytes());
        let address = 4 + at * 16;
        match end.ip() {
            Some(IpAddr::V4(ip)) => identity[address..address + 4].copy_from_slice(&ip.octets()),
            Some(IpAddr::V6(ip)) => {
                family = libc::AF_INET6 as u8;
                identity[address..address + 16].copy_from_slice(&ip.octets());
            }
            None => {}
        }
    }
    let scoped = matches!(query.local.ip(), Some(IpAddr::V6(ip)) if ip.is_unicast_link_local());
    let interface = if scoped { query.interface } else { 0 };
    identity[36..40].copy_from_slice(&interface.to_ne_bytes());
    // No cookie.
    identity[40..48].copy_from_slice(&[0xff; 8]);
    (family, identity)
}

/// `inet_diag_msg`.
fn read_socket(message: &[u8]) -> Option<Socket> {
    let message: &[u8; ANSWER_LENGTH] = message.first_chunk()?;
    let endpoint = |at: usize| {
        let port = u16::from_be_bytes([message[4 + at * 2], message[5 + at * 2]]);
        let address = &message[8 + at * 16..24 + at * 16];
        let ip = if i32::from(message[0]) == libc::AF_INET {
            IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3]))
        } else {
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).unwrap_or_default()))
        };
        Endpoint::inet(ip, port)
    };
    Some(Socket { local: endpoint(0), remote: endpoint(1), state: message[1], inode: word(message, 68) })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<4>());
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    fn endpoint(address: SocketAddr) -> Endpoint {
        Endpoint::inet(address.ip(), address.port())
    }

    #[test]
    fn finds_both_ends_of_a_connection_and_its_listener() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            let (one, two) = (endpoint(client.local_addr().unwrap()), endpoint(server.local_addr().unwrap()));
            let nobody = Endpoint::inet(client.local_addr().unwrap().ip(), 1);

            let mut diag = Diag::open().unwrap();
            let query = |local, remote| Query { local, remote, interface: 1 };
            let found = diag.find(&[query(one, two), query(nobody, one), query(two, one), query(two, nobody)]).unwrap();
            assert_eq!(found[0].unwrap().state, ESTABLISHED);
            assert!(found[0].unwrap().inode > 0);
            assert_eq!(found[1], None);
            assert_eq!((found[2].unwrap().local, found[2].unwrap().remote), (two, one));
            assert_eq!(found[3].unwrap().state, LISTEN);

            let mut all = Vec::new();
            diag.dump(|socket| all.push(socket)).unwrap();
            for exact in [found[0], found[2]] {
                assert!(all.contains(&exact.unwrap()));
            }
            assert!(all.iter().any(|socket| socket.state == LISTEN && socket.local == two));
        }
    }
}
