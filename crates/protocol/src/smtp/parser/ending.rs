//! Bytes that were lost, and how things end.

use super::super::client::{Mode, Verdict};
use super::super::command::Kind;
use super::super::reply::Reply;
use super::{Pending, PushMail, SmtpParser};
use crate::{Completeness, End, Next, Outbox, Switch};

use l7trace_event::Cause;
use l7trace_event::Direction::{self, ClientToServer, ServerToClient};

impl SmtpParser {
    /// A DATA that was not seen has been let through: what the client says now is a message.
    pub(super) fn data_was_asked(&mut self, out: &mut Outbox) {
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

    pub(super) fn gap(&mut self, direction: Direction, position: u64, length: u64, cause: Cause) {
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
                if let Some(mail) = self.current.and_then(|id| self.mails.get_mut(&id)) {
                    mail.doubtful = true;
                }
            }
        }
    }

    pub(super) fn count_lost(&mut self, content: u64, wire: u64) {
        if let Some(mail) = self.current.and_then(|id| self.mails.get_mut(&id)) {
            mail.gap(content);
        }
        if let Some(request) = self.pending.iter_mut().rev().find_map(|pending| pending.request.as_mut()) {
            request.bytes += wire;
        }
    }

    /// What waited for the server's word can go on, or goes on as something else.
    pub(super) fn settle(&mut self, out: &mut Outbox) {
        if self.mode == Mode::Chunk(0) {
            self.chunk_over(None, out);
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

    pub(super) fn end(&mut self, direction: Direction, end: End, out: &mut Outbox) {
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
            self.close_open(None, out);
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
    pub(super) fn give_up_mails(&mut self, out: &mut Outbox) {
        for (_, mail) in std::mem::take(&mut self.mails) {
            let last = mail.last;
            out.push_mail(mail, None, last);
        }
        self.current = None;
    }
}
