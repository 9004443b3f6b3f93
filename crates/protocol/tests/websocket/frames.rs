//! Frames, made by hand.

use flate2::{Compress, Compression, FlushCompress};

/// A frame of the server's.
pub(crate) fn plain(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [&head(first, payload.len(), 0)[..], payload].concat()
}

/// A frame of the client's.
pub(crate) fn masked(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let key = [0x12, 0x34, 0x56, 0x78];
    let hidden: Vec<u8> = payload.iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]).collect();
    [&head(first, payload.len(), 0x80)[..], &key, &hidden].concat()
}

fn head(first: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..126 => head.push(mask | length as u8),
        126..0x1_0000 => {
            head.push(mask | 126);
            head.extend((length as u16).to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head
}

/// A message of permessage-deflate.
pub(crate) fn deflate(state: &mut Compress, text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let mut output = Vec::with_capacity(text.len() + 1024);
    state.compress_vec(text, &mut output, FlushCompress::Sync).expect("it compresses");
    output.truncate(output.len() - 4);
    output
}

pub(crate) fn compressor() -> Compress {
    Compress::new(Compression::best(), false)
}
