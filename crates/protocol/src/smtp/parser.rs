//! Reads both directions of a connection: commands, the mails between them, replies.

use std::collections::{BTreeMap, VecDeque};

use l7trace_event::Cause;
use l7trace_event::Direction::{self, ClientToServer, ServerToClient};

use super::client::{Dots, Mode, Piece, Verdict};
use super::command::{Command, Kind};
use super::mail::{Mail, latin};
use super::reply::{Line, Reply};
use crate::{
    Attribute, Chunk, Completeness, End, Feed, Input, Key, Mark, Message, Next, Outbox, Parser, Role, Settings, Start,
    Switch, Value, Window,
};

/// The longest line that is waited for: far beyond RFC 5321's 512 and 1000.
const MOST_OF_LINE: usize = 64 << 10;

/// The most that is held while a verdict is waited for.
const MOST_WAITING: usize = 1 << 20;

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
    local: bool,
    /// Commands or replies were lost: pairs are found by what was read, not by order.
    uncertain: bool,
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
    /// LMTP: how many replies are still to come after this one.
    more_replies: usize,
    /// The worst code so far (LMTP's several replies).
    worst: u16,
    /// A final reply that came before the request was at its end.
    early: Option<Box<Message>>,
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
            more_replies: 0,
            worst: 0,
            early: None,
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
            local: false,
            uncertain: !from_start[ServerToClient.index()] || !from_start[ClientToServer.index()],
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

