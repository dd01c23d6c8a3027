//! Entries in Redis are smaller, or sealed, and the responses that are found are the same.

use std::sync::Arc;

use http::HeaderMap;
use larder_redis::{Compression, RedisOptions, SealKey, SealKeys};
use larder_store::{LoadRequest, RemoteError, RemoteStore, SEGMENT, Write};
use larder_testkit::Result;
use larder_testkit::wait::eventually;

use crate::support::{ENTRIES, MINUTE, Setup, another, commit, entries, find, head, key, response, speaking, text, variant};

fn compressed(options: &mut RedisOptions) {
    options.compress = Some(Compression { min: 1024, level: 3 });
}

fn sealed(key: u8, old: &[u8]) -> impl FnOnce(&mut RedisOptions) {
    let parse = |byte: &u8| SealKey::parse(&format!("{byte:02x}").repeat(32)).unwrap();
    let keys = SealKeys { key: parse(&key), old_keys: old.iter().map(parse).collect() };
    move |options| options.keys = Some(keys)
}

fn both(options: &mut RedisOptions) {
    compressed(options);
    sealed(1, &[])(options);
}

fn prose(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|n| format!("the {n}th of many sentences. ").into_bytes()).take(length).collect()
}

#[tokio::test]
async fn bodies_that_get_shorter_are_stored_so_and_found_by_replicas_of_any_setting() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], compressed).await?;
    let other = another(&redis, |_| ()).await?;
    for (path, length) in [("/short", 1023), ("/small", 2_000), ("/segment", SEGMENT + 1), ("/large", 4 << 20)] {
        let content = prose(length);
        commit(&store, response(path, 7, &content), None).await;
        for store in [&store, &other] {
            assert_eq!(find(store, path, &HeaderMap::new()).await.expect(path).body().segments().concat(), content, "{path}");
        }
    }
    let saved = store.stats().saved_bytes;
    assert!(saved > 3 << 20, "{saved}");
    let used =
        "local all = 0 for _, key in ipairs(redis.call('KEYS', ARGV[1])) do all = all + redis.call('MEMORY', 'USAGE', key) end return all";
    let used = redis.count(&["EVAL", used, "0", ENTRIES]).await?;
    assert!(used < 1 << 20, "{used}");
    Ok(())
}

#[tokio::test]
async fn a_body_written_again_as_it_is_is_not_taken_for_a_compressed_one() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], compressed).await?;
    let plain = another(&redis, |_| ()).await?;
    let content = prose(2_000);
    for (fetch, writer) in [(7, &store), (8, &plain), (9, &store)] {
        commit(writer, response("/x", fetch, &content), None).await;
        let found = find(&plain, "/x", &HeaderMap::new()).await.expect("stored");
        assert_eq!((found.fetch, found.body().segments().concat()), (fetch, content.clone()));
    }
    Ok(())
}

#[tokio::test]
async fn a_304_renews_the_head_of_a_compressed_body_and_all_its_chunks() -> Result<()> {
    // Enough that its compressed form has chunks.
    let mut content = prose(SEGMENT);
    let mut noise = 1_u64;
    content.extend((0..2 * SEGMENT).map(|_| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b"0123456789abcdef"[(noise >> 60) as usize]
    }));
    for change in [compressed, both] {
        let Setup { redis, store } = Setup::with(&[], change).await?;
        let stored = response("/x", 7, &content);
        commit(&store, response("/x", 7, &content), None).await;
        assert!(entries(&redis).await? > 2, "an entry and chunks");
        let renewed = Arc::new(stored.freshened(&head("\"2\""), stored.position, 9));
        store.freshen(Write { response: renewed, keep: 10 * MINUTE, lease: None, log_position: None }).await;
        assert_eq!(store.stats().written, 1, "the body was not written again");
        let found = find(&store, "/x", &HeaderMap::new()).await.expect("still there");
        assert_eq!((found.fetch, found.head.headers.to_map()["etag"].as_bytes()), (9, &b"\"2\""[..]));
        assert_eq!(found.body().segments().concat(), content);
        let least = "local least = 1e18 for _, key in ipairs(redis.call('KEYS', ARGV[1])) do least = math.min(least, redis.call('PTTL', key)) end return least";
        assert!(redis.count(&["EVAL", least, "0", ENTRIES]).await? > 5 * 60_000);
    }
    Ok(())
}

