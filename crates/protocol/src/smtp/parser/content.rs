//! The message that a client sends: after DATA, or in chunks.

use super::super::client::{Dots, Mode, Piece};
use super::super::command::Kind;
use super::{Pending, SmtpParser};
use crate::{Mark, Outbox, Window};

impl SmtpParser {
    pub(super) fn data(&mut self, mut dots: Dots, window: &mut Window<'_>, out: &mut Outbox) -> bool {
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
        let read = window.acknowledged_at(window.position());
        self.count_content(consumed as u64, last);
        window.consume(consumed);
        self.mode = Mode::Data(dots);
        if ended {
            self.data_over(dots, read, out);
        }
        true
    }

    /// Counts bytes of a message in the request that carries them.
    pub(super) fn count_content(&mut self, bytes: u64, last: Mark) {
        if let Some(request) = self.pending.iter_mut().rev().find_map(|pending| pending.request.as_mut()) {
            request.bytes += bytes;
            request.last = last;
        }
        if let Some(mail) = self.current.and_then(|id| self.mails.get_mut(&id)) {
            mail.wire += bytes;
            mail.last = last;
        }
    }

    /// The message is at its end: its request can be told, and the reply to it is the verdict. `read`:
    /// how far the client had read by then.
    pub(super) fn data_over(&mut self, dots: Dots, read: Option<u64>, out: &mut Outbox) {
        self.mode = Mode::Command;
        let mail = self.current.take();
        if let Some(mail) = mail.and_then(|id| self.mails.get_mut(&id)) {
            mail.began = true;
            mail.ended = true;
        }
        let size = mail.and_then(|id| self.mails.get(&id)).map(|mail| (mail.size, mail.lost));
        let Some(pending) = self.pending.iter_mut().rev().find(|pending| pending.kind == Kind::Data) else { return };
        pending.acknowledged = read.or(pending.acknowledged);
        pending.loose_end = dots.loose_ends;
        pending.each_recipient = self.local != Some(false);
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

    pub(super) fn chunk(&mut self, left: u64, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let length = window.bytes().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let id = self.current;
        if let Some(mail) = id.and_then(|id| self.mails.get_mut(&id)) {
            mail.content(&window.bytes()[..length], &self.settings);
        }
        let last = window.end_mark(window.position() + length as u64);
        let read = window.acknowledged_at(window.position());
        self.count_content(length as u64, last);
        window.consume(length);
        self.mode = Mode::Chunk(left - length as u64);
        if left == length as u64 {
            self.chunk_over(read, out);
        }
        true
    }

    pub(super) fn chunk_over(&mut self, read: Option<u64>, out: &mut Outbox) {
        self.mode = Mode::Command;
        let Some(pending) = self.pending.iter_mut().rev().find(|pending| matches!(pending.kind, Kind::Chunk(..)))
        else {
            return;
        };
        let Kind::Chunk(length, last) = pending.kind else { return };
        pending.acknowledged = read.or(pending.acknowledged);
        if let Some(mut request) = pending.request.take() {
            request.body_bytes = Some(length);
            out.push(request);
        }
        if last {
            self.current = None;
            pending.each_recipient = self.local != Some(false);
        }
        self.give_early_reply(out);
    }

    /// A reply that came before the end of its request follows it now.
    pub(super) fn give_early_reply(&mut self, out: &mut Outbox) {
        let answered = |pending: &Pending| pending.early.is_some() && pending.request.is_none() && !pending.open;
        while self.pending.front().is_some_and(answered) {
            if let Some(mut pending) = self.pending.pop_front()
                && let Some(response) = pending.early.take()
            {
                self.finish(pending, response, out);
            }
        }
    }
}
