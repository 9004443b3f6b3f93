//! Puts the records of several workers into one order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use l7trace_capture::Batch;

use super::job::Job;
use crate::writer::Writer;

/// What comes to the collector.
pub(super) enum Came {
    /// A round has so many jobs.
    Round {
        round: u64,
        parts: usize,
        /// A batch that nothing will be sent of any more.
        batch: Option<Arc<Batch>>,
    },
    /// A worker has done its job.
    Done(Job),
}

/// A round of which something came.
#[derive(Default)]
struct Round {
    /// How many jobs it has, once that is known.
    parts: Option<usize>,
    jobs: Vec<Job>,
}

/// Collects until nothing comes any more.
pub(super) fn run(
    came: &Receiver<Came>,
    mut writer: Writer,
    batches: &SyncSender<Batch>,
    spare: &SyncSender<Job>,
) -> Writer {
    let mut rounds: BTreeMap<u64, Round> = BTreeMap::new();
    let mut next = 0;
    for what in came {
        match what {
            Came::Round { round, parts, batch } => {
                rounds.entry(round).or_default().parts = Some(parts);
                give_back(batch, batches);
            }
            Came::Done(job) => rounds.entry(job.round).or_default().jobs.push(job),
        }
        while let Some(entry) = rounds.first_entry()
            && *entry.key() == next
            && entry.get().parts == Some(entry.get().jobs.len())
        {
            let mut jobs = entry.remove().jobs;
            next += 1;
            merge(&jobs, writer.buffer());
            writer.flush();
            for mut job in jobs.drain(..) {
                give_back(job.batch.take(), batches);
                job.clear();
                // There may be enough of them.
                let _ = spare.try_send(job);
            }
        }
    }
    writer
}

/// Gives a batch back to be filled anew, once nobody has it any more.
fn give_back(batch: Option<Arc<Batch>>, batches: &SyncSender<Batch>) {
    if let Some(batch) = batch.and_then(Arc::into_inner) {
        // It may be that nobody fills them any more.
        let _ = batches.try_send(batch);
    }
}

/// Appends the records of all jobs of a round, in order.
fn merge(jobs: &[Job], to: &mut Vec<u8>) {
    to.reserve(jobs.iter().map(|job| job.output.len()).sum());
    let mut places = vec![(0, 0); jobs.len()];
    loop {
        let heads = jobs.iter().zip(&places).enumerate();
        let heads = heads.filter_map(|(index, (job, (mark, _)))| Some((job.marks.get(*mark)?.0, index)));
        let Some((_, first)) = heads.min() else { return };
        let (mark, start) = &mut places[first];
        let end = jobs[first].marks[*mark].1;
        to.extend_from_slice(&jobs[first].output[*start..end]);
        (*mark, *start) = (*mark + 1, end);
    }
}
