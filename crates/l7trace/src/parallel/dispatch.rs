//! Hands the table's deliveries out to workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use anyhow::bail;
use l7trace_capture::Batch;
use l7trace_event::{Process, Side, Tuple};
use l7trace_exchange::{Options, Record, Statistics, Summary};
use l7trace_output::{Format, Output, OutputOptions};
use l7trace_stream::{Again, Closed, Delivery, Facts, Holding, Sink};

use super::collector::{self, Came};
use super::job::{Item, Job};
use super::worker::{self, Tally, Worker};
use crate::road::Road;
use crate::writer::Writer;

/// How many jobs may wait for one worker.
const QUEUE: usize = 4;

/// How many emptied jobs are kept for each worker.
const SPARE: usize = QUEUE + 2;

/// The near end of the workers.
pub(crate) struct Dispatch {
    shares: Vec<Share>,
    /// The batch that is being decoded.
    batch: Option<Arc<Batch>>,
    round: u64,
    order: u32,
    /// Whether the workers were asked what they hold and have yet to be heard.
    asked: bool,
    holdings: Receiver<Vec<Holding>>,
    collector: SyncSender<Came>,
    collecting: JoinHandle<Writer>,
    spare: Receiver<Job>,
    /// Whether nobody reads the output any more.
    unread: Arc<AtomicBool>,
    /// Writes the summary.
    output: Box<dyn Output>,
}

/// What concerns one worker.
struct Share {
    to: SyncSender<Job>,
    thread: JoinHandle<Tally>,
    job: Job,
    free: Vec<u32>,
    slots: u32,
}

/// What is kept of a connection here: whose it is, and what was told of it.
pub(crate) struct Told {
    share: usize,
    slot: u32,
    known: Known,
}

/// What workers have to know of a connection at each delivery, beside what a delivery says itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    initiator: Option<Side>,
    from_start: [bool; 2],
    witnessed: [bool; 4],
    /// Where owners and names are in memory: they change as wholes.
    owners: [usize; 2],
    names: [usize; 2],
}

impl Known {
    fn of(facts: &Facts) -> Known {
        let owner = |side: usize| facts.owners[side].as_ref().map_or(0, |owner| Arc::as_ptr(owner).addr());
        let name = |side: usize| facts.names[side].as_ref().map_or(0, |name| name.as_ptr().addr());
        Known {
            initiator: facts.initiator,
            from_start: facts.from_start,
            witnessed: facts.witnessed,
            owners: [owner(0), owner(1)],
            names: [name(0), name(1)],
        }
    }
}

/// What workers and the collector are made of.
pub(crate) struct Plan<'a> {
    pub(crate) workers: usize,
    pub(crate) options: Options,
    pub(crate) format: &'static Format,
    pub(crate) output: OutputOptions,
    /// Only these protocols; all where empty.
    pub(crate) protocols: &'a [String],
    pub(crate) writer: Writer,
    /// Takes emptied batches back.
    pub(crate) give_back: SyncSender<Batch>,
}

impl Dispatch {
    /// Starts the threads.
    pub(crate) fn start(plan: Plan<'_>) -> Dispatch {
        let unread = plan.writer.closed();
        let (collector, came) = sync_channel(plan.workers * QUEUE);
        let (give_back_jobs, spare) = sync_channel(plan.workers * SPARE);
        let (report, holdings): (Sender<Vec<Holding>>, _) = channel();
        let (writer, give_back) = (plan.writer, plan.give_back);
        let collecting = std::thread::spawn(move || collector::run(&came, writer, &give_back, &give_back_jobs));
        let shares = (0..plan.workers).map(|_| {
            let (to, jobs) = sync_channel(QUEUE);
            let worker = Worker::new(plan.options.clone(), plan.format.output(&plan.output), plan.protocols.to_vec());
            let (done, report) = (collector.clone(), report.clone());
            let thread = std::thread::spawn(move || worker::run(worker, &jobs, &done, &report));
            Share { to, thread, job: Job::default(), free: Vec::new(), slots: 0 }
        });
        Dispatch {
            shares: shares.collect(),
            batch: None,
            round: 0,
            order: 0,
            asked: false,
            holdings,
            collector,
            collecting,
            spare,
            unread,
            output: plan.format.output(&plan.output),
        }
    }

