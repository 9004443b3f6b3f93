//! The road from events to output.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use l7trace_capture::{Batch, Decoder};
use l7trace_event::{Blind, Event, Timestamp, Unneeded, What};
use l7trace_exchange::{Summary, Tracker};
use l7trace_stream::Table;

use crate::emitter::Emitter;
use crate::merge::Merge;
use crate::parallel::Dispatch;
use crate::recording::Recording;
use crate::road::Road;
use crate::shedding::Shedding;

/// Takes events; what comes of them goes down the road.
pub(crate) struct Pipeline<R: Road = Tracker<Emitter>> {
    table: Table<R>,
    road: R,
    recording: Option<Recording>,
    /// Where there are several sources.
    merge: Option<Merge>,
    /// By live source: up to when it has told of everything.
    told: Vec<Timestamp>,
    /// The first and the last time that was believed.
    span: Option<(Timestamp, Timestamp)>,
    ring_full: (u64, u64),
    blind: Vec<Blind>,
    shedding: Shedding,
}

/// For so long a source that tells of nothing is waited for.
const STALLED: Duration = Duration::from_millis(500);

impl<R: Road> Pipeline<R> {
    pub(crate) fn new(table: Table<R>, road: R, recording: Option<Recording>) -> Pipeline<R> {
        Pipeline {
            table,
            road,
            recording,
            merge: None,
            told: Vec::new(),
            span: None,
            ring_full: (0, 0),
            blind: Vec::new(),
            shedding: Shedding::default(),
        }
    }

    /// Takes all events of a batch.
    pub(crate) fn batch(&mut self, source: usize, decoder: &mut dyn Decoder, batch: &Batch) {
        let mut told = self.told.get(source).copied().unwrap_or_default();
        let mut note = |event: &Event<'_>| {
            if let What::Segment(_) = event.what {
                told = told.max(event.at);
            }
        };
        match self.merge.take() {
            None => decoder.decode(batch, &mut |event| {
                note(event);
                self.event(event);
            }),
            Some(mut merge) => {
                decoder.decode(batch, &mut |event| {
                    note(event);
                    merge.push(source, event);
                });
                self.merge = Some(merge);
            }
        }
        self.has_told(source, told);
        for warning in decoder.warnings() {
            eprintln!("l7trace: {warning}");
        }
        for blind in decoder.blind() {
            self.note_blind(blind);
        }
    }

    /// A source has told of everything before this time.
    pub(crate) fn has_told(&mut self, source: usize, until: Timestamp) {
        if let Some(told) = self.told.get_mut(source) {
            *told = until.max(*told);
        }
    }

    /// So many bytes wait to be decoded.
    pub(crate) fn behind(&mut self, bytes: usize) {
        if let Some(what) = self.shedding.behind(bytes) {
            eprintln!("l7trace: {what}");
        }
    }

    /// So many live sources there are; several are merged by time.
    pub(crate) fn sources(&mut self, sources: usize) {
        self.told = vec![Timestamp::default(); sources];
        if sources > 1 {
            self.merge = Some(Merge::new(sources, self.recording.is_some()));
        }
    }

    /// Takes the merged events whose time has come; all of them where no time is given.
    fn release(&mut self, now: Option<Timestamp>) {
        if let Some(mut merge) = self.merge.take() {
            merge.release(now, &mut |event| self.event(event));
            self.merge = Some(merge);
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        if let Some(recording) = &mut self.recording {
            recording.event(event);
        }
        if let What::RingFull { records, bytes } = event.what {
            self.ring_full.0 += records;
            self.ring_full.1 += bytes;
        }
        let cut = self.shedding.cut(event);
        self.table.push(cut.as_ref().unwrap_or(event), &mut self.road);
        self.note_time();
        if let What::Owner(process) = &event.what {
            self.road.owner(&event.tuple, process);
        }
    }

    fn note_blind(&mut self, blind: Blind) {
        if !self.blind.contains(&blind) {
            eprintln!(
                "l7trace: blind: process {} ({}) {}: --source packets shows what this source cannot",
                blind.pid,
                blind.name,
                match blind.why {
                    "io_uring" => "moves its bytes by io_uring",
                    "kernel_tls" => "has the kernel encrypt its bytes (kernel TLS)",
                    "compat" => "is a 32-bit program",
                    "mptcp" => "speaks multipath TCP",
                    why => why,
                }
            );
            self.blind.push(blind);
        }
    }

    /// Time goes by, whether or not anything happens (live only).
    pub(crate) fn advance(&mut self, now: Timestamp) {
        // What is still to be told of an earlier moment may fill the holes that are waited for.
        let told = self.told.iter().copied().min().unwrap_or(now);
        let now = told.max(now - STALLED).min(now);
        self.release(Some(now));
        self.table.advance(now, &mut self.road);
        self.note_time();
    }

    fn note_time(&mut self) {
        if let Some(now) = self.table.now() {
            let (first, last) = self.span.unwrap_or((now, now));
            self.span = Some((first.min(now), last.max(now)));
        }
    }

    /// Hands what was put together to the writer.
    pub(crate) fn flush(&mut self) {
        self.road.flush();
        if let Some(recording) = &mut self.recording {
            recording.flush();
        }
    }

    /// Whether everything that was asked for is reported, or nobody reads any more.
    pub(crate) fn is_done(&mut self) -> bool {
        self.road.is_done()
    }

    /// Connections open now, and bytes seen so far.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.table.connections() as u64, self.table.ledger().seen)
    }

    /// Ends every connection, writes the summary and waits until all is written.
    pub(crate) fn finish(mut self, decoders: &[Box<dyn Decoder>]) -> anyhow::Result<Summary> {
        self.release(None);
        self.table.finish(&mut self.road);
        let mut summary = Summary {
            duration: self.span.map_or(0, |(first, last)| last.since(first)),
            connections: self.table.opened(),
            ledger: self.table.ledger(),
            evictions: self.table.evictions().by_limit().into_iter().filter(|(_, count)| *count > 0).collect(),
            ring_full_records: self.ring_full.0,
            ring_full_bytes: self.ring_full.1,
            blind: std::mem::take(&mut self.blind),
            ..Summary::default()
        };
        let mut not_understood: BTreeMap<String, u64> = BTreeMap::new();
        for (what, count) in decoders.iter().flat_map(|decoder| decoder.not_understood()) {
            *not_understood.entry(what).or_default() += count;
        }
        summary.not_understood = not_understood;
        self.road.finish(&mut summary)?;
        if let Some(recording) = self.recording {
            recording.finish()?;
        }
        Ok(summary)
    }
}

impl Pipeline {
    pub(crate) fn emitter(&mut self) -> &mut Emitter {
        self.road.receiver()
    }

    /// What the sources need not copy, found since the last call.
    pub(crate) fn take_unneeded(&mut self) -> Vec<Unneeded> {
        self.road.take_unneeded()
    }
}

impl Pipeline<Dispatch> {
    /// As [`Pipeline::batch`], for workers that share the batch.
    pub(crate) fn shared_batch(&mut self, decoder: &mut dyn Decoder, batch: Batch) {
        let batch = Arc::new(batch);
        self.road.begin(&batch);
        self.batch(0, decoder, &batch);
        self.road.end(batch);
    }
}
