//! Frames, and what they say.

use l7trace_event::{Cause, Direction};

use super::{CERTAIN, Connection, Control, ENOUGH_TO_GO_ON, MOST_CONTROL_KEPT, MOST_UNCLEAR, Payload, State};
use crate::nested::Nested;
use crate::websocket::assembly::{Assembly, Compression, Part};
use crate::websocket::frame::{COMPRESSED, Header, MOST_CONTROL, Opcode};
use crate::websocket::{close, evidence, mask};
use crate::{Chunk, Completeness, Mark, Message, Outbox, Window};

/// Bytes unmasked at once.
const SCRATCH: usize = 4 << 10;

impl Connection {
    pub(super) fn bytes(&mut self, chunk: &Chunk<'_>, bytes: &[u8], out: &mut Outbox) {
        let direction = chunk.direction;
        let mut feed = std::mem::take(&mut self.ways[direction.index()].feed);
        let mut window = feed.open(bytes, chunk.position, chunk.at, chunk.acknowledged);
        while !window.is_empty() && !self.withdrawn {
            let goes_on = match &self.ways[direction.index()].state {
                State::Within(_) => self.within(direction, &mut window, out),
                State::Between => self.frame(direction, &mut window, out),
                State::Lost => self.find(direction, &mut window, chunk.position),
            };
            if !goes_on {
                break;
            }
        }
        window.close();
        self.ways[direction.index()].feed = feed;
    }

    /// Looks for a frame at the first byte held, else where the newest chunk begins. Whether there
    /// is more to do.
    fn find(&mut self, direction: Direction, window: &mut Window<'_>, newest: u64) -> bool {
        let masked = direction == Direction::ClientToServer;
        let verdict = evidence::read(window.bytes(), masked, self.agreement.deflate.may_be());
        let enough = |evidence: evidence::Evidence| {
            let exact = if evidence.flush && evidence.whole > 0 { 8 } else { 0 };
            // What was recognised was weighed with more than is at hand here.
            let known = if self.may_be_wrong() { 12 } else { 0 };
            evidence.bits + exact + known >= ENOUGH_TO_GO_ON
        };
        match verdict {
            Some(evidence) if enough(evidence) => {
                self.ways[direction.index()].state = State::Between;
                true
            }
            Some(_) if window.bytes().len() < MOST_UNCLEAR => false,
            _ => {
                let to_newest = newest.saturating_sub(window.position());
                window.consume(if to_newest == 0 { window.bytes().len() } else { to_newest as usize });
                true
            }
        }
    }

    /// Reads the frame that begins here. Whether there is more to do.
    fn frame(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let Some(header) = Header::read(window.bytes()) else { return false };
        let masked = direction == Direction::ClientToServer;
        let proper = header.is_plausible(masked, self.agreement.deflate.may_be());
        if self.may_be_wrong() && !proper {
            self.withdrawn = true;
            out.withdraw("not WebSocket after all: a frame that this end cannot have sent");
            return false;
        }
        self.proper = self.proper.saturating_add(u32::from(proper)).min(CERTAIN);
        let first = window.mark(window.position());
        self.first = Some(self.first.map_or(first, |earlier| if first.at < earlier.at { first } else { earlier }));
        let control = if header.opcode.is_control() {
            let mut message = self.message(direction, first, out);
            judge(&header, masked, false, &mut message);
            let assembly = Assembly::new(message, Some(header.opcode), Compression::None, 0);
            Some(Control { assembly, payload: Vec::new() })
        } else {
            self.fragment(direction, &header, first, out);
            None
        };
        let way = &mut self.ways[direction.index()];
        let mut control = control;
        let assembly = match &mut control {
            Some(control) => Some(&mut control.assembly),
            None => way.data.as_mut(),
        };
        if let Some(assembly) = assembly {
            if way.closed {
                assembly.message.note("sent after the close frame");
            }
            assembly.fragments += 1;
            assembly.payload = assembly.payload.saturating_add(header.length);
            assembly.message.bytes = assembly.message.bytes.saturating_add(header.total());
        }
        window.consume(header.size);
        way.state =
            State::Within(Payload { left: header.length, mask: header.mask, offset: 0, last: header.last, control });
        self.within(direction, window, out)
    }

