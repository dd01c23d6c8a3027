//! Replicas that are not heard of any more. One that stops says so, and is not lost.

use std::collections::BTreeMap;

use super::alert::Alert;
use crate::config::AlertKind;
use crate::replicas::{ReplicaReport, ReplicasReport};

/// Looks in a row, five seconds apart, at which it was not heard of.
const LOOKS: u32 = 3;

/// As long as the log is read no later than this, silence is the other's.
const MAX_LAG: f64 = 3.0;

const REMEDY: &str = "does its process run, and does it reach Redis? Purges wait for it meanwhile, up to their `wait`";

/// How often in a row each replica was found silent.
#[derive(Debug, Default)]
pub(super) struct Replicas(BTreeMap<String, u32>);

impl Replicas {
    pub(super) fn look(&mut self, report: &ReplicasReport) -> Vec<Alert> {
        let mut alerts = Vec::new();
        // Who is cut off itself cannot tell; and of those that could tell, one does.
        if !report.shared || report.lag_seconds.is_none_or(|lag| lag > MAX_LAG) || !tells(&report.replicas) {
            return alerts;
        }
        let mut silent = BTreeMap::new();
        for replica in report.replicas.iter().filter(|replica| !replica.own) {
            let before = self.0.get(&replica.id).copied().unwrap_or_default();
            let name = if replica.name.is_empty() { &replica.id } else { &replica.name };
            if replica.state == "live" {
                if before >= LOOKS {
                    alerts.push(Alert::resolved(AlertKind::Replica, name.clone(), format!("replica {name} is heard of again")));
                }
                continue;
            }
            silent.insert(replica.id.clone(), before + 1);
            if before + 1 == LOOKS {
                let message = format!("replica {name} has not been heard of for {:.0} s", replica.silent_seconds);
                alerts.push(Alert::firing(AlertKind::Replica, name.clone(), message, REMEDY));
            }
        }
        self.0 = silent;
        alerts
    }
}

/// Whether this replica is the first of those that live.
fn tells(replicas: &[ReplicaReport]) -> bool {
    let first = replicas.iter().filter(|replica| replica.state == "live").min_by(|one, other| one.id.cmp(&other.id));
    first.is_some_and(|first| first.own)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn report(own: &str, others: &[(&str, &str)]) -> ReplicasReport {
        let replica =
            |id: &str, state: &str, own| ReplicaReport { id: id.to_owned(), state: state.to_owned(), own, ..ReplicaReport::default() };
        let replicas = std::iter::once(replica(own, "live", true)).chain(others.iter().map(|(id, state)| replica(id, state, false)));
        ReplicasReport { shared: true, lag_seconds: Some(0.1), replicas: replicas.collect(), ..ReplicasReport::default() }
    }

    #[test]
    fn silence_is_told_after_a_while_and_so_is_its_end() {
        let mut replicas = Replicas::default();
        let mut look = |state: &str| replicas.look(&report("a", &[("b", state)])).into_iter().map(|alert| alert.state).collect::<Vec<_>>();
        assert_eq!((look("silent"), look("live")), (vec![], vec![]), "it was away for a moment");
        assert_eq!((look("silent"), look("silent"), look("silent")), (vec![], vec![], vec![State::Firing]));
        assert_eq!((look("silent"), look("live")), (vec![], vec![State::Resolved]));
    }

    #[test]
    fn one_tells_and_not_while_it_is_cut_off_itself() {
        let silent = |own: &str, lag| {
            let mut replicas = Replicas::default();
            let looked = ReplicasReport { lag_seconds: lag, ..report(own, &[("b", "live"), ("x", "silent")]) };
            (0..LOOKS).flat_map(|_| replicas.look(&looked)).count()
        };
        assert_eq!([silent("a", Some(0.1)), silent("c", Some(0.1)), silent("a", Some(9.0)), silent("a", None)], [1, 0, 0, 0]);
    }

    #[test]
    fn one_that_signed_off_is_not_lost() {
        let mut replicas = Replicas::default();
        replicas.look(&report("a", &[("b", "live")]));
        assert_eq!((0..9).flat_map(|_| replicas.look(&report("a", &[]))).count(), 0);
    }
}
