//! Makes text harmless, and shows what was made harmless.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

use super::glyphs::Charset;
use crate::text::{Text, is_deceptive};

/// So many marks may sit on one character; more are spelled.
const MOST_MARKS: usize = 3;

/// Appends bytes as text in which every character is visible and stays in its place: no controls,
/// no escape sequences, nothing that reorders or hides its neighbours. Control characters become
/// their pictures (`␛`), others are spelled (`\u{202e}`). Bytes that are not UTF-8 are Latin-1.
pub(super) fn sanitise(bytes: &[u8], charset: Charset, to: &mut String) {
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        // ASCII is UTF-8.
        to.push_str(str::from_utf8(bytes).unwrap_or_default());
        return;
    }
    // At the beginning there is nothing that a mark could sit on.
    let mut marks = MOST_MARKS;
    Text::of(bytes).for_each(|character| {
        let is_mark = character.width() == Some(0);
        if is_deceptive(character)
            || (is_mark && marks == MOST_MARKS)
            || (charset == Charset::Ascii && !character.is_ascii())
        {
            spell(character, charset, to);
            marks = MOST_MARKS;
            return;
        }
        marks = if is_mark { marks + 1 } else { 0 };
        to.push(character);
    });
}

/// As [`sanitise`].
pub(super) fn sanitised(bytes: &[u8], charset: Charset) -> String {
    let mut text = String::with_capacity(bytes.len());
    sanitise(bytes, charset, &mut text);
    text
}

fn spell(character: char, charset: Charset, to: &mut String) {
    let picture = match character {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)),
        '\x7f' => Some('\u{2421}'),
        _ => None,
    };
    match picture {
        Some(picture) if charset == Charset::Unicode => to.push(picture),
        // Writing to a string does not fail.
        _ => drop(write!(to, "\\u{{{:x}}}", u32::from(character))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: impl AsRef<[u8]>, unicode: &str, ascii: &str) {
        assert_eq!(sanitised(bytes.as_ref(), Charset::Unicode), unicode);
        assert_eq!(sanitised(bytes.as_ref(), Charset::Ascii), ascii);
    }

    #[test]
    fn makes_text_harmless_and_says_so() {
        check("/item/7?x=1", "/item/7?x=1", "/item/7?x=1");
        check("\x1b[2J\x07\r\n\t\x7f", "␛[2J␇␍␊␉␡", r"\u{1b}[2J\u{7}\u{d}\u{a}\u{9}\u{7f}");
        check("\u{9b}31m", r"\u{9b}31m", r"\u{9b}31m");
        check(b"caf\xe9\x9b", r"café\u{9b}", r"caf\u{e9}\u{9b}");
        check(
            "gpj\u{202e}exe\u{2066}a\u{200b}b\u{feff}",
            r"gpj\u{202e}exe\u{2066}a\u{200b}b\u{feff}",
            r"gpj\u{202e}exe\u{2066}a\u{200b}b\u{feff}",
        );
        check("検索", "検索", r"\u{691c}\u{7d22}");
        // A mark that sits on nothing, and too many on one character.
        check("\u{301}e\u{301}", "\\u{301}e\u{301}", r"\u{301}e\u{301}");
        check("e\u{301}\u{301}\u{301}\u{301}", "e\u{301}\u{301}\u{301}\\u{301}", r"e\u{301}\u{301}\u{301}\u{301}");
    }

    proptest! {
        #[test]
        fn nothing_deceptive_is_left(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            for bytes in [text.as_bytes(), &bytes] {
                for charset in [Charset::Unicode, Charset::Ascii] {
                    let harmless = sanitised(bytes, charset);
                    prop_assert!(!harmless.chars().any(|character| character.is_control() || is_deceptive(character)));
                }
                prop_assert!(sanitised(bytes, Charset::Ascii).is_ascii());
            }
        }
    }
}
