//! The recorder: events become a pcapng file that Wireshark opens and that [`file`](crate::file)
//! reads back into the same events. `docs/recording.md` describes what l7trace adds to the format.

mod block;
mod synthesise;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use l7trace_event::{Event, Flags, Segment, SourceKind, Timestamp, What, Witness};

use crate::note::{self, INTERFACE_LIMIT, InterfaceNote, PacketNote};
use crate::{Error, Forgetful};
use block::{LONGEST_PACKET, Statistics};

/// For so long, and at most twice as long, what was recorded stays in memory: an owner is found a
/// moment after its packets, and is to stand before them.
const DELAY: Duration = Duration::from_millis(40);
/// How much of it.
const BUFFER: usize = 16 << 20;

/// Writes events as a capture file.
///
/// What was recorded is in the file at most 100 ms after the next [`Recorder::tick`], so that a
/// killed l7trace leaves a file that reads up to its last moment.
pub struct Recorder {
    to: Box<dyn Write + Send>,
    /// What came since the last turn.
    buffer: Vec<u8>,
    /// What came in the turn before: the next to be written.
    waiting: Vec<u8>,
    /// Owners that were told since the last turn: they are written before what waits.
    owners: Vec<u8>,
    /// The times of the first event, of the latest one, of the last one that waits and of the last
    /// one written.
    first: Option<Timestamp>,
    latest: Timestamp,
    waiting_until: Timestamp,
    written_until: Option<Timestamp>,
    turned: Instant,
    interfaces: HashMap<InterfaceNote, u32>,
    statistics: Vec<(SourceKind, Statistics)>,
    names: HashMap<u32, String>,
    ring_full: HashMap<SourceKind, u64>,
    since_tick: u32,
    comment: String,
}

