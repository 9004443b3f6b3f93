//! Looking at eight bytes in one step, for what is too short to be worth a call.

/// Bytes that are looked at together.
const WORD: usize = size_of::<u64>();
const EACH: u64 = u64::MAX / 0xff;
const HIGH: u64 = EACH * 0x80;

/// The first line feed.
#[inline]
pub(crate) fn line_feed(bytes: &[u8]) -> Option<usize> {
    /// Beyond so many words a search in greater steps is faster.
    const FEW: usize = 4;
    let (words, rest) = bytes.as_chunks::<WORD>();
    for (index, word) in words.iter().take(FEW).enumerate() {
        let zero = u64::from_le_bytes(*word) ^ (EACH * b'\n' as u64);
        // The lowest bit that is set is that of the first zero byte; others may be wrong.
        let found = zero.wrapping_sub(EACH) & !zero & HIGH;
        if found != 0 {
            return Some(index * WORD + found.trailing_zeros() as usize / 8);
        }
    }
    if words.len() > FEW {
        return memchr::memchr(b'\n', &bytes[FEW * WORD..]).map(|at| FEW * WORD + at);
    }
    rest.iter().position(|byte| *byte == b'\n').map(|at| words.len() * WORD + at)
}

/// Whether all of them are printable ASCII.
#[inline]
pub(crate) fn are_printable(bytes: &[u8]) -> bool {
    every(bytes, not_printable, |byte| (0x20..0x7f).contains(&byte))
}

/// Whether all of them are printable ASCII, without a quote or a backslash: text that nearly every
/// format takes as it is.
#[inline]
pub(crate) fn are_plain(bytes: &[u8]) -> bool {
    let quotes = |word: u64| equals(word, b'"') | equals(word, b'\\');
    every(
        bytes,
        |word| not_printable(word) | quotes(word),
        |byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\',
    )
}

/// Whether no word of them has a high bit in `odd`, and each byte that is in no whole word is `even`.
#[inline]
fn every(bytes: &[u8], odd: impl Fn(u64) -> u64, even: impl Fn(u8) -> bool) -> bool {
    match bytes.as_rchunks::<WORD>() {
        (rest, []) => rest.iter().all(|byte| even(*byte)),
        // The first word overlaps the second where the length is no multiple of a word's.
        (_, words) => {
            let first = bytes.first_chunk::<WORD>().map_or(0, |word| odd(u64::from_le_bytes(*word)));
            words.iter().fold(first, |all, word| all | odd(u64::from_le_bytes(*word))) & HIGH == 0
        }
    }
}

/// A high bit where a byte of the word is no printable ASCII; perhaps others above it.
#[inline]
fn not_printable(word: u64) -> u64 {
    word | (word.wrapping_sub(EACH * 0x20) & !word) | equals(word, 0x7f)
}

/// A high bit where a byte of the word is this one; perhaps others above it.
#[inline]
fn equals(word: u64, byte: u8) -> u64 {
    let zero = word ^ (EACH * u64::from(byte));
    zero.wrapping_sub(EACH) & !zero
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_counts_wherever_it_stands() {
        for length in 1..40 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    let feed = (byte == b'\n').then_some(place);
                    assert_eq!(line_feed(&bytes), feed, "{byte:#x} at {place} of {length}");
                    let printable = (0x20..0x7f).contains(&byte);
                    assert_eq!(are_printable(&bytes), printable, "{byte:#x} at {place} of {length}");
                    let plain = printable && byte != b'"' && byte != b'\\';
                    assert_eq!(are_plain(&bytes), plain, "{byte:#x} at {place} of {length}");
                }
            }
        }
        assert_eq!(line_feed(b""), None);
        assert_eq!(line_feed(b"ab\ncd\n"), Some(2));
        assert_eq!(line_feed(&[&[b'x'; 60][..], b"\n\n"].concat()), Some(60));
        assert!(are_plain(b""));
    }
}