    /// From now on deliveries are of this batch.
    pub(crate) fn begin(&mut self, batch: &Arc<Batch>) {
        self.batch = Some(Arc::clone(batch));
    }

    /// The batch is done with.
    pub(crate) fn end(&mut self, batch: Arc<Batch>) {
        self.send_round(Some(batch));
    }

    /// Sends what each worker is to do. A worker that is gone shows at the end.
    fn send_round(&mut self, done_with: Option<Arc<Batch>>) {
        let mut parts = 0;
        for share in &mut self.shares {
            if share.job.items.is_empty() {
                continue;
            }
            parts += 1;
            let next = self.spare.try_recv().unwrap_or_default();
            let mut job = std::mem::replace(&mut share.job, next);
            job.round = self.round;
            job.batch = self.batch.clone();
            let _ = share.to.send(job);
        }
        if done_with.is_some() {
            // Before the collector has the other one: the last one must be its own.
            self.batch = None;
        }
        let _ = self.collector.send(Came::Round { round: self.round, parts, batch: done_with });
        self.round += 1;
        self.order = 0;
    }

    fn share_of(&mut self, told: &Told) -> Option<&mut Share> {
        self.shares.get_mut(told.share)
    }
}

impl Sink for Dispatch {
    type State = Told;

    fn opened(&mut self, facts: &Facts) -> Told {
        let index = (facts.number % self.shares.len() as u64) as usize;
        let share = &mut self.shares[index];
        let slot = share.free.pop().unwrap_or_else(|| {
            share.slots += 1;
            share.slots - 1
        });
        share.job.items.push(Item::Open { slot, facts: Box::new(facts.clone()) });
        Told { share: index, slot, known: Known::of(facts) }
    }

    #[inline]
    fn deliver(&mut self, facts: &Facts, told: &mut Told, delivery: Delivery<'_>) {
        self.order += 1;
        let Some(share) = self.shares.get_mut(told.share) else { return };
        let known = Known::of(facts);
        if told.known != known {
            told.known = known;
            share.job.items.push(Item::Facts { slot: told.slot, facts: Box::new(facts.clone()) });
        }
        share.job.deliver(told.slot, self.order, facts.last_seen, &delivery, self.batch.as_deref());
    }

    fn witnessed(&mut self, _: &Facts, told: &mut Told, again: Again) {
        let slot = told.slot;
        if let Some(share) = self.share_of(told) {
            share.job.items.push(Item::Again { slot, again });
        }
    }

    fn closed(&mut self, facts: &Facts, told: Told, why: Closed) {
        self.order += 1;
        let (slot, order) = (told.slot, self.order);
        if let Some(share) = self.share_of(&told) {
            share.job.items.push(Item::Close { slot, order, facts: Box::new(facts.clone()), why });
            share.free.push(slot);
        }
    }

    fn held(&self, _: &Told) -> usize {
        // The workers say so: `holdings`.
        0
    }

    fn holdings(&mut self) -> Option<Vec<Holding>> {
        let mut all = Vec::new();
        if std::mem::replace(&mut self.asked, true) {
            // They were sent the question with the round that ended with it.
            for _ in 0..self.shares.len() {
                let Ok(mut holdings) = self.holdings.recv() else { break };
                all.append(&mut holdings);
            }
        }
        for share in &mut self.shares {
            share.job.items.push(Item::Ask);
        }
        self.send_round(None);
        Some(all)
    }
}

impl Road for Dispatch {
    fn owner(&mut self, _: &Tuple, _: &Arc<Process>) {}

    fn flush(&mut self) {}

    fn is_done(&mut self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    fn finish(mut self, summary: &mut Summary) -> anyhow::Result<()> {
        self.send_round(None);
        let mut statistics = Statistics::default();
        for Share { to, thread, .. } in self.shares {
            drop(to);
            let Ok(tally) = thread.join() else { bail!("a working thread broke off") };
            statistics.merge(&tally.statistics);
            summary.unrecognised_connections += tally.unrecognised.0;
            summary.unrecognised_bytes += tally.unrecognised.1;
        }
        drop(self.collector);
        let Ok(mut writer) = self.collecting.join() else { bail!("the collecting thread broke off") };
        statistics.fill(summary);
        summary.unwritten = writer.unwritten();
        self.output.write(&Record::Summary(summary), writer.buffer());
        writer.finish()
    }
}
