//! Sources: each turns its world into [`Event`]s.
//!
//! A source is two halves, so that a burst is taken out of the kernel at memory speed whatever the
//! rest is doing: a [`Tap`] moves raw records into a [`Batch`], a [`Decoder`] makes events of them.

pub mod decode;
pub mod file;
mod forgetful;
#[doc(hidden)]
pub mod fuzzing;
pub mod kernel;
pub mod live;
mod note;
pub mod owner;
pub mod packets;
pub mod record;
pub mod syscalls;

use std::os::fd::BorrowedFd;
use std::time::Duration;

pub use forgetful::Forgetful;

use l7trace_event::{Blind, Event, Unneeded};

/// A source, opened.
pub struct Source {
    /// Takes raw records from the kernel or a file.
    pub tap: Box<dyn Tap>,
    /// Makes events of them.
    pub decoder: Box<dyn Decoder>,
    /// What it is and what it is bound to, for the ready line: `packets on any`.
    pub description: String,
}

/// Raw records, in the source's own framing.
#[derive(Debug, Default)]
pub struct Batch {
    /// The records, one after another.
    pub bytes: Vec<u8>,
    /// Where the records stand in `bytes`: source `file` alone.
    pub frames: Vec<file::Frame>,
    /// What the tap has to say to standard error; decoders give it on ([`Decoder::warnings`]).
    pub warnings: Vec<String>,
}

impl Batch {
    /// Whether it holds nothing for a decoder.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.warnings.is_empty()
    }

    /// Makes it empty, to be filled again without allocating.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.warnings.clear();
    }
}

/// Takes raw records as fast as they come.
pub trait Tap: Send {
    /// Appends what there is to `batch`, waiting up to `timeout` where there is nothing, and
    /// stopping at a few megabytes.
    ///
    /// # Errors
    /// Where the source broke: everything before that has been handed on.
    fn fill(&mut self, batch: &mut Batch, timeout: Duration) -> Result<Filled, Error>;

    /// How full its ring is, where it has one.
    fn level(&self) -> Option<kernel::Level> {
        None
    }

    /// Where several taps are waited for with one of them: what becomes readable when something comes to
    /// this one while it dozes.
    fn alarm(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Ends waits of [`Tap::fill`] also when another tap's alarm goes.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    fn wake_for(&mut self, _alarm: BorrowedFd<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the alarm goes when something comes, from now until the next [`Tap::fill`]; not where there
    /// is something already, or just was.
    fn doze(&mut self) -> bool {
        false
    }
}

/// What [`Tap::fill`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// There is something in the batch, and perhaps more to come at once.
    Some,
    /// Nothing came.
    Nothing,
    /// Nothing will come any more.
    End,
}

/// Makes events of raw records.
pub trait Decoder: Send {
    /// Gives every event of the batch to `each`, in order. Events borrow from the batch.
    fn decode(&mut self, batch: &Batch, each: &mut dyn FnMut(&Event<'_>));

    /// What it met and did not understand, by what it was, with counts, since the start.
    fn not_understood(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// Whether the processes at the ends of connections are told of a moment after their first bytes.
    fn owners_come_late(&self) -> bool {
        false
    }

    /// These bytes need not be copied any more; what comes of them nevertheless is taken as well.
    fn spare(&mut self, unneeded: &Unneeded) {
        let _ = unneeded;
    }

    /// What the source cannot see, found since the last call.
    fn blind(&mut self) -> Vec<Blind> {
        Vec::new()
    }

    /// Warnings for standard error since the last call (a capture that breaks off, and where).
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A source could not be opened, or broke.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something failed; the text says what was tried, what happened and what to do.
    #[error("{0}")]
    Failed(String),
}
