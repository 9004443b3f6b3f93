//! How surely bytes are MQTT: for recognising a connection joined in the middle, and for finding
//! the next packet after bytes were lost.

use l7trace_event::Direction;

use super::cursor::Malformed;
use super::decode::{self, Packet};
use super::packet::{Header, Kind};
use super::version::Level;

/// What speaks for packets beginning where some bytes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// How unlikely it is that noise reads like this: as a power of two, roughly.
    pub(super) bits: u32,
    /// Packets that are all there.
    pub(super) whole: u32,
    /// Whether the bytes end where a packet ends.
    pub(super) flush: bool,
}

/// More than this is not asked for.
const ENOUGH_BITS: u32 = 96;

/// Topics longer than this are believed of no stream that is only guessed at.
const LONGEST_TOPIC: usize = 2048;

/// What must follow each other to be believed where no chunk begins: packets, and bits.
const CHAIN: (u32, u32) = (3, 56);

/// Where several whole packets that follow each other begin, behind the first byte.
pub(super) fn find_chain(bytes: &[u8], direction: Direction) -> Option<usize> {
    (1..bytes.len()).find(|at| {
        let chain = read(&bytes[*at..], direction);
        chain.is_some_and(|evidence| evidence.whole >= CHAIN.0 && evidence.bits >= CHAIN.1)
    })
}

/// Reads packets from the first byte on; none where they cannot be packets of that direction.
pub(super) fn read(bytes: &[u8], direction: Direction) -> Option<Evidence> {
    let mut evidence = Evidence::default();
    let mut levels = [true, true];
    let mut rest = bytes;
    while !rest.is_empty() && evidence.bits < ENOUGH_BITS {
        let header = match Header::read(rest) {
            Ok(header) if header.is_plausible(direction) => header,
            Ok(_) | Err(Malformed::Wrong(_)) => return None,
            Err(Malformed::Short) => return plausible_first(rest[0], direction).then_some(evidence),
        };
        let after = &rest[header.size..];
        let whole = after.len() as u64 >= u64::from(header.length);
        let body = if whole { &after[..header.length as usize] } else { after };
        match one(&header, body, whole, direction, &mut levels) {
            Ok(bits) => evidence.bits += bits,
            Err(Malformed::Short) => return Some(evidence),
            Err(Malformed::Wrong(_)) => return None,
        }
        if !whole {
            return Some(evidence);
        }
        evidence.whole += 1;
        rest = &after[body.len()..];
    }
    evidence.flush = rest.is_empty();
    Some(evidence)
}

fn plausible_first(first: u8, direction: Direction) -> bool {
    // The shortest length that the kind may have is not known here: try what suits most.
    [0, 2, 127].iter().any(|length| Header::read(&[first, *length]).is_ok_and(|header| header.is_plausible(direction)))
}

/// What one packet speaks for; narrows the versions that all packets can be read as.
fn one(
    header: &Header,
    body: &[u8],
    whole: bool,
    direction: Direction,
    levels: &mut [bool; 2],
) -> Result<u32, Malformed> {
    let mut decoded = None;
    let mut short = false;
    for (allowed, level) in levels.iter_mut().zip([Level::FourOrThree, Level::Five]) {
        if !*allowed {
            continue;
        }
        let enough = match header.kind {
            Kind::Publish => decode::publish_header_length(header, body, level)
                .and_then(|length| body.get(..length).ok_or(Malformed::Short)),
            _ if whole => Ok(body),
            _ => Err(Malformed::Short),
        };
        let proper = match enough {
            Ok(body) => decode::is_proper(&Packet { header: *header, body, level, body_limit: 0 }, direction),
            Err(Malformed::Short) => {
                short = true;
                continue;
            }
            Err(Malformed::Wrong(_)) => None,
        };
        *allowed = proper.is_some();
        decoded = decoded.or(proper);
    }
    match decoded {
        Some(_) if header.kind == Kind::Publish => publish_bits(body),
        Some(_) => Ok(bits_of(header, body)),
        None if short => Err(Malformed::Short),
        None => Err(Malformed::Wrong("no version has such a packet")),
    }
}

/// A PUBLISH's first bits are few; a short topic of printable characters says more.
fn publish_bits(body: &[u8]) -> Result<u32, Malformed> {
    let length = body.first().zip(body.get(1)).map_or(0, |(high, low)| usize::from(*high) << 8 | usize::from(*low));
    let topic = body.get(2..2 + length).ok_or(Malformed::Short)?;
    if length > LONGEST_TOPIC || topic.iter().any(|byte| byte.is_ascii_control()) {
        return Err(Malformed::Wrong("no topic that anybody would use"));
    }
    Ok(4 + if length < 256 { 8 } else { 5 } + 4 + topic.len().min(12) as u32)
}

fn bits_of(header: &Header, body: &[u8]) -> u32 {
    match header.kind {
        Kind::Connect => 56,
        Kind::Connack => 24 + 8 * u32::from(body.len() > 3),
        // Two bytes of header, all fixed.
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => 16,
        Kind::Pingreq | Kind::Pingresp => 16,
        Kind::Subscribe | Kind::Unsubscribe => 20 + body.len().min(16) as u32,
        Kind::Suback | Kind::Unsuback => 16 + 4 * u32::from(body.len() > 2),
        Kind::Disconnect => {
            if body.is_empty() {
                16
            } else {
                12
            }
        }
        Kind::Auth => 12,
        Kind::Publish | Kind::Reserved => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{ClientToServer as Client, ServerToClient as Server};

    #[test]
    fn a_chain_is_found_within() {
        let check =
            |bytes: &[u8], expected| assert_eq!(find_chain(bytes, Client), expected, "{}", bytes.escape_ascii());
        let publish = b"\x30\x0a\0\x06topicXhi";
        check(&[&b"rest of a payload"[..], &publish.repeat(3)].concat(), Some(17));
        check(&[&b"rest of a payload"[..], &publish.repeat(2)].concat(), None);
        check(&[&b"\0\x40\x02\0"[..], &b"\x40\x02\0\x07".repeat(4)].concat(), Some(4));
        check(b"nothing but text, 0123456789 0123456789 0123456789 0123456789", None);
    }

    #[test]
    fn packets_speak_for_themselves() {
        let check = |bytes: &[u8], direction, expected: Option<(u32, u32)>| {
            assert_eq!(read(bytes, direction).map(|it| (it.bits, it.whole)), expected, "{}", bytes.escape_ascii());
        };
        check(&[0xc0, 0], Client, Some((16, 1)));
        check(&[0xc0, 0], Server, None);
        check(&[0xc0, 1, 0], Client, None);
        check(&[0x20, 2, 0, 0], Server, Some((24, 1)));
        check(b"\x30\x0a\0\x06topicXhi", Client, Some((22, 1)));
        check(b"\x30\x7f\0\x06topicXhi", Server, Some((22, 0)));
        check(b"\x30\x0a\0\x06top", Client, Some((0, 0)));
        check(b"\x30\x0a\0\x20topicXhi", Client, None);
        check(b"GET / HTTP/1.1\r\n", Client, None);
        check(b"HTTP/1.1 200 OK\r\n", Server, None);
        check(b"{\"json\": 17, \"more\": [1, 2, 3]}", Client, None);
        // LDAP's messages begin with the byte of a PUBLISH.
        check(&[0x30, 0x0c, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0], Client, None);
    }
}
