use crate::Batch;

/// What a [`Batch`] of a live source is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A record of a kernel program; begins at a multiple of 8 bytes within the batch.
    Record(&'a [u8]),
    /// The ring had no room for some records here.
    RingFull {
        /// How many.
        records: u64,
        /// How many bytes of payload they stood for.
        bytes: u64,
    },
}

/// In the place of a record's length.
const RING_FULL: u64 = u64::MAX;

/// Appends a record.
pub(crate) fn push_record(batch: &mut Batch, record: &[u8]) {
    let end = (batch.bytes.len() + 8 + record.len()).next_multiple_of(8);
    batch.bytes.reserve(end - batch.bytes.len());
    batch.bytes.extend_from_slice(&(record.len() as u64).to_ne_bytes());
    batch.bytes.extend_from_slice(record);
    batch.bytes.resize(end, 0);
}

/// Appends that the ring was full.
pub(crate) fn push_ring_full(batch: &mut Batch, records: u64, bytes: u64) {
    for word in [RING_FULL, records, bytes] {
        batch.bytes.extend_from_slice(&word.to_ne_bytes());
    }
}

/// The frames of a batch that a [`Reader`](super::Reader) filled, in order.
pub fn frames(batch: &Batch) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = batch.bytes.as_slice();
    std::iter::from_fn(move || {
        let length = word(&mut rest)?;
        if length == RING_FULL {
            return Some(Frame::RingFull { records: word(&mut rest)?, bytes: word(&mut rest)? });
        }
        let length = usize::try_from(length).ok()?;
        let record = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(8)..)?;
        Some(Frame::Record(record))
    })
}

fn word(rest: &mut &[u8]) -> Option<u64> {
    let (word, behind) = rest.split_first_chunk::<8>()?;
    *rest = behind;
    Some(u64::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let mut batch = Batch::default();
        push_record(&mut batch, b"one");
        push_ring_full(&mut batch, 2, 300);
        push_record(&mut batch, b"");
        push_record(&mut batch, b"12345678");
        let found: Vec<Frame<'_>> = frames(&batch).collect();
        let full = Frame::RingFull { records: 2, bytes: 300 };
        assert_eq!(found, [Frame::Record(b"one"), full, Frame::Record(b""), Frame::Record(b"12345678")]);
    }
}
