use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use l7trace_event::Timestamp;

use super::wire::Wire;
use super::{Counts, Ends, Seen, Unread};

/// IP packets at once of which fragments are held.
const PACKETS: usize = 4096;
/// Bytes held in all.
const BYTES: usize = 32 << 20;
/// How long the first fragment waits for the rest, in nanoseconds of the capture's clock (Linux
/// waits as long: `ipfrag_time`).
const WAIT: u64 = 30_000_000_000;
/// How long copies of the fragments of a finished packet are expected, in nanoseconds: captures of
/// several interfaces hold each more than once.
const ECHO: u64 = 1_000_000_000;
/// The longest IP packet.
const LONGEST: usize = 65_535;

/// What a fragment's headers say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) identification: u32,
    pub(super) protocol: u8,
    /// Where it belongs in the payload, in bytes.
    pub(super) offset: usize,
    /// Whether more follow.
    pub(super) more: bool,
    /// How long the headers are that every fragment repeats.
    pub(super) before: usize,
    /// Where within them stands the number of the header that follows.
    pub(super) next_at: usize,
}

/// An IP packet put together: without fragmentation in its headers, its lengths made right.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    /// How long it was on the wire: longer than `bytes` where fragments were cut by the capture.
    pub(super) length: usize,
}

/// IP fragments that wait for the rest of their packet.
///
/// Where fragments overlap, the bytes that came first are kept, as in the TCP streams. Fragments
/// count as captured up to the first byte that the capture cut.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    packets: HashMap<Name, Held>,
    /// By age: when the first fragment came, and a number that keeps those apart.
    ages: BTreeMap<(Timestamp, u64), Name>,
    next: u64,
    bytes: usize,
    given_up: [u64; REASONS.len()],
}

/// RFC 791, section 3.2; RFC 8200, section 4.5; the namespace keeps equal loopback addresses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    protocol: u8,
    namespace: u32,
    /// The same fragment is seen on every interface that it passes.
    place: u32,
}

#[derive(Debug, Default)]
struct Held {
    age: (Timestamp, u64),
    /// The headers of the first fragment, once it came.
    headers: Vec<u8>,
    /// The number of the header that follows them, and where it stands.
    next: (u8, usize),
    payload: Vec<u8>,
    /// Ranges of `payload` that are there, in order, none touching another.
    ranges: Vec<(usize, usize)>,
    /// How long the payload is, once the last fragment came.
    total: Option<usize>,
    /// Up to where the payload was captured.
    captured: usize,
    /// The packet was put together: what comes now are copies.
    done: bool,
}

#[derive(Clone, Copy)]
enum Reason {
    Full,
    Late,
    TooLong,
    Misplaced,
}

const REASONS: [&str; 4] = [
    "IP fragments: given up, too many waiting",
    "IP fragments: given up, the rest never came",
    "IP fragments: packet longer than 65535",
    "IP fragments: misplaced fragment",
];

impl Fragments {
    /// Adds a fragment's payload; gives the packet if it was the last one missing.
    pub(super) fn add(&mut self, seen: Seen, ends: &Ends<'_>, part: Part, payload: Wire<'_>) -> Option<Whole> {
        self.expire(seen.at);
        let end = part.offset + payload.length;
        if end + part.before > LONGEST {
            self.count(Reason::TooLong);
            return None;
        }
        // Only the last fragment may have a length that is no multiple of 8, and none is empty.
        if payload.length == 0 || (part.more && !payload.length.is_multiple_of(8)) {
            self.count(Reason::Misplaced);
            return None;
        }
        let name = Name {
            source: ends.source,
            destination: ends.destination,
            identification: part.identification,
            protocol: if ends.source.is_ipv4() { part.protocol } else { 0 },
            namespace: seen.namespace,
            place: seen.witness.place,
        };
        if let Some(held) = self.packets.get(&name).filter(|held| held.done) {
            // The first fragment begins a packet that bears the same number.
            if part.offset > 0 && seen.at.since(held.age.0) <= ECHO {
                return None;
            }
            self.forget(name);
        }
        if !self.packets.contains_key(&name) {
            self.make_room(end);
            self.next += 1;
            let age = (seen.at, self.next);
            self.ages.insert(age, name);
            self.packets.insert(name, Held { age, captured: usize::MAX, ..Held::default() });
        }
        let held = self.packets.get_mut(&name)?;
        let before = held.size();
        if part.offset == 0 && held.headers.is_empty() {
            held.headers.extend_from_slice(ends.packet.bytes.get(..part.before).unwrap_or_default());
            held.next = (part.protocol, part.next_at);
        }
        if !part.more {
            held.total.get_or_insert(end);
        }
        if held.total.is_some_and(|total| end > total) {
            self.count(Reason::Misplaced);
            return None;
        }
        held.put(part.offset, payload);
        let whole = held.whole();
        if whole.is_some() {
            let age = held.age;
            *held = Held { age, done: true, ..Held::default() };
        }
        let after = held.size();
        self.bytes = (self.bytes + after).saturating_sub(before);
        if self.bytes > BYTES {
            self.make_room(0);
        }
        whole
    }

