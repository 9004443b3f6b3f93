//! `l7trace trace`: the live host.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use l7trace_capture::kernel::{niceness, set_niceness};
use l7trace_capture::{Batch, Decoder, Filled, Source, live};
use l7trace_event::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::{LiveArgs, TraceArgs};
use crate::pipeline::Pipeline;
use crate::supply::Supply;
use crate::wiring::{Mode, live_options, pipeline, shows_terminal};

/// How long to wait for something to come after a silence; and with the first of several sources, where the others do
/// not wake it.
const WAIT: Duration = Duration::from_millis(100);
const WAIT_OF_SEVERAL: Duration = Duration::from_millis(20);

/// The same while there is traffic, for so long after the last of it. Lines and records may wait for this.
const BUSY_WAIT: Duration = Duration::from_millis(5);
const BUSY_WAIT_OF_SEVERAL: Duration = Duration::from_millis(2);
const BUSY: Duration = Duration::from_millis(100);

/// How long lines may wait for others to be written with, and how many bytes of them.
const WRITE_EVERY: Duration = Duration::from_millis(8);
const WRITE_BYTES: usize = 256 << 10;

/// How long to run before others after a ring was found to fill up.
const HURRY: Duration = Duration::from_secs(2);

/// How long what is in flight at the end is taken.
const LAST: Duration = Duration::from_secs(10);

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

/// How much was taken in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Taken {
    Nothing,
    Some,
    /// There may be more of it.
    Much,
}

/// A batch that is full has so many bytes, or more.
const MUCH: usize = 128 << 10;

/// A running trace.
pub(crate) struct Live {
    decoders: Vec<Box<dyn Decoder>>,
    supplies: Vec<Supply>,
    pipeline: Pipeline,
    /// Whether what comes to other sources ends the wait for the first one.
    alarmed: bool,
    /// What is being decoded; kept, so that it need not be allocated anew.
    batch: Batch,
    /// When something was last taken.
    busy: Instant,
    /// When a ring was last nearly full, for which this thread runs before others.
    hurried: Option<Instant>,
    /// This thread's niceness else.
    usual: i32,
    /// When lines were last handed to the writer.
    flushed: Instant,
}

impl Live {
    /// Begins to take what the sources have, and says that everything is attached.
    pub(crate) fn start(mut sources: Vec<Source>, mut pipeline: Pipeline, arguments: &LiveArgs) -> Live {
        pipeline.sources(sources.len());
        // A source that names processes with their bytes leaves nothing to wait for.
        if sources.iter().all(|source| source.decoder.owners_come_late()) {
            pipeline.emitter().names_come_late();
        }
        let descriptions: Vec<&str> = sources.iter().map(|source| source.description.as_str()).collect();
        eprintln!("l7trace: tracing {}{}", descriptions.join(", "), filters(arguments));
        let alarmed = sources.split_first_mut().is_some_and(|(first, others)| {
            let hears = |other: &Source| other.tap.alarm().is_some_and(|alarm| first.tap.wake_for(alarm).is_ok());
            others.iter().all(hears)
        });
        // Before there is anybody who may hurry it.
        let usual = niceness();
        let (decoders, supplies) = sources.into_iter().map(|source| (source.decoder, Supply::new(source.tap))).unzip();
        let now = Instant::now();
        Live {
            decoders,
            supplies,
            pipeline,
            alarmed,
            batch: Batch::default(),
            busy: now,
            hurried: None,
            usual,
            flushed: now,
        }
    }

    /// Runs until told to stop; then takes what is in flight, and prints the summary.
    pub(crate) fn run(mut self, stop: &AtomicBool, duration: Option<Duration>, status: bool) -> anyhow::Result<()> {
        let started = Instant::now();
        let end = duration.map(|duration| started + duration);
        let mut next_status = started + STATUS;
        let over = |now: Instant| stop.load(Ordering::Relaxed) || end.is_some_and(|end| now >= end);
        let mut broken = None;
        while broken.is_none() && !over(Instant::now()) && !self.pipeline.is_done() {
            let wait = self.wait();
            let (taken, error) = self.turn(wait);
            broken = error;
            self.pipeline.advance(now());
            self.tell_unneeded();
            self.flush(taken > Taken::Nothing);
            if status && Instant::now() >= next_status {
                next_status = Instant::now() + STATUS;
                let line = self.status(started);
                self.pipeline.emitter().writer().status(line);
            }
        }
        self.finish(broken)
    }

