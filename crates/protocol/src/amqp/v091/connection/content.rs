//! The content that follows some methods.

use super::super::super::cursor::Cursor;
use super::super::Frame;
use super::super::channel::{Content, Got};
use super::super::values::properties;
use super::{Connection, Place};
use crate::{Mark, Message, Outbox, Value};

use l7trace_event::Direction;

impl Connection {
    pub(super) fn begin_content(&mut self, number: u16, message: Box<Message>, get: Option<(u64, Got)>) {
        let direction = message.direction;
        let channel = self.channel(number);
        channel.content[direction.index()] = Some(Content { message, size: None, got: 0, get });
    }

    pub(super) fn content(&mut self, direction: Direction, number: u16) -> Option<&mut Content> {
        self.channels.get_mut(&number)?.content[direction.index()].as_mut()
    }

    /// Counts framing of a message whose content is coming.
    pub(super) fn count(&mut self, direction: Direction, channel: u16, bytes: u64, last: Mark) {
        if let Some(content) = self.content(direction, channel) {
            content.message.bytes += bytes;
            content.message.last = last;
        }
    }

    pub(super) fn content_header(&mut self, direction: Direction, frame: &Frame<'_>, place: &Place, out: &mut Outbox) {
        let mut cursor = Cursor(frame.payload);
        let (Some(_class), Some(_weight), Some(size)) = (cursor.u16(), cursor.u16(), cursor.u64()) else { return };
        if let Some(content) = self.content(direction, frame.channel) {
            content.size = Some(size);
            content.message.bytes += place.size;
            content.message.last = place.last;
            content.message.body_bytes = Some(size);
            match properties(&mut cursor) {
                Some(properties) if !properties.is_empty() => {
                    let map = properties.into_iter().map(|(name, value)| (name.into(), value)).collect();
                    content.message.attribute("properties", Value::Map(map));
                }
                Some(_) => {}
                None => content.message.note("the content's properties do not decode"),
            }
        }
        self.finish_content(direction, frame.channel, out);
    }

    /// Tells a message whose content is all there.
    pub(super) fn finish_content(&mut self, direction: Direction, number: u16, out: &mut Outbox) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let slot = &mut channel.content[direction.index()];
        if slot.as_ref().is_none_or(|content| content.size.is_none_or(|size| content.got < size)) {
            return;
        }
        let Some(content) = slot.take() else { return };
        if let Some((tag, got)) = content.get {
            channel.got(tag, got);
        }
        out.push(content.message);
    }
}
