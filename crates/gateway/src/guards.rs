//! Findings of guards: counted, and told once a route, with what to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_semantics::Reason;
use larder_tower::{Finding, GuardObserver};

use crate::telemetry::metrics::Metrics;

/// What is told about a route.
#[derive(Debug)]
pub(crate) struct RouteGuard {
    index: usize,
    route: Arc<str>,
    metrics: Arc<Metrics>,
    /// Whether reflections, and answers that name their client, have been told.
    told: [AtomicBool; 2],
}

impl RouteGuard {
    pub(crate) fn new(index: usize, route: &Arc<str>, metrics: &Arc<Metrics>) -> Self {
        Self { index, route: Arc::clone(route), metrics: Arc::clone(metrics), told: Default::default() }
    }

    /// Whether this is the first finding of its kind. What attacks cause at will must not fill the log.
    fn is_first(&self, reason: Reason) -> bool {
        let told = match reason {
            Reason::Reflected => &self.told[0],
            Reason::NamesClient => &self.told[1],
            // One for each path that a client makes up, and nothing that a configuration could mend.
            _ => return false,
        };
        !told.load(Ordering::Relaxed) && !told.swap(true, Ordering::Relaxed)
    }
}

impl GuardObserver for RouteGuard {
    fn found(&self, finding: &Finding<'_>) {
        self.metrics.guarded(self.index, finding.reason, finding.refused);
        if self.is_first(finding.reason) {
            let stored = if finding.refused { "it was not stored" } else { "it was stored, since `guard` only reports" };
            let (from, advice) = (finding.from.unwrap_or_default(), finding.reason.advice().unwrap_or_default());
            tracing::warn!(
                route = %self.route,
                "an answer holds the value of `{from}` of its request, which others would get: {stored}; further ones are only counted. {advice}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_and_paths_that_clients_make_up_never() {
        let guard = RouteGuard::new(0, &Arc::from("all"), &Arc::new(Metrics::new(&["all"], &[])));
        let told = [Reason::Reflected, Reason::Reflected, Reason::NamesClient, Reason::NamesClient, Reason::MisleadingPath];
        assert_eq!(told.map(|reason| guard.is_first(reason)), [true, false, true, false, false]);
    }
}
