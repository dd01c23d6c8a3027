//! How long a server is likely to take: a moving average that follows rises at once and falls slowly (peak EWMA, as in Finagle, Linkerd and
//! tower).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_tower::clock::monotonic;

/// After this time a measurement counts a third of what it did. A server that is not asked is thought faster and faster, so that it is tried
/// again.
const DECAY: Duration = Duration::from_secs(10);

/// The average. Two threads that measure at the same time may lose one of the two measurements.
#[derive(Debug)]
pub(crate) struct Latency {
    /// Bits of a float: seconds.
    seconds: AtomicU64,
    /// Nanoseconds from `began` to the last measurement.
    measured: AtomicU64,
    began: Instant,
}

impl Default for Latency {
    fn default() -> Self {
        Self { seconds: AtomicU64::new(0f64.to_bits()), measured: AtomicU64::new(0), began: monotonic() }
    }
}

impl Latency {
    /// Takes in that an answer took this long.
    pub(crate) fn measured(&self, elapsed: Duration, now: Instant) {
        let (sample, kept) = (elapsed.as_secs_f64(), self.kept(now));
        let before = self.last();
        let seconds = if sample >= before * kept { sample } else { before * kept + sample * (1.0 - kept) };
        self.seconds.store(seconds.to_bits(), Ordering::Relaxed);
        self.measured.store(self.since_began(now), Ordering::Relaxed);
    }

    /// The seconds that an answer is likely to take.
    pub(crate) fn expected(&self, now: Instant) -> f64 {
        self.last() * self.kept(now)
    }

    /// As it was at the last measurement, for people.
    pub(crate) fn last(&self) -> f64 {
        f64::from_bits(self.seconds.load(Ordering::Relaxed))
    }

    /// How much of the last average still counts.
    fn kept(&self, now: Instant) -> f64 {
        let since = self.since_began(now).saturating_sub(self.measured.load(Ordering::Relaxed));
        (-(since as f64) / DECAY.as_nanos() as f64).exp()
    }

    fn since_began(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_rises_at_once_and_falls_slowly() {
        let latency = Latency::default();
        let now = latency.began + SECOND;
        latency.measured(SECOND / 100, now);
        assert_eq!(latency.expected(now), 0.01);
        latency.measured(SECOND, now);
        assert_eq!(latency.expected(now), 1.0);
        let later = now + SECOND;
        latency.measured(SECOND / 100, later);
        let expected = latency.expected(later);
        assert!((0.90..0.92).contains(&expected), "{expected}");
    }

    #[test]
    fn a_server_that_is_not_asked_is_thought_faster_in_time() {
        let latency = Latency::default();
        let now = latency.began + SECOND;
        latency.measured(SECOND, now);
        let (soon, late) = (latency.expected(now + DECAY), latency.expected(now + DECAY * 10));
        assert!((0.36..0.38).contains(&soon) && late < 0.001, "{soon} {late}");
        assert_eq!(latency.last(), 1.0);
    }
}
