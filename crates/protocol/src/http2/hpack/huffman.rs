use super::Malformed;

/// Decodes a Huffman-coded string (RFC 7541, section 5.2) into the beginning of `out`, which grows
/// to what that needs and never shrinks: how many bytes of it were written.
///
/// Twelve bits are looked up at once, which hold two symbols of most texts; codes longer than that
/// (none of printable text but `<`, `{` and their like) are found by their length.
#[inline]
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
    // The shortest code has five bits; a lookup may write one byte beyond what it decoded.
    let most = coded.len() * 8 / 5 + 2;
    if out.len() < most {
        out.resize(most, 0);
    }
    let out = &mut out[..most];
    let mut written = 0;
    let mut next = 0;
    // The next bits are the highest `held` of `bits`; below them are zeros, or the bits that follow.
    let (mut bits, mut held) = (0u64, 0u32);
    while let Some(eight) = coded[next..].first_chunk::<8>() {
        bits |= u64::from_be_bytes(*eight) >> held;
        next += ((63 - held) / 8) as usize;
        held |= 56;
        // At least 56 bits are there for four lookups of 12: a loop that ends now here, now there
        // costs more than a symbol.
        for _ in 0..4 {
            let entry = LOOKUP[(bits >> (64 - LOOKUP_BITS)) as usize];
            if entry.count() == 0 {
                if held >= LONGEST {
                    let (symbol, length) = long_symbol(bits)?;
                    *out.get_mut(written).ok_or(Malformed::Huffman)? = symbol;
                    written += 1;
                    bits <<= length;
                    held -= length;
                }
                break;
            }
            // Both bytes are written, whether or not the second one counts.
            let Some(place) = out.get_mut(written..written + 2) else { return Err(Malformed::Huffman) };
            place.copy_from_slice(&entry.symbols());
            written += entry.count();
            bits <<= entry.bits();
            held -= entry.bits();
        }
    }
    let left = coded.len() - next;
    tail(last_bytes(coded, left), 8 * left as u32, bits, held, out, written)
}

/// The last `count` bytes, fewer than eight, as the highest bits. By a few loads that may overlap, as
/// most strings are short and copying them first costs more than decoding a symbol.
#[inline]
fn last_bytes(coded: &[u8], count: usize) -> u64 {
    if count == 0 {
        return 0;
    }
    if let Some(eight) = coded.last_chunk::<8>() {
        return u64::from_be_bytes(*eight) << (64 - 8 * count);
    }
    // All of it is the last of it.
    match (coded.first_chunk::<4>(), coded.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_be_bytes(*first)) << 32 | u64::from(u32::from_be_bytes(*last)) << (64 - 8 * count)
        }
        _ => {
            let byte = |place: usize| coded.get(place).map_or(0, |byte| u64::from(*byte) << (56 - 8 * place));
            byte(0) | byte(count / 2) | byte(count - 1)
        }
    }
}

/// Decodes the last bytes, of which there are `last_bits` bits, and the `held` bits before them.
#[inline]
fn tail(
    last: u64,
    last_bits: u32,
    mut bits: u64,
    mut held: u32,
    out: &mut [u8],
    mut written: usize,
) -> Result<usize, Malformed> {
    let mut fed = 0;
    loop {
        if fed < last_bits {
            let taken = (u64::BITS - held).min(last_bits - fed);
            bits |= last << fed >> held;
            (fed, held) = (fed + taken, held + taken);
        }
        // As long as more is to come, a symbol of any length is all there.
        let least = if fed < last_bits { LONGEST } else { LOOKUP_BITS };
        while held >= least {
            let entry = LOOKUP[(bits >> (64 - LOOKUP_BITS)) as usize];
            let taken = if entry.count() > 0 {
                let Some(place) = out.get_mut(written..written + 2) else { return Err(Malformed::Huffman) };
                place.copy_from_slice(&entry.symbols());
                written += entry.count();
                entry.bits()
            } else {
                let (symbol, length) = long_symbol(bits)?;
                *out.get_mut(written).ok_or(Malformed::Huffman)? = symbol;
                written += 1;
                length
            };
            // A code that needs bits beyond the end is none.
            held = held.checked_sub(taken).ok_or(Malformed::Huffman)?;
            bits <<= taken;
        }
        if fed == last_bits {
            break;
        }
    }
    // Behind the end are ones, as is padding, of which there are fewer than eight.
    bits |= u64::MAX >> held;
    while held >= 8 || bits != u64::MAX {
        let entry = LOOKUP[(bits >> (64 - LOOKUP_BITS)) as usize];
        let (symbol, length) =
            if entry.count() == 0 { long_symbol(bits)? } else { (entry.symbols()[0], entry.first_bits()) };
        held = held.checked_sub(length).ok_or(Malformed::Huffman)?;
        *out.get_mut(written).ok_or(Malformed::Huffman)? = symbol;
        written += 1;
        bits = bits << length | ((1 << length) - 1);
    }
    Ok(written)
}

/// The symbol, of more than [`LOOKUP_BITS`] bits, that `bits` begin with, and its length. EOS must
/// not occur (section 5.2).
fn long_symbol(bits: u64) -> Result<(u8, u32), Malformed> {
    for length in LOOKUP_BITS + 1..=LONGEST {
        let beyond_first = ((bits >> (64 - length)) as u32).wrapping_sub(CODES.first[length as usize]);
        if beyond_first < CODES.count[length as usize] {
            let symbol = CODES.symbols[(CODES.before[length as usize] + beyond_first) as usize];
            return u8::try_from(symbol).map(|symbol| (symbol, length)).map_err(|_| Malformed::Huffman);
        }
    }
    Err(Malformed::Huffman)
}

