use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use l7trace_event::{ConnectionKey, Endpoint, Process, Side, Tuple};
use l7trace_probes::syscalls::{Facts, facts};

use super::unix::{End, UnixPairs};

/// What is known of a socket that records name by its id.
#[derive(Debug)]
pub(super) struct Socket {
    /// From the socket to its peer.
    pub(super) tuple: Tuple,
    /// Who held it last.
    pub(super) owner: Option<Arc<Process>>,
    /// Bits of [`facts`].
    pub(super) flags: u8,
    /// For a Unix socket. Apart, as most are none.
    pub(super) unix: Option<Box<End>>,
    /// Whether the end of what it sent, and of what it received, was told.
    pub(super) ended: [bool; 2],
    /// When it was last used, in ticks of the table.
    used: u64,
}

/// The sockets that the kernel told of, by id.
#[derive(Debug)]
pub(super) struct Sockets {
    by_id: HashMap<u64, Socket>,
    /// The ids of those that are known by the end of their connection: its hash leads to them.
    by_end: HashTable<u64>,
    hasher: DefaultHashBuilder,
    pub(super) pairs: UnixPairs,
    /// Ports that were listened on when tracing began, with the network namespace.
    listening: HashSet<(u32, u16)>,
    processes: HashMap<(u32, u64), Arc<Process>>,
    limit: usize,
    tick: u64,
}

const AF_UNIX: u8 = libc::AF_UNIX as u8;
const AF_INET: u8 = libc::AF_INET as u8;

/// How many processes are remembered; beyond it they are learnt anew.
const PROCESSES: usize = 65_536;

impl Sockets {
    pub(super) fn new(limit: usize) -> Sockets {
        Sockets {
            by_id: HashMap::new(),
            by_end: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            pairs: UnixPairs::default(),
            listening: HashSet::new(),
            processes: HashMap::new(),
            limit: limit.max(16),
            tick: 0,
        }
    }

    /// The socket of this id, and the pairs of the Unix ones.
    pub(super) fn find(&mut self, id: u64) -> Option<(&mut Socket, &mut UnixPairs)> {
        self.tick += 1;
        let socket = self.by_id.get_mut(&id)?;
        socket.used = self.tick;
        Some((socket, &mut self.pairs))
    }

    /// Takes in what was told of a socket, and gives it with the owner, if that is news.
    pub(super) fn learn(&mut self, facts: &Facts) -> (&mut Socket, Option<Arc<Process>>) {
        let owner = (facts.process != 0).then(|| self.process(facts));
        self.tick += 1;
        let known = self.by_id.remove(&facts.id);
        let socket = known.unwrap_or_else(|| {
            self.make_room();
            let socket = self.build(facts);
            self.stands_at(socket.tuple.connection(), facts.id);
            socket
        });
        let tick = self.tick;
        let socket = self.by_id.entry(facts.id).or_insert(socket);
        socket.used = tick;
        let news = owner.filter(|owner| socket.owner.as_ref() != Some(owner));
        if let Some(owner) = &news {
            socket.owner = Some(Arc::clone(owner));
        }
        (socket, news)
    }

    fn build(&mut self, facts: &Facts) -> Socket {
        let (unix, ends) = if facts.family == AF_UNIX {
            let born = facts.flags & facts::BORN != 0;
            let (end, ends) = self.pairs.meet(facts.id, born, words(facts.local), words(facts.remote));
            (Some(Box::new(end)), ends)
        } else {
            (
                None,
                [
                    inet(facts.family, facts.local, facts.local_port),
                    inet(facts.family, facts.remote, facts.remote_port),
                ],
            )
        };
        let mut flags = facts.flags;
        if flags & facts::EXISTS != 0 && unix.is_none() {
            let listening = |port: u16| self.listening.contains(&(facts.namespace, port));
            match (listening(facts.local_port), listening(facts.remote_port)) {
                (true, false) => flags |= facts::SERVER,
                (false, true) if ends[0].ip() == ends[1].ip() || ends[1].is_local() => flags |= facts::CLIENT,
                _ => {}
            }
        }
        let tuple = Tuple::new(ends[0], ends[1], facts.namespace);
        Socket { tuple, owner: None, flags, unix, ended: [false; 2], used: self.tick }
    }