impl Recorder {
    /// Creates the file, or overwrites it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn create(path: &Path) -> Result<Recorder, Error> {
        let failed = |error| Error::Failed(format!("cannot write the recording {}: {error}", path.display()));
        let file = File::create(path).map_err(failed)?;
        Recorder::new(Box::new(Forgetful::new(file))).map_err(failed)
    }

    /// Records to any writer, which need not buffer.
    ///
    /// # Errors
    /// Where the beginning cannot be written.
    pub fn new(to: Box<dyn Write + Send>) -> io::Result<Recorder> {
        let mut recorder = Recorder {
            to,
            buffer: Vec::new(),
            waiting: Vec::new(),
            owners: Vec::new(),
            first: None,
            latest: Timestamp::default(),
            waiting_until: Timestamp::default(),
            written_until: None,
            turned: Instant::now(),
            interfaces: HashMap::new(),
            statistics: Vec::new(),
            names: HashMap::new(),
            ring_full: HashMap::new(),
            since_tick: 0,
            comment: String::new(),
        };
        block::section(&mut recorder.buffer, concat!("l7trace ", env!("CARGO_PKG_VERSION")));
        recorder.to.write_all(&std::mem::take(&mut recorder.buffer))?;
        Ok(recorder)
    }

    /// Names the network interface of this index, to be called before its first packet comes.
    pub fn name_interface(&mut self, index: u32, name: &str) {
        self.names.insert(index, name.to_owned());
    }

    /// Records one event.
    ///
    /// # Errors
    /// Where the file cannot be written: what is in it stays readable.
    pub fn record(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.first.get_or_insert(event.at);
        match (&event.what, event.packet) {
            (What::Segment(_), Some(packet)) if packet.bytes.len() <= LONGEST_PACKET => {
                let id = self.interface(event, false);
                let length = packet.length.max(packet.bytes.len() as u32);
                self.count(id, event.at.0);
                block::packet(&mut self.buffer, id, event.at.0, [packet.bytes, &[]], length, "");
            }
            (What::Segment(segment), _) => self.synthesise(event, segment),
            (What::Owner(_), _) => self.owner(event),
            (what, _) => {
                if let What::RingFull { records, .. } = what {
                    *self.ring_full.entry(event.witness.source).or_insert(0) += records;
                }
                if let Some(text) = note::fact_text(event) {
                    block::custom(&mut self.buffer, &text);
                }
            }
        }
        self.latest = event.at;
        self.since_tick += 1;
        if self.buffer.len() >= BUFFER {
            self.turn()?;
        } else if self.since_tick >= 64 {
            self.tick()?;
        }
        Ok(())
    }

    /// Writes what has waited for long enough; to be called now and then when nothing happens.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn tick(&mut self) -> io::Result<()> {
        self.since_tick = 0;
        match self.turned.elapsed() >= DELAY {
            true => self.turn(),
            false => Ok(()),
        }
    }

    /// Ends the recording with the interfaces' statistics.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        let statistics = std::mem::take(&mut self.statistics);
        for (id, (source, mut statistics)) in statistics.into_iter().enumerate() {
            // The ring is one for all interfaces of a source: the first one bears its drops.
            statistics.dropped = self.ring_full.remove(&source).unwrap_or(0);
            block::statistics(&mut self.buffer, id as u32, statistics);
        }
        self.write_all()?;
        self.to.flush()
    }

    /// Puts an owner before what waits, at the time of what stands before that: time is not to leap
    /// to a moment from which the packets after it come back.
    fn owner(&mut self, event: &Event<'_>) {
        let before = self.written_until.or(self.first).unwrap_or(event.at);
        if let Some(text) = note::fact_text(&Event { at: event.at.min(before), ..event.clone() }) {
            block::custom(&mut self.owners, &text);
        }
    }

    fn synthesise(&mut self, event: &Event<'_>, segment: &Segment<'_>) {
        let unix = event.tuple.source.is_unix() || event.tuple.destination.is_unix();
        let id = self.interface(event, unix);
        let mut told = segment.flags;
        // A SYN with an acknowledgement says by itself that it answers.
        if told.has(Flags::OPEN) && segment.acknowledged.is_some() {
            told.0 &= !Flags::ANSWER.0;
        }
        let cause = segment.cause.filter(|_| segment.missing > 0);
        let mut comment = std::mem::take(&mut self.comment);
        synthesise::packets(event.tuple, segment, |made| {
            let is_cut = (made.headers.len() + made.bytes.len()) < made.length as usize;
            PacketNote { flags: told, cause: cause.filter(|_| is_cut) }.write(&mut comment);
            self.count(id, event.at.0);
            block::packet(&mut self.buffer, id, event.at.0, [&made.headers, made.bytes], made.length, &comment);
        });
        self.comment = comment;
    }

    fn count(&mut self, id: u32, at: u64) {
        if let Some((_, statistics)) = self.statistics.get_mut(id as usize) {
            if statistics.received == 0 {
                statistics.first = at;
            }
            statistics.received += 1;
            statistics.last = statistics.last.max(at);
        }
    }

    /// The number of the event's interface in the file, described there before its first packet.
    fn interface(&mut self, event: &Event<'_>, unix: bool) -> u32 {
        let note = InterfaceNote { witness: event.witness, namespace: event.tuple.namespace, unix };
        if let Some(id) = self.interfaces.get(&note) {
            return *id;
        }
        let id = u32::try_from(self.statistics.len()).unwrap_or(u32::MAX);
        if id >= INTERFACE_LIMIT {
            // So many namespaces are hardly met; the last interface then stands for the others.
            return INTERFACE_LIMIT - 1;
        }
        let name = self.interface_name(note);
        block::interface(&mut self.buffer, &name, &note.text());
        self.interfaces.insert(note, id);
        self.statistics.push((event.witness.source, Statistics::default()));
        id
    }

    fn interface_name(&self, note: InterfaceNote) -> String {
        let Witness { source, place } = note.witness;
        match (source, self.names.get(&place)) {
            (_, _) if note.unix => "unix sockets".to_owned(),
            (SourceKind::Packets | SourceKind::File, Some(name)) => name.clone(),
            (SourceKind::Packets | SourceKind::File, None) => format!("interface {place}"),
            (_, _) => format!("{} {}", source.name(), if place == 0 { "sent" } else { "received" }),
        }
    }

    /// Writes what waited; what came since then waits.
    fn turn(&mut self) -> io::Result<()> {
        self.turned = Instant::now();
        let result = self.to.write_all(&self.owners).and_then(|()| self.to.write_all(&self.waiting));
        if !self.waiting.is_empty() {
            self.written_until = Some(self.waiting_until);
        }
        self.owners.clear();
        self.waiting.clear();
        std::mem::swap(&mut self.buffer, &mut self.waiting);
        self.waiting_until = self.latest;
        result
    }

    fn write_all(&mut self) -> io::Result<()> {
        self.turn()?;
        self.turn()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Nobody is left to tell of a failure.
        let _ = self.write_all();
    }
}
