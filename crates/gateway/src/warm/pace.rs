//! How many requests of a run an origin gets at a time, and when none.

use std::time::Duration;

/// Answers by which the usual time of an origin is known.
const FIRST: u32 = 8;

/// Twice nothing is nothing: an origin that answers within this time is not slow.
const QUICK: f64 = 0.02;

/// The pause after the first refusal without `Retry-After`, which doubles with each, and the longest one.
const PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Half as many requests at a time where answers take twice as long as at first, and one more where they do not.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    room: usize,
    /// Seconds that an answer usually takes, of so many answers.
    usual: f64,
    answers: u32,
    /// Seconds that the last ones took.
    lately: f64,
    /// Answers since the last change.
    since: usize,
    /// Refusals in a row. Those of requests that were under way together are one.
    refusals: u32,
    /// How many of them there have been.
    round: u32,
}

impl Pace {
    /// At most so many at a time.
    pub(super) fn new(most: usize) -> Self {
        Self { most, room: most, usual: 0.0, answers: 0, lately: 0.0, since: 0, refusals: 0, round: 0 }
    }

    /// How many there may be now.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// The origin has answered after so long.
    pub(super) fn answered(&mut self, took: Duration) {
        self.refusals = 0;
        let took = took.as_secs_f64();
        if self.answers < FIRST {
            self.answers += 1;
            self.usual += (took - self.usual) / f64::from(self.answers);
            self.lately = self.usual;
            return;
        }
        self.lately += (took - self.lately) / 4.0;
        self.since += 1;
        // As many answers as may be under way are still those of the pace before.
        if self.since <= self.room {
            return;
        }
        if self.lately > 2.0 * self.usual && self.lately > QUICK {
            (self.room, self.since) = ((self.room / 2).max(1), 0);
        } else if self.room < self.most {
            (self.room, self.since) = (self.room + 1, 0);
        }
    }

    /// What a request that is made now is refused in.
    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// The origin has refused a request that was made in this round. Returns how long none is to come.
    pub(super) fn refused(&mut self, round: u32, retry_after: Option<Duration>) -> Duration {
        if round == self.round {
            self.round = self.round.wrapping_add(1);
            self.refusals += 1;
        }
        let doubled = PAUSE.saturating_mul(1 << self.refusals.saturating_sub(1).min(8));
        retry_after.unwrap_or(doubled).min(MAX_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pace: &mut Pace, millis: u64, answers: usize) -> usize {
        (0..answers).for_each(|_| pace.answered(Duration::from_millis(millis)));
        pace.room()
    }

    #[test]
    fn an_origin_that_takes_twice_as_long_gets_half_as_much_until_it_is_as_before() {
        let mut pace = Pace::new(8);
        assert_eq!(after(&mut pace, 50, 100), 8);
        assert_eq!(after(&mut pace, 95, 100), 8, "that is not twice as long");
        assert_eq!(after(&mut pace, 120, 1), 4);
        assert_eq!(
            (after(&mut pace, 120, 4), after(&mut pace, 120, 1)),
            (4, 2),
            "those that were under way say nothing about the new pace"
        );
        assert_eq!(after(&mut pace, 120, 100), 1, "it never ends");
        assert_eq!(after(&mut pace, 50, 100), 8);
    }

    #[test]
    fn an_origin_that_is_quick_is_not_slow_for_being_half_as_quick() {
        let mut pace = Pace::new(8);
        after(&mut pace, 1, 100);
        assert_eq!(after(&mut pace, 15, 100), 8);
    }

    #[test]
    fn a_pause_is_as_long_as_the_origin_says_or_doubles_but_is_not_for_ever() {
        let mut pace = Pace::new(1);
        let seconds = |pace: &mut Pace, said: Option<u64>| pace.refused(pace.round(), said.map(Duration::from_secs)).as_secs();
        assert_eq!([seconds(&mut pace, Some(7)), seconds(&mut pace, Some(86_400))], [7, 60]);
        pace.answered(Duration::ZERO);
        assert_eq!([(); 5].map(|()| seconds(&mut pace, None)), [5, 10, 20, 40, 60]);
    }
    #[test]
    fn refusals_of_requests_that_were_under_way_together_double_the_pause_once() {
        let mut pace = Pace::new(8);
        for expected in [5, 10, 20] {
            let round = pace.round();
            assert_eq!([(); 8].map(|()| pace.refused(round, None).as_secs()), [expected; 8]);
        }
    }
}
