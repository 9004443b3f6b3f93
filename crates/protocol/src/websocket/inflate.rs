//! permessage-deflate undone (RFC 7692, 7.2.2), honestly where the window is unknown.
//!
//! With context takeover a message may refer to up to 32 KiB of what was said before it. Where a
//! part of that was not seen, the message is inflated twice: over a window of zeros and over a
//! window of ones. What is unknown comes out as zero here and as one there, and what both agree on
//! is certain, as a copy copies and never computes. Once the last 32 KiB that came out agree, the
//! window is known again.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

/// As far as deflate ever looks back.
const WINDOW: usize = 32 << 10;

/// More output than this for one message is not read on.
const MOST_OUTPUT: u64 = 64 << 20;

/// What ends each message, and is left out on the wire.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

thread_local! {
    /// What comes out, over zeros and over ones: as much as a decoder keeps to itself, since what it has not handed
    /// out when it meets what is broken it never does.
    static SCRATCH: RefCell<[Vec<u8>; 2]> = RefCell::new([vec![0; WINDOW], vec![0; WINDOW]]);
}

/// Undoes the compression of one direction.
#[derive(Default)]
pub(super) struct Inflater {
    window: Window,
    /// What this message gave so far.
    output: u64,
    /// Whether this message said that its last block was the last of all (RFC 7692, 7.2.3.4).
    ended: bool,
}

#[derive(Default)]
enum Window {
    /// Nothing was said before.
    #[default]
    Empty,
    Known(Box<Decompress>),
    /// Something unknown was said before. The latest so many bytes agree.
    Doubtful {
        zeros: Box<Decompress>,
        ones: Box<Decompress>,
        agreeing: usize,
    },
    /// The message under way cannot be read on.
    Broken,
}

/// What came out.
pub(super) enum Piece<'a> {
    Known(&'a [u8]),
    /// So many bytes whose values are unknown.
    Unknown(usize),
}

/// Why a message cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not what deflate allows.
    Broken,
    /// It gives more than is read.
    TooMuch,
}

impl Inflater {
    /// For a direction of which something was said before that is not known.
    pub(super) fn joined_late() -> Inflater {
        Inflater { window: Window::Broken, ..Inflater::default() }
    }

    /// A message begins; `afresh`: without what was said before.
    pub(super) fn begin(&mut self, afresh: bool) {
        self.output = 0;
        self.ended = false;
        if afresh {
            self.window = Window::Empty;
        } else if matches!(self.window, Window::Broken) {
            self.window = Window::Doubtful { zeros: primed(0), ones: primed(0xff), agreeing: 0 };
        }
    }

    /// What is to come of the message under way, and what later ones refer to, is unknown.
    pub(super) fn lose(&mut self) {
        self.window = Window::Broken;
    }

