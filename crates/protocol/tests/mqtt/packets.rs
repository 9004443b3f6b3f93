//! Packets, made by hand.

/// A packet of this first byte with this body.
pub(crate) fn packet(first: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let more = length > 127;
        packet.push((length & 127) as u8 | if more { 128 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// Text behind its length.
pub(crate) fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u16).to_be_bytes()[..], text].concat()
}

/// A CONNECT of version 3.1.1 without anything but its client id.
pub(crate) fn connect(id: &str) -> Vec<u8> {
    packet(0x10, [&text("MQTT")[..], &[4, 2, 0, 60], &text(id)].concat())
}

/// The same of version 5.
pub(crate) fn connect_five(id: &str) -> Vec<u8> {
    packet(0x10, [&text("MQTT")[..], &[5, 2, 0, 60, 0], &text(id)].concat())
}

/// A CONNACK that accepts.
pub(crate) fn connack() -> Vec<u8> {
    vec![0x20, 2, 0, 0]
}

/// The same of version 5.
pub(crate) fn connack_five() -> Vec<u8> {
    vec![0x20, 3, 0, 0, 0]
}

/// A PUBLISH before version 5; with a packet id where its flags ask for one.
pub(crate) fn publish(flags: u8, topic: &str, id: u16, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let id = if flags & 6 == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    packet(0x30 | flags, [&text(topic)[..], &id, payload.as_ref()].concat())
}

/// The same of version 5.
pub(crate) fn publish_five(flags: u8, topic: &str, id: u16, properties: &[u8], payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = [&[properties.len() as u8][..], properties, payload.as_ref()].concat();
    publish(flags, topic, id, payload)
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK: a packet id alone.
pub(crate) fn acknowledge(first: u8, id: u16) -> Vec<u8> {
    packet(first, id.to_be_bytes())
}
