//! From a header block to a message's fields, and what they say.

use super::hpack::{DecodedField, Decoder, Malformed, Scratch};
use crate::secrets::is_secret_field;
use crate::{Field, Message, Span};

/// What was seen while a block's fields were added to a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Whether a part of some field is not known.
    pub(super) unknown: bool,
    /// Whether fields were left out, as the list was longer than the limit.
    pub(super) overlong: bool,
    /// Whether a pseudo-header is among them.
    pub(super) pseudo: bool,
    /// Whether the first field is known to be none.
    pub(super) begins_regular: bool,
    /// How many there were.
    pub(super) fields: usize,
}

/// The note of a message of which a field is not known whole.
pub(super) const UNKNOWN_ENTRY: &str = "unknown: table entry from before tracing";

/// Decodes a block into the message's headers, up to `limit` bytes of fields (counted as for
/// SETTINGS_MAX_HEADER_LIST_SIZE).
pub(super) fn collect(
    decoder: &mut Decoder,
    scratch: &mut Scratch,
    block: &[u8],
    message: &mut Message,
    limit: usize,
) -> (Head, Result<(), Malformed>) {
    let mut head = Head::default();
    let mut size = 0usize;
    let result = decoder.decode(block, scratch, |field| {
        head.unknown |= field.name.is_none() || field.value.is_none();
        match field.name {
            Some(name) if name.starts_with(b":") => head.pseudo = true,
            Some(_) if head.fields == 0 => head.begins_regular = true,
            _ => {}
        }
        head.fields += 1;
        size = size.saturating_add(field.name.map_or(0, <[u8]>::len) + field.value.map_or(0, <[u8]>::len) + 32);
        if size > limit {
            head.overlong = true;
        } else {
            message.add_header(field.name, field.value, is_secret(&field));
        }
    });
    scratch.trim();
    (head, result)
}

/// Sets what a request's fields say of operation, resource and host.
pub(super) fn apply_request(message: &mut Message) {
    let method = value_of(message, b":method");
    let authority = value_of(message, b":authority");
    let is_connect = message.text_of(method) == Some(b"CONNECT");
    let tunnels = is_connect && value_of(message, b":protocol").is_none();
    message.operation = method;
    message.resource = if tunnels { authority } else { value_of(message, b":path") };
    message.host = authority.or_else(|| value_of(message, b"host"));
}

/// Sets what a response's fields say of status and failure.
pub(super) fn apply_response(message: &mut Message) {
    message.status = value_of(message, b":status");
    message.failed = matches!(message.text_of(message.status), Some([b'5', _, _]));
}

/// The value of the first header field of this name, which is in lower case.
pub(super) fn value_of(message: &Message, name: &[u8]) -> Option<Span> {
    value_in(message, &message.headers, name)
}

/// The value of the first of `fields` of this name.
pub(super) fn value_in(message: &Message, fields: &[Field], name: &[u8]) -> Option<Span> {
    let field = fields.iter().find(|field| message.text_of(field.name) == Some(name))?;
    field.value
}

/// Whether the field is, or with its name unknown may well be, a credential.
fn is_secret(field: &DecodedField<'_>) -> bool {
    match (field.name, field.value) {
        (Some(name), _) => is_secret_field(name),
        (None, Some(value)) => field.never_indexed || looks_secret(value),
        (None, None) => false,
    }
}

/// Whether a value of unknown name looks like that of an Authorization or Cookie field.
fn looks_secret(value: &[u8]) -> bool {
    const SCHEMES: [&[u8]; 8] =
        [b"basic ", b"bearer ", b"digest ", b"negotiate ", b"ntlm ", b"aws4-", b"hawk ", b"token "];
    const DIRECTIVES: [&[u8]; 6] = [b"max-age", b"s-maxage", b"q", b"charset", b"u", b"boundary"];
    let begins = |scheme: &&[u8]| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if SCHEMES.iter().any(begins) {
        return true;
    }
    let Some(equals) = memchr::memchr(b'=', value) else { return false };
    let name = &value[..equals];
    let is_token =
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!$%&*+~^`'#|".contains(byte));
    is_token && !DIRECTIVES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_unknown_name_are_secret_where_they_look_it() {
        for secret in [&b"Bearer abc"[..], b"basic QWxhZGRpbg==", b"sid=123; theme=dark", b"_ga=1"] {
            assert!(looks_secret(secret), "{}", secret.escape_ascii());
        }
        for open in [&b"text/html; charset=utf-8"[..], b"max-age=3600", b"*/*;q=0.8", b"/path?x=1", b"hello", b""] {
            assert!(!looks_secret(open), "{}", open.escape_ascii());
        }
    }
}
