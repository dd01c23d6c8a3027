//! Planted staleness and planted leaks are found, and nothing else.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use larder_semantics::{Reason, Timestamp};
use larder_tower::clock::{Clock, ClockHand};
use larder_tower::{Cache, CacheResult, EffectiveTarget};

use super::check::Sampled;
use super::state::Judgement;
use crate::active::ActiveConfig;
use crate::client::{ClientConnection, effective_target};
use crate::config;
use crate::proxy::{Step, way};
use crate::trials::without_network;
use crate::upstream::{StandIn, UpstreamError};

const CONFIG: &str = r#"
    [upstreams.api]
    url = "http://127.0.0.1:9"
    [cache]
    ttl = "60s"
    verify = { sample = 1, ignore = ["$.version_of_format"] }
    [[routes]]
    name = "leaky"
    path = "/leaky/{id}"
    verify = { sample = 1, on_leak = "report" }
    [[routes]]
    name = "stopping"
    path = "/stopping/{id}"
    verify = { sample = 1, on_leak = "stop" }
    [[routes]]
    name = "own"
    path = "/own/{id}"
    scope = "identity"
"#;

const CONNECTION: ClientConnection = ClientConnection { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), secure: false, version: Version::HTTP_11 };

/// What the origin's pages are like.
#[derive(Debug)]
struct Planted {
    clock: Clock,
    asked: AtomicU64,
}

impl Planted {
    /// The state of a page that changes every 45 seconds.
    fn version(&self) -> u64 {
        self.clock.now().as_millis() / 45_000
    }
}

impl StandIn for Planted {
    fn answer(&self, _: usize, request: Parts, _: Bytes) -> Result<Response<Bytes>, UpstreamError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let who = request.headers.get(AUTHORIZATION).and_then(|who| who.to_str().ok()).unwrap_or("nobody");
        let path = request.uri.path();
        let body = match path.split('/').nth(1) {
            Some("changing") => format!("{{\"version\":{}}}", self.version()),
            Some("noisy") => {
                format!("{{\"id\":\"{path}\",\"request\":{number},\"items\":[{{\"seen\":{number}}}],\"version_of_format\":{number}}}")
            }
            Some("leaky" | "stopping" | "own") => format!("{{\"who\":\"{who}\"}}"),
            Some("spoken") => format!("{{\"in\":{:?}}}", request.headers.get(ACCEPT_LANGUAGE)),
            // Every third answer is a failure.
            Some("failing") if number.is_multiple_of(3) => return Ok(failure()),
            _ => format!("{{\"id\":\"{path}\"}}"),
        };
        let mut response = Response::new(Bytes::from(body));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        response.headers_mut().insert("cache-control", HeaderValue::from_static("public, max-age=60"));
        if path.starts_with("/spoken") {
            response.headers_mut().insert("vary", HeaderValue::from_static("accept-language"));
        }
        Ok(response)
    }
}

fn failure() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

struct Setup {
    active: ActiveConfig,
    origin: Arc<Planted>,
    hand: ClockHand,
}