    /// A data frame: begins a message or goes on with one.
    fn fragment(&mut self, direction: Direction, header: &Header, first: Mark, out: &mut Outbox) {
        let masked = direction == Direction::ClientToServer;
        let begins = header.opcode != Opcode::Continuation;
        if begins && self.ways[direction.index()].data.is_some() {
            self.break_off(direction, Completeness::Partial, "another message began before its end", out);
        }
        let may_be_compressed = self.agreement.deflate.may_be();
        if let Some(data) = &mut self.ways[direction.index()].data {
            judge(header, masked, false, &mut data.message);
            return;
        }
        let mut message = self.message(direction, first, out);
        let unsure = std::mem::take(&mut self.ways[direction.index()].unsure);
        judge(header, masked, begins && may_be_compressed, &mut message);
        let opcode = begins.then_some(header.opcode);
        if !begins {
            message.note(if unsure { "its beginning was not seen" } else { "a continuation of nothing" });
            message.completeness = Completeness::Partial;
        }
        let compressed = begins && may_be_compressed && header.reserved & COMPRESSED != 0;
        let unknown = !begins && may_be_compressed && unsure;
        let compression = match (compressed || unknown, self.inflates() && !unknown) {
            (false, _) => Compression::None,
            (true, false) => Compression::Ignored,
            (true, true) => Compression::Inflated,
        };
        let afresh = self.agreement.deflate.starts_afresh(direction);
        let keep = self.settings.body_limit;
        let way = &mut self.ways[direction.index()];
        if compressed {
            message.attribute("compressed", true);
            match compression {
                Compression::Inflated => way.inflater.begin(afresh),
                _ => way.inflater.lose(),
            }
        }
        if unknown {
            way.inflater.lose();
        }
        way.data = Some(Assembly::new(message, opcode, compression, keep));
    }

    /// Reads on in a payload. Whether there is more to do.
    pub(super) fn within(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let way = &mut self.ways[direction.index()];
        let State::Within(payload) = &mut way.state else { return true };
        let bytes = window.bytes();
        let taken = usize::try_from(payload.left).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = &bytes[..taken];
        if let Some(control) = &mut payload.control {
            let room = MOST_CONTROL_KEPT.saturating_sub(control.payload.len());
            let start = control.payload.len();
            control.payload.extend_from_slice(&bytes[..taken.min(room)]);
            if let Some(key) = payload.mask {
                mask::unmask(&mut control.payload[start..], key, payload.offset);
            }
        } else if let Some(data) = &mut way.data {
            let nested = self.nested.as_deref_mut().filter(|nested| !nested.is_opaque());
            if data.needs_bytes(nested.is_some()) {
                let lane = Lane { direction, position: window.position(), at: window.mark(window.position()), nested };
                tell(data, &mut way.inflater, payload, bytes, lane, out);
            }
        }
        payload.offset += taken as u64;
        payload.left -= taken as u64;
        window.consume(taken);
        if payload.left == 0 {
            let end = window.end_mark(window.position());
            self.finish_frame(direction, end, out);
        }
        true
    }

    /// A frame is over.
    pub(super) fn finish_frame(&mut self, direction: Direction, end: Mark, out: &mut Outbox) {
        let way = &mut self.ways[direction.index()];
        let State::Within(payload) = std::mem::replace(&mut way.state, State::Between) else { return };
        self.last = if end.at >= self.last.at { end } else { self.last };
        if let Some(Control { mut assembly, payload }) = payload.control {
            assembly.message.last = end;
            self.finish_control(direction, assembly, &payload, out);
            return;
        }
        let Some(data) = &mut way.data else { return };
        data.message.last = end;
        if payload.last {
            self.finish_data(direction, out);
        }
    }

    fn finish_data(&mut self, direction: Direction, out: &mut Outbox) {
        let way = &mut self.ways[direction.index()];
        let Some(mut data) = way.data.take() else { return };
        let mut nested = self.nested.as_deref_mut().filter(|nested| !nested.is_opaque());
        let end = data.message.last;
        let body_limit = self.settings.body_limit;
        // The message itself comes before what is read in its last bytes.
        let mut inner = Vec::new();
        data.finish(&mut way.inflater, body_limit, |part| {
            if nested.is_some() {
                inner.push(match part {
                    Part::Bytes(bytes) => (bytes.to_vec(), 0),
                    Part::Unknown(count) => (Vec::new(), count),
                });
            }
        });
        if data.compression != Compression::None {
            for (bytes, unknown) in inner {
                if let Some(nested) = &mut nested {
                    nested.gap(direction, unknown, Cause::BeforeAttach, end.at, out);
                    nested.decoded(direction, &bytes, end.position.saturating_sub(1), end.at, out);
                }
            }
        }
        self.put(direction, data, out);
    }

    /// Names a message and pushes it.
    pub(super) fn put(&mut self, direction: Direction, data: Assembly, out: &mut Outbox) {
        let Assembly { mut message, opcode, payload, .. } = data;
        if let Some(name) = opcode.and_then(Opcode::name) {
            message.set_operation(name.as_bytes());
        }
        if self.is_nested() && !opcode.is_some_and(Opcode::is_control) {
            // The same bytes stand in the inner protocol's records, which know what of them is secret.
            message.body.clear();
            message.body_truncated = false;
        }
        self.lost_bytes += message.lost_bytes;
        self.totals[direction.index()].count(opcode, payload, message.bytes);
        out.push(message);
    }

