//! What is shown of secrets: the one place that decides it.

use std::fmt;

use l7trace_exchange::Redaction;
use l7trace_protocol::{Field, Message};

/// What an output may show. Outputs read header fields and [`l7trace_protocol::Value::Secret`]
/// through it and nowhere else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disclosure(Redaction);

/// What is shown of something that may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// Itself.
    Plain(&'a [u8]),
    /// How long it is, in bytes.
    Redacted(usize),
}

impl Disclosure {
    pub(crate) fn new(redaction: Redaction) -> Disclosure {
        Disclosure(redaction)
    }

    /// The name and the value of a field, each where it is known.
    pub(crate) fn field<'m>(self, message: &'m Message, field: &Field) -> (Option<&'m [u8]>, Option<Shown<'m>>) {
        let value = message.text_of(field.value);
        let shown = value.map(|value| if field.secret { self.secret(value) } else { Shown::Plain(value) });
        (message.text_of(field.name), shown)
    }

    /// A secret.
    pub(crate) fn secret(self, bytes: &[u8]) -> Shown<'_> {
        match self.0 {
            Redaction::Redact => Shown::Redacted(bytes.len()),
            Redaction::Show => Shown::Plain(bytes),
        }
    }
}

/// What stands in place of a secret of so many bytes.
pub(crate) struct Placeholder(pub(crate) usize);

/// `<redacted: 42 bytes>`.
impl fmt::Display for Placeholder {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "<redacted: {} bytes>", self.0)
    }
}
