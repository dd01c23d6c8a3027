//! Limits and budgets that refuse requests, and guards that find answers which are not for everyone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use larder_semantics::Reason;

use super::alert::Alert;
use crate::config::AlertKind;
use crate::telemetry::snapshot::{LimitSnapshot, Snapshot};

/// It is over when nothing was refused for so long.
const QUIET: Duration = Duration::from_secs(300);

const QUEUE: &str = "the backend has as many requests as `max_requests` and `queue` allow: is it slow, or are they too tight?";
const BUDGET: &str = "so much fails that `retry` may not send more of it again; the log says what fails";
const GUARD: &str = "the log names the field of the request that they hold; put it into the key, or keep it from the backend";
const MISLEADING: &str = Reason::MisleadingPath.as_str();
const LEAK: &str =
    "`larder verify report` has examples; give the route scope = \"identity\", or put into the key what its answers depend on";
const BYPASS: &str = "a network sends the bypass parameter more often than `bypass.rate` allows; `bypass.from` says who may at all";

const CLIENTS: &str = "clients ask for more than [[limits]] gives them; the log has them with the reason rate-limited";

/// A count of refusals, and when it last grew, where that is no longer ago than [`QUIET`].
#[derive(Debug, Default)]
pub(super) struct Limits(BTreeMap<String, (u64, Option<Instant>)>);

impl Limits {
    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let counts = counts(snapshot);
        for (subject, (_, grew)) in &mut self.0 {
            if grew.is_some() && counts.iter().all(|counted| counted.subject != *subject) {
                *grew = None;
                alerts.push(Alert::resolved(AlertKind::Limit, subject.clone(), format!("{subject} is not there any more")));
            }
        }
        for Counted { subject, count, what, remedy } in counts {
            // Of what is seen first nothing is known: a process begins at nothing.
            let (before, grew) = self.0.entry(subject.clone()).or_default();
            let more = count.saturating_sub(*before);
            *before = count;
            match (*grew, more) {
                (None, 1..) => {
                    *grew = Some(now);
                    let message = format!("{subject} has {what}: {more} in the last seconds");
                    alerts.push(Alert::firing(AlertKind::Limit, subject, message, remedy));
                }
                (Some(_), 1..) => *grew = Some(now),
                (Some(last), 0) if now.saturating_duration_since(last) >= QUIET => {
                    *grew = None;
                    let message = format!("{subject} has {what} no more for five minutes");
                    alerts.push(Alert::resolved(AlertKind::Limit, subject, message));
                }
                _ => {}
            }
        }
        alerts
    }
}

/// What is watched.
struct Counted {
    subject: String,
    count: u64,
    /// What it does each time.
    what: &'static str,
    remedy: &'static str,
}

fn counts(snapshot: &Snapshot) -> Vec<Counted> {
    let refusing = |subject: String, count, remedy| Counted { subject, count, what: "refused requests", remedy };
    let upstreams = snapshot.upstreams.iter().filter_map(|upstream| Some((&upstream.name, upstream.state.as_ref()?)));
    let mut counts: Vec<_> = upstreams
        .flat_map(|(name, state)| {
            [
                refusing(format!("the queue of upstream {name}"), state.refused, QUEUE),
                refusing(format!("the retry budget of upstream {name}"), state.retries_refused, BUDGET),
            ]
        })
        .collect();
    let refused =
        |limit: &LimitSnapshot| limit.requests.iter().find(|counted| counted.label == "refused").map_or(0, |counted| counted.count);
    counts.extend(snapshot.limits.iter().map(|limit| refusing(format!("limit {}", limit.limit), refused(limit), CLIENTS)));
    counts.push(refusing("the rate of bypasses".to_owned(), snapshot.store.bypasses_refused, BYPASS));
    counts.extend(snapshot.routes.iter().map(|route| Counted {
        subject: format!("the guard of route {}", route.name),
        // A path that lies can be made up by anybody, and its answer is never stored.
        count: route.guarded.iter().filter(|found| found.reason != MISLEADING).map(|found| found.reported + found.refused).sum(),
        what: "found answers that are not for everyone",
        remedy: GUARD,
    }));
    counts.extend(snapshot.verify.iter().map(|route| Counted {
        subject: format!("the verification of route {}", route.route),
        count: route.hits.iter().find(|counted| counted.label == "leak").map_or(0, |counted| counted.count),
        what: "found answers that depend on who asks, under one key",
        remedy: LEAK,
    }));
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

    #[test]
    fn what_has_refused_requests_and_is_not_there_any_more_is_over() {
        let (mut limits, start) = (Limits::default(), monotonic());
        let mut look = |upstreams: &[u64]| {
            let state = |refused: &u64| Some(UpstreamState { refused: *refused, ..UpstreamState::default() });
            let upstream = |refused| UpstreamSnapshot { name: "api".to_owned(), state: state(refused), ..UpstreamSnapshot::default() };
            let snapshot = Snapshot { upstreams: upstreams.iter().map(upstream).collect(), ..Snapshot::default() };
            limits.look(&snapshot, start).into_iter().map(|alert| alert.state).collect::<Vec<_>>()
        };
        assert_eq!((look(&[3]), look(&[])), (vec![State::Firing], vec![State::Resolved]));
        assert_eq!((look(&[]), look(&[3]), look(&[4])), (vec![], vec![], vec![State::Firing]), "it is there again");
    }
}
