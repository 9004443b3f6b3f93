//! Bodies: the bytes of a message after its head (RFC 9112, sections 6 and 7).

use l7trace_event::Timestamp;
use memchr::memchr;

use super::framing::Framing;
use super::head::{Block, Scan, read_fields};
use super::start_line::without_returns;
use crate::grpc::Deframer;
use crate::lines::KnownLines;
use crate::{Message, Window};

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body {
    part: Part,
    /// How many more bytes are kept.
    keep: usize,
    /// Whether what is kept is not all of what came before: nothing more is kept then.
    clipped: bool,
    /// How many bytes of content there were, lost ones included.
    received: u64,
    /// Where in a line of framing the search stands.
    scan: Scan,
    /// Finds the messages of a call in it.
    calls: Option<Box<Deframer>>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// So many bytes, then the end.
    Content(u64),
    UntilClose,
    ChunkSize,
    /// So many bytes, then the chunk's line end.
    ChunkData(u64),
    ChunkEnd,
    Trailers,
}

/// How reading went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    More,
    /// The body is all there.
    End,
    /// The framing breaks: where the body ends is not known.
    Broken(&'static str),
}

/// What a gap does to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterGap {
    /// It lies within the body, which goes on.
    Within,
    /// It covers the rest of the body, and so many bytes beyond.
    Over(u64),
    /// Where the body ends is not known any more.
    Broken,
}

/// The longest line of a chunk's size with its extensions.
const LONGEST_SIZE_LINE: usize = 16 << 10;

impl Body {
    /// A body of this framing, of which `keep` bytes are kept; none where there is nothing to read.
    pub(super) fn new(framing: Framing, keep: usize, calls: Option<Box<Deframer>>) -> Option<Body> {
        let part = match framing {
            Framing::None | Framing::Length(0) => return None,
            Framing::Length(length) => Part::Content(length),
            Framing::Chunked => Part::ChunkSize,
            Framing::UntilClose => Part::UntilClose,
        };
        Some(Body { part, keep, clipped: false, received: 0, scan: Scan::default(), calls })
    }

    /// How many bytes of content there were, lost ones included.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// What found the messages of a call in it.
    pub(super) fn calls(&mut self) -> Option<Box<Deframer>> {
        self.calls.take()
    }

    /// Whether all of the content so far was kept.
    pub(super) fn is_kept_whole(&self) -> bool {
        !self.clipped
    }

    /// Whether the end of the connection ends it as it should.
    pub(super) fn ends_at_close(&self) -> bool {
        self.part == Part::UntilClose
    }

    /// Whether all of it is there but the last line end of its trailers.
    pub(super) fn lacks_only_last_line(&self) -> bool {
        self.part == Part::Trailers
    }

    /// How many of the next bytes are content that nobody keeps.
    pub(super) fn skippable(&self) -> u64 {
        match self.part {
            _ if self.keep > 0 && !self.clipped || self.calls.is_some() => 0,
            Part::Content(left) | Part::ChunkData(left) => left,
            Part::UntilClose => u64::MAX,
            Part::ChunkSize | Part::ChunkEnd | Part::Trailers => 0,
        }
    }

    /// Reads on.
    pub(super) fn read(&mut self, window: &mut Window<'_>, message: &mut Message, longest_trailers: usize) -> Progress {
        while !window.is_empty() {
            match self.part {
                Part::Content(left) => {
                    let left = left - self.take(left, window, message);
                    self.part = Part::Content(left);
                    if left == 0 {
                        return Progress::End;
                    }
                }
                Part::UntilClose => {
                    self.take(u64::MAX, window, message);
                }
                Part::ChunkSize => match self.chunk_size(window, message) {
                    Ok(true) => {}
                    Ok(false) => return Progress::More,
                    Err(why) => return Progress::Broken(why),
                },
                Part::ChunkData(left) => {
                    let left = left - self.take(left, window, message);
                    self.part = if left == 0 { Part::ChunkEnd } else { Part::ChunkData(left) };
                }
                Part::ChunkEnd => match window.bytes() {
                    [b'\n', ..] => self.end_chunk(1, window),
                    [b'\r', b'\n', ..] => self.end_chunk(2, window),
                    [b'\r'] => return Progress::More,
                    _ => {
                        message.note("no line end after a chunk");
                        self.end_chunk(0, window);
                    }
                },
                Part::Trailers => return self.trailers(window, message, longest_trailers),
            }
        }
        Progress::More
    }