// What the client says.
impl SmtpParser {
    fn client(&mut self, window: &mut Window<'_>, out: &mut Outbox) {
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
    fn command_line(&mut self, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let Some(line_end) = line_end(window) else { return false };
        let start = window.position();
        let line: Vec<u8> = window.bytes()[..line_end.min(MOST_OF_LINE)].to_vec();
        let (first, last) = (window.mark(start), window.end_mark(start + line_end as u64));
        let acknowledged = window.acknowledged_at(start);
        window.consume(line_end);
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

    fn open(&mut self, command: &Command<'_>, mut request: Box<Message>, acknowledged: Option<u64>, out: &mut Outbox) {
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
                    mail.recipient(command.resource.unwrap_or_default());
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
                self.local |= command.kind == Kind::LocalHello;
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
            self.chunk_over(out);
        }
    }

    fn wait_for_reply(&mut self, pending: Pending) {
        if self.pending.len() < MOST_PENDING {
            self.pending.push_back(pending);
        }
    }

    /// The server's reply to DATA, AUTH or STARTTLS has not come and the client goes on. Whether the
    /// bytes can be read all the same: only where no reply will be seen.
    fn without_verdict(&mut self, verdict: Verdict, window: &Window<'_>) -> bool {
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

    fn credentials(&mut self, window: &mut Window<'_>) -> bool {
        let Some(line_end) = line_end(window) else { return false };
        let last = window.end_mark(window.position() + line_end as u64);
        if let Some(request) = self.pending.back_mut().and_then(|pending| pending.request.as_mut()) {
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

    fn data(&mut self, mut dots: Dots, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let piece = dots.next(window.bytes());
        let (consumed, ended) = match piece {
            Piece::Content { skip, length } => {
                let content = &window.bytes()[skip..skip + length];
                let id = self.current;
                if let Some(mail) = id.and_then(|id| self.mails.get_mut(&id)) {
                    mail.content(content, &self.settings);
                }
                (skip + length, false)
            }
            Piece::End(length) => (length, true),
            Piece::More => {
                self.mode = Mode::Data(dots);
                return false;
            }
        };
        let last = window.end_mark(window.position() + consumed as u64);
        self.count_content(consumed as u64, last);
        window.consume(consumed);
        self.mode = Mode::Data(dots);
        if ended {
            self.data_over(dots, out);
        }
        true
    }

    /// Counts bytes of a message in the request that carries them.
    fn count_content(&mut self, bytes: u64, last: Mark) {
        if let Some(request) = self.pending.iter_mut().rev().find_map(|pending| pending.request.as_mut()) {
            request.bytes += bytes;
            request.last = last;
        }
        if let Some(mail) = self.current.and_then(|id| self.mails.get_mut(&id)) {
            mail.wire += bytes;
            mail.last = last;
        }
    }

    /// The message is at its end: its request can be told, and the reply to it is the verdict.
    fn data_over(&mut self, dots: Dots, out: &mut Outbox) {
        self.mode = Mode::Command;
        let mail = self.current.take();
        let accepted = match mail.and_then(|id| self.mails.get_mut(&id)) {
            Some(mail) => {
                mail.began = true;
                mail.ended = true;
                mail.accepted()
            }
            None => 1,
        };
        let size = mail.and_then(|id| self.mails.get(&id)).map(|mail| (mail.size, mail.lost));
        let Some(pending) = self.pending.iter_mut().rev().find(|pending| pending.kind == Kind::Data) else { return };
        if self.local {
            pending.more_replies = accepted.saturating_sub(1);
        }
        if let Some(mut request) = pending.request.take() {
            request.body_bytes = size.map(|(size, _)| size);
            request.lost_bytes += size.map_or(0, |(_, lost)| lost);
            if dots.bare_lf {
                request.note("bare LF in the message (SMTP smuggling)");
            }
            if dots.uncertain {
                request.note("bytes of the message were lost");
            }
            out.push(request);
        }
        self.give_early_reply(out);
    }

    fn chunk(&mut self, left: u64, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let length = window.bytes().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let id = self.current;
        if let Some(mail) = id.and_then(|id| self.mails.get_mut(&id)) {
            mail.content(&window.bytes()[..length], &self.settings);
        }
        let last = window.end_mark(window.position() + length as u64);
        self.count_content(length as u64, last);
        window.consume(length);
        self.mode = Mode::Chunk(left - length as u64);
        if left == length as u64 {
            self.chunk_over(out);
        }
        true
    }

    fn chunk_over(&mut self, out: &mut Outbox) {
        self.mode = Mode::Command;
        let Some(pending) = self.pending.iter_mut().rev().find(|pending| matches!(pending.kind, Kind::Chunk(..)))
        else {
            return;
        };
        let Kind::Chunk(length, last) = pending.kind else { return };
        if let Some(mut request) = pending.request.take() {
            request.body_bytes = Some(length);
            out.push(request);
        }
        if last {
            let mail = self.current.take().and_then(|id| self.mails.get(&id));
            if self.local
                && let Some(mail) = mail
            {
                pending.more_replies = mail.accepted().saturating_sub(1);
            }
        }
        self.give_early_reply(out);
    }

    /// A reply that came before the end of its request follows it now.
    fn give_early_reply(&mut self, out: &mut Outbox) {
        let answered = |pending: &Pending| pending.early.is_some() && pending.request.is_none();
        while self.pending.front().is_some_and(answered) {
            if let Some(mut pending) = self.pending.pop_front()
                && let Some(response) = pending.early.take()
            {
                self.finish(pending, response, out);
            }
        }
    }
}

// What the server says.
impl SmtpParser {
    fn server(&mut self, window: &mut Window<'_>, out: &mut Outbox) {
        while let Some(line_end) = line_end(window) {
            let start = window.position();
            let (first, last) = (window.mark(start), window.end_mark(start + line_end as u64));
            let line = &window.bytes()[..line_end.min(MOST_OF_LINE)];
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let parsed = match Line::parse(line) {
                Line::Reply(code, more, text) => {
                    self.reply.add(code, text);
                    Some(more)
                }
                Line::Other => None,
            };
            window.consume(line_end);
            self.inside_line[ServerToClient.index()] = false;
            let Some(more) = parsed else { continue };
            let began = *self.reply_first.get_or_insert(first);
            self.reply_bytes += line_end as u64;
            if !more {
                let reply = std::mem::take(&mut self.reply);
                let bytes = std::mem::take(&mut self.reply_bytes);
                self.reply_first = None;
                if self.replied(&reply, began, last, bytes, out) {
                    break;
                }
            }
        }
    }

    /// A whole reply. Whether the connection goes on as something else.
    fn replied(&mut self, reply: &Reply, first: Mark, last: Mark, bytes: u64, out: &mut Outbox) -> bool {
        let greets = matches!(reply.code, 220 | 554 | 421);
        if std::mem::take(&mut self.greeting_due) && greets {
            self.facts.push(Attribute::new("banner", reply.lines.first().map(|line| latin(line)).unwrap_or_default()));
            return false;
        }
        if self.uncertain {
            self.find_pair(first.position, out);
        }
        if self.uncertain && reply.code == 354 && self.mode == Mode::Command {
            self.data_was_asked(out);
        }
        let mut response = out.message("smtp", ServerToClient, Role::Response);
        response.first = first;
        response.last = last;
        response.bytes = bytes;
        response.failed = reply.code >= 400;
        response.set_status(reply.code.to_string().as_bytes());
        if let Some(code) = reply.enhanced() {
            response.attribute("enhanced_status", code.to_owned());
        }
        let lines = reply.lines.iter().map(|line| Value::from(latin(line)));
        response.attribute("text", lines.collect::<Vec<_>>());

        let Some(pending) = self.pending.front_mut().filter(|_| !self.uncertain) else {
            self.next_id += 1;
            response.key = Key { space: 1, id: self.next_id };
            out.push(response);
            return false;
        };
        if pending.silent {
            self.pending.pop_front();
            out.recycle(response);
            return false;
        }
        response.key = Key { space: 0, id: pending.id };
        if (300..400).contains(&reply.code) {
            pending.interim_bytes += bytes;
            match (pending.kind, self.mode) {
                (Kind::Data, Mode::Waiting(Verdict::Data)) => self.mode = Mode::Data(Dots::new()),
                (Kind::Authenticate, Mode::Waiting(Verdict::Authenticate)) => self.mode = Mode::Credentials,
                _ => {}
            }
            // A client that did not wait has said already what the next replies are about.
            self.settle(out);
            return false;
        }
        response.bytes += pending.interim_bytes;
        if pending.kind == Kind::Data {
            match self.mode {
                Mode::Waiting(Verdict::Data) if pending.request.is_some() => self.mode = Mode::Command,
                // The server took a looser end for the end, and it is the one who decides.
                Mode::Data(dots) if dots.loose_end || dots.uncertain || reply.code / 100 == 2 => {
                    self.data_over(dots, out);
                }
                _ => {}
            }
        }
        if let Mode::Waiting(Verdict::Authenticate) | Mode::Credentials = self.mode
            && self.pending.len() == 1
        {
            self.mode = Mode::Command;
        }
        self.answer(response, reply.code, out)
    }

    /// The first pending command has its final reply. Whether the connection goes on as TLS.
    fn answer(&mut self, mut response: Box<Message>, code: u16, out: &mut Outbox) -> bool {
        let only = self.pending.len() == 1;
        let Some(pending) = self.pending.front_mut() else { return false };
        let mail = pending.mail.and_then(|id| self.mails.get_mut(&id));
        match (pending.kind, mail) {
            (Kind::Recipient, Some(mail)) => mail.recipient_reply(code),
            (Kind::Mail | Kind::Data | Kind::Chunk(..), Some(mail)) => {
                mail.reply(code);
                if self.local && mail.ended {
                    mail.delivery_reply(code);
                }
            }
            _ => {}
        }
        pending.worst = pending.worst.max(code);
        if pending.more_replies > 0 {
            pending.more_replies -= 1;
            pending.interim_bytes += response.bytes;
            return false;
        }
        if pending.worst > code {
            response.set_status(pending.worst.to_string().as_bytes());
            response.failed = pending.worst >= 400;
        }
        if pending.request.is_some() && matches!(self.mode, Mode::Data(_) | Mode::Chunk(1..)) && only {
            // It answered early; the client is still sending.
            pending.early = Some(response);
            return false;
        }
        let Some(pending) = self.pending.pop_front() else { return false };
        let secured = pending.kind == Kind::StartTls && code / 100 == 2;
        if pending.kind == Kind::StartTls && self.mode == Mode::Waiting(Verdict::StartTls) {
            self.mode = Mode::Command;
        }
        self.finish(pending, response, out);
        if secured {
            self.give_up_mails(out);
            self.mode = Mode::Waiting(Verdict::StartTls);
            self.facts.push(Attribute::new("starttls", true));
        }
        secured
    }

    /// Tells a command's response, its request where that is not told yet, and the mail it ends.
    fn finish(&mut self, mut pending: Pending, response: Box<Message>, out: &mut Outbox) {
        if let Some(request) = pending.request.take() {
            out.push(request);
        }
        let code = response.text_of(response.status).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        let (last, bytes) = (response.last, response.bytes);
        out.push(response);
        if let Some(mail) = pending.abandons.and_then(|id| self.mails.remove(&id)) {
            out.push_mail(mail, None, last);
        }
        let ends = matches!(pending.kind, Kind::Data | Kind::Chunk(_, true));
        if let Some(id) = pending.mail
            && let Some(mail) = self.mails.get_mut(&id)
        {
            mail.wire += bytes;
            if ends
                && mail.ended
                && let Some(mail) = self.mails.remove(&id)
            {
                out.push_mail(mail, code, last);
            }
        }
    }

    /// Commands or replies were lost. The reply that begins where a command's sender had read to is
    /// that command's: everything before it had been answered already.
    fn find_pair(&mut self, position: u64, out: &mut Outbox) {
        let asked = |pending: &Pending| pending.acknowledged == Some(position);
        let Some(index) = self.pending.iter().position(asked) else { return };
        for mut given_up in self.pending.drain(..index) {
            if let Some(request) = given_up.request.take() {
                out.push(request);
            }
        }
        self.uncertain = false;
    }
}

// Gaps and ends.
impl SmtpParser {
    /// A DATA that was not seen has been let through: what the client says now is a message.
    fn data_was_asked(&mut self, out: &mut Outbox) {
        for mut given_up in std::mem::take(&mut self.pending) {
            if let Some(request) = given_up.request.take() {
                out.push(request);
            }
        }
        self.next_id += 1;
        self.pending.push_back(Pending::new(self.next_id, Kind::Data, None, self.current));
        self.uncertain = false;
        self.mode = Mode::Waiting(Verdict::Data);
    }
}

impl SmtpParser {
    fn gap(&mut self, direction: Direction, position: u64, length: u64, cause: Cause) {
        let lost = if cause.is_loss() { length } else { 0 };
        let feed = &mut self.feeds[direction.index()];
        let held = feed.held() as u64;
        feed.clear(position + length);
        self.inside_line[direction.index()] = true;
        if direction == ServerToClient {
            self.uncertain = true;
            self.server_lost = true;
            self.greeting_due = false;
            self.reply = Reply::default();
            self.reply_first = None;
            self.reply_bytes = 0;
            return;
        }
        let mail = self.current.and_then(|id| self.mails.get_mut(&id));
        if let Some(mail) = mail {
            mail.lost += lost;
            mail.wire += length + held;
        }
        match self.mode {
            Mode::Data(dots) => {
                self.mode = Mode::Data(dots.after_gap());
                self.count_lost(length, length + held);
            }
            Mode::Chunk(left) if length <= left => {
                self.mode = Mode::Chunk(left - length);
                self.inside_line[direction.index()] = false;
                self.count_lost(length, length);
                if left == length {
                    self.mode = Mode::Chunk(0);
                }
            }
            _ => {
                self.mode = Mode::Command;
                self.uncertain = true;
            }
        }
    }

    fn count_lost(&mut self, content: u64, wire: u64) {
        if let Some(mail) = self.current.and_then(|id| self.mails.get_mut(&id)) {
            mail.gap(content);
        }
        if let Some(request) = self.pending.iter_mut().rev().find_map(|pending| pending.request.as_mut()) {
            request.bytes += wire;
        }
    }

    /// What waited for the server's word can go on, or goes on as something else.
    fn settle(&mut self, out: &mut Outbox) {
        if self.mode == Mode::Chunk(0) {
            self.chunk_over(out);
        }
        let secured = self.mode == Mode::Waiting(Verdict::StartTls)
            && !self.pending.iter().any(|pending| pending.kind == Kind::StartTls);
        if secured {
            let mut rest = self.feeds[ClientToServer.index()].take_chunks(ClientToServer);
            rest.extend(self.feeds[ServerToClient.index()].take_chunks(ServerToClient));
            for pending in std::mem::take(&mut self.pending) {
                if let Some(request) = pending.request {
                    out.push(request);
                }
            }
            out.switch(Switch { next: Next::Protocol("tls"), handshake: None, rest });
            return;
        }
        if self.feeds[ClientToServer.index()].held() == 0 {
            return;
        }
        let mut feed = std::mem::take(&mut self.feeds[ClientToServer.index()]);
        let mut window = feed.reopen();
        self.client(&mut window, out);
        window.close();
        self.feeds[ClientToServer.index()] = feed;
    }

    fn end(&mut self, direction: Direction, end: End, out: &mut Outbox) {
        let completeness = if end == End::Unknown { Completeness::Unfinished } else { Completeness::Cut };
        if direction == ClientToServer {
            let cut = matches!(self.mode, Mode::Data(_) | Mode::Chunk(1..));
            for pending in &mut self.pending {
                if let Some(mut request) = pending.request.take() {
                    if cut {
                        request.completeness = completeness;
                    }
                    out.push(request);
                }
            }
            self.give_early_reply(out);
        }
        if self.ended == [true; 2] {
            for pending in std::mem::take(&mut self.pending) {
                if let Some(request) = pending.request {
                    out.push(request);
                }
                if let Some(response) = pending.early {
                    out.push(response);
                }
            }
            self.give_up_mails(out);
        }
    }

    /// Mails that will never have a verdict.
    fn give_up_mails(&mut self, out: &mut Outbox) {
        for (_, mail) in std::mem::take(&mut self.mails) {
            let last = mail.last;
            out.push_mail(mail, None, last);
        }
        self.current = None;
    }

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
