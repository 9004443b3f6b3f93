//! Outputs over the same records. One file or folder each, one line each in [`FORMATS`].
//!
//! Whatever an output shows of a header field or a value goes through `disclose`, the one place
//! that decides what is shown of a secret; a test holds every format of the registry to it.

mod disclose;
mod json;
#[cfg(test)]
#[allow(unreachable_pub, reason = "shared with the example")]
mod sample;
mod terminal;
mod text;

use l7trace_exchange::{Record, Redaction};

pub use json::JsonLines;
pub use terminal::{Charset, Color, Terminal, quiet_line, status_line};

/// Makes bytes of records. What is done with them (standard output, a file, a socket) is not its
/// concern.
pub trait Output: Send {
    /// Appends `record` to `to`; appends nothing for records that this output does not show.
    fn write(&mut self, record: &Record<'_>, to: &mut Vec<u8>);

    /// The terminal has this many columns now; outputs that fit no width ignore it.
    fn resize(&mut self, width: usize) {
        let _ = width;
    }
}

/// Every format, in the order in which the help names them.
pub static FORMATS: &[Format] = &[
    Format {
        name: "terminal",
        about: "one line an exchange, for people",
        is_of_lines: false,
        make: |options| terminal::make(options),
    },
    Format {
        name: "json",
        about: "one JSON object a line, for programs",
        is_of_lines: true,
        make: |options| json::make(options),
    },
];

/// One entry of [`FORMATS`].
#[derive(Clone, Copy)]
pub struct Format {
    /// What `--output` takes.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Whether what is written of a record depends on that record alone: several outputs can share
    /// the work then.
    pub is_of_lines: bool,
    make: fn(&OutputOptions) -> Box<dyn Output>,
}

impl Format {
    /// An output of this format.
    pub fn output(&self, options: &OutputOptions) -> Box<dyn Output> {
        (self.make)(options)
    }
}

/// The format of this name.
pub fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// What users may set of outputs. Each output takes what concerns it.
#[derive(Clone, Copy, Debug)]
pub struct OutputOptions {
    /// How secrets are shown.
    pub redaction: Redaction,
    /// The columns that a line may take.
    pub width: usize,
    /// Whether to colour; the caller knows whether anybody can see it.
    pub color: Color,
    /// Which characters can be shown.
    pub charset: Charset,
    /// Headers and details below each line (`-v`).
    pub verbose: bool,
    /// What was kept of bodies below each line (`--body`).
    pub bodies: bool,
    /// Whether a line with the columns' names comes first.
    pub header_line: bool,
}

impl Default for OutputOptions {
    fn default() -> OutputOptions {
        OutputOptions {
            redaction: Redaction::Redact,
            width: 100,
            color: Color::Off,
            charset: Charset::Unicode,
            verbose: false,
            bodies: false,
            header_line: true,
        }
    }
}

#[cfg(test)]
mod tests;
