//! gRPC-Web over HTTP/1: requests and responses that are the halves of calls.

use std::sync::Arc;

use super::body::Body;
use super::parser::Http1Parser;
use crate::grpc::{self, Beside, Deframer, Schema};
use crate::{Key, Message};

/// What is kept of calls beside their messages.
#[derive(Default)]
pub(super) struct Calls {
    schema: Option<Arc<dyn Schema>>,
    /// Those that are not yet answered, with their paths where types are known: the answer's messages are of
    /// their types.
    open: Vec<(Key, Option<Box<str>>)>,
}

/// Calls at once that are kept.
const MOST_OPEN: usize = 64;
/// The longest path that is kept.
const LONGEST_PATH: usize = 1024;

impl Calls {
    /// Without types, nothing is kept until there is a call.
    pub(super) fn new(schema: Option<&Arc<dyn Schema>>) -> Option<Box<Calls>> {
        schema.map(|schema| Box::new(Calls { schema: Some(Arc::clone(schema)), open: Vec::new() }))
    }
}

impl Http1Parser {
    /// What finds the messages in this message's body, where it is of a call.
    pub(super) fn deframer(&self, message: &Message) -> Option<Box<Deframer>> {
        let framing = grpc::web_framing_of(message.header("content-type")?)?;
        grpc::is_framed_as_sent(message).then(|| Box::new(Deframer::new(framing, self.body_limit)))
    }

    /// Makes a request the call that it is.
    pub(super) fn finish_request_of_call(&mut self, message: &mut Message, body: Option<&mut Body>) {
        let schema = self.calls.as_ref().and_then(|calls| calls.schema.as_deref());
        let beside = Beside { answers_call: false, method: None, schema, body_limit: self.body_limit };
        if !grpc::finish_alone(message, body.and_then(Body::calls), &beside) {
            return;
        }
        let calls = self.calls.get_or_insert_default();
        if calls.open.len() < MOST_OPEN {
            let path = message.text_of(message.resource).filter(|path| path.len() <= LONGEST_PATH);
            let path = path.filter(|_| calls.schema.is_some()).map(|path| String::from_utf8_lossy(path).into());
            calls.open.push((message.key, path));
        }
    }

    /// Makes a response the answer to a call, where it is one.
    pub(super) fn finish_response_of_call(&mut self, message: &mut Message, body: Option<&mut Body>) {
        let call = self.calls.as_mut().and_then(|calls| {
            let place = calls.open.iter().position(|(key, _)| *key == message.key)?;
            Some(calls.open.swap_remove(place).1)
        });
        let beside = Beside {
            answers_call: call.is_some(),
            method: call.as_ref().and_then(Option::as_deref),
            schema: self.calls.as_ref().and_then(|calls| calls.schema.as_deref()),
            body_limit: self.body_limit,
        };
        grpc::finish_alone(message, body.and_then(Body::calls), &beside);
    }
}
