//! Tables of blocks, the differential against another decoder, and the honesty of late joins on
//! streams made at random.

use proptest::prelude::*;

use super::*;

type Field = (Option<Vec<u8>>, Option<Vec<u8>>);

fn decode(decoder: &mut Decoder, block: &[u8]) -> (Vec<Field>, Result<(), Malformed>) {
    let mut fields = Vec::new();
    let result = decoder.decode(block, &mut Scratch::default(), |field| {
        fields.push((field.name.map(<[u8]>::to_vec), field.value.map(<[u8]>::to_vec)));
    });
    (fields, result)
}

fn shown(fields: &[Field]) -> String {
    let text = |part: &Option<Vec<u8>>| part.as_ref().map_or("?".to_owned(), |part| part.escape_ascii().to_string());
    fields.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect::<Vec<_>>().join(" ")
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Decodes blocks in turn; each must give the fields shown.
#[track_caller]
fn check(mut decoder: Decoder, blocks: &[(&str, &str)]) {
    for (block, expected) in blocks {
        let (fields, result) = decode(&mut decoder, &hex(block));
        let given = match result {
            Ok(()) => shown(&fields),
            Err(malformed) => format!("{} {malformed:?}", shown(&fields)).trim_start().to_owned(),
        };
        assert_eq!(&given, expected, "{block}");
    }
}

#[test]
fn reads_the_examples_of_the_rfc() {
    check(
        Decoder::new(),
        &[
            (
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                ":method=GET :scheme=http :path=/ :authority=www.example.com",
            ),
            (
                "8286 84be 5886 a8eb 1064 9cbf",
                ":method=GET :scheme=http :path=/ :authority=www.example.com cache-control=no-cache",
            ),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                ":method=GET :scheme=https :path=/index.html :authority=www.example.com custom-key=custom-value",
            ),
        ],
    );
}

#[test]
fn what_was_indexed_before_is_unknown_until_it_is_seen_again() {
    check(
        Decoder::late(),
        &[
            // An index never seen; then an entry whose name is not known; then one seen whole.
            ("be", "?=?"),
            ("7e 01 61", "?=a"),
            ("be", "?=a"),
            ("40 01 6b 01 76", "k=v"),
            ("be bf c0", "k=v ?=a ?=?"),
            // A name from an entry that is known, one from an entry that is not.
            ("0f 2f 01 77", "k=w"),
            ("0f 31 01 77", "?=w"),
        ],
    );
}

#[test]
fn an_index_beyond_a_table_that_is_known_is_malformed() {
    check(Decoder::new(), &[("82 be", ":method=GET NoSuchEntry")]);
    check(Decoder::new(), &[("80", "NoSuchEntry")]);
    // Once the table was emptied, everything that is in it is known.
    check(Decoder::late(), &[("20 82", ":method=GET"), ("be", "NoSuchEntry")]);
}

#[test]
fn a_table_that_is_full_of_known_entries_holds_no_unknown_ones() {
    // 33 + 33 bytes known in a table of 97: there is no room for one of 32 bytes.
    check(Decoder::late(), &[("3f 42 40 00 01 61", "=a"), ("40 00 01 62", "=b"), ("be bf c0", "=b =a NoSuchEntry")]);
    // In a table of 98 there is.
    check(Decoder::late(), &[("3f 43 40 00 01 61", "=a"), ("40 00 01 62", "=b"), ("be bf c0", "=b =a ?=?")]);
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    check(Decoder::new(), &[("3f 02 40 01 61 00", "a="), ("be 40 02 61 62 00 be", "a= ab= NoSuchEntry")]);
}

#[test]
fn a_size_update_is_refused_after_a_field() {
    check(Decoder::new(), &[("82 20", ":method=GET LateSizeUpdate")]);
    check(Decoder::new(), &[("20 3f e1 1f 82", ":method=GET")]);
}

#[test]
fn a_block_made_to_be_costly_is_bounded() {
    let mut decoder = Decoder::new();
    // A name of 3,000 bytes, copied from entry to entry by two bytes each time.
    let mut block = vec![0x40, 0x7f, 0xb9, 0x16];
    block.extend_from_slice(&[b'n'; 3000]);
    block.push(0);
    for _ in 0..100_000 {
        block.extend_from_slice(&[0x7e, 0]);
    }
    let mut count = 0;
    decoder.decode(&block, &mut Scratch::default(), |_| count += 1).unwrap();
    assert_eq!(count, 100_001);
    assert!(decoder.held() < 64 << 10, "{}", decoder.held());
}

/// An encoder that makes use of everything there is, driven by numbers.
struct Encoder {
    table: Vec<(Vec<u8>, Vec<u8>)>,
    capacity: usize,
}

impl Encoder {
    fn evict(&mut self) {
        let size = |entry: &(Vec<u8>, Vec<u8>)| entry.0.len() + entry.1.len() + 32;
        while self.table.iter().map(size).sum::<usize>() > self.capacity {
            self.table.pop();
        }
    }

    /// One field by a choice: its bytes and what it decodes to.
    fn field(&mut self, choice: u8, pick: u8, text: &[u8], block: &mut Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        let place = usize::from(pick).checked_rem(self.table.len());
        match (choice % 4, place) {
            (0, Some(place)) => {
                integer(62 + place, 7, 0x80, block);
                self.table[place].clone()
            }
            (1, Some(place)) => {
                // A name from the table, inserted.
                let field = (self.table[place].0.clone(), text.to_vec());
                integer(62 + place, 6, 0x40, block);
                string(text, choice & 4 != 0, block);
                self.insert(field.clone());
                field
            }
            (2, Some(place)) => {
                let field = (self.table[place].0.clone(), text.to_vec());
                integer(62 + place, 4, if choice & 8 != 0 { 0x10 } else { 0 }, block);
                string(text, choice & 4 != 0, block);
                field
            }
            _ => {
                let field = (vec![b'n', pick], text.to_vec());
                block.push(0x40);
                string(&field.0, choice & 4 != 0, block);
                string(text, choice & 8 != 0, block);
                self.insert(field.clone());
                field
            }
        }
    }

