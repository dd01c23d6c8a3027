//! Guards at the moment of storing.

use crate::common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Origin, finish, get, header, request, response, send, start, streaming, with_rules};
use http_body_util::{BodyExt, Full};
use larder_semantics::GuardMode;
use tokio::sync::Semaphore;

/// What a part of the page gives back.
const PAGE: &str = "<script src=\"//evil.example/a.js\"></script>";

/// Answers to a range that goes to the end, and to everything else with as many bytes as it is too large by.
fn origin(content_type: &'static str) -> Origin {
    Origin::new(move |request| {
        let whole = Full::new(Bytes::from_static(PAGE.as_bytes())).map_err(Into::into).boxed_unsync();
        let is_part = request.headers().contains_key("range");
        let reply = streaming(if is_part { 206 } else { 200 }, whole).header("etag", "\"1\"").header("cache-control", "max-age=60");
        let reply = reply.header("content-type", content_type).header("content-length", &PAGE.len().to_string());
        if is_part { reply.header("content-range", &format!("bytes 0-{}/{}", PAGE.len() - 1, PAGE.len())) } else { reply }
    })
}

#[tokio::test]
async fn a_part_that_no_guard_searches_is_not_stored_where_it_refuses() {
    let asks = |field: (&'static str, &'static str)| request("GET", "/a", &[("range", "bytes=0-"), ("if-match", "*"), field]);
    for (content_type, guard, field, is_stored) in [
        ("text/html", GuardMode::Refuse, ("x-cdn-host", "evil.example"), false),
        ("text/html", GuardMode::Report, ("x-cdn-host", "evil.example"), true),
        ("video/mp4", GuardMode::Refuse, ("x-cdn-host", "evil.example"), true),
        // Another client may get another film.
        ("video/mp4", GuardMode::Refuse, ("cookie", "a=b"), false),
    ] {
        let origin = origin(content_type);
        let (cache, _) = with_rules(origin.clone(), common::builder().guard(guard).build());
        let first = send(&cache, asks(field)).await;
        assert_eq!((first.response.status().as_u16(), first.text()), (206, PAGE), "{content_type} {guard:?}");
        let second = send(&cache, request("GET", "/a", &[("range", "bytes=0-")])).await;
        assert_eq!(second.x_cache() == "HIT", is_stored, "{content_type} {guard:?}: {:?}", second.response);
        if !is_stored {
            assert!(header(&first.response, "cache-status").contains("detail=partial-content"), "{:?}", first.response);
        }
    }
}

#[tokio::test]
async fn fields_that_a_guard_refuses_do_not_come_into_a_stored_response_by_a_304_or_a_head() {
    for method in ["GET", "HEAD"] {
        let origin = Origin::new(|request| {
            let (method, fields) = (request.method(), request.headers());
            let reply = match fields.contains_key("if-none-match") && method == "GET" {
                true => response(304, ""),
                false => response(200, if method == "HEAD" { "" } else { "page" }).header("x-method", method.as_str()),
            };
            let reply = reply.header("etag", "\"1\"").header("cache-control", "max-age=60");
            match fields.get("x-cdn-host") {
                Some(host) => reply.header("link", &format!("<//{}/a.js>; rel=preload", host.to_str().unwrap())),
                None => reply,
            }
        });
        let (cache, hand) = with_rules(origin.clone(), common::builder().guard(GuardMode::Refuse).build());
        send(&cache, get("/a")).await;
        hand.advance(61);
        let own = send(&cache, request(method, "/a", &[("x-cdn-host", "evil.example")])).await;
        assert_eq!((own.x_cache().as_str(), header(&own.response, "link").is_empty()), ("MISS", false), "{method}");
        let other = send(&cache, get("/a")).await;
        assert_eq!((header(&other.response, "link").as_str(), other.text()), ("", "page"), "{method}: {:?}", other.response);
        assert_eq!(other.outcome.reason, larder_semantics::Reason::Validated, "what was stored before is still there");
        assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
    }
}

