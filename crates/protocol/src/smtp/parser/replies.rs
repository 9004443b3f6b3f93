//! What the server says, and which command it answers.

use super::super::client::{Dots, Mode, Verdict};
use super::super::command::Kind;
use super::super::mail::latin;
use super::super::reply::{Line, Reply};
use super::{MOST_OF_LINE, Pending, PushMail, SmtpParser, line_end};
use crate::{Attribute, Key, Mark, Message, Outbox, Role, Value, Window};

use l7trace_event::Direction::{ClientToServer, ServerToClient};

impl SmtpParser {
    pub(super) fn server(&mut self, window: &mut Window<'_>, out: &mut Outbox) {
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
                // What waited for this reply may have asked for the next one.
                if self.mode == Mode::Command && self.feeds[ClientToServer.index()].held() > 0 {
                    self.settle(out);
                }
            }
        }
    }

    /// A whole reply. Whether the connection goes on as something else.
    pub(super) fn replied(&mut self, reply: &Reply, first: Mark, last: Mark, bytes: u64, out: &mut Outbox) -> bool {
        let greets = matches!(reply.code, 220 | 554 | 421);
        if std::mem::take(&mut self.greeting_due) && greets {
            self.facts.push(Attribute::new("banner", reply.lines.first().map(|line| latin(line)).unwrap_or_default()));
            return false;
        }
        if self.uncertain || self.may_answer_content {
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

        let certain = !self.uncertain && !self.may_answer_content;
        let to_garbage = certain && (self.garbled || self.feeds[ClientToServer.index()].held() > 0);
        let Some(pending) = self.pending.front_mut().filter(|_| certain) else {
            if to_garbage && reply.code != 421 {
                out.recycle(response);
                return false;
            }
            if self.may_answer_content {
                response.note("may answer what stands in a message behind a dot after a bare LF (SMTP smuggling)");
            }
            self.unpaired(response, out);
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
        response.bytes += std::mem::take(&mut pending.interim_bytes);
        if pending.kind == Kind::Data {
            match self.mode {
                Mode::Waiting(Verdict::Data) if pending.request.is_some() => self.mode = Mode::Command,
                // The server took a looser end for the end, and it is the one who decides.
                Mode::Data(dots) if dots.loose_end || dots.uncertain || reply.code / 100 == 2 => {
                    self.data_over(dots, None, out);
                }
                _ => {}
            }
        }
        if let Mode::Waiting(Verdict::Authenticate) | Mode::Credentials = self.mode
            && self.pending.len() == 1
        {
            self.mode = Mode::Command;
        }
        self.count_replies();
        self.answer(response, reply.code, out)
    }

    /// The first reply after a message comes when all recipients have had theirs. Over LMTP so many follow as
    /// were taken; where it is not known to be LMTP or not, or how many were taken, they may be any number.
    fn count_replies(&mut self) {
        let Some(pending) = self.pending.front_mut().filter(|pending| pending.each_recipient) else {
            return;
        };
        pending.each_recipient = false;
        let taken = pending.mail.and_then(|id| self.mails.get(&id)).and_then(|mail| mail.taken());
        match (self.local, taken) {
            (Some(true), Some(taken)) => pending.more_replies = taken.saturating_sub(1),
            (Some(false), _) | (None, Some(0 | 1)) => {}
            (None, Some(_)) | (_, None) => pending.open = true,
        }
    }

    /// The client says something new, having read so far: no more replies come to what was open.
    pub(super) fn close_open(&mut self, read: Option<u64>, out: &mut Outbox) {
        let Some(pending) = self.pending.front_mut().filter(|pending| pending.open) else { return };
        let Some(mut response) = pending.early.take() else { return };
        pending.open = false;
        let all_read = read.is_none_or(|read| read == response.last.position);
        if self.uncertain || !all_read {
            self.unpaired(response, out);
            self.uncertain = true;
            return;
        }
        if let Some(pending) = self.pending.pop_front() {
            if pending.worst >= 400 {
                response.set_status(pending.worst.to_string().as_bytes());
                response.failed = true;
            }
            self.may_answer_content = pending.loose_end;
            self.finish(pending, response, out);
        }
    }

    /// A reply of which nobody can tell what it answers.
    fn unpaired(&mut self, mut response: Box<Message>, out: &mut Outbox) {
        self.next_id += 1;
        response.key = Key { space: 1, id: self.next_id };
        out.push(response);
    }

    /// The first pending command has its final reply. Whether the connection goes on as TLS.
    pub(super) fn answer(&mut self, mut response: Box<Message>, code: u16, out: &mut Outbox) -> bool {
        let only = self.pending.len() == 1;
        let Some(pending) = self.pending.front_mut() else { return false };
        let mail = pending.mail.and_then(|id| self.mails.get_mut(&id));
        match (pending.kind, mail) {
            (Kind::Recipient, Some(mail)) => mail.recipient_reply(pending.recipient, code),
            (Kind::Mail | Kind::Data | Kind::Chunk(..), Some(mail)) => {
                mail.reply(code);
                if self.local == Some(true) && mail.ended && mail.taken().is_some() {
                    mail.delivery_reply(code);
                }
            }
            _ => {}
        }
        pending.worst = pending.worst.max(code);
        if pending.open {
            if let Some(before) = pending.early.take() {
                response.bytes += before.bytes;
                out.recycle(before);
            }
            pending.early = Some(response);
            return false;
        }
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
        self.may_answer_content = pending.loose_end;
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
    pub(super) fn finish(&mut self, mut pending: Pending, response: Box<Message>, out: &mut Outbox) {
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
    pub(super) fn find_pair(&mut self, position: u64, out: &mut Outbox) {
        let asked = |pending: &Pending| pending.acknowledged == Some(position);
        let Some(index) = self.pending.iter().position(asked) else { return };
        let given_up: Vec<Pending> = self.pending.drain(..index).collect();
        for pending in given_up {
            if let Some(request) = pending.request {
                out.push(request);
            }
            if let Some(response) = pending.early {
                self.unpaired(response, out);
            }
        }
        self.uncertain = false;
        self.may_answer_content = false;
    }
}
