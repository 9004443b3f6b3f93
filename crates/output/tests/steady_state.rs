//! An exchange allocates nothing once its connection and the buffers are there: from segments to
//! the JSON line.

mod traffic;

use std::ops::Range;

use traffic::{CONNECTIONS, Lines, Traffic};

#[test]
fn an_exchange_allocates_nothing() {
    let mut traffic = Traffic::new(Lines::new());
    let mut exchanges = |numbers: Range<u64>| {
        numbers.for_each(|number| traffic.exchange(number as u32 % CONNECTIONS, number));
    };
    exchanges(0..2_000);
    let allocated = allocation_counter::measure(|| exchanges(2_000..22_000));
    assert_eq!(traffic.tracker.receiver().count, 22_000);
    // What parsers hold is asked for once in a megabyte: some lists of it.
    assert!(allocated.count_total < 200, "{} allocations in 20,000 exchanges", allocated.count_total);
    assert!(allocated.bytes_current < 64 << 10, "{} bytes more are held", allocated.bytes_current);
}
