/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// With the terminal's own sixteen colours, so that its theme holds.
    On,
    /// Plain text.
    #[default]
    Off,
}

/// What a piece of text is, to the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// Of less worth.
    Dim,
    /// Of more worth.
    Bold,
    /// It went well.
    Good,
    /// It went elsewhere: redirections.
    Elsewhere,
    /// Somebody should look.
    Warning,
    /// It went wrong.
    Bad,
    /// One-way messages.
    OneWay,
}

impl Style {
    /// The sequence that begins it (ECMA-48, SGR); none for plain text.
    pub(super) fn sequence(self) -> Option<&'static str> {
        match self {
            Style::Plain => None,
            Style::Dim => Some("\x1b[2m"),
            Style::Bold => Some("\x1b[1m"),
            Style::Good => Some("\x1b[32m"),
            Style::Elsewhere => Some("\x1b[36m"),
            Style::Warning => Some("\x1b[33m"),
            Style::Bad => Some("\x1b[1;31m"),
            Style::OneWay => Some("\x1b[35m"),
        }
    }
}

/// What ends every style.
pub(super) const RESET: &str = "\x1b[0m";
