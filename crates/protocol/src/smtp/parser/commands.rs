//! What the client says: commands, and the credentials between them.

use super::super::client::{Dots, Mode, Verdict};
use super::super::command::{Command, Kind};
use super::super::mail::{Mail, latin};
use super::{MOST_OF_LINE, MOST_PENDING, Pending, SmtpParser, line_end};
use crate::{Attribute, Key, Message, Outbox, Role, Value, Window};

use l7trace_event::Direction::{ClientToServer, ServerToClient};

/// The most that is held while a verdict is waited for.
const MOST_WAITING: usize = 1 << 20;

impl SmtpParser {
    pub(super) fn client(&mut self, window: &mut Window<'_>, out: &mut Outbox) {
        while !window.is_empty() {
            let progress = match self.mode {
                Mode::Command => self.command_line(window, out),
                Mode::Waiting(verdict) => self.without_verdict(verdict, window),
                Mode::Credentials => self.credentials(window),
                Mode::Data(dots) => self.data(dots, window, out),
                Mode::Chunk(left) => self.chunk(left, window, out),
            };
            if !progress {
                break;
            }
        }
    }

    /// One command. Whether something was consumed.
    pub(super) fn command_line(&mut self, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let Some(line_end) = line_end(window) else { return false };
        let start = window.position();
        let line: Vec<u8> = window.bytes()[..line_end.min(MOST_OF_LINE)].to_vec();
        let (first, last) = (window.mark(start), window.end_mark(start + line_end as u64));
        let acknowledged = window.acknowledged_at(start);
        window.consume(line_end);
        self.close_open(acknowledged, out);
        let broken = std::mem::take(&mut self.inside_line[ClientToServer.index()]) || self.uncertain;
        if broken && !is_known(&line) {
            return true;
        }
        if line.starts_with(b"PROXY ") && self.pending.is_empty() && self.next_id == 0 {
            self.facts.push(Attribute::new("proxy", latin(line.trim_ascii())));
            return true;
        }
        let Some(command) = Command::parse(&line) else {
            // No command, yet servers reply to it.
            self.garbled = true;
            self.next_id += 1;
            let mut pending = Pending::new(self.next_id, Kind::Other, acknowledged, None);
            pending.silent = true;
            self.wait_for_reply(pending);
            return true;
        };
        let mut request = out.message("smtp", ClientToServer, Role::Request);
        request.first = first;
        request.last = last;
        request.bytes = line_end as u64;
        request.set_operation(&command.verb.to_ascii_uppercase());
        if let Some(resource) = command.resource {
            request.set_resource(resource);
        }
        describe(&command, &line, &mut request);
        self.open(&command, request, acknowledged, out);
        true
    }

    pub(super) fn open(
        &mut self,
        command: &Command<'_>,
        mut request: Box<Message>,
        acknowledged: Option<u64>,
        out: &mut Outbox,
    ) {
        self.garbled = false;
        self.next_id += 1;
        let id = self.next_id;
        request.key = Key { space: 0, id };
        let mut pending = Pending::new(id, command.kind, acknowledged, self.current);
        if let Some(mail) = self.current.and_then(|id| self.mails.get_mut(&id)) {
            mail.wire += request.bytes;
            mail.last = request.last;
        }
        let mut holds = false;
        match command.kind {
            Kind::Mail => {
                pending.abandons = self.current.take();
                let sender = command.resource.unwrap_or_default();
                let mut mail = Mail::new(sender, request.first);
                mail.wire = request.bytes;
                mail.last = request.last;
                self.mails.insert(id, mail);
                self.current = Some(id);
                pending.mail = Some(id);
            }
            Kind::Recipient => {
                if let Some(mail) = self.current.and_then(|id| self.mails.get_mut(&id)) {
                    pending.recipient = mail.recipient(command.resource.unwrap_or_default());
                }
            }
            Kind::Data => {
                holds = true;
                self.mode = Mode::Waiting(Verdict::Data);
            }
            Kind::Chunk(length, last) => {
                holds = true;
                self.mode = Mode::Chunk(length);
                if let Some(mail) = self.current.and_then(|id| self.mails.get_mut(&id)) {
                    mail.began = true;
                    mail.ended = last;
                }
            }
            Kind::Authenticate => {
                holds = true;
                self.mode = Mode::Waiting(Verdict::Authenticate);
            }
            Kind::StartTls => {
                pending.abandons = self.current.take();
                self.mode = Mode::Waiting(Verdict::StartTls);
            }
            Kind::Hello | Kind::LocalHello | Kind::Reset | Kind::Quit => {
                pending.abandons = self.current.take();
                self.local = Some(command.kind == Kind::LocalHello);
            }
            Kind::Other => {}
        }
        if holds {
            pending.request = Some(request);
        } else {
            out.push(request);
        }
        self.wait_for_reply(pending);
        if self.mode == Mode::Chunk(0) {
            self.chunk_over(acknowledged, out);
        }
    }

