//! Limits and budgets that refuse requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::alert::Alert;
use crate::config::AlertKind;
use crate::telemetry::snapshot::{LimitSnapshot, Snapshot};

/// It is over when nothing was refused for so long.
const QUIET: Duration = Duration::from_secs(300);

const QUEUE: &str = "the backend has as many requests as `max_requests` and `queue` allow: is it slow, or are they too tight?";
const BUDGET: &str = "so much fails that `retry` may not send more of it again; the log says what fails";
const BYPASS: &str = "a network sends the bypass parameter more often than `bypass.rate` allows; `bypass.from` says who may at all";

const CLIENTS: &str = "clients ask for more than [[limits]] gives them; the log has them with the reason rate-limited";

/// A count of refusals, and when it last grew, where that is no longer ago than [`QUIET`].
#[derive(Debug, Default)]
pub(super) struct Limits(BTreeMap<String, (u64, Option<Instant>)>);

impl Limits {
    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for (subject, count, remedy) in counts(snapshot) {
            // Of what is seen first nothing is known: a process begins at nothing.
            let (before, grew) = self.0.entry(subject.clone()).or_default();
            let more = count.saturating_sub(*before);
            *before = count;
            match (*grew, more) {
                (None, 1..) => {
                    *grew = Some(now);
                    let message = format!("{subject} has refused {more} requests in the last seconds");
                    alerts.push(Alert::firing(AlertKind::Limit, subject, message, remedy));
                }
                (Some(_), 1..) => *grew = Some(now),
                (Some(last), 0) if now.saturating_duration_since(last) >= QUIET => {
                    *grew = None;
                    let message = format!("{subject} has refused nothing for five minutes");
                    alerts.push(Alert::resolved(AlertKind::Limit, subject, message));
                }
                _ => {}
            }
        }
        alerts
    }
}

fn counts(snapshot: &Snapshot) -> Vec<(String, u64, &'static str)> {
    let upstreams = snapshot.upstreams.iter().filter_map(|upstream| Some((&upstream.name, upstream.state.as_ref()?)));
    let mut counts: Vec<_> = upstreams
        .flat_map(|(name, state)| {
            [
                (format!("the queue of upstream {name}"), state.refused, QUEUE),
                (format!("the retry budget of upstream {name}"), state.retries_refused, BUDGET),
            ]
        })
        .collect();
    let refused =
        |limit: &LimitSnapshot| limit.requests.iter().find(|counted| counted.label == "refused").map_or(0, |counted| counted.count);
    counts.extend(snapshot.limits.iter().map(|limit| (format!("limit {}", limit.limit), refused(limit), CLIENTS)));
    counts.push(("the rate of bypasses".to_owned(), snapshot.store.bypasses_refused, BYPASS));
    counts
}

#[cfg(test)]
mod tests {
    use larder_tower::clock::monotonic;

    use super::super::State;
    use super::*;
    use crate::telemetry::snapshot::{UpstreamSnapshot, UpstreamState};

    #[test]
    fn refusals_are_told_once_until_there_were_none_for_a_while() {
        let (mut limits, start) = (Limits::default(), monotonic());
        let mut look = |refused, seconds| {
            let state = UpstreamState { refused, ..UpstreamState::default() };
            let upstream = UpstreamSnapshot { name: "api".to_owned(), state: Some(state), ..UpstreamSnapshot::default() };
            let snapshot = Snapshot { upstreams: vec![upstream], ..Snapshot::default() };
            limits.look(&snapshot, start + Duration::from_secs(seconds)).into_iter().map(|alert| alert.state).collect::<Vec<_>>()
        };
        assert_eq!(look(0, 0), []);
        assert_eq!(look(3, 5), [State::Firing]);
        assert_eq!(look(9, 10), [], "it is known");
        assert_eq!(look(9, 309), []);
        assert_eq!(look(9, 310), [State::Resolved]);
        assert_eq!(look(10, 315), [State::Firing]);
    }
}
