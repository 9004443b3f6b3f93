//! Who holds an end of a connection: found by netlink `sock_diag` (which socket) and `/proc/*/fd`
//! (whose), in a thread of its own, away from the packets. Where the kernel allows it, a program says
//! who asks for a connection and who closes one ([`Hook`]), which no search could find in time.
//!
//! What is asked is answered when it is known, or never: a socket that is closed before anybody
//! looked leaves no trace of who held it. One inference is made: a connection accepted from a
//! listening socket that exactly one process holds is that process's.

mod asked;
mod diag;
mod finder;
mod hook;
mod processes;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryIter, channel, sync_channel};
use std::thread;

use l7trace_event::{Process, Tuple, What};

use crate::Error;
use crate::kernel::Namespace;
pub use asked::Asked;
use diag::Diag;
use finder::Finder;
pub use hook::{Hook, Told};

/// A connection whose two ends are to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// As one of its packets had it.
    pub tuple: Tuple,
    /// The interface that the packet was seen on: link-local addresses mean nothing without it.
    pub interface: u32,
    /// Which of its ends are asked for.
    pub ends: Ends,
}

/// Ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Both.
    Both,
    /// The tuple's destination.
    Destination,
}

/// What the searching thread is told.
#[derive(Debug)]
enum Order {
    Find(Ask),
    /// This process listens: look at it first.
    Hint(u32),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The connection; its `source` is the end that this is about.
    pub tuple: Tuple,
    /// Who holds that end; none says that the connection existed at the start.
    pub process: Option<Arc<Process>>,
}

impl Answer {
    /// As an event tells it.
    pub fn what(&self) -> What<'static> {
        match &self.process {
            Some(process) => What::Owner(Arc::clone(process)),
            None => What::Exists,
        }
    }
}

/// The thread that finds owners. It ends when this is dropped.
#[derive(Debug)]
pub struct Owners {
    orders: SyncSender<Order>,
    answers: Receiver<Answer>,
    notice: Arc<AtomicBool>,
}

/// Questions that may wait; more are refused, and come again with the connection's next packet.
const WAITING: usize = 16_384;

impl Owners {
    /// Starts looking in this namespace. First answers are the connections that exist already.
    ///
    /// # Errors
    /// Where `sock_diag` or a thread cannot be had.
    pub fn start(namespace: &Namespace) -> Result<Owners, Error> {
        let diag = namespace.run(Diag::open)?.map_err(|error| {
            Error::Failed(format!("cannot ask the kernel for its sockets (netlink sock_diag): {error}"))
        })?;
        let (orders, ordered) = sync_channel(WAITING);
        let (answer, answers) = channel();
        let notice = Arc::new(AtomicBool::new(false));
        let finder = Finder::new(diag, namespace.inode(), ordered, answer, Arc::clone(&notice));
        thread::Builder::new()
            .name("owners".into())
            .spawn(move || finder.run())
            .map_err(|error| Error::Failed(format!("cannot start the thread that finds owners: {error}")))?;
        Ok(Owners { orders, answers, notice })
    }

    /// Asks for both ends of a connection; whether the question was taken. Does not wait.
    pub fn ask(&self, ask: Ask) -> bool {
        self.orders.try_send(Order::Find(ask)).is_ok()
    }

    /// This process is likely to hold what will be asked for. Does not wait.
    pub fn hint(&self, pid: u32) {
        // Where nobody has time for it, it is found without.
        let _ = self.orders.try_send(Order::Hint(pid));
    }

    /// What was found since the last call. Does not wait.
    pub fn answers(&self) -> TryIter<'_, Answer> {
        self.answers.try_iter()
    }

    /// Is set when there are answers: whoever takes them clears it.
    pub fn notice(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.notice)
    }
}

/// The id of a cgroup (v2), as in [`Process::cgroup`], by its path under `/sys/fs/cgroup` or in full.
///
/// # Errors
/// Where there is no such cgroup.
pub fn cgroup_id(path: &Path) -> io::Result<u64> {
    let root = Path::new("/sys/fs/cgroup");
    let under = path.strip_prefix(root).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
    fs::metadata(root.join(under)).map(|metadata| metadata.ino())
}

/// Sets the notice that there are answers.
fn give_notice(notice: &AtomicBool) {
    notice.store(true, Ordering::Relaxed);
}
