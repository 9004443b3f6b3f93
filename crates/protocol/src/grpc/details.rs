//! `grpc-status-details-bin`: a `google.rpc.Status` in base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{Schema, guess, wire};
use crate::Value;

/// More details than this are nobody's.
const MOST_DETAILS: usize = 64;

/// The status that the header's value carries: `{"code": 5, "message": "…", "details": [{"type":
/// "google.rpc.ErrorInfo", "value": {…}}]}`; none where it carries none.
pub(super) fn decode(header: &[u8], schema: Option<&dyn Schema>) -> Option<Value> {
    let end = header.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let bytes = STANDARD_NO_PAD.decode(&header[..end]).ok()?;
    let (mut code, mut message, mut details) = (0, String::new(), Vec::new());
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (number, value, after) = wire::field(rest).ok()?;
        rest = after;
        match (number, value) {
            (1, wire::Wire::Varint(value)) => code = value,
            (2, wire::Wire::Bytes(text)) => message = String::from_utf8_lossy(text).into_owned(),
            (3, wire::Wire::Bytes(any)) if details.len() < MOST_DETAILS => details.push(detail(any, schema)?),
            _ => {}
        }
    }
    let named = |name, value| (Cow::Borrowed(name), value);
    Some(Value::Map(vec![
        named("code", Value::Unsigned(code)),
        named("message", Value::from(message)),
        named("details", Value::List(details)),
    ]))
}

/// A `google.protobuf.Any`.
fn detail(any: &[u8], schema: Option<&dyn Schema>) -> Option<Value> {
    let (mut url, mut content, mut rest) = (String::new(), &[][..], any);
    while !rest.is_empty() {
        let (number, value, after) = wire::field(rest).ok()?;
        rest = after;
        match (number, value) {
            (1, wire::Wire::Bytes(text)) => url = String::from_utf8_lossy(text).into_owned(),
            (2, wire::Wire::Bytes(bytes)) => content = bytes,
            _ => {}
        }
    }
    let name = url.rsplit('/').next().unwrap_or_default().to_owned();
    let typed = schema.and_then(|schema| schema.typed(&name, content)).and_then(Result::ok);
    let guessed = typed.is_none();
    let value = typed.or_else(|| guess::message(content).ok()).unwrap_or_else(|| Value::Bytes(content.to_vec()));
    let mut fields = vec![(Cow::Borrowed("type"), Value::from(name)), (Cow::Borrowed("value"), value)];
    if guessed {
        fields.push((Cow::Borrowed("guessed"), Value::Bool(true)));
    }
    Some(Value::Map(fields))
}
