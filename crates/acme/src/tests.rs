//! A keeper with an authority, a clock and a store of the test's own.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_config::{Acme, AcmeChallenge, AcmeStoreKind};
use larder_tls::Authorities;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::authority::{AcmeAuthority, Authority, Issuing};
use crate::bundle::Bundle;
use crate::challenges::Challenges;
use crate::failure::Failure;
use crate::folder::Folder;
use crate::keeper::Keeper;
use crate::store::{AcmeStore, StoreError, Stored};

const DAY: u64 = 86_400;
/// 2026-01-01.
const BEGIN: u64 = 20_454 * DAY;

/// A store in memory, shared by several keepers.
#[derive(Debug, Default)]
struct Memory {
    values: Mutex<HashMap<String, Vec<u8>>>,
    locks: Mutex<HashMap<String, Duration>>,
    is_broken: std::sync::atomic::AtomicBool,
}

impl Memory {
    fn outcome<'a, T: Send + 'a>(&self, value: T) -> Stored<'a, T> {
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        Box::pin(std::future::ready(if is_broken { Err(StoreError("it is away".to_owned())) } else { Ok(value) }))
    }
}

impl AcmeStore for Memory {
    fn is_shared(&self) -> bool {
        true
    }

    fn load<'a>(&'a self, name: &'a str) -> Stored<'a, Option<Vec<u8>>> {
        self.outcome(self.values.lock().unwrap().get(name).cloned())
    }

    fn save<'a>(&'a self, name: &'a str, value: &'a [u8], _kept: Duration) -> Stored<'a, ()> {
        self.values.lock().unwrap().insert(name.to_owned(), value.to_vec());
        self.outcome(())
    }

    fn lock<'a>(&'a self, name: &'a str, term: Duration) -> Stored<'a, bool> {
        let mut locks = self.locks.lock().unwrap();
        let is_free = !locks.contains_key(name);
        if is_free {
            locks.insert(name.to_owned(), term);
        }
        self.outcome(is_free)
    }

    fn unlock<'a>(&'a self, name: &'a str, pause: Duration) -> Stored<'a, ()> {
        let mut locks = self.locks.lock().unwrap();
        locks.remove(name);
        if !pause.is_zero() {
            locks.insert(name.to_owned(), pause);
        }
        self.outcome(())
    }
}

/// Issues a certificate for so many days from a day on, or fails.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<(u64, u64), Failure>>>,
    asked: Mutex<Vec<AcmeChallenge>>,
    gate: Option<Arc<Notify>>,
}

impl Authority for Arc<Scripted> {
    fn issue<'a>(&'a self, domain: &'a str, challenge: AcmeChallenge, _challenges: &'a Challenges) -> Issuing<'a> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(challenge);
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            let (from, days) = self.answers.lock().unwrap().pop_front().expect("no order is expected")?;
            Ok(bundle(domain, from, days))
        })
    }
}

fn bundle(domain: &str, from: u64, days: u64) -> Bundle {
    let mut params = CertificateParams::new(vec![domain.to_owned()]).unwrap();
    let begin = rcgen::date_time_ymd(2026, 1, 1);
    params.not_before = begin + Duration::from_secs(from * DAY);
    params.not_after = begin + Duration::from_secs((from + days) * DAY);
    let key = KeyPair::generate().unwrap();
    Bundle::new(&key.serialize_pem(), &params.self_signed(&key).unwrap().pem())
}

fn config() -> Acme {
    Acme {
        domains: vec!["a.example".to_owned()],
        contact: None,
        directory: "https://ca.example/dir".to_owned(),
        roots: None,
        store: AcmeStoreKind::Redis,
        challenges: vec![AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01],
        files: Vec::new(),
    }
}

/// A keeper over this store, with these answers of the authority.
fn keeper(store: &Arc<Memory>, answers: Vec<Result<(u64, u64), Failure>>, now: fn() -> u64) -> (Arc<Keeper>, Arc<Scripted>) {
    let authority = Arc::new(Scripted { answers: Mutex::new(answers.into()), ..Scripted::default() });
    (Keeper::with(Arc::new(config()), Arc::clone(store) as _, Box::new(Arc::clone(&authority)), now), authority)
}

fn refused() -> Failure {
    Failure::Refused { challenge: "tls-alpn-01", reason: "nothing listens there".to_owned() }
}

