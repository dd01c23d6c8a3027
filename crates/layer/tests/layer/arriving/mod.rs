//! Long bodies from the tier behind the memory: served while they arrive, and never anything but what was stored.

mod setup;

use crate::common;

use std::sync::atomic::Ordering;

use std::time::Duration;

use bytes::Bytes;
use common::{Origin, OriginBody, Reply, finish, frame, get, header, read, request, send, start, streaming};
use http_body_util::{BodyExt, Full};
use larder_store::{Invalidation, InvalidationTarget, RemoteError, SEGMENT};
use larder_tower::{BodyError, EffectiveTarget};

pub(crate) use setup::NoLog;
use setup::{ETAG, STORED, Setup, Stored, content};

fn nobody() -> Origin {
    Origin::new(|request| panic!("the origin was asked for {request:?}"))
}

fn bytes(content: Bytes) -> OriginBody {
    Full::new(content).map_err(Into::into).boxed_unsync()
}

/// The answer of an origin with this content that supports ranges.
fn ranged(content: Bytes) -> impl Fn(&http::Request<larder_tower::RequestBody>) -> Reply {
    move |request| {
        assert_eq!(request.headers()["if-range"], ETAG);
        let range = request.headers()["range"].to_str().unwrap();
        let first: usize = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap().parse().unwrap();
        let length = content.len();
        let reply = streaming(206, bytes(content.slice(first..))).header("etag", ETAG);
        reply.header("content-range", &format!("bytes {first}-{}/{length}", length - 1))
    }
}

#[tokio::test]
async fn the_first_chunk_goes_out_while_the_second_is_held_back() {
    let setup = Setup::new(Stored { age: 9, ..STORED }, nobody());
    setup.send_chunks(0..1);
    let served = setup.serve().await;
    assert_eq!((header(&served.response, "x-cache"), header(&served.response, "age")), ("HIT".into(), "9".into()));
    assert!(header(&served.response, "cache-status").contains("; hit; ttl=51"), "{:?}", served.response.headers());
    assert_eq!(http_body::Body::size_hint(served.response.body()).exact(), Some(setup.content.len() as u64));
    let mut body = served.response.into_body();
    assert_eq!(frame(&mut body).await.unwrap().unwrap(), setup.chunk(0));
    assert_eq!(setup.held(), SEGMENT as u64 + 7, "and what was fetched ahead");
    setup.send_chunks(1..3);
    assert_eq!(body.collect().await.unwrap().to_bytes(), setup.content.slice(SEGMENT..));
    setup.settled().await;
    assert_eq!(setup.held(), 0);
    let second = send(&setup.cache, get("/a")).await;
    assert_eq!((second.x_cache().as_str(), second.body.unwrap()), ("HIT", setup.content.clone()));
    assert_eq!((setup.loads(), setup.tier.commits.load(Ordering::SeqCst)), (1, 0), "it is in memory, and nowhere written again");
}

#[tokio::test]
async fn many_clients_read_one_stored_body_once() {
    let setup = Setup::new(STORED, nobody());
    let waiting = start(&setup.cache, (0..3).map(|_| get("/a")));
    setup.send_chunks(0..3);
    let answers = finish(waiting).await;
    for answer in &answers {
        let answer = answer.as_ref().unwrap();
        assert_eq!((answer.x_cache().as_str(), answer.body.as_ref().unwrap()), ("HIT", &setup.content));
    }
    assert_eq!(answers.iter().filter(|answer| answer.as_ref().unwrap().outcome.collapsed).count(), 2);
    assert_eq!(setup.loads(), 1);
}

#[tokio::test]
async fn a_request_while_the_body_arrives_reads_it_from_the_start() {
    let setup = Setup::new(STORED, nobody());
    setup.send_chunks(0..1);
    let mut first = setup.serve().await.response.into_body();
    frame(&mut first).await.unwrap().unwrap();
    let late = setup.serve().await;
    setup.send_chunks(1..3);
    assert_eq!(read(late.response, late.outcome).await.body.unwrap(), setup.content);
    assert_eq!(setup.loads(), 1);
}

