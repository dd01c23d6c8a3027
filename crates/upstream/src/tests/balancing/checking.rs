//! Health checks, in the background and shared with other replicas.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt;
use larder_config::{HealthCheck, Retry};
use tokio::sync::Semaphore;
use tower_service::Service;

use super::super::until;
use super::{addressed, answers, get, named, origin, post, reloaded, service, state};
use crate::{CheckLease, SharedChecks, Sharing, Streak};

/// A server that answers checks as it is told, and requests with its name.
async fn checked(name: &'static str, status: Arc<Mutex<&'static str>>) -> std::net::SocketAddr {
    origin(move |_, mut connection| {
        let status = Arc::clone(&status);
        async move {
            loop {
                let head = connection.head().await;
                let status = if head.starts_with("GET /healthz ") { *status.lock().expect("lock") } else { "200 OK" };
                if head.is_empty() {
                    return;
                }
                connection.send(&format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{name}", name.len())).await;
            }
        }
    })
    .await
}

fn check() -> HealthCheck {
    HealthCheck { every: Duration::from_millis(20), timeout: Duration::from_secs(20), rise: 1, fall: 1, ..HealthCheck::new("/healthz") }
}

#[tokio::test]
async fn a_server_that_fails_its_check_gets_no_request_until_it_passes_again() {
    let status = Arc::new(Mutex::new("503 Service Unavailable"));
    let sick = checked("a", Arc::clone(&status)).await;
    let mut options = addressed([sick, checked("b", Arc::new(Mutex::new("204 No Content"))).await]);
    options.config.health = Some(check());
    let service = service(options);
    until(|| !state(&service, sick).healthy).await;
    assert_eq!(answers(&service, 4).await, ["b"; 4]);
    *status.lock().expect("lock") = "200 OK";
    until(|| state(&service, sick).healthy).await;
    let mut answered = answers(&service, 4).await;
    answered.sort();
    assert_eq!(answered, ["a", "a", "b", "b"]);
    assert_eq!(service.stats().requests_in_flight(), 0);
}

/// The server of a request is chosen when it comes.
#[tokio::test]
async fn a_request_that_waited_while_its_server_went_down_goes_to_another() {
    let status = Arc::new(Mutex::new("200 OK"));
    let sick = checked("a", Arc::clone(&status)).await;
    let mut options = addressed([sick, named("b").await]);
    options.config.health = Some(check());
    options.config.retry = Some(Retry::default());
    options.config.limit.max_requests = 1;
    let service = service(options);
    let place = service.upstream().concurrency.try_acquire().expect("the only place");
    let waiting: Vec<_> = [get("/"), post("hello")].map(|request| tokio::spawn(service.clone().call(request))).into();
    until(|| service.upstream().concurrency.pressure().waiting() == 2).await;
    *status.lock().expect("lock") = "503 Service Unavailable";
    until(|| !state(&service, sick).healthy).await;
    drop(place);
    for waiting in waiting {
        let body = waiting.await.expect("it ran").expect("response").into_body().collect().await.expect("body").to_bytes();
        assert_eq!(body, "b");
    }
}

#[tokio::test]
async fn where_all_fail_their_checks_all_are_asked() {
    let sick = || checked("sick", Arc::new(Mutex::new("500 Internal Server Error")));
    let mut options = addressed([sick().await, sick().await]);
    options.config.health = Some(check());
    let service = service(options);
    until(|| service.servers().iter().all(|server| !server.healthy)).await;
    assert_eq!(answers(&service, 4).await, ["sick"; 4]);
}

/// It would be an answer to a request that no server was asked for, since all are asked where all are down.
#[tokio::test]
async fn a_request_that_waited_is_sent_where_no_other_server_is_in_service_or_none_may_be_asked() {
    for (connect, other) in [(false, "200 OK"), (true, "404 Not Found"), (false, "404 Not Found")] {
        let sick = checked("a", Arc::new(Mutex::new("404 Not Found"))).await;
        let is_down = other != "200 OK";
        let other = checked("a", Arc::new(Mutex::new(other))).await;
        let mut options = addressed([sick, other]);
        options.config.limit.max_requests = 1;
        let mut retry = Retry::default();
        retry.on.connect = connect;
        options.config.retry = Some(retry);
        options.config.health = Some(check());
        let service = service(options);
        let place = service.upstream().concurrency.try_acquire().expect("the only place");
        // Chosen before the first check.
        let waiting = tokio::spawn(service.clone().call(get("/")));
        until(|| service.upstream().concurrency.pressure().waiting() == 1).await;
        until(|| !state(&service, sick).healthy && state(&service, other).healthy != is_down).await;
        drop(place);
        let body = waiting.await.expect("it ran").expect("response").into_body().collect().await.expect("body").to_bytes();
        assert_eq!(body, "a");
        assert_eq!(service.stats().retries_total(), 0, "{connect}");
    }
}

#[tokio::test]
async fn a_check_takes_no_place_from_requests() {
    let status = Arc::new(Mutex::new("503 Service Unavailable"));
    let sick = checked("a", status).await;
    let mut options = addressed([sick]);
    options.config.health = Some(check());
    options.config.limit.max_requests = 1;
    options.config.limit.queue = 0;
    let service = service(options);
    let _place = service.upstream().concurrency.try_acquire().expect("the only place");
    until(|| !state(&service, sick).healthy).await;
}

#[tokio::test]
async fn without_checks_after_a_reload_a_server_is_asked_again() {
    let sick = checked("a", Arc::new(Mutex::new("503 Service Unavailable"))).await;
    let mut options = addressed([sick, named("b").await]);
    options.config.health = Some(HealthCheck { status: (200, 599), ..check() });
    let checking = service(options.clone());
    options.config.health = Some(check());
    let checking = reloaded(&checking, options.clone());
    until(|| !state(&checking, sick).healthy).await;
    options.config.health = None;
    let after = reloaded(&checking, options);
    assert!(state(&after, sick).healthy);
}

/// A server that notes the path of each check, and answers it as soon as it may.
async fn noting(answer: &'static str, may_answer: Arc<Semaphore>) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let address = origin(move |_, mut connection| {
        let (noted, may_answer) = (Arc::clone(&noted), Arc::clone(&may_answer));
        async move {
            loop {
                let head = connection.head().await;
                let Some(path) = head.split(' ').nth(1) else { return };
                noted.lock().expect("lock").push(path.to_owned());
                let _permit = may_answer.acquire().await;
                connection.send(&format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n")).await;
            }
        }
    })
    .await;
    (address, asked)
}