    /// Adds to `counts` what was given up, and what waits still.
    pub(super) fn account(&self, counts: &mut Counts) {
        for (reason, times) in REASONS.into_iter().zip(self.given_up) {
            if times > 0 {
                counts.add(Unread::Bad(reason), times);
            }
        }
        let waiting = self.packets.values().filter(|held| !held.done).count();
        if waiting > 0 {
            counts.add(Unread::Bad(REASONS[Reason::Late as usize]), waiting as u64);
        }
    }

    fn count(&mut self, reason: Reason) {
        self.given_up[reason as usize] += 1;
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((&age, &name)) = self.ages.first_key_value()
            && now.since(age.0) > WAIT
        {
            if self.forget(name) {
                self.count(Reason::Late);
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        while self.packets.len() >= PACKETS || self.bytes + bytes > BYTES {
            let Some((_, &name)) = self.ages.first_key_value() else { return };
            if self.forget(name) {
                self.count(Reason::Full);
            }
        }
    }

    /// Drops a packet; says whether it was unfinished.
    fn forget(&mut self, name: Name) -> bool {
        let Some(held) = self.packets.remove(&name) else { return false };
        self.ages.remove(&held.age);
        self.bytes = self.bytes.saturating_sub(held.size());
        !held.done
    }
}

impl Held {
    fn size(&self) -> usize {
        self.payload.len() + self.headers.len() + self.ranges.len() * 16
    }

    /// Takes what is not there yet.
    fn put(&mut self, start: usize, wire: Wire<'_>) {
        let end = start + wire.length;
        if wire.missing() > 0 {
            self.captured = self.captured.min(start + wire.bytes.len());
        }
        if self.payload.len() < end {
            self.payload.resize(end, 0);
        }
        let first = self.ranges.partition_point(|range| range.1 < start);
        let (mut at, mut merged, mut last) = (start, (start, end), first);
        while let Some(&(from, to)) = self.ranges.get(last)
            && from <= end
        {
            copy(&mut self.payload, at, from.max(at), start, wire.bytes);
            at = at.max(to);
            merged = (merged.0.min(from), merged.1.max(to));
            last += 1;
        }
        copy(&mut self.payload, at, end, start, wire.bytes);
        self.ranges.splice(first..last, [merged]);
    }

    fn whole(&mut self) -> Option<Whole> {
        let total = self.total?;
        if self.headers.is_empty() || self.ranges != [(0, total)] {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.headers);
        let length = bytes.len() + total;
        let (next, next_at) = self.next;
        *bytes.get_mut(next_at)? = next;
        if bytes.first()? >> 4 == 4 {
            bytes.get_mut(2..4)?.copy_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
            bytes.get_mut(6..8)?.fill(0);
            let checksum = header_checksum(&bytes);
            bytes.get_mut(10..12)?.copy_from_slice(&checksum.to_be_bytes());
        } else {
            bytes.get_mut(4..6)?.copy_from_slice(&u16::try_from(length - 40).ok()?.to_be_bytes());
        }
        bytes.extend_from_slice(self.payload.get(..self.captured.min(total))?);
        Some(Whole { bytes, length })
    }
}

/// Copies what belongs at `from..to` of the payload out of a fragment that begins at `start`.
fn copy(payload: &mut [u8], from: usize, to: usize, start: usize, fragment: &[u8]) {
    let to = to.min(start + fragment.len());
    if from >= to {
        return;
    }
    if let (Some(into), Some(of)) = (payload.get_mut(from..to), fragment.get(from - start..to - start)) {
        into.copy_from_slice(of);
    }
}

/// RFC 1071, over an IPv4 header whose own checksum field is left out.
pub(crate) fn header_checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).enumerate().filter(|(index, _)| *index != 5);
    let sum: u32 =
        words.map(|(_, word)| u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded + (folded >> 16)) as u16)
}
