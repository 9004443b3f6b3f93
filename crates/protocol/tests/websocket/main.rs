//! WebSocket as browsers and servers speak it.

mod broken;
mod carried;
mod compressed;
mod frames;
mod plain;

use l7trace_event::Direction;
use l7trace_protocol::{Handshake, Message, Protocol, Role, Settings, by_name};
use l7trace_testkit::script::{Chop, Heard, Step, lines, run_switched};

fn websocket() -> &'static dyn Protocol {
    by_name("websocket").expect("websocket is in the registry")
}

fn settings() -> Settings {
    Settings { body_limit: 100, ..Settings::default() }
}

/// The handshake of RFC 6455, 1.2, with these further headers of the answer.
fn handshake(answered: &[(&str, &str)]) -> Handshake {
    let mut request = Message::new("http1", Direction::ClientToServer, Role::Request);
    request.set_resource(b"/chat");
    request.set_host(b"server.example");
    request.add_header(Some(b"Sec-WebSocket-Key"), Some(b"dGhlIHNhbXBsZSBub25jZQ=="), false);
    request.add_header(Some(b"Sec-WebSocket-Protocol"), Some(b"chat, mqtt"), false);
    let mut response = Message::new("http1", Direction::ServerToClient, Role::Response);
    if !answered.iter().any(|(name, _)| *name == "Sec-WebSocket-Accept") {
        response.add_header(Some(b"Sec-WebSocket-Accept"), Some(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), false);
    }
    for (name, value) in answered {
        response.add_header(Some(name.as_bytes()), Some(value.as_bytes()), false);
    }
    Handshake { request: Some(Box::new(request)), response: Some(Box::new(response)) }
}

fn heard(answered: &[(&str, &str)], script: &[Step], chop: Chop) -> Heard {
    run_switched(websocket(), &settings(), handshake(answered), script, chop)
}

/// Checks what a script gives, whole and however cut.
#[track_caller]
fn expect(answered: &[(&str, &str)], script: &[Step], expected: &[&str]) {
    let whole = lines(&heard(answered, script, Chop::Whole));
    let fits = whole.len() == expected.len()
        && whole.iter().zip(expected).all(|(line, parts)| parts.split(" | ").all(|part| line.contains(part)));
    assert!(fits, "expected:\n{}\ngiven:\n{}", expected.join("\n"), whole.join("\n"));
    for chop in std::iter::once(Chop::Bytewise).chain((1..9).map(Chop::Random)) {
        let cut = lines(&heard(answered, script, chop));
        assert_eq!(whole.join("\n"), cut.join("\n"), "cut {chop:?} differs (right) from whole (left)");
    }
}