    fn insert(&mut self, field: (Vec<u8>, Vec<u8>)) {
        self.table.insert(0, field);
        self.evict();
    }
}

fn integer(value: usize, prefix: u32, flags: u8, block: &mut Vec<u8>) {
    let most = (1usize << prefix) - 1;
    if value < most {
        block.push(flags | value as u8);
        return;
    }
    block.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

fn string(text: &[u8], coded: bool, block: &mut Vec<u8>) {
    let (bytes, flag) = if coded { (huffman::encode(text), 0x80) } else { (text.to_vec(), 0) };
    integer(bytes.len(), 7, flag, block);
    block.extend_from_slice(&bytes);
}

/// Blocks with what they decode to.
type Blocks = Vec<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)>;
type Choices = Vec<(Option<u8>, Vec<(u8, u8, Vec<u8>)>)>;

/// Blocks made at random.
fn encoded(choices: Choices) -> Blocks {
    let mut encoder = Encoder { table: Vec::new(), capacity: 4096 };
    let blocks = choices.into_iter().map(|(resize, fields)| {
        let mut block = Vec::new();
        if let Some(size) = resize {
            encoder.capacity = usize::from(size) * 16;
            encoder.evict();
            integer(encoder.capacity, 5, 0x20, &mut block);
        }
        let fields =
            fields.into_iter().map(|(choice, pick, text)| encoder.field(choice, pick, &text, &mut block)).collect();
        (block, fields)
    });
    blocks.collect()
}

fn choices() -> impl Strategy<Value = Choices> {
    let text = prop_oneof![proptest::collection::vec(32u8..127, 0..40), proptest::collection::vec(any::<u8>(), 0..12)];
    let field = (any::<u8>(), any::<u8>(), text);
    let resize = prop_oneof![3 => Just(None), 1 => any::<u8>().prop_map(Some)];
    proptest::collection::vec((resize, proptest::collection::vec(field, 0..8)), 1..20)
}

proptest! {
    #[test]
    fn whole_streams_decode_as_they_were_encoded_and_as_another_decoder_has_them(choices in choices()) {
        let (mut ours, mut other) = (Decoder::new(), hpack::Decoder::new());
        for (block, fields) in encoded(choices) {
            let (given, result) = decode(&mut ours, &block);
            prop_assert_eq!(result, Ok(()));
            let known: Vec<_> = given.into_iter().map(|(name, value)| (name.unwrap(), value.unwrap())).collect();
            prop_assert_eq!(&known, &fields);
            prop_assert_eq!(&known, &other.decode(&block).unwrap());
        }
    }

    /// From every block on, and with every block missing: right or unknown, never wrong, never an error.
    #[test]
    fn what_is_given_after_a_loss_is_right(choices in choices()) {
        let blocks = encoded(choices);
        for lost in 0..blocks.len() {
            let (mut late, mut holed) = (Decoder::late(), Decoder::new());
            for (index, (block, fields)) in blocks.iter().enumerate() {
                if index == lost {
                    holed.lose();
                } else {
                    check_honest(&mut holed, block, fields);
                }
                if index >= lost {
                    check_honest(&mut late, block, fields);
                }
            }
        }
    }

    /// A block cut anywhere gives its first fields, right.
    #[test]
    fn what_is_given_of_a_block_that_was_cut_is_right(choices in choices(), cut in any::<prop::sample::Index>()) {
        let mut decoder = Decoder::new();
        for (block, fields) in encoded(choices) {
            let mut part = Decoder::late();
            let end = cut.index(block.len() + 1);
            let (given, _) = decode(&mut part, &block[..end]);
            prop_assert!(given.len() <= fields.len());
            for (given, field) in given.iter().zip(&fields) {
                prop_assert!(is_honest(given, field));
            }
            let _ = decode(&mut decoder, &block);
        }
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..8)) {
        let (mut from_start, mut late, mut other) = (Decoder::new(), Decoder::late(), hpack::Decoder::new());
        let mut comparable = true;
        for block in blocks {
            let (fields, result) = decode(&mut from_start, &block);
            let _ = decode(&mut late, &block);
            prop_assert!(from_start.known_entries() <= 128 && from_start.held() < 1 << 16);
            // The other decoder is not asked about what is malformed: it panics on some of it.
            comparable &= result.is_ok();
            if comparable {
                let mut theirs = other.decode(&block).unwrap();
                for (name, _) in &mut theirs {
                    // Its static table has a shorter name at index 15.
                    if name == b"accept-" {
                        *name = b"accept-charset".to_vec();
                    }
                }
                let ours: Vec<_> = fields.into_iter().map(|(name, value)| (name.unwrap(), value.unwrap())).collect();
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}

fn is_honest(given: &Field, field: &(Vec<u8>, Vec<u8>)) -> bool {
    given.0.as_ref().is_none_or(|name| *name == field.0) && given.1.as_ref().is_none_or(|value| *value == field.1)
}

fn check_honest(decoder: &mut Decoder, block: &[u8], fields: &[(Vec<u8>, Vec<u8>)]) {
    let (given, result) = decode(decoder, block);
    assert_eq!(result, Ok(()), "{block:?}");
    assert_eq!(given.len(), fields.len());
    for (given, field) in given.iter().zip(fields) {
        assert!(is_honest(given, field), "{given:?} is not {field:?}");
    }
}