    /// A port was listened on when tracing began.
    pub(super) fn listens(&mut self, facts: &Facts) {
        self.listening.insert((facts.namespace, facts.local_port));
    }

    /// Forgets a socket.
    pub(super) fn forget(&mut self, id: u64) {
        if let Some(socket) = self.by_id.get(&id)
            && let Ok(place) = self.by_end.find_entry(self.hasher.hash_one(socket.tuple.connection()), |at| *at == id)
        {
            place.remove();
        }
        self.by_id.remove(&id);
    }

    /// Whether the other end of this tuple is known as well.
    pub(super) fn knows_peer(&self, tuple: Tuple) -> bool {
        self.standing_at(tuple.reversed().connection()).is_some()
    }

    /// The TCP socket at one end of a connection.
    pub(super) fn at_end(&self, key: &ConnectionKey, side: Side) -> Option<u64> {
        self.standing_at((*key, side)).filter(|_| !key.end(side).is_unix())
    }

    fn standing_at(&self, end: (ConnectionKey, Side)) -> Option<u64> {
        let is_it = |id: &u64| self.by_id.get(id).is_some_and(|socket| socket.tuple.connection() == end);
        self.by_end.find(self.hasher.hash_one(end), is_it).copied()
    }

    /// This socket is the end from now on; another one that was is it no more.
    fn stands_at(&mut self, end: (ConnectionKey, Side), id: u64) {
        let Sockets { by_id, by_end, hasher, .. } = self;
        let is_it = |id: &u64| by_id.get(id).is_some_and(|socket| socket.tuple.connection() == end);
        let hash = |id: &u64| by_id.get(id).map_or(0, |socket| hasher.hash_one(socket.tuple.connection()));
        match by_end.find_mut(hasher.hash_one(end), is_it) {
            Some(standing) => *standing = id,
            None => {
                by_end.insert_unique(hasher.hash_one(end), id, hash);
            }
        }
    }

    fn process(&mut self, facts: &Facts) -> Arc<Process> {
        if self.processes.len() >= PROCESSES {
            self.processes.clear();
        }
        let name = text(&facts.command);
        let known = self.processes.entry((facts.process, facts.started));
        let process = known.or_insert_with(|| {
            let (pid, started, cgroup) = (facts.process, facts.started, facts.cgroup);
            Arc::new(Process { pid, name: name.clone(), started, cgroup })
        });
        if process.name != name || process.cgroup != facts.cgroup {
            *process = Arc::new(Process { name, cgroup: facts.cgroup, ..Process::clone(process) });
        }
        Arc::clone(process)
    }

    /// Forgets the half that was unused for longest, where the table is full: the kernel, which keeps
    /// fewer, forgot those long ago.
    fn make_room(&mut self) {
        if self.by_id.len() < 2 * self.limit {
            return;
        }
        let mut used: Vec<u64> = self.by_id.values().map(|socket| socket.used).collect();
        let middle = used.len() / 2;
        let oldest_kept = *used.select_nth_unstable(middle).1;
        self.by_id.retain(|_, socket| socket.used >= oldest_kept);
        let by_id = &self.by_id;
        self.by_end.retain(|id| by_id.contains_key(id));
        self.pairs.retain(|id| by_id.contains_key(&id));
    }
}

fn inet(family: u8, address: [u8; 16], port: u16) -> Endpoint {
    let [a, b, c, d, ..] = address;
    let ip =
        if family == AF_INET { IpAddr::V4(Ipv4Addr::new(a, b, c, d)) } else { IpAddr::V6(Ipv6Addr::from(address)) };
    Endpoint::inet(ip, port)
}

/// Two numbers in the machine's byte order.
fn words(bytes: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

/// Text up to the first zero.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
