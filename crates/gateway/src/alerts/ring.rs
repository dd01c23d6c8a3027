//! The last alerts, those that hold, how many there were, and the way to those who deliver them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing::warn;

use super::alert::{Alert, QuotaFacts, State};
use crate::config::AlertKind;
use crate::telemetry::snapshot::{AlertsSnapshot, LabelledCount};

/// Alerts that are kept.
const KEPT: usize = 100;

/// Alerts that wait for one receiver; more are only kept.
const QUEUE: usize = 64;

/// Those about quotas have places of their own, so that they take none of the others': that many clients may be near the end of one, and all of their
/// windows end in the same second.
const QUOTA_QUEUE: usize = 2048;

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
    kept: Mutex<Kept>,
    raised: [AtomicU64; AlertKind::ALL.len()],
    delivered: AtomicU64,
    undelivered: AtomicU64,
    /// To the webhook, and to the channel in Redis: where one cannot be reached, the other still is.
    queues: [Queue; 2],
}

/// The alerts that are kept, each list with the oldest first.
#[derive(Debug, Default)]
struct Kept {
    last: VecDeque<Arc<Raised>>,
    /// What holds, however many came after it. Of one kind and subject the last one.
    firing: Vec<Arc<Raised>>,
}

impl Kept {
    fn keep(&mut self, raised: Arc<Raised>, ends: bool) {
        self.firing.retain(|held| held.kind != raised.kind || held.subject != raised.subject);
        if raised.state == State::Firing && ends {
            self.firing.push(Arc::clone(&raised));
        }
        self.last.push_back(raised);
        while self.last.len() > KEPT {
            self.last.pop_front();
        }
    }
}

/// The way to one receiver.
#[derive(Debug)]
struct Queue {
    quotas: Sender<Queued>,
    others: Sender<Queued>,
}

type Queued = (AlertKind, Arc<Raised>);

/// What waits for one receiver.
#[derive(Debug)]
pub(crate) struct Waiting {
    quotas: Receiver<Queued>,
    others: Receiver<Queued>,
}

impl Waiting {
    /// The next one; those about quotas when there is no other.
    pub(super) async fn next(&mut self) -> Option<Queued> {
        tokio::select! {
            biased;
            Some(queued) = self.others.recv() => Some(queued),
            Some(queued) = self.quotas.recv() => Some(queued),
            else => None,
        }
    }
}

fn queue() -> (Queue, Waiting) {
    let ((quotas, waiting_quotas), (others, waiting_others)) = (channel(QUOTA_QUEUE), channel(QUEUE));
    (Queue { quotas, others }, Waiting { quotas: waiting_quotas, others: waiting_others })
}

impl Alerts {
    /// Of the replica with this name; with what is to be delivered to the webhook, and on the channel.
    pub(crate) fn new(replica: &str) -> (Self, [Waiting; 2]) {
        let ((webhook, to_webhook), (channel, to_channel)) = (queue(), queue());
        let (kept, raised, delivered, undelivered) = Default::default();
        let alerts = Self { replica: replica.to_owned(), kept, raised, delivered, undelivered, queues: [webhook, channel] };
        (alerts, [to_webhook, to_channel])
    }

    /// Keeps an alert, and has it delivered. `at` is now, as of RFC 3339.
    pub(crate) fn raise(&self, alert: Alert, at: String) {
        let Alert { kind, state, subject, message, remedy, quota, ends } = alert;
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
        self.kept().keep(Arc::clone(&raised), ends);
        for queue in &self.queues {
            let queue = if kind == AlertKind::Quota { &queue.quotas } else { &queue.others };
            if queue.try_send((kind, Arc::clone(&raised))).is_err() {
                self.counts_delivery(false);
            }
        }
    }

