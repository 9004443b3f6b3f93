use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::Stop;

/// Undoes gzip (RFC 1952): any number of members, one after another.
pub(super) fn gzip(encoded: &[u8], most: usize, output: &mut Vec<u8>) -> Stop {
    let mut rest = encoded;
    let mut checksums_match = true;
    loop {
        match member(&mut rest, most, output) {
            Stop::End => {}
            Stop::Checksum => checksums_match = false,
            stop => return stop,
        }
        if rest.is_empty() {
            return if checksums_match { Stop::End } else { Stop::Checksum };
        }
        if !rest.starts_with(&MAGIC) {
            return Stop::Trailing;
        }
    }
}

/// Undoes what is called deflate: RFC 1950 as it should be, or bare RFC 1951 as some send it.
pub(super) fn deflate(encoded: &[u8], most: usize, output: &mut Vec<u8>) -> Stop {
    let looks_like_zlib = matches!(encoded, [method, check, ..]
        if method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*check)) % 31 == 0);
    let (stop, used) = inflate(encoded, looks_like_zlib, most, output);
    let (stop, used) = if stop == Stop::Broken && output.is_empty() && looks_like_zlib {
        inflate(encoded, false, most, output)
    } else {
        (stop, used)
    };
    if stop == Stop::End && used < encoded.len() { Stop::Trailing } else { stop }
}

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Undoes one gzip member and leaves what follows it in `rest`.
fn member(rest: &mut &[u8], most: usize, output: &mut Vec<u8>) -> Stop {
    let start = output.len();
    let header = match header_length(rest) {
        Ok(length) => length,
        Err(stop) => return stop,
    };
    let (stop, used) = inflate(&rest[header..], false, most, output);
    if stop != Stop::End {
        return stop;
    }
    let Some((trailer, next)) = rest[header + used..].split_first_chunk::<8>() else {
        return Stop::Short;
    };
    *rest = next;
    let mut crc = Crc::new();
    crc.update(&output[start..]);
    let [a, b, c, d, e, f, g, h] = *trailer;
    let matches = crc.sum() == u32::from_le_bytes([a, b, c, d]) && crc.amount() == u32::from_le_bytes([e, f, g, h]);
    if matches { Stop::End } else { Stop::Checksum }
}

/// How long the header of a gzip member is (RFC 1952, section 2.3).
fn header_length(bytes: &[u8]) -> Result<usize, Stop> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const HEADER_CHECKSUM: u8 = 2;
    let known = bytes.iter().zip(MAGIC.iter().chain(&[8])).all(|(given, expected)| given == expected);
    if !known {
        return Err(Stop::Broken);
    }
    let flags = *bytes.get(3).ok_or(Stop::Short)?;
    let mut length = 10;
    if flags & EXTRA != 0 {
        let [low, high] = *bytes.get(length..).and_then(|rest| rest.first_chunk()).ok_or(Stop::Short)?;
        length += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let rest = bytes.get(length..).ok_or(Stop::Short)?;
            length += memchr::memchr(0, rest).ok_or(Stop::Short)? + 1;
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        length += 2;
    }
    if length > bytes.len() { Err(Stop::Short) } else { Ok(length) }
}

/// Inflates one stream; also says how many bytes of `encoded` it took.
fn inflate(encoded: &[u8], zlib: bool, most: usize, output: &mut Vec<u8>) -> (Stop, usize) {
    let mut state = Decompress::new(zlib);
    loop {
        if output.len() >= most {
            return (Stop::Limit, state.total_in() as usize);
        }
        let used = state.total_in() as usize;
        let before = output.len();
        // Grows as output comes, never by more than is still wanted (rounded up by the allocator).
        output.reserve((most - before).min(before.clamp(4 << 10, 1 << 20)));
        match state.decompress_vec(&encoded[used..], output, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return (Stop::End, state.total_in() as usize),
            Ok(_) if state.total_in() as usize == used && output.len() == before => {
                return (Stop::Short, used);
            }
            Ok(_) => {}
            Err(_) => return (Stop::Broken, used),
        }
    }
}
