//! `--write FILE`: what was captured, as pcapng.

use std::path::Path;

use l7trace_capture::record::Recorder;
use l7trace_event::Event;

/// Records events until something goes wrong, which is said once.
pub(crate) struct Recording {
    recorder: Recorder,
    broken: bool,
}

impl Recording {
    pub(crate) fn create(path: &Path) -> anyhow::Result<Recording> {
        Ok(Recording { recorder: Recorder::create(path)?, broken: false })
    }

    pub(crate) fn event(&mut self, event: &Event<'_>) {
        if !self.broken
            && let Err(error) = self.recorder.record(event)
        {
            self.broken = true;
            eprintln!("l7trace: the recording breaks off here: {error}");
        }
    }

    pub(crate) fn flush(&mut self) {
        if !self.broken
            && let Err(error) = self.recorder.tick()
        {
            self.broken = true;
            eprintln!("l7trace: the recording breaks off here: {error}");
        }
    }

    pub(crate) fn finish(self) -> anyhow::Result<()> {
        if !self.broken {
            self.recorder.finish()?;
        }
        Ok(())
    }
}