    pub(super) fn wait_for_reply(&mut self, pending: Pending) {
        if self.pending.len() < MOST_PENDING {
            self.pending.push_back(pending);
        } else {
            self.uncertain = true;
        }
    }

    /// The server's reply to DATA, AUTH or STARTTLS has not come and the client goes on. Whether the
    /// bytes can be read all the same: only where no reply will be seen.
    pub(super) fn without_verdict(&mut self, verdict: Verdict, window: &Window<'_>) -> bool {
        let silent = self.ended[ServerToClient.index()] || window.acknowledged_at(window.position()).is_none();
        let unseen = self.server_lost || (!self.server_spoke && silent) || window.bytes().len() > MOST_WAITING;
        if !unseen {
            return false;
        }
        self.mode = match verdict {
            Verdict::Data => Mode::Data(Dots::new()),
            Verdict::Authenticate if !is_known(window.bytes()) => Mode::Credentials,
            Verdict::Authenticate | Verdict::StartTls => Mode::Command,
        };
        true
    }

    pub(super) fn credentials(&mut self, window: &mut Window<'_>) -> bool {
        let Some(line_end) = line_end(window) else { return false };
        let last = window.end_mark(window.position() + line_end as u64);
        let read = window.acknowledged_at(window.position());
        if let Some(pending) = self.pending.back_mut()
            && let Some(request) = pending.request.as_mut()
        {
            pending.acknowledged = read;
            request.bytes += line_end as u64;
            request.last = last;
            let line = window.bytes()[..line_end].trim_ascii();
            if line == b"*" {
                request.note("the client gave up");
            } else {
                request.attribute("response", Value::Secret(line.to_vec()));
            }
        }
        window.consume(line_end);
        self.mode = Mode::Waiting(Verdict::Authenticate);
        true
    }
}

/// Whether a line begins with a verb that every server knows.
fn is_known(line: &[u8]) -> bool {
    const KNOWN: &[&[u8]] = &[
        b"EHLO",
        b"HELO",
        b"LHLO",
        b"MAIL",
        b"RCPT",
        b"DATA",
        b"BDAT",
        b"RSET",
        b"QUIT",
        b"NOOP",
        b"VRFY",
        b"EXPN",
        b"HELP",
        b"AUTH",
        b"STARTTLS",
        b"XCLIENT",
    ];
    let word = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    KNOWN.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Tells more of a command than its resource.
fn describe(command: &Command<'_>, line: &[u8], request: &mut Message) {
    if command.verb != command.verb.to_ascii_uppercase() {
        request.attribute("verb", latin(command.verb));
    }
    if command.kind == Kind::Authenticate && !command.parameters.is_empty() {
        request.attribute("response", Value::Secret(command.parameters.to_vec()));
    }
    if matches!(command.kind, Kind::Mail | Kind::Recipient) && !command.parameters.is_empty() {
        let words = command.parameters.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let parameters = words.take(64).map(|word| {
            let (name, value) = match memchr::memchr(b'=', word) {
                Some(at) => (&word[..at], Value::from(latin(&word[at + 1..]))),
                None => (word, Value::Bool(true)),
            };
            (latin(name).to_ascii_uppercase().into(), value)
        });
        request.attribute("parameters", Value::Map(parameters.collect()));
    }
    if !line.ends_with(b"\r\n") {
        request.note("line ended with a bare LF");
    }
}
