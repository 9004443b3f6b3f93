use l7trace_event::Timestamp;

use crate::{Mark, OwnedChunk};

/// The bytes of one direction that a parser has been given and has not consumed, with the time at
/// which each was seen.
///
/// Parsers take it out of themselves while they read (`mem::take`), so that what arrives whole is
/// parsed where it lies and only what is unfinished is copied:
///
/// ```
/// # use l7trace_protocol::Feed;
/// # use l7trace_event::Timestamp;
/// let mut feed = Feed::default();
/// for bytes in [&b"one\ntw"[..], b"o\n"] {
///     let mut window = feed.open(bytes, feed.end(), Timestamp(1), None);
///     while let Some(end) = window.bytes().iter().position(|byte| *byte == b'\n') {
///         window.consume(end + 1);
///     }
///     window.close();
/// }
/// assert_eq!(feed.held(), 0);
/// ```
#[derive(Debug, Default)]
pub struct Feed {
    bytes: Vec<u8>,
    /// The position of the first byte of `bytes`.
    position: u64,
    /// Where each chunk that `bytes` has a part of began; in order, the first at or before `position`.
    marks: Vec<ChunkMark>,
}

#[derive(Clone, Copy, Debug)]
struct ChunkMark {
    start: Mark,
    acknowledged: Option<u64>,
}

/// A [`Feed`]'s bytes together with those that have just come.
pub struct Window<'a> {
    /// Where the rest goes when the window closes.
    position: &'a mut u64,
    marks: &'a mut Vec<ChunkMark>,
    held: &'a mut Vec<u8>,
    /// What has just come, if it has not been appended to `held`.
    arrived: Option<&'a [u8]>,
    latest: ChunkMark,
    consumed: usize,
}

impl Feed {
    /// The bytes held, followed by `bytes`, which begin at `position`. Where `position` is not
    /// where the held bytes end (after a gap that the parser has dealt with), what is held is dropped.
    pub fn open<'a>(
        &'a mut self,
        bytes: &'a [u8],
        position: u64,
        at: Timestamp,
        acknowledged: Option<u64>,
    ) -> Window<'a> {
        let latest = ChunkMark { start: Mark { position, at }, acknowledged };
        if position != self.end() {
            self.clear(position);
        }
        let arrived = if self.bytes.is_empty() {
            self.position = position;
            self.marks.clear();
            Some(bytes)
        } else {
            self.bytes.extend_from_slice(bytes);
            self.marks.push(latest);
            None
        };
        Window {
            position: &mut self.position,
            marks: &mut self.marks,
            held: &mut self.bytes,
            arrived,
            latest,
            consumed: 0,
        }
    }

    /// The bytes held, to be read again now that they mean something.
    pub fn reopen(&mut self) -> Window<'_> {
        let latest = self.marks.last().copied().unwrap_or(ChunkMark {
            start: Mark { position: self.position, at: Timestamp::default() },
            acknowledged: None,
        });
        Window {
            position: &mut self.position,
            marks: &mut self.marks,
            held: &mut self.bytes,
            arrived: None,
            latest,
            consumed: 0,
        }
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes held.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The position after the last byte held.
    pub fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }

    /// The position of the first byte held.
    pub fn start(&self) -> u64 {
        self.position
    }

    /// When the byte at `position` was seen, for a byte that is held.
    pub fn time_of(&self, position: u64) -> Timestamp {
        mark_of(&self.marks, position).map_or(Timestamp::default(), |mark| mark.start.at)
    }

    /// How far the sender had read the other direction when it sent the byte at `position`, for a
    /// byte that is held.
    pub fn acknowledged_at(&self, position: u64) -> Option<u64> {
        mark_of(&self.marks, position).and_then(|mark| mark.acknowledged)
    }

    /// Drops what is held; the next byte is the one at `position`.
    pub fn clear(&mut self, position: u64) {
        self.bytes = Vec::new();
        self.marks = Vec::new();
        self.position = position;
    }

    /// What is held, chunk by chunk, leaving nothing: for a switch to another protocol.
    pub fn take_chunks(&mut self, direction: l7trace_event::Direction) -> Vec<OwnedChunk> {
        let mut chunks = Vec::with_capacity(self.marks.len());
        for (index, mark) in self.marks.iter().enumerate() {
            let start = mark.start.position.max(self.position);
            let end =
                self.marks.get(index + 1).map_or(self.position + self.bytes.len() as u64, |next| next.start.position);
            if let Some(bytes) =
                self.bytes.get((start - self.position) as usize..end.saturating_sub(self.position) as usize)
                && !bytes.is_empty()
            {
                chunks.push(OwnedChunk {
                    direction,
                    position: start,
                    at: mark.start.at,
                    acknowledged: mark.acknowledged,
                    bytes: bytes.to_vec(),
                });
            }
        }
        self.clear(self.end());
        chunks
    }
}

