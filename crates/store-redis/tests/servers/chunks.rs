//! Long bodies: each chunk is good by itself or not handed out, and what breaks off says so.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use larder_redis::{Compression, RedisOptions, RedisServers, RedisStore, RedisUrl, SealKey, SealKeys};
use larder_store::codec::encode;
use larder_store::{Arriving, LoadRequest, Loaded, RemoteError, RemoteStore, SEGMENT, StoredResponse};
use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};
use proptest::prelude::*;
use rustix::process::Signal;

use crate::support::{ENTRIES, Setup, another, commit, entries, find, has_read_the_log, key, pattern, replica, response};

/// The keys of the entries that are no variants.
const HEADS: &str = "larder:{????????????????????????????????}";

const LENGTH: usize = 6 * SEGMENT + 5;

async fn load(store: &RedisStore, path: &str) -> std::result::Result<Loaded, RemoteError> {
    let (key, request) = (key(path), HeaderMap::new());
    store.load(LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None }).await
}

async fn arriving(store: &RedisStore, path: &str) -> Arriving {
    match load(store, path).await {
        Ok(Loaded::Arriving(arriving)) => arriving,
        other => panic!("{other:?}"),
    }
}

/// A replica behind a proxy, with a long response stored.
async fn behind_proxy(redis: &Redis, change: impl FnOnce(&mut RedisOptions)) -> Result<(FaultProxy, RedisStore)> {
    commit(&another(redis, |_| ()).await?, response("/x", 7, &pattern(LENGTH)), None).await;
    let proxy = FaultProxy::start(redis.address()).await?;
    let url = RedisUrl::parse(&format!("redis://{}", proxy.address())).expect("a URL");
    let store = replica(redis, Arc::default(), |options| {
        options.servers = RedisServers::Single(url);
        change(options);
    });
    has_read_the_log(&store).await?;
    Ok((proxy, store))
}

async fn chunk_name(redis: &Redis, number: usize) -> Result<String> {
    redis.command(&["EVAL", "return redis.call('KEYS', ARGV[1])[1]", "0", &format!("*:k:7:{number}")]).await
}

#[tokio::test]
async fn the_first_chunk_is_there_while_the_second_is_held_back() -> Result<()> {
    let redis = Redis::start().await?;
    let (proxy, store) = behind_proxy(&redis, |_| ()).await?;
    let gate = proxy.hold("GET", ":k:7:1");
    let mut arriving = arriving(&store, "/x").await;
    assert_eq!((arriving.record.fetch(), arriving.record.body().length), (7, LENGTH as u64));
    assert_eq!(arriving.chunks.next().await.expect("a chunk").expect("good"), pattern(LENGTH).slice(..SEGMENT));
    {
        let mut second = pin!(arriving.chunks.next());
        assert!(second.as_mut().now_or_never().is_none());
        gate.reached(1).await?;
        assert!(second.as_mut().now_or_never().is_none());
        gate.open();
        assert_eq!(second.await.expect("a chunk").expect("good"), pattern(LENGTH).slice(SEGMENT..2 * SEGMENT));
    }
    assert!(arriving.chunks.ahead() <= 4 * SEGMENT as u64);
    let mut rest = Vec::new();
    while let Some(chunk) = arriving.chunks.next().await {
        rest.push(chunk.expect("good"));
    }
    assert_eq!(rest.concat(), pattern(LENGTH).slice(2 * SEGMENT..));
    assert_eq!(store.stats().interrupted, 0);
    Ok(())
}

#[tokio::test]
async fn no_more_chunks_come_ahead_than_may() -> Result<()> {
    let redis = Redis::start().await?;
    let (_proxy, store) = behind_proxy(&redis, |_| ()).await?;
    let mut arriving = arriving(&store, "/x").await;
    let mut all = Vec::new();
    for (max, ahead) in [(0, 0), (0, 0), (1, 1), (0, 0), (usize::MAX, 2), (0, 1), (0, 0)] {
        arriving.chunks.limit_ahead(max);
        all.push(arriving.chunks.next().await.expect("a chunk").expect("good"));
        assert_eq!(arriving.chunks.ahead(), ahead * SEGMENT as u64, "after {}", all.len());
    }
    assert!(arriving.chunks.next().await.is_none());
    assert_eq!(all.concat(), pattern(LENGTH));
    Ok(())
}

