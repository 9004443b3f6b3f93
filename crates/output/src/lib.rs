//! Outputs over the same records. One file each, one line each in [`Format`].

use l7trace_exchange::Record;

/// Makes bytes of records. What is done with them (standard output, a file, a socket) is not its
/// concern.
pub trait Output: Send {
    /// Appends `record` to `to`; appends nothing for records that this output does not show.
    fn write(&mut self, record: &Record<'_>, to: &mut Vec<u8>);
}
