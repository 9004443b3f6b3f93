//! AMQP 1.0 (OASIS): SASL, the performatives by the type system, transfers with their dispositions.

mod connection;
mod frames;
mod link;
mod performatives;
mod types;

pub(super) use connection::Connection;
pub(super) use frames::recognise;
