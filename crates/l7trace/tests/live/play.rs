//! Plays a case with real sockets.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix, UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};

use crate::case::{Call, Case, Side, Step, Transport};

/// A case on its way.
pub(crate) struct Play {
    pub(crate) case: Case,
    next: usize,
    client: Option<OwnedFd>,
    server: Option<OwnedFd>,
    listener: Option<TcpListener>,
    /// The client's port and the server's, of a TCP connection.
    pub(crate) ports: Option<(u16, u16)>,
}

impl Play {
    /// Nothing is opened yet.
    pub(crate) fn new(case: Case) -> Play {
        Play { case, next: 0, client: None, server: None, listener: None, ports: None }
    }

    /// Plays what comes before the tracer starts.
    pub(crate) fn before(&mut self) {
        if self.case.is_old() {
            while !matches!(self.case.steps[self.next], Step::Attach) {
                self.play();
            }
        }
    }

    /// Plays the rest, and closes both ends.
    pub(crate) fn after(&mut self) {
        while self.next < self.case.steps.len() {
            self.play();
        }
        self.client = None;
        self.server = None;
    }

    fn play(&mut self) {
        if self.next == 0 {
            self.open();
        }
        let step = self.case.steps[self.next].clone();
        self.next += 1;
        match step {
            Step::Send(side, bytes) => self.send(side, &bytes, true),
            Step::SendUnread(side, bytes) => self.send(side, &bytes, false),
            Step::Shutdown(side) => {
                rustix::net::shutdown(self.end(side), Shutdown::Write).expect("an open connection");
            }
            Step::Close(side) => drop(self.slot(side).take()),
            Step::Reset(side) => {
                sockopt::set_socket_linger(self.end(side), Some(Duration::ZERO)).expect("an open connection");
                drop(self.slot(side).take());
            }
            Step::Duplicate(side) => {
                let duplicate = self.end(side).try_clone().expect("a descriptor is left");
                *self.slot(side) = Some(duplicate);
            }
            Step::Again => {
                // The end that closed last has had its say.
                thread::sleep(Duration::from_millis(20));
                self.open();
            }
            Step::Attach => {}
        }
    }

    fn slot(&mut self, side: Side) -> &mut Option<OwnedFd> {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn end(&self, side: Side) -> &OwnedFd {
        let end = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        end.as_ref().unwrap_or_else(|| panic!("{}: the {side:?} has closed", self.case.name))
    }

    fn open(&mut self) {
        match self.case.transport {
            Transport::Tcp4 => self.open_tcp((Ipv4Addr::LOCALHOST, 0).into()),
            Transport::Tcp6 => self.open_tcp((Ipv6Addr::LOCALHOST, 0).into()),
            Transport::UnixPath => {
                let path = std::env::temp_dir().join(format!("l7-test-{}-{}", std::process::id(), self.case.name));
                let _ = std::fs::remove_file(&path);
                self.open_unix(&unix::SocketAddr::from_pathname(&path).expect("a short path"));
                std::fs::remove_file(&path).expect("it was made");
            }
            Transport::UnixAbstract => {
                let name = format!("l7-test-{}-{}", std::process::id(), self.case.name);
                self.open_unix(&unix::SocketAddr::from_abstract_name(name).expect("a short name"));
            }
            Transport::Socketpair => {
                let (client, server) = UnixStream::pair().expect("descriptors are left");
                (self.client, self.server) = (Some(client.into()), Some(server.into()));
            }
        }
    }

    fn open_tcp(&mut self, any: SocketAddr) {
        let listener = self.listener.take().unwrap_or_else(|| TcpListener::bind(any).expect("a port is free"));
        let server = listener.local_addr().expect("it is bound");
        let family = if any.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let client = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .expect("a descriptor is left");
        sockopt::set_socket_reuseaddr(&client, true).expect("a socket");
        if let Some((port, _)) = self.ports {
            rustix::net::bind(&client, &SocketAddr::new(any.ip(), port)).expect("its port is free again");
        }
        rustix::net::connect(&client, &server).expect("the listener listens");
        let (accepted, from) = listener.accept().expect("a connection is there");
        accepted.set_nodelay(true).expect("a socket");
        let client = TcpStream::from(client);
        client.set_nodelay(true).expect("a socket");
        self.ports = Some((from.port(), server.port()));
        (self.client, self.server) = (Some(client.into()), Some(accepted.into()));
        self.listener = Some(listener);
    }

    fn open_unix(&mut self, address: &unix::SocketAddr) {
        let listener = UnixListener::bind_addr(address).expect("the address is free");
        let client = UnixStream::connect_addr(address).expect("the listener listens");
        let (server, _) = listener.accept().expect("a connection is there");
        (self.client, self.server) = (Some(client.into()), Some(server.into()));
    }

    /// One thread writes while another reads.
    fn send(&self, from: Side, bytes: &[u8], read: bool) {
        let to = if from == Side::Client { Side::Server } else { Side::Client };
        thread::scope(|scope| {
            scope.spawn(|| write(self.end(from), bytes, self.case.call));
            if read {
                let received = receive(self.end(to), bytes.len(), self.case.call);
                assert!(received == bytes, "{}: other bytes than were sent", self.case.name);
            }
        });
    }
}

fn write(socket: &OwnedFd, bytes: &[u8], call: Call) {
    let mut file = File::from(socket.try_clone().expect("a descriptor is left"));
    let mut left = bytes;
    while !left.is_empty() {
        let sent = match call {
            Call::Write | Call::Peek => file.write(left),
            Call::Send => rustix::net::send(socket, left, SendFlags::NOSIGNAL).map_err(Into::into),
            Call::Vector(pieces) => {
                let pieces: Vec<IoSlice<'_>> = left.chunks(left.len().div_ceil(pieces)).map(IoSlice::new).collect();
                file.write_vectored(&pieces)
            }
        };
        left = &left[sent.expect("the other end reads")..];
    }
}

fn receive(socket: &OwnedFd, length: usize, call: Call) -> Vec<u8> {
    let mut file = File::from(socket.try_clone().expect("a descriptor is left"));
    let mut bytes = vec![0; length];
    let mut done = 0;
    while done < length {
        let left = &mut bytes[done..];
        let received = match call {
            Call::Write => file.read(left),
            Call::Send => rustix::net::recv(socket, left, RecvFlags::empty()).map(|(_, n)| n).map_err(Into::into),
            Call::Peek => {
                for _ in 0..2 {
                    rustix::net::recv(socket, &mut *left, RecvFlags::PEEK).expect("the other end writes");
                }
                file.read(left)
            }
            Call::Vector(pieces) => {
                let size = left.len().div_ceil(pieces);
                let mut pieces: Vec<IoSliceMut<'_>> = left.chunks_mut(size).map(IoSliceMut::new).collect();
                file.read_vectored(&mut pieces)
            }
        };
        match received.expect("the other end writes") {
            0 => panic!("the connection ends {} bytes early", length - done),
            received => done += received,
        }
    }
    bytes
}
