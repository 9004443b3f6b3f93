use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use flate2::read::MultiGzDecoder;

/// How much is read at once: small enough to be in the processor's cache when it is decoded.
const CHUNK: usize = 512 << 10;
/// How much is read at once from a reader, for which room is zeroed first.
const READER_CHUNK: usize = 64 << 10;
/// How much a pipe is asked to hold, so that its writer need not wait for each read.
const PIPE_SIZE: libc::c_int = 1 << 20;

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
        if kind.is_file() {
            return Ok(Input::File(file));
        }
        widen(&file);
        Ok(Input::Stream(file))
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
        let count = match self {
            Input::Stream(file) if !is_ready(file, timeout)? => return Ok(Came::Nothing),
            Input::File(file) | Input::Stream(file) => append(file, into),
            Input::Reader(reader) => {
                let before = into.len();
                into.resize(before + READER_CHUNK, 0);
                let read = reader.read(into.get_mut(before..).unwrap_or_default());
                into.truncate(before + *read.as_ref().unwrap_or(&0));
                read
            }
        };
        match count {
            Ok(0) => Ok(Came::End),
            Ok(_) => Ok(Came::Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                Ok(Came::Nothing)
            }
            Err(error) => Err(error),
        }
    }
}

/// One read(2) behind what is there: std's own either blocks until all is read, or has the bytes
/// zeroed first.
#[expect(unsafe_code, reason = "std has no stable read into a vector's spare capacity")]
fn append(file: &File, into: &mut Vec<u8>) -> io::Result<usize> {
    into.reserve(CHUNK);
    let room = into.spare_capacity_mut();
    let length = room.len().min(CHUNK);
    // SAFETY: `room` is writable for its whole length, of which at most `length` bytes are written.
    let count = unsafe { libc::read(file.as_raw_fd(), room.as_mut_ptr().cast(), length) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has written `count` bytes, at most `length`, into the spare capacity.
    unsafe { into.set_len(into.len() + count) };
    Ok(count)
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

/// Makes a pipe hold more, where it is one and the host allows it.
#[expect(unsafe_code, reason = "F_SETPIPE_SZ has no wrapper in std")]
fn widen(file: &File) {
    // SAFETY: the descriptor is open, and the command takes a number alone.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_SIZE) };
}
