//! Cookies that the key knows nothing of: one session's answer is never another's.

use std::time::Duration;

use larder_semantics::{CookiePolicy, Reason};
use larder_tower::{CacheService, RouteRules, RouteRulesBuilder};

use crate::common::{Origin, builder, finish, get, header, request, response, send, start, with_rules};

/// Every session has a page of its own, and nobody says how long.
fn sessions() -> Origin {
    Origin::new(|request| {
        let whose = request.headers().get("cookie").map_or("nobody", |value| match value.as_bytes() {
            b"session=1" => "one",
            b"session=2" => "two",
            _ => "other",
        });
        response(200, whose)
    })
}

/// An operator's lifetime.
fn route() -> RouteRules {
    with_ttl().build()
}

fn with_ttl() -> RouteRulesBuilder {
    builder().ttl(Duration::from_secs(60)).stale_if_error(Duration::from_secs(600)).ignore_cookies(["_ga*", "_gid"])
}

async fn texts(cache: &CacheService<Origin>, cookies: &[&str]) -> Vec<String> {
    let mut texts = Vec::new();
    for cookie in cookies {
        let fields = [("cookie", *cookie)];
        let read = send(cache, request("GET", "/a", if cookie.is_empty() { &[] } else { &fields })).await;
        texts.push(format!("{} {}", read.x_cache(), read.text()));
    }
    texts
}

const SESSIONS: [&str; 7] = ["session=1", "session=2", "", "", "session=1", "session=2", ""];

#[tokio::test]
async fn one_sessions_answer_is_never_anothers() {
    let (cache, _) = with_rules(sessions(), route());
    let found = texts(&cache, &SESSIONS).await;
    assert_eq!(found, ["MISS one", "MISS two", "MISS nobody", "HIT nobody", "MISS one", "MISS two", "HIT nobody"]);
    let read = send(&cache, request("GET", "/a", &[("cookie", "session=1")])).await;
    assert_eq!((read.outcome.reason, read.outcome.stored), (Reason::Cookie, false));
    assert!(header(&read.response, "cache-status").contains("fwd=request"), "{:?}", read.response);
}

#[tokio::test]
async fn a_route_may_ignore_cookies_or_pass_them() {
    let with = |cookies| with_ttl().cookies(cookies).build();
    let (cache, _) = with_rules(sessions(), with(CookiePolicy::Ignore));
    assert_eq!(texts(&cache, &["session=1", "session=2", ""]).await, ["MISS one", "HIT one", "HIT one"]);
    let origin = Origin::new(|_| response(200, "all").header("cache-control", "public, max-age=60"));
    let (cache, _) = with_rules(origin, with(CookiePolicy::Pass));
    assert_eq!(texts(&cache, &["session=1", "", "session=1", ""]).await, ["BYPASS all", "MISS all", "BYPASS all", "HIT all"]);
}

/// A server that reads hits by itself asks at its own door.
#[tokio::test]
async fn both_doors_keep_sessions_apart() {
    let stored = |cache: &CacheService<Origin>, cookie: &'static str| {
        let mut request = get("/a").map(|_| ());
        request.headers_mut().insert("cookie", http::HeaderValue::from_static(cookie));
        let plain = cache.look_up_plain::<crate::common::OriginBody>(&mut request, &larder_tower::EffectiveTarget::default());
        let answer = plain.and_then(larder_tower::Plain::stored);
        answer.map(|answer| answer.status().as_u16())
    };
    let (cache, _) = with_rules(sessions(), route());
    send(&cache, get("/a")).await;
    assert_eq!((stored(&cache, "session=1"), stored(&cache, "_ga=1")), (None, Some(200)));
    let pass = with_ttl().cookies(CookiePolicy::Pass).build();
    let (cache, _) = with_rules(Origin::new(|_| response(200, "all").header("cache-control", "public, max-age=60")), pass);
    send(&cache, get("/a")).await;
    assert_eq!((stored(&cache, "session=1"), stored(&cache, "_ga=1")), (None, Some(200)));
}

#[tokio::test]
async fn a_cookie_that_counts_as_absent_reaches_neither_the_key_nor_vary_nor_the_origin() {
    let origin = Origin::new(|_| response(200, "all").header("vary", "cookie"));
    let (cache, _) = with_rules(origin.clone(), route());
    assert_eq!(texts(&cache, &["_ga=1", "_gid=2; _ga_X=3", ""]).await, ["MISS all", "HIT all", "HIT all"]);
    assert!(!origin.fields(0).contains_key("cookie"));
    assert_eq!(texts(&cache, &["theme=dark; _ga=1", "_ga=2; theme=dark", "theme=light"]).await, ["MISS all", "HIT all", "MISS all"]);
    assert_eq!(origin.fields(1)["cookie"], "theme=dark");
}