const LOOKUP_BITS: u32 = 12;
const LONGEST: u32 = 30;

/// From the lowest bit on: what all symbols take (eight bits: what they are shifted by), what the first
/// takes (four), how many symbols there are (four; 0 where the code is longer than the lookup), and two
/// symbols.
#[derive(Clone, Copy)]
struct Lookup(u32);

impl Lookup {
    const fn new(symbols: [u8; 2], count: u32, first_bits: u32, bits: u32) -> Lookup {
        Lookup(bits | first_bits << 8 | count << 12 | (symbols[0] as u32) << 16 | (symbols[1] as u32) << 24)
    }

    #[inline]
    fn symbols(self) -> [u8; 2] {
        ((self.0 >> 16) as u16).to_le_bytes()
    }

    #[inline]
    fn count(self) -> usize {
        (self.0 >> 12 & 15) as usize
    }

    #[inline]
    fn first_bits(self) -> u32 {
        self.0 >> 8 & 15
    }

    /// At most twelve; the mask costs nothing where it is shifted by.
    #[inline]
    fn bits(self) -> u32 {
        self.0 & 63
    }
}

static LOOKUP: [Lookup; 1 << LOOKUP_BITS] = lookup_table();
static CODES: Codes = codes();

/// The code is canonical: the codes of a length are consecutive, in the order of their symbols.
struct Codes {
    /// By length: the first code.
    first: [u32; LONGEST as usize + 1],
    /// By length: how many codes.
    count: [u32; LONGEST as usize + 1],
    /// By length: how many codes are shorter.
    before: [u32; LONGEST as usize + 1],
    /// By length, then by value.
    symbols: [u16; 257],
}

const fn codes() -> Codes {
    let mut codes = Codes { first: [0; 31], count: [0; 31], before: [0; 31], symbols: [0; 257] };
    let (mut placed, mut code, mut length) = (0, 0, 1);
    while length <= LONGEST as usize {
        code <<= 1;
        codes.first[length] = code;
        codes.before[length] = placed;
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[placed as usize] = symbol as u16;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        codes.count[length] = placed - codes.before[length];
        length += 1;
    }
    codes
}

const fn lookup_table() -> [Lookup; 1 << LOOKUP_BITS] {
    let codes = codes();
    let mut table = [Lookup(0); 1 << LOOKUP_BITS];
    let mut index = 0;
    while index < table.len() {
        let (mut symbols, mut count, mut first_bits, mut bits) = ([0; 2], 0, 0, 0);
        while count < 2 {
            let (symbol, length) = short_symbol(&codes, index as u32, LOOKUP_BITS - bits);
            if length == 0 {
                break;
            }
            symbols[count as usize] = symbol;
            bits += length as u32;
            if count == 0 {
                first_bits = length as u32;
            }
            count += 1;
        }
        table[index] = Lookup::new(symbols, count, first_bits, bits);
        index += 1;
    }
    table
}

/// The symbol at the beginning of the lowest `available` bits of `bits`, and its length; 0 where
/// they hold no whole code.
const fn short_symbol(codes: &Codes, bits: u32, available: u32) -> (u8, u8) {
    let mut length = 5;
    while length <= available {
        let code = (bits >> (available - length)) & ((1 << length) - 1);
        let beyond_first = code.wrapping_sub(codes.first[length as usize]);
        if beyond_first < codes.count[length as usize] {
            return (codes.symbols[(codes.before[length as usize] + beyond_first) as usize] as u8, length as u8);
        }
        length += 1;
    }
    (0, 0)
}

/// By symbol, the length of its code in bits (RFC 7541, appendix B); the last is EOS.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// Codes a string, for tests: the inverse of [`decode`].
#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let mut bits = Vec::new();
    for byte in text {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        let group = CODES.before[length as usize] as usize..;
        let place = CODES.symbols[group].iter().position(|symbol| *symbol == u16::from(*byte)).unwrap() as u32;
        let code = CODES.first[length as usize] + place;
        bits.extend((0..length).rev().map(|bit| (code >> bit) as u8 & 1));
    }
    while bits.len() % 8 != 0 {
        bits.push(1);
    }
    bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        let length = decode(coded, &mut out)?;
        Ok(out[..length].to_vec())
    }

    #[test]
    fn the_code_is_complete() {
        let kraft: u64 = LENGTHS.iter().map(|length| 1u64 << (30 - length)).sum();
        assert_eq!(kraft, 1 << 30);
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&coded).unwrap(), b"www.example.com");
        assert_eq!(decoded(&[0xae, 0xc3, 0x77, 0x1a, 0x4b]).unwrap(), b"private");
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn every_byte_in_every_place_comes_back() {
        for length in 0..40usize {
            for first in 0..=255u8 {
                let text: Vec<u8> = (0..length)
                    .map(|at| if at % 3 == 0 { first.wrapping_mul(at as u8 + 1) } else { b'a' + first % 26 })
                    .collect();
                assert_eq!(decoded(&encode(&text)).as_deref(), Ok(&text[..]), "{text:?}");
            }
        }
    }

    #[test]
    fn refuses_wrong_padding_and_the_end_symbol() {
        for coded in [&[0xff][..], &[0xff, 0xff, 0xff, 0xff], &[0x00], &[0x1f, 0xff], &[0xff; 64], &[0x18]] {
            assert_eq!(decoded(coded), Err(Malformed::Huffman), "{coded:?}");
        }
        // '0' and seven ones are no padding of fewer than eight bits and no code.
        assert!(decoded(&[0x07]).is_ok(), "one symbol and three ones");
    }
}
