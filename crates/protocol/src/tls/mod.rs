//! TLS, named and counted: its bytes are opaque on the wire (a source at the TLS library reads them).

use l7trace_event::{Direction, Side};

use crate::{Attribute, Chunk, Input, Outbox, Parser, Protocol, Recognition, Sample, Start};

mod hello;

/// The registry's entry.
pub(crate) struct Tls;

impl Protocol for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn speaks(&self) -> &'static [&'static str] {
        &["tls"]
    }

    fn recognise(&self, sample: &Sample<'_>) -> Recognition {
        let mut verdict = Recognition::No;
        for side in Side::BOTH {
            match hello::kind(sample.side(side).bytes) {
                hello::Kind::Client => return Recognition::Yes { client: side },
                hello::Kind::Server => return Recognition::Yes { client: side.other() },
                hello::Kind::More if !sample.side(side).ended => verdict = Recognition::More,
                hello::Kind::More | hello::Kind::No => {}
            }
        }
        verdict
    }

    fn parser(&self, _start: Start<'_>) -> Box<dyn Parser> {
        Box::new(Opaque::default())
    }
}

/// Reads the client's first bytes for what they say openly, and then nothing.
#[derive(Default)]
struct Opaque {
    first: Vec<u8>,
    over: bool,
    facts: Vec<Attribute>,
}

/// How much of the client's first flight is looked at.
const MOST_OF_HELLO: usize = 16 << 10;

impl Parser for Opaque {
    fn push(&mut self, chunk: Chunk<'_>, _out: &mut Outbox) {
        if self.over || chunk.direction == Direction::ServerToClient {
            return;
        }
        match chunk.input {
            Input::Bytes(bytes) => {
                let room = MOST_OF_HELLO - self.first.len();
                self.first.extend_from_slice(&bytes[..bytes.len().min(room)]);
                self.over = hello::is_whole(&self.first) || self.first.len() == MOST_OF_HELLO;
            }
            Input::Gap { .. } | Input::End(_) => self.over = true,
        }
        if self.over {
            self.facts = hello::facts(&self.first);
            self.first = Vec::new();
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        if self.over || direction == Direction::ServerToClient { u64::MAX } else { 0 }
    }

    fn held(&self) -> usize {
        self.first.len()
    }

    fn facts(&self) -> Vec<Attribute> {
        self.facts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prefix;

    /// A ClientHello for `a.example` that offers h2 and http/1.1.
    fn client_hello() -> Vec<u8> {
        let name = [&[0, 0, 0, 14, 0, 12, 0, 0, 9][..], b"a.example"].concat();
        let alpn = [&[0, 16, 0, 14, 0, 12, 2][..], b"h2", &[8], b"http/1.1"].concat();
        let extensions = [name, alpn].concat();
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut handshake = vec![1, 0];
        handshake.extend((body.len() as u16).to_be_bytes());
        handshake.extend(body);
        let mut record = vec![0x16, 3, 1];
        record.extend((handshake.len() as u16).to_be_bytes());
        record.extend(handshake);
        record
    }

    #[test]
    fn a_client_hello_is_recognised_once_enough_of_it_is_there() {
        let hello = client_hello();
        for length in 0..=hello.len() {
            let prefix = Prefix { bytes: &hello[..length], from_start: true, since_start: true, ended: false };
            let sample = Sample { sides: [Prefix::default(), prefix], initiator: None };
            let expected = match length {
                0 => Recognition::No,
                1..=9 => Recognition::More,
                _ => Recognition::Yes { client: Side::B },
            };
            assert_eq!(Tls.recognise(&sample), expected, "{length} bytes");
        }
        let text = Prefix { bytes: b"\x16\x03\x01 no hello", from_start: true, since_start: true, ended: false };
        assert_eq!(Tls.recognise(&Sample { sides: [text, Prefix::default()], initiator: None }), Recognition::No);
    }

    #[test]
    fn server_name_and_protocols_offered_are_facts() {
        let facts = hello::facts(&client_hello());
        let shown: Vec<String> = facts.iter().map(|fact| format!("{}={:?}", fact.name, fact.value)).collect();
        assert_eq!(shown, [r#"server_name=Text("a.example")"#, r#"alpn=List([Text("h2"), Text("http/1.1")])"#]);
        for length in 0..client_hello().len() {
            hello::facts(&client_hello()[..length]);
        }
    }
}
