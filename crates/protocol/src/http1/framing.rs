//! How long a message's body is (RFC 9112, section 6.3).

use super::head::{Fields, Length, Transfer};
use crate::Message;

/// What delimits a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// The end of the connection.
    UntilClose,
}

/// The framing of a request.
pub(super) fn of_request(fields: &Fields, message: &mut Message) -> Framing {
    match by_fields(fields, message) {
        Some(framing) => framing,
        None if fields.transfer == Transfer::Other => {
            message.note("Transfer-Encoding does not end in chunked: body not known, taken as none");
            Framing::None
        }
        None => Framing::None,
    }
}

/// The framing of a response with this status code; `bodyless`: by the method that it answers.
pub(super) fn of_response(fields: &Fields, code: u16, bodyless: bool, message: &mut Message) -> Framing {
    if bodyless || matches!(code, 100..=199 | 204 | 304) {
        // What the fields say is of a body that does not come.
        return Framing::None;
    }
    by_fields(fields, message).unwrap_or(Framing::UntilClose)
}

fn by_fields(fields: &Fields, message: &mut Message) -> Option<Framing> {
    if fields.lengths == 0 && fields.transfer == Transfer::Absent {
        return None;
    }
    match fields.length {
        Length::Conflicting(last) => {
            message.note(format!("conflicting Content-Length: {last} counts; possible request smuggling"));
        }
        Length::Known(_) if fields.lengths > 1 => message.note("several Content-Length headers that agree"),
        Length::Invalid => message.note("Content-Length is no number: ignored"),
        _ => {}
    }
    let length = match fields.length {
        Length::Known(length) | Length::Conflicting(length) => Some(Framing::Length(length)),
        Length::Absent | Length::Invalid => None,
    };
    match fields.transfer {
        Transfer::Absent => length,
        Transfer::Chunked | Transfer::CodedChunked => {
            if fields.lengths > 0 {
                message.note("both Transfer-Encoding and Content-Length: chunked counts; possible request smuggling");
            }
            Some(Framing::Chunked)
        }
        Transfer::Identity => length,
        Transfer::Other if length.is_some() => {
            message.note("Transfer-Encoding does not end in chunked: Content-Length counts");
            length
        }
        Transfer::Other => None,
    }
}
