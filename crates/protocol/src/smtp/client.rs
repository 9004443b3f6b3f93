//! What a client's bytes mean at the moment, and the end of a message's data.

/// How the client's next bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As a command line.
    Command,
    /// Not yet: the server's reply to the last command decides.
    Waiting(Verdict),
    /// As the answer to a challenge of AUTH: one line of credentials.
    Credentials,
    /// As the message, up to the line with one dot.
    Data(Dots),
    /// As so many more bytes of a BDAT chunk.
    Chunk(u64),
}

/// Which command's reply is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Data,
    Authenticate,
    StartTls,
}

/// Finds the line with one dot, and takes the stuffed dots out (RFC 5321, section 4.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dots {
    /// Whether the next byte begins a line.
    line_start: bool,
    /// Whether the line before ended with CR LF, as it must before the end of the data.
    after_crlf: bool,
    /// The data so far would be at its end if a bare LF counted.
    pub(super) loose_end: bool,
    /// Bytes were lost: the end may have been among them.
    pub(super) uncertain: bool,
    pub(super) bare_lf: bool,
    /// There was a dot alone on a line that a bare LF begins or ends.
    pub(super) loose_ends: bool,
}

/// What [`Dots::next`] made of some bytes.
pub(super) enum Piece {
    /// So many bytes are content, after leaving out so many at the front (a stuffed dot).
    Content { skip: usize, length: usize },
    /// So many bytes are the end of the data.
    End(usize),
    /// More bytes are needed.
    More,
}

impl Dots {
    pub(super) fn new() -> Dots {
        Dots {
            line_start: true,
            after_crlf: true,
            loose_end: false,
            uncertain: false,
            bare_lf: false,
            loose_ends: false,
        }
    }

    /// After bytes that were not seen.
    pub(super) fn after_gap(self) -> Dots {
        Dots { line_start: false, after_crlf: false, loose_end: false, uncertain: true, ..self }
    }

    /// The next lines of `bytes` up to one that begins with a dot, or the part of one that is there.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Piece {
        if bytes.is_empty() {
            return Piece::More;
        }
        let mut skip = 0;
        if self.line_start && bytes[0] == b'.' {
            match bytes {
                [b'.', b'\r', b'\n', ..] if self.after_crlf => return Piece::End(3),
                [b'.'] | [b'.', b'\r'] => return Piece::More,
                [b'.', b'\n', ..] | [b'.', b'\r', b'\n', ..] => {
                    // An end to some servers and a line of content to others (SMTP smuggling): the
                    // server's reply tells which.
                    let length = if bytes[1] == b'\n' { 2 } else { 3 };
                    (self.bare_lf, self.loose_ends) = (true, true);
                    self.loose_end = bytes.len() == length;
                    self.after_crlf = length == 3;
                    return Piece::Content { skip: 1, length: length - 1 };
                }
                _ => skip = 1,
            }
        }
        self.loose_end = false;
        match memchr::memchr(b'\n', bytes) {
            Some(mut end) => {
                self.line_start = true;
                loop {
                    self.after_crlf = end > 0 && bytes[end - 1] == b'\r';
                    self.bare_lf |= !self.after_crlf;
                    let next_line = &bytes[end + 1..];
                    match memchr::memchr(b'\n', next_line) {
                        Some(length) if next_line[0] != b'.' => end += 1 + length,
                        _ => break,
                    }
                }
                Piece::Content { skip, length: end + 1 - skip }
            }
            // A CR at the end is kept back: whether LF follows it decides.
            None if bytes.last() == Some(&b'\r') && bytes.len() == skip + 1 => Piece::More,
            None => {
                self.line_start = false;
                let keep = usize::from(bytes.last() == Some(&b'\r'));
                Piece::Content { skip, length: bytes.len() - skip - keep }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content and what is left after the end, whole and byte by byte.
    #[track_caller]
    fn check(data: &[u8], content: &[u8], rest: Option<&[u8]>) {
        for step in [data.len(), 1, 2] {
            let (mut dots, mut given, mut at, mut ended) = (Dots::new(), Vec::new(), 0, None);
            let mut until = 0;
            while until < data.len() && ended.is_none() {
                until = (until + step).min(data.len());
                loop {
                    match dots.next(&data[at..until]) {
                        Piece::Content { skip, length } => {
                            given.extend_from_slice(&data[at + skip..at + skip + length]);
                            at += skip + length;
                        }
                        Piece::End(length) => {
                            ended = Some(&data[at + length..]);
                            break;
                        }
                        Piece::More => break,
                    }
                }
            }
            assert_eq!(given.escape_ascii().to_string(), content.escape_ascii().to_string(), "step {step}");
            assert_eq!(ended, rest, "step {step}");
        }
    }

    #[test]
    fn dots() {
        check(b"a\r\n.\r\nQUIT", b"a\r\n", Some(b"QUIT"));
        check(b".\r\n", b"", Some(b""));
        check(b"..a\r\n.b\r\n.\r\n", b".a\r\nb\r\n", Some(b""));
        check(b"a\n.\nb\r\n.\r\n", b"a\n\nb\r\n", Some(b""));
        check(b"a\n.\r\nb\r\n.\r\n", b"a\n\r\nb\r\n", Some(b""));
        check(b"a\rb\r\r\n.\r\n", b"a\rb\r\r\n", Some(b""));
        check(b"no end", b"no end", None);
    }
}
