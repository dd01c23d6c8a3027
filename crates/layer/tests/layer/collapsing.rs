//! Collapsed forwarding: one exchange for many requests, and nobody is given what was for somebody else.

use crate::common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Origin, finish, frame, get, header, request, response, send, start, streaming, with_rules};
use larder_semantics::Reason;
use larder_tower::FetchErrorKind;
use tokio::sync::{Barrier, Semaphore};

const MANY: usize = 500;

/// An origin that answers when the gate lets it.
fn gated(gate: &Arc<Semaphore>, reply: impl Fn() -> common::Reply + Send + Sync + 'static) -> Origin {
    let (gate, reply) = (Arc::clone(gate), Arc::new(reply));
    Origin::waiting(move |_| {
        let (gate, reply) = (Arc::clone(&gate), Arc::clone(&reply));
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(reply().build())
        }
    })
}

#[tokio::test]
async fn many_requests_for_one_cold_key_ask_the_origin_once() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = gated(&gate, || response(200, "body").header("cache-control", "max-age=60"));
    let cache = common::service(origin.clone());
    let waiting = start(&cache, (0..MANY).map(|_| get("/a")));
    gate.add_permits(MANY);
    let answers = finish(waiting).await;
    assert_eq!(origin.count(), 1);
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
    assert!(answers.iter().all(|answer| answer.text() == "body" && answer.x_cache() == "MISS"));
    assert_eq!(answers.iter().filter(|answer| answer.outcome.collapsed).count(), MANY - 1);
    assert!(header(&answers[1].response, "cache-status").contains("; collapsed"), "{:?}", answers[1].response);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
}

#[tokio::test]
async fn followers_read_the_body_while_it_arrives() {
    let (sender, body) = common::channel();
    let body = std::sync::Mutex::new(Some(body));
    let origin =
        Origin::new(move |_| streaming(200, body.lock().unwrap().take().expect("one request")).header("cache-control", "max-age=60"));
    let cache = common::service(origin);
    let mut sender = sender;
    sender.send_data("first".into()).await.unwrap();
    let mut bodies = Vec::new();
    for waiting in start(&cache, [get("/a"), get("/a"), get("/a")]) {
        bodies.push(waiting.await.unwrap().response.into_body());
    }
    for body in &mut bodies {
        assert_eq!(frame(body).await.unwrap().unwrap(), "first");
    }
    sender.send_data("second".into()).await.unwrap();
    drop(sender);
    for body in &mut bodies {
        assert_eq!(frame(body).await.unwrap().unwrap(), "second");
        assert!(frame(body).await.is_none());
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_shared_releases_all_at_once_and_is_remembered() {
    // All but the first have to be at the origin together, or none is answered.
    let together = Arc::new(Barrier::new(MANY - 1));
    let requests = Arc::new(AtomicUsize::new(0));
    let origin = {
        let (together, requests) = (Arc::clone(&together), Arc::clone(&requests));
        Origin::waiting(move |_| {
            let (together, first) = (Arc::clone(&together), requests.fetch_add(1, Ordering::SeqCst) == 0);
            async move {
                if !first {
                    together.wait().await;
                }
                Ok(response(200, "mine").header("cache-control", "private").build())
            }
        })
    };
    let cache = common::service(origin.clone());
    let answers = finish(start(&cache, (0..MANY).map(|_| get("/me")))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.x_cache() == "MISS")));
    assert_eq!(origin.count(), MANY);
    // Remembered: the next ones do not wait for each other either.
    let answers = finish(start(&cache, (0..MANY - 1).map(|_| get("/me")))).await;
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_cookie_for_the_leader_is_never_given_to_a_follower() {
    let gate = Arc::new(Semaphore::new(0));
    let origin =
        gated(&gate, || response(200, "body").header("cache-control", "public, max-age=60").header("set-cookie", "session=leader"));
    let cache = common::service(origin.clone());
    let waiting = start(&cache, (0..3).map(|_| get("/a")));
    gate.add_permits(3);
    let answers = finish(waiting).await;
    let cookies: Vec<_> = answers.iter().map(|answer| header(&answer.as_ref().unwrap().response, "set-cookie")).collect();
    assert_eq!(cookies, ["session=leader", "", ""]);
    assert_eq!(header(&send(&cache, get("/a")).await.response, "set-cookie"), "");
}

#[tokio::test]
async fn when_the_origin_fails_all_fail_together() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = {
        let gate = Arc::clone(&gate);
        Origin::waiting(move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.expect("open").forget();
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            }
        })
    };
    let cache = common::service(origin.clone());
    let waiting = start(&cache, (0..MANY).map(|_| get("/a")));
    gate.add_permits(MANY);
    let answers = finish(waiting).await;
    assert_eq!(origin.count(), 1);
    for answer in answers {
        let error = answer.err().expect("an error");
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::ConnectionRefused));
    }
}

