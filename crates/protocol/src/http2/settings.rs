//! SETTINGS (RFC 9113, section 6.5).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::frame::{DEFAULT_MAX_FRAME, number};
use crate::Value;

/// The settings that one side announced, by id, in the order in which they were first named.
#[derive(Clone, Debug, Default)]
pub(super) struct Announced {
    values: Vec<(u16, u32)>,
}

const MAX_FRAME_SIZE: u16 = 5;
/// Nobody needs more; a side may name 65,536 of them.
const MOST_KEPT: usize = 32;

impl Announced {
    /// Takes a SETTINGS payload; later values of an id count.
    pub(super) fn take(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(6) {
            let id = u16::from_be_bytes([setting[0], setting[1]]);
            let value = number(setting, 2).unwrap_or_default();
            if let Some((_, known)) = self.values.iter_mut().find(|(known, _)| *known == id) {
                *known = value;
            } else if self.values.len() < MOST_KEPT {
                self.values.push((id, value));
            }
        }
    }

    /// The settings in the HTTP2-Settings header of an upgrade (RFC 7540, section 3.2.1).
    pub(super) fn of_upgrade(header: &[u8]) -> Option<Announced> {
        let end = header.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        let payload = URL_SAFE_NO_PAD.decode(&header[..end]).ok()?;
        let mut announced = Announced::default();
        announced.take(&payload);
        Some(announced)
    }

    /// The largest frame that the other side may send.
    pub(super) fn max_frame(&self) -> u32 {
        self.value(MAX_FRAME_SIZE).map_or(DEFAULT_MAX_FRAME, |value| value.clamp(DEFAULT_MAX_FRAME, 0xff_ffff))
    }

    fn value(&self, id: u16) -> Option<u32> {
        self.values.iter().find(|(known, _)| *known == id).map(|(_, value)| *value)
    }

    /// The settings by name.
    pub(super) fn shown(&self) -> Value {
        Value::Map(self.values.iter().map(|(id, value)| (name(*id), Value::from(*value))).collect())
    }
}

/// Whether a payload can be one of SETTINGS: ids that are known have values that they may have, and
/// those that are not (anybody may send his own: grpc has 0xfe03, some send ones that mean nothing)
/// are not the most of them.
pub(super) fn are_believable(payload: &[u8]) -> bool {
    let (mut known, mut unknown) = (0u32, 0u32);
    for setting in payload.chunks_exact(6) {
        let value = number(setting, 2).unwrap_or_default();
        let lawful = match u16::from_be_bytes([setting[0], setting[1]]) {
            0 => return false,
            2 | 8 | 9 => value <= 1,
            4 => value < 1 << 31,
            5 => (DEFAULT_MAX_FRAME..1 << 24).contains(&value),
            1 | 3 | 6 => true,
            _ => {
                unknown += 1;
                continue;
            }
        };
        if !lawful {
            return false;
        }
        known += 1;
    }
    unknown <= known + 1
}

fn name(id: u16) -> Cow<'static, str> {
    Cow::Borrowed(match id {
        1 => "header_table_size",
        2 => "enable_push",
        3 => "max_concurrent_streams",
        4 => "initial_window_size",
        5 => "max_frame_size",
        6 => "max_header_list_size",
        8 => "enable_connect_protocol",
        9 => "no_rfc7540_priorities",
        _ => return Cow::Owned(format!("setting_{id}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_senders_own_are_believed_and_values_that_cannot_be_are_not() {
        let payload = |settings: &[(u16, u32)]| -> Vec<u8> {
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
        };
        let check = |settings: &[(u16, u32)], believable| {
            assert_eq!(are_believable(&payload(settings)), believable, "{settings:?}");
        };
        check(&[], true);
        // What grpc's C core sends.
        check(&[(4, 4_194_304), (5, 4_194_304), (6, 16_384), (0xfe03, 1)], true);
        check(&[(0x1a2a, 77)], true);
        check(&[(0x4000, 1), (0x4001, 1)], false);
        check(&[(0, 1)], false);
        check(&[(2, 2)], false);
        check(&[(4, 1 << 31)], false);
        check(&[(5, 100)], false);
    }

    #[test]
    fn the_settings_of_an_upgrade_are_read_with_and_without_padding() {
        for header in [&b"AAMAAABkAARAAAAAAAIAAAAA"[..], b"AAMAAABkAARAAAAAAAIAAAAA=="] {
            let announced = Announced::of_upgrade(header).unwrap();
            assert_eq!(announced.values, [(3, 100), (4, 0x4000_0000), (2, 0)]);
            assert_eq!(announced.max_frame(), 16_384);
        }
        assert!(Announced::of_upgrade(b"***").is_none());
    }
}
