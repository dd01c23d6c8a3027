use http::HeaderMap;
use larder_semantics::{KeyBuffer, KeyRules, Target};
use larder_store::{Invalidation, InvalidationTarget, Tag};

use super::*;

fn key() -> PrimaryKey {
    let rules = KeyRules::default();
    let mut buffer = KeyBuffer::default();
    let target = Target { scheme: "http", authority: "a", path: "/", query: None };
    rules.derive(target, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

const NOW: Timestamp = Timestamp::from_secs(1);

fn tags() -> Option<Tags> {
    Some([Tag::surrogate("t")].into())
}

fn lead(join: Join) -> Permit {
    match join {
        Join::Lead(permit) => permit,
        Join::Follow(_) => panic!("expected to lead"),
    }
}

fn follow(join: Join) -> Following {
    match join {
        Join::Follow(receiver) => receiver,
        Join::Lead(_) => panic!("expected to follow"),
    }
}

#[test]
fn one_leads_and_the_others_follow_until_it_has_landed_and_left() {
    let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
    let permit = lead(flights.join(7, &key(), &ledger, NOW, false, tags));
    let follower = follow(flights.join(7, &key(), &ledger, NOW, false, tags));
    let landed = permit.land(FetchOutcome::NotShared);
    assert!(matches!(follower.0.outcome.get(), Some(FetchOutcome::NotShared)));
    follow(flights.join(7, &key(), &ledger, NOW, false, tags));
    drop(landed);
    lead(flights.join(7, &key(), &ledger, NOW, false, tags));
}

#[test]
fn a_failure_reaches_its_followers_and_no_later_request() {
    let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
    let permit = lead(flights.join(7, &key(), &ledger, NOW, false, tags));
    assert!(!permit.is_followed());
    let follower = follow(flights.join(7, &key(), &ledger, NOW, false, tags));
    assert!(permit.is_followed());
    assert!(permit.land(FetchOutcome::Refused).is_none());
    assert!(matches!(follower.0.outcome.get(), Some(FetchOutcome::Refused)));
    lead(flights.join(7, &key(), &ledger, NOW, false, tags));
}

#[test]
fn a_flight_with_unknown_tags_is_not_joined_after_any_invalidation() {
    let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
    let _older = lead(flights.join(7, &key(), &ledger, NOW, false, || None));
    follow(flights.join(7, &key(), &ledger, NOW, false, || None));
    ledger.apply(&Invalidation::hard([InvalidationTarget::Tag("other".to_owned())]), NOW);
    lead(flights.join(7, &key(), &ledger, NOW, false, || None));
}

#[test]
fn a_leader_that_is_lost_releases_its_followers() {
    let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
    let permit = lead(flights.join(7, &key(), &ledger, NOW, false, tags));
    let follower = follow(flights.join(7, &key(), &ledger, NOW, false, tags));
    drop(permit);
    assert!(matches!(follower.0.outcome.get(), Some(FetchOutcome::NotShared)));
}

#[test]
fn a_leader_that_panics_fails_for_its_followers() {
    let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
    let permit = lead(flights.join(7, &key(), &ledger, NOW, false, tags));
    let follower = follow(flights.join(7, &key(), &ledger, NOW, false, tags));
    let leader = std::thread::spawn(move || {
        let _permit = permit;
        panic!("a service's");
    });
    assert!(leader.join().is_err());
    assert!(matches!(follower.0.outcome.get(), Some(FetchOutcome::Failed { .. })));
}

#[test]
fn nobody_joins_a_flight_that_was_left_and_those_who_had_are_counted() {
    let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
    for followers in [0, 1] {
        let permit = lead(flights.join(7, &key(), &ledger, NOW, false, tags));
        let landed = permit.land(FetchOutcome::NotShared).expect("others may join");
        let _followers: Vec<_> = (0..followers).map(|_| follow(flights.join(7, &key(), &ledger, NOW, false, tags))).collect();
        assert_eq!(landed.leave(), followers > 0);
        lead(flights.join(7, &key(), &ledger, NOW, false, tags));
    }
}

#[test]
fn a_process_that_stood_still_joins_no_flight_from_before() {
    let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
    let second = std::time::Duration::from_secs(1);
    ledger.vouch_until(Timestamp::from_secs(2), second);
    let _older = lead(flights.join(7, &key(), &ledger, NOW, false, tags));
    follow(flights.join(7, &key(), &ledger, Timestamp::from_secs(2), false, tags));
    let later = Timestamp::from_secs(4);
    let _newer = lead(flights.join(7, &key(), &ledger, later, false, tags));
    follow(flights.join(7, &key(), &ledger, later, false, tags));
}

#[test]
fn a_request_after_an_invalidation_never_joins_an_older_flight() {
    for target in [
        InvalidationTarget::Url("http://a/".to_owned()),
        InvalidationTarget::Tag("t".to_owned()),
        InvalidationTarget::Prefix("a".to_owned()),
        InvalidationTarget::Pattern("a/*".to_owned()),
        InvalidationTarget::All,
    ] {
        never_joins_after(Invalidation::hard([target.clone()]));
        never_joins_after(Invalidation::soft([target]));
    }
}

fn never_joins_after(invalidation: Invalidation) {
    let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
    let older = lead(flights.join(7, &key(), &ledger, NOW, false, tags));
    ledger.apply(&Invalidation::hard([InvalidationTarget::Url("http://a/other".to_owned())]), NOW);
    follow(flights.join(7, &key(), &ledger, NOW, false, tags));
    ledger.apply(&invalidation, NOW);
    let newer = lead(flights.join(7, &key(), &ledger, NOW, false, tags));
    drop(older);
    follow(flights.join(7, &key(), &ledger, NOW, false, tags));
    drop(newer);
}