    /// One was delivered somewhere, or given up.
    pub(super) fn counts_delivery(&self, succeeded: bool) {
        let count = if succeeded { &self.delivered } else { &self.undelivered };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The last ones, the newest first.
    pub(crate) fn last(&self) -> Vec<Arc<Raised>> {
        self.kept().last.iter().rev().cloned().collect()
    }

    /// What holds now, the newest first: the last word on each subject, where that is not its end.
    pub(crate) fn firing(&self) -> Vec<Arc<Raised>> {
        self.kept().firing.iter().rev().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
        raise_of(alerts, AlertKind::Breaker, subject, state);
    }

    fn raise_of(alerts: &Alerts, kind: AlertKind, subject: &str, state: State) {
        let alert = match state {
            State::Firing => Alert::firing(kind, subject, "", ""),
            State::Resolved => Alert::resolved(kind, subject, ""),
        };
        alerts.raise(alert, "2026-11-30T00:00:00Z".to_owned());
    }

    #[tokio::test]
    async fn a_thousand_quotas_that_end_at_once_are_all_told_and_take_the_place_of_nothing_else() {
        let (alerts, mut waiting) = Alerts::new("a:1");
        for state in [State::Firing, State::Resolved] {
            (0..1000).for_each(|number| raise_of(&alerts, AlertKind::Quota, &number.to_string(), state));
        }
        raise(&alerts, "x", State::Firing);
        assert_eq!(alerts.snapshot().undelivered, 0);
        for waiting in &mut waiting {
            assert_eq!(waiting.next().await.map(|(kind, _)| kind), Some(AlertKind::Breaker), "it waits behind none of them");
            for _ in 0..2000 {
                assert_eq!(waiting.next().await.map(|(kind, _)| kind), Some(AlertKind::Quota));
            }
        }
    }

    #[tokio::test]
    async fn a_receiver_that_takes_nothing_keeps_nothing_from_the_other() {
        let (alerts, [_webhook, mut channel]) = Alerts::new("a:1");
        for number in 0..3 * QUEUE {
            raise(&alerts, &number.to_string(), State::Firing);
            assert_eq!(channel.next().await.map(|(_, raised)| raised.subject.clone()), Some(number.to_string()));
        }
        assert_eq!(alerts.snapshot().undelivered, 2 * QUEUE as u64);
    }

    #[test]
    fn what_holds_is_told_however_many_alerts_came_after_it() {
        let (alerts, _waiting) = Alerts::new("a:1");
        raise(&alerts, "x", State::Firing);
        for number in 0..2 * KEPT {
            [State::Firing, State::Resolved].into_iter().for_each(|state| raise(&alerts, &number.to_string(), state));
        }
        let firing = || alerts.firing().iter().map(|raised| raised.subject.clone()).collect::<Vec<_>>();
        assert_eq!(firing(), ["x"]);
        raise(&alerts, "x", State::Resolved);
        assert!(firing().is_empty());
    }

    #[test]
    fn what_has_an_end_that_will_not_be_told_does_not_count_as_holding() {
        let (alerts, _waiting) = Alerts::new("a:1");
        alerts.raise(Alert { ends: false, ..Alert::firing(AlertKind::Quota, "x", "", "") }, String::new());
        assert_eq!((alerts.firing().len(), alerts.last().len()), (0, 1));
    }

    #[test]
    fn the_last_word_on_a_subject_says_whether_it_still_holds() {
        let (alerts, [mut waiting, _]) = Alerts::new("a:1");
        for (subject, state) in [("x", State::Firing), ("y", State::Firing), ("x", State::Resolved)] {
            raise(&alerts, subject, state);
        }
        let firing: Vec<_> = alerts.firing().iter().map(|raised| raised.subject.clone()).collect();
        assert_eq!((firing, alerts.last().len(), alerts.snapshot().raised[0].count), (vec!["y".to_owned()], 3, 3));
        let (_, first) = waiting.others.try_recv().expect("the first");
        assert!(first.id.starts_with("a:1-2026") && first.subject == "x", "{first:?}");
    }

    #[test]
    fn they_are_bounded_and_what_finds_no_place_is_counted() {
        let (alerts, _waiting) = Alerts::new("a:1");
        (0..KEPT + 5).for_each(|number| raise(&alerts, &number.to_string(), State::Firing));
        assert_eq!((alerts.last().len(), alerts.last()[0].subject.as_str()), (KEPT, "104"));
        assert_eq!(alerts.snapshot().undelivered, 2 * (KEPT + 5 - QUEUE) as u64);
    }
}
