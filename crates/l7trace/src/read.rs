//! `l7trace read`: capture files.

use std::sync::atomic::Ordering;
use std::time::Duration;

use l7trace_capture::{Batch, Filled, file};

use crate::cli::ReadArgs;
use crate::trace::stop_on_signals;
use crate::wiring::{Mode, pipeline};

/// Reads the files as one trace.
pub(crate) fn read(arguments: &ReadArgs) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    let mut source = file::open(&arguments.files)?;
    let mut pipeline = pipeline(&arguments.output, &arguments.limits, None, Mode::Read)?;
    let mut batch = Batch::default();
    loop {
        batch.clear();
        let filled = source.tap.fill(&mut batch, Duration::from_millis(100));
        pipeline.batch(0, source.decoder.as_mut(), &batch);
        pipeline.flush();
        if filled? == Filled::End || pipeline.emitter().is_done() || stop.load(Ordering::Relaxed) {
            break;
        }
    }
    pipeline.finish(&[source.decoder])?;
    Ok(())
}
