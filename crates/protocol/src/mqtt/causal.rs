//! Cause before effect: the two directions of a connection may be delivered out of step (one waits
//! for a hole to be filled while the other goes on), yet an answer must not be read before what it
//! answers.

use std::collections::VecDeque;

use l7trace_event::{Cause, Direction, Timestamp};

use crate::{Chunk, End, Input};

/// Holds back chunks whose sender had read more of the other direction than has been delivered.
#[derive(Debug, Default)]
pub(super) struct Causal {
    /// By direction: up to where it was let through; none before its first chunk.
    reached: [Option<u64>; 2],
    ended: [bool; 2],
    waiting: [VecDeque<Held>; 2],
    held: usize,
}

/// More bytes than this are not held back.
const MOST_HELD: usize = 1 << 20;

/// More chunks than this are not held back in one direction.
const MOST_CHUNKS: usize = 4096;

#[derive(Debug)]
struct Held {
    position: u64,
    at: Timestamp,
    acknowledged: Option<u64>,
    what: What,
}

#[derive(Debug)]
enum What {
    Bytes(Vec<u8>),
    Gap(u64, Cause),
    End(End),
}

impl Causal {
    /// For a connection of which these directions are seen from their first byte on.
    pub(super) fn new(from_start: [bool; 2]) -> Causal {
        Causal { reached: from_start.map(|it| it.then_some(0)), ..Causal::default() }
    }

    /// How many bytes are held back.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Gives to `next` what may now be read, in order.
    pub(super) fn push(&mut self, chunk: Chunk<'_>, mut next: impl FnMut(Chunk<'_>)) {
        let direction = chunk.direction;
        if !self.waiting[direction.index()].is_empty() || !self.is_ready(direction, chunk.acknowledged) {
            let what = match chunk.input {
                Input::Bytes(bytes) => What::Bytes(bytes.to_vec()),
                Input::Gap { length, cause } => What::Gap(length, cause),
                Input::End(end) => What::End(end),
            };
            let held = Held { position: chunk.position, at: chunk.at, acknowledged: chunk.acknowledged, what };
            self.held += held.size();
            self.waiting[direction.index()].push_back(held);
        } else {
            self.pass(&chunk, &mut next);
        }
        self.release(&mut next);
    }

    fn is_ready(&self, direction: Direction, acknowledged: Option<u64>) -> bool {
        let other = direction.opposite().index();
        match (acknowledged, self.reached[other]) {
            (Some(read), Some(reached)) => read <= reached || self.ended[other],
            _ => true,
        }
    }

    fn pass(&mut self, chunk: &Chunk<'_>, next: &mut impl FnMut(Chunk<'_>)) {
        let index = chunk.direction.index();
        match chunk.input {
            Input::Bytes(bytes) => self.reached[index] = Some(chunk.position.saturating_add(bytes.len() as u64)),
            Input::Gap { length, .. } => self.reached[index] = Some(chunk.position.saturating_add(length)),
            Input::End(_) => self.ended[index] = true,
        }
        next(*chunk);
    }

    fn release(&mut self, next: &mut impl FnMut(Chunk<'_>)) {
        loop {
            let ready = Direction::BOTH.into_iter().find(|direction| {
                let first = self.waiting[direction.index()].front();
                first.is_some_and(|held| self.is_ready(*direction, held.acknowledged))
            });
            let direction = match ready {
                Some(direction) => direction,
                None => match self.deadlocked() {
                    Some(direction) => direction,
                    None => return,
                },
            };
            let Some(held) = self.waiting[direction.index()].pop_front() else { return };
            self.held -= held.size();
            self.pass(&held.chunk(direction), next);
        }
    }

    /// The direction whose first chunk must go on unready: each waits for the other, which no truth
    /// can cause, or too much waits.
    fn deadlocked(&self) -> Option<Direction> {
        let [client, server] = Direction::BOTH.map(|direction| self.waiting[direction.index()].front());
        match (client, server) {
            (Some(client), Some(server)) if client.at <= server.at => Some(Direction::ClientToServer),
            (Some(_), Some(_)) => Some(Direction::ServerToClient),
            (None, None) => None,
            (client, _) => {
                let direction = if client.is_some() { Direction::ClientToServer } else { Direction::ServerToClient };
                let many = self.waiting[direction.index()].len() > MOST_CHUNKS || self.held > MOST_HELD;
                many.then_some(direction)
            }
        }
    }
}

impl Held {
    fn size(&self) -> usize {
        size_of::<Held>()
            + match &self.what {
                What::Bytes(bytes) => bytes.len(),
                What::Gap(..) | What::End(_) => 0,
            }
    }

    fn chunk(&self, direction: Direction) -> Chunk<'_> {
        Chunk {
            direction,
            position: self.position,
            at: self.at,
            acknowledged: self.acknowledged,
            input: match &self.what {
                What::Bytes(bytes) => Input::Bytes(bytes),
                What::Gap(length, cause) => Input::Gap { length: *length, cause: *cause },
                What::End(end) => Input::End(*end),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(direction: Direction, position: u64, acknowledged: u64, bytes: &[u8]) -> Chunk<'_> {
        let input = Input::Bytes(bytes);
        Chunk { direction, position, at: Timestamp(1), acknowledged: Some(acknowledged), input }
    }

    #[test]
    fn an_answer_waits_for_what_it_answers() {
        let mut causal = Causal::new([true; 2]);
        let mut seen = Vec::new();
        causal.push(bytes(Direction::ServerToClient, 0, 4, b"ok"), |chunk| seen.push(chunk.direction));
        assert!(seen.is_empty() && causal.held() > 2);
        causal.push(bytes(Direction::ClientToServer, 0, 0, b"ask!"), |chunk| seen.push(chunk.direction));
        assert_eq!(seen, [Direction::ClientToServer, Direction::ServerToClient]);
        assert_eq!(causal.held(), 0);
    }

    #[test]
    fn a_lie_blocks_nothing() {
        let mut causal = Causal::new([true; 2]);
        let mut seen = 0;
        causal.push(bytes(Direction::ServerToClient, 0, 4, b"ok"), |_| seen += 1);
        causal.push(bytes(Direction::ClientToServer, 0, 9, b"ask!"), |_| seen += 1);
        assert_eq!(seen, 2);
        let end = Input::End(End::Unknown);
        let direction = Direction::ClientToServer;
        causal.push(Chunk { direction, position: 4, at: Timestamp(2), acknowledged: None, input: end }, |_| seen += 1);
        causal.push(bytes(Direction::ServerToClient, 2, 99, b"more"), |_| seen += 1);
        assert_eq!(seen, 4);
    }
}