/// A request whose answer is not stored goes up as it came.
#[tokio::test]
async fn a_request_that_passes_by_keeps_every_cookie() {
    let origin = sessions();
    let (cache, _) = with_rules(origin.clone(), with_ttl().cache(false).build());
    send(&cache, request("GET", "/a", &[("cookie", "_ga=1; session=1")])).await;
    let (cache, _) = with_rules(origin.clone(), route());
    send(&cache, request("POST", "/a", &[("cookie", "_ga=1; session=1")])).await;
    let pass = with_ttl().cookies(CookiePolicy::Pass).build();
    let (cache, _) = with_rules(origin.clone(), pass);
    send(&cache, request("GET", "/a", &[("cookie", "_ga=1; session=1")])).await;
    for number in 0..3 {
        assert_eq!(origin.fields(number)["cookie"], "_ga=1; session=1", "{number}");
    }
}

#[tokio::test]
async fn a_cookie_of_the_key_has_a_response_for_each_value() {
    let (cache, _) = with_rules(sessions(), with_ttl().key_cookies(["locale"]).build());
    let cookies = ["locale=de", "locale=fr", "locale=de; _ga=1", "", "locale=de; session=1", "locale=de"];
    let results: Vec<String> = texts(&cache, &cookies).await.into_iter().map(|text| text[..4].trim().to_owned()).collect();
    assert_eq!(results, ["MISS", "MISS", "HIT", "MISS", "MISS", "HIT"]);
}

/// Whoever waited for a session's answer would ask by himself in the end, and a crowd would do so all at once.
#[tokio::test]
async fn a_crowd_does_not_wait_for_the_answer_to_a_session() {
    let origin = sessions();
    let (cache, _) = with_rules(origin.clone(), route());
    let crowd = (0..5).map(|_| get("/a"));
    let answers = finish(start(&cache, [request("GET", "/a", &[("cookie", "session=1")])].into_iter().chain(crowd))).await;
    let texts: Vec<String> = answers.into_iter().map(|read| read.expect("an answer").text().to_owned()).collect();
    assert_eq!(texts, ["one", "nobody", "nobody", "nobody", "nobody", "nobody"]);
    assert_eq!(origin.count(), 2, "one request for the session, one for all others");
    send(&cache, request("GET", "/b", &[("cookie", "session=1")])).await;
    let crowd = (0..5).map(|_| get("/b"));
    finish(start(&cache, crowd)).await;
    assert_eq!(origin.count(), 4, "nor does the mark that a session leaves");
}

#[tokio::test]
async fn a_session_gets_no_other_sessions_page_while_the_origin_fails() {
    let up = std::sync::atomic::AtomicBool::new(true);
    let origin = Origin::new(move |_| match up.swap(false, std::sync::atomic::Ordering::SeqCst) {
        true => response(200, "nobody's").header("etag", "\"1\""),
        false => response(503, "down"),
    });
    let (cache, hand) = with_rules(origin, route());
    send(&cache, get("/a")).await;
    hand.advance(61);
    let mine = send(&cache, request("GET", "/a", &[("cookie", "session=1")])).await;
    assert_eq!((mine.response.status().as_u16(), mine.text()), (503, "down"));
    assert_eq!(send(&cache, get("/a")).await.text(), "nobody's");
}

/// RFC 9111 §4.3.5: an answer to HEAD says something about the stored response only where that is for the same clients.
#[tokio::test]
async fn a_head_of_a_session_neither_gets_nor_changes_what_is_stored() {
    let origin = Origin::new(|request| match request.headers().contains_key("cookie") {
        true => response(200, "").header("etag", "\"mine\""),
        false => response(200, "nobody's").header("etag", "\"1\""),
    });
    let (cache, _) = with_rules(origin, route());
    send(&cache, get("/a")).await;
    let head = send(&cache, request("HEAD", "/a", &[("cookie", "session=1")])).await;
    assert_eq!((head.x_cache().as_str(), header(&head.response, "etag").as_str()), ("MISS", "\"mine\""));
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
}

#[tokio::test]
async fn the_client_whose_fetch_it_was_gets_its_cookie_with_a_304_and_a_206_too() {
    for (field, status) in
        [(("if-none-match", "\"1\""), 304), (("range", "bytes=0-1"), 206), (("range", "bytes=9-"), 416), (("range", "lines"), 200)]
    {
        let reply = || response(200, "body").header("cache-control", "public, max-age=60").header("etag", "\"1\"");
        let origin = Origin::new(move |_| reply().header("content-length", "4").header("set-cookie", "a=1").header("set-cookie", "b=2"));
        let cache = crate::common::service(origin);
        for (x_cache, cookies) in [("MISS", &["a=1", "b=2"][..]), ("HIT", &[])] {
            let read = send(&cache, request("GET", "/a", &[field])).await;
            assert_eq!((read.response.status().as_u16(), read.x_cache().as_str()), (status, x_cache));
            assert_eq!(read.response.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), cookies, "{status} {x_cache}");
        }
    }
}