/// A replica that has met trouble in the middle of a body.
struct Broken {
    error: RemoteError,
    store: RedisStore,
    redis: Redis,
    _proxy: FaultProxy,
}

/// Begins to read, holds the second chunk back until `trouble` has come, and says what it came to.
async fn broken_by<F: Future<Output = Result<Redis>>>(
    change: impl FnOnce(&mut RedisOptions),
    trouble: impl FnOnce(Redis, String) -> F,
    fault: Fault,
) -> Result<Broken> {
    let redis = Redis::start().await?;
    let (proxy, store) = behind_proxy(&redis, change).await?;
    let name = chunk_name(&redis, 1).await?;
    let gate = proxy.hold("GET", ":k:7:1");
    let mut arriving = arriving(&store, "/x").await;
    assert_eq!(arriving.chunks.next().await.expect("a chunk").expect("good"), pattern(LENGTH).slice(..SEGMENT));
    let redis = trouble(redis, name).await?;
    proxy.set(fault);
    gate.open();
    let error = arriving.chunks.next().await.expect("an end that is none").expect_err("broken");
    assert_eq!(store.stats().interrupted, 1);
    Ok(Broken { error, store, redis, _proxy: proxy })
}

#[tokio::test]
async fn a_chunk_that_goes_midway_is_a_break() -> Result<()> {
    let gone = async |redis: Redis, name: String| redis.command(&["DEL", &name]).await.map(|_| redis);
    let Broken { error, store, .. } = &broken_by(|_| (), gone, Fault::None).await?;
    assert_eq!((*error, store.stats().damaged), (RemoteError::Incomplete, 0));
    let reloaded = load(store, "/x").await;
    assert!(matches!(reloaded, Ok(Loaded::Nothing(None))), "the next look sees that it is not all there, and not {reloaded:?}");
    Ok(())
}

