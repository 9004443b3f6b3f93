//! Header blocks of any kind, joined late and against another decoder.
#![no_main]

use l7trace_protocol::http2::hpack::{Decoder, Scratch};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    l7trace_testkit::fuzz::hpack(data);
    against_another(data);
});

/// What lies in front of each block is its length. The other decoder is asked as long as nothing is
/// malformed: it panics on some of what is.
fn against_another(data: &[u8]) {
    let (mut ours, mut theirs) = (Decoder::new(), hpack::Decoder::new());
    let (mut scratch, mut rest) = (Scratch::default(), data);
    while let Some((length, after)) = rest.split_first() {
        let (block, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let mut fields = Vec::new();
        let result = ours.decode(block, &mut scratch, |field| {
            let part = |part: Option<&[u8]>| part.map(<[u8]>::to_vec).expect("everything is known from the start");
            fields.push((part(field.name), part(field.value)));
        });
        if result.is_err() {
            return;
        }
        if begins_with_long_size(block) {
            return;
        }
        let mut others = match theirs.decode(block) {
            Ok(fields) => fields,
            // It reads no integers of six bytes.
            Err(hpack::decoder::DecoderError::IntegerDecodingError(_)) => return,
            Err(wrong) => panic!("a well-formed block does not decode: {wrong:?}"),
        };
        for (name, _) in &mut others {
            // Its static table has a shorter name at index 15.
            if name == b"accept-" {
                *name = b"accept-charset".to_vec();
            }
        }
        assert_eq!(fields, others);
    }
}

/// Whether a block begins with a table size of six bytes, on which the other decoder panics.
fn begins_with_long_size(block: &[u8]) -> bool {
    let mut rest = block;
    while let [first, after @ ..] = rest
        && first & 0xe0 == 0x20
    {
        let more = if first & 0x1f == 0x1f { after.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1 } else { 0 };
        if more > 4 {
            return true;
        }
        rest = after.get(more..).unwrap_or_default();
    }
    false
}
