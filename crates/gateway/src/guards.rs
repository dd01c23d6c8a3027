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
    /// Whether reflections, answers that name their client, and those that differ by client, have been told.
    told: [AtomicBool; 3],
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
            Reason::DiffersByClient => &self.told[2],
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
            let advice = finding.reason.advice().unwrap_or_default();
            let what = match finding.from {
                Some(from) => format!("an answer holds the value of `{from}` of its request, which others would get"),
                None => "clients with other credentials get other answers under one key".to_owned(),
            };
            tracing::warn!(route = %self.route, "{what}: {stored}; further ones are only counted. {advice}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_and_paths_that_clients_make_up_never() {
        let guard = RouteGuard::new(0, &Arc::from("all"), &Arc::new(Metrics::new(&["all"], &[])));
        let (reflected, names, differs) = (Reason::Reflected, Reason::NamesClient, Reason::DiffersByClient);
        let told = [reflected, reflected, names, names, differs, differs, Reason::MisleadingPath];
        assert_eq!(told.map(|reason| guard.is_first(reason)), [true, false, true, false, true, false, false]);
    }
}