#[tokio::test]
async fn a_chunk_that_is_damaged_is_a_break_that_is_counted_and_the_entry_goes() -> Result<()> {
    let changes: [&[&str]; 5] = [&["SETRANGE", "1000", "X"], &["SETRANGE", "0", "X"], &["SET", "short"], &["APPEND", "x"], &["SET", ""]];
    for change in changes {
        let damage = async |redis: Redis, name: String| {
            let command: Vec<&str> = [change[0], name.as_str()].into_iter().chain(change[1..].iter().copied()).collect();
            redis.command(&command).await.map(|_| redis)
        };
        let Broken { error, store, redis, .. } = &broken_by(|_| (), damage, Fault::None).await?;
        assert_eq!((*error, store.stats().damaged), (RemoteError::Damaged, 1), "{change:?}");
        let heads = || redis.count(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", HEADS]);
        eventually("waiting for the entry to go", || async { Ok((heads().await? == 0).then_some(())) }).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_chunk_of_another_body_is_damage() -> Result<()> {
    let swap = async |redis: Redis, name: String| {
        let other = chunk_name(&redis, 2).await?;
        redis.command(&["COPY", &other, &name, "REPLACE"]).await.map(|_| redis)
    };
    assert_eq!(broken_by(|_| (), swap, Fault::None).await?.error, RemoteError::Damaged);
    Ok(())
}

#[tokio::test]
async fn a_server_that_fails_midway_is_a_break() -> Result<()> {
    let nothing = async |redis: Redis, _: String| Ok(redis);
    for fault in [Fault::Refused, Fault::ResetMidway, Fault::Truncated, Fault::Garbage] {
        let Broken { error, store, .. } = broken_by(|_| (), nothing, fault).await?;
        assert!(matches!(error, RemoteError::Connection | RemoteError::Timeout | RemoteError::Refused), "{fault:?}: {error:?}");
        assert_eq!(store.stats().damaged, 0, "{fault:?}");
    }
    let impatient = |options: &mut RedisOptions| options.timeout = Duration::from_millis(300);
    assert_eq!(broken_by(impatient, nothing, Fault::Blackholed).await?.error, RemoteError::Timeout);
    let killed = async |redis: Redis, _: String| redis.kill().await.map(|()| redis);
    assert_eq!(broken_by(|_| (), killed, Fault::None).await?.error, RemoteError::Connection);
    let stopped = async |redis: Redis, _: String| redis.signal(Signal::STOP).map(|()| redis);
    assert_eq!(broken_by(impatient, stopped, Fault::None).await?.error, RemoteError::Timeout);
    Ok(())
}

#[tokio::test]
async fn a_chunk_that_is_slower_than_a_look_up_may_be_is_waited_for() -> Result<()> {
    let redis = Redis::start().await?;
    let (proxy, store) = behind_proxy(&redis, |options| options.timeout = Duration::from_millis(300)).await?;
    let gate = proxy.hold("GET", ":k:7:1");
    let arriving = arriving(&store, "/x").await;
    // A look-up on the other connection is late, and the chunk still on its way.
    proxy.set(Fault::Blackholed);
    assert_eq!(load(&store, "/y").await.unwrap_err(), RemoteError::Timeout);
    proxy.set(Fault::None);
    gate.open();
    assert_eq!(arriving.whole().await.expect("all of it").body_length(), LENGTH as u64);
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_not_all_there_is_a_miss_before_anything_is_served() -> Result<()> {
    for change in [&["DEL"][..], &["APPEND", "x"], &["SET", "short"]] {
        for number in [0, 3, 6] {
            let Setup { redis, store } = Setup::start().await?;
            commit(&store, response("/x", 7, &pattern(LENGTH)), None).await;
            let name = chunk_name(&redis, number).await?;
            let command: Vec<&str> = [change[0], name.as_str()].into_iter().chain(change[1..].iter().copied()).collect();
            redis.command(&command).await?;
            assert!(matches!(load(&store, "/x").await, Ok(Loaded::Nothing(None))), "{change:?} {number}");
            assert_eq!((store.stats().interrupted, store.stats().damaged), (0, 0));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_first_chunk_that_is_damaged_is_a_miss_like_any_damage() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, &pattern(LENGTH)), None).await;
    redis.command(&["SETRANGE", &chunk_name(&redis, 0).await?, "1000", "X"]).await?;
    assert_eq!(load(&store, "/x").await.unwrap_err(), RemoteError::Damaged);
    assert_eq!((store.stats().interrupted, store.stats().damaged), (0, 1));
    Ok(())
}

#[tokio::test]
async fn chunks_outlive_the_head_that_leads_to_them() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, &pattern(LENGTH)), None).await;
    let left = "local head, least = 0, 1e18 for _, key in ipairs(redis.call('KEYS', ARGV[1])) do local left = redis.call('PTTL', key) \
                if string.find(key, ':k:', 1, true) then least = math.min(least, left) else head = left end end return least - head";
    assert!(redis.count(&["EVAL", left, "0", ENTRIES]).await? > 30_000);
    Ok(())
}

/// A response as the first version stored it: the body, or its compressed form, cut into values that were proven as a whole only.
async fn stored_in_slices(redis: &Redis, response: &StoredResponse, form: &[u8], note: Option<&str>) -> Result<()> {
    // Its name is found by storing it once in today's form.
    commit(&another(redis, |_| ()).await?, StoredResponse::freshened(response, &response.head, response.position, 6), None).await;
    let entry = redis.command(&["EVAL", "return redis.call('KEYS', ARGV[1])[1]", "0", HEADS]).await?;
    let forget = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
    redis.command(&["EVAL", forget, "0", ENTRIES]).await?;
    let connection = redis::Client::open(redis.url()).expect("a URL").get_multiplexed_async_connection().await;
    let mut connection = connection.expect("a connection");
    let head = encode(response, response.position.shared());
    let fetch = format!("{:016x}", response.fetch);
    let mut hset = redis::cmd("HSET");
    hset.arg(&entry).arg("f").arg(&fetch).arg("id").arg(&fetch).arg("m").arg(&head[..]);
    if let Some(note) = note {
        hset.arg("c").arg(note);
    }
    hset.query_async::<()>(&mut connection).await.expect("written");
    for (index, slice) in form.chunks(SEGMENT).enumerate() {
        let name = format!("{entry}:c:{:x}:{index}", response.body_fetch());
        redis::cmd("SET").arg(name).arg(slice).query_async::<()>(&mut connection).await.expect("written");
    }
    Ok(())
}

#[tokio::test]
async fn bodies_in_slices_of_the_first_version_are_read_whole() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let content = pattern(2 * SEGMENT + 1);
    stored_in_slices(&redis, &response("/x", 7, &content), &content, None).await?;
    assert!(matches!(load(&store, "/x").await, Ok(Loaded::Response(found)) if found.body().segments().concat() == content));
    let mixed = [noise(2 * SEGMENT), vec![0; SEGMENT]].concat();
    let form = zstd::bulk::compress(&mixed, 3).expect("compressed");
    stored_in_slices(&redis, &response("/x", 7, &mixed), &form, Some(&format!("zstd {}", form.len()))).await?;
    assert!(matches!(load(&store, "/x").await, Ok(Loaded::Response(found)) if found.body().segments().concat() == mixed));
    redis.command(&["EVAL", "return redis.call('DEL', redis.call('KEYS', '*:c:7:1')[1])", "0"]).await?;
    assert!(matches!(load(&store, "/x").await, Ok(Loaded::Nothing(None))));
    Ok(())
}