#[tokio::test]
async fn ranges_and_preconditions_are_judged_by_the_head_alone() {
    let setup = Setup::new(STORED, nobody());
    setup.send_chunks(0..1);
    let wanted = format!("bytes={}-{}", SEGMENT - 2, SEGMENT + 1);
    let part = setup.cache.serve(request("GET", "/a", &[("range", &wanted)]), EffectiveTarget::default(), |_| ()).await.unwrap();
    assert_eq!(part.response.status(), 206);
    assert_eq!(header(&part.response, "content-range"), format!("bytes {}-{}/{}", SEGMENT - 2, SEGMENT + 1, setup.content.len()));
    let same = send(&setup.cache, request("GET", "/a", &[("if-none-match", ETAG)])).await;
    assert_eq!((same.response.status().as_u16(), same.text()), (304, ""));
    let beyond = send(&setup.cache, request("GET", "/a", &[("range", "bytes=99999999-")])).await;
    assert_eq!(beyond.response.status(), 416);
    setup.send_chunks(1..2);
    // Its last chunk is still held back.
    assert_eq!(read(part.response, part.outcome).await.body.unwrap(), setup.content.slice(SEGMENT - 2..SEGMENT + 2));
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_it() {
    let setup = Setup::new(STORED, nobody());
    setup.send_chunks(0..1);
    drop(setup.serve().await);
    setup.send_chunks(1..3);
    assert_eq!(send(&setup.cache, get("/a")).await.body.unwrap(), setup.content);
    assert_eq!(setup.loads(), 1);
}

#[tokio::test]
async fn a_body_purged_while_it_arrives_is_not_kept_and_its_reader_goes_on() {
    let setup = Setup::new(STORED, Origin::new(|_| common::response(200, "new").header("cache-control", "max-age=60")));
    setup.send_chunks(0..1);
    let served = setup.serve().await;
    setup.cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::Tag("t".to_owned())])).await;
    assert_eq!(send(&setup.cache, get("/a")).await.text(), "new", "nobody joins it any more");
    setup.send_chunks(1..3);
    assert_eq!(read(served.response, served.outcome).await.body.unwrap(), setup.content);
    setup.settled().await;
    assert_eq!(send(&setup.cache, get("/a")).await.text(), "new");
}

#[tokio::test]
async fn a_body_purged_before_it_began_is_not_served() {
    let setup = Setup::new(STORED, Origin::new(|_| common::response(200, "new")));
    setup.cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::Tag("t".to_owned())])).await;
    setup.send_chunks(0..3);
    assert_eq!(send(&setup.cache, get("/a")).await.text(), "new");
}

#[tokio::test]
async fn a_body_that_has_to_be_validated_is_read_first() {
    let setup = Setup::new(
        Stored { age: 61, ..STORED },
        Origin::new(|request| {
            assert_eq!(request.headers()["if-none-match"], ETAG);
            common::response(304, "").header("etag", ETAG).header("cache-control", "max-age=60")
        }),
    );
    setup.send_chunks(0..3);
    assert_eq!(send(&setup.cache, get("/a")).await.body.unwrap(), setup.content);
}

/// Where the tier fails, and by what.
async fn broken_after(setup: &mut Setup, chunks: usize, error: Option<RemoteError>) -> common::Read {
    setup.send_chunks(0..chunks);
    match error {
        Some(error) => setup.send(Err(error)),
        None => setup.chunks = None,
    }
    let read = send(&setup.cache, get("/a")).await;
    setup.settled().await;
    read
}

#[tokio::test]
async fn a_body_that_breaks_off_is_continued_from_an_origin_that_has_the_same() {
    let whole = || {
        Origin::new(|_| {
            streaming(200, bytes(content(STORED.length))).header("etag", ETAG).header("content-length", &STORED.length.to_string())
        })
    };
    for origin in [Origin::new(ranged(content(STORED.length))), whole()] {
        for chunks in 1..3 {
            for error in [Some(RemoteError::Incomplete), Some(RemoteError::Damaged), Some(RemoteError::Timeout), None] {
                let mut setup = Setup::new(STORED, origin.clone());
                let before = origin.count();
                let answer = broken_after(&mut setup, chunks, error).await;
                assert_eq!((answer.x_cache().as_str(), answer.body.unwrap()), ("HIT", setup.content.clone()), "{chunks} {error:?}");
                assert_eq!(origin.count(), before + 1);
                // It has been proven to be what was stored, so it is in memory like any other.
                assert_eq!(send(&setup.cache, get("/a")).await.body.unwrap(), setup.content);
                assert_eq!((origin.count(), setup.held()), (before + 1, 0));
            }
        }
    }
}

