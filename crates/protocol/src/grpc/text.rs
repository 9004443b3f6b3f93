/// Undoes the base64 of gRPC-Web's text form as it comes: pieces that were coded one by one and
/// put together, each with its own padding.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    bits: u32,
    /// How many digits are in `bits`: 0 to 3.
    digits: u32,
}

impl Base64 {
    /// Decodes what came next; what is no digit is passed over.
    pub(super) fn decode(&mut self, text: &[u8], mut give: impl FnMut(&[u8])) {
        let mut buffer = [0u8; 192];
        let mut filled = 0;
        for byte in text {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'=' => {
                    // Two digits make a byte, three make two; further padding finds nothing left.
                    let whole = (self.bits << (6 * (4 - self.digits))).to_be_bytes();
                    let bytes = (self.digits as usize).saturating_sub(1);
                    give(&buffer[..filled]);
                    give(&whole[1..1 + bytes]);
                    (filled, self.bits, self.digits) = (0, 0, 0);
                    continue;
                }
                _ => continue,
            };
            self.bits = self.bits << 6 | u32::from(digit);
            self.digits += 1;
            if self.digits == 4 {
                buffer[filled..filled + 3].copy_from_slice(&self.bits.to_be_bytes()[1..]);
                filled += 3;
                (self.bits, self.digits) = (0, 0);
                if filled == buffer.len() {
                    give(&buffer);
                    filled = 0;
                }
            }
        }
        give(&buffer[..filled]);
    }
}
