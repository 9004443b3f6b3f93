//! Making text of what a stranger sent.

/// Bytes as text: UTF-8 where all of them are, else Latin-1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Text<'a> {
    /// Valid UTF-8.
    Utf8(&'a str),
    /// Each byte is a character.
    Latin1(&'a [u8]),
}

impl<'a> Text<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Text<'a> {
        match str::from_utf8(bytes) {
            Ok(text) => Text::Utf8(text),
            Err(_) => Text::Latin1(bytes),
        }
    }

    /// Its characters.
    pub(crate) fn for_each(self, mut each: impl FnMut(char)) {
        match self {
            Text::Utf8(text) => text.chars().for_each(each),
            Text::Latin1(bytes) => bytes.iter().for_each(|byte| each(char::from(*byte))),
        }
    }
}

/// A body as text, where it is UTF-8; a character that the cut of a truncated body went through is
/// left out.
pub(crate) fn body_text(body: &[u8], truncated: bool) -> Option<&str> {
    match str::from_utf8(body) {
        Ok(text) => Some(text),
        // No error length: the end came in the middle of a character.
        Err(error) if truncated && error.error_len().is_none() => {
            body.get(..error.valid_up_to()).and_then(|whole| str::from_utf8(whole).ok())
        }
        Err(_) => None,
    }
}

/// Whether a character must not reach a screen as it is: controls, and what is invisible or
/// reorders its neighbours and so makes text look like what it is not.
pub(crate) fn is_deceptive(character: char) -> bool {
    match character {
        ' '..='~' => false,
        // C0, DEL, C1.
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
        '\u{a0}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' => false,
        // Soft hyphen, grapheme joiner, Arabic letter mark, Hangul and Khmer fillers.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        // Mongolian selectors and vowel separator.
        '\u{180b}'..='\u{180f}' => true,
        // Zero-width spaces and joiners, directional marks; line and paragraph separators,
        // embeddings and overrides; invisible operators, isolates.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // Hangul filler, variation selectors, byte order mark, half-width filler, annotations.
        '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => true,
        // Shorthand and musical format characters, tags and variation selectors.
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}
