//! HTTP/2 frames for scripts.

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// DATA and HEADERS: the sender's last frame of the stream.
pub const END_STREAM: u8 = 0x1;
/// HEADERS, PUSH_PROMISE and CONTINUATION: the header block ends.
pub const END_HEADERS: u8 = 0x4;
/// DATA, HEADERS and PUSH_PROMISE: padded.
pub const PADDED: u8 = 0x8;

/// A frame of any type.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// SETTINGS, of ids and values.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        values.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(4, 0, 0, payload)
}

/// SETTINGS with ACK.
pub fn settings_ack() -> Vec<u8> {
    frame(4, 1, 0, [])
}

/// HEADERS with a whole block.
pub fn headers(stream: u32, end_stream: bool, block: impl AsRef<[u8]>) -> Vec<u8> {
    frame(1, END_HEADERS | if end_stream { END_STREAM } else { 0 }, stream, block)
}

/// DATA without padding.
pub fn data(stream: u32, end_stream: bool, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0, if end_stream { END_STREAM } else { 0 }, stream, payload)
}

/// RST_STREAM.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, code.to_be_bytes())
}

/// GOAWAY.
pub fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// WINDOW_UPDATE.
pub fn window_update(stream: u32, step: u32) -> Vec<u8> {
    frame(8, 0, stream, step.to_be_bytes())
}

/// A header block of literals that are not indexed.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0x00, name, value)).collect()
}

/// A header block of literals that are added to the dynamic table.
pub fn indexed_block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0x40, name, value)).collect()
}

/// A length-prefixed gRPC message.
pub fn grpc_message(compressed: bool, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = vec![u8::from(compressed)];
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn literal(first: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![first];
    for text in [name, value] {
        let mut rest = text.len();
        if rest < 127 {
            bytes.push(rest as u8);
        } else {
            bytes.push(127);
            rest -= 127;
            while rest >= 128 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}