    fn finish_control(&mut self, direction: Direction, mut control: Assembly, payload: &[u8], out: &mut Outbox) {
        let message = &mut control.message;
        message.body_bytes = Some(control.payload);
        let whole = message.lost_bytes == 0 && message.completeness == Completeness::Whole;
        match control.opcode {
            Some(Opcode::Close) => {
                let code = if whole { close::tell(message, payload) } else { None };
                self.close.get_or_insert((direction, code.unwrap_or_default()));
                self.ways[direction.index()].closed = true;
            }
            Some(Opcode::Ping) if whole => self.ways[direction.index()].pings.ping(payload, message.first.at),
            Some(Opcode::Pong) if whole => match self.ways[direction.opposite().index()].pings.pong(payload) {
                Ok(asked) => message.fact("ping_latency_ns", message.last.at.since(asked)),
                Err(true) => {}
                Err(false) => message.note("answers no ping"),
            },
            _ => {}
        }
        if self.settings.body_limit > 0 && control.opcode != Some(Opcode::Close) {
            let kept = &payload[..payload.len().min(self.settings.body_limit)];
            message.body.extend_from_slice(kept);
            message.body_truncated = (kept.len() as u64) < control.payload;
        }
        self.put(direction, control, out);
    }

    /// Pushes the data message under way, whose end will not be seen.
    pub(super) fn break_off(
        &mut self,
        direction: Direction,
        completeness: Completeness,
        why: &'static str,
        out: &mut Outbox,
    ) {
        let way = &mut self.ways[direction.index()];
        let Some(mut data) = way.data.take() else { return };
        if data.compression != Compression::None {
            way.inflater.lose();
            data.compression = Compression::Ignored;
        }
        data.finish(&mut way.inflater, self.settings.body_limit, |_| {});
        data.message.completeness = completeness;
        data.message.body_truncated = self.settings.body_limit > 0;
        if !why.is_empty() {
            data.message.note(why);
        }
        self.put(direction, data, out);
    }
}

/// Where payload goes that somebody reads.
struct Lane<'a> {
    direction: Direction,
    position: u64,
    at: Mark,
    nested: Option<&'a mut Nested>,
}

/// Unmasks payload, gives it to the message and to whoever reads it.
fn tell(
    data: &mut Assembly,
    inflater: &mut crate::websocket::inflate::Inflater,
    payload: &Payload,
    bytes: &[u8],
    mut lane: Lane<'_>,
    out: &mut Outbox,
) {
    let mut scratch = [0; SCRATCH];
    let mut offset = payload.offset;
    let mut position = lane.position;
    let decoded = data.compression != Compression::None;
    // Where bytes come out of a decoder depends on how they went in: they stand for their frame.
    let frame = position.saturating_sub(offset);
    // Unmasked payload needs no scratch.
    let size = if payload.mask.is_some() { SCRATCH } else { bytes.len().max(1) };
    for piece in bytes.chunks(size) {
        let plain = match payload.mask {
            Some(key) => {
                let plain = &mut scratch[..piece.len()];
                plain.copy_from_slice(piece);
                mask::unmask(plain, key, offset);
                &*plain
            }
            None => piece,
        };
        data.push(plain, inflater, |part| {
            if let Some(nested) = lane.nested.as_deref_mut() {
                match part {
                    Part::Bytes(bytes) if decoded => nested.decoded(lane.direction, bytes, frame, lane.at.at, out),
                    Part::Bytes(bytes) => nested.bytes(lane.direction, bytes, position, lane.at.at, out),
                    Part::Unknown(count) => nested.gap(lane.direction, count, Cause::BeforeAttach, lane.at.at, out),
                }
            }
        });
        offset += piece.len() as u64;
        position += piece.len() as u64;
    }
}

/// Notes what is not as the standard has it.
fn judge(header: &Header, masked: bool, may_be_compressed: bool, message: &mut Message) {
    if header.mask.is_some() != masked {
        message.note(if masked { "an unmasked frame from the client" } else { "a masked frame from the server" });
    }
    let reserved = if may_be_compressed { header.reserved & !COMPRESSED } else { header.reserved };
    if reserved != 0 {
        message.note(format!("reserved bits are set: {reserved:#x}"));
    }
    if !header.is_minimal {
        message.note("a length that is not in its shortest form");
    }
    if header.opcode.is_control() {
        if !header.last {
            message.note("a fragmented control frame");
        }
        if header.length > MOST_CONTROL {
            message.note("a control frame of more than 125 bytes");
        }
    }
    if matches!(header.opcode, Opcode::Reserved(_)) {
        message.note("a reserved opcode");
    }
}
