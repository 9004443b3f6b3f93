//! What is behind the table of connections.

use std::sync::Arc;

use l7trace_event::{Process, Tuple};
use l7trace_exchange::{Receiver as _, Record, Summary, Tracker};
use l7trace_stream::Sink;

use crate::emitter::Emitter;

/// Reads what the table puts in order, and sees to it that it is written.
pub(crate) trait Road: Sink {
    /// The owner of the tuple's source is known now.
    fn owner(&mut self, tuple: &Tuple, process: &Arc<Process>);

    /// Hands what was put together to the writer.
    fn flush(&mut self);

    /// Whether everything that was asked for is reported, or nobody reads any more.
    fn is_done(&mut self) -> bool;

    /// Adds what was read to the summary, writes it as the last record, and waits until all is
    /// written.
    fn finish(self, summary: &mut Summary) -> anyhow::Result<()>;
}

/// All in the thread that decodes.
impl Road for Tracker<Emitter> {
    fn owner(&mut self, tuple: &Tuple, process: &Arc<Process>) {
        self.receiver().owner(tuple, process);
    }

    fn flush(&mut self) {
        let emitter = self.receiver();
        emitter.release(false);
        emitter.writer().flush();
    }

    fn is_done(&mut self) -> bool {
        self.receiver().is_done()
    }

    fn finish(self, summary: &mut Summary) -> anyhow::Result<()> {
        (summary.unrecognised_connections, summary.unrecognised_bytes) = self.unrecognised();
        let mut emitter = self.into_receiver();
        emitter.release(true);
        emitter.statistics().fill(summary);
        summary.ownerless = emitter.ownerless();
        summary.unwritten = emitter.writer().unwritten();
        emitter.record(&Record::Summary(summary));
        emitter.writer().finish()
    }
}
