/// Which columns there are at a terminal's width, and where.
///
/// From the left: time, client, server, protocol, request; from the right: received, sent,
/// latency, status. What is of least worth goes first as the terminal gets narrower: the protocol
/// and process ids, bytes sent, bytes received, the milliseconds, the two ends, the time, the
/// latency. Request and status always stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) time: Option<Time>,
    pub(super) route: Option<Route>,
    /// Where the protocol's name begins.
    pub(super) protocol: Option<usize>,
    /// Where the request begins.
    pub(super) request: usize,
    /// Where the status ends. Between the two, each line shares the room out between them.
    pub(super) status_end: usize,
    /// Where these end.
    pub(super) latency_end: Option<usize>,
    pub(super) sent_end: Option<usize>,
    pub(super) received_end: Option<usize>,
}

/// How much of the time is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// `10:00:00`
    Seconds,
    /// `10:00:00.123`
    Milliseconds,
}

/// Where the two ends stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) client: usize,
    pub(super) client_width: usize,
    pub(super) server: usize,
    pub(super) server_width: usize,
    /// Whether process ids and clients' ports are shown.
    pub(super) detailed: bool,
}

/// What the widest number of each kind takes, and the space before it.
const LATENCY: usize = 7 + 2;
const BYTES: usize = 6 + 2;
const PROTOCOL: usize = 9 + 2;

/// Lines do not get longer than this: the eye would lose its way.
pub(super) const WIDEST: usize = 220;
const NARROWEST: usize = 20;

impl Layout {
    pub(super) fn for_width(width: usize) -> Layout {
        let width = width.clamp(NARROWEST, WIDEST);
        let time = match width {
            ..56 => None,
            56..76 => Some(Time::Seconds),
            _ => Some(Time::Milliseconds),
        };
        let mut left = match time {
            None => 0,
            Some(Time::Seconds) => 9,
            Some(Time::Milliseconds) => 13,
        };
        let route = (width >= 64).then(|| {
            let beyond = width.saturating_sub(80);
            let client_width = (if width < 76 { 8 } else { 9 } + beyond / 8).min(21);
            let server_width = (if width < 76 { 10 } else { 13 } + beyond / 12).min(25);
            let route = Route {
                client: left,
                client_width,
                server: left + client_width + 3,
                server_width,
                detailed: width >= 136,
            };
            left = route.server + server_width + 2;
            route
        });
        let protocol = (width >= 150).then(|| {
            left += PROTOCOL;
            left - PROTOCOL
        });
        let mut right = width;
        let mut column = |shown: bool, takes: usize| {
            shown.then(|| {
                right -= takes;
                right + takes
            })
        };
        let received_end = column(width >= 92, BYTES);
        let sent_end = column(width >= 110, BYTES);
        let latency_end = column(width >= 40, LATENCY);
        Layout { time, route, protocol, request: left, status_end: right, latency_end, sent_end, received_end }
    }

    /// How many columns request and status share, with the space between them.
    pub(super) fn shared(&self) -> usize {
        self.status_end - self.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_status_have_room_at_every_width() {
        for width in 0..400 {
            let layout = Layout::for_width(width);
            let shared = layout.shared();
            assert!(shared >= 20.min(width.max(NARROWEST)), "{width}: {shared}");
            assert!(width < 80 || shared >= 29, "{width}: {shared}");
        }
    }
}