#[tokio::test]
async fn a_certificate_is_renewed_when_two_thirds_of_its_time_are_over() {
    static NOW: AtomicU64 = AtomicU64::new(BEGIN);
    let (keeper, authority) = keeper(&Arc::default(), vec![Ok((0, 90)), Ok((60, 90))], || NOW.load(Ordering::Relaxed));
    let pairs = keeper.pairs();
    assert_eq!(keeper.attend("a.example").await, Duration::from_secs(60 * DAY), "the first at once");
    NOW.store(BEGIN + 60 * DAY - 1, Ordering::Relaxed);
    assert_eq!(keeper.attend("a.example").await, Duration::from_secs(1));
    assert_eq!(authority.asked.lock().unwrap().len(), 1);
    NOW.store(BEGIN + 60 * DAY, Ordering::Relaxed);
    assert_eq!(keeper.attend("a.example").await, Duration::from_secs(60 * DAY));
    let all = pairs.borrow();
    assert_eq!(all.iter().map(|pair| pair.facts().not_after).collect::<Vec<_>>(), [BEGIN + 150 * DAY], "one takes the other's place");
    assert_eq!((keeper.counts().issued, keeper.counts().failed), (2, 0));
}

#[tokio::test]
async fn an_order_that_fails_is_tried_again_less_and_less_often_with_another_proof_each_time() {
    static NOW: AtomicU64 = AtomicU64::new(BEGIN);
    let store = Arc::<Memory>::default();
    let problem = |kind: &str| instant_acme::Problem {
        r#type: Some(format!("urn:ietf:params:acme:error:{kind}")),
        detail: Some("too many".to_owned()),
        status: Some(429),
        subproblems: Vec::new(),
    };
    let limited = Failure::Authority(instant_acme::Error::Api(problem("rateLimited")));
    let answers = vec![Err(refused()), Err(refused()), Err(limited), Ok((0, 90))];
    let (keeper, authority) = keeper(&store, answers, || NOW.load(Ordering::Relaxed));
    for (pause, told) in [
        (120, "the authority refuses the proof by tls-alpn-01: nothing listens there"),
        (240, "the authority refuses the proof by tls-alpn-01: nothing listens there"),
        (3600, "the authority refuses: too many"),
    ] {
        assert_eq!(keeper.attend("a.example").await, Duration::from_secs(pause));
        assert_eq!(keeper.report()[0].problem.as_deref(), Some(told));
        assert_eq!(store.locks.lock().unwrap().values().next(), Some(&Duration::from_secs(pause)), "no other replica tries meanwhile");
        assert_eq!(keeper.attend("a.example").await, Duration::from_secs(pause), "nor does this one");
        NOW.fetch_add(pause, Ordering::Relaxed);
        store.locks.lock().unwrap().clear();
    }
    keeper.attend("a.example").await;
    let report = keeper.report().remove(0);
    assert_eq!((report.failures, report.problem, report.not_after), (0, None, Some(BEGIN + 90 * DAY)));
    use AcmeChallenge::{Http01, TlsAlpn01};
    assert_eq!(*authority.asked.lock().unwrap(), [TlsAlpn01, Http01, TlsAlpn01, Http01]);
    assert_eq!((keeper.counts().issued, keeper.counts().failed), (1, 3));
}

#[tokio::test]
async fn of_several_replicas_one_orders_and_all_have_the_certificate() {
    let store = Arc::<Memory>::default();
    let gate = Arc::<Notify>::default();
    let authority = Arc::new(Scripted { answers: Mutex::new([Ok((0, 90))].into()), gate: Some(Arc::clone(&gate)), ..Scripted::default() });
    let one = Keeper::with(Arc::new(config()), Arc::clone(&store) as _, Box::new(Arc::clone(&authority)), || BEGIN);
    let (other, _) = keeper(&store, Vec::new(), || BEGIN);
    let ordering = tokio::spawn({
        let one = Arc::clone(&one);
        async move { one.attend("a.example").await }
    });
    while authority.asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(other.attend("a.example").await, Duration::from_secs(15), "it looks again soon");
    gate.notify_one();
    ordering.await.unwrap();
    assert_eq!(other.attend("a.example").await, Duration::from_secs(60 * DAY));
    assert_eq!(other.pairs().borrow().clone(), one.pairs().borrow().clone());
    assert_eq!(other.counts().issued, 0);
}

