//! Whether text that comes in pieces is UTF-8.

/// A check of text, piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character that the last piece broke off in.
    carried: [u8; 4],
    count: usize,
    broken: bool,
}

impl Utf8 {
    /// Takes the next piece.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !self.broken && self.count > 0 && !bytes.is_empty() {
            self.carried[self.count] = bytes[0];
            self.count += 1;
            bytes = &bytes[1..];
            match std::str::from_utf8(&self.carried[..self.count]) {
                Ok(_) => self.count = 0,
                // A character has at most four bytes, so an unfinished one leaves room for a next.
                Err(wrong) => self.broken = wrong.error_len().is_some() || self.count == self.carried.len(),
            }
        }
        if self.broken || bytes.is_empty() {
            return;
        }
        if let Err(wrong) = std::str::from_utf8(bytes) {
            let rest = &bytes[wrong.valid_up_to()..];
            self.broken = wrong.error_len().is_some();
            if !self.broken {
                self.count = rest.len().min(3);
                self.carried[..self.count].copy_from_slice(&rest[..self.count]);
            }
        }
    }

    /// Whether something that is not UTF-8 came.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the text breaks off within a character.
    pub(super) fn is_unfinished(&self) -> bool {
        self.count > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_anywhere() {
        let check = |bytes: &[u8], broken: bool, unfinished: bool| {
            for cut in 0..=bytes.len() {
                for other in cut..=bytes.len() {
                    let mut utf8 = Utf8::default();
                    for piece in [&bytes[..cut], &bytes[cut..other], &bytes[other..]] {
                        utf8.push(piece);
                    }
                    assert_eq!((utf8.is_broken(), utf8.is_unfinished() && !broken), (broken, unfinished), "{bytes:?}");
                }
            }
        };
        check("aé€😀".as_bytes(), false, false);
        check(&"a😀".as_bytes()[..4], false, true);
        check(b"a\xffb", true, false);
        check(b"a\xe2\x28\xa1", true, false);
        check(b"\xed\xa0\x80", true, false);
        check(b"\xf4\x90\x80\x80", true, false);
    }
}
