use std::sync::Arc;

use http::HeaderMap;
use larder_redis::Clocks;
use larder_semantics::{StoredHead, Timestamp};
use larder_store::{LoadRequest, Loaded, Position, RemoteError, RemoteStore, SEGMENT, Write};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};

use crate::support::{
    CLOCKS, ENTRIES, MINUTE, Setup, another, commit, entries, find, has_read_the_log, head, key, pattern, replica_by, response, speaking,
    text, variant, wall,
};

#[tokio::test]
async fn a_response_of_one_replica_is_found_by_another() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    for (path, length) in [("/empty", 0), ("/small", 5), ("/segment", SEGMENT), ("/large", 3 * SEGMENT + 7)] {
        let content = pattern(length);
        commit(&store, response(path, 7, &content), None).await;
        let found = find(&other, path, &HeaderMap::new()).await.expect(path);
        assert_eq!(found.body().segments().concat(), content, "{path}");
        assert_eq!((found.fetch, found.position.log_number(), found.head.headers.to_map()["etag"].as_bytes()), (7, 3, &b"\"1\""[..]));
    }
    assert_eq!(text(&other, "/other").await, None);
    assert_eq!((other.stats().hits, other.stats().misses), (4, 1));
    Ok(())
}

#[tokio::test]
async fn every_key_has_an_end_and_what_belongs_together_lies_in_one_slot() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, &pattern(2 * SEGMENT + 1)), None).await;
    let nth = "return redis.call('KEYS', ARGV[1])[tonumber(ARGV[2])]";
    let count = redis.count(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", ENTRIES]).await?;
    assert_eq!(count, 4, "an entry and three chunks");
    let mut tags = Vec::new();
    for index in 1..=count {
        let name = redis.command(&["EVAL", nth, "0", ENTRIES, &index.to_string()]).await?;
        assert!(redis.count(&["PTTL", &name]).await? > 0, "{name}");
        tags.push(name.split(['{', '}']).nth(1).map(str::to_owned));
    }
    tags.dedup();
    assert!(matches!(&tags[..], [Some(_)]), "{tags:?}");
    Ok(())
}

#[tokio::test]
async fn of_two_fetches_the_later_one_stays_whichever_is_written_first() -> Result<()> {
    let Setup { redis: _redis, store } = Setup::start().await?;
    commit(&store, response("/x", 9, b"later"), None).await;
    commit(&store, response("/x", 8, b"earlier"), None).await;
    assert_eq!(text(&store, "/x").await.as_deref(), Some("later"));
    store.remove(&response("/x", 8, b""));
    commit(&store, response("/y", 1, b"a write that is done after the removal"), None).await;
    assert_eq!(text(&store, "/x").await.as_deref(), Some("later"), "an earlier fetch removes nothing of a later one");
    Ok(())
}

#[tokio::test]
async fn variants_are_found_by_what_selects_them() -> Result<()> {
    let Setup { redis: _redis, store } = Setup::start().await?;
    for language in ["de", "en"] {
        commit(&store, variant("/x", 7, language), None).await;
    }
    for language in ["de", "en"] {
        let found = find(&store, "/x", &speaking(language)).await.expect(language);
        assert_eq!(found.body().segments().concat(), language.as_bytes());
    }
    assert!(find(&store, "/x", &speaking("fr")).await.is_none());
    let spec = variant("/x", 7, "de").variant().expect("a variant").spec.clone();
    let (key, request) = (key("/x"), speaking("de"));
    let ask = LoadRequest { key: &key, request: &request, spec: Some(&spec), newer_than: 6, lease: None, awaited: None };
    assert!(matches!(store.load(ask).await, Ok(Loaded::Response(_))));
    assert!(matches!(store.load(LoadRequest { newer_than: 7, ..ask }).await, Ok(Loaded::Nothing(None))), "known already");
    Ok(())
}

#[tokio::test]
async fn a_304_rewrites_the_head_alone_while_the_body_is_there() -> Result<()> {
    for length in [5, SEGMENT + 1] {
        let Setup { redis, store } = Setup::start().await?;
        let stored = response("/x", 7, &pattern(length));
        commit(&store, response("/x", 7, &pattern(length)), None).await;
        let renew = async |fetch, etag| {
            let response = Arc::new(stored.freshened(&head(etag), stored.position, fetch));
            store.freshen(Write { response, keep: 10 * MINUTE, lease: None, log_position: None }).await;
        };
        renew(9, "\"2\"").await;
        let found = find(&store, "/x", &HeaderMap::new()).await.expect("still there");
        assert_eq!((found.fetch, found.body_fetch()), (9, 7));
        assert_eq!(found.head.headers.to_map()["etag"], "\"2\"");
        assert_eq!(found.body_length(), length as u64);
        assert_eq!(store.stats().written, 1, "the body was not written again");
        renew(8, "\"earlier\"").await;
        assert_eq!(find(&store, "/x", &HeaderMap::new()).await.expect("still there").head.headers.to_map()["etag"], "\"2\"");

        redis.command(&["FLUSHALL"]).await?;
        renew(10, "\"3\"").await;
        let found = find(&store, "/x", &HeaderMap::new()).await.expect("written again");
        assert_eq!(found.head.headers.to_map()["etag"], "\"3\"");
        assert_eq!(found.body_length(), length as u64);
    }
    Ok(())
}