#[tokio::test]
async fn a_follower_of_another_variant_waits_for_its_own() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = {
        let gate = Arc::clone(&gate);
        Origin::waiting(move |request| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.expect("open").forget();
                let sour = request.headers()["x-flavour"] == "sour";
                let reply = response(200, if sour { "sour" } else { "sweet" });
                Ok(reply.header("cache-control", "max-age=60").header("vary", "x-flavour").build())
            }
        })
    };
    let cache = common::service(origin.clone());
    let flavours: Vec<_> = (0..40).map(|n| if n % 2 == 0 { "sweet" } else { "sour" }).collect();
    let waiting = start(&cache, flavours.iter().map(|flavour| request("GET", "/v", &[("x-flavour", flavour)])));
    gate.add_permits(100);
    let answers = finish(waiting).await;
    for (flavour, answer) in flavours.iter().zip(answers) {
        assert_eq!(answer.unwrap().text(), *flavour);
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_follower_with_a_precondition_gets_its_own_answer() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = gated(&gate, || response(200, "body").header("cache-control", "max-age=60").header("etag", "\"1\""));
    let cache = common::service(origin.clone());
    let waiting = start(&cache, [get("/a"), request("GET", "/a", &[("if-none-match", "\"1\"")])]);
    gate.add_permits(1);
    let answers = finish(waiting).await;
    let codes: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().response.status().as_u16()).collect();
    assert_eq!(codes, [200, 304]);
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn after_a_write_no_request_joins_an_older_flight() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = {
        let gate = Arc::clone(&gate);
        Origin::waiting(move |request| {
            let gate = Arc::clone(&gate);
            async move {
                if request.method() == http::Method::PUT {
                    return Ok(response(204, "").build());
                }
                gate.acquire().await.expect("open").forget();
                Ok(response(200, "body").header("cache-control", "max-age=60").build())
            }
        })
    };
    let cache = common::service(origin.clone());
    let older = start(&cache, [get("/a")]);
    send(&cache, request("PUT", "/a", &[])).await;
    let newer = start(&cache, [get("/a")]);
    gate.add_permits(1);
    finish(older).await;
    assert_eq!(origin.count(), 3, "the later request asks by itself");
    // The older answer is not kept, whichever comes last.
    let third = start(&cache, [get("/a")]);
    gate.add_permits(1);
    finish(newer).await.into_iter().chain(finish(third).await).for_each(|answer| assert!(answer.is_ok()));
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_waited_long_enough_asks_by_itself() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = gated(&gate, || response(200, "body").header("cache-control", "max-age=60"));
    let rules = common::builder().collapse_wait(Duration::from_secs(10)).build();
    let (cache, _) = with_rules(origin.clone(), rules);
    let mut waiting = start(&cache, [get("/a"), get("/a")]);
    let follower = waiting.pop().expect("two");
    let follower = tokio::spawn(follower);
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(11)).await;
    while origin.count() < 2 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    assert_eq!(follower.await.unwrap().unwrap().outcome.reason, Reason::CollapseTimeout);
}

#[tokio::test]
async fn those_who_came_in_time_share_an_answer_whose_lifetime_its_origin_has_used_up() {
    for tag in ["", "\"1\""] {
        let gate = Arc::new(Semaphore::new(0));
        let origin = gated(&gate, || response(200, "body").header("cache-control", "max-age=2").header("etag", tag));
        let (cache, hand) = with_rules(origin.clone(), common::rules());
        for crowd in 1..=3 {
            let waiting = start(&cache, (0..10).map(|_| get("/a")));
            hand.advance(3);
            gate.add_permits(10);
            let answers: Vec<_> = finish(waiting).await.into_iter().map(|answer| answer.expect("an answer")).collect();
            assert!(answers.iter().all(|answer| answer.text() == "body" && answer.outcome.reason != Reason::HitForMiss));
            assert!(answers[1..].iter().all(|answer| answer.outcome.collapsed && header(&answer.response, "age") == "3"));
            assert_eq!((origin.count(), answers[0].outcome.stored), (crowd, !tag.is_empty()), "crowd {crowd} of {tag}");
            gate.forget_permits(10);
        }
    }
}

#[tokio::test]
async fn rfc9111_4_2_those_who_came_after_the_lifetime_of_an_answer_wait_for_the_next_one_together() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = gated(&gate, || response(200, "body").header("cache-control", "max-age=2"));
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    let early = start(&cache, (0..3).map(|_| get("/a")));
    hand.advance(2);
    let late = start(&cache, (0..10).map(|_| get("/a")));
    hand.advance(1);
    gate.add_permits(20);
    let answers = finish(early.into_iter().chain(late).collect()).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.text() == "body")));
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn an_answer_without_a_lifetime_is_for_its_own_client_however_long_it_took() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = gated(&gate, || response(200, "body").header("cache-control", "max-age=0"));
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    let waiting = start(&cache, (0..10).map(|_| get("/a")));
    hand.advance(3);
    gate.add_permits(20);
    assert!(finish(waiting).await.iter().all(Result::is_ok));
    assert_eq!(origin.count(), 10);
}

#[tokio::test]
async fn those_who_wait_for_a_service_that_panics_fail_with_it() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = gated(&gate, || panic!("a service's"));
    let cache = common::service(origin.clone());
    let mut waiting = start(&cache, (0..10).map(|_| get("/a")));
    let leader = tokio::spawn(waiting.remove(0));
    gate.add_permits(10);
    assert!(leader.await.is_err_and(|end| end.is_panic()));
    let failed = finish(waiting).await;
    assert!(failed.iter().all(|answer| answer.as_ref().is_err_and(|error| error.kind() == FetchErrorKind::Lost)));
    assert_eq!(origin.count(), 1);
}
