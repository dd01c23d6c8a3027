//! When a server is to be left out: its failures so far, judged without a clock of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use larder_config::Eject;

/// A pause is at most so many times as long as the first.
const MAX_PAUSES: u32 = 10;

/// The failures of one server, and how it has been left out before.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The last ones, each with the number of answers before it.
    failures: VecDeque<(Instant, u64)>,
    /// Ejections without a time in between that was as long as the pause.
    in_a_row: u32,
    /// The same after the one that [`Self::failed`] has asked for.
    next: u32,
    back: Option<Comeback>,
}

/// The end of the last pause.
#[derive(Clone, Copy, Debug)]
struct Comeback {
    at: Instant,
    pause: Duration,
    answers: u64,
}

impl History {
    /// Notes a failure of a server that has answered so many requests since the start. Where it is one too many, this is how long the server is
    /// to be left out: failures have to be as many as the limit says, within its time, and at least half of what came of requests meanwhile.
    /// A server that comes back and fails before it answers has not come back.
    pub(super) fn failed(&mut self, now: Instant, answers: u64, limit: &Eject) -> Option<Duration> {
        let count = limit.failures as usize;
        self.failures.push_back((now, answers));
        while self.failures.len() > count {
            self.failures.pop_front();
        }
        let first = self.failures.front().filter(|_| self.failures.len() == count);
        let is_failing = first.is_some_and(|(at, before)| {
            now.saturating_duration_since(*at) <= limit.within && answers.saturating_sub(*before) <= u64::from(limit.failures)
        });
        let is_no_better = self.back.is_some_and(|back| back.answers == answers);
        if !is_failing && !is_no_better {
            return None;
        }
        let was_well = self.back.is_none_or(|back| now.saturating_duration_since(back.at) > back.pause);
        let before = if was_well { 0 } else { self.in_a_row };
        self.next = (before + 1).min(MAX_PAUSES);
        Some(limit.pause.saturating_mul(self.next))
    }

    /// It is left out as [`Self::failed`] has asked.
    pub(super) fn ejected(&mut self) {
        self.failures.clear();
        self.in_a_row = self.next;
    }

    /// The pause is over.
    pub(super) fn returned(&mut self, now: Instant, pause: Duration, answers: u64) {
        self.back = Some(Comeback { at: now, pause, answers });
    }
}

#[cfg(test)]
mod tests {
    use larder_config::PerMille;
    use larder_tower::clock::monotonic;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMIT: Eject = Eject { failures: 3, within: SECOND, pause: Duration::from_secs(30), max_share: PerMille(500) };

    #[test]
    fn so_many_failures_within_the_time_are_too_many() {
        let (mut history, now) = (History::default(), monotonic());
        assert_eq!(history.failed(now, 0, &LIMIT), None);
        assert_eq!(history.failed(now, 0, &LIMIT), None);
        assert_eq!(history.failed(now + SECOND * 2, 0, &LIMIT), None, "the first is too long ago");
        assert_eq!(history.failed(now + SECOND * 2, 0, &LIMIT), None);
        assert_eq!(history.failed(now + SECOND * 3, 0, &LIMIT), Some(LIMIT.pause));
    }

    #[test]
    fn a_few_failures_among_many_answers_are_not() {
        let (mut history, now) = (History::default(), monotonic());
        for answers in [0, 2] {
            assert_eq!(history.failed(now, answers, &LIMIT), None);
        }
        assert_eq!(history.failed(now, 4, &LIMIT), None, "three of seven");
        assert_eq!(history.failed(now, 5, &LIMIT), Some(LIMIT.pause), "half of them");
    }

    #[test]
    fn a_server_that_comes_back_and_fails_before_it_answers_is_left_out_at_once_and_for_longer_each_time() {
        let (mut history, mut now) = (History::default(), monotonic());
        (0..2).for_each(|_| assert_eq!(history.failed(now, 7, &LIMIT), None));
        let mut pause = history.failed(now, 7, &LIMIT).expect("too many");
        for round in 2..=12 {
            history.ejected();
            now += pause;
            history.returned(now, pause, 7);
            pause = history.failed(now + SECOND, 7, &LIMIT).expect("no better");
            assert_eq!(pause, LIMIT.pause * round.min(10));
        }
    }

    #[test]
    fn after_a_good_time_as_long_as_the_pause_it_begins_anew() {
        let (mut history, now) = (History::default(), monotonic());
        (0..3).for_each(|_| _ = history.failed(now, 0, &LIMIT));
        history.ejected();
        history.returned(now, LIMIT.pause, 0);
        let later = now + LIMIT.pause + SECOND;
        (0..2).for_each(|_| assert_eq!(history.failed(later, 9, &LIMIT), None));
        assert_eq!(history.failed(later, 9, &LIMIT), Some(LIMIT.pause));
    }
}