    /// Takes note of bytes that were not seen.
    pub(super) fn gap(&mut self, length: u64, at: Timestamp) -> AfterGap {
        match self.part {
            Part::Content(left) => {
                self.lose(length.min(left), at);
                if length < left {
                    self.part = Part::Content(left - length);
                    AfterGap::Within
                } else {
                    self.part = Part::Content(0);
                    AfterGap::Over(length - left)
                }
            }
            Part::UntilClose => {
                self.lose(length, at);
                AfterGap::Within
            }
            Part::ChunkData(left) if length <= left => {
                self.lose(length, at);
                self.part = if length == left { Part::ChunkEnd } else { Part::ChunkData(left - length) };
                AfterGap::Within
            }
            Part::ChunkData(_) | Part::ChunkSize | Part::ChunkEnd | Part::Trailers => {
                self.clipped = true;
                AfterGap::Broken
            }
        }
    }

    fn lose(&mut self, length: u64, at: Timestamp) {
        if let Some(calls) = &mut self.calls {
            calls.gap(length, at);
        }
        self.received += length;
        self.clipped |= length > 0;
    }

    /// Takes up to `most` bytes of content: the one place where content passes, in order.
    fn take(&mut self, most: u64, window: &mut Window<'_>, message: &mut Message) -> u64 {
        let bytes = window.bytes();
        let count = usize::try_from(most).map_or(bytes.len(), |most| most.min(bytes.len()));
        if !self.clipped {
            let kept = count.min(self.keep);
            message.body.extend_from_slice(&bytes[..kept]);
            self.keep -= kept;
            self.clipped = kept < count;
        }
        self.received += count as u64;
        if let Some(calls) = &mut self.calls
            && count > 0
        {
            let at = window.time_of(window.position() + count as u64 - 1);
            calls.bytes(&window.bytes()[..count], at);
        }
        window.consume(count);
        count as u64
    }

    fn end_chunk(&mut self, length: usize, window: &mut Window<'_>) {
        window.consume(length);
        self.part = Part::ChunkSize;
        self.scan = Scan::default();
    }

    /// Reads the line that gives a chunk's size. False where it is not all there.
    fn chunk_size(&mut self, window: &mut Window<'_>, message: &mut Message) -> Result<bool, &'static str> {
        let bytes = window.bytes();
        let Some(end) = self.scan.next_line(bytes) else {
            return if bytes.len() > LONGEST_SIZE_LINE {
                Err("the line of a chunk's size does not end")
            } else {
                Ok(false)
            };
        };
        if end > LONGEST_SIZE_LINE {
            return Err("the line of a chunk's size does not end");
        }
        self.scan = Scan::default();
        let line = without_returns(&bytes[..end - 1]);
        if bytes.get(end.wrapping_sub(2)) != Some(&b'\r') {
            message.note("chunk lines end without a carriage return");
        }
        let extension = memchr(b';', line).unwrap_or(line.len());
        let digits = line[..extension].trim_ascii();
        if digits.is_empty() && line.is_empty() {
            message.note("empty line where a chunk's size belongs");
            window.consume(end);
            return Ok(true);
        }
        if digits.len() < extension {
            message.note("space around a chunk's size");
        }
        let size = size_of(digits).ok_or("a chunk's size is no number")?;
        window.consume(end);
        self.part = if size == 0 { Part::Trailers } else { Part::ChunkData(size) };
        Ok(true)
    }

    fn trailers(&mut self, window: &mut Window<'_>, message: &mut Message, longest: usize) -> Progress {
        let bytes = window.bytes();
        match self.scan.end(bytes) {
            Some(end) if end <= longest => {
                if end > 2 {
                    let span = message.put(&bytes[..end]);
                    read_fields(&bytes[..end], span, Block::Trailers, message, &mut KnownLines::default());
                }
                window.consume(end);
                Progress::End
            }
            None if bytes.len() <= longest => Progress::More,
            _ => Progress::Broken("trailers are longer than the limit"),
        }
    }
}

/// A hexadecimal size, of any number of leading zeros.
fn size_of(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut size = 0u64;
    for digit in digits {
        let value = char::from(*digit).to_digit(16)?;
        // 2⁵⁶ bytes are nobody's chunk.
        size = if size >> 52 == 0 { size << 4 | u64::from(value) } else { return None };
    }
    Some(size)
}
