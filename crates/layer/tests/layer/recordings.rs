//! Streams that are stored are given again piece by piece, at the pace that the route says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_semantics::{Policy, Replay};
use larder_tower::{CacheService, EffectiveTarget, RouteRules};

use crate::common::{self, Origin, channel, frame, get, header, send, streaming, with_rules};
use crate::shared_tier::{now, replicas_with};

const PIECES: [&str; 3] = ["data: 1\n\n", "data: 2\n\nda", "ta: 3\n\n"];

/// The pauses before them.
const PAUSES: [u64; 3] = [400, 40, 800];

fn rules(replay: Replay) -> RouteRules {
    common::builder().policy(Policy::default().with(|policy| (policy.record_streams, policy.replay) = (true, replay))).build()
}

/// Sends the pieces, each after its pause.
fn events() -> Origin {
    Origin::new(|_| {
        let (mut sender, body) = channel();
        tokio::spawn(async move {
            for (piece, pause) in PIECES.into_iter().zip(PAUSES) {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                sender.send_data(piece.into()).await.expect("a reader");
            }
        });
        streaming(200, body).header("content-type", "text/event-stream").header("cache-control", "max-age=60")
    })
}

/// The pieces of an answer, each with the milliseconds since the one before.
async fn pieces(cache: &CacheService<Origin>) -> (String, Vec<(String, u128)>) {
    let answer = cache.serve(get("/events"), EffectiveTarget::default(), |_| ()).await.expect("an answer").response;
    assert_eq!(header(&answer, "content-length"), "", "its pieces are what the client sees");
    let (result, mut body, mut all) = (header(&answer, "x-cache"), answer.into_body(), Vec::new());
    let mut last = now();
    while let Some(piece) = frame(&mut body).await {
        let text = String::from_utf8(piece.expect("whole").to_vec()).expect("text");
        all.push((text, last.elapsed().as_millis()));
        last = now();
    }
    (result, all)
}

fn came(pauses: [u128; 3]) -> Vec<(String, u128)> {
    PIECES.map(str::to_owned).into_iter().zip(pauses).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_given_again_in_its_pieces_at_the_pace_of_its_route() {
    for (word, pauses) in [("fast", [0, 0, 0]), ("real", [400, 40, 800]), ("x8", [50, 5, 100])] {
        let origin = events();
        let cache = with_rules(origin.clone(), rules(Replay::of_word(word).expect("a pace"))).0;
        assert_eq!(pieces(&cache).await, ("MISS".to_owned(), came([400, 40, 800])), "as it comes");
        for _ in 0..2 {
            assert_eq!(pieces(&cache).await, ("HIT".to_owned(), came(pauses)), "{word}");
        }
        assert_eq!(origin.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_keeps_the_recording() {
    let origin = events();
    let replicas = replicas_with(&origin, Some(&Arc::default()), rules(Replay::of_word("real").expect("a pace")));
    pieces(&replicas[0]).await;
    for cache in [&replicas[1], &replicas[1], &replicas[0]] {
        assert_eq!(pieces(cache).await, ("HIT".to_owned(), came([400, 40, 800])));
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_joins_gets_what_was_said_at_once_and_then_the_rest_live() {
    let (mut sender, body) = channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |_| {
        let body = body.lock().unwrap().take().expect("one request");
        streaming(200, body).header("content-type", "text/event-stream").header("cache-control", "max-age=60")
    });
    let cache = with_rules(origin.clone(), rules(Replay::of_word("real").expect("a pace"))).0;
    let serve = || cache.serve(get("/events"), EffectiveTarget::default(), |_| ());
    let mut first = serve().await.expect("an answer").response.into_body();
    for piece in &PIECES[..2] {
        tokio::time::sleep(Duration::from_secs(5)).await;
        sender.send_data((*piece).into()).await.expect("a reader");
        assert_eq!(frame(&mut first).await.expect("a piece").expect("whole"), *piece);
    }
    let joined = now();
    let mut second = serve().await.expect("an answer").response.into_body();
    assert_eq!(frame(&mut second).await.expect("a piece").expect("whole"), PIECES[..2].concat());
    assert_eq!(joined.elapsed(), Duration::ZERO, "what was said");
    sender.send_data(PIECES[2].into()).await.expect("a reader");
    drop(sender);
    for body in [&mut first, &mut second] {
        assert_eq!(frame(body).await.expect("a piece").expect("whole"), PIECES[2]);
        assert!(frame(body).await.is_none());
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn head_and_conditions_are_answered_without_the_pace() {
    let cache = with_rules(events(), rules(Replay::of_word("real").expect("a pace"))).0;
    pieces(&cache).await;
    let begun = now();
    let head = send(&cache, common::request("HEAD", "/events", &[])).await;
    assert_eq!((head.x_cache().as_str(), head.text()), ("HIT", ""));
    let part = send(&cache, common::request("GET", "/events", &[("range", "bytes=0-3")])).await;
    assert_eq!((part.response.status().as_u16(), part.text()), (206, "data"));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