/// Gives back what a client says of its host, where it says something, once the gate has let it: in the body, or in a field.
fn reflecting(gate: &Arc<Semaphore>) -> Origin {
    let gate = Arc::clone(gate);
    Origin::waiting(move |request| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.expect("open").forget();
            let body = if request.headers().contains_key("x-cdn-host") { "//evil.example/a.js" } else { "page" };
            let reply = response(200, body).header("cache-control", "max-age=60").header("content-location", "/a");
            let named = request.headers().get("x-link-host");
            let link = named.map(|host| format!("<//{}/a.js>", host.to_str().unwrap()));
            Ok(link.iter().fold(reply, |reply, link| reply.header("link", link)).build())
        }
    })
}

#[tokio::test]
async fn requests_that_wait_do_not_get_what_a_guard_refuses_and_one_of_them_asks_for_all() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = reflecting(&gate);
    let (cache, _) = with_rules(origin.clone(), common::builder().guard(GuardMode::Refuse).build());
    let asking = start(&cache, [request("GET", "/a", &[("x-cdn-host", "evil.example")]), get("/a"), get("/a"), get("/a")]);
    gate.add_permits(4);
    let answers: Vec<_> = finish(asking).await.into_iter().map(|answer| answer.expect("an answer")).collect();
    assert_eq!(answers.iter().map(|answer| answer.text()).collect::<Vec<_>>(), ["//evil.example/a.js", "page", "page", "page"]);
    assert!(header(&answers[0].response, "cache-status").ends_with("; detail=reflected"), "{:?}", answers[0].response);
    assert!(!answers[0].outcome.stored && answers[1].outcome.stored);
    assert_eq!((origin.count(), send(&cache, get("/a")).await.text()), (2, "page"));
}

#[tokio::test]
async fn the_answer_to_a_write_is_guarded_as_that_to_a_read_is() {
    let gate = Arc::new(Semaphore::new(10));
    let origin = reflecting(&gate);
    let (cache, _) = with_rules(origin.clone(), common::builder().guard(GuardMode::Refuse).build());
    for (field, text, is_stored) in
        [("x-cdn-host", "//evil.example/a.js", false), ("x-link-host", "page", false), ("x-other", "page", true)]
    {
        let written = send(&cache, request("POST", "/a", &[(field, "evil.example")])).await;
        assert_eq!((written.x_cache().as_str(), written.text()), ("BYPASS", text), "{field}");
        let asked = origin.count();
        assert_eq!(send(&cache, get("/a")).await.text(), "page", "{field}");
        assert_eq!(origin.count() == asked, is_stored, "{field}");
    }
}

/// An origin that gives each client back what it sent, once the gate lets it; its body comes with the head, or after it.
fn reflecting_page(gate: &Arc<Semaphore>, is_streamed: bool) -> Origin {
    let gate = Arc::clone(gate);
    Origin::waiting(move |request| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.expect("open").forget();
            let named = request.headers().get("x-cdn-host").map_or("own.example", |host| host.to_str().expect("text"));
            let page = format!("<script src=\"//{named}/a.js\"></script>");
            let body = if is_streamed {
                let (mut sender, body) = common::channel();
                let (first, second) = page.split_at(20);
                sender.send_data(Bytes::from(first.to_owned())).await.expect("room");
                let second = Bytes::from(second.to_owned());
                tokio::spawn(async move { sender.send_data(second).await });
                body
            } else {
                Full::new(Bytes::from(page)).map_err(Into::into).boxed_unsync()
            };
            Ok(streaming(200, body).header("content-type", "text/html").header("cache-control", "max-age=60").build())
        }
    })
}

