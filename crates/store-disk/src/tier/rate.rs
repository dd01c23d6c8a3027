//! How much may be written a second, in the mean: flash wears.

use std::time::{Duration, Instant};

/// Seconds over which the mean is taken.
const SPAN: u64 = 10;

/// A bucket that fills at the rate and holds [`SPAN`] seconds of it.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: u64,
    /// Negative after a body that was larger than what was left: it is made up for before the next one.
    left: i64,
    filled: Instant,
}

impl Rate {
    /// A full bucket.
    pub(crate) fn new(per_second: u64, now: Instant) -> Self {
        let per_second = per_second.min(1 << 50);
        Self { per_second, left: (per_second * SPAN) as i64, filled: now }
    }

    /// Whether something may be written now.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled).min(Duration::from_secs(SPAN * 1_000));
        self.filled = now;
        let more = since.as_micros() * u128::from(self.per_second) / 1_000_000;
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add(more).min((self.per_second * SPAN) as i64);
        self.left > 0
    }

    /// So many bytes were written.
    pub(crate) fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "instants of a test's own")]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_made_up_for_before_the_next_write() {
        let start = Instant::now();
        let mut rate = Rate::new(100, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(rate.allows(start));
        rate.spend(999);
        assert!(rate.allows(start), "a byte is left of ten seconds");
        rate.spend(301);
        assert!(!rate.allows(at(3)), "three seconds make up for 300 bytes of 300");
        assert!(rate.allows(at(4)));
        rate.spend(100);
        assert!(!rate.allows(at(4)));
        assert!(rate.allows(at(1_000)));
        rate.spend(1_000);
        assert!(!rate.allows(at(1_000)), "no more than ten seconds are saved");
    }
}
