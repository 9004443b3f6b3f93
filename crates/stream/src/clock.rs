use l7trace_event::{Cause, Side, Timestamp};

use crate::connection::{Connection, Context, Front};
use crate::waiting::{earlier, is_due};
use crate::{Limits, Sink};

impl<State> Connection<State> {
    /// When something that waits is to be given up, if nothing comes before that.
    #[inline]
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Timestamp> {
        let [a, b] = &self.directions;
        if a.waiting.is_none() && b.waiting.is_none() {
            return None;
        }
        Side::BOTH.into_iter().map(|side| self.deadline_of(side, limits)).fold(None, earlier)
    }

    fn deadline_of(&self, side: Side, limits: &Limits) -> Option<Timestamp> {
        let waiting = self.directions[side.index()].waiting.as_ref()?;
        let provisional = waiting.provisional.first().map(|one| self.heard_by(one.stamp.at) + limits.grace);
        let front = match self.front(side) {
            Front::Hole(_, since) => {
                let known_lost = earlier(waiting.passed().map(|passed| passed.at), self.closing);
                earlier(Some(since + limits.hole), known_lost.map(|at| at + limits.grace))
            }
            Front::Missing(at) => Some(at + limits.grace),
            // What it waits for has a deadline of its own; this one is for certainty.
            Front::Blocked(at) => Some(at + limits.hole),
            Front::Nothing => None,
        };
        earlier(provisional, front)
    }

    /// When it came that a witness says came at `at`: not after the connection was last heard of.
    pub(crate) fn heard_by(&self, at: Timestamp) -> Timestamp {
        at.min(self.facts.last_seen)
    }

    /// Gives up what has waited long enough at `now`.
    pub(crate) fn expire<S: Sink<State = State>>(&mut self, now: Timestamp, context: Context<'_>, sink: &mut S) {
        loop {
            let changed = self.expire_side(Side::A, now, context, sink) | self.expire_side(Side::B, now, context, sink);
            if !changed {
                break;
            }
            self.settle(sink);
        }
    }

    fn expire_side<S: Sink<State = State>>(
        &mut self,
        side: Side,
        now: Timestamp,
        context: Context<'_>,
        sink: &mut S,
    ) -> bool {
        let limits = context.limits;
        let Some(waiting) = &self.directions[side.index()].waiting else { return false };
        if waiting.provisional.first().is_some_and(|one| is_due(self.heard_by(one.stamp.at), limits.grace, now)) {
            return self.release_provisional(side, sink);
        }
        match self.front(side) {
            Front::Hole(to, since) => {
                let passed = waiting.passed().filter(|passed| is_due(passed.at, limits.grace, now));
                let closing = self.closing.is_some_and(|at| is_due(at, limits.grace, now));
                let (to, otherwise) = match passed {
                    _ if closing => (to, Cause::NotCaptured),
                    Some(passed) => (to.min(passed.to), Cause::NotCaptured),
                    None if is_due(since, limits.hole, now) => (to, Cause::TimeLimit),
                    None => return false,
                };
                let cause = self.cause_of_hole(side, otherwise, context);
                self.give_up(side, to, cause, sink)
            }
            Front::Missing(at) if is_due(at, limits.grace, now) => {
                self.release(side, sink);
                true
            }
            Front::Blocked(at) if is_due(at, limits.hole, now) => {
                self.release(side, sink);
                true
            }
            _ => false,
        }
    }
}