    /// How long to wait for something to come.
    fn wait(&mut self) -> Duration {
        let busy = self.busy.elapsed() < BUSY || self.pipeline.emitter().holds();
        match (busy, self.supplies.len() > 1) {
            (true, false) => BUSY_WAIT,
            (true, true) => BUSY_WAIT_OF_SEVERAL,
            (false, false) => WAIT,
            (false, true) if self.alarmed && self.supplies.iter_mut().skip(1).all(Supply::doze) => WAIT,
            (false, true) => WAIT_OF_SEVERAL,
        }
    }

    /// Takes what each source has, waiting for it with the first one. Says how much there was, and what
    /// broke.
    fn turn(&mut self, wait: Duration) -> (Taken, Option<l7trace_capture::Error>) {
        let (mut taken, mut broken) = (Taken::Nothing, None);
        for (source, supply) in self.supplies.iter_mut().enumerate() {
            let before = now();
            match supply.fill(&mut self.batch, if source == 0 { wait } else { Duration::ZERO }) {
                Ok(Filled::Some) => {
                    let much = self.batch.bytes.len() >= MUCH || supply.behind() > 0;
                    taken = taken.max(if much { Taken::Much } else { Taken::Some });
                    self.pipeline.batch(source, self.decoders[source].as_mut(), &self.batch);
                }
                Ok(_) => {
                    // There may be warnings, or owners that are known by now.
                    self.pipeline.batch(source, self.decoders[source].as_mut(), &self.batch);
                    // Before this time there was nothing more to take.
                    self.pipeline.has_told(source, before);
                }
                Err(error) => broken = Some(error),
            }
            self.batch.clear();
        }
        if taken > Taken::Nothing {
            self.busy = Instant::now();
            self.pipeline.behind(self.supplies.iter().map(Supply::behind).sum());
            self.calm_down();
        }
        (taken, broken)
    }

    /// Runs as any other again, some time after a ring was nearly full: what is not said in time of the
    /// rest of long bodies makes it fill up all the more.
    fn calm_down(&mut self) {
        // Each is asked.
        if self.supplies.iter().filter(|supply| supply.was_hurried()).count() > 0 {
            self.hurried = Some(self.busy);
        } else if self.hurried.is_some_and(|hurried| self.busy - hurried > HURRY) {
            self.hurried = None;
            set_niceness(None, self.usual);
        }
    }

    /// Hands lines to the writer: at once where nothing else comes, else many together.
    fn flush(&mut self, more: bool) {
        let now = Instant::now();
        if !more || now - self.flushed >= WRITE_EVERY || self.pipeline.emitter().writer().buffer().len() >= WRITE_BYTES
        {
            self.flushed = now;
            self.pipeline.flush();
        }
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

    /// Tells the sources at once what they need not copy: the rest of a body may be on its way.
    fn tell_unneeded(&mut self) {
        for unneeded in self.pipeline.take_unneeded() {
            self.decoders.iter_mut().for_each(|decoder| decoder.spare(&unneeded));
        }
    }

    fn finish(mut self, mut broken: Option<l7trace_capture::Error>) -> anyhow::Result<()> {
        let until = Instant::now() + LAST;
        // Who was in haste may have left one short batch; if the next one is short too, the ring is empty.
        let mut short = 0;
        while short < 2 && broken.is_none() && Instant::now() < until {
            let (taken, error) = self.turn(Duration::ZERO);
            broken = error;
            short = if taken == Taken::Much { 0 } else { short + 1 };
            self.tell_unneeded();
            self.pipeline.flush();
        }
        if short < 2 && broken.is_none() {
            eprintln!("l7trace: what came last was not read: it would have taken more than {} s", LAST.as_secs());
        }
        drop(self.supplies);
        self.pipeline.finish(&self.decoders)?;
        broken.map_or(Ok(()), |error| Err(error.into()))
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
