//! What is known of one direction while it is read.

use super::body::Body;
use super::head::Scan;
use super::search::Search;
use crate::{Completeness, End, Feed, Mark, Message, Window, content};

/// One direction of a connection.
#[derive(Default)]
pub(super) struct Reader {
    /// Bytes that wait for more.
    pub(super) feed: Feed,
    pub(super) state: State,
    /// Where the search for the end of the head stands.
    pub(super) scan: Scan,
    /// The message whose body is being read.
    pub(super) message: Option<Box<Message>>,
    /// Where the first chunk that came began; none before that.
    pub(super) first: Option<u64>,
    /// Where the direction ends so far.
    pub(super) position: u64,
    /// How far the sender had read when it sent the last byte; none where that byte was not seen.
    pub(super) read: Option<u64>,
    /// Whether something stood before the next start line that does not belong there.
    pub(super) oddity: Option<&'static str>,
    pub(super) ended: bool,
}

/// Where in its direction a reader stands.
#[derive(Debug, Default)]
pub(super) enum State {
    /// Between two messages, or in a head.
    #[default]
    Start,
    /// In the body of [`Reader::message`].
    Body(Body),
    /// Somewhere; the next start line is searched.
    Lost(Search),
    /// Between two messages; what follows depends on what the other side says.
    Waiting,
}

impl Reader {
    /// Whether it stands between two messages; none where that is not known.
    pub(super) fn at_boundary(&self) -> Option<bool> {
        match self.state {
            State::Start | State::Waiting => Some(self.feed.held() == 0),
            State::Lost(_) => None,
            State::Body(_) => Some(false),
        }
    }

    /// Loses the place: from here on the next start line is searched.
    pub(super) fn lose(&mut self, search: Search) {
        self.state = State::Lost(search);
        self.scan = Scan::default();
    }

    /// Stands between two messages again.
    pub(super) fn start_anew(&mut self) {
        self.state = State::Start;
        self.scan = Scan::default();
    }
}

/// Ends a message: what it took, and what its body turned out to be.
pub(super) fn finish(message: &mut Message, body: Option<&Body>, last: Mark, body_limit: usize) {
    message.last = last;
    message.bytes += last.position - message.first.position;
    message.body_bytes = Some(body.map_or(0, Body::received));
    if body_limit > 0
        && let Some(body) = body
    {
        undo_codings(message, body.is_kept_whole(), body_limit);
    }
}

/// Undoes first what Transfer-Encoding names besides `chunked`, then what Content-Encoding names.
fn undo_codings(message: &mut Message, complete: bool, body_limit: usize) {
    let mut complete = complete;
    let mut transfer = Vec::new();
    for field in &message.headers {
        if message.text_of(field.name).is_some_and(|name| name.eq_ignore_ascii_case(b"transfer-encoding"))
            && let Some(value) = message.text_of(field.value)
        {
            transfer.extend(content::codings_in(value).filter(|coding| !coding.is_named(b"chunked")));
        }
    }
    if !transfer.is_empty() && !message.body.is_empty() {
        let most = content::keep_limit(message, body_limit);
        let decoded = content::decode(transfer.into_iter(), message.body.clone(), complete, most);
        message.body = decoded.body;
        complete &= !decoded.truncated;
        if let Some(note) = decoded.note {
            message.note(note);
        }
    }
    content::undo(message, complete, body_limit);
}

/// What becomes of a message that its direction's end cuts off.
pub(super) fn completeness_at(end: End) -> Completeness {
    match end {
        End::Closed | End::Reset => Completeness::Cut,
        End::Unknown => Completeness::Unfinished,
    }
}

/// Consumes line ends that stand before a start line (RFC 9112, section 2.2). Whether there were any.
pub(super) fn skip_empty_lines(window: &mut Window<'_>) -> bool {
    let empty = window.bytes().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    window.consume(empty);
    empty > 0
}
