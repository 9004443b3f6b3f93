//! `read` with several threads: one decodes and puts every connection's bytes in order, workers
//! parse connections, each its share of them, and one puts the workers' records into one order.
//!
//! What comes out does not depend on how many there are. Everything that concerns more than one
//! connection (numbers, order of bytes, limits, timeouts, the ledger) is decided by the first thread
//! alone, from the events alone, as it is without workers; what is left concerns one connection and
//! so one worker. Records go out in the order in which the deliveries were made that completed them.

mod collector;
mod dispatch;
mod job;
mod worker;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use l7trace_capture::{Batch, Error, Filled, Tap};

pub(crate) use dispatch::{Dispatch, Plan};

/// How many batches are under way: being filled, decoded, or parsed.
const BATCHES: usize = 6;

/// How long the tap waits for something to come.
const WAIT: Duration = Duration::from_millis(100);

/// A tap in a thread of its own.
pub(crate) struct TapThread {
    pub(crate) filled: Receiver<Batch>,
    thread: JoinHandle<Result<(), Error>>,
}

impl TapThread {
    /// Starts it. The sender takes emptied batches back: none is filled without one of them.
    pub(crate) fn start(mut tap: Box<dyn Tap>) -> (TapThread, SyncSender<Batch>) {
        let (to, filled) = sync_channel(BATCHES);
        let (give_back, spare) = sync_channel::<Batch>(BATCHES);
        for _ in 0..BATCHES {
            // There is room for all of them.
            let _ = give_back.try_send(Batch::default());
        }
        let thread = std::thread::spawn(move || {
            for mut batch in spare {
                batch.clear();
                let filled = tap.fill(&mut batch, WAIT);
                // Empty ones too: whoever takes them looks then whether to go on.
                if to.send(batch).is_err() || filled? == Filled::End {
                    break;
                }
            }
            Ok(())
        });
        (TapThread { filled, thread }, give_back)
    }

    /// What became of it; to be asked when nothing more comes.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        drop(self.filled);
        match self.thread.join() {
            Ok(result) => Ok(result?),
            Err(_) => anyhow::bail!("the reading thread broke off"),
        }
    }
}
