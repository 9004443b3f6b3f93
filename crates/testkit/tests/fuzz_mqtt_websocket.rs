//! The fuzz bodies of MQTT and WebSocket with bytes made at random: a moment as a test, or as long as
//! `L7TRACE_FUZZ_SECONDS` says.

use std::time::{Duration, Instant};

use l7trace_testkit::fuzz;
use l7trace_testkit::script::Random;

fn at_random(body: impl Fn(&[u8])) {
    let seconds = std::env::var("L7TRACE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut seed = 0;
    while end.map_or(seed < 300, |end| Instant::now() < end) {
        let mut random = Random::new(seed);
        let length = 1 + random.below(1500) as usize;
        let data: Vec<u8> = (0..length).map(|_| random.number() as u8).collect();
        body(&data);
        seed += 1;
    }
    println!("{seed} runs");
}

#[test]
fn mqtt() {
    at_random(fuzz::mqtt);
}

#[test]
fn websocket() {
    at_random(fuzz::websocket);
}

#[test]
fn mqtt_of_any_bytes() {
    at_random(|data| fuzz::parser("mqtt", data));
}

#[test]
fn websocket_of_any_bytes() {
    at_random(|data| fuzz::parser("websocket", data));
}
