use std::time::Duration;

use l7trace_event::{Cause, Side, Timestamp};

use crate::connection::{Connection, Context, Front};
use crate::waiting::{Passed, earlier, is_due};
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
            Front::Hole(to, since) => {
                let passed = self.passed(side, to).map(|passed| passed.at);
                let known_lost = earlier(passed, self.closing);
                earlier(Some(since + limits.hole), known_lost.map(|at| at + limits.grace))
            }
            Front::Missing(to, at) => Some(self.patience(side, to, at, limits)),
            Front::Blocked(at) => Some(at + self.courtesy(side, limits)),
            Front::Nothing => None,
        };
        earlier(provisional, front)
    }

    /// The acknowledgement beyond the hole up to `to`, where nobody may tell of that hole any more.
    fn passed(&self, side: Side, to: u64) -> Option<Passed> {
        let direction = &self.directions[side.index()];
        let passed = direction.waiting.as_ref()?.passed()?;
        (!direction.may_be_told(to.min(passed.to))).then_some(passed)
    }

    /// How long to wait for another witness's account of bytes up to `to` that one knows, since `at`,
    /// to be missing.
    fn patience(&self, side: Side, to: u64, at: Timestamp, limits: &Limits) -> Timestamp {
        let direction = &self.directions[side.index()];
        let grace = at + limits.grace;
        if !direction.may_be_told(to) {
            return grace;
        }
        let moved = direction.waiting.as_ref().map_or(at, |waiting| waiting.since.max(at));
        let most = moved + limits.hole;
        self.closing.map_or(most, |closing| most.min(grace.max(closing + limits.grace)))
    }

    /// How long what one side sent waits for what the other sent before. Mostly that has a deadline of
    /// its own, and this one is for certainty.
    fn courtesy(&self, side: Side, limits: &Limits) -> Duration {
        let other = &self.directions[side.other().index()];
        if other.awaited && !other.witnessed { limits.grace } else { limits.hole }
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
                let passed = self.passed(side, to).filter(|passed| is_due(passed.at, limits.grace, now));
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
            Front::Missing(to, at) if self.patience(side, to, at, limits) <= now => {
                self.release(side, sink);
                true
            }
            Front::Blocked(at) if is_due(at, self.courtesy(side, limits), now) => {
                self.directions[side.other().index()].awaited = false;
                self.release(side, sink);
                true
            }
            _ => false,
        }
    }
}
