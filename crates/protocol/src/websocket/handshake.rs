//! What the handshake agreed on (RFC 6455, 4; over HTTP/2: RFC 8441).

use super::extension::Deflate;
use super::sha1;
use crate::{Handshake, Message, Next, Note};

/// What is known from the handshake.
#[derive(Debug)]
pub(super) struct Agreement {
    pub(super) path: Option<String>,
    pub(super) host: Option<Vec<u8>>,
    pub(super) subprotocol: Option<String>,
    /// The server's extensions as it named them.
    pub(super) extensions: Option<String>,
    pub(super) deflate: Deflate,
    /// What is odd about it.
    pub(super) notes: Vec<Note>,
}

impl Agreement {
    /// Where the handshake was not seen.
    pub(super) fn unknown() -> Agreement {
        Agreement {
            path: None,
            host: None,
            subprotocol: None,
            extensions: None,
            deflate: Deflate::Unknown,
            notes: vec!["joined in the middle: the handshake was not seen".into()],
        }
    }

    pub(super) fn of(handshake: &Handshake) -> Agreement {
        let mut agreement = Agreement { notes: Vec::new(), ..Agreement::unknown() };
        let request = handshake.request.as_deref();
        let response = handshake.response.as_deref();
        if let Some(request) = request {
            let path = request.header(":path").or_else(|| request.text_of(request.resource));
            agreement.path = path.map(lossy);
            let host = request.text_of(request.host).or_else(|| request.header("host"));
            agreement.host = host.or_else(|| request.header(":authority")).map(<[u8]>::to_vec);
        }
        if let Some(response) = response {
            agreement.subprotocol = response.header("sec-websocket-protocol").map(|name| lossy(name.trim_ascii()));
            let extensions: Vec<&[u8]> = all(response, "sec-websocket-extensions").collect();
            agreement.deflate = Deflate::agreed(extensions.iter().copied());
            agreement.extensions = (!extensions.is_empty()).then(|| lossy(&extensions.join(&b", "[..])));
        }
        if let (Some(request), Some(response)) = (request, response) {
            agreement.check(request, response);
        }
        agreement
    }

    fn check(&mut self, request: &Message, response: &Message) {
        if request.header(":protocol").is_none() {
            let given = response.header("sec-websocket-accept").map(<[u8]>::trim_ascii);
            match (request.header("sec-websocket-key"), given) {
                (Some(key), Some(accept)) if sha1::accept_of(key.trim_ascii()) == accept => {}
                (Some(_), Some(_)) => self.notes.push("Sec-WebSocket-Accept does not fit the key".into()),
                (Some(_), None) => self.notes.push("the server sent no Sec-WebSocket-Accept".into()),
                (None, _) => self.notes.push("the client sent no Sec-WebSocket-Key".into()),
            }
        }
        if let Some(chosen) = &self.subprotocol {
            let offered = all(request, "sec-websocket-protocol")
                .flat_map(|header| header.split(|byte| *byte == b','))
                .any(|name| name.trim_ascii() == chosen.as_bytes());
            if !offered {
                self.notes.push("the server chose a subprotocol that the client did not offer".into());
            }
        }
    }

    /// The protocol that the messages' payloads speak, where there is one that reads it.
    pub(super) fn inner_protocol(&self) -> Option<Next> {
        let name = match self.subprotocol.as_deref()?.to_ascii_lowercase().as_str() {
            "mqtt" | "mqttv3.1" => "mqtt",
            "amqp" | "amqpwsb10" => "amqp",
            "v10.stomp" | "v11.stomp" | "v12.stomp" => "stomp",
            "graphql-ws" | "graphql-transport-ws" => "graphql",
            _ => return None,
        };
        crate::by_name(name).map(|protocol| Next::Protocol(protocol.name()))
    }
}

fn all<'a>(message: &'a Message, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = message.headers.iter().filter(move |field| {
        message.text_of(field.name).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    });
    named.filter_map(|field| message.text_of(field.value))
}

fn lossy(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Bytes that are not UTF-8 become text as Latin-1.
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}
