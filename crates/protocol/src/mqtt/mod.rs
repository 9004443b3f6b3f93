//! MQTT 3.1, 3.1.1 and 5.0.
//!
//! * `cursor`, `packet`, `properties`, `reason`, `decode`: the wire format.
//! * `evidence`, `recognition`, `version`: what speaks for MQTT, and for which.
//! * `connection`: packets out of bytes and gaps; `open` and `flow`: which belong together.
//! * `causal`: answers wait for what they answer.

mod aliases;
mod causal;
mod connection;
mod cursor;
mod decode;
mod evidence;
mod flow;
mod open;
mod packet;
mod properties;
mod reason;
mod recognition;
mod version;

use crate::{Parser, Protocol, Recognition, Sample, Start};

/// The registry's entry.
pub(crate) struct Mqtt;

const NAME: &str = "mqtt";

impl Protocol for Mqtt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn speaks(&self) -> &'static [&'static str] {
        &[NAME]
    }

    fn recognise(&self, sample: &Sample<'_>) -> Recognition {
        recognition::recognise(sample)
    }

    fn parser(&self, start: Start<'_>) -> Box<dyn Parser> {
        Box::new(connection::Connection::new(&start))
    }
}
