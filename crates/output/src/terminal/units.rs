//! Numbers as people say them.

use super::glyphs::Glyphs;

pub(super) const NANOSECONDS: u64 = 1_000_000_000;
pub(super) const SECONDS_A_DAY: u64 = 86_400;

/// Bytes in at most six columns: `78 B`, `1.2 kB`, `734 MB`. Decimal units.
pub(super) fn bytes(bytes: u64) -> String {
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut unit = 1_000u64;
    for name in ["kB", "MB", "GB", "TB", "PB"] {
        // Rounded, as what is cut off looks smaller than it is.
        let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
        if tenths < 100 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        let whole = (u128::from(bytes) + u128::from(unit) / 2) / u128::from(unit);
        if whole < 1_000 {
            return format!("{whole} {name}");
        }
        unit *= 1_000;
    }
    format!("{} EB", bytes.div_ceil(1_000_000_000_000_000_000))
}

/// Nanoseconds in at most seven columns, three digits: `812 µs`, `12.3 ms`, `1.02 s`, `2m05s`.
pub(super) fn duration(nanoseconds: u64, glyphs: &Glyphs) -> String {
    if nanoseconds < 1_000 {
        return format!("{nanoseconds} ns");
    }
    let mut unit = 1_000;
    for (name, most_tenths) in [(glyphs.micro, 1_000), ("ms", 1_000), ("s", 600)] {
        let rounded = |scale: u128| (u128::from(nanoseconds) * scale + unit / 2) / unit;
        let (hundredths, tenths, whole) = (rounded(100), rounded(10), rounded(1));
        if hundredths < 1_000 {
            return format!("{}.{:02} {name}", hundredths / 100, hundredths % 100);
        } else if tenths < most_tenths {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        } else if whole < 1_000 && name != "s" {
            return format!("{whole} {name}");
        }
        unit *= 1_000;
    }
    let seconds = nanoseconds.saturating_add(NANOSECONDS / 2) / NANOSECONDS;
    match seconds {
        0..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..SECONDS_A_DAY => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ if seconds < 100 * SECONDS_A_DAY => {
            format!("{}d{:02}h", seconds / SECONDS_A_DAY, seconds / 3_600 % 24)
        }
        _ => format!("{}d", seconds / SECONDS_A_DAY),
    }
}

/// A count with its thousands apart: `1,234,567`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 connection`, `2 connections`.
pub(super) fn counted(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::super::glyphs::Charset;
    use super::*;

    #[test]
    fn bytes_as_people_say_them() {
        let table = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_204, "1.2 kB"),
            (9_949, "9.9 kB"),
            (9_951, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (734_003_200, "734 MB"),
            (1_500_000_000_000, "1.5 TB"),
            (u64::MAX, "19 EB"),
        ];
        for (number, expected) in table {
            assert_eq!(bytes(number), expected);
        }
    }

    #[test]
    fn durations_as_people_say_them() {
        let table = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_340, "12.3 µs"),
            (812_345, "812 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (9_994_000, "9.99 ms"),
            (9_996_000, "10.0 ms"),
            (99_940_000, "99.9 ms"),
            (99_960_000, "100 ms"),
            (1_020_000_000, "1.02 s"),
            (59_900_000_000, "59.9 s"),
            (59_970_000_000, "1m00s"),
            (61_000_000_000, "1m01s"),
            (7_500_000_000_000, "2h05m"),
            (u64::MAX, "213503d"),
        ];
        for (number, expected) in table {
            assert_eq!(duration(number, Charset::Unicode.glyphs()), expected, "{number}");
        }
    }

    #[test]
    fn counts_as_people_say_them() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), expected);
        }
    }
}
