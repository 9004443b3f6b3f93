//! `l7trace trace`: the live host.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use l7trace_capture::{Batch, Decoder, Filled, Source, Tap, live};
use l7trace_event::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::{LiveArgs, TraceArgs};
use crate::pipeline::Pipeline;
use crate::wiring::{Mode, live_options, pipeline, shows_terminal};

/// How many batches may wait for the parsers: beyond that the kernel's ring is the buffer.
const QUEUE: usize = 64;

/// How many emptied batches are kept for reuse.
const SPARE: usize = 4;

/// How long a tap waits for something to come while there is traffic: others may have to wait for it.
const BUSY_WAIT: Duration = Duration::from_millis(5);
const BUSY: Duration = Duration::from_millis(100);

/// How long a tap waits for something to come.
const TAP_WAIT: Duration = Duration::from_millis(20);

/// How long to wait for a batch while records wait for something else.
const HELD_WAIT: Duration = Duration::from_millis(5);

/// How often the status line is renewed.
const STATUS: Duration = Duration::from_millis(500);

/// Traces until interrupted, or as long as was asked.
pub(crate) fn trace(arguments: &TraceArgs) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    let sources = live::open(&live_options(&arguments.live)?)?;
    let pipeline = pipeline(&arguments.output, &arguments.limits, Some(&arguments.live), Mode::Live)?;
    let status = shows_terminal(&arguments.output) && std::io::stderr().is_terminal();
    let live = Live::start(sources, pipeline, &arguments.live);
    live.run(&stop, arguments.live.duration, status)
}

/// How long after the first signal another of them belongs to it: `timeout` and terminals tell a
/// process and its group, and it hears both.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// A flag that SIGINT and SIGTERM set; another of them later ends at once.
pub(crate) fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).context("cannot handle signals")?;
    let told = Arc::clone(&stop);
    std::thread::spawn(move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever() {
            told.store(true, Ordering::Relaxed);
            if first.get_or_insert_with(Instant::now).elapsed() > SAME_SIGNAL {
                std::process::exit(130);
            }
        }
    });
    Ok(stop)
}

/// What a tap took out of the kernel.
struct Taken {
    source: usize,
    batch: Batch,
    /// Before this time there was nothing more to take.
    emptied: Option<Timestamp>,
}

/// A running trace.
pub(crate) struct Live {
    decoders: Vec<Box<dyn Decoder>>,
    pipeline: Pipeline,
    batches: Receiver<Taken>,
    /// Emptied batches, for reuse.
    spare: Arc<Mutex<Vec<Batch>>>,
    /// Tells the taps to take what is left and end.
    drain: Arc<AtomicBool>,
    taps: Vec<JoinHandle<Result<(), l7trace_capture::Error>>>,
}

impl Live {
    /// Starts a thread for each tap, and says that everything is attached.
    pub(crate) fn start(sources: Vec<Source>, mut pipeline: Pipeline, arguments: &LiveArgs) -> Live {
        pipeline.sources(sources.len());
        // A source that names processes with their bytes leaves nothing to wait for.
        if sources.iter().all(|source| source.decoder.owners_come_late()) {
            pipeline.emitter().names_come_late();
        }
        let (to, batches) = sync_channel(QUEUE);
        let spare = Arc::new(Mutex::new(Vec::new()));
        let drain = Arc::new(AtomicBool::new(false));
        let descriptions: Vec<&str> = sources.iter().map(|source| source.description.as_str()).collect();
        eprintln!("l7trace: tracing {}{}", descriptions.join(", "), filters(arguments));
        let (mut decoders, mut taps) = (Vec::new(), Vec::new());
        for (index, source) in sources.into_iter().enumerate() {
            decoders.push(source.decoder);
            let (to, spare, drain) = (to.clone(), Arc::clone(&spare), Arc::clone(&drain));
            taps.push(std::thread::spawn(move || run_tap(source.tap, index, &to, &spare, &drain)));
        }
        Live { decoders, pipeline, batches, spare, drain, taps }
    }

