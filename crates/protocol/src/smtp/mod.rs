//! SMTP (RFC 5321) and LMTP (RFC 2033), with the extensions of daily life.
//!
//! Commands and replies pair by order. What a client says after DATA, AUTH or STARTTLS means what
//! the server's reply makes of it, so it waits for that reply ([`client::Mode::Waiting`]).

mod client;
mod command;
mod mail;
mod parser;
mod recognise;
mod reply;

use crate::{Parser, Protocol, Recognition, Sample, Start};

/// The registry's entry.
pub(crate) struct Smtp;

impl Protocol for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn speaks(&self) -> &'static [&'static str] {
        &["smtp"]
    }

    fn recognise(&self, sample: &Sample<'_>) -> Recognition {
        recognise::recognise(sample)
    }

    fn parser(&self, start: Start<'_>) -> Box<dyn Parser> {
        Box::new(parser::SmtpParser::new(&start))
    }
}
