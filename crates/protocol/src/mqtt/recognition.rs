//! Whether a connection speaks MQTT, by what it says.

use l7trace_event::{Direction, Side};

use super::cursor::{Cursor, Malformed};
use super::evidence::{self, Evidence};
use super::packet::{Header, Kind};
use super::version::Level;
use crate::{Recognition, Sample};

/// Both directions together must be this unlikely to be noise.
const ENOUGH_OF_BOTH: u32 = 32;

/// One direction alone, where the other says nothing: so many whole PUBLISHes and bits.
const ENOUGH_OF_ONE: (u32, u32) = (4, 88);

pub(super) fn recognise(sample: &Sample<'_>) -> Recognition {
    let mut more = false;
    for side in Side::BOTH {
        match begins_with_connect(sample.side(side).bytes) {
            Ok(true) => return Recognition::Yes { client: side },
            // A CONNECT of something else.
            Ok(false) if sample.side(side).bytes.first() == Some(&0x10) => return Recognition::No,
            Ok(false) => {}
            Err(_) => more |= !sample.side(side).ended,
        }
    }
    let as_client = Side::BOTH.map(|client| by_evidence(sample, client));
    match as_client {
        [Weight::Enough, Weight::Enough] => match sample.initiator {
            Some(client) => Recognition::Yes { client },
            None => Recognition::Unoriented,
        },
        [Weight::Enough, _] => Recognition::Yes { client: Side::A },
        [_, Weight::Enough] => Recognition::Yes { client: Side::B },
        [Weight::None, Weight::None] if !more => Recognition::No,
        _ => Recognition::More,
    }
}

/// Whether a CONNECT with a known name and level stands first; an error where more bytes are needed.
fn begins_with_connect(bytes: &[u8]) -> Result<bool, Malformed> {
    if bytes.first().is_some_and(|first| *first != 0x10) {
        return Ok(false);
    }
    if bytes.is_empty() {
        return Ok(false);
    }
    let header = match Header::read(bytes) {
        Ok(header) => header,
        Err(Malformed::Short) => return Err(Malformed::Short),
        Err(Malformed::Wrong(_)) => return Ok(false),
    };
    if header.kind != Kind::Connect || !header.is_plausible(Direction::ClientToServer) {
        return Ok(false);
    }
    let body = &bytes[header.size..];
    let known = [&b"\0\x04MQTT"[..], b"\0\x06MQIsdp"];
    if !known.iter().any(|name| body.starts_with(name)) {
        return if known.iter().any(|name| name.starts_with(body)) { Err(Malformed::Short) } else { Ok(false) };
    }
    let mut cursor = Cursor::new(body);
    let name = cursor.data()?;
    let level = cursor.byte()? & 0x7f;
    Ok(Level::of(name, level).is_some())
}

/// What the bytes of both sides weigh, given who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// They cannot be MQTT.
    None,
    /// They can.
    Some,
    /// They are.
    Enough,
}

fn by_evidence(sample: &Sample<'_>, client: Side) -> Weight {
    let opening = sample.side(client);
    if opening.from_start && !opening.bytes.is_empty() {
        // Who was heard from the start and did not begin with a CONNECT is no client.
        return if begins_with_connect(opening.bytes).is_err() { Weight::Some } else { Weight::None };
    }
    let of = |side: Side, direction| {
        let prefix = sample.side(side);
        if prefix.bytes.is_empty() { Some(None) } else { evidence::read(prefix.bytes, direction).map(Some) }
    };
    let asked = of(client, Direction::ClientToServer);
    let answered = of(client.other(), Direction::ServerToClient);
    let (Some(asked), Some(answered)) = (asked, answered) else { return Weight::None };
    let enough = match (asked, answered) {
        (Some(asked), Some(answered)) => {
            let spoken = |evidence: &Evidence| evidence.bits > 0;
            spoken(&asked) && spoken(&answered) && asked.bits + answered.bits >= ENOUGH_OF_BOTH
        }
        (Some(only), None) | (None, Some(only)) => only.whole >= ENOUGH_OF_ONE.0 && only.bits >= ENOUGH_OF_ONE.1,
        (None, None) => return Weight::None,
    };
    if enough { Weight::Enough } else { Weight::Some }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prefix;

    fn check(a: &[u8], b: &[u8], expected: Recognition) {
        let prefix = |bytes| Prefix { bytes, ..Prefix::default() };
        let sample = Sample { sides: [prefix(a), prefix(b)], initiator: None };
        assert_eq!(recognise(&sample), expected, "{} and {}", a.escape_ascii(), b.escape_ascii());
    }

    const A: Recognition = Recognition::Yes { client: Side::A };
    const B: Recognition = Recognition::Yes { client: Side::B };

    #[test]
    fn a_connect_suffices() {
        check(b"\x10\x0c\0\x04MQTT\x04", b"", A);
        check(b"", b"\x10\x0e\0\x06MQIsdp\x03", B);
        check(b"\x10\x0c\0\x04MQTT\x86\0\0\0\0\0", b"", Recognition::No);
        check(b"\x10\x0c\0\x04MQTT\x84", b"", A);
        check(b"\x10\x0c\0\x04MQ", b"", Recognition::More);
        check(b"\x10\x0c\0\x04AMQP\x04", b"", Recognition::No);
    }

    #[test]
    fn joined_in_the_middle_both_sides_must_speak_for_it() {
        check(b"\xc0\0", b"\xd0\0", A);
        check(b"\xd0\0", b"\xc0\0", B);
        check(b"\xc0\0", b"", Recognition::More);
        check(b"\xc0\0", b"GET / HTTP/1.1\r\n", Recognition::No);
        check(b"\x82\x16\0\x01\0\x11house/bulbs/bulb1\x01", b"\x20\x02\0\0", A);
        check(b"\x32\x0c\0\x06topicX\0\x01hi", b"\x40\x02\0\x01", Recognition::Unoriented);
        check(b"\x30\x01\x00", b"\xd0\0", Recognition::No);
    }

    #[test]
    fn from_the_start_nothing_but_a_connect_counts() {
        let recognised = |a: &[u8], b: &[u8]| {
            let prefix = |bytes| Prefix { bytes, from_start: true, since_start: true, ended: false };
            recognise(&Sample { sides: [prefix(a), prefix(b)], initiator: Some(Side::A) })
        };
        let publish = b"\x32\x0c\0\x06topicX\0\x01hi".repeat(8);
        assert_eq!(recognised(&publish, b"\x40\x02\0\x01"), Recognition::No);
        assert_eq!(recognised(b"\x10\x0c\0\x04MQTT\x04", b""), A);
        assert_eq!(recognised(b"\x10", b""), Recognition::More);
    }

    #[test]
    fn one_side_alone_must_say_much() {
        let publish = b"\x30\x0a\0\x06topicXhi";
        check(publish, b"", Recognition::More);
        check(&publish.repeat(4), b"", Recognition::Unoriented);
    }
}
