//! How surely bytes are frames: for recognising a connection joined in the middle, and for finding
//! the next frame after bytes were lost.

use super::frame::{Header, Opcode};
use super::mask;

/// What speaks for frames beginning where some bytes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// How unlikely it is that noise reads like this: as a power of two, roughly.
    pub(super) bits: u32,
    /// Frames that are all there.
    pub(super) whole: u32,
    /// Whether the bytes end where a frame ends.
    pub(super) flush: bool,
}

/// More than this is not asked for.
const ENOUGH_BITS: u32 = 96;

/// How much of a text is looked at.
const LOOKED_AT: usize = 64;

/// Reads frames from the first byte on; none where they cannot be frames of an end that masks, or
/// does not.
pub(super) fn read(bytes: &[u8], masked: bool, may_be_compressed: bool) -> Option<Evidence> {
    let mut evidence = Evidence::default();
    let mut rest = bytes;
    let mut within = false;
    while !rest.is_empty() && evidence.bits < ENOUGH_BITS {
        // The first byte tells what may be told before the rest has come.
        let filled = [rest[0], if masked { 0x80 } else { 0 }, 0, 0, 0, 0];
        let begins = Header::read(&filled).is_some_and(|header| header.is_plausible(masked, may_be_compressed));
        if !begins {
            return None;
        }
        let Some(header) = Header::read(rest) else { return Some(evidence) };
        let opcode = header.opcode;
        if !header.is_plausible(masked, may_be_compressed)
            || (opcode == Opcode::Continuation) != within && !opcode.is_control()
        {
            return None;
        }
        if !opcode.is_control() {
            within = !header.last;
        }
        let payload = &rest[header.size..];
        let whole = payload.len() as u64 >= header.length;
        let payload = if whole { &payload[..header.length as usize] } else { payload };
        evidence.bits += frame_bits(&header, payload, whole)?;
        if !whole {
            return Some(evidence);
        }
        evidence.whole += 1;
        rest = &rest[header.size + payload.len()..];
    }
    evidence.flush = rest.is_empty();
    Some(evidence)
}

/// What a frame speaks for; none where its payload is not what it says.
fn frame_bits(header: &Header, payload: &[u8], whole: bool) -> Option<u32> {
    let mut looked = [0; LOOKED_AT];
    let count = payload.len().min(LOOKED_AT);
    looked[..count].copy_from_slice(&payload[..count]);
    if let Some(key) = header.mask {
        mask::unmask(&mut looked[..count], key, 0);
    }
    let looked = &looked[..count];
    let length_bits = match header.length {
        0..126 => 0,
        126..0x1_0000 => 7,
        long => 7 + long.leading_zeros() / 8 * 8,
    };
    Some(match header.opcode {
        Opcode::Text if header.reserved == 0 => {
            if let Err(wrong) = std::str::from_utf8(looked)
                && (wrong.error_len().is_some() || (whole && count == payload.len() && header.last))
            {
                return None;
            }
            if looked.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
                return None;
            }
            // A row of numbers has many short ones in it.
            if count == 0 { 1 } else { 5 + length_bits + count.min(20) as u32 }
        }
        Opcode::Close if whole => match looked {
            [] => 8,
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !(1000..5000).contains(&code) || std::str::from_utf8(reason).is_err() {
                    return None;
                }
                14 + reason.len().min(20) as u32
            }
            [_] => return None,
        },
        Opcode::Ping | Opcode::Pong => 6,
        // Zeros read as empty continuations.
        _ if header.length == 0 => 0,
        _ => 5 + length_bits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_speak_for_themselves() {
        let check = |bytes: &[u8], masked, expected: Option<(u32, u32)>| {
            assert_eq!(read(bytes, masked, true).map(|it| (it.bits, it.whole)), expected, "{}", bytes.escape_ascii());
        };
        check(b"\x81\x05hello", false, Some((10, 1)));
        check(b"\x81\x05hello\x89\x00", false, Some((16, 2)));
        check(b"\x01\x00\0\0\0\0\0\0", false, Some((1, 4)));
        check(b"\x81\x05hello", true, None);
        check(b"\x81\x85\0\0\0\0hello", true, Some((10, 1)));
        check(b"\x81\x85\x12\x34\x56\x78hello", true, None);
        check(b"\x81\x05he\xff\xfeo", false, None);
        check(b"\x81\x7e\0\x05hello", false, None);
        check(b"\x88\x02\x03\xe8", false, Some((14, 1)));
        check(b"\x88\x02\0\0", false, None);
        check(b"\x80\x01x", false, None);
        check(b"GET / HTTP/1.1\r\n\r\n", false, None);
        check(b"\x16\x03\x01\0\x05", false, None);
    }
}