    /// Runs until told to stop; then takes what is in flight, and prints the summary.
    pub(crate) fn run(mut self, stop: &AtomicBool, duration: Option<Duration>, status: bool) -> anyhow::Result<()> {
        let end = duration.map(|duration| Instant::now() + duration);
        let started = Instant::now();
        let mut next_status = started + STATUS;
        let over = |now: Instant| stop.load(Ordering::Relaxed) || end.is_some_and(|end| now >= end);
        while !over(Instant::now()) && !self.pipeline.is_done() {
            let wait = if self.pipeline.emitter().holds() { HELD_WAIT } else { TAP_WAIT };
            match self.batches.recv_timeout(wait) {
                Ok(taken) => self.take(taken),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.pipeline.advance(now());
            self.tell_unneeded();
            self.pipeline.flush();
            if status && Instant::now() >= next_status {
                next_status = Instant::now() + STATUS;
                let line = self.status(started);
                self.pipeline.emitter().writer().status(line);
            }
        }
        self.finish()
    }

    /// What stands at the foot of a terminal while nothing happens.
    fn status(&mut self, started: Instant) -> String {
        let (connections, bytes) = self.pipeline.progress();
        match self.pipeline.emitter().reported() {
            (0, _) => l7trace_output::status_line(connections, bytes, started.elapsed().as_secs()),
            (exchanges, last) => {
                let quiet = last.map_or(0, |last| last.elapsed().as_secs());
                l7trace_output::quiet_line(exchanges, connections, bytes, quiet)
            }
        }
    }

    fn take(&mut self, taken: Taken) {
        let Taken { source, mut batch, emptied } = taken;
        self.pipeline.batch(source, self.decoders[source].as_mut(), &batch);
        if let Some(emptied) = emptied {
            self.pipeline.has_told(source, emptied);
        }
        self.tell_unneeded();
        batch.clear();
        // A burst leaves many; a few are enough for what follows.
        if let Ok(mut spare) = self.spare.lock()
            && spare.len() < SPARE
        {
            spare.push(batch);
        }
    }

    /// Tells the sources at once what they need not copy: the rest of a body may be on its way.
    fn tell_unneeded(&mut self) {
        for unneeded in self.pipeline.take_unneeded() {
            self.decoders.iter_mut().for_each(|decoder| decoder.spare(&unneeded));
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.drain.store(true, Ordering::Relaxed);
        while let Ok(taken) = self.batches.recv() {
            self.take(taken);
        }
        let mut broken = None;
        for tap in self.taps {
            match tap.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => broken = Some(anyhow::Error::from(error)),
                Err(_) => broken = Some(anyhow::anyhow!("a reading thread broke off")),
            }
        }
        self.pipeline.finish(&self.decoders)?;
        broken.map_or(Ok(()), Err)
    }
}

fn run_tap(
    mut tap: Box<dyn Tap>,
    index: usize,
    to: &SyncSender<Taken>,
    spare: &Mutex<Vec<Batch>>,
    drain: &AtomicBool,
) -> Result<(), l7trace_capture::Error> {
    let mut busy = Instant::now();
    loop {
        // Asked before reading: what came before the order to drain is taken by the read after it.
        let last = drain.load(Ordering::Relaxed);
        let mut batch = spare.lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default();
        let wait = match last {
            true => Duration::ZERO,
            false if busy.elapsed() < BUSY => BUSY_WAIT,
            false => TAP_WAIT,
        };
        let before = now();
        let filled = tap.fill(&mut batch, wait)?;
        if filled == Filled::Some {
            busy = Instant::now();
        }
        let emptied = (filled == Filled::Nothing).then_some(before);
        if to.send(Taken { source: index, batch, emptied }).is_err() {
            return Ok(());
        }
        if filled == Filled::End || (last && filled == Filled::Nothing) {
            return Ok(());
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The filters in words: `, port 80 or 8080, pid 17`.
fn filters(arguments: &LiveArgs) -> String {
    fn list<T: ToString>(name: &str, values: &[T]) -> Option<String> {
        let values: Vec<String> = values.iter().map(T::to_string).collect();
        (!values.is_empty()).then(|| format!(", {name} {}", values.join(" or ")))
    }
    let cgroups: Vec<String> = arguments.cgroups.iter().map(|path| path.display().to_string()).collect();
    let netns: Vec<&String> = arguments.netns.iter().collect();
    [
        list("netns", &netns),
        list("pid", &arguments.pids),
        list("command", &arguments.commands),
        list("cgroup", &cgroups),
        list("port", &arguments.ports),
    ]
    .into_iter()
    .flatten()
    .collect()
}