#[tokio::test]
async fn what_a_guard_refuses_goes_to_no_request_that_waits_for_it() {
    for is_streamed in [false, true] {
        let gate = Arc::new(Semaphore::new(0));
        let origin = reflecting_page(&gate, is_streamed);
        let cache = with_rules(origin.clone(), common::builder().guard(GuardMode::Refuse).build()).0;
        let poisoned = || request("GET", "/a", &[("x-cdn-host", "evil.example")]);
        let waiting = start(&cache, [poisoned(), get("/a"), get("/a")]);
        gate.add_permits(3);
        let answers: Vec<_> = finish(waiting).await.into_iter().map(|answer| answer.expect("an answer").text().to_owned()).collect();
        assert!(answers[0].contains("evil.example"), "streamed {is_streamed}: {answers:?}");
        assert!(answers[1..].iter().all(|page| page.contains("own.example")), "streamed {is_streamed}: {answers:?}");
        assert_eq!(origin.count(), 2, "streamed {is_streamed}: one of those who waited asks for the others");
    }
}

#[tokio::test]
async fn what_no_guard_refuses_is_fetched_once_for_all_that_wait() {
    for is_streamed in [false, true] {
        let gate = Arc::new(Semaphore::new(0));
        let origin = reflecting_page(&gate, is_streamed);
        let cache = with_rules(origin.clone(), common::builder().guard(GuardMode::Refuse).build()).0;
        let waiting = start(&cache, (0..5).map(|_| get("/a")));
        gate.add_permits(5);
        for answer in finish(waiting).await {
            assert_eq!(answer.expect("an answer").text(), "<script src=\"//own.example/a.js\"></script>");
        }
        assert_eq!(origin.count(), 1, "streamed {is_streamed}");
        assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
    }
}

/// Poisoning by errors (CPDoS): the origin looks for another resource by a field that hardly anybody sends. What a plain request gets is stored, errors too.
#[tokio::test]
async fn an_error_that_an_unusual_field_may_have_caused_is_not_stored() {
    let odd = ("x-amz-website-redirect-location", "/nowhere");
    for (guard, attack, stores_errors) in [
        (GuardMode::Refuse, &[odd][..], false),
        (GuardMode::Report, &[odd], true),
        (GuardMode::Off, &[odd], true),
        (GuardMode::Refuse, &[("user-agent", "Mozilla/5.0"), ("referer", "http://a.example/"), ("sec-fetch-mode", "cors")], true),
    ] {
        let origin = Origin::new(|request| {
            let is_plain = !request.headers().contains_key("x-amz-website-redirect-location");
            let status = if is_plain && request.uri().path() == "/a" { 200 } else { 404 };
            response(status, "an answer").header("cache-control", "max-age=60")
        });
        let (cache, _) = with_rules(origin.clone(), common::builder().guard(guard).build());
        let first = send(&cache, request("GET", "/gone", attack)).await;
        assert_eq!(first.response.status().as_u16(), 404);
        assert_eq!(header(&first.response, "cache-status").contains("detail=unkeyed-field"), !stores_errors, "{:?}", first.response);
        assert_eq!(send(&cache, get("/gone")).await.x_cache() == "HIT", stores_errors, "{guard:?} {attack:?}");
        assert_eq!(send(&cache, get("/gone")).await.x_cache(), "HIT", "the error that a plain request gets is stored");
        if !stores_errors {
            assert_eq!(send(&cache, request("GET", "/a", attack)).await.response.status().as_u16(), 404);
            assert_eq!(send(&cache, get("/a")).await.response.status().as_u16(), 200, "others get the page");
            assert_eq!(send(&cache, request("GET", "/a", attack)).await.x_cache(), "HIT");
        }
    }
}

