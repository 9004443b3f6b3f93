//! Puts pieces of text into columns.

use unicode_width::UnicodeWidthStr;

use super::color::{Color, RESET, Style};
use super::glyphs::{Charset, Glyphs};

/// A line under construction. Everything given to it is harmless already.
pub(super) struct Canvas<'a> {
    to: &'a mut Vec<u8>,
    color: Color,
    charset: Charset,
    /// Columns taken on this line, those of `owed` included.
    column: usize,
    /// Spaces not yet written: none end a line.
    owed: usize,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(to: &'a mut Vec<u8>, color: Color, charset: Charset) -> Canvas<'a> {
        Canvas { to, color, charset, column: 0, owed: 0 }
    }

    pub(super) fn charset(&self) -> Charset {
        self.charset
    }

    pub(super) fn glyphs(&self) -> &'static Glyphs {
        self.charset.glyphs()
    }

    /// Adds text.
    pub(super) fn text(&mut self, style: Style, text: &str) {
        if text.is_empty() {
            return;
        }
        self.to.resize(self.to.len() + self.owed, b' ');
        self.owed = 0;
        let sequence = style.sequence().filter(|_| self.color == Color::On);
        if let Some(sequence) = sequence {
            self.to.extend_from_slice(sequence.as_bytes());
        }
        self.to.extend_from_slice(text.as_bytes());
        if text.chars().any(runs_leftwards) {
            // What follows is not of its run, or a terminal that orders text puts the status before it.
            self.to.extend_from_slice(LEFT_TO_RIGHT_MARK.as_bytes());
        }
        if sequence.is_some() {
            self.to.extend_from_slice(RESET.as_bytes());
        }
        self.column += width(text);
    }

    /// Goes on at this column, or at least one further than where it stands.
    pub(super) fn pad_to(&mut self, column: usize) {
        let column = if self.column == 0 { column } else { column.max(self.column + 1) };
        self.owed += column - self.column;
        self.column = column;
    }

    /// Adds text that ends before this column.
    pub(super) fn right(&mut self, end: usize, style: Style, text: &str) {
        if !text.is_empty() {
            self.pad_to(end.saturating_sub(width(text)));
            self.text(style, text);
        }
    }

    /// Ends the line.
    pub(super) fn end_line(&mut self) {
        self.to.push(b'\n');
        (self.column, self.owed) = (0, 0);
    }
}

/// Takes no column, and ends a run of letters that go from right to left.
const LEFT_TO_RIGHT_MARK: &str = "\u{200e}";

/// Whether a character is of a script that goes from right to left (Unicode's `DerivedBidiClass`, by
/// blocks).
fn runs_leftwards(character: char) -> bool {
    matches!(character,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}
