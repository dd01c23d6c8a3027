//! Answers of language models: those that ended well are stored, streams included, and no other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use larder_semantics::content::model::UNSTORED_FIELDS;
use larder_semantics::content::{ContentKind, ContentRules};
use larder_semantics::{IdentityPart, Policy, Reason, Scope, TtlMode};
use larder_tower::{EffectiveTarget, RouteRules};

use crate::common::{self, Origin, channel, frame, header, response, send, streaming, with_rules};
use crate::shared_tier::replicas_with;

const ANSWER: &str = r#"{"model":"gpt","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;
const STREAM: [&str; 3] = [
    "data: {\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
];

fn rules() -> RouteRules {
    let mut content = ContentRules::new(ContentKind::Chat);
    content.post = true;
    let policy = Policy::default().with(|policy| {
        (policy.ttl, policy.ttl_mode, policy.scope) = (60, TtlMode::Override, Scope::Identity);
        (policy.record_streams, policy.unsafe_ignore.set_cookie) = (true, true);
        policy.unstored_fields = UNSTORED_FIELDS.map(str::to_owned).into();
    });
    common::builder().policy(policy).content(Some(content)).identity([IdentityPart::Header(AUTHORIZATION)]).build()
}

fn chat_with(more: &str, fields: &[(&'static str, &'static str)]) -> Request<Full<Bytes>> {
    let content = format!(r#"{{"model":"gpt","messages":[{{"role":"user","content":"Hello"}}]{more}}}"#);
    let mut request = Request::new(Full::new(Bytes::from(content)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/v1/chat/completions".parse().expect("a target");
    for (name, value) in [("host", "example.com"), ("content-type", "application/json")].iter().chain(fields) {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    request
}

fn chat() -> Request<Full<Bytes>> {
    chat_with(r#","temperature":0"#, &[("authorization", "Bearer 1")])
}

fn streamed() -> Request<Full<Bytes>> {
    chat_with(r#","temperature":0,"stream":true"#, &[("authorization", "Bearer 1")])
}

fn answers(status: u16, kind: &'static str, body: &'static str) -> Origin {
    Origin::new(move |_| response(status, body).header("content-type", kind).header("cache-control", "no-cache, private"))
}

#[tokio::test]
async fn an_answer_that_ended_well_is_stored_and_tells_what_it_saves() {
    let origin = answers(200, "application/json", ANSWER);
    let cache = with_rules(origin.clone(), rules()).0;
    let first = send(&cache, chat()).await;
    assert_eq!((first.x_cache().as_str(), header(&first.response, "larder-usage-saved").as_str(), first.text()), ("MISS", "", ANSWER));
    let second = send(&cache, chat()).await;
    assert_eq!((second.x_cache().as_str(), second.text()), ("HIT", ANSWER));
    assert_eq!(header(&second.response, "larder-usage-saved"), "10;in=8;out=2;model=\"gpt\"");
    assert_eq!(send(&cache, chat_with(r#","temperature":0"#, &[("authorization", "Bearer 2")])).await.x_cache(), "MISS", "another's key");
    assert_eq!(send(&cache, chat_with(r#","temperature":0"#, &[])).await.x_cache(), "MISS", "nobody's");
}

#[tokio::test]
async fn an_answer_that_failed_within_a_200_is_not_stored() {
    for body in [
        r#"{"error":{"message":"overloaded"}}"#,
        r#"{"choices":[]}"#,
        r#"{"choices":[{"index":0,"message":{},"finish_reason":"length"}]}"#,
        r#"{"choices":[{"index":0,"message":{"refusal":"No"},"finish_reason":"stop"}]}"#,
        "not JSON",
    ] {
        let origin = answers(200, "application/json", body);
        let cache = with_rules(origin.clone(), rules()).0;
        for _ in 0..2 {
            let read = send(&cache, chat()).await;
            assert_eq!((read.x_cache().as_str(), read.text()), ("MISS", body));
        }
    }
    let cache = with_rules(answers(200, "text/html", ANSWER), rules()).0;
    send(&cache, chat()).await;
    assert_eq!(send(&cache, chat()).await.x_cache(), "MISS", "in no form that its API has");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_read_by_other_replicas_while_it_arrives_and_kept_there_where_it_ended_well() {
    for (end, is_fit) in [(&STREAM[1..], true), (&STREAM[2..], false)] {
        let (mut sender, body) = channel();
        let body = Mutex::new(Some(body));
        let origin = Origin::new(move |_| {
            let body = body.lock().unwrap().take().expect("one request");
            streaming(200, body).header("content-type", "text/event-stream")
        });
        let replicas = replicas_with(&origin, Some(&Arc::default()), rules());
        let first = replicas[0].serve(streamed(), EffectiveTarget::default(), |_| ()).await.expect("an answer");
        sender.send_data(STREAM[0].into()).await.expect("a reader");
        let other = replicas[1].serve(streamed(), EffectiveTarget::default(), |_| ()).await.expect("an answer");
        let (mut first, mut other) = (first.response.into_body(), other.response.into_body());
        for body in [&mut first, &mut other] {
            assert_eq!(frame(body).await.unwrap().unwrap(), STREAM[0]);
        }
        for part in end {
            sender.send_data((*part).into()).await.expect("a reader");
        }
        drop(sender);
        for body in [first, other] {
            assert_eq!(body.collect().await.unwrap().to_bytes(), end.concat());
        }
        for cache in &replicas[..2] {
            while cache.cache().stats().fills_in_flight > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(cache.cache().stats().memory.entries, usize::from(is_fit) as u64);
        }
        if is_fit {
            let again = send(&replicas[1], streamed()).await;
            assert_eq!(header(&again.response, "larder-usage-saved"), "10;in=8;out=2;model=\"gpt\"");
        }
    }
}

#[tokio::test]
async fn an_error_is_not_stored_whatever_lifetime_it_has() {
    for status in [201, 400, 404, 410, 429, 500, 529] {
        let origin =
            Origin::new(move |_| response(status, ANSWER).header("content-type", "application/json").header("cache-control", "max-age=60"));
        let cache = with_rules(origin.clone(), rules()).0;
        for count in 1..3 {
            assert_eq!(send(&cache, chat()).await.response.status(), status);
            assert_eq!(origin.count(), count, "{status}");
        }
    }
}

#[tokio::test]
async fn fields_about_one_request_are_not_given_again() {
    let fields = [
        "x-ratelimit-remaining-requests",
        "anthropic-ratelimit-tokens-reset",
        "retry-after-ms",
        "request-id",
        "x-request-id",
        "set-cookie",
    ];
    let origin = Origin::new(move |_| {
        let reply = response(200, ANSWER).header("content-type", "application/json").header("openai-version", "2020-10-01");
        fields.iter().fold(reply, |reply, name| reply.header(name, "1"))
    });
    let cache = with_rules(origin, rules()).0;
    for (expected, is_there) in [("MISS", true), ("HIT", false)] {
        let read = send(&cache, chat()).await;
        assert_eq!(read.x_cache(), expected);
        for name in fields {
            assert_eq!(read.response.headers().contains_key(name), is_there, "{expected}: {name}");
        }
        assert_eq!(header(&read.response, "openai-version"), "2020-10-01");
    }
}

#[tokio::test]
async fn requests_that_may_want_another_answer_go_by() {
    let origin = answers(200, "application/json", ANSWER);
    let cache = with_rules(origin.clone(), rules()).0;
    for (more, reason) in [
        ("", Reason::NotDeterministic),
        (r#","temperature":1"#, Reason::NotDeterministic),
        (r#","temperature":0,"tools":[{"type":"web_search"}]"#, Reason::Stateful),
        (r#","temperature":0,"temperature":0"#, Reason::BodyNotKeyed),
    ] {
        for _ in 0..2 {
            let read = send(&cache, chat_with(more, &[])).await;
            assert_eq!((read.x_cache().as_str(), read.outcome.reason), ("BYPASS", reason), "{more}");
        }
    }
    assert_eq!(origin.count(), 8);
}

#[tokio::test]
async fn who_shows_nothing_of_what_is_shared_by_goes_by() {
    let origin = answers(200, "application/json", ANSWER);
    let mut key = rules().key().clone();
    (key.identity, key.needs_identity) = (vec![IdentityPart::Header(HeaderName::from_static("x-team"))], true);
    let cache = with_rules(origin.clone(), rules().to_builder().key(key).build()).0;
    let by = |fields: &[(&'static str, &'static str)]| chat_with(r#","temperature":0"#, fields);
    for (fields, expected) in [
        (&[("authorization", "Bearer 1"), ("x-team", "a")][..], "MISS"),
        (&[("authorization", "Bearer 2"), ("x-team", "a")], "HIT"),
        (&[("x-api-key", "3"), ("x-team", "b")], "MISS"),
        (&[("authorization", "Bearer 1")], "BYPASS"),
        (&[("x-api-key", "3")], "BYPASS"),
        (&[], "BYPASS"),
    ] {
        assert_eq!(send(&cache, by(fields)).await.x_cache(), expected, "{fields:?}");
    }
    assert_eq!(send(&cache, by(&[])).await.outcome.reason, Reason::Unidentified);
    assert_eq!(send(&cache, common::get("/v1/models")).await.outcome.reason, Reason::Unidentified, "whatever it asks for");
}

/// An origin whose first answer is a stream that the test sends; those behind it are another one.
fn stream_once(body: common::OriginBody) -> Origin {
    let body = Mutex::new(Some(body));
    Origin::new(move |_| {
        let reply = match body.lock().expect("no panic").take() {
            Some(body) => streaming(200, body),
            None => response(200, "data: [DONE]\n\n"),
        };
        reply.header("content-type", "text/event-stream")
    })
}

#[tokio::test]
async fn who_joins_a_stream_gets_what_was_said_so_far_and_then_the_rest() {
    let (mut sender, body) = channel();
    let origin = stream_once(body);
    let cache = with_rules(origin.clone(), rules()).0;
    sender.send_data(STREAM[0].into()).await.expect("sent");
    let mut first = cache.serve(streamed(), EffectiveTarget::default(), |_| ()).await.expect("an answer").response.into_body();
    assert_eq!(frame(&mut first).await.expect("a frame").expect("whole"), STREAM[0], "nothing is held back");
    let mut second = cache.serve(streamed(), EffectiveTarget::default(), |_| ()).await.expect("an answer").response.into_body();
    assert_eq!(frame(&mut second).await.expect("a frame").expect("whole"), STREAM[0]);
    sender.send_data(STREAM[1].into()).await.expect("sent");
    for body in [&mut first, &mut second] {
        assert_eq!(frame(body).await.expect("a frame").expect("whole"), STREAM[1]);
    }
    sender.send_data(STREAM[2].into()).await.expect("sent");
    drop(sender);
    for body in [first, second] {
        assert_eq!(body.collect().await.expect("whole").to_bytes(), STREAM[2]);
    }
    let replayed = send(&cache, streamed()).await;
    assert_eq!((replayed.x_cache(), replayed.text()), ("HIT".to_owned(), STREAM.concat().as_str()));
    assert_eq!(header(&replayed.response, "larder-usage-saved"), "10;in=8;out=2;model=\"gpt\"");
    assert_eq!(origin.count(), 1);
    assert_eq!(send(&cache, chat()).await.x_cache(), "MISS", "asked for as a whole it is another answer");
}

#[tokio::test]
async fn a_stream_without_its_last_event_is_not_stored() {
    for (events, ends) in [(&STREAM[..2], true), (&STREAM[..1], true), (&STREAM[..2], false)] {
        let (mut sender, body) = channel();
        let origin = stream_once(body);
        let cache = with_rules(origin.clone(), rules()).0;
        for event in events {
            sender.send_data((*event).into()).await.expect("sent");
        }
        if ends {
            drop(sender);
        } else {
            sender.abort(std::io::Error::other("gone").into());
        }
        assert_eq!(send(&cache, streamed()).await.body.is_ok(), ends);
        assert_eq!(send(&cache, streamed()).await.x_cache(), "MISS");
        assert_eq!(origin.count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_thinks_for_minutes_is_waited_for() {
    let (mut sender, body) = channel();
    let cache = with_rules(stream_once(body), rules()).0;
    sender.send_data(STREAM[0].into()).await.expect("sent");
    let mut answer = cache.serve(streamed(), EffectiveTarget::default(), |_| ()).await.expect("an answer").response.into_body();
    frame(&mut answer).await.expect("a frame").expect("whole");
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(600)).await;
        for event in &STREAM[1..] {
            sender.send_data((*event).into()).await.expect("sent");
        }
    });
    assert_eq!(answer.collect().await.expect("whole").to_bytes(), STREAM[1..].concat());
    late.await.expect("sent");
    assert_eq!(send(&cache, streamed()).await.x_cache(), "HIT");
}

#[tokio::test]
async fn events_of_other_routes_are_stored_where_the_route_records_them() {
    for (records, expected) in [(true, "HIT"), (false, "MISS")] {
        let origin =
            Origin::new(|_| response(200, "data: 1\n\n").header("content-type", "text/event-stream").header("cache-control", "max-age=60"));
        let policy = Policy::default().with(|policy| policy.record_streams = records);
        let cache = with_rules(origin, common::builder().policy(policy).build()).0;
        send(&cache, common::get("/events")).await;
        assert_eq!(send(&cache, common::get("/events")).await.x_cache(), expected);
    }
}
