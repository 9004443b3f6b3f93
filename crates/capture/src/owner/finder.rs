use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use l7trace_event::{Endpoint, Process, Tuple};

use super::diag::{CLOSE_WAIT, Diag, ESTABLISHED, LISTEN, Query, Socket};
use super::processes::{Holders, Processes};
use super::{Answer, Ends, Order, give_notice};

/// Finds owners, many at a time.
#[derive(Debug)]
pub(super) struct Finder {
    diag: Diag,
    namespace: u32,
    orders: Receiver<Order>,
    answers: Sender<Answer>,
    notice: Arc<AtomicBool>,
    processes: Processes,
    open: Vec<Open>,
}

/// An end that is still to be found.
#[derive(Clone, Debug)]
struct Open {
    tuple: Tuple,
    interface: u32,
    tries: usize,
    /// How often its socket was found to wait for being accepted.
    unaccepted: usize,
    due: Instant,
    /// The socket's inode, once it was seen: it may be closed the next time.
    inode: Option<u32>,
}

/// When to look again: a server accepts a little after the handshake, and `/proc` is looked through
/// but now and then.
const AGAIN: [Duration; 5] = [
    Duration::from_millis(3),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1500),
];
/// Its server may take up a connection much later, and will speak as soon as it has.
const UNACCEPTED: usize = 200;
const UNACCEPTED_WAIT: Duration = Duration::from_millis(10);
/// From so many ends on, listing all sockets is cheaper than asking for each.
const DUMP_FROM: usize = 512;
/// Ends that wait to be found; what goes beyond is given up.
const OPEN: usize = 65_536;
/// Looking is followed by so many times its own length without: a sixteenth of one processor at most.
const REST: u32 = 15;
const PAUSE: Duration = Duration::from_millis(2);

impl Finder {
    pub(super) fn new(
        diag: Diag,
        namespace: u32,
        orders: Receiver<Order>,
        answers: Sender<Answer>,
        notice: Arc<AtomicBool>,
    ) -> Finder {
        Finder { diag, namespace, orders, answers, notice, processes: Processes::default(), open: Vec::new() }
    }