fn setup() -> Setup {
    let (clock, hand) = Clock::manual(Timestamp::from_secs(1_767_225_600));
    let origin = Arc::new(Planted { clock: clock.clone(), asked: AtomicU64::new(0) });
    let cache = Cache::builder(16 << 20).max_object(1 << 16).clock(clock.clone()).build();
    let (config, _) = config::parse("test.toml", CONFIG.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{report}"));
    Setup { active: without_network(config, &cache, &clock, Arc::clone(&origin) as _).expect("it can serve"), origin, hand }
}

/// An exchange with its answer, and what a comparison of it comes to where it was a hit.
async fn exchange(setup: &Setup, path: &str, who: Option<&'static str>) -> (String, Option<Judgement>) {
    let fields: Vec<(HeaderName, &'static str)> = who.map(|who| (AUTHORIZATION, who)).into_iter().collect();
    exchange_with(setup, path, &fields).await
}

async fn exchange_with(setup: &Setup, path: &str, fields: &[(HeaderName, &'static str)]) -> (String, Option<Judgement>) {
    let head = || {
        let mut request = Request::get(path).body(Empty::<Bytes>::new()).expect("a request");
        request.headers_mut().insert(HOST, HeaderValue::from_static("a.example"));
        request.headers_mut().extend(fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))));
        request
    };
    let active = &setup.active;
    let effective = EffectiveTarget::default().with_client(CONNECTION.peer).with_scheme("http");
    let service = active.route(&head(), "a.example").expect("a route");
    let served = service.serve(head(), effective.clone(), |_| ()).await.expect("an answer");
    let body = served.response.into_body().collect().await.expect("a body").to_bytes();
    // What is stored is there once its task has run.
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
    let verify = active.verify_of(service.route().index()).expect("it is verified");
    let judgement = match served.outcome.result {
        CacheResult::Hit => {
            let sampled = Sampled::of(verify, service, head().map(|_| ()), &effective, CONNECTION).expect("a whole");
            Some(sampled.compare(None).await)
        }
        _ => None,
    };
    (String::from_utf8_lossy(&body).into_owned(), judgement)
}

#[tokio::test]
async fn ten_thousand_exchanges_show_what_was_planted_and_nothing_else() {
    let setup = setup();
    let clients = [None, Some("Bearer ann"), Some("Bearer bob")];
    let (mut stale, mut agreed, mut leaks) = (0, 0, 0);
    for round in 0..10_000_usize {
        setup.hand.advance(1);
        let kind = ["steady", "changing", "noisy", "leaky", "own", "failing"][round % 6];
        let who = clients[(round / 6) % 3];
        let (body, judgement) = exchange(&setup, &format!("/{kind}/{}", round % 4), who).await;
        let Some(judgement) = judgement else { continue };
        let expected = match kind {
            "changing" if body != format!("{{\"version\":{}}}", setup.origin.version()) => Judgement::Differed,
            "failing" if judgement == Judgement::NotJudged => continue,
            "leaky" if who.is_some_and(|who| !body.contains(who)) => Judgement::Leak,
            // A client that gets its own again, after another has got another's, shows it as well; and nobody's own is a page like any other.
            "leaky" if judgement == Judgement::Leak || who.is_none() => {
                leaks += usize::from(judgement == Judgement::Leak);
                continue;
            }
            _ => Judgement::Agreed,
        };
        assert_eq!(judgement, expected, "round {round}: {kind} {who:?} {body}");
        stale += usize::from(judgement == Judgement::Differed);
        agreed += usize::from(judgement == Judgement::Agreed);
        leaks += usize::from(judgement == Judgement::Leak);
    }
    assert!(stale > 100 && agreed > 1_000 && leaks > 100, "{stale} {agreed} {leaks}");
    let report = setup.active.verifications().find(|verify| &**verify.route() == "default").expect("a route").report();
    assert!(report.safe_lifetime.is_some_and(|safe| safe < 45) && report.leaks == 0, "{report:?}");
    assert_eq!(report.noise, ["$.items[*].seen", "$.request"]);
    assert!(report.examples.len() <= 20 && report.examples.iter().all(|example| example.places == ["$.version"]), "{report:?}");
}

/// Who asks decides about the language that is asked for, and the language alone about the answer.
#[tokio::test]
async fn answers_that_differ_by_what_vary_names_are_no_leak() {
    let setup = setup();
    let (ann, bob) = ([(AUTHORIZATION, "Bearer ann"), (ACCEPT_LANGUAGE, "de")], [(AUTHORIZATION, "Bearer bob"), (ACCEPT_LANGUAGE, "en")]);
    for round in 0..4 {
        for fields in [&ann, &bob] {
            let expected = (round > 0).then_some(Judgement::Agreed);
            assert_eq!(exchange_with(&setup, "/spoken/1", fields).await.1, expected, "{round} {fields:?}");
        }
    }
}

#[tokio::test]
async fn a_route_that_leaks_is_not_cached_until_it_is_resumed() {
    let setup = setup();
    let path = "/stopping/1";
    assert_eq!(exchange(&setup, path, Some("Bearer ann")).await.1, None);
    let (body, judgement) = exchange(&setup, path, Some("Bearer bob")).await;
    assert_eq!((body.as_str(), judgement), ("{\"who\":\"Bearer ann\"}", Some(Judgement::Leak)));
    let verify = setup.active.verifications().find(|verify| &**verify.route() == "stopping").expect("a route");
    assert!(verify.is_stopped() && verify.report().examples[0].leak);
    let (body, judgement) = exchange(&setup, path, Some("Bearer bob")).await;
    assert_eq!((body.as_str(), judgement), ("{\"who\":\"Bearer bob\"}", None), "what was stored is gone");
    let step = || {
        let mut request = Request::get(path).body(()).expect("a request");
        request.headers_mut().insert(HOST, HeaderValue::from_static("a.example"));
        let target = effective_target(request.uri(), request.headers(), &CONNECTION, &setup.active.trusted);
        matches!(way(&setup.active, &request, &target, |_| false).step, Step::Cache(Some(Reason::LeakFound)))
    };
    assert!(step(), "nobody is served from the cache");
    assert!(verify.resume() && !verify.is_stopped() && !verify.resume());
    assert!(!step());
}
