//! Which version of MQTT a connection speaks: as its CONNECT says, else inferred from what its
//! packets can be read as.

use l7trace_event::Direction;

use super::decode::{self, Packet};
use super::packet::Kind;

/// A version, as far as it matters for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// 3.1.
    Three,
    /// 3.1.1.
    Four,
    /// 3.1 or 3.1.1: inferred, as packets after CONNECT look the same.
    FourOrThree,
    /// 5.0.
    Five,
}

impl Level {
    /// The version that a CONNECT's protocol name and level stand for.
    pub(super) fn of(name: &[u8], level: u8) -> Option<Level> {
        match (name, level) {
            (b"MQIsdp", 3) => Some(Level::Three),
            // Some clients send one version's name with the other's level; packets look the same.
            (b"MQTT", 3) => Some(Level::Three),
            (b"MQTT" | b"MQIsdp", 4) => Some(Level::Four),
            (b"MQTT", 5) => Some(Level::Five),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Level::Three => "3.1",
            Level::Four => "3.1.1",
            Level::FourOrThree => "3.1 or 3.1.1",
            Level::Five => "5.0",
        }
    }
}

/// What is known of a connection's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The CONNECT said so, or a packet could be read in one way only.
    Known(Level),
    /// Nothing that was seen tells 5.0 from its forerunners; so many packets spoke for 5.0.
    Open(u32),
}

/// So many PUBLISHes that could be read both ways, and would all need a payload that begins with
/// what looks like properties under 3.1.1, are taken as 5.0.
const ENOUGH: u32 = 8;

/// What is told of a packet that could be read both ways.
pub(super) const UNCERTAIN: &str = "joined in the middle: MQTT version unknown, read as 5.0";

impl Version {
    /// As what to read a packet, and whether that is a guess. `filters` is how many the SUBSCRIBE or
    /// UNSUBSCRIBE had that this packet answers, where that is known. A PUBLISH needs only its
    /// header, as far as [`decode::publish_header_length`] asks for it at both levels.
    pub(super) fn settle(
        &mut self,
        packet: &Packet<'_>,
        direction: Direction,
        filters: Option<usize>,
    ) -> (Level, bool) {
        let Version::Open(votes) = *self else {
            let Version::Known(level) = *self else { return (Level::Five, true) };
            return (level, false);
        };
        let fits = |level| {
            let decoded = decode::is_proper(&Packet { level, ..*packet }, direction);
            decoded.is_some_and(|decoded| {
                filters.is_none_or(|filters| decoded.reasons.is_empty() || decoded.reasons.len() == filters)
            })
        };
        let (before, five) = (fits(Level::FourOrThree), fits(Level::Five));
        match (before, five) {
            (true, false) => *self = Version::Known(Level::FourOrThree),
            (false, true) => *self = Version::Known(Level::Five),
            (true, true) if packet.header.kind == Kind::Publish => {
                *self = if votes + 1 >= ENOUGH { Version::Known(Level::Five) } else { Version::Open(votes + 1) };
            }
            // Short acknowledgements mean the same in both.
            (true, true) if packet.header.length <= 2 => return (Level::FourOrThree, false),
            (true, true) | (false, false) => {}
        }
        match *self {
            Version::Known(level) => (level, false),
            Version::Open(_) => (Level::Five, before && five),
        }
    }
}