/// Bytes that no compressor makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn form(number: u8) -> impl Fn(&mut RedisOptions) {
    move |options| {
        if number & 1 != 0 {
            options.compress = Some(Compression { min: 1024, level: 3 });
        }
        if number & 2 != 0 {
            let key = SealKey::parse(&"07".repeat(32)).expect("a key");
            options.keys = Some(SealKeys { key, old_keys: Vec::new() });
        }
    }
}

#[test]
fn bodies_of_any_length_content_and_form_come_back_as_they_were() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let redis = runtime.block_on(Redis::start()).expect("a server");
    let stores: Vec<RedisStore> = (0..4).map(|number| runtime.block_on(another(&redis, form(number))).expect("a replica")).collect();
    let lengths = (0_i64..4, -2_i64..=2).prop_map(|(segments, off)| (segments * SEGMENT as i64 + off).max(0) as usize);
    let kinds = proptest::collection::vec(any::<bool>(), 4);
    let config = ProptestConfig { cases: 40, ..ProptestConfig::default() };
    let fetches = AtomicU64::new(7);
    proptest!(config, |(length in lengths, kinds in kinds, form in 0_usize..4)| {
        let content: Vec<u8> = kinds.iter().flat_map(|noisy| if *noisy { noise(SEGMENT) } else { pattern(SEGMENT).to_vec() }).take(length).collect();
        let fetch = fetches.fetch_add(1, Ordering::Relaxed);
        runtime.block_on(async {
            commit(&stores[form], response("/x", fetch, &content), None).await;
            let found = find(&stores[form], "/x", &HeaderMap::new()).await.expect("stored");
            assert_eq!((found.fetch, found.body().segments().concat() == content), (fetch, true));
        });
    });
}

#[tokio::test]
async fn sealed_chunks_open_at_their_place_only() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], form(3)).await?;
    commit(&store, response("/x", 7, &noise(LENGTH)), None).await;
    let content: Bytes = noise(LENGTH).into();
    assert_eq!(find(&store, "/x", &HeaderMap::new()).await.expect("stored").body().segments().concat(), content);
    redis.command(&["COPY", &chunk_name(&redis, 2).await?, &chunk_name(&redis, 1).await?, "REPLACE"]).await?;
    let arriving = arriving(&store, "/x").await;
    assert_eq!(arriving.whole().await.unwrap_err(), RemoteError::Damaged);
    assert_eq!((store.stats().locked, store.stats().damaged), (1, 0));
    eventually("waiting for the entry to go", || async { Ok((entries(&redis).await? == 7).then_some(())) }).await
}
