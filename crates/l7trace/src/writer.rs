//! Puts the output where it goes, in a thread of its own, so that a slow reader never stalls capture.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;
use l7trace_capture::Forgetful;

/// How many pieces may wait to be written.
const QUEUE: usize = 64;

/// How many written buffers are kept for reuse, and up to which size.
const MOST_SPARE: usize = 8;
const LARGEST_SPARE: usize = 4 << 20;

/// How many bytes may wait beyond the queue before records are shed (live only).
const MOST_WAITING: usize = 32 << 20;

/// The near end of the writing thread.
pub(crate) struct Writer {
    to: Option<SyncSender<Piece>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    closed: Arc<AtomicBool>,
    waiting: Vec<u8>,
    /// Buffers that were written, for reuse: a new one would be grown and its pages zeroed each time.
    spare: Receiver<Vec<u8>>,
    /// Whether to wait for a slow reader (files) or to shed records (live).
    patient: bool,
    /// How many records were shed.
    unwritten: u64,
}

enum Piece {
    Output(Vec<u8>),
    /// A line on standard error that stands until the next output.
    Status(String),
}

/// Where the output goes.
pub(crate) enum Target {
    Stdout,
    Stderr,
    File(std::fs::File),
}

impl Target {
    /// A file for the output.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Target> {
        let file = std::fs::File::create(path).with_context(|| {
            format!("cannot write the output to {}: give a path that can be written", path.display())
        })?;
        Ok(Target::File(file))
    }
}

impl Writer {
    /// Starts the thread. `patient`: whether to wait for a slow reader rather than to shed.
    pub(crate) fn start(target: Target, patient: bool) -> Writer {
        let (to, from) = sync_channel(QUEUE);
        let (emptied, spare) = sync_channel(MOST_SPARE);
        let closed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closed);
        let thread = std::thread::spawn(move || {
            let result = write_all(sink(target, !patient), &from, &emptied);
            flag.store(true, Ordering::Relaxed);
            result
        });
        Writer { to: Some(to), thread: Some(thread), closed, waiting: Vec::new(), spare, patient, unwritten: 0 }
    }

    /// Whether whoever read the output has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// What [`Writer::is_closed`] reads, for other threads.
    pub(crate) fn closed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closed)
    }

    /// Whether a record can be taken; where not, it is counted as unwritten.
    pub(crate) fn has_room(&mut self) -> bool {
        let room = self.patient || self.waiting.len() < MOST_WAITING;
        self.unwritten += u64::from(!room);
        room
    }

    /// Records that were shed.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Where records are appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Hands what was appended to the thread.
    pub(crate) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(to) = &self.to else { return };
        let next = self.spare.try_recv().unwrap_or_default();
        let piece = Piece::Output(std::mem::replace(&mut self.waiting, next));
        if self.patient {
            // An error means that the thread has ended, which `is_closed` tells.
            let _ = to.send(piece);
            return;
        }
        if let Err(TrySendError::Full(Piece::Output(waiting))) = to.try_send(piece) {
            self.waiting = waiting;
        }
    }

    /// Shows a line that stands until the next output; dropped where the thread is busy.
    pub(crate) fn status(&self, line: String) {
        if let Some(to) = &self.to {
            let _ = to.try_send(Piece::Status(line));
        }
    }

    /// Writes what is left and ends the thread. A reader that went away is no error.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.patient = true;
        self.flush();
        self.to = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write the output")
            }
            Some(Err(_)) => anyhow::bail!("the writing thread broke off"),
            _ => Ok(()),
        }
    }
}

/// Where the bytes go. What is written live to a file may be written for hours.
fn sink(target: Target, live: bool) -> Box<dyn Write> {
    let file = match target {
        Target::Stderr => return Box::new(io::stderr().lock()),
        Target::File(file) => Some(file),
        Target::Stdout => redirected(),
    };
    match file {
        None => Box::new(io::stdout().lock()),
        Some(file) if live => Box::new(Forgetful::new(file)),
        Some(file) => Box::new(file),
    }
}

/// The file that standard output was redirected to.
fn redirected() -> Option<std::fs::File> {
    let file = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

fn write_all(mut to: Box<dyn Write>, from: &Receiver<Piece>, emptied: &SyncSender<Vec<u8>>) -> io::Result<()> {
    let mut status_shown = false;
    for piece in from {
        match piece {
            Piece::Output(mut bytes) => {
                if std::mem::take(&mut status_shown) {
                    eprint!("\r\x1b[K");
                }
                to.write_all(&bytes)?;
                to.flush()?;
                if bytes.capacity() <= LARGEST_SPARE {
                    bytes.clear();
                    // There may be enough of them.
                    let _ = emptied.try_send(bytes);
                }
            }
            Piece::Status(line) => {
                eprint!("\r\x1b[K{line}");
                status_shown = true;
            }
        }
    }
    if status_shown {
        eprint!("\r\x1b[K");
    }
    Ok(())
}
