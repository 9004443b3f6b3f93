//! Numbers, and the other little words of JSON.

use std::io::Write as _;

/// Appends a whole number.
pub(super) fn integer(to: &mut Vec<u8>, number: impl itoa::Integer) {
    to.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number; the names of those that JSON has no numbers for.
pub(super) fn float(to: &mut Vec<u8>, number: f64) {
    // Writing to a vector does not fail. Debug keeps very large and small numbers short.
    let _ = match number.is_finite() {
        true => write!(to, "{number:?}"),
        false => write!(to, "\"{number}\""),
    };
}

/// Appends `true` or `false`.
pub(super) fn boolean(to: &mut Vec<u8>, value: bool) {
    to.extend_from_slice(if value { b"true" } else { b"false" });
}
