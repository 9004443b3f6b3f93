//! What a line says of its connection's two ends, spelled once for each state of a connection.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use l7trace_event::Process;
use l7trace_exchange::{Connection, Peer};

use super::escape::string;
use super::number::integer;

/// Keeps the spelling of connections lately met.
pub(super) struct Peers {
    /// By the connection's number, modulo their count.
    slots: Box<[Slot]>,
}

#[derive(Clone, Default)]
struct Slot {
    /// Held, so that no other connection can come to lie at its place in memory.
    connection: Option<Arc<Connection>>,
    spelled: Vec<u8>,
}

const SLOTS: usize = 1024;

impl Default for Peers {
    fn default() -> Peers {
        Peers { slots: vec![Slot::default(); SLOTS].into() }
    }
}

impl Peers {
    /// Appends `,"client":…,"server":…` and, where they are known, `,"process":…,"peer_process":…`.
    pub(super) fn write(&mut self, connection: &Arc<Connection>, to: &mut Vec<u8>) {
        let slot = &mut self.slots[(connection.number % SLOTS as u64) as usize];
        if !slot.connection.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, connection)) {
            slot.connection = Some(Arc::clone(connection));
            slot.spelled.clear();
            spell(&mut slot.spelled, connection);
        }
        to.extend_from_slice(&slot.spelled);
    }
}

fn spell(to: &mut Vec<u8>, connection: &Connection) {
    to.extend_from_slice(b",\"client\":");
    endpoint(to, &connection.client);
    to.extend_from_slice(b",\"server\":");
    endpoint(to, &connection.server);
    // The server's end comes first, where it is known.
    let known = [(&connection.server, "server"), (&connection.client, "client")];
    let known = known.into_iter().filter_map(|(peer, side)| Some((peer.process.as_deref()?, side)));
    for ((process, side), key) in known.zip([",\"process\":", ",\"peer_process\":"]) {
        to.extend_from_slice(key.as_bytes());
        self::process(to, process, side);
    }
}

/// `{"ip":…,"port":…}`; for a Unix socket `{"path":…}`, `{"abstract":…}` or, without a name,
/// `{"unix":…}` with the kernel's identity of that end.
fn endpoint(to: &mut Vec<u8>, peer: &Peer) {
    if let Some(ip) = peer.endpoint.ip() {
        to.extend_from_slice(b"{\"ip\":\"");
        match ip {
            // A good deal faster than by its Display.
            IpAddr::V4(ip) => {
                let [first, rest @ ..] = ip.octets();
                integer(to, first);
                for octet in rest {
                    to.push(b'.');
                    integer(to, octet);
                }
            }
            // Writing to a vector does not fail.
            IpAddr::V6(ip) => drop(write!(to, "{ip}")),
        }
        to.extend_from_slice(b"\",\"port\":");
        integer(to, peer.endpoint.port());
        to.push(b'}');
        return;
    }
    match peer.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => match name.strip_prefix('@') {
            Some(name) => named(to, b"{\"abstract\":", name),
            None => named(to, b"{\"path\":", name),
        },
        None => {
            to.extend_from_slice(b"{\"unix\":");
            integer(to, peer.endpoint.unix_identity().unwrap_or_default());
            to.push(b'}');
        }
    }
}

fn named(to: &mut Vec<u8>, key: &[u8], name: &str) {
    to.extend_from_slice(key);
    string(to, name.as_bytes());
    to.push(b'}');
}

fn process(to: &mut Vec<u8>, process: &Process, side: &str) {
    to.extend_from_slice(b"{\"pid\":");
    integer(to, process.pid);
    to.extend_from_slice(b",\"name\":");
    string(to, process.name.as_bytes());
    to.extend_from_slice(b",\"side\":\"");
    to.extend_from_slice(side.as_bytes());
    to.extend_from_slice(b"\"}");
}