#[tokio::test]
async fn a_restart_serves_what_was_stored_and_orders_nothing() {
    let store = Arc::<Memory>::default();
    let (before, _) = keeper(&store, vec![Ok((0, 90))], || BEGIN);
    before.attend("a.example").await;
    let (after, _) = keeper(&store, Vec::new(), || BEGIN + DAY);
    after.load().await;
    assert_eq!(after.pairs().borrow().len(), 1);
    assert_eq!(after.attend("a.example").await, Duration::from_secs(59 * DAY));
    // What another authority has issued, a staging one say, is not served.
    let other = Acme { directory: "https://other.example/dir".to_owned(), ..config() };
    let authority = Box::new(Arc::<Scripted>::default());
    let elsewhere = Keeper::with(Arc::new(other), Arc::clone(&store) as _, authority, || BEGIN + DAY);
    elsewhere.load().await;
    assert!(elsewhere.pairs().borrow().is_empty());
}

#[tokio::test]
async fn what_is_stored_and_no_certificate_for_the_domain_is_not_served() {
    let store = Arc::<Memory>::default();
    let other = bundle("b.example", 0, 90).text().as_bytes().to_vec();
    for stored in [b"rubbish".to_vec(), Vec::new(), other] {
        store.values.lock().unwrap().insert("ca.example_dir/a.example.pem".to_owned(), stored);
        let (keeper, _) = keeper(&store, Vec::new(), || BEGIN);
        keeper.load().await;
        assert!(keeper.pairs().borrow().is_empty());
    }
}

#[tokio::test]
async fn while_the_store_is_away_the_certificate_in_use_stays_and_no_order_is_made() {
    static NOW: AtomicU64 = AtomicU64::new(BEGIN);
    let store = Arc::<Memory>::default();
    let (keeper, authority) = keeper(&store, vec![Ok((0, 90)), Ok((70, 90))], || NOW.load(Ordering::Relaxed));
    keeper.attend("a.example").await;
    NOW.store(BEGIN + 70 * DAY, Ordering::Relaxed);
    store.is_broken.store(true, Ordering::Relaxed);
    for _ in 0..9 {
        assert_eq!(keeper.attend("a.example").await, Duration::from_secs(15), "the authority has not failed");
    }
    let report = keeper.report().remove(0);
    assert_eq!((report.not_after, report.problem.as_deref()), (Some(BEGIN + 90 * DAY), Some("it cannot be stored: it is away")));
    assert_eq!((authority.asked.lock().unwrap().len(), report.failures), (1, 0));
    store.is_broken.store(false, Ordering::Relaxed);
    store.locks.lock().unwrap().clear();
    keeper.attend("a.example").await;
    assert_eq!(keeper.report()[0].not_after, Some(BEGIN + 160 * DAY));
}

#[tokio::test]
async fn a_domain_without_a_certificate_takes_the_store_s_while_its_own_order_has_to_wait() {
    let store = Arc::<Memory>::default();
    let ((one, _), (other, _)) = (keeper(&store, vec![Err(refused())], || BEGIN), keeper(&store, vec![Ok((0, 90))], || BEGIN));
    assert_eq!(one.attend("a.example").await, Duration::from_secs(120));
    store.locks.lock().unwrap().clear();
    other.attend("a.example").await;
    assert_eq!(one.attend("a.example").await, Duration::from_secs(60 * DAY));
    assert_eq!(one.pairs().borrow().clone(), other.pairs().borrow().clone());
}

#[tokio::test(start_paused = true)]
async fn a_domain_without_a_certificate_has_the_store_s_soon_after_that_is_back() {
    let store = Arc::<Memory>::default();
    let (before, _) = keeper(&store, vec![Ok((0, 90))], || BEGIN);
    before.attend("a.example").await;
    let (after, authority) = keeper(&store, Vec::new(), || BEGIN);
    store.is_broken.store(true, Ordering::Relaxed);
    after.load().await;
    let (mut pairs, keeping) = (after.pairs(), tokio::spawn(Arc::clone(&after).keep()));
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert!(pairs.borrow().is_empty());
    store.is_broken.store(false, Ordering::Relaxed);
    store.locks.lock().unwrap().clear();
    tokio::time::timeout(Duration::from_secs(15), pairs.changed()).await.expect("within one look").expect("a keeper");
    assert_eq!((pairs.borrow().len(), authority.asked.lock().unwrap().len()), (1, 0));
    keeping.abort();
}

