//! An inner service that refuses requests for the limits of their clients: that is an answer for nobody else.

use crate::common;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Origin, finish, get, request, response, send, start, try_send};
use larder_tower::{FetchError, FetchErrorKind, InBackground, Reason};
use tokio::sync::Semaphore;

fn limited(may_be_stale: bool) -> io::Error {
    io::Error::other(FetchError::new(FetchErrorKind::Limited { may_be_stale }, "enough"))
}

/// Answers the first request with these directives, and then only refuses.
fn used_up_after_one(directives: &'static str, may_be_stale: bool) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::waiting(move |_| {
        let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let answer = response(200, "stored").header("cache-control", directives).header("etag", "\"1\"").build();
            if is_first { Ok(answer) } else { Err(limited(may_be_stale)) }
        }
    })
}

#[tokio::test]
async fn those_who_wait_for_a_request_that_is_refused_for_its_client_ask_themselves() {
    let (gate, asked) = (Arc::new(Semaphore::new(0)), AtomicUsize::new(0));
    let opened = Arc::clone(&gate);
    let origin = Origin::waiting(move |_| {
        let (gate, is_first) = (Arc::clone(&opened), asked.fetch_add(1, Ordering::SeqCst) == 0);
        async move {
            gate.acquire().await.expect("open").forget();
            if is_first { Err(limited(true)) } else { Ok(response(200, "fresh").header("cache-control", "max-age=60").build()) }
        }
    });
    let cache = common::service(origin.clone());
    let waiting = start(&cache, (0..10).map(|_| get("/a")));
    gate.add_permits(2);
    let answers = finish(waiting).await;
    let kind = answers[0].as_ref().err().expect("it was refused").kind();
    assert_eq!(kind, FetchErrorKind::Limited { may_be_stale: true });
    assert!(answers[1..].iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.text() == "fresh")));
    assert_eq!(origin.count(), 2, "one of the others asked for all of them");
}

#[tokio::test]
async fn a_stored_response_stands_in_however_stale_it_is_where_the_limit_says_so() {
    let (cache, hand) = common::with_rules(used_up_after_one("max-age=10", true), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(3600);
    let answer = send(&cache, get("/a")).await;
    assert_eq!(
        (answer.text(), &*answer.x_cache(), answer.outcome.reason, answer.outcome.stale),
        ("stored", "HIT", Reason::RateLimited, true)
    );
    assert_eq!(answer.outcome.forward, None, "the origin was not asked");
    let insisting = request("GET", "/a", &[("cache-control", "no-cache")]);
    assert!(try_send(&cache, insisting).await.is_err(), "its client wants none");
}

#[tokio::test]
async fn rfc9111_4_2_4_a_limit_makes_no_stale_response_of_one_that_forbids_it() {
    for (directives, may_be_stale) in [("max-age=10, must-revalidate", true), ("max-age=10, no-cache", true), ("max-age=10", false)] {
        let (cache, hand) = common::with_rules(used_up_after_one(directives, may_be_stale), common::rules());
        send(&cache, get("/a")).await;
        hand.advance(3600);
        let error = try_send(&cache, get("/a")).await.err().expect("it is refused");
        assert_eq!((error.kind(), error.kind().status().as_u16()), (FetchErrorKind::Limited { may_be_stale }, 429), "{directives}");
    }
}

#[tokio::test]
async fn the_inner_service_can_tell_a_refresh_from_a_request_that_a_client_waits_for() {
    let seen: Arc<Mutex<Vec<bool>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let origin = Origin::new(move |request| {
        noted.lock().unwrap().push(request.extensions().get::<InBackground>().is_some());
        response(200, "x").header("cache-control", "max-age=1, stale-while-revalidate=60")
    });
    let (cache, hand) = common::with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(2);
    send(&cache, get("/a")).await;
    while origin.count() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*seen.lock().unwrap(), [false, true]);
}
