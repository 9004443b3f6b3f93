use std::mem;
use std::sync::Arc;

use l7trace_event::{Blind, Cause, Event, Flags, Segment, SourceKind, Timestamp, Tuple, Unneeded, What, Witness};
use l7trace_probes::syscalls::{
    BlindProcess, Data, Facts, Heard, Names, Record, State, blind, cause, facts, limit_hash, state,
};

use super::sockets::{Sockets, text};
use crate::kernel::{Clock, Frame, Limits, frames};
use crate::{Batch, Decoder};

/// Makes events of the records of the syscalls programs.
pub(super) struct SyscallsDecoder {
    clock: Clock,
    /// When the last record was made.
    last: Timestamp,
    sockets: Sockets,
    limits: Limits,
    blind: Vec<Blind>,
    warnings: Vec<String>,
    malformed: u64,
    unknown: u64,
}

type Each<'e> = &'e mut dyn FnMut(&Event<'_>);

/// The caller that sent the bytes, and the one that received them.
const SENDER: Witness = Witness { source: SourceKind::Syscalls, place: 0 };
const RECEIVER: Witness = Witness { source: SourceKind::Syscalls, place: 1 };

impl SyscallsDecoder {
    /// A decoder for a kernel that keeps `sockets` sockets at once.
    pub(super) fn new(sockets: usize, limits: Limits, warnings: Vec<String>) -> SyscallsDecoder {
        SyscallsDecoder {
            clock: Clock::new(),
            last: Timestamp::default(),
            sockets: Sockets::new(sockets),
            limits,
            blind: Vec::new(),
            warnings,
            malformed: 0,
            unknown: 0,
        }
    }

    fn record(&mut self, record: &[u8], each: Each<'_>) {
        let known = match Record::read(record) {
            Some(Record::Data(data)) => self.data(&data, each),
            Some(Record::State(state)) => self.state(&state, each),
            Some(Record::Names(names)) => self.names(&names, each),
            Some(Record::Facts(facts)) => {
                self.facts(&facts, each);
                Some(())
            }
            Some(Record::Blind(process)) => {
                self.blind_process(&process);
                Some(())
            }
            None => {
                self.malformed += 1;
                Some(())
            }
        };
        self.unknown += u64::from(known.is_none());
    }

    fn data(&mut self, data: &Data<'_>, each: Each<'_>) -> Option<()> {
        let at = self.clock.utc(data.time);
        self.last = at;
        let (socket, pairs) = self.sockets.find(data.id)?;
        let mut position = data.position;
        let mut acknowledged = (!data.received).then_some(data.acknowledged);
        if let Some(end) = &socket.unix {
            let length = data.bytes.len() as u32;
            let Some(given) = pairs.position(end, data.received, position, length.wrapping_add(data.missing)) else {
                return Some(());
            };
            position = given;
            acknowledged = acknowledged.and_then(|received| pairs.acknowledged(end, received));
        }
        let role = role(socket.flags);
        let tuple = socket.tuple;
        if data.heard.first.0 > 0 {
            hear(&self.clock, tuple, &data.heard, each);
        }
        let elsewhere = data.cause == cause::ELSEWHERE;
        let flags = if elsewhere { Flags::ELSEWHERE } else { Flags::default() };
        let segment = Segment {
            position,
            bytes: data.bytes,
            missing: data.missing,
            cause: cause_of(data.cause),
            acknowledged,
            flags: flags.with(if data.received { opposite(role) } else { role }),
        };
        let (tuple, witness) = if data.received { (tuple.reversed(), RECEIVER) } else { (tuple, SENDER) };
        if is_connected(tuple) {
            each(&Event { at, witness, tuple, what: What::Segment(segment), packet: None });
        }
        Some(())
    }

    fn facts(&mut self, facts: &Facts, each: Each<'_>) {
        if facts.flags & facts::LISTENS != 0 {
            self.sockets.listens(facts);
            return;
        }
        let at = self.clock.utc(facts.time);
        let (socket, news) = self.sockets.learn(facts);
        let tuple = socket.tuple;
        if facts.flags & facts::EXISTS != 0 && is_connected(tuple) {
            each(&Event { at, witness: SENDER, tuple, what: What::Exists, packet: None });
        }
        if let Some(owner) = news {
            each(&Event { at, witness: SENDER, tuple, what: What::Owner(owner), packet: None });
        }
    }

    fn state(&mut self, state: &State, each: Each<'_>) -> Option<()> {
        let at = self.clock.utc(state.time);
        let (socket, pairs) = self.sockets.find(state.id)?;
        if !is_connected(socket.tuple) {
            if state.what & state::GONE != 0 {
                self.sockets.forget(state.id);
            }
            return Some(());
        }
        let role = role(socket.flags);
        let mut positions = [state.sent, state.received];
        if let Some(end) = &socket.unix
            && state.what & state::OPEN == 0
        {
            positions = [pairs.reached(end, false), pairs.reached(end, true)];
        }
        let (tuple, is_tcp) = (socket.tuple, socket.unix.is_none());
        let mut tell = |direction: usize, flags: Flags| {
            let (tuple, witness) = [(tuple, SENDER), (tuple.reversed(), RECEIVER)][direction];
            // On loopback a reset comes while the call is still going on whose bytes it answers: they
            // are told after it, and were sent all the same.
            let acknowledged = (is_tcp && direction == 1 && flags == Flags::RESET).then_some(positions[0]);
            let what =
                What::Segment(Segment { position: positions[direction], flags, acknowledged, ..Segment::default() });
            each(&Event { at, witness, tuple, what, packet: None });
        };
        if state.what & state::OPEN != 0 {
            tell(0, Flags::OPEN.with(role));
            tell(1, Flags::OPEN.with(opposite(role)));
        }
        for (direction, bit, flags) in [
            (0, state::SENT_END, Flags::END),
            (1, state::RECEIVED_END, Flags::END),
            (0, state::SENT_RESET, Flags::RESET),
            (1, state::RECEIVED_RESET, Flags::RESET),
        ] {
            if state.what & bit != 0 {
                tell(direction, flags);
                socket.ended[direction] = true;
                socket.ended[1] |= flags == Flags::RESET;
            }
        }
        if state.what & state::GONE != 0 {
            // Nobody is left here to see the peer's end. Where the peer is traced as well, it tells.
            let over = socket.ended[1];
            if !over && !self.sockets.knows_peer(tuple) {
                each(&segment(at, RECEIVER, tuple.reversed(), positions[1], Flags::END));
            }
            self.sockets.forget(state.id);
        }
        Some(())
    }

    fn names(&mut self, names: &Names<'_>, each: Each<'_>) -> Option<()> {
        let at = self.clock.utc(names.time);
        let (socket, _) = self.sockets.find(names.id)?;
        let tuple = socket.tuple;
        for (tuple, name) in [(tuple, names.local), (tuple.reversed(), names.remote)] {
            if let Some(name) = printable(name) {
                each(&Event { at, witness: SENDER, tuple, what: What::Name(name), packet: None });
            }
        }
        Some(())
    }

    fn blind_process(&mut self, process: &BlindProcess) {
        let why = match process.why {
            blind::IO_URING => "io_uring",
            blind::KERNEL_TLS => "kernel_tls",
            blind::COMPAT => "compat",
            blind::MPTCP => "mptcp",
            _ => return,
        };
        self.blind.push(Blind { pid: process.process, name: text(&process.command), why });
    }
}

impl Decoder for SyscallsDecoder {
    fn decode(&mut self, batch: &Batch, each: &mut dyn FnMut(&Event<'_>)) {
        self.clock.refresh();
        for frame in frames(batch) {
            match frame {
                Frame::Record(record) => self.record(record, each),
                Frame::RingFull { records, bytes } => {
                    let at = self.last;
                    let tuple = Tuple::new(Default::default(), Default::default(), 0);
                    each(&Event { at, witness: SENDER, tuple, what: What::RingFull { records, bytes }, packet: None });
                }
            }
        }
    }

    fn spare(&mut self, unneeded: &Unneeded) {
        // The sending end's socket, and the receiving end's.
        for (direction, side) in [unneeded.from, unneeded.from.other()].into_iter().enumerate() {
            if let Some(id) = self.sockets.at_end(&unneeded.key, side) {
                self.limits.skip(limit_hash(id), id, direction, unneeded.until);
            }
        }
    }

    fn not_understood(&self) -> Vec<(String, u64)> {
        let counts = [("malformed record", self.malformed), ("record of an unknown socket", self.unknown)];
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| (what.to_owned(), count)).collect()
    }

    fn blind(&mut self) -> Vec<Blind> {
        mem::take(&mut self.blind)
    }

    fn warnings(&mut self) -> Vec<String> {
        mem::take(&mut self.warnings)
    }
}

/// What a socket had received when it sent something, of which the sending end told.
fn hear(clock: &Clock, tuple: Tuple, heard: &Heard, each: Each<'_>) {
    if !is_connected(tuple) {
        return;
    }
    let mut position = heard.position;
    for (missing, time) in [heard.first, heard.more] {
        if missing > 0 {
            let what = Segment { position, missing, flags: Flags::ELSEWHERE, ..Segment::default() };
            let (at, what) = (clock.utc(time), What::Segment(what));
            each(&Event { at, witness: RECEIVER, tuple: tuple.reversed(), what, packet: None });
        }
        position = position.wrapping_add(missing);
    }
}

fn segment(at: Timestamp, witness: Witness, tuple: Tuple, position: u32, flags: Flags) -> Event<'static> {
    let what = What::Segment(Segment { position, flags, ..Segment::default() });
    Event { at, witness, tuple, what, packet: None }
}

