//! Masking (RFC 6455, 5.3).

/// Undoes (or does) the masking of bytes that begin `offset` bytes into the payload.
pub(super) fn unmask(bytes: &mut [u8], key: [u8; 4], offset: u64) {
    let turned: [u8; 4] = std::array::from_fn(|index| key[(index + (offset & 3) as usize) & 3]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_parts_as_in_whole() {
        let plain: Vec<u8> = (0..100).collect();
        let key = [1, 0x80, 0xff, 7];
        let slow: Vec<u8> = plain.iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]).collect();
        for cut in 0..plain.len() {
            let mut bytes = slow.clone();
            let (head, tail) = bytes.split_at_mut(cut);
            unmask(head, key, 0);
            unmask(tail, key, cut as u64);
            assert_eq!(bytes, plain, "cut at {cut}");
        }
    }
}