    /// Takes the next bytes of a message.
    pub(super) fn push(&mut self, bytes: &[u8], mut give: impl FnMut(Piece<'_>)) -> Result<(), Stop> {
        if matches!(self.window, Window::Empty) {
            self.window = Window::Known(Box::new(Decompress::new(false)));
        }
        SCRATCH.with_borrow_mut(|[first, second]| self.inflate(bytes, first, second, &mut give))
    }

    fn inflate(
        &mut self,
        bytes: &[u8],
        first: &mut [u8],
        second: &mut [u8],
        give: &mut impl FnMut(Piece<'_>),
    ) -> Result<(), Stop> {
        let mut rest = bytes;
        while !self.ended {
            let Moved { used, given, status } = match &mut self.window {
                Window::Empty | Window::Broken => return Err(Stop::Broken),
                Window::Known(state) => step(state, rest, first),
                Window::Doubtful { zeros, ones, .. } => {
                    let one = step(zeros, rest, first);
                    let other = step(ones, rest, second);
                    if one == other { one } else { Moved { status: None, ..one } }
                }
            };
            rest = &rest[used.min(rest.len())..];
            self.output += given as u64;
            self.tell(&first[..given], &second[..given], give);
            self.ended = status == Some(Status::StreamEnd);
            if status.is_none() {
                self.lose();
                return Err(Stop::Broken);
            }
            if self.output > MOST_OUTPUT {
                self.lose();
                return Err(Stop::TooMuch);
            }
            if rest.is_empty() && given < first.len() {
                return Ok(());
            }
            if used == 0 && given == 0 && !self.ended {
                self.lose();
                return Err(Stop::Broken);
            }
        }
        Ok(())
    }

    /// The message is over.
    pub(super) fn finish(&mut self, give: impl FnMut(Piece<'_>)) -> Result<(), Stop> {
        let done = self.push(&TAIL, give);
        if self.ended {
            // What later messages refer to stays in no decoder.
            self.lose();
        }
        if let Window::Doubtful { zeros, agreeing, .. } = &mut self.window
            && *agreeing >= WINDOW
        {
            let known = std::mem::replace(zeros, Box::new(Decompress::new(false)));
            self.window = Window::Known(known);
        }
        done
    }

    /// How many bytes it takes, about.
    pub(super) fn held(&self) -> usize {
        const STATE: usize = WINDOW + (11 << 10);
        match &self.window {
            Window::Empty | Window::Broken => 0,
            Window::Known(_) => STATE,
            Window::Doubtful { .. } => 2 * STATE,
        }
    }

    /// Hands out runs of what is known and what is not.
    fn tell(&mut self, first: &[u8], second: &[u8], give: &mut impl FnMut(Piece<'_>)) {
        let Window::Doubtful { agreeing, .. } = &mut self.window else {
            if !first.is_empty() {
                give(Piece::Known(first));
            }
            return;
        };
        let mut from = 0;
        while from < first.len() {
            let known = first[from] == second[from];
            let end = (from..first.len()).find(|at| (first[*at] == second[*at]) != known).unwrap_or(first.len());
            if known {
                *agreeing = agreeing.saturating_add(end - from);
                give(Piece::Known(&first[from..end]));
            } else {
                *agreeing = 0;
                give(Piece::Unknown(end - from));
            }
            from = end;
        }
    }
}

/// What came of inflating a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moved {
    /// How many bytes of input it took.
    used: usize,
    /// How many bytes of output it gave.
    given: usize,
    /// None where it is broken.
    status: Option<Status>,
}

fn step(state: &mut Decompress, input: &[u8], output: &mut [u8]) -> Moved {
    let before = (state.total_in(), state.total_out());
    let status = state.decompress(input, output, FlushDecompress::Sync).ok();
    let (used, given) = (state.total_in() - before.0, state.total_out() - before.1);
    Moved { used: used as usize, given: (given as usize).min(output.len()), status }
}

/// A decoder whose window is full of one byte.
fn primed(fill: u8) -> Box<Decompress> {
    let mut state = Box::new(Decompress::new(false));
    let length = WINDOW as u16;
    let mut block = vec![0];
    block.extend(length.to_le_bytes());
    block.extend((!length).to_le_bytes());
    block.resize(block.len() + WINDOW, fill);
    let mut rest = &block[..];
    let mut output = [0; 4 << 10];
    loop {
        let Moved { used, given, .. } = step(&mut state, rest, &mut output);
        rest = &rest[used.min(rest.len())..];
        if used == 0 && given == 0 {
            break;
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    fn compress(state: &mut Compress, text: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(text.len() + 1024);
        state.compress_vec(text, &mut output, FlushCompress::Sync).unwrap();
        assert_eq!(output.split_off(output.len() - 4), TAIL);
        output
    }

    /// What comes out, unknown bytes as `?`.
    fn inflate(inflater: &mut Inflater, afresh: bool, message: &[u8]) -> Result<Vec<u8>, Stop> {
        let mut output = Vec::new();
        let mut give = |piece: Piece<'_>| match piece {
            Piece::Known(bytes) => output.extend_from_slice(bytes),
            Piece::Unknown(count) => output.resize(output.len() + count, b'?'),
        };
        inflater.begin(afresh);
        for byte in message.chunks(7) {
            inflater.push(byte, &mut give)?;
        }
        inflater.finish(&mut give)?;
        Ok(output)
    }

    #[test]
    fn with_context() {
        let mut state = Compress::new(Compression::default(), false);
        let mut inflater = Inflater::default();
        for text in [&b"Hello"[..], b"Hello", b"", b"Hello Hello Hello", &[b'x'; 100_000]] {
            let message = compress(&mut state, text);
            assert_eq!(inflate(&mut inflater, false, &message).unwrap(), text);
        }
    }

    #[test]
    fn without_context() {
        let mut inflater = Inflater::default();
        for text in [&b"Hello"[..], b"Hello again"] {
            let message = compress(&mut Compress::new(Compression::default(), false), text);
            assert_eq!(inflate(&mut inflater, true, &message).unwrap(), text);
        }
    }

    #[test]
    fn an_unknown_window_gives_what_is_certain() {
        let mut state = Compress::new(Compression::best(), false);
        compress(&mut state, b"the quick brown fox jumps over the lazy dog");
        let second = compress(&mut state, b"a quick brown fox, and something new: 0123456789abcdef");
        let third = compress(&mut state, b"something new: 0123456789abcdef");
        let mut inflater = Inflater::joined_late();
        let text = inflate(&mut inflater, false, &second).unwrap();
        assert_eq!(text.len(), 54);
        assert!(text.contains(&b'?') && text.ends_with(b"something new: 0123456789abcdef"), "{}", text.escape_ascii());
        assert_eq!(inflate(&mut inflater, false, &third).unwrap(), b"something new: 0123456789abcdef");
    }

    #[test]
    fn the_window_is_known_again_once_it_is_full() {
        let mut state = Compress::new(Compression::best(), false);
        compress(&mut state, b"before tracing");
        let mut inflater = Inflater::joined_late();
        let mut number = 1u32;
        for _ in 0..40 {
            let text: Vec<u8> = (0..1024)
                .map(|_| {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (number >> 24) as u8
                })
                .collect();
            let message = compress(&mut state, &text);
            assert_eq!(inflate(&mut inflater, false, &message).unwrap(), text);
        }
        assert!(matches!(inflater.window, Window::Known(_)));
    }

    #[test]
    fn rubbish_and_bombs_end() {
        let mut inflater = Inflater::default();
        assert_eq!(inflate(&mut inflater, false, &[0xff; 100]).err(), Some(Stop::Broken));
        let bomb = compress(&mut Compress::new(Compression::best(), false), &vec![0; 65 << 20]);
        assert_eq!(inflate(&mut Inflater::default(), false, &bomb).err(), Some(Stop::TooMuch));
    }
}
