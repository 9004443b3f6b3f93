use std::time::Duration;

use l7trace_event::Timestamp;

/// The time as it goes by from event to event. One event whose time is far from the others' (a
/// damaged capture has such) does not move it; a second one near the first does.
#[derive(Default)]
pub(crate) struct Now {
    latest: Option<Timestamp>,
    leap: Option<Timestamp>,
}

/// How far from the others' a time is doubted.
pub(crate) const FAR: Duration = Duration::from_secs(60);

impl Now {
    /// What time it is.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// What time it is when something says that it is `at`.
    #[inline]
    pub(crate) fn tell(&mut self, at: Timestamp) -> Timestamp {
        let latest = *self.latest.get_or_insert(at);
        let is_near = |other: Timestamp| other.0.abs_diff(at.0) <= FAR.as_nanos() as u64;
        if is_near(latest) {
            self.latest = Some(latest.max(at));
            self.leap = None;
            return at;
        }
        if self.leap.is_some_and(is_near) {
            self.latest = Some(at);
            self.leap = None;
            return at;
        }
        self.leap = Some(at);
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_is_believed_the_second_time() {
        let mut now = Now::default();
        let told = [100, 101, 9_000, 102, 9_001, 9_002, 50, 51].map(|second| {
            let at = Timestamp(0) + Duration::from_secs(second);
            now.tell(at).0 / 1_000_000_000
        });
        assert_eq!(told, [100, 101, 101, 102, 102, 9_002, 9_002, 51]);
    }
}
