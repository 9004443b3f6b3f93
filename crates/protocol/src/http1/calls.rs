//! gRPC-Web over HTTP/1: calls in the bodies of messages.

use std::sync::Arc;

use super::body::Body;
use super::parser::Http1Parser;
use crate::grpc::{self, Deframer, Schema};
use crate::{Key, Message};

/// What is kept of calls beside their messages, where the types of messages are known.
pub(super) struct Typed {
    schema: Arc<dyn Schema>,
    /// The paths of calls that are not yet answered: the answer's messages are of their types.
    paths: Vec<(Key, Box<str>)>,
}

/// Calls at once, of which the paths are kept.
const MOST_PATHS: usize = 64;
/// The longest path that is kept.
const LONGEST_PATH: usize = 1024;

impl Typed {
    pub(super) fn new(schema: Option<&Arc<dyn Schema>>) -> Option<Box<Typed>> {
        schema.map(|schema| Box::new(Typed { schema: Arc::clone(schema), paths: Vec::new() }))
    }
}

impl Http1Parser {
    /// What finds the messages in this message's body, where it is of a call.
    pub(super) fn deframer(&self, message: &Message) -> Option<Box<Deframer>> {
        let framing = grpc::web_framing_of(message.header("content-type")?)?;
        grpc::is_framed_as_sent(message).then(|| Box::new(Deframer::new(framing, self.body_limit)))
    }

    /// Sets what a request says as a call.
    pub(super) fn finish_request_of_call(&mut self, message: &mut Message, body: Option<&mut Body>) {
        let schema = self.typed.as_ref().map(|typed| &*typed.schema);
        let path = grpc::finish_alone(message, body.and_then(Body::calls), None, schema, self.body_limit);
        if let (Some(path), Some(typed)) = (path, &mut self.typed)
            && typed.paths.len() < MOST_PATHS
            && path.len() <= LONGEST_PATH
        {
            typed.paths.push((message.key, path.into()));
        }
    }

    /// Sets what a response says as the answer to a call.
    pub(super) fn finish_response_of_call(&mut self, message: &mut Message, body: Option<&mut Body>) {
        let calls = body.and_then(Body::calls);
        let Some(typed) = &mut self.typed else {
            grpc::finish_alone(message, calls, None, None, self.body_limit);
            return;
        };
        let place = typed.paths.iter().position(|(key, _)| *key == message.key);
        let path = place.map(|place| typed.paths.swap_remove(place).1);
        grpc::finish_alone(message, calls, path.as_deref(), Some(&*typed.schema), self.body_limit);
    }
}
