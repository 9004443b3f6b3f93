use std::borrow::Cow;

use l7trace_event::Direction;

use super::deframer::Piece;
use super::{Deframer, Framing, Schema, details, guess, percent, status, timeout};
use crate::content::{self, Coding};
use crate::{Completeness, Field, Message, Span, Value};

/// How a body of this content type frames messages; none where it is none of gRPC's.
pub(crate) fn framing_of(content_type: &[u8]) -> Option<Framing> {
    let after = |prefix: &[u8]| {
        let (start, rest) = content_type.split_at_checked(prefix.len())?;
        let ends = rest.first().is_none_or(|byte| matches!(byte, b'+' | b';' | b' ' | b'\t'));
        (start.eq_ignore_ascii_case(prefix) && ends).then_some(())
    };
    if after(b"application/grpc").is_some() {
        Some(Framing::Plain)
    } else if after(b"application/grpc-web").is_some() {
        Some(Framing::Web)
    } else if after(b"application/grpc-web-text").is_some() {
        Some(Framing::WebText)
    } else {
        None
    }
}

/// The same for gRPC-Web alone, which HTTP/1 carries too.
pub(crate) fn web_framing_of(content_type: &[u8]) -> Option<Framing> {
    framing_of(content_type).filter(|framing| *framing != Framing::Plain)
}

/// Whether messages lie in the body as it was sent: it has no content coding of its own.
pub(crate) fn is_framed_as_sent(message: &Message) -> bool {
    message.header("content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"))
}

/// A message of an exchange with what was found in its body.
type Side<'a> = Option<(&'a mut Message, Option<Box<Deframer>>)>;

/// What is known of a call beside the message that is told.
pub(crate) struct Beside<'a> {
    /// Whether what this answers was a call.
    pub(crate) answers_call: bool,
    /// The call's path, where the message does not say it.
    pub(crate) method: Option<&'a str>,
    pub(crate) schema: Option<&'a dyn Schema>,
    pub(crate) body_limit: usize,
}

/// Makes one message the half of a call that it is, where what carries it tells its halves one by one.
/// Whether it is one.
pub(crate) fn finish_alone(message: &mut Message, deframer: Option<Box<Deframer>>, beside: &Beside<'_>) -> bool {
    let framing = message.header("content-type").and_then(web_framing_of);
    let Some(framing) = framing.or_else(|| beside.answers_call.then_some(Framing::Web)) else { return false };
    message.protocol = "grpc";
    let own = path(message);
    let method = own.as_deref().or(beside.method);
    let reader = Reader { schema: beside.schema, method, is_json: is_json(message), body_limit: beside.body_limit };
    describe(message, deframer.as_deref(), &reader);
    if message.direction == Direction::ServerToClient {
        let trailers = deframer.and_then(|deframer| deframer.trailers);
        set_status(message, framing, trailers.as_deref(), true, beside.schema);
    } else {
        message.set_operation(b"call");
        set_deadline(message);
    }
    true
}

/// Sets what an exchange's two messages say as a gRPC call, where they are one. `answered` says
/// whether the response was seen to its end.
pub(crate) fn finish(
    request: Side<'_>,
    response: Side<'_>,
    answered: bool,
    schema: Option<&dyn Schema>,
    body_limit: usize,
) {
    let told = |side: &Side<'_>| side.as_ref().and_then(|(message, _)| framing_of(message.header("content-type")?));
    let says_status = || {
        // Where neither head was seen, the trailers of gRPC are like no others.
        let (message, _) = response.as_ref()?;
        let is = |field: &Field| matches!(message.text_of(field.name), Some(b"grpc-status" | b"grpc-message"));
        message.trailers.iter().any(is).then_some(Framing::Plain)
    };
    let by_content = || is_call_by_messages(&request, &response).then_some(Framing::Plain);
    let said = told(&request).or_else(|| told(&response)).or_else(says_status);
    let Some(framing) = said.or_else(by_content) else { return };
    let method = request.as_ref().and_then(|(message, _)| path(message));
    let is_json = request.as_ref().or(response.as_ref()).is_some_and(|(message, _)| is_json(message));
    let reader = Reader { schema, method: method.as_deref(), is_json, body_limit };
    let is_alone = request.is_none();
    if let Some((message, deframer)) = request {
        message.protocol = "grpc";
        message.set_operation(b"call");
        if said.is_none() {
            message.note("taken for gRPC by its messages: its content type is not known");
        }
        set_deadline(message);
        describe(message, deframer.as_deref(), &reader);
    }
    if let Some((message, deframer)) = response {
        message.protocol = "grpc";
        if is_alone {
            message.set_operation(b"call");
        }
        describe(message, deframer.as_deref(), &reader);
        let trailers = deframer.and_then(|deframer| deframer.trailers);
        set_status(message, framing, trailers.as_deref(), answered, schema);
    }
}

