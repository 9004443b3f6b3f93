//! Requests and responses as bytes, with what must be told of them.

use crate::case::{Case, Expected};

/// A request and its response.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) method: String,
    /// Where nothing is set: `/CASE/NUMBER`.
    pub(crate) target: Option<String>,
    /// Whole lines.
    pub(crate) request_headers: String,
    /// On the wire, and its length once transfer coding is undone.
    pub(crate) request_body: (Vec<u8>, u64),
    pub(crate) interim: String,
    pub(crate) status: u16,
    pub(crate) response_headers: String,
    pub(crate) response_body: (Vec<u8>, u64),
}

impl Http {
    /// A request without a body.
    pub(crate) fn new(method: &str, status: u16) -> Http {
        Http {
            method: method.to_owned(),
            target: None,
            request_headers: String::new(),
            request_body: (Vec::new(), 0),
            interim: String::new(),
            status,
            response_headers: String::new(),
            response_body: (Vec::new(), 0),
        }
    }

    /// `GET`, answered by 200 with a short body.
    pub(crate) fn get() -> Http {
        Http::new("GET", 200).answer(b"hello, world".to_vec())
    }

    pub(crate) fn to(mut self, target: impl Into<String>) -> Http {
        self.target = Some(target.into());
        self
    }

    pub(crate) fn send(mut self, body: Vec<u8>) -> Http {
        self.request_headers += &format!("Content-Length: {}\r\n", body.len());
        self.request_body = (body.clone(), body.len() as u64);
        self
    }

    pub(crate) fn send_chunked(mut self, pieces: &[&[u8]]) -> Http {
        self.request_headers += "Transfer-Encoding: chunked\r\n";
        self.request_body = chunked(pieces);
        self
    }

    pub(crate) fn answer(mut self, body: Vec<u8>) -> Http {
        self.response_headers += &format!("Content-Length: {}\r\n", body.len());
        self.response_body = (body.clone(), body.len() as u64);
        self
    }

    pub(crate) fn answer_chunked(mut self, pieces: &[&[u8]]) -> Http {
        self.response_headers += "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
        self.response_body = chunked(pieces);
        self
    }

    /// Adds what must be told of it to a case; gives the request and the response.
    pub(crate) fn expect(self, case: &mut Case) -> (Vec<u8>, Vec<u8>) {
        let number = case.expected.len();
        let resource = self.target.unwrap_or_else(|| format!("/{}/{number}", case.name));
        let head = format!("{} {resource} HTTP/1.1\r\nHost: a.example\r\n{}\r\n", self.method, self.request_headers);
        let request = [head.as_bytes(), &self.request_body.0].concat();
        let head = format!(
            "{}HTTP/1.1 {} Such\r\nX-Id: {resource}\r\n{}\r\n",
            self.interim, self.status, self.response_headers
        );
        let response = [head.as_bytes(), &self.response_body.0].concat();
        case.expected.push(Expected {
            operation: self.method,
            resource,
            status: Some(self.status.to_string()),
            outcomes: if self.status >= 500 { &["failed"] } else { &["complete"] },
            request: Some((request.len() as u64, self.request_body.1)),
            response: Some((response.len() as u64, self.response_body.1)),
            optional: false,
        });
        (request, response)
    }

    /// The request in one write, then the response in one.
    pub(crate) fn talk(self, case: &mut Case) {
        let (request, response) = self.expect(case);
        case.client(request).server(response);
    }
}

/// A chunked body with an extension and a trailer, and how long it is in truth.
fn chunked(pieces: &[&[u8]]) -> (Vec<u8>, u64) {
    let mut body = Vec::new();
    for piece in pieces {
        body.extend(format!("{:x};note=\"a\"\r\n", piece.len()).bytes());
        body.extend_from_slice(piece);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\nX-Sum: 17\r\n\r\n");
    (body, pieces.iter().map(|piece| piece.len() as u64).sum())
}

/// Bytes that no two places of a body share.
pub(crate) fn body(length: usize) -> Vec<u8> {
    (0..length).map(|i| b"0123456789abcdefghijklmnopqrstuvwxyz\n"[(i ^ (i >> 8)) % 37]).collect()
}
