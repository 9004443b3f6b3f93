//! The mail transaction: MAIL to the reply after the end of the data, as one record.

use l7trace_event::Direction;

use crate::{Completeness, Mark, Message, Outbox, Role, Settings, Value};

/// The most recipients whose own outcome is kept.
const MOST_RECIPIENTS: usize = 1000;

/// How much of a mail's header section is kept for its fields.
const MOST_OF_HEADER: usize = 64 << 10;

/// The header fields that are told.
const FIELDS: &[(&str, &str)] = &[
    ("Subject", "subject"),
    ("From", "from"),
    ("To", "to"),
    ("Cc", "cc"),
    ("Date", "date"),
    ("Message-ID", "message_id"),
];

/// A mail on its way.
pub(super) struct Mail {
    pub(super) first: Mark,
    /// Where what was seen of it last ends.
    pub(super) last: Mark,
    sender: Vec<u8>,
    recipients: Vec<Recipient>,
    /// How many recipients were named, had a reply, and were taken: of them all, those not kept included.
    named: usize,
    replied: usize,
    taken: usize,
    /// Recipients may have been named unseen.
    pub(super) doubtful: bool,
    /// Size of the message, dots unstuffed.
    pub(super) size: u64,
    pub(super) lost: u64,
    pub(super) wire: u64,
    header: Vec<u8>,
    header_over: bool,
    body: Vec<u8>,
    truncated: bool,
    /// Whether any of the message was sent.
    pub(super) began: bool,
    /// Whether all of it was: what is waited for is the server's verdict.
    pub(super) ended: bool,
    last_code: u16,
}

struct Recipient {
    path: Vec<u8>,
    code: Option<u16>,
    /// LMTP's reply after the data.
    delivery: Option<u16>,
}

impl Mail {
    pub(super) fn new(sender: &[u8], first: Mark) -> Mail {
        Mail {
            first,
            last: first,
            sender: sender.to_vec(),
            recipients: Vec::new(),
            named: 0,
            replied: 0,
            taken: 0,
            doubtful: false,
            size: 0,
            lost: 0,
            wire: 0,
            header: Vec::new(),
            header_over: false,
            body: Vec::new(),
            truncated: false,
            began: false,
            ended: false,
            last_code: 0,
        }
    }

    pub(super) fn held(&self) -> usize {
        self.header.len() + self.body.len() + self.recipients.iter().map(|one| one.path.len() + 48).sum::<usize>()
    }

    /// One more recipient; where it is kept, by which number.
    pub(super) fn recipient(&mut self, path: &[u8]) -> Option<usize> {
        self.named += 1;
        let number = self.recipients.len();
        if number == MOST_RECIPIENTS {
            return None;
        }
        self.recipients.push(Recipient { path: path.to_vec(), code: None, delivery: None });
        Some(number)
    }

    /// The reply to a RCPT.
    pub(super) fn recipient_reply(&mut self, number: Option<usize>, code: u16) {
        self.last_code = code;
        self.replied += 1;
        self.taken += usize::from(code / 100 == 2);
        if let Some(recipient) = number.and_then(|number| self.recipients.get_mut(number)) {
            recipient.code = Some(code);
        }
    }

    /// The reply to MAIL, or to DATA where it was refused.
    pub(super) fn reply(&mut self, code: u16) {
        self.last_code = code;
    }

    /// How many recipients the server took, and so how many replies LMTP gives after the data; none where
    /// that was not all seen.
    pub(super) fn taken(&self) -> Option<usize> {
        (!self.doubtful && self.replied == self.named).then_some(self.taken)
    }

    /// LMTP: the verdict on the next recipient that was taken.
    pub(super) fn delivery_reply(&mut self, code: u16) {
        let taken = |recipient: &&mut Recipient| {
            recipient.delivery.is_none() && recipient.code.is_some_and(|code| code / 100 == 2)
        };
        if let Some(recipient) = self.recipients.iter_mut().find(taken) {
            recipient.delivery = Some(code);
        }
    }

    /// More of the message, dots unstuffed.
    pub(super) fn content(&mut self, bytes: &[u8], settings: &Settings) {
        self.began = true;
        self.size += bytes.len() as u64;
        if !self.header_over {
            let from = self.header.len().saturating_sub(3);
            let room = MOST_OF_HEADER - self.header.len();
            self.header.extend_from_slice(&bytes[..bytes.len().min(room)]);
            let ends = |window: &[u8]| window == b"\r\n\r\n" || window.starts_with(b"\n\n");
            let end = self.header[from..].windows(4).position(ends);
            self.header_over = end.is_some() || self.header.len() == MOST_OF_HEADER;
            if let Some(end) = end {
                self.header.truncate(from + end + 4);
                self.header.shrink_to_fit();
            }
        }
        let room = settings.body_limit.saturating_sub(self.body.len());
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.truncated |= bytes.len() > room;
    }

    /// Bytes of the message that were not seen.
    pub(super) fn gap(&mut self, length: u64) {
        self.began = true;
        self.size += length;
        self.header_over = true;
        self.truncated = true;
    }

    /// The record of the whole.
    pub(super) fn record(self, code: Option<u16>, last: Mark, out: &mut Outbox) -> Box<Message> {
        let mut message = out.message("smtp", Direction::ClientToServer, Role::Transaction);
        message.first = self.first;
        message.last = last;
        message.bytes = self.wire;
        message.lost_bytes = self.lost;
        message.body_bytes = self.began.then_some(self.size);
        message.set_operation(b"mail");
        let mut resource = self.sender.clone();
        for (index, recipient) in self.recipients.iter().enumerate() {
            resource.extend_from_slice(if index == 0 { b" -> " } else { b", " });
            resource.extend_from_slice(&recipient.path);
        }
        message.set_resource(&resource);
        let code = code.or((self.last_code >= 400).then_some(self.last_code));
        if let Some(code) = code {
            message.set_status(code.to_string().as_bytes());
            message.failed = code >= 400;
        }
        if message.status.is_none() {
            message.completeness = Completeness::Unfinished;
        }
        if !self.ended {
            message.note("given up before the end of the message");
        }
        for (name, value) in header_fields(&self.header) {
            message.attribute(name, value);
        }
        let recipients = self.recipients.iter().map(|recipient| {
            let mut map = vec![("path".into(), Value::from(latin(&recipient.path)))];
            if let Some(code) = recipient.code {
                map.push(("status".into(), Value::from(code.to_string())));
            }
            if let Some(code) = recipient.delivery {
                map.push(("delivery".into(), Value::from(code.to_string())));
            }
            Value::Map(map)
        });
        message.attribute("sender", latin(&self.sender));
        message.attribute("recipients", recipients.collect::<Vec<_>>());
        let more = self.named - self.recipients.len();
        if more > 0 {
            message.note(format!("{more} more recipients"));
        }
        message.body = self.body;
        message.body_truncated = self.truncated && !message.body.is_empty();
        message
    }
}

/// The fields worth telling, encoded words decoded.
fn header_fields(header: &[u8]) -> Vec<(&'static str, String)> {
    let Ok((fields, _)) = mailparse::parse_headers(header) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, attribute) in FIELDS {
        if let Some(field) = fields.iter().find(|field| field.get_key_ref().eq_ignore_ascii_case(name)) {
            found.push((*attribute, field.get_value()));
        }
    }
    found
}

/// Bytes as text: UTF-8 where they are, else Latin-1.
pub(super) fn latin(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}
