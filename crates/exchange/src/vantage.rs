//! The times at which each end of a connection saw its bytes, where both ends' system calls are
//! traced: an exchange is timed by one clock at one place, the server's where it is known.

use std::collections::VecDeque;

use l7trace_event::{Direction, Side, SourceKind, Timestamp, Witness};
use l7trace_protocol::{Mark, Message};

/// How many sightings of one direction are kept for an end: those of the latest exchanges.
const MOST: usize = 128;

/// What each end saw.
#[derive(Default)]
pub(crate) struct Vantages {
    /// By side of the end that looks.
    ends: [Option<Box<Sightings>>; 2],
}

/// What one end saw, by the side that sent.
type Sightings = [VecDeque<Sighting>; 2];

struct Sighting {
    start: u64,
    end: u64,
    at: Timestamp,
}

/// When a request and its response began and ended, at one place.
pub(crate) struct Times {
    pub(crate) request: [Timestamp; 2],
    pub(crate) response: [Timestamp; 2],
}

impl Times {
    /// As whoever saw each message first saw it.
    pub(crate) fn of(request: &Message, response: &Message) -> Times {
        Times { request: [request.first.at, request.last.at], response: [response.first.at, response.last.at] }
    }
}

impl Vantages {
    /// A witness saw these bytes, which `from` sent.
    pub(crate) fn saw(&mut self, witness: Witness, from: Side, position: u64, length: u64, at: Timestamp) {
        if witness.source != SourceKind::Syscalls {
            return;
        }
        let looking = if witness.place == 0 { from } else { from.other() };
        let sightings = &mut self.ends[looking.index()].get_or_insert_default()[from.index()];
        if sightings.len() == MOST {
            sightings.pop_front();
        }
        // Most connections have one exchange at a time, and there may be very many connections.
        if sightings.capacity() == 0 {
            sightings.reserve_exact(1);
        }
        sightings.push_back(Sighting { start: position, end: position + length, at });
    }

    /// What these two messages were the last of to need is forgotten: no exchange is open behind them.
    pub(crate) fn forget(&mut self, client: Side, request: &Message, response: &Message) {
        for sightings in self.ends.iter_mut().flatten() {
            for message in [request, response] {
                let seen = &mut sightings[sender(client, message).index()];
                while seen.front().is_some_and(|sighting| sighting.end <= message.last.position) {
                    seen.pop_front();
                }
            }
        }
    }

    /// The times of an exchange at the server's end, else at the client's; none where neither saw
    /// all of it.
    pub(crate) fn times(&self, client: Side, request: &Message, response: &Message) -> Option<Times> {
        [client.other(), client].into_iter().find_map(|looking| {
            let sightings = self.ends[looking.index()].as_ref()?;
            let times = |message: &Message| -> Option<[Timestamp; 2]> {
                let seen = &sightings[sender(client, message).index()];
                Some([time_of(seen, message.first.position)?, last_time(seen, message.last)?])
            };
            Some(Times { request: times(request)?, response: times(response)? })
        })
    }
}

/// Who sent a message.
fn sender(client: Side, message: &Message) -> Side {
    match message.direction {
        Direction::ClientToServer => client,
        Direction::ServerToClient => client.other(),
    }
}

/// When the byte at `position` was seen.
fn time_of(seen: &VecDeque<Sighting>, position: u64) -> Option<Timestamp> {
    let holds = |sighting: &&Sighting| (sighting.start..sighting.end).contains(&position);
    seen.iter().rev().find(holds).map(|sighting| sighting.at)
}

/// When the last byte before a mark was seen.
fn last_time(seen: &VecDeque<Sighting>, mark: Mark) -> Option<Timestamp> {
    time_of(seen, mark.position.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use l7trace_event::Direction;
    use l7trace_protocol::Role;

    #[test]
    fn the_servers_clock_counts_where_it_saw_everything() {
        let mut vantages = Vantages::default();
        let witness = |place| Witness { source: SourceKind::Syscalls, place };
        let (client, server) = (Side::A, Side::B);
        let message = |direction, position| {
            let mut message = Message::new("test", direction, Role::Request);
            message.first.position = position;
            message.last.position = position + 10;
            message
        };
        let request = message(Direction::ClientToServer, 0);
        let response = message(Direction::ServerToClient, 0);
        vantages.saw(witness(0), client, 0, 10, Timestamp(1));
        vantages.saw(witness(1), server, 0, 10, Timestamp(9));
        let times = vantages.times(client, &request, &response).expect("the client saw both");
        assert_eq!((times.request[0], times.response[1]), (Timestamp(1), Timestamp(9)));
        vantages.saw(witness(1), client, 0, 4, Timestamp(2));
        vantages.saw(witness(1), client, 4, 6, Timestamp(3));
        vantages.saw(witness(0), server, 0, 10, Timestamp(7));
        let times = vantages.times(client, &request, &response).expect("the server saw both");
        assert_eq!(times.request, [Timestamp(2), Timestamp(3)]);
        assert_eq!(times.response, [Timestamp(7), Timestamp(7)]);
    }
}
