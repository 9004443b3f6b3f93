//! A party made of plain sockets, at one end of a real program's connection: it knows every byte.

use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};

/// What the raw party knows of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) operation: String,
    pub(crate) resource: String,
    pub(crate) status: String,
    /// On the wire, and of the body.
    pub(crate) request: (u64, u64),
    pub(crate) response: (u64, u64),
    pub(crate) client_port: u16,
}

/// A message as it came in.
struct Incoming {
    start: String,
    bytes: u64,
    body: u64,
    close: bool,
}

/// Reads one message; none where the connection ends before it. `bodiless`: whatever its headers say.
fn read(from: &mut impl BufRead, bodiless: bool, answer_100: &mut impl Write) -> io::Result<Option<Incoming>> {
    let (mut start, mut bytes, mut body) = (String::new(), 0, 0);
    let (mut length, mut chunked, mut close, mut expects) = (0, false, false, false);
    loop {
        let mut line = String::new();
        let read = from.read_line(&mut line)?;
        if read == 0 {
            return Ok(None);
        }
        bytes += read as u64;
        let lower = line.trim_end().to_ascii_lowercase();
        match lower.split_once(':').map(|(name, value)| (name, value.trim())) {
            _ if start.is_empty() => start = line.trim_end().to_owned(),
            _ if lower.is_empty() => break,
            Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
            Some(("transfer-encoding", value)) => chunked = value == "chunked",
            Some(("connection", value)) => close = value == "close",
            Some(("expect", "100-continue")) => expects = true,
            _ => {}
        }
    }
    if expects {
        answer_100.write_all(CONTINUE)?;
    }
    if chunked && !bodiless {
        loop {
            let mut line = String::new();
            bytes += from.read_line(&mut line)? as u64;
            let size = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            bytes += io::copy(&mut from.take(size + 2), &mut io::sink())?;
            body += size;
            if size == 0 {
                break;
            }
        }
    } else if !bodiless {
        body = io::copy(&mut from.take(length), &mut io::sink())?;
        bytes += body;
    }
    Ok(Some(Incoming { start, bytes, body, close }))
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Asks a server for each (method, target, bytes of the body) over one connection, as long as it lasts.
pub(crate) fn ask(port: u16, requests: &[(String, String, usize)]) -> io::Result<Vec<Truth>> {
    let connect = || TcpStream::connect(("127.0.0.1", port));
    let mut stream = BufReader::new(connect()?);
    let mut truths = Vec::new();
    for (method, target, size) in requests {
        let length = if *size > 0 { format!("Content-Length: {size}\r\n") } else { String::new() };
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n{length}\r\n").into_bytes();
        request.resize(request.len() + size, b'b');
        stream.get_mut().write_all(&request)?;
        let bodiless = method == "HEAD";
        let response = read(&mut stream, bodiless, &mut io::sink())?.ok_or(io::ErrorKind::UnexpectedEof)?;
        truths.push(Truth {
            operation: method.clone(),
            resource: target.clone(),
            status: response.start.split(' ').nth(1).unwrap_or_default().to_owned(),
            request: (request.len() as u64, *size as u64),
            response: (response.bytes, response.body),
            client_port: stream.get_ref().local_addr()?.port(),
        });
        if response.close {
            stream = BufReader::new(connect()?);
        }
    }
    Ok(truths)
}

/// Answers connections one after another until `count` requests were answered: with as many bytes as the
/// query's `size` says, chunked where it says so.
pub(crate) fn answer(listener: &TcpListener, count: usize) -> io::Result<Vec<Truth>> {
    let mut truths = Vec::new();
    while truths.len() < count {
        let (stream, peer) = listener.accept()?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while truths.len() < count {
            let mut interim = Vec::new();
            let mut stream = Both { stream: &stream, copy: &mut interim };
            let Some(request) = read(&mut reader, false, &mut stream)? else { break };
            let mut words = request.start.split(' ').map(str::to_owned);
            let (operation, resource) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let query = resource.split_once('?').map_or("", |(_, query)| query);
            let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            let size: usize = of("size").unwrap_or("0").parse().map_err(io::Error::other)?;
            let status = of("status").unwrap_or("200").to_owned();
            let mut text = format!("HTTP/1.1 {status} Such\r\nX-Id: {resource}\r\n").into_bytes();
            let body = vec![b'a'; size];
            let mut sent = size;
            if operation == "HEAD" {
                text.extend(format!("Content-Length: {size}\r\n\r\n").bytes());
                sent = 0;
            } else if of("chunked").is_some() {
                text.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for piece in body.chunks(1_000) {
                    text.extend(format!("{:x}\r\n", piece.len()).bytes());
                    text.extend_from_slice(piece);
                    text.extend(b"\r\n");
                }
                text.extend(b"0\r\n\r\n");
            } else {
                text.extend(format!("Content-Length: {size}\r\n\r\n").bytes());
                text.extend(&body);
            }
            stream.stream.write_all(&text)?;
            truths.push(Truth {
                operation,
                resource,
                status,
                request: (request.bytes, request.body),
                response: ((text.len() + interim.len()) as u64, sent as u64),
                client_port: peer.port(),
            });
        }
    }
    Ok(truths)
}

/// Writes to a stream, and keeps what was written.
struct Both<'a> {
    stream: &'a TcpStream,
    copy: &'a mut Vec<u8>,
}

impl Write for Both<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes)?;
        self.copy.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
