use super::Malformed;

/// Reads an integer (RFC 7541, section 5.1) whose first byte carries `prefix_bits` of it (1 to 8):
/// the integer, and how many bytes it took. At least one byte of `bytes` is needed.
///
/// Integers beyond 2³¹ - 1 and encodings of more than six bytes are malformed: nothing in HTTP/2
/// needs them.
#[inline]
pub(super) fn decode(bytes: &[u8], prefix_bits: u32) -> Result<(usize, usize), Malformed> {
    let mask = ((1u16 << prefix_bits) - 1) as u8;
    let first = bytes.first().ok_or(Malformed::Truncated)? & mask;
    if first < mask { Ok((usize::from(first), 1)) } else { long(bytes, mask) }
}

fn long(bytes: &[u8], mask: u8) -> Result<(usize, usize), Malformed> {
    let mut value = u64::from(mask);
    for (index, byte) in bytes.iter().enumerate().skip(1) {
        if index > 5 {
            return Err(Malformed::IntegerTooLarge);
        }
        value += u64::from(byte & 0x7f) << (7 * (index - 1));
        if value > i32::MAX as u64 {
            return Err(Malformed::IntegerTooLarge);
        }
        if byte & 0x80 == 0 {
            return Ok((value as usize, index + 1));
        }
    }
    if bytes.len() > 5 { Err(Malformed::IntegerTooLarge) } else { Err(Malformed::Truncated) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_examples_of_the_rfc_and_refuses_what_is_too_large() {
        let check = |bytes: &[u8], prefix, expected| assert_eq!(decode(bytes, prefix), expected, "{bytes:?}");
        check(&[0b1110_1010], 5, Ok((10, 1)));
        check(&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5, Ok((1337, 3)));
        check(&[42], 8, Ok((42, 1)));
        check(&[0x7f, 0x80, 0x80, 0x00], 7, Ok((127, 4)));
        check(&[], 7, Err(Malformed::Truncated));
        check(&[0x7f], 7, Err(Malformed::Truncated));
        check(&[0x7f, 0x80], 7, Err(Malformed::Truncated));
        check(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f], 7, Err(Malformed::IntegerTooLarge));
        check(&[0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0], 7, Err(Malformed::IntegerTooLarge));
    }
}
