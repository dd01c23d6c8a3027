//! Counters of one route.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use larder_semantics::Reason;

use super::histogram::{self, Histogram};
use super::labels::{Labels, result_word};
use super::sharded::Sharded;
use super::tally::Tally;
use super::{CacheResult, Named};
use crate::snapshot::{Exemplar, GuardFindings, ResultLatency, RouteSnapshot};
use crate::traces::TraceId;

/// The cells of one route.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    name: Box<str>,
    cells: Sharded<Cells>,
    /// The last traced request by result and bucket. Only such requests take the lock.
    exemplars: Mutex<BTreeMap<(usize, usize), (TraceId, Duration)>>,
    /// Answers that guards found, by reason and whether they were kept from being stored. They are rare, so threads share the cells.
    guarded: [[AtomicU64; 2]; GUARDS.len()],
}

/// What guards find.
const GUARDS: [Reason; 4] = [Reason::Reflected, Reason::NamesClient, Reason::DiffersByClient, Reason::MisleadingPath];

#[derive(Debug, Default)]
struct Cells {
    requests: Tally,
    /// In the order of [`RESULTS`].
    latency: [Histogram; RESULTS.len()],
    /// Bytes of bodies, in the same order.
    bytes: [AtomicU64; RESULTS.len()],
}

const RESULTS: [CacheResult; 4] = [CacheResult::Hit, CacheResult::Revalidated, CacheResult::Miss, CacheResult::Bypass];

impl Named for RouteMetrics {
    fn named(name: &str) -> Self {
        Self { name: name.into(), cells: Sharded::new(), exemplars: Mutex::default(), guarded: Default::default() }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl RouteMetrics {
    pub(super) fn record(&self, labels: Labels, result: Option<CacheResult>, elapsed: Duration, bytes: u64) {
        let cells = self.cells.of_this_thread();
        cells.requests.add(labels);
        if let Some(result) = result {
            cells.latency[result as usize].observe(elapsed);
            cells.bytes[result as usize].fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn count_bytes(&self, result: CacheResult, bytes: u64) {
        self.cells.of_this_thread().bytes[result as usize].fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn guarded(&self, reason: Reason, refused: bool) {
        if let Some(place) = GUARDS.iter().position(|own| *own == reason) {
            self.guarded[place][usize::from(refused)].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn findings(&self) -> Vec<GuardFindings> {
        let of_reason = |(reason, counts): (&Reason, &[AtomicU64; 2])| {
            let [reported, refused] = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            GuardFindings { reason: reason.as_str(), reported, refused }
        };
        GUARDS.iter().zip(&self.guarded).map(of_reason).filter(|found| found.reported + found.refused > 0).collect()
    }

    /// Keeps a traced request as an example of those that took as long.
    pub(super) fn exemplar(&self, result: CacheResult, elapsed: Duration, trace: TraceId) {
        let place = (result as usize, histogram::bucket_of(elapsed));
        self.exemplars.lock().unwrap_or_else(PoisonError::into_inner).insert(place, (trace, elapsed));
    }

    fn exemplars_of(&self, result: CacheResult) -> Vec<Exemplar> {
        let exemplars = self.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
        let of_result = exemplars.range((result as usize, 0)..(result as usize + 1, 0));
        let exemplars = of_result.map(|((_, bucket), (trace, elapsed))| Exemplar {
            bucket: *bucket,
            trace_id: trace.to_string(),
            seconds: elapsed.as_secs_f64(),
        });
        exemplars.collect()
    }

    /// The sums over all threads.
    pub(super) fn snapshot(&self) -> RouteSnapshot {
        let mut sums = BTreeMap::<Labels, u64>::new();
        for (labels, count) in self.cells.iter().flat_map(|cells| cells.requests.iter()) {
            *sums.entry(labels).or_default() += count;
        }
        let requests = sums.into_iter().map(|(labels, count)| labels.count(count)).collect();
        let latencies = RESULTS.into_iter().filter_map(|result| {
            let latency = histogram::sum(self.cells.iter().map(|cells| &cells.latency[result as usize]));
            let bytes = self.cells.iter().map(|cells| cells.bytes[result as usize].load(Ordering::Relaxed)).sum();
            let exemplars = self.exemplars_of(result);
            (latency.count > 0).then(|| ResultLatency { result: result_word(result), latency, bytes, exemplars })
        });
        RouteSnapshot {
            name: self.name.to_string(),
            requests,
            latencies: latencies.collect(),
            guarded: self.findings(),
            ..RouteSnapshot::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_index_their_own_histogram() {
        for (index, result) in RESULTS.into_iter().enumerate() {
            assert_eq!(result as usize, index);
        }
    }
}
