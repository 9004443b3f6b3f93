//! What capture hands on.
//!
//! An [`Event`] says: at this time, this witness saw these bytes, which begin at this position of
//! this direction of this connection, and so many more that could not be copied, because of this
//! cause. Every source speaks these types and nothing to the right of capture knows a source.
//!
//! No I/O, no clocks, no protocol names.

mod address;
mod cause;
mod event;
mod ledger;
mod process;
mod time;
mod unneeded;

pub use address::{ConnectionKey, Endpoint, Side, Tuple};
pub use cause::Cause;
pub use event::{Direction, Event, Flags, Packet, Segment, SourceKind, What, Witness};
pub use ledger::{Blind, Ledger};
pub use process::Process;
pub use time::Timestamp;
pub use unneeded::Unneeded;
