//! gRPC, on top of HTTP: the length-prefixed messages of a call, its status, and what they say.
//!
//! A call is recognised by its content type. What is found is set on the two HTTP messages that
//! carry it, which become messages of protocol `grpc` by it: gRPC-Web too, over HTTP/1 as over HTTP/2.

mod call;
mod deframer;
mod details;
mod guess;
mod percent;
mod status;
mod text;
mod timeout;
mod wire;

pub(crate) use call::{Beside, finish, finish_alone, framing_of, is_framed_as_sent, web_framing_of};
pub(crate) use deframer::{Deframer, Framing};

use l7trace_event::Direction;

use crate::Value;

/// Knows the types of gRPC messages, from `.proto` files or descriptor sets.
pub trait Schema: std::fmt::Debug + Send + Sync {
    /// A message of a call, by field names, as JSON has it. `method` is the call's path
    /// (`/package.Service/Method`). None where the method is not known; `Err` says what is wrong
    /// with the message.
    fn message(&self, method: &str, direction: Direction, bytes: &[u8]) -> Option<Result<Value, String>>;

    /// A message of this full type name (`google.rpc.ErrorInfo`).
    fn typed(&self, name: &str, bytes: &[u8]) -> Option<Result<Value, String>>;
}
