//! JSON strings (RFC 8259, section 7), always valid UTF-8.

use crate::text::{Text, is_deceptive};

/// Appends `bytes` as a JSON string, quotes included. Bytes that are not UTF-8 are read as Latin-1.
///
/// Beyond what JSON asks for, characters that can deceive or move a terminal are escaped as well:
/// the string is the same to whoever parses it, and harmless to whoever prints the line.
pub(super) fn string(to: &mut Vec<u8>, bytes: &[u8]) {
    to.push(b'"');
    inside(to, bytes);
    to.push(b'"');
}

/// As [`string`], without the quotes.
#[inline]
pub(super) fn inside(to: &mut Vec<u8>, bytes: &[u8]) {
    if is_clean(bytes) {
        to.extend_from_slice(bytes);
    } else {
        escape(to, bytes);
    }
}

#[cold]
fn escape(to: &mut Vec<u8>, bytes: &[u8]) {
    match Text::of(bytes) {
        Text::Utf8(text) => escape_utf8(to, text),
        Text::Latin1(bytes) => bytes.iter().for_each(|byte| character(to, char::from(*byte))),
    }
}

fn escape_utf8(to: &mut Vec<u8>, mut text: &str) {
    loop {
        let (clean, rest) = text.split_at(clean_prefix(text.as_bytes()));
        to.extend_from_slice(clean.as_bytes());
        let mut characters = rest.chars();
        let Some(next) = characters.next() else { return };
        character(to, next);
        text = characters.as_str();
    }
}

fn character(to: &mut Vec<u8>, character: char) {
    match character {
        '"' => to.extend_from_slice(b"\\\""),
        '\\' => to.extend_from_slice(b"\\\\"),
        '\n' => to.extend_from_slice(b"\\n"),
        '\r' => to.extend_from_slice(b"\\r"),
        '\t' => to.extend_from_slice(b"\\t"),
        _ if is_deceptive(character) => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                to.extend_from_slice(b"\\u");
                let digit = |shift: u16| b"0123456789abcdef"[usize::from(*unit >> shift & 15)];
                to.extend_from_slice(&[digit(12), digit(8), digit(4), digit(0)]);
            }
        }
        _ => to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Whether all of it can be copied as it is.
#[inline]
fn is_clean(bytes: &[u8]) -> bool {
    match bytes.as_rchunks::<WORD>() {
        (rest, []) => !rest.iter().any(|byte| is_special(*byte)),
        // The first word overlaps the second where the length is no multiple of a word's.
        (_, words) => {
            let first = bytes.first_chunk::<WORD>().is_some_and(|word| has_special(*word));
            !words.iter().fold(first, |special, word| special | has_special(*word))
        }
    }
}

/// How many bytes, from the first on, can be copied as they are.
fn clean_prefix(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<WORD>();
    let clean = WORD * words.iter().take_while(|word| !has_special(**word)).count();
    let rest = &bytes[clean..];
    clean + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

/// Bytes that are looked at together.
const WORD: usize = size_of::<u64>();

/// [`is_special`] of any byte of a word: subtracting 1 (0x20) from each byte sets the high bit of
/// those that were 0 (less than 0x20), and of none else unless one of these stands below it.
#[inline]
fn has_special(word: [u8; WORD]) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    const HIGH: u64 = EACH * 0x80;
    let word = u64::from_le_bytes(word);
    let equals = |byte: u8| {
        let zero = word ^ (EACH * u64::from(byte));
        zero.wrapping_sub(EACH) & !zero
    };
    let control = word.wrapping_sub(EACH * 0x20) & !word;
    (word | control | equals(b'"') | equals(b'\\') | equals(0x7f)) & HIGH != 0
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0x7f
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let mut line = Vec::new();
        string(&mut line, bytes);
        assert_eq!(str::from_utf8(&line).unwrap(), expected);
    }

    #[test]
    fn escapes_what_must_be_escaped() {
        check(b"", r#""""#);
        check(b"/item/7?x=1", r#""/item/7?x=1""#);
        check(b"a\"b\\c/d", r#""a\"b\\c/d""#);
        check(b"\r\n\t\0\x1b[31m\x7f", r#""\r\n\t\u0000\u001b[31m\u007f""#);
        check(
            "0123456789abcdef\"0123456789abcdef é 中 🦀".as_bytes(),
            r#""0123456789abcdef\"0123456789abcdef é 中 🦀""#,
        );
        check(
            "safe\u{202e}txt.exe\u{2066}\u{200b}\u{e0041}\u{9b}".as_bytes(),
            r#""safe\u202etxt.exe\u2066\u200b\udb40\udc41\u009b""#,
        );
    }

    #[test]
    fn what_is_not_utf8_is_latin1() {
        check(b"caf\xe9 \xff", r#""café ÿ""#);
        check(b"\xc3\xa9 \xe9", r#""Ã© é""#);
    }

    #[test]
    fn a_word_is_special_where_one_of_its_bytes_is() {
        for byte in 0..=u8::MAX {
            for place in 0..WORD {
                let mut word = *b"a~ !#[]^";
                word[place] = byte;
                assert_eq!(has_special(word), is_special(byte), "{byte:#x} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_as_utf8_or_latin1(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut line = Vec::new();
            string(&mut line, &bytes);
            let expected = match String::from_utf8(bytes.clone()) {
                Ok(text) => text,
                Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
            };
            prop_assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), expected);
        }

        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let mut line = Vec::new();
            string(&mut line, text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), text);
        }
    }
}