#[tokio::test]
async fn the_rest_of_a_body_is_asked_for_without_what_the_key_leaves_out() {
    let origin = Origin::new(ranged(content(STORED.length)));
    let mut setup = Setup::new(STORED, origin.clone());
    let rules = common::builder().max_object(64 << 20).key_host(false).build();
    setup.cache = larder_tower::CacheService::new(origin.clone(), std::sync::Arc::clone(setup.cache.cache()), std::sync::Arc::new(rules));
    setup.send_chunks(0..1);
    setup.send(Err(RemoteError::Incomplete));
    let answer = send(&setup.cache, common::request("GET", "/a", &[("x-forwarded-host", "evil.example")])).await;
    assert_eq!(answer.body.expect("whole"), setup.content);
    assert!(["host", "x-forwarded-host"].iter().all(|name| !origin.fields(0).contains_key(*name)), "{:?}", origin.fields(0));
}

#[tokio::test]
async fn a_body_without_a_strong_validator_goes_on_in_an_answer_that_begins_with_the_same_bytes() {
    for etag in [None, Some("W/\"1\"")] {
        let origin = Origin::new(move |request| {
            assert!(!request.headers().contains_key("range"));
            let reply = streaming(200, bytes(content(STORED.length))).header("cache-control", "max-age=60");
            etag.into_iter().fold(reply, |reply, etag| reply.header("etag", etag))
        });
        let mut setup = Setup::new(Stored { etag, ..STORED }, origin.clone());
        let answer = broken_after(&mut setup, 1, Some(RemoteError::Incomplete)).await;
        assert_eq!((answer.x_cache().as_str(), answer.body.unwrap()), ("HIT", setup.content.clone()));
        assert_eq!(send(&setup.cache, get("/a")).await.body.unwrap(), setup.content);
        assert_eq!((origin.count(), setup.held(), setup.cache.cache().stats().asked_again.continued), (1, 0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_may_take_its_time_to_where_the_first_one_broke_off_but_not_fall_silent() {
    for (pause, is_whole) in [(Duration::from_secs(40), true), (Duration::from_secs(61), false)] {
        let origin = Origin::new(move |_| {
            let (mut sender, body) = common::channel();
            tokio::spawn(async move {
                for piece in content(STORED.length).chunks(SEGMENT / 4) {
                    tokio::time::sleep(pause).await;
                    if sender.send_data(Bytes::copy_from_slice(piece)).await.is_err() {
                        break;
                    }
                }
            });
            streaming(200, body).header("cache-control", "max-age=60")
        });
        let mut setup = Setup::new(Stored { etag: None, ..STORED }, origin.clone());
        let answer = broken_after(&mut setup, 1, Some(RemoteError::Incomplete)).await;
        assert_eq!(answer.body.is_ok_and(|body| body == setup.content), is_whole, "{pause:?}");
        assert_eq!((origin.count(), setup.held()), (1, 0));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_break_where_the_origin_has_something_else() {
    let changed = |at: usize| {
        let mut changed = content(STORED.length).to_vec();
        changed[at] ^= 1;
        Bytes::from(changed)
    };
    let plain = |content: Bytes, etag: &'static str| {
        Origin::new(move |_| streaming(200, bytes(content.clone())).header("etag", etag).header("cache-control", "max-age=60"))
    };
    let length = STORED.length;
    let short = Origin::new(move |_| {
        streaming(206, bytes(content(5))).header("etag", ETAG).header("content-range", &format!("bytes {SEGMENT}-{}/{length}", SEGMENT + 4))
    });
    for (case, etag, origin) in [
        ("another entity tag", Some(ETAG), plain(content(length), "\"2\"")),
        ("a weak one", Some(ETAG), plain(content(length), "W/\"1\"")),
        ("other bytes under the same tag", Some(ETAG), plain(changed(SEGMENT + 3), ETAG)),
        ("other bytes at the very end", Some(ETAG), Origin::new(ranged(changed(length - 1)))),
        ("less than the rest", Some(ETAG), short),
        ("a body that ends early", Some(ETAG), plain(content(length - 1), ETAG)),
        ("an error", Some(ETAG), Origin::new(|_| common::response(500, "sorry"))),
        ("no answer", Some(ETAG), Origin::waiting(|_| async { Err(std::io::Error::other("refused")) })),
        ("a tag where there was none", None, plain(content(length), ETAG)),
        ("other bytes under the same weak tag", Some("W/\"1\""), plain(changed(3), "W/\"1\"")),
        ("other bytes after those that were sent", Some("W/\"1\""), plain(changed(length - 3), "W/\"1\"")),
        ("another weak tag", Some("W/\"1\""), plain(content(length), "W/\"2\"")),
    ] {
        let setup = Setup::new(Stored { etag, ..STORED }, origin);
        setup.send_chunks(0..1);
        setup.send(Err(RemoteError::Connection));
        let mut body = setup.serve().await.response.into_body();
        let mut got = Vec::new();
        let error = loop {
            match frame(&mut body).await {
                Some(Ok(frame)) => got.extend_from_slice(&frame),
                Some(Err(error)) => break error,
                None => panic!("{case}: a clean end"),
            }
        };
        assert!(got.len() >= SEGMENT && got.len() < length, "{case}: {} bytes", got.len());
        assert!(matches!(error, BodyError::Stored(_) | BodyError::Upstream(_)), "{case}: {error:?}");
        setup.settled().await;
        drop(body);
        assert_eq!((setup.held(), setup.cache.cache().stats().memory.entries), (0, 0), "{case}: nothing is kept");
    }
}

#[tokio::test]
async fn chunks_that_make_up_another_body_are_a_break_before_its_end() {
    let setup = Setup::new(STORED, nobody());
    setup.send_chunks(0..1);
    setup.send(Ok(vec![7; SEGMENT].into()));
    setup.send_chunks(2..3);
    let answer = send(&setup.cache, get("/a")).await;
    assert!(matches!(answer.body, Err(BodyError::Stored(RemoteError::Damaged))), "{:?}", answer.body);
    assert_eq!(setup.cache.cache().stats().memory.entries, 0);
}

#[tokio::test]
async fn a_body_larger_than_may_be_held_becomes_a_window_that_its_readers_pace() {
    let chunks = 40;
    let setup = Setup::new(Stored { length: chunks * SEGMENT, capacity: 16 << 20, ..STORED }, nobody());
    setup.send_chunks(0..chunks);
    let served = setup.serve().await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let max = (2 << 20) + 2 * SEGMENT as u64;
    assert!(setup.held() <= max, "{} bytes are held for a reader that takes nothing", setup.held());
    assert_eq!(read(served.response, served.outcome).await.body.unwrap(), setup.content);
    setup.settled().await;
    assert_eq!((setup.held(), setup.cache.cache().stats().memory.entries), (0, 0), "too large to be kept");
}

#[tokio::test(start_paused = true)]
async fn a_window_without_readers_is_given_up() {
    let chunks = 40;
    let setup = Setup::new(Stored { length: chunks * SEGMENT, capacity: 16 << 20, ..STORED }, nobody());
    setup.send_chunks(0..chunks);
    drop(setup.serve().await);
    tokio::time::timeout(Duration::from_secs(60), setup.settled()).await.expect("over");
    assert_eq!(setup.held(), 0);
    assert!(setup.chunks.as_ref().expect("still sending").is_closed());
}

#[tokio::test]
async fn bodies_of_any_length_come_out_as_they_were_wherever_they_break_off() {
    for length in [SEGMENT + 1, 2 * SEGMENT - 1, 2 * SEGMENT, 2 * SEGMENT + 1, 3 * SEGMENT] {
        let all = length.div_ceil(SEGMENT);
        for chunks in 1..=all {
            let origin = Origin::new(ranged(content(length)));
            let mut setup = Setup::new(Stored { length, ..STORED }, origin.clone());
            let answer = broken_after(&mut setup, chunks, None).await;
            assert_eq!(answer.body.unwrap(), setup.content, "{length} after {chunks}");
            assert_eq!(origin.count(), usize::from(chunks < all));
        }
    }
}