fn role(flags: u8) -> Flags {
    match (flags & facts::CLIENT != 0, flags & facts::SERVER != 0) {
        (true, false) => Flags::CLIENT,
        (false, true) => Flags::SERVER,
        _ => Flags::default(),
    }
}

fn opposite(role: Flags) -> Flags {
    match role {
        Flags::CLIENT => Flags::SERVER,
        Flags::SERVER => Flags::CLIENT,
        neither => neither,
    }
}

fn cause_of(cause: u8) -> Option<Cause> {
    match cause {
        cause::CAPTURE_LIMIT => Some(Cause::CaptureLimit),
        cause::UNREADABLE => Some(Cause::Unreadable),
        cause::ZERO_COPY => Some(Cause::ZeroCopy),
        cause::IO_URING => Some(Cause::IoUring),
        cause::KERNEL => Some(Cause::Kernel),
        cause::COMPAT => Some(Cause::Compat),
        cause::SKIPPED => Some(Cause::Skipped),
        _ => None,
    }
}

/// The name of a Unix socket's end as it is shown: a path, or `@` and an abstract name.
fn printable(name: &[u8]) -> Option<Arc<str>> {
    let text = match name {
        [] => return None,
        [0, name @ ..] => format!("@{}", String::from_utf8_lossy(name).replace('\0', "@")),
        path => text(path),
    };
    (!text.is_empty()).then(|| text.into())
}

/// Whether both ends have a port: a socket that has let go of its connection has none.
fn is_connected(tuple: Tuple) -> bool {
    [tuple.source, tuple.destination].iter().all(|end| end.is_unix() || end.port() != 0)
}
