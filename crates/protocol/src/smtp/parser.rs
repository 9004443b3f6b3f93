//! Reads both directions of a connection: commands, the mails between them, replies.

mod commands;
mod content;
mod ending;
mod replies;

use std::collections::{BTreeMap, VecDeque};

use l7trace_event::Direction::{self, ClientToServer, ServerToClient};

use super::client::Mode;
use super::command::Kind;
use super::mail::Mail;
use super::reply::Reply;
use crate::{Attribute, Chunk, Feed, Input, Mark, Message, Outbox, Parser, Settings, Start, Window};

/// The longest line that is waited for: far beyond RFC 5321's 512 and 1000.
const MOST_OF_LINE: usize = 64 << 10;

/// The most commands without a reply; further ones are told as unanswered.
const MOST_PENDING: usize = 4096;

pub(super) struct SmtpParser {
    settings: Settings,
    feeds: [Feed; 2],
    mode: Mode,
    /// Commands that have no final reply, in order.
    pending: VecDeque<Pending>,
    reply: Reply,
    /// Where the reply began, its bytes so far, and how far its sender had read.
    reply_first: Option<Mark>,
    reply_bytes: u64,
    mails: BTreeMap<u64, Mail>,
    /// The mail that the client is sending.
    current: Option<u64>,
    next_id: u64,
    /// Whether the greeting is still to come.
    greeting_due: bool,
    /// Whether it is LMTP, once a greeting says so.
    local: Option<bool>,
    /// Commands or replies were lost: pairs are found by what was read, not by order.
    uncertain: bool,
    /// The server may have taken a dot after a bare LF for the end of a message, and then answers
    /// what was read as content.
    may_answer_content: bool,
    /// What the client said last was no command.
    garbled: bool,
    /// By direction: bytes were lost, so the next bytes may be the middle of a line.
    inside_line: [bool; 2],
    ended: [bool; 2],
    server_spoke: bool,
    server_lost: bool,
    facts: Vec<Attribute>,
}

/// A command without a final reply.
struct Pending {
    id: u64,
    kind: Kind,
    /// The request, while more of it may come (DATA, BDAT, AUTH); pushed otherwise.
    request: Option<Box<Message>>,
    /// How far the client had read when it sent the command.
    acknowledged: Option<u64>,
    /// The mail that the command is part of.
    mail: Option<u64>,
    /// The mail that the command gives up.
    abandons: Option<u64>,
    /// Bytes of interim replies, which count in the response.
    interim_bytes: u64,
    /// RCPT: the recipient's number in the mail.
    recipient: Option<usize>,
    /// The end of a message: over LMTP each recipient that was taken has a reply of its own.
    each_recipient: bool,
    /// Nobody can tell how many replies there will be: all until the next command, and `early` is the last so far.
    open: bool,
    /// How many replies are still to come after this one.
    more_replies: usize,
    /// The worst code so far (LMTP's several replies).
    worst: u16,
    /// A final reply that came before the request was at its end.
    early: Option<Box<Message>>,
    /// DATA: a dot after a bare LF may have been the message's end to the server.
    loose_end: bool,
    /// It was no command: its reply is not told.
    silent: bool,
}

impl Pending {
    fn new(id: u64, kind: Kind, acknowledged: Option<u64>, mail: Option<u64>) -> Pending {
        Pending {
            id,
            kind,
            request: None,
            acknowledged,
            mail,
            abandons: None,
            interim_bytes: 0,
            recipient: None,
            each_recipient: false,
            open: false,
            more_replies: 0,
            worst: 0,
            early: None,
            loose_end: false,
            silent: false,
        }
    }
}

impl SmtpParser {
    pub(super) fn new(start: &Start<'_>) -> SmtpParser {
        let from_start = start.from_start;
        SmtpParser {
            settings: start.settings.clone(),
            feeds: Default::default(),
            mode: Mode::Command,
            pending: VecDeque::new(),
            reply: Reply::default(),
            reply_first: None,
            reply_bytes: 0,
            mails: BTreeMap::new(),
            current: None,
            next_id: 0,
            greeting_due: from_start[ServerToClient.index()],
            local: None,
            uncertain: !from_start[ServerToClient.index()] || !from_start[ClientToServer.index()],
            may_answer_content: false,
            garbled: false,
            inside_line: [false; 2],
            ended: [false; 2],
            server_spoke: false,
            server_lost: false,
            facts: Vec::new(),
        }
    }
}

impl Parser for SmtpParser {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        let direction = chunk.direction;
        match chunk.input {
            Input::Bytes(bytes) => {
                self.server_spoke |= direction == ServerToClient;
                let mut feed = std::mem::take(&mut self.feeds[direction.index()]);
                let mut window = feed.open(bytes, chunk.position, chunk.at, chunk.acknowledged);
                match direction {
                    ClientToServer => self.client(&mut window, out),
                    ServerToClient => self.server(&mut window, out),
                }
                window.close();
                self.feeds[direction.index()] = feed;
                self.settle(out);
            }
            Input::Gap { length, cause } => {
                self.gap(direction, chunk.position, length, cause);
                self.settle(out);
            }
            Input::End(end) => {
                self.ended[direction.index()] = true;
                self.settle(out);
                self.end(direction, end, out);
            }
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        match self.mode {
            // The header section is wanted even where no body is.
            Mode::Chunk(left)
                if direction == ClientToServer
                    && self.settings.body_limit == 0
                    && self.current_mail().is_some_and(|mail| mail.size > 64 << 10) =>
            {
                left
            }
            _ => 0,
        }
    }

    fn held(&self) -> usize {
        self.feeds.iter().map(Feed::held).sum::<usize>() + self.mails.values().map(Mail::held).sum::<usize>()
    }

    fn facts(&self) -> Vec<Attribute> {
        self.facts.clone()
    }
}

impl SmtpParser {
    fn current_mail(&self) -> Option<&Mail> {
        self.mails.get(&self.current?)
    }
}

/// Puts out a mail's record.
trait PushMail {
    fn push_mail(&mut self, mail: Mail, code: Option<u16>, last: Mark);
}

impl PushMail for Outbox {
    fn push_mail(&mut self, mail: Mail, code: Option<u16>, last: Mark) {
        let record = mail.record(code, last, self);
        self.push(record);
    }
}

/// Where the first line ends, its LF included; a line without end is cut where it becomes too long.
fn line_end(window: &Window<'_>) -> Option<usize> {
    let bytes = window.bytes();
    match memchr::memchr(b'\n', bytes) {
        Some(end) => Some(end + 1),
        None => (bytes.len() > MOST_OF_LINE).then_some(bytes.len()),
    }
}
