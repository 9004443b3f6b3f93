use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use flate2::read::MultiGzDecoder;

/// How much is read at once: small enough to be in the processor's cache when it is decoded.
const CHUNK: usize = 512 << 10;
/// How much is read at once from a pipe, which holds little more.
const PIPE_CHUNK: usize = 64 << 10;

/// Where the bytes of a capture come from.
pub(super) enum Input {
    /// A file on disk: always ready.
    File(File),
    /// A pipe, a socket, a terminal: bytes come when they come.
    Stream(File),
    /// A reader that is always ready: what gzip compressed, or bytes at hand.
    Reader(Box<dyn Read + Send>),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// So many bytes.
    Some,
    /// None yet.
    Nothing,
    /// There are none any more.
    End,
}

impl Input {
    /// Opens a path; `-` is standard input.
    pub(super) fn open(path: &Path) -> io::Result<Input> {
        let file = match path.as_os_str() == "-" {
            true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            false => File::open(path)?,
        };
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok(if kind.is_file() { Input::File(file) } else { Input::Stream(file) })
    }

    /// The same bytes with those read so far before them, decompressed.
    pub(super) fn gunzip(self, first: Vec<u8>) -> Input {
        let first = io::Cursor::new(first);
        match self {
            Input::File(file) | Input::Stream(file) => Input::Reader(Box::new(MultiGzDecoder::new(first.chain(file)))),
            Input::Reader(inner) => Input::Reader(Box::new(MultiGzDecoder::new(first.chain(inner)))),
        }
    }

    /// Whether all of it is there without waiting.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Input::Stream(_))
    }

    /// Appends some bytes, waiting up to `timeout` for the first of them.
    pub(super) fn read(&mut self, into: &mut Vec<u8>, timeout: Duration) -> io::Result<Came> {
        let chunk = match self {
            Input::File(file) => {
                into.reserve(CHUNK);
                let count = file.by_ref().take(CHUNK as u64).read_to_end(into)?;
                return Ok(if count == 0 { Came::End } else { Came::Some });
            }
            Input::Stream(file) if !is_ready(file, timeout)? => return Ok(Came::Nothing),
            Input::Stream(_) => PIPE_CHUNK,
            Input::Reader(_) => CHUNK,
        };
        let before = into.len();
        into.resize(before + chunk, 0);
        let room = into.get_mut(before..).unwrap_or_default();
        let read = match self {
            Input::File(file) | Input::Stream(file) => file.read(room),
            Input::Reader(inner) => inner.read(room),
        };
        into.truncate(before + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Ok(Came::End),
            Ok(_) => Ok(Came::Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                Ok(Came::Nothing)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a read would not block: there are bytes, or their end.
#[expect(unsafe_code, reason = "poll(2) has no wrapper in std")]
fn is_ready(file: &File, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let milliseconds = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `poll` is one valid pollfd for the length of the call, and its descriptor is open.
    match unsafe { libc::poll(&raw mut poll, 1, milliseconds) } {
        0 => Ok(false),
        1.. => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}