fn is_json(message: &Message) -> bool {
    let is = |value: &[u8]| value.windows(5).any(|part| part.eq_ignore_ascii_case(b"+json"));
    message.header("content-type").is_some_and(is)
}

fn set_deadline(request: &mut Message) {
    if let Some(nanoseconds) = request.header("grpc-timeout").and_then(timeout::nanoseconds) {
        request.attribute("timeout_ns", nanoseconds);
    }
}

/// Whether two messages, joined late, are a call although no content type is known: each body is
/// gRPC's messages to its last byte, and fields follow the answer's.
fn is_call_by_messages(request: &Side<'_>, response: &Side<'_>) -> bool {
    let (Some((request, asked)), Some((response, answered))) = (request, response) else { return false };
    let is_untold = |message: &Message| message.header("content-type").is_none();
    let is_framed = |deframer: &Option<Box<Deframer>>| deframer.as_ref().is_some_and(|deframer| deframer.is_exact());
    let is_post = request.text_of(request.operation).is_none_or(|method| method == b"POST");
    is_post
        && is_untold(request)
        && is_untold(response)
        && is_framed(asked)
        && is_framed(answered)
        && !response.trailers.is_empty()
}

/// The path as text, for looking the method up.
fn path(request: &Message) -> Option<String> {
    Some(String::from_utf8_lossy(request.text_of(request.resource)?).into_owned())
}

/// Sets the status that a response ends with.
fn set_status(
    message: &mut Message,
    framing: Framing,
    in_body: Option<&[u8]>,
    answered: bool,
    schema: Option<&dyn Schema>,
) {
    let found = |name: &str| trailer(message, name).or_else(|| line(in_body?, name));
    let code = found("grpc-status");
    let text = found("grpc-message").map(|text| String::from_utf8_lossy(&percent::decode(&text)).into_owned());
    let details = found("grpc-status-details-bin").and_then(|value| details::decode(&value, schema));
    let http_status = message.status.and_then(|span| String::from_utf8(message.text(span).to_vec()).ok());
    let all_known = message.completeness == Completeness::Whole;
    let name = code.as_deref().map(|code| match status::name(code) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(format!("grpc-status {}", String::from_utf8_lossy(code))),
    });
    match &name {
        Some(name) => message.failed |= name != "OK",
        // The trailers in a body may be what was not seen of it.
        None if answered && all_known && (framing == Framing::Plain || message.lost_bytes == 0) => {
            message.failed = true;
            message.note("no grpc-status");
        }
        None => {}
    }
    message.status = name.map(|name| message.put(name.as_bytes()));
    if let Some(http_status) = http_status {
        message.fact("http_status", http_status);
    }
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        message.attribute("grpc_message", text);
    }
    if let Some(details) = details {
        message.attribute("grpc_status_details", details);
    }
}

/// The value of a trailer, or of a header where the response is trailers only.
fn trailer(message: &Message, name: &str) -> Option<Vec<u8>> {
    let is = |span: Span| message.text(span).eq_ignore_ascii_case(name.as_bytes());
    let field = message.trailers.iter().chain(&message.headers).find(|field| field.name.is_some_and(is))?;
    message.text_of(field.value).map(<[u8]>::to_vec)
}