#[tokio::test]
async fn a_check_that_is_under_way_when_a_reload_ends_it_marks_no_server_down() {
    let may_answer = Arc::new(Semaphore::new(0));
    let (sick, asked) = noting("503 Service Unavailable", Arc::clone(&may_answer)).await;
    let mut options = addressed([sick]);
    options.config.health = Some(HealthCheck { every: Duration::from_secs(3600), ..check() });
    let before = service(options.clone());
    until(|| asked.lock().expect("lock").len() == 1).await;
    options.config.health = None;
    let after = reloaded(&before, options);
    let checked = Arc::downgrade(before.upstream());
    drop(before);
    may_answer.add_permits(9);
    until(|| checked.upgrade().is_none()).await;
    assert!(state(&after, sick).healthy);
}

#[tokio::test]
async fn after_a_reload_only_the_new_check_asks_though_exchanges_with_the_old_configuration_go_on() {
    let (address, asked) = noting("200 OK", Arc::new(Semaphore::new(9))).await;
    let mut options = addressed([address]);
    let count = |path: &str| asked.lock().expect("lock").iter().filter(|asked| *asked == path).count();
    options.config.health = Some(HealthCheck { every: Duration::from_millis(20), ..HealthCheck::new("/old") });
    let before = service(options.clone());
    until(|| count("/old") > 1).await;
    options.config.health = Some(HealthCheck { every: Duration::from_millis(20), ..HealthCheck::new("/new") });
    let _after = reloaded(&before, options);
    until(|| count("/new") > 3).await;
    let old = count("/old");
    until(|| count("/new") > 9).await;
    assert_eq!(count("/old"), old);
    drop(before);
}

#[tokio::test]
async fn a_configuration_that_is_refused_in_the_end_ends_no_check() {
    let status = Arc::new(Mutex::new("200 OK"));
    let server = checked("a", Arc::clone(&status)).await;
    let mut options = addressed([server]);
    options.config.health = Some(check());
    let service = service(options.clone());
    options.config.health = None;
    drop(service.reconfigured(options).expect("service"));
    *status.lock().expect("lock") = "503 Service Unavailable";
    until(|| !state(&service, server).healthy).await;
}

/// Replicas that have told something, and whether it is ever this one's turn.
#[derive(Debug, Default)]
struct Others {
    known: Mutex<Option<Streak>>,
    is_own: bool,
    told: Mutex<Vec<Streak>>,
}

impl SharedChecks for Others {
    fn turn<'a>(&'a self, _check: &'a str, _term: Duration) -> Sharing<'a, Option<CheckLease>> {
        Box::pin(async { Some(CheckLease { known: *self.known.lock().expect("lock"), is_own: self.is_own }) })
    }

    fn tell<'a>(&'a self, _check: &'a str, streak: Streak, _kept: Duration) -> Sharing<'a, ()> {
        Box::pin(async move { self.told.lock().expect("lock").push(streak) })
    }
}

#[tokio::test]
async fn a_replica_believes_what_another_has_found_and_does_not_ask_itself() {
    let well = checked("a", Arc::new(Mutex::new("200 OK"))).await;
    let mut options = addressed([well]);
    options.config.health = Some(check());
    let others = Arc::new(Others { known: Mutex::new(Some(Streak { good: false, count: 9 })), ..Others::default() });
    options.shared_checks = Some(Arc::clone(&others) as _);
    let service = service(options);
    until(|| !state(&service, well).healthy).await;
    assert_eq!((service.stats().connections_total(), others.told.lock().expect("lock").len()), (0, 0));
}

#[tokio::test]
async fn a_replica_whose_turn_it_is_goes_on_from_what_the_others_have_told() {
    let well = checked("a", Arc::new(Mutex::new("200 OK"))).await;
    let mut options = addressed([well]);
    options.config.health = Some(check());
    let known = Mutex::new(Some(Streak { good: true, count: 7 }));
    let others = Arc::new(Others { known, is_own: true, ..Others::default() });
    options.shared_checks = Some(Arc::clone(&others) as _);
    let _service = service(options);
    until(|| others.told.lock().expect("lock").first() == Some(&Streak { good: true, count: 8 })).await;
}