impl Window<'_> {
    /// What is not yet consumed.
    pub fn bytes(&self) -> &[u8] {
        &self.all()[self.consumed..]
    }

    /// The position of the first byte of [`Window::bytes`].
    pub fn position(&self) -> u64 {
        *self.position + self.consumed as u64
    }

    /// Whether everything is consumed.
    pub fn is_empty(&self) -> bool {
        self.consumed == self.all().len()
    }

    /// Consumes the next `count` bytes (or what there is).
    pub fn consume(&mut self, count: usize) {
        self.consumed = (self.consumed + count).min(self.all().len());
    }

    /// When the byte at `position` was seen.
    pub fn time_of(&self, position: u64) -> Timestamp {
        self.chunk_of(position).start.at
    }

    /// A mark at `position`, with the time at which the byte there was seen.
    pub fn mark(&self, position: u64) -> Mark {
        Mark { position, at: self.time_of(position) }
    }

    /// A mark at the end of a message: the position after its last byte, and that byte's time.
    pub fn end_mark(&self, end: u64) -> Mark {
        Mark { position: end, at: self.time_of(end.saturating_sub(1)) }
    }

    /// How far the sender had read the other direction when it sent the byte at `position`.
    pub fn acknowledged_at(&self, position: u64) -> Option<u64> {
        self.chunk_of(position).acknowledged
    }

    /// Keeps what is not consumed for the next time.
    pub fn close(self) {
        match self.arrived {
            Some(arrived) => {
                *self.position += self.consumed as u64;
                if self.consumed < arrived.len() {
                    self.held.extend_from_slice(&arrived[self.consumed..]);
                    self.marks.push(self.latest);
                }
            }
            None if self.consumed == self.held.len() => {
                *self.position += self.consumed as u64;
                // Idle connections by the hundred thousand must not keep buffers.
                *self.held = Vec::new();
                *self.marks = Vec::new();
            }
            None => {
                *self.position += self.consumed as u64;
                self.held.drain(..self.consumed);
                let after = self.marks.partition_point(|mark| mark.start.position <= *self.position);
                self.marks.drain(..after.saturating_sub(1));
            }
        }
    }

    fn all(&self) -> &[u8] {
        self.arrived.unwrap_or(self.held)
    }

    fn chunk_of(&self, position: u64) -> ChunkMark {
        if self.arrived.is_some() {
            return self.latest;
        }
        mark_of(self.marks, position).unwrap_or(self.latest)
    }
}

fn mark_of(marks: &[ChunkMark], position: u64) -> Option<ChunkMark> {
    let after = marks.partition_point(|mark| mark.start.position <= position);
    marks.get(after.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use l7trace_event::Direction;

    #[test]
    fn keeps_what_is_unfinished_with_its_times() {
        let mut feed = Feed::default();
        let mut window = feed.open(b"abcd", 10, Timestamp(1), Some(5));
        window.consume(3);
        assert_eq!((window.bytes(), window.position()), (&b"d"[..], 13));
        window.close();
        let window = feed.open(b"efg", 14, Timestamp(2), Some(6));
        assert_eq!(window.bytes(), b"defg");
        assert_eq!((window.time_of(13), window.time_of(14)), (Timestamp(1), Timestamp(2)));
        assert_eq!((window.acknowledged_at(13), window.acknowledged_at(16)), (Some(5), Some(6)));
        window.close();
        assert_eq!((feed.start(), feed.end(), feed.held()), (13, 17, 4));
        let chunks = feed.take_chunks(Direction::ClientToServer);
        let seen: Vec<_> = chunks.iter().map(|chunk| (chunk.position, chunk.at.0, &chunk.bytes[..])).collect();
        assert_eq!(seen, [(13, 1, &b"d"[..]), (14, 2, b"efg")]);
    }

    #[test]
    fn a_jump_in_position_drops_what_was_held() {
        let mut feed = Feed::default();
        feed.open(b"abc", 0, Timestamp(1), None).close();
        let window = feed.open(b"xyz", 100, Timestamp(2), None);
        assert_eq!((window.bytes(), window.position()), (&b"xyz"[..], 100));
    }
}
