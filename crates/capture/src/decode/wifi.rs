use super::wire::Wire;
use super::{Layer, Next, Unread};

const CUT: Unread = Unread::Bad("802.11: header cut off");

/// IEEE 802.11, data frames; `padded` where the header is padded to 4 bytes before its payload.
pub(super) fn read(wire: Wire<'_>, padded: bool) -> Next<'_> {
    let [control, flags] = wire.array(0).ok_or(CUT)?;
    let (kind, subtype) = ((control >> 2) & 3, control >> 4);
    if control & 3 != 0 {
        return Err(Unread::Bad("802.11: unknown version"));
    }
    match kind {
        0 => return Err(Unread::Bad("not TCP: 802.11 management")),
        1 => return Err(Unread::Bad("not TCP: 802.11 control")),
        2 => {}
        _ => return Err(Unread::Bad("not TCP: 802.11 extension")),
    }
    // Subtypes 4 to 7 and 12 to 15 carry no data.
    if subtype & 4 != 0 {
        return Err(Unread::Bad("not TCP: 802.11 frame without data"));
    }
    if flags & 0x40 != 0 {
        return Err(Unread::Bad("802.11: encrypted"));
    }
    // More fragments follow, or this is not the first one.
    let sequence = wire.little16(22).ok_or(CUT)?;
    if flags & 4 != 0 || sequence & 15 != 0 {
        return Err(Unread::Bad("802.11: fragment"));
    }
    let four_addresses = flags & 3 == 3;
    let mut header = if four_addresses { 30 } else { 24 };
    let mut aggregated = false;
    if subtype & 8 != 0 {
        aggregated = wire.byte(header).ok_or(CUT)? & 0x80 != 0;
        header += 2;
        // In a QoS frame, the order bit says that an HT control field follows.
        if flags & 0x80 != 0 {
            header += 4;
        }
    }
    if padded {
        header = header.next_multiple_of(4);
    }
    let payload = wire.skip(header).ok_or(CUT)?;
    Ok((if aggregated { Layer::WifiSubframes } else { Layer::Llc }, payload))
}

/// Frames in a frame (A-MSDU): destination, source, length, payload, padded to 4 bytes.
pub(super) fn subframes<'a>(wire: Wire<'a>, each: &mut dyn FnMut(Wire<'a>)) {
    let mut rest = wire;
    while let (Some(length), Some(inner)) = (rest.big16(12), rest.skip(14)) {
        let length = usize::from(length);
        if length == 0 {
            return;
        }
        each(inner.limit(length));
        let Some(next) = rest.skip((14 + length).next_multiple_of(4)) else { return };
        rest = next;
    }
}
