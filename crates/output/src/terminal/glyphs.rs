/// Which characters can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// All of Unicode.
    #[default]
    Unicode,
    /// ASCII alone; others are spelled `\u{e9}`.
    Ascii,
}

/// The signs that the terminal's lines are made of.
#[derive(Debug)]
pub(super) struct Glyphs {
    pub(super) arrow: &'static str,
    pub(super) back: &'static str,
    pub(super) ellipsis: &'static str,
    pub(super) failed: &'static str,
    pub(super) unanswered: &'static str,
    pub(super) partial: &'static str,
    pub(super) response_only: &'static str,
    pub(super) noted: &'static str,
    /// What the request of a one-way message begins with, below the exchanges around it.
    pub(super) arrow_lead: &'static str,
    pub(super) back_lead: &'static str,
    pub(super) transaction_lead: &'static str,
    pub(super) connection: &'static str,
    pub(super) times: &'static str,
    pub(super) micro: &'static str,
    pub(super) dot: &'static str,
    pub(super) rule: &'static str,
}

static UNICODE: Glyphs = Glyphs {
    arrow: "→",
    back: "←",
    ellipsis: "…",
    failed: "✗",
    unanswered: "?",
    partial: "~",
    response_only: "<",
    noted: "!",
    arrow_lead: "  → ",
    back_lead: "  ← ",
    transaction_lead: "≡ ",
    connection: "○",
    times: "×",
    micro: "µs",
    dot: " · ",
    rule: "─",
};

static ASCII: Glyphs = Glyphs {
    arrow: ">",
    back: "<",
    ellipsis: "..",
    failed: "x",
    unanswered: "?",
    partial: "~",
    response_only: "<",
    noted: "!",
    arrow_lead: "  > ",
    back_lead: "  < ",
    transaction_lead: "= ",
    connection: "o",
    times: "x",
    micro: "us",
    dot: ", ",
    rule: "-",
};

impl Charset {
    pub(super) fn glyphs(self) -> &'static Glyphs {
        match self {
            Charset::Unicode => &UNICODE,
            Charset::Ascii => &ASCII,
        }
    }
}