#[tokio::test]
async fn a_form_that_this_version_does_not_know_is_a_miss_and_left_alone() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], compressed).await?;
    commit(&store, response("/x", 7, &prose(2_000)), None).await;
    let entry = redis.command(&["EVAL", "return redis.call('KEYS', ARGV[1])[1]", "0", ENTRIES]).await?;
    redis.command(&["HSET", &entry, "c", "later 12"]).await?;
    assert_eq!(text(&store, "/x").await, None);
    assert_eq!(entries(&redis).await?, 1);
    redis.command(&["HSET", &entry, "c", "zstd 999999999"]).await?;
    let (key, request) = (key("/x"), HeaderMap::new());
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
    assert_eq!(store.load(ask).await.unwrap_err(), RemoteError::Damaged);
    Ok(())
}

/// All that lies in Redis, in one string.
async fn everything(redis: &larder_testkit::Redis) -> Result<String> {
    let dump = "local all = '' for _, key in ipairs(redis.call('KEYS', ARGV[1])) do local kind = redis.call('TYPE', key).ok \
                if kind == 'hash' then all = all .. table.concat(redis.call('HVALS', key)) else all = all .. redis.call('GET', key) end end return all";
    redis.command(&["EVAL", dump, "0", ENTRIES]).await
}

#[tokio::test]
async fn a_sealed_entry_shows_nothing_and_is_found_with_the_key() -> Result<()> {
    for change in [both as fn(&mut RedisOptions), |options| sealed(1, &[])(options)] {
        let Setup { redis, store } = Setup::with(&[], change).await?;
        let other = another(&redis, change).await?;
        for (path, length) in [("/empty", 0), ("/small", 2_000), ("/large", 3 * SEGMENT)] {
            commit(&store, response(path, 7, &prose(length)), None).await;
            assert_eq!(find(&other, path, &HeaderMap::new()).await.expect(path).body().segments().concat(), prose(length), "{path}");
        }
        for language in ["de", "en"] {
            commit(&store, variant("/v", 7, language), None).await;
            assert_eq!(find(&other, "/v", &speaking(language)).await.expect(language).body().segments().concat(), language.as_bytes());
        }
        let all = everything(&redis).await?;
        for secret in ["sentences", "etag", "accept-language", "/small"] {
            assert!(!all.contains(secret), "{secret}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn keys_are_rotated_and_a_wrong_one_is_a_miss_that_is_counted_and_deleted() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], sealed(1, &[])).await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    let rotated = another(&redis, sealed(2, &[1])).await?;
    assert_eq!(text(&rotated, "/x").await.as_deref(), Some("hello"));
    commit(&rotated, response("/y", 7, b"new"), None).await;
    let (key, request) = (key("/y"), HeaderMap::new());
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
    for (change, number) in [(Some(3), 1), (None, 2)] {
        commit(&rotated, response("/y", 7 + number, b"new"), None).await;
        let stranger = another(&redis, |options| {
            if let Some(key) = change {
                sealed(key, &[])(options);
            }
        })
        .await?;
        assert_eq!(stranger.load(ask).await.unwrap_err(), RemoteError::Damaged);
        assert_eq!((stranger.stats().locked, stranger.stats().damaged), (1, 0));
        eventually("waiting for it to be deleted", || async { Ok((entries(&redis).await? == 1).then_some(())) }).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_moved_or_unsealed_entry_does_not_open() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], sealed(1, &[])).await?;
    let plain = another(&redis, |_| ()).await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    let nth = "return redis.call('KEYS', ARGV[1])[1]";
    let hello = redis.command(&["EVAL", nth, "0", ENTRIES]).await?;
    let head = redis.command(&["EVAL", "return redis.call('HGET', KEYS[1], 'm') == redis.call('HGET', KEYS[1], 'b')", "1", &hello]).await?;
    assert_eq!(head, "$-1", "head and body differ");
    redis.command(&["EVAL", "return redis.call('HSET', KEYS[1], 'b', redis.call('HGET', KEYS[1], 'm'))", "1", &hello]).await?;
    let (key, request) = (key("/x"), HeaderMap::new());
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
    assert_eq!(store.load(ask).await.unwrap_err(), RemoteError::Damaged);
    eventually("waiting for it to be deleted", || async { Ok((entries(&redis).await? == 0).then_some(())) }).await?;
    commit(&plain, response("/x", 8, b"planted"), None).await;
    assert_eq!(store.load(ask).await.unwrap_err(), RemoteError::Damaged);
    assert_eq!(store.stats().locked, 2);
    Ok(())
}
