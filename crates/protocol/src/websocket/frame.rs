//! The header of a frame (RFC 6455, 5.2).

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
    Reserved(u8),
}

impl Opcode {
    fn of(bits: u8) -> Opcode {
        match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            other => Opcode::Reserved(other),
        }
    }

    /// The operation; none for what is no message by itself.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Opcode::Continuation => None,
            Opcode::Text => Some("text"),
            Opcode::Binary => Some("binary"),
            Opcode::Close => Some("close"),
            Opcode::Ping => Some("ping"),
            Opcode::Pong => Some("pong"),
            Opcode::Reserved(number) => RESERVED.get(usize::from(number)).copied(),
        }
    }

    /// Whether it may stand between the fragments of a message.
    pub(super) fn is_control(self) -> bool {
        match self {
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
            Opcode::Continuation | Opcode::Text | Opcode::Binary => false,
            Opcode::Reserved(number) => number & 8 != 0,
        }
    }
}

const RESERVED: [&str; 16] = [
    "reserved-0",
    "reserved-1",
    "reserved-2",
    "reserved-3",
    "reserved-4",
    "reserved-5",
    "reserved-6",
    "reserved-7",
    "reserved-8",
    "reserved-9",
    "reserved-10",
    "reserved-11",
    "reserved-12",
    "reserved-13",
    "reserved-14",
    "reserved-15",
];

/// The longest payload that a control frame may have.
pub(super) const MOST_CONTROL: u64 = 125;

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) last: bool,
    /// The three reserved bits: 4 is RSV1, which marks compression.
    pub(super) reserved: u8,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    /// How many bytes the header took.
    pub(super) size: usize,
    /// How many bytes of payload follow.
    pub(super) length: u64,
    /// Whether the length could not have been said shorter, and has no highest bit.
    pub(super) is_minimal: bool,
}

/// RSV1.
pub(super) const COMPRESSED: u8 = 4;

impl Header {
    /// The header that `bytes` begin with; none where more of them are needed.
    pub(super) fn read(bytes: &[u8]) -> Option<Header> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (length, extended, is_minimal) = match second & 0x7f {
            126 => {
                let length = u64::from(u16::from_be_bytes(*rest.first_chunk()?));
                (length, 2, length > 125)
            }
            127 => {
                let length = u64::from_be_bytes(*rest.first_chunk()?);
                (length, 8, length > 0xffff && length >> 63 == 0)
            }
            short => (u64::from(short), 0, true),
        };
        let masked = second & 0x80 != 0;
        let mask = if masked { Some(*rest.get(extended..)?.first_chunk()?) } else { None };
        Some(Header {
            last: first & 0x80 != 0,
            reserved: (first >> 4) & 7,
            opcode: Opcode::of(first & 0x0f),
            mask,
            size: 2 + extended + if masked { 4 } else { 0 },
            length,
            is_minimal,
        })
    }

    /// The whole frame's length.
    pub(super) fn total(&self) -> u64 {
        self.length.saturating_add(self.size as u64)
    }

    /// Whether the standard allows such a frame.
    pub(super) fn is_plausible(&self, masked: bool, may_be_compressed: bool) -> bool {
        let control = self.opcode.is_control();
        let compression = may_be_compressed && !control && self.reserved == COMPRESSED;
        !matches!(self.opcode, Opcode::Reserved(_))
            && (self.reserved == 0 || compression)
            && self.mask.is_some() == masked
            && self.is_minimal
            && (!control || (self.last && self.length <= MOST_CONTROL))
            && !(self.opcode == Opcode::Close && self.length == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_length() {
        let check = |bytes: &[u8], size: usize, length: u64, is_minimal: bool| {
            let header = Header::read(bytes).unwrap();
            assert_eq!((header.size, header.length, header.is_minimal), (size, length, is_minimal), "{bytes:?}");
            for short in 0..size {
                assert_eq!(Header::read(&bytes[..short]), None);
            }
        };
        check(&[0x81, 5], 2, 5, true);
        check(&[0x81, 0x85, 1, 2, 3, 4], 6, 5, true);
        check(&[0x82, 126, 0, 126], 4, 126, true);
        check(&[0x82, 126, 0, 125], 4, 125, false);
        check(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 9, 9, 9, 9], 14, 65536, true);
        check(&[0x82, 127, 0x80, 0, 0, 0, 0, 1, 0, 0], 10, (1 << 63) | 65536, false);
    }
}