#[tokio::test]
async fn the_way_to_a_variant_lasts_as_long_as_the_variant() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let lasts = async || redis.count(&["EVAL", "return redis.call('PTTL', redis.call('KEYS', ARGV[1])[1])", "0", PRIMARY]).await;
    let renew = async |fetch, language, keep| {
        let response = Arc::new(variant("/x", 7, language).freshened(&head("\"2\""), Position::of_log(3), fetch));
        store.freshen(Write { response, keep, lease: None, log_position: None }).await;
    };
    commit(&store, variant("/x", 7, "de"), None).await;
    renew(9, "de", 10 * MINUTE).await;
    assert!(lasts().await? > 60_000, "a 304 renews both");
    renew(10, "de", MINUTE).await;
    assert!(lasts().await? > 60_000, "another variant may need it");
    redis.command(&["EVAL", "return redis.call('DEL', redis.call('KEYS', ARGV[1])[1])", "0", PRIMARY]).await?;
    renew(11, "de", MINUTE).await;
    assert!(find(&store, "/x", &speaking("de")).await.is_some(), "it is there again");
    // Written late, and to be kept for longer.
    store.commit(Write { response: Arc::new(variant("/x", 8, "en")), keep: 20 * MINUTE, lease: None, log_position: None }).await;
    assert!(lasts().await? > 600_000);
    Ok(())
}

#[tokio::test]
async fn age_is_counted_by_one_clock_whatever_replicas_take_the_time_to_be() -> Result<()> {
    let redis = Redis::start_with(&[]).await?;
    let by = async |wall: fn() -> Timestamp| {
        let store = replica_by(Clocks { wall: Some(wall), ..CLOCKS }, &redis, Arc::default(), |_| ());
        has_read_the_log(&store).await.map(|()| store)
    };
    let store = by(wall).await?;
    fn ahead() -> Timestamp {
        Timestamp::from_millis(wall().as_millis() + 5_000)
    }
    let ahead_of_all = by(ahead).await?;
    // Fetched four seconds ago by a clock that is five ahead: to others, in a second from now.
    let head = StoredHead { response_time: Timestamp::from_millis(ahead().as_millis() - 4_000), ..head("\"1\"") };
    let fetched = response("/x", 7, b"hello").freshened(&head, Position::of_log(3), 7);
    commit(&ahead_of_all, fetched, None).await;
    let found = find(&store, "/x", &HeaderMap::new()).await.expect("stored");
    assert!(found.head.age(wall()) >= 4, "{}", found.head.age(wall()));
    Ok(())
}

const PRIMARY: &str = "larder:{????????????????????????????????}";

/// The name of the only entry.
async fn only_entry(redis: &Redis) -> Result<String> {
    redis.command(&["EVAL", "return redis.call('KEYS', ARGV[1])[1]", "0", ENTRIES]).await
}

#[tokio::test]
async fn a_damaged_entry_is_a_miss_once_and_then_gone() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let (request, key) = (HeaderMap::new(), key("/x"));
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
    for (field, rubbish) in [("m", "rubbish"), ("m", ""), ("b", "HELLO"), ("b", "")] {
        commit(&store, response("/x", 7, b"hello"), None).await;
        let name = only_entry(&redis).await?;
        redis.command(&["HSET", &name, field, rubbish]).await?;
        assert_eq!(store.load(ask).await.unwrap_err(), RemoteError::Damaged, "{field}");
        eventually("waiting for it to be deleted", || async { Ok((entries(&redis).await? == 0).then_some(())) }).await?;
    }
    assert_eq!(store.stats().damaged, 4);
    Ok(())
}

#[tokio::test]
async fn a_body_with_a_chunk_evicted_is_a_miss() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, &pattern(2 * SEGMENT)), None).await;
    let drop_chunk = "return redis.call('DEL', redis.call('KEYS', '*:k:7:1')[1])";
    assert_eq!(redis.count(&["EVAL", drop_chunk, "0"]).await?, 1);
    assert_eq!(text(&store, "/x").await, None);
    Ok(())
}

#[tokio::test]
async fn a_value_that_is_no_entry_of_ours_is_a_miss() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    let name = only_entry(&redis).await?;
    redis.command(&["SET", &name, "a string, not a hash"]).await?;
    let (request, key) = (HeaderMap::new(), key("/x"));
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
    assert_eq!(store.load(ask).await.unwrap_err(), RemoteError::Refused);
    Ok(())
}

#[tokio::test]
async fn a_key_begins_with_its_name_and_two_of_one_name_are_two() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    for replica in [&store, &other] {
        replica.name_keys(Some(Arc::new(|key| key.url().contains("/named").then(|| "issue:7".to_owned()))));
    }
    for (path, content) in [("/named/a", "a"), ("/named/b", "b"), ("/plain", "c")] {
        commit(&store, response(path, 7, content.as_bytes()), None).await;
        assert_eq!(text(&other, path).await.as_deref(), Some(content));
    }
    commit(&store, response("/named/long", 8, &pattern(2 * SEGMENT)), None).await;
    commit(&store, variant("/named/v", 9, "de"), None).await;
    let digest = "{????????????????????????????????}";
    let count = async |end: &str| {
        redis.count(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", &format!("larder:issue:7:{digest}{end}")]).await
    };
    assert_eq!((count("").await?, count(":k:*").await?, count(":v:*").await?), (4, 2, 1));
    assert_eq!(entries(&redis).await?, 1, "without a name as ever");
    // Under another name it is not found, and a replica that names it again finds it.
    other.name_keys(None);
    assert_eq!((text(&other, "/named/a").await, text(&store, "/named/a").await.as_deref()), (None, Some("a")));
    Ok(())
}
