use std::io::Write as _;

use l7trace_event::Timestamp;

/// Writes timestamps, keeping the date and the second of the last one: neighbours mostly share them.
pub(super) struct Clock {
    /// The second since the epoch that `prefix` spells.
    second: u64,
    /// `2026-11-22T10:00:00.`
    prefix: [u8; 20],
}

const NANOSECONDS: u64 = 1_000_000_000;

impl Default for Clock {
    fn default() -> Clock {
        Clock { second: 0, prefix: *b"1970-01-01T00:00:00." }
    }
}

impl Clock {
    /// Appends `"2026-11-22T10:00:00.123456789Z"`, quotes included.
    pub(super) fn timestamp(&mut self, to: &mut Vec<u8>, at: Timestamp) {
        let second = at.0 / NANOSECONDS;
        if second != self.second {
            let mut text = [0u8; 30];
            // 64 bits of nanoseconds end in 2554: the year has four digits, and the text 30 bytes.
            let _ = write!(&mut text[..], "{}", Timestamp(second * NANOSECONDS));
            self.prefix.copy_from_slice(&text[..20]);
            self.second = second;
        }
        let mut digits = [b'0'; 11];
        let mut fraction = (at.0 % NANOSECONDS) as u32;
        for digit in digits[..9].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        digits[9..].copy_from_slice(b"Z\"");
        to.push(b'"');
        to.extend_from_slice(&self.prefix);
        to.extend_from_slice(&digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_what_display_spells() {
        let mut clock = Clock::default();
        for at in [0, 1, 999_999_999, 951_782_400_000_000_001, 951_782_400_999_999_999, 5_000_000_000, u64::MAX] {
            let mut line = Vec::new();
            clock.timestamp(&mut line, Timestamp(at));
            assert_eq!(String::from_utf8(line).unwrap(), format!("\"{}\"", Timestamp(at)));
        }
    }
}
