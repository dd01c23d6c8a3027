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

/// The replicas that are silent, and those whose silence this replica has told.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    /// How often in a row, by id.
    silent: BTreeMap<String, u32>,
    /// Their names, by id.
    told: BTreeMap<String, String>,
}

impl Replicas {
    /// Of those that could tell, one does. The others count along, so that none of them tells it a second time when that one stops; and what a replica has told
    /// itself, it also ends.
    pub(super) fn look(&mut self, report: &ReplicasReport) -> Vec<Alert> {
        let mut alerts = Vec::new();
        // Who is cut off itself cannot tell.
        if !report.shared || report.lag_seconds.is_none_or(|lag| lag > MAX_LAG) {
            return alerts;
        }
        let tells = tells(&report.replicas);
        let (mut silent, mut told) = (BTreeMap::new(), BTreeMap::new());
        for replica in report.replicas.iter().filter(|replica| !replica.own) {
            let before = self.silent.get(&replica.id).copied().unwrap_or_default();
            let own = self.told.remove(&replica.id);
            let name = if replica.name.is_empty() { &replica.id } else { &replica.name };
            if replica.state == "live" {
                if own.is_some() || tells && before >= LOOKS {
                    alerts.push(Alert::resolved(AlertKind::Replica, name.clone(), format!("replica {name} is heard of again")));
                }
                continue;
            }
            silent.insert(replica.id.clone(), before + 1);
            if tells && before + 1 == LOOKS {
                let message = format!("replica {name} has not been heard of for {:.0} s", replica.silent_seconds);
                alerts.push(Alert::firing(AlertKind::Replica, name.clone(), message, REMEDY));
                told.insert(replica.id.clone(), name.clone());
            } else if let Some(name) = own {
                told.insert(replica.id.clone(), name);
            }
        }
        // The list has those only that may come back.
        let forgotten = std::mem::replace(&mut self.told, told).into_values();
        alerts.extend(forgotten.map(|name| {
            let message = format!("replica {name} is not waited for any more");
            Alert::resolved(AlertKind::Replica, name, message)
        }));
        self.silent = silent;
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
    fn when_another_begins_to_tell_nothing_is_told_twice_and_who_has_told_it_ends_it() {
        let mut look = {
            let mut replicas = [("c", Replicas::default()), ("d", Replicas::default())];
            move |others: &[(&str, &str)]| {
                let states = |(own, replicas): &mut (&str, Replicas)| {
                    let other = if *own == "c" { "d" } else { "c" };
                    let others = [others, &[(other, "live")]].concat();
                    replicas.look(&report(own, &others)).into_iter().map(|alert| alert.state).collect::<Vec<_>>()
                };
                replicas.each_mut().map(states)
            }
        };
        let nothing: [Vec<State>; 2] = Default::default();
        assert_eq!([(); 2].map(|()| look(&[("x", "silent")])), [nothing.clone(), nothing.clone()]);
        assert_eq!(look(&[("x", "silent")]), [vec![State::Firing], vec![]]);
        // From now on another one is the first.
        assert_eq!([(); 3].map(|()| look(&[("b", "live"), ("x", "silent")])), [(); 3].map(|()| nothing.clone()));
        assert_eq!(look(&[("b", "live"), ("x", "live")]), [vec![State::Resolved], vec![]]);
    }

    #[test]
    fn one_that_is_not_listed_any_more_is_over() {
        let mut replicas = Replicas::default();
        let mut look =
            |others: &[(&str, &str)]| replicas.look(&report("a", others)).into_iter().map(|alert| alert.state).collect::<Vec<_>>();
        (1..LOOKS).for_each(|_| assert_eq!(look(&[("x", "silent")]), []));
        assert_eq!((look(&[("x", "silent")]), look(&[]), look(&[])), (vec![State::Firing], vec![State::Resolved], vec![]));
    }

    #[test]
    fn one_that_signed_off_is_not_lost() {
        let mut replicas = Replicas::default();
        replicas.look(&report("a", &[("b", "live")]));
        assert_eq!((0..9).flat_map(|_| replicas.look(&report("a", &[]))).count(), 0);
    }
}