#[tokio::test]
async fn an_error_brings_requests_that_wait_nothing_that_a_guard_would_refuse() {
    for (guard, others_get) in [(GuardMode::Refuse, ""), (GuardMode::Report, "//evil.example/a.js")] {
        let gate = Arc::new(Semaphore::new(0));
        let answers = Arc::clone(&gate);
        let origin = Origin::waiting(move |request| {
            let (gate, named) = (Arc::clone(&answers), request.headers().contains_key("x-cdn-host"));
            async move {
                gate.acquire().await.expect("open").forget();
                Ok(response(503, if named { "//evil.example/a.js" } else { "busy" }).header("retry-after", "7").build())
            }
        });
        let (cache, _) = with_rules(origin.clone(), common::builder().guard(guard).build());
        let asking = start(&cache, [request("GET", "/a", &[("x-cdn-host", "evil.example")]), get("/a"), get("/a")]);
        gate.add_permits(1);
        let answers: Vec<_> = finish(asking).await.into_iter().map(|answer| answer.expect("an answer")).collect();
        assert_eq!(answers.iter().map(|answer| answer.text()).collect::<Vec<_>>(), ["//evil.example/a.js", others_get, others_get]);
        for answer in answers {
            assert_eq!((answer.response.status().as_u16(), header(&answer.response, "retry-after")), (503, "7".to_owned()), "{guard:?}");
        }
        assert_eq!(origin.count(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_depends_on_who_asks_is_dropped_also_where_the_log_of_invalidations_cannot_be_read() {
    let origin = Origin::new(|request| {
        let whose = if request.headers().get("authorization").is_some_and(|token| token == "Bearer bob") { "of bob" } else { "of another" };
        response(200, whose).header("cache-control", "public, max-age=600")
    });
    let (clock, hand) = larder_tower::clock::Clock::manual(common::START);
    let ledger = Arc::new(larder_store::Ledger::default());
    let cache = larder_tower::Cache::builder(64 << 20).clock(clock).ledger(Arc::clone(&ledger)).build();
    let rules = common::builder().guard(GuardMode::Refuse).build();
    let cache = larder_tower::CacheService::new(origin.clone(), cache, Arc::new(rules));
    let asks = |token: &str| request("GET", "/me", &[("authorization", token), ("cache-control", "no-cache")]);
    assert_eq!(send(&cache, asks("Bearer ann")).await.text(), "of another");
    assert_eq!(send(&cache, asks("Bearer bob")).await.text(), "of bob");
    assert_eq!(send(&cache, get("/me")).await.text(), "of bob", "it is stored");
    ledger.cut_off(std::time::Duration::from_secs(30));
    hand.advance(31);
    let own = send(&cache, request("GET", "/me", &[("authorization", "Bearer ann")])).await;
    assert!(header(&own.response, "cache-status").contains("detail=differs-by-client"), "{:?}", own.response);
    ledger.connected();
    assert_eq!(send(&cache, get("/me")).await.text(), "of another");
}

#[tokio::test]
async fn requests_for_pages_of_one_client_each_do_not_wait_for_each_other_once_that_is_known() {
    let gate = Arc::new(Semaphore::new(3));
    let answers = Arc::clone(&gate);
    let origin = Origin::waiting(move |request| {
        let gate = Arc::clone(&answers);
        async move {
            gate.acquire().await.expect("open").forget();
            let is_ann = request.headers().get("authorization").is_some_and(|token| token == "Bearer ann");
            Ok(response(200, if is_ann { "of ann" } else { "of bob" }).header("cache-control", "public, max-age=60").build())
        }
    });
    let (cache, _) = with_rules(origin.clone(), common::builder().guard(GuardMode::Refuse).build());
    let asks = |token: &str| request("GET", "/me", &[("authorization", token), ("cache-control", "no-cache")]);
    for token in ["Bearer ann", "Bearer bob", "Bearer ann"] {
        send(&cache, asks(token)).await;
    }
    let asking = start(&cache, ["Bearer ann", "Bearer bob", "Bearer ann"].map(|token| request("GET", "/me", &[("authorization", token)])));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count(), 6, "each asks at once");
    gate.add_permits(3);
    let texts: Vec<_> = finish(asking).await.into_iter().map(|answer| answer.expect("an answer").text().to_owned()).collect();
    assert_eq!(texts, ["of ann", "of bob", "of ann"]);
    gate.add_permits(1);
    let plain = start(&cache, [get("/me"), get("/me")]);
    finish(plain).await.into_iter().for_each(|answer| assert_eq!(answer.expect("an answer").text(), "of bob"));
    assert_eq!(origin.count(), 7, "those without credentials still do");
}
