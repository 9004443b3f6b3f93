//! `l7trace read`: capture files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use l7trace_capture::{Batch, Filled, Source, file};

use crate::cli::ReadArgs;
use crate::parallel::TapThread;
use crate::trace::stop_on_signals;
use crate::wiring::{Mode, parallel_pipeline, pipeline, workers};

/// Reads the files as one trace.
pub(crate) fn read(arguments: &ReadArgs) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    let source = file::open(&arguments.files)?;
    match workers(arguments.threads.map(usize::from), &arguments.output)? {
        1 => read_alone(arguments, source, &stop),
        workers => read_with(arguments, source, workers, &stop),
    }
}

/// All in one thread, but for the writing.
fn read_alone(arguments: &ReadArgs, mut source: Source, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut pipeline = pipeline(&arguments.output, &arguments.limits, None, Mode::Read)?;
    let mut batch = Batch::default();
    let ended = loop {
        batch.clear();
        let filled = source.tap.fill(&mut batch, Duration::from_millis(100));
        pipeline.batch(0, source.decoder.as_mut(), &batch);
        pipeline.flush();
        match filled {
            Ok(Filled::Some | Filled::Nothing) if !pipeline.is_done() && !stop.load(Ordering::Relaxed) => {}
            filled => break filled,
        }
    };
    pipeline.finish(&[source.decoder])?;
    ended?;
    Ok(())
}

/// With so many threads that read connections.
fn read_with(arguments: &ReadArgs, mut source: Source, workers: usize, stop: &AtomicBool) -> anyhow::Result<()> {
    let (tap, give_back) = TapThread::start(source.tap);
    let mut pipeline = parallel_pipeline(&arguments.output, &arguments.limits, workers, give_back)?;
    for batch in &tap.filled {
        pipeline.shared_batch(source.decoder.as_mut(), batch);
        pipeline.flush();
        if pipeline.is_done() || stop.load(Ordering::Relaxed) {
            break;
        }
    }
    // First what takes batches back, then the tap, which may wait for one.
    pipeline.finish(&[source.decoder])?;
    tap.end()
}
