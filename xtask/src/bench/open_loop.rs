//! Latency under a given rate of requests, whatever the server does: a request's time counts from when it was due, not from when a connection
//! was free for it. So a server that stands still for a moment is charged with all the requests that came due meanwhile ("coordinated
//! omission", which `wrk` and `h2load` leave out).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Result;
use super::client::Client;
use super::report::Figures;

/// A run at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenLoop {
    pub(super) port: u16,
    /// Requests a second.
    pub(super) rate: u32,
    pub(super) connections: u32,
    pub(super) time: Duration,
}

impl OpenLoop {
    /// Sends requests for what `target` gives for their numbers, when they are due.
    #[expect(clippy::disallowed_methods, reason = "measures wall time of a whole process; nothing here decides by it")]
    pub(super) fn run(self, target: impl Fn(u64) -> String + Sync) -> Result<Figures> {
        let (next, start) = (AtomicU64::new(0), Instant::now() + Duration::from_millis(50));
        let connection = || -> std::result::Result<Vec<Duration>, String> {
            let mut client = Client::connect(self.port).map_err(|error| error.to_string())?;
            let mut taken = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let offset = self.due(number);
                if offset >= self.time {
                    return Ok(taken);
                }
                let due = start + offset;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                client.get(&target(number)).map_err(|error| error.to_string())?;
                taken.push(due.elapsed());
            }
        };
        let taken = thread::scope(|scope| {
            let connections: Vec<_> = (0..self.connections).map(|_| scope.spawn(connection)).collect();
            let taken = connections.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a client panicked".to_owned())));
            taken.collect::<std::result::Result<Vec<_>, _>>()
        })?;
        tail(taken.concat())
    }

    /// When a request is due, after the start.
    fn due(self, number: u64) -> Duration {
        Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(self.rate))
    }
}

/// The percentiles, in milliseconds.
fn tail(mut taken: Vec<Duration>) -> Result<Figures> {
    taken.sort_unstable();
    let percentile = |per_mille: usize| taken.get(taken.len() * per_mille / 1000).map(|time| time.as_secs_f64() * 1000.0);
    match (percentile(500), percentile(990), percentile(999)) {
        (Some(p50), Some(p99), Some(p999)) => Ok(Figures::OpenLoop { p50, p99, p999 }),
        _ => Err("no request was due".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_equal_distances() {
        let run = OpenLoop { port: 1, rate: 4000, connections: 1, time: Duration::from_secs(1) };
        assert_eq!((run.due(0), run.due(1), run.due(4000)), (Duration::ZERO, Duration::from_micros(250), Duration::from_secs(1)));
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let taken = (1..=1000).rev().map(Duration::from_millis).collect();
        assert_eq!(tail(taken).unwrap(), Figures::OpenLoop { p50: 501.0, p99: 991.0, p999: 1000.0 });
        assert!(tail(Vec::new()).is_err());
    }
}
