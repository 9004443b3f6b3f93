//! What permessage-deflate was agreed on (RFC 7692, 7.1).

use l7trace_event::Direction;

/// What is known of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deflate {
    /// None was agreed on.
    No,
    /// The handshake was not seen: it may be there.
    Unknown,
    Yes(Parameters),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    /// By the direction that compresses: whether each message starts afresh.
    pub(super) no_context_takeover: [bool; 2],
}

impl Deflate {
    /// What the server's `Sec-WebSocket-Extensions` say.
    pub(super) fn agreed<'a>(headers: impl Iterator<Item = &'a [u8]>) -> Deflate {
        for extension in headers.flat_map(|header| header.split(|byte| *byte == b',')) {
            let mut parts = extension.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"permessage-deflate")) {
                continue;
            }
            let mut parameters = Parameters::default();
            for parameter in parts {
                let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
                if name.eq_ignore_ascii_case(b"client_no_context_takeover") {
                    parameters.no_context_takeover[Direction::ClientToServer.index()] = true;
                } else if name.eq_ignore_ascii_case(b"server_no_context_takeover") {
                    parameters.no_context_takeover[Direction::ServerToClient.index()] = true;
                }
                // Window bits bound how far the sender looks back; a full window covers every bound.
            }
            return Deflate::Yes(parameters);
        }
        Deflate::No
    }

    /// Whether RSV1 may mark compression.
    pub(super) fn may_be(self) -> bool {
        self != Deflate::No
    }

    /// Whether each message of this direction is known to start afresh.
    pub(super) fn starts_afresh(self, direction: Direction) -> bool {
        matches!(self, Deflate::Yes(parameters) if parameters.no_context_takeover[direction.index()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let agreed = |header: &str| Deflate::agreed([header.as_bytes()].into_iter());
        let yes = |client, server| Deflate::Yes(Parameters { no_context_takeover: [client, server] });
        assert_eq!(agreed(""), Deflate::No);
        assert_eq!(agreed("permessage-bzip2"), Deflate::No);
        assert_eq!(agreed("x-foo, permessage-deflate"), yes(false, false));
        assert_eq!(
            agreed("permessage-deflate ; server_no_context_takeover;client_max_window_bits=12"),
            yes(false, true)
        );
        assert_eq!(
            agreed("Permessage-Deflate; client_no_context_takeover; server_no_context_takeover"),
            yes(true, true)
        );
    }
}