#[tokio::test]
async fn a_certificate_that_is_due_as_soon_as_it_is_issued_is_used_and_no_other_is_ordered_at_once() {
    static NOW: AtomicU64 = AtomicU64::new(BEGIN + 70 * DAY);
    let store = Arc::<Memory>::default();
    let (keeper, authority) = keeper(&store, vec![Ok((0, 90)), Ok((1, 90)), Ok((60, 90))], || NOW.load(Ordering::Relaxed));
    for (pause, end) in [(120, 90), (240, 91)] {
        assert_eq!(keeper.attend("a.example").await, Duration::from_secs(pause));
        let report = keeper.report().remove(0);
        assert_eq!(report.not_after, Some(BEGIN + end * DAY));
        assert!(report.problem.is_some_and(|problem| problem.contains("is the clock of this machine right?")));
        NOW.fetch_add(pause, Ordering::Relaxed);
        store.locks.lock().unwrap().clear();
    }
    keeper.attend("a.example").await;
    let report = keeper.report().remove(0);
    assert_eq!((report.failures, report.problem, authority.asked.lock().unwrap().len()), (0, None, 3));
}

/// The order's time may end while the account is made, and a reload may end it at any time.
#[tokio::test]
async fn an_account_whose_making_was_given_up_can_be_made_again() {
    let place = TempDir::new().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(place.path().join("ca"), params.self_signed(&key).unwrap().pem()).unwrap();
    let roots = Some(Authorities::load(&place.path().join("ca")).unwrap());
    let directory = format!("https://{}/dir", silent.local_addr().unwrap());
    let config = Arc::new(Acme { directory, roots, ..config() });
    let name = format!("{}/account.json", config.folder());
    let store: Arc<dyn AcmeStore> = Arc::new(Folder::new(place.path()));
    let authority = AcmeAuthority::new(config, Arc::clone(&store));
    let challenges = Challenges::new(Arc::clone(&store), Vec::new());
    let asked = tokio::select! {
        _ = authority.issue("a.example", AcmeChallenge::Http01, &challenges) => None,
        asked = silent.accept() => asked.ok(),
    };
    assert!(asked.is_some(), "it was being made when the order was given up");
    tokio::time::timeout(Duration::from_secs(30), async {
        while store.lock(&name, Duration::ZERO).await != Ok(true) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the lock is free");
}

#[tokio::test]
async fn rfc8555_8_3_a_challenge_is_answered_by_every_replica_for_its_domain_while_it_is_there() {
    let store = Arc::<Memory>::default();
    let ((one, _), (other, _)) = (keeper(&store, Vec::new(), || BEGIN), keeper(&store, Vec::new(), || BEGIN));
    let token = "abcdefghijklmnopqrstuv";
    let shown = one.challenges().show(AcmeChallenge::Http01, "a.example", token, "proof").await.unwrap();
    for keeper in [&one, &other] {
        let answer = async |host: &str, token: &str| keeper.challenges().over_http(host, token).await;
        assert_eq!(answer("A.example", token).await.as_deref(), Some("proof"));
        assert_eq!(answer("b.example", token).await, None, "another host");
        for odd in ["short", "abcdefghijklmnopqrstu/", "../../../../../../../a", ""] {
            assert_eq!(answer("a.example", odd).await, None, "{odd}");
        }
    }
    drop(shown);
    store.values.lock().unwrap().clear();
    assert_eq!(one.challenges().over_http("a.example", token).await, None);
}

#[tokio::test]
async fn rfc8737_3_a_handshake_is_answered_with_a_certificate_for_the_domain_alone() {
    let (keeper, _) = keeper(&Arc::default(), Vec::new(), || BEGIN);
    assert!(keeper.challenges().in_handshake("a.example").await.is_none());
    let _shown = keeper.challenges().show(AcmeChallenge::TlsAlpn01, "a.example", "token", "proof").await.unwrap();
    let config = keeper.challenges().in_handshake("A.Example").await.expect("an answer");
    assert_eq!(config.alpn_protocols, [b"acme-tls/1"]);
    assert!(keeper.challenges().in_handshake("b.example").await.is_none());
}
