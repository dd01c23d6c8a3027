//! The last alerts, how many there were, and the way to those who deliver them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc;
use tracing::warn;

use super::alert::{Alert, QuotaFacts, State};
use crate::config::AlertKind;
use crate::telemetry::snapshot::{AlertsSnapshot, LabelledCount};

/// Alerts that are kept.
const KEPT: usize = 100;

/// Alerts that wait to be delivered; more are only kept.
const QUEUE: usize = 64;

/// An alert as others see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Raised {
    /// Tells it from others of this replica; the same at each attempt to deliver it.
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) state: State,
    pub(crate) subject: String,
    pub(crate) message: String,
    pub(crate) remedy: &'static str,
    /// The replica that has found it.
    pub(crate) replica: String,
    /// When, as of RFC 3339.
    pub(crate) at: String,
    /// Where it is about a quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<QuotaFacts>,
}

/// The alerts of a process.
#[derive(Debug)]
pub(crate) struct Alerts {
    replica: String,
    last: Mutex<VecDeque<Arc<Raised>>>,
    raised: [AtomicU64; AlertKind::ALL.len()],
    delivered: AtomicU64,
    undelivered: AtomicU64,
    queue: mpsc::Sender<(AlertKind, Arc<Raised>)>,
}

/// What waits to be delivered.
pub(crate) type Waiting = mpsc::Receiver<(AlertKind, Arc<Raised>)>;

impl Alerts {
    /// Of the replica with this name; with what is to be delivered.
    pub(crate) fn new(replica: &str) -> (Self, Waiting) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (last, raised, delivered, undelivered) = Default::default();
        (Self { replica: replica.to_owned(), last, raised, delivered, undelivered, queue }, waiting)
    }

    /// Keeps an alert, and has it delivered. `at` is now, as of RFC 3339.
    pub(crate) fn raise(&self, alert: Alert, at: String) {
        let Alert { kind, state, subject, message, remedy, quota } = alert;
        let place = AlertKind::ALL.iter().position(|(_, own)| *own == kind).unwrap_or_default();
        self.raised[place].fetch_add(1, Ordering::Relaxed);
        // The log has a line of its own for what it notices itself.
        if state == State::Firing
            && matches!(kind, AlertKind::HitRatio | AlertKind::Keys | AlertKind::Limit | AlertKind::Quota | AlertKind::Replica)
        {
            warn!("{message}; {remedy}");
        }
        let number = self.total();
        let id = format!("{}-{at}-{number}", self.replica);
        let raised =
            Arc::new(Raised { id, kind: kind.as_str(), state, subject, message, remedy, replica: self.replica.clone(), at, quota });
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.push_back(Arc::clone(&raised));
            while last.len() > KEPT {
                last.pop_front();
            }
        }
        if self.queue.try_send((kind, raised)).is_err() {
            self.counts_delivery(false);
        }
    }

    /// How many more can wait to be delivered.
    pub(crate) fn room(&self) -> usize {
        self.queue.capacity()
    }

    /// One was delivered somewhere, or given up.
    pub(super) fn counts_delivery(&self, succeeded: bool) {
        let count = if succeeded { &self.delivered } else { &self.undelivered };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The last ones, the newest first.
    pub(crate) fn last(&self) -> Vec<Arc<Raised>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// What holds now: the last word on each subject, where that is not its end.
    pub(crate) fn firing(&self) -> Vec<Arc<Raised>> {
        let mut firing: Vec<Arc<Raised>> = Vec::new();
        let mut seen = Vec::new();
        for raised in self.last() {
            if !seen.contains(&raised.subject) {
                seen.push(raised.subject.clone());
                firing.extend((raised.state == State::Firing).then_some(raised));
            }
        }
        firing
    }

    fn total(&self) -> u64 {
        self.raised.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// For metrics.
    pub(crate) fn snapshot(&self) -> AlertsSnapshot {
        let raised = AlertKind::ALL.iter().zip(&self.raised);
        AlertsSnapshot {
            raised: raised.map(|((label, _), count)| LabelledCount { label, count: count.load(Ordering::Relaxed) }).collect(),
            delivered: self.delivered.load(Ordering::Relaxed),
            undelivered: self.undelivered.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raise(alerts: &Alerts, subject: &str, state: State) {
        let alert = Alert { kind: AlertKind::Breaker, state, subject: subject.to_owned(), message: String::new(), remedy: "", quota: None };
        alerts.raise(alert, "2026-11-30T00:00:00Z".to_owned());
    }

    #[test]
    fn the_last_word_on_a_subject_says_whether_it_still_holds() {
        let (alerts, mut waiting) = Alerts::new("a:1");
        for (subject, state) in [("x", State::Firing), ("y", State::Firing), ("x", State::Resolved)] {
            raise(&alerts, subject, state);
        }
        let firing: Vec<_> = alerts.firing().iter().map(|raised| raised.subject.clone()).collect();
        assert_eq!((firing, alerts.last().len(), alerts.snapshot().raised[0].count), (vec!["y".to_owned()], 3, 3));
        let (_, first) = waiting.try_recv().expect("the first");
        assert!(first.id.starts_with("a:1-2026") && first.subject == "x", "{first:?}");
    }

    #[test]
    fn they_are_bounded_and_what_finds_no_place_is_counted() {
        let (alerts, _waiting) = Alerts::new("a:1");
        (0..KEPT + 5).for_each(|number| raise(&alerts, &number.to_string(), State::Firing));
        assert_eq!((alerts.last().len(), alerts.last()[0].subject.as_str()), (KEPT, "104"));
        assert_eq!(alerts.snapshot().undelivered, (KEPT + 5 - QUEUE) as u64);
    }
}