/// The value of a line in the trailers of a gRPC-Web body: `name: value`.
fn line(trailers: &[u8], name: &str) -> Option<Vec<u8>> {
    trailers.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (known, value) = line.split_at(colon);
        known.trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| value[1..].trim_ascii().to_vec())
    })
}

/// What the contents of messages are read with.
struct Reader<'a> {
    schema: Option<&'a dyn Schema>,
    method: Option<&'a str>,
    is_json: bool,
    body_limit: usize,
}

/// Tells of the messages in one direction.
fn describe(message: &mut Message, deframer: Option<&Deframer>, reader: &Reader<'_>) {
    let Some(deframer) = deframer else { return };
    let coding = message.header("grpc-encoding").map(<[u8]>::to_vec);
    let each: Vec<Value> =
        deframer.messages.iter().map(|piece| shown(piece, message, coding.as_deref(), reader)).collect();
    let omitted = deframer.count - each.len() as u64;
    let mut fields = vec![
        named("count", Value::Unsigned(deframer.count)),
        named("bytes", Value::Unsigned(deframer.bytes)),
        named("each", Value::List(each)),
    ];
    if omitted > 0 {
        fields.push(named("omitted", Value::Unsigned(omitted)));
    }
    message.attribute("messages", Value::Map(fields));
    if let Some(why) = deframer.broken {
        message.note(format!("gRPC messages are known only in part: {why}"));
    } else if deframer.is_within() {
        message.note("a gRPC message breaks off");
    }
}

fn shown(piece: &Piece, message: &Message, coding: Option<&[u8]>, reader: &Reader<'_>) -> Value {
    let mut fields = vec![named("size", Value::from(piece.size)), named("at", Value::from(piece.at.to_string()))];
    if piece.compressed {
        fields.push(named("compressed", Value::Bool(true)));
    }
    if piece.holed {
        fields.push(named("lost", Value::Bool(true)));
    } else if reader.body_limit > 0 {
        content(piece, message, coding, reader, &mut fields);
    }
    Value::Map(fields)
}

/// Adds what a message says.
fn content(
    piece: &Piece,
    message: &Message,
    coding: Option<&[u8]>,
    reader: &Reader<'_>,
    fields: &mut Vec<(Cow<'static, str>, Value)>,
) {
    let all_kept = piece.body.len() as u64 == u64::from(piece.size);
    let mut body = Cow::Borrowed(&piece.body[..]);
    let mut whole = all_kept;
    if piece.compressed {
        let codings = coding.and_then(Coding::named).into_iter();
        let decoded = content::decode(codings, piece.body.clone(), all_kept, reader.body_limit);
        if let Some(note) = decoded.note {
            fields.push(named("malformed", Value::Text(note)));
            whole = false;
        }
        whole &= !decoded.truncated;
        body = Cow::Owned(decoded.body);
    }
    if !whole {
        fields.push(named("body", Value::Bytes(body.into_owned())));
        fields.push(named("truncated", Value::Bool(true)));
        return;
    }
    if reader.is_json {
        fields.push(named("body", Value::Bytes(body.into_owned())));
        return;
    }
    let typed = reader.schema.zip(reader.method);
    match typed.and_then(|(schema, method)| schema.message(method, message.direction, &body)) {
        Some(Ok(value)) => fields.push(named("body", value)),
        Some(Err(why)) => {
            fields.push(named("body", Value::Bytes(body.into_owned())));
            fields.push(named("malformed", Value::from(why)));
        }
        None => match guess::message(&body) {
            Ok(value) => {
                fields.push(named("body", value));
                fields.push(named("guessed", Value::Bool(true)));
            }
            Err(why) => {
                fields.push(named("body", Value::Bytes(body.into_owned())));
                fields.push(named("malformed", Value::from(why.to_string())));
            }
        },
    }
}

fn named(name: &'static str, value: Value) -> (Cow<'static, str>, Value) {
    (Cow::Borrowed(name), value)
}
