//! Validation, background refresh, stale answers, bypass, writes.

use crate::common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Origin, get, header, request, response, send, streaming, try_send, with_rules};
use larder_semantics::Reason;
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_stale_response_is_validated_and_the_304_makes_it_fresh_again() {
    let origin = Origin::new(|request| {
        if request.headers().get("if-none-match").is_some_and(|tag| tag == "\"1\"") {
            return response(304, "").header("etag", "\"1\"").header("cache-control", "max-age=60").header("x-new", "yes");
        }
        response(200, "body").header("etag", "\"1\"").header("cache-control", "max-age=60")
    });
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(61);
    let validated = send(&cache, get("/a")).await;
    assert_eq!((validated.x_cache().as_str(), validated.text(), validated.outcome.reason), ("HIT", "body", Reason::Validated));
    assert_eq!(header(&validated.response, "x-new"), "yes");
    assert_eq!(header(&validated.response, "content-length"), "4");
    assert!(header(&validated.response, "cache-status").contains("fwd=stale"), "{:?}", validated.response);
    assert_eq!(send(&cache, get("/a")).await.outcome.reason, Reason::Fresh);
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_304_to_a_weak_tag_is_never_taken_for_another_coding() {
    // As Express does it: the tag is made before the content is coded, and is the same for all codings.
    let origin = Origin::new(|request| {
        let tag =
            |reply: common::Reply| reply.header("etag", "W/\"x\"").header("vary", "accept-encoding").header("cache-control", "max-age=60");
        if request.headers().contains_key("if-none-match") {
            return tag(response(304, ""));
        }
        match request.headers().get("accept-encoding") {
            Some(_) => tag(response(200, "zipped").header("content-encoding", "gzip")),
            None => tag(response(200, "plain")),
        }
    });
    let cache = common::service(origin.clone());
    assert_eq!(send(&cache, request("GET", "/a", &[("accept-encoding", "gzip")])).await.text(), "zipped");
    let plain = send(&cache, get("/a")).await;
    assert_eq!((plain.text(), header(&plain.response, "content-encoding").as_str()), ("plain", ""));
    assert!(!origin.fields(1).contains_key("if-none-match"));
}

#[tokio::test]
async fn a_304_that_names_a_weak_tag_confirms_no_other_variant() {
    let origin = Origin::new(|request| {
        let vary = |reply: common::Reply| reply.header("vary", "x-a").header("cache-control", "max-age=60");
        match (request.headers().contains_key("if-none-match"), request.headers().contains_key("x-a")) {
            (true, _) => vary(response(304, "")).header("etag", "W/\"x\""),
            (false, true) => vary(response(200, "one")).header("etag", "\"x\""),
            (false, false) => vary(response(200, "other")),
        }
    });
    let cache = common::service(origin.clone());
    send(&cache, request("GET", "/a", &[("x-a", "1")])).await;
    assert_eq!(send(&cache, get("/a")).await.text(), "other");
    assert_eq!(origin.count(), 3, "asked again without a condition");
}

#[tokio::test]
async fn rfc9111_4_1_a_304_with_an_unreadable_vary_is_used_once() {
    let origin = Origin::new(|request| {
        if request.headers().contains_key("if-none-match") {
            return response(304, "").header("etag", "\"1\"").header("vary", "no name").header("cache-control", "max-age=60");
        }
        response(200, "body").header("etag", "\"1\"").header("vary", "x-a").header("cache-control", "max-age=60")
    });
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(61);
    assert_eq!(send(&cache, get("/a")).await.outcome.reason, Reason::Validated);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS", "nobody can tell by what it selects now");
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn rfc5861_3_one_refresh_runs_in_the_background_and_no_request_waits() {
    let gate = Arc::new(Semaphore::new(1));
    let origin = {
        let gate = Arc::clone(&gate);
        let n = AtomicUsize::new(0);
        Origin::waiting(move |_| {
            let (gate, n) = (Arc::clone(&gate), n.fetch_add(1, Ordering::SeqCst));
            async move {
                gate.acquire().await.expect("open").forget();
                let reply = response(200, if n == 0 { "old" } else { "new" });
                Ok(reply.header("cache-control", "max-age=1, stale-while-revalidate=60").build())
            }
        })
    };
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(2);
    for _ in 0..20 {
        let answer = send(&cache, get("/a")).await;
        assert_eq!((answer.x_cache().as_str(), answer.text(), answer.outcome.stale), ("HIT", "old", true));
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count(), 2);
    gate.add_permits(1);
    while send(&cache, get("/a")).await.text() == "old" {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_failing_origin_is_not_asked_once_per_stale_answer() {
    let down = Arc::new(AtomicBool::new(false));
    let origin = {
        let down = Arc::clone(&down);
        Origin::waiting(move |_| {
            let down = down.load(Ordering::SeqCst);
            async move {
                if down {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                Ok(response(200, "body").header("cache-control", "max-age=1, stale-while-revalidate=60").build())
            }
        })
    };
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    down.store(true, Ordering::SeqCst);
    hand.advance(2);
    for _ in 0..50 {
        assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(origin.count(), 2, "one refresh, and then a pause");
    // And stale is not for ever.
    hand.advance(60);
    assert!(try_send(&cache, get("/a")).await.is_err());
}

#[tokio::test]
async fn an_origin_that_answers_with_errors_is_not_asked_once_per_stale_answer() {
    for code in [429, 500, 503] {
        let n = AtomicUsize::new(0);
        let origin = Origin::new(move |_| match n.fetch_add(1, Ordering::SeqCst) {
            0 => response(200, "body").header("cache-control", "max-age=1, stale-while-revalidate=60"),
            _ => response(code, "error"),
        });
        let (cache, hand) = with_rules(origin.clone(), common::rules());
        send(&cache, get("/a")).await;
        hand.advance(2);
        for _ in 0..50 {
            assert_eq!(send(&cache, get("/a")).await.text(), "body");
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(origin.count(), 2, "{code}: one refresh, and then a pause");
    }
}

#[tokio::test]
async fn a_refresh_that_turns_out_too_large_to_store_ends() {
    let (mut sender, body) = common::channel();
    let bodies = std::sync::Mutex::new(vec![streaming(200, body), response(200, "old")]);
    let origin = Origin::new(move |_| {
        let reply = bodies.lock().unwrap().pop().expect("two requests");
        reply.header("cache-control", "max-age=1, stale-while-revalidate=60").header("vary", "x-any")
    });
    let (cache, hand) = with_rules(origin.clone(), common::builder().max_object(8).build());
    send(&cache, get("/a")).await;
    hand.advance(2);
    assert_eq!(send(&cache, get("/a")).await.text(), "old");
    for _ in 0..3 {
        // Refused once nobody reads it any more.
        let _ = sender.send_data(vec![0; 300 * 1024].into()).await;
    }
    drop(sender);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let stats = cache.cache().stats();
    assert_eq!((origin.count(), stats.fills_in_flight, stats.bytes_in_flight), (2, 0, 0));
}

#[tokio::test]
async fn rfc5861_4_a_stale_response_stands_in_for_an_error() {
    let failing = Arc::new(AtomicUsize::new(200));
    let origin = {
        let failing = Arc::clone(&failing);
        Origin::new(move |_| match failing.load(Ordering::SeqCst) {
            200 => response(200, "body").header("cache-control", "max-age=1, stale-if-error=60"),
            code => response(code as u16, "error"),
        })
    };
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(2);
    for code in [500, 502, 503, 504] {
        failing.store(code, Ordering::SeqCst);
        let answer = send(&cache, get("/a")).await;
        assert_eq!((answer.response.status().as_u16(), answer.text(), answer.outcome.reason), (200, "body", Reason::StaleIfError));
        assert!(header(&answer.response, "cache-status").contains(&format!("fwd-status={code}")));
    }
    failing.store(404, Ordering::SeqCst);
    assert_eq!(send(&cache, get("/a")).await.response.status(), 404);
}

#[tokio::test]
async fn the_bypass_parameter_renews_the_stored_copy_and_is_not_sent_on() {
    let n = AtomicUsize::new(0);
    let origin = Origin::new(move |_| {
        let body = ["first", "second"][n.fetch_add(1, Ordering::SeqCst).min(1)];
        response(200, body).header("cache-control", "max-age=60")
    });
    let cache = common::service(origin.clone());
    assert_eq!(send(&cache, get("/a?b=1")).await.text(), "first");
    let bypass = send(&cache, get("/a?no_cache=true&b=1")).await;
    assert_eq!((bypass.x_cache().as_str(), bypass.text()), ("BYPASS", "second"));
    assert_eq!(origin.target(1), "/a?b=1");
    let renewed = send(&cache, get("/a?b=1")).await;
    assert_eq!((renewed.x_cache().as_str(), renewed.text()), ("HIT", "second"));
}

#[tokio::test]
async fn rfc9111_4_4_a_write_invalidates_before_its_answer_goes_out() {
    let origin = Origin::new(|request| match request.method().as_str() {
        "GET" => response(200, "body").header("cache-control", "max-age=60"),
        _ => response(200, "done").header("location", "/b").header("content-location", "http://elsewhere.example/c"),
    });
    let cache = common::service(origin.clone());
    for path in ["/a", "/b", "/c"] {
        send(&cache, get(path)).await;
        assert_eq!(send(&cache, get(path)).await.x_cache(), "HIT");
    }
    assert_eq!(send(&cache, request("POST", "/a", &[])).await.x_cache(), "BYPASS");
    for (path, expected) in [("/a", "MISS"), ("/b", "MISS"), ("/c", "HIT")] {
        assert_eq!(send(&cache, get(path)).await.x_cache(), expected, "{path}");
    }
}

#[tokio::test]
async fn an_older_refresh_never_replaces_a_newer_answer() {
    let gate = Arc::new(Semaphore::new(1));
    let n = Arc::new(AtomicUsize::new(0));
    let origin = {
        let (gate, n) = (Arc::clone(&gate), Arc::clone(&n));
        Origin::waiting(move |_| {
            let (gate, n) = (Arc::clone(&gate), n.fetch_add(1, Ordering::SeqCst));
            async move {
                // The second exchange is the slow refresh; the third overtakes it.
                if n == 1 {
                    gate.acquire().await.expect("open").forget();
                }
                let body = ["first", "second", "third"][n];
                Ok(response(200, body).header("cache-control", "max-age=1, stale-while-revalidate=60").build())
            }
        })
    };
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    gate.forget_permits(1);
    send(&cache, get("/a")).await;
    hand.advance(2);
    assert_eq!(send(&cache, get("/a")).await.text(), "first");
    while origin.count() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&cache, get("/a?no_cache=true")).await.text(), "third");
    gate.add_permits(1);
    while cache.cache().stats().fills_in_flight > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&cache, get("/a")).await.text(), "third");
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let cache = common::service(Origin::new(|_| response(200, "body").header("cache-control", "max-age=60")));
    send(&cache, get("/a")).await;
    let head = send(&cache, request("HEAD", "/a", &[])).await;
    assert_eq!((head.x_cache().as_str(), header(&head.response, "content-length").as_str()), ("HIT", "4"));
}

#[tokio::test]
async fn an_answer_to_head_is_never_stored_as_an_answer_to_get() {
    let origin = Origin::new(|request| {
        let body = if request.method() == http::Method::HEAD { "" } else { "body" };
        response(200, body).header("cache-control", "max-age=60")
    });
    let cache = common::service(origin.clone());
    assert_eq!(send(&cache, request("HEAD", "/a", &[])).await.x_cache(), "MISS");
    assert_eq!(send(&cache, get("/a")).await.text(), "body");
}

#[tokio::test]
async fn only_if_cached_is_answered_from_the_store_or_not_at_all() {
    let origin = Origin::new(|_| response(200, "body").header("cache-control", "max-age=60"));
    let cache = common::service(origin.clone());
    let fields = [("cache-control", "only-if-cached")];
    assert_eq!(send(&cache, request("GET", "/a", &fields)).await.response.status(), 504);
    assert_eq!(origin.count(), 0);
    send(&cache, get("/a")).await;
    assert_eq!(send(&cache, request("GET", "/a", &fields)).await.x_cache(), "HIT");
}

#[tokio::test]
async fn a_request_may_be_followed_by_another_as_soon_as_its_body_has_ended() {
    let origin = Origin::new(|_| response(200, "body").header("cache-control", "max-age=60"));
    let cache = common::service(origin.clone());
    for n in 0..100 {
        let path = format!("/{n}");
        assert_eq!(send(&cache, get(&path)).await.x_cache(), "MISS");
        assert_eq!(send(&cache, get(&path)).await.x_cache(), "HIT");
    }
}

/// Answers with a tag and what the test says, and confirms whoever knows the tag.
fn tagged(fields: &'static [(&'static str, &'static str)], later: &'static [(&'static str, &'static str)]) -> Origin {
    let first = AtomicBool::new(true);
    Origin::new(move |request| {
        let known = request.headers().get("if-none-match").is_some_and(|tags| tags == "\"1\"");
        let reply = if known { response(304, "") } else { response(200, "body") };
        let fields = if first.swap(false, Ordering::SeqCst) { fields } else { later };
        fields.iter().fold(reply.header("etag", "\"1\""), |reply, (name, value)| reply.header(name, value))
    })
}

#[tokio::test]
async fn a_cookie_on_a_304_is_only_for_the_client_that_asked() {
    let origin =
        tagged(&[("cache-control", "max-age=60")], &[("cache-control", "max-age=60"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(61);
    let answers = common::finish(common::start(&cache, [get("/a"), get("/a")])).await;
    let cookies = |read: &common::Read| read.response.headers().get_all("set-cookie").iter().cloned().collect::<Vec<_>>();
    let found: Vec<_> = answers.iter().map(|read| cookies(read.as_ref().expect("an answer"))).collect();
    assert_eq!(found, [vec!["a=1", "b=2"], vec![]]);
    assert!(cookies(&send(&cache, get("/a")).await).is_empty());
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn rfc9111_4_3_4_a_304_that_changes_vary_changes_which_requests_find_the_response() {
    let fresh = &[("cache-control", "max-age=60")];
    let origin = tagged(fresh, &[("cache-control", "max-age=60"), ("vary", "x-flavour")]);
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    let ask = |flavour| request("GET", "/a", &[("x-flavour", flavour)]);
    send(&cache, ask("sweet")).await;
    assert_eq!(send(&cache, ask("sour")).await.x_cache(), "HIT");
    hand.advance(61);
    assert_eq!(send(&cache, ask("sweet")).await.outcome.reason, Reason::Validated);
    assert_eq!(send(&cache, ask("sweet")).await.outcome.reason, Reason::Fresh);
    assert_eq!(origin.count(), 2);
    assert_eq!(send(&cache, ask("sour")).await.outcome.reason, Reason::Validated, "the origin is asked about the other flavour");
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn rfc9111_4_3_4_all_variants_with_the_confirmed_tag_are_fresh_again() {
    let fields = &[("cache-control", "max-age=60"), ("vary", "x-flavour")];
    let origin = tagged(fields, fields);
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    let ask = |flavour| request("GET", "/a", &[("x-flavour", flavour)]);
    send(&cache, ask("sweet")).await;
    send(&cache, ask("sour")).await;
    hand.advance(61);
    // A third flavour asks about both that are stored.
    assert_eq!(send(&cache, ask("bitter")).await.outcome.reason, Reason::Validated);
    for flavour in ["sweet", "sour", "bitter"] {
        assert_eq!(send(&cache, ask(flavour)).await.outcome.reason, Reason::Fresh, "{flavour}");
    }
    assert_eq!(origin.count(), 3);
}
