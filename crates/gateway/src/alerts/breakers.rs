//! What is left alone because it failed: upstreams, their servers, Redis, the disk.

use std::collections::BTreeSet;

use super::alert::Alert;
use crate::config::AlertKind;
use crate::telemetry::snapshot::{Breaker, Snapshot, UpstreamSnapshot};

const UPSTREAM: &str = "is it running and reachable? `larder doctor` asks it; `breaker` in its section says when it is left alone";
const SERVER: &str = "the others do its work meanwhile; is it running and reachable?";
const REDIS: &str = "requests go on from memory and backends, and replicas share nothing; is it running and reachable?";
const DISK: &str = "requests go on from memory and backends; the log says what the disk refuses";

/// Those that are left alone now.
#[derive(Debug, Default)]
pub(super) struct Breakers(BTreeSet<String>);

impl Breakers {
    pub(super) fn look(&mut self, snapshot: &Snapshot) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let mut open = BTreeSet::new();
        for (subject, is_open, remedy) in subjects(snapshot) {
            match (is_open, self.0.remove(&subject)) {
                (true, false) => {
                    let message = format!("{subject} is left alone, since it failed several times in a row");
                    alerts.push(Alert::firing(AlertKind::Breaker, subject.clone(), message, remedy));
                }
                (false, true) => alerts.push(Alert::resolved(AlertKind::Breaker, subject.clone(), format!("{subject} is asked again"))),
                _ => {}
            }
            if is_open {
                open.insert(subject);
            }
        }
        // A reload, or a name server, may take away what is left alone.
        let gone = std::mem::replace(&mut self.0, open);
        alerts.extend(gone.into_iter().map(|subject| {
            let message = format!("{subject} is not there any more");
            Alert::resolved(AlertKind::Breaker, subject, message)
        }));
        alerts
    }
}

/// Everything that may be left alone, and whether it is. Between open and closed it is only tried, which is no end.
fn subjects(snapshot: &Snapshot) -> Vec<(String, bool, &'static str)> {
    let mut subjects: Vec<_> = snapshot.upstreams.iter().flat_map(of_upstream).collect();
    if let Some(redis) = &snapshot.redis {
        subjects.push(("Redis".to_owned(), redis.breaker != Breaker::Closed, REDIS));
    }
    if let Some(disk) = &snapshot.disk {
        subjects.push(("the disk, for reading,".to_owned(), disk.reading != Breaker::Closed, DISK));
        subjects.push(("the disk, for writing,".to_owned(), disk.writing != Breaker::Closed, DISK));
    }
    subjects
}

fn of_upstream(upstream: &UpstreamSnapshot) -> Vec<(String, bool, &'static str)> {
    let Some(state) = &upstream.state else { return Vec::new() };
    let own = (format!("upstream {}", upstream.name), state.breaker != Breaker::Closed, UPSTREAM);
    let servers = state.servers.iter().filter(|_| state.servers.len() > 1).map(|server| {
        let is_out = server.ejected || !server.healthy;
        (format!("server {} of upstream {}", server.server, upstream.name), is_out, SERVER)
    });
    std::iter::once(own).chain(servers).collect()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::telemetry::snapshot::{ServerSnapshot, UpstreamState};

    fn snapshot(breaker: Breaker, ejected: bool) -> Snapshot {
        let server = |name: &str, ejected| ServerSnapshot { server: name.to_owned(), ejected, healthy: true, ..ServerSnapshot::default() };
        let state = UpstreamState { breaker, servers: vec![server("a", ejected), server("b", false)], ..UpstreamState::default() };
        let upstream = UpstreamSnapshot { name: "api".to_owned(), state: Some(state), ..UpstreamSnapshot::default() };
        Snapshot { upstreams: vec![upstream], ..Snapshot::default() }
    }

    #[test]
    fn what_is_left_alone_and_then_not_there_any_more_is_over() {
        let mut breakers = Breakers::default();
        breakers.look(&snapshot(Breaker::Open, true));
        let over = breakers.look(&Snapshot::default());
        let told: Vec<_> = over.iter().map(|alert| (&*alert.message, alert.state)).collect();
        assert_eq!(
            told,
            [("server a of upstream api is not there any more", State::Resolved), ("upstream api is not there any more", State::Resolved)]
        );
        assert_eq!(breakers.look(&Snapshot::default()), []);
    }

    #[test]
    fn each_is_told_once_when_it_begins_and_once_when_it_ends() {
        let mut breakers = Breakers::default();
        let mut look = |breaker, ejected| {
            breakers.look(&snapshot(breaker, ejected)).into_iter().map(|alert| (alert.subject, alert.state)).collect::<Vec<_>>()
        };
        assert_eq!(look(Breaker::Closed, false), []);
        assert_eq!(
            look(Breaker::Open, true),
            [("upstream api".to_owned(), State::Firing), ("server a of upstream api".to_owned(), State::Firing)]
        );
        assert_eq!(look(Breaker::HalfOpen, true), [], "it is only tried");
        assert_eq!(look(Breaker::Closed, true), [("upstream api".to_owned(), State::Resolved)]);
        assert_eq!(look(Breaker::Closed, false), [("server a of upstream api".to_owned(), State::Resolved)]);
    }
}
