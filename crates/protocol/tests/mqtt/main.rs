//! MQTT as brokers and clients speak it.

mod broken;
mod five;
mod packets;
mod three;

use l7trace_protocol::{Protocol, Settings, by_name};
use l7trace_testkit::script::{Step, check};

fn mqtt() -> &'static dyn Protocol {
    by_name("mqtt").expect("mqtt is in the registry")
}

fn settings() -> Settings {
    Settings { body_limit: 100, ..Settings::default() }
}

#[track_caller]
fn expect(script: &[Step], expected: &[&str]) {
    check(mqtt(), &settings(), script, expected);
}
