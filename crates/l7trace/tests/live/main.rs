//! The whole command against live traffic, in network namespaces that the tests make: every request
//! carries an id, every id must be reported once, with the right pair, the right counts and a closed
//! ledger, by every source and engine.

mod case;
mod cases;
mod check;
mod command;
mod http;
mod http2;
mod load;
mod messaging;
mod play;
mod programs;
mod raw;
mod tracer;