    /// Until nobody asks any more.
    pub(super) fn run(mut self) {
        self.tell_existing();
        loop {
            let due = self.open.iter().map(|open| open.due).min();
            let first = match due {
                None => self.orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => self.orders.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match first {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(order) = self.orders.try_recv() {
                self.take(order);
            }
            let start = Instant::now();
            if !self.look() {
                return;
            }
            // Questions gather meanwhile: one look serves them all.
            // Looking through all of `/proc` has a rest of its own.
            let looked = start.elapsed().saturating_sub(self.processes.full_look());
            thread::sleep((looked * REST).clamp(PAUSE, Duration::from_secs(1)));
        }
    }

    /// Tells of the connections that there are already, and who holds them.
    fn tell_existing(&mut self) {
        let (mut sockets, mut inodes) = (Vec::new(), HashSet::new());
        let dumped = self.diag.dump(|socket| {
            // Who listens will be asked for: it is looked for now, and then looked at first.
            if socket.inode > 0 {
                inodes.insert(socket.inode);
            }
            if matches!(socket.state, ESTABLISHED | CLOSE_WAIT) {
                sockets.push(socket);
            }
        });
        if dumped.is_err() {
            return;
        }
        let holders = self.processes.holders(&inodes);
        for socket in sockets {
            let tuple = Tuple::new(socket.local, socket.remote, self.namespace);
            self.answer(Answer { tuple, process: None });
            if let Some(process) = self.holder(&holders, socket.inode) {
                self.answer(Answer { tuple, process: Some(process) });
            }
        }
        give_notice(&self.notice);
    }

    /// Opens the search for the ends that are asked for.
    fn take(&mut self, order: Order) {
        let ask = match order {
            Order::Find(ask) => ask,
            Order::Hint(pid) => return self.processes.expect(pid),
        };
        let due = Instant::now();
        let tuples = [ask.tuple.reversed(), ask.tuple];
        for tuple in tuples.into_iter().take(if ask.ends == Ends::Both { 2 } else { 1 }) {
            if self.open.len() < OPEN {
                self.open.push(Open { tuple, interface: ask.interface, tries: 0, unaccepted: 0, due, inode: None });
            }
        }
    }

    /// Looks for what is due; whether anybody still listens to the answers.
    fn look(&mut self) -> bool {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.open).into_iter().partition(|open| open.due <= now);
        self.open = later;
        let mut due: Vec<Open> = due;
        if due.is_empty() {
            return true;
        }
        let found = self.sockets(&due).unwrap_or_else(|_| vec![None; due.len()]);
        for (open, socket) in due.iter_mut().zip(&found) {
            if let Some(socket) = socket
                && socket.state != LISTEN
                && socket.inode > 0
            {
                open.inode = Some(socket.inode);
            }
        }
        let wanted: HashSet<u32> = due.iter().zip(&found).filter_map(|(open, socket)| wanted(open, *socket)).collect();
        let holders = self.processes.holders(&wanted);
        let mut listening = true;
        for (open, socket) in due.into_iter().zip(found) {
            let process = open.inode.and_then(|inode| self.holder(&holders, inode));
            let process = process.or_else(|| self.sole_listener(&holders, &open, socket));
            match process {
                Some(process) => listening &= self.answer(Answer { tuple: open.tuple, process: Some(process) }),
                None => self.again(open, socket),
            }
        }
        give_notice(&self.notice);
        listening
    }

    /// The socket of each end; a listening one where there is none for the connection alone.
    fn sockets(&mut self, due: &[Open]) -> std::io::Result<Vec<Option<Socket>>> {
        if due.len() < DUMP_FROM {
            let query = |open: &Open| Query {
                local: open.tuple.source,
                remote: open.tuple.destination,
                interface: open.interface,
            };
            return self.diag.find(&due.iter().map(query).collect::<Vec<_>>());
        }
        // Of all there are only those that are looked for: a busy host has very many.
        let ends = |open: &Open| (open.tuple.source, open.tuple.destination);
        let mut connected: HashMap<(Endpoint, Endpoint), Option<Socket>> =
            due.iter().map(|open| (ends(open), None)).collect();
        let mut listening: HashMap<u16, Vec<Socket>> = HashMap::new();
        self.diag.dump(|socket| {
            if socket.state == LISTEN {
                listening.entry(socket.local.port()).or_default().push(socket);
            } else if let Some(found) = connected.get_mut(&(socket.local, socket.remote)) {
                *found = Some(socket);
            }
        })?;
        let listener = |local: Endpoint| {
            let all = listening.get(&local.port())?;
            let unspecified = |socket: &&Socket| socket.local.ip().is_some_and(|ip| ip.is_unspecified());
            all.iter().find(|socket| socket.local == local).or_else(|| all.iter().find(unspecified)).copied()
        };
        let found = |open| connected.get(&ends(open)).copied().flatten().or_else(|| listener(open.tuple.source));
        Ok(due.iter().map(found).collect())
    }

    /// The process that holds a socket. Of several the youngest: a server that forks for each
    /// connection leaves it to the child.
    fn holder(&mut self, holders: &Holders, inode: u32) -> Option<Arc<Process>> {
        let processes = holders.get(&inode)?.iter().filter_map(|pid| self.processes.process(*pid));
        processes.max_by_key(|process| (process.started, process.pid))
    }

    /// The only process that holds the listening socket, where the connection's own is gone.
    fn sole_listener(&mut self, holders: &Holders, open: &Open, socket: Option<Socket>) -> Option<Arc<Process>> {
        let socket = socket.filter(|socket| socket.state == LISTEN && open.inode.is_none())?;
        match holders.get(&socket.inode)?.as_slice() {
            [pid] => self.processes.process(*pid),
            _ => None,
        }
    }

    /// Looks again later, unless there is nothing to be found any more.
    fn again(&mut self, mut open: Open, socket: Option<Socket>) {
        if socket.is_some_and(|socket| socket.state != LISTEN && socket.inode == 0) && open.unaccepted < UNACCEPTED {
            open.unaccepted += 1;
            open.due = Instant::now() + UNACCEPTED_WAIT;
            self.open.push(open);
            return;
        }
        let Some(wait) = AGAIN.get(open.tries) else { return };
        // An end of which there is no socket here is another host's, or over.
        if socket.is_none() && open.inode.is_none() && open.tries >= 1 {
            return;
        }
        open.tries += 1;
        open.due = Instant::now() + *wait;
        if self.open.len() < OPEN {
            self.open.push(open);
        }
    }

    fn answer(&self, answer: Answer) -> bool {
        self.answers.send(answer).is_ok()
    }
}

/// The inode whose holders are to be looked for.
fn wanted(open: &Open, socket: Option<Socket>) -> Option<u32> {
    let listener = || socket.filter(|socket| socket.state == LISTEN).map(|socket| socket.inode);
    open.inode.or_else(listener).filter(|inode| *inode > 0)
}
