//! The plain part of a TLS handshake (RFC 8446, section 4.1; records: section 5.1).

use crate::{Attribute, Value};

/// What some bytes begin with.
pub(super) enum Kind {
    Client,
    Server,
    More,
    No,
}

const RECORD_HEADER: usize = 5;
const HANDSHAKE_HEADER: usize = 4;

/// Looks at a record header, a handshake header and the version behind it.
pub(super) fn kind(bytes: &[u8]) -> Kind {
    if bytes.is_empty() {
        return Kind::No;
    }
    // Type handshake, version 3.x, length; then the handshake type and the high byte of its length.
    let plausible = |index: usize, byte: u8| match index {
        0 => byte == 0x16,
        1 => byte == 3,
        2 => byte <= 4,
        3 => byte <= 0x40,
        5 => byte == 1 || byte == 2,
        6 => byte == 0,
        9 => byte == 3,
        _ => true,
    };
    if !bytes.iter().take(10).enumerate().all(|(index, byte)| plausible(index, *byte)) {
        return Kind::No;
    }
    match (bytes.len() >= 10, bytes.get(RECORD_HEADER)) {
        (true, Some(1)) => Kind::Client,
        (true, Some(2)) => Kind::Server,
        _ => Kind::More,
    }
}

/// Whether the first record is all there.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    match bytes {
        [_, _, _, high, low, rest @ ..] => rest.len() >= usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

/// What a ClientHello says openly: the server's name and the protocols offered.
pub(super) fn facts(bytes: &[u8]) -> Vec<Attribute> {
    let mut facts = Vec::new();
    let mut reader = Reader(bytes.get(RECORD_HEADER + HANDSHAKE_HEADER..).unwrap_or_default());
    // Version and random, then session id, cipher suites, compression methods.
    let skipped = reader.take(34).and_then(|_| reader.vector8()).and_then(|_| reader.vector16());
    if skipped.and_then(|_| reader.vector8()).is_none() {
        return facts;
    }
    let Some(extensions) = reader.vector16() else { return facts };
    let mut extensions = Reader(extensions);
    while let Some(kind) = extensions.number16() {
        let Some(data) = extensions.vector16() else { break };
        match kind {
            0 => {
                if let Some(name) = server_name(data) {
                    facts.push(Attribute::new("server_name", name));
                }
            }
            16 => facts.push(Attribute::new("alpn", protocols(data))),
            _ => {}
        }
    }
    facts
}

fn server_name(data: &[u8]) -> Option<String> {
    let mut list = Reader(Reader(data).vector16()?);
    list.take(1)?;
    Some(String::from_utf8_lossy(list.vector16()?).into_owned())
}

fn protocols(data: &[u8]) -> Value {
    let mut names = Vec::new();
    let mut list = Reader(Reader(data).vector16().unwrap_or_default());
    while let Some(name) = list.vector8() {
        names.push(Value::from(String::from_utf8_lossy(name).into_owned()));
    }
    Value::List(names)
}

/// A bounded cursor over TLS's vectors.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}
