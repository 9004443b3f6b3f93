use flate2::{Decompress, FlushDecompress, Status};

/// Inflates the messages of one direction one after another, each with the window that the ones
/// before left behind (permessage-deflate, RFC 7692).
pub(crate) struct Inflater {
    state: Box<Decompress>,
    /// How much the current message has given.
    given: usize,
    broken: bool,
}

/// A message that grows beyond this is a bomb: the window is given up rather than the time.
const MOST_OUTPUT: usize = 64 << 20;

impl Inflater {
    /// With an empty window.
    pub(crate) fn new() -> Inflater {
        Inflater { state: Box::new(Decompress::new(false)), given: 0, broken: false }
    }

    /// Inflates the next part of a message, keeping up to `limit` bytes of the whole message in
    /// `output` (what is beyond is inflated for the window's sake and dropped). False where it is
    /// broken: nothing more can be told until [`Inflater::reset`].
    pub(crate) fn push(&mut self, mut compressed: &[u8], limit: usize, output: &mut Vec<u8>) -> bool {
        let mut piece = [0; 4096];
        while !self.broken {
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(compressed, &mut piece, FlushDecompress::Sync);
            let taken = (self.state.total_in() - taken) as usize;
            let given = (self.state.total_out() - given) as usize;
            compressed = &compressed[taken..];
            let keep = given.min(limit.saturating_sub(output.len()));
            output.extend_from_slice(&piece[..keep]);
            self.given += given;
            match status {
                // A message may end its stream; the next one then begins another.
                Ok(Status::StreamEnd) => self.state.reset(false),
                Ok(_) if taken == 0 && given == 0 => break,
                Ok(_) => {}
                Err(_) => self.broken = true,
            }
            self.broken |= self.given > MOST_OUTPUT;
        }
        !self.broken
    }

    /// Ends a message: adds the four bytes that its sender left out (section 7.2.2).
    pub(crate) fn end_message(&mut self, limit: usize, output: &mut Vec<u8>) -> bool {
        let holds = self.push(&[0, 0, 0xff, 0xff], limit, output);
        self.given = 0;
        holds
    }

    /// How much the current message has given so far, kept or not.
    pub(crate) fn given(&self) -> usize {
        self.given
    }

    /// Empties the window: between messages where no context is taken over, and after a gap.
    pub(crate) fn reset(&mut self) {
        self.state.reset(false);
        self.given = 0;
        self.broken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    #[test]
    fn messages_share_a_window() {
        let mut compress = Compress::new(Compression::best(), false);
        let mut inflater = Inflater::new();
        for round in 0..3 {
            let mut compressed = Vec::with_capacity(4096);
            compress.compress_vec(b"the same words again and again", &mut compressed, FlushCompress::Sync).unwrap();
            assert_eq!(compressed.split_off(compressed.len() - 4), [0, 0, 0xff, 0xff]);
            assert!(round == 0 || compressed.len() < 10, "from the window");
            let mut output = Vec::new();
            for byte in compressed {
                assert!(inflater.push(&[byte], 8, &mut output));
            }
            assert!(inflater.end_message(8, &mut output));
            assert_eq!(output, b"the same");
        }
    }

    #[test]
    fn breaks_until_reset() {
        let mut inflater = Inflater::new();
        let mut output = Vec::new();
        assert!(!inflater.push(&[0xff; 20], 100, &mut output));
        assert!(!inflater.push(&[0], 100, &mut output));
        inflater.reset();
        assert!(inflater.push(&[0x4b, 0x04, 0x00], 100, &mut output));
        assert_eq!(output, b"a");
    }
}
