//! Chunks without a head do not stay for long.

use std::sync::Arc;
use std::time::Duration;

use larder_redis::{Operation, RedisObserver, RedisOptions, RedisServers, RedisStore, RedisUrl};
use larder_store::{Invalidation, InvalidationTarget, Position, Published, RemoteError, RemoteStore, SEGMENT, StoredResponse, Write};
use larder_testkit::faults::FaultProxy;
use larder_testkit::gate::Gate;
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};

use crate::support::{CLOCKS, MINUTE, Setup, another, commit, entries, has_read_the_log, head, pattern, response, text, variant};

/// How many chunks a fetch brought that stay for longer than somebody may still be reading them.
async fn staying(redis: &Redis, fetch: u64) -> Result<i64> {
    let count = "local n = 0 for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
                 if redis.call('PTTL', key) > 10000 then n = n + 1 end end return n";
    redis.count(&["EVAL", count, "0", &format!("larder:*:k:{fetch:x}:*")]).await
}

async fn chunks(redis: &Redis, fetch: u64) -> Result<i64> {
    redis.count(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", &format!("larder:*:k:{fetch:x}:*")]).await
}

fn long(path: &str, fetch: u64) -> StoredResponse {
    response(path, fetch, &pattern(2 * SEGMENT))
}

#[tokio::test]
async fn chunks_of_a_body_that_is_replaced_go() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    for fetch in 7..28 {
        commit(&store, long("/x", fetch), None).await;
        assert_eq!((staying(&redis, fetch - 1).await?, staying(&redis, fetch).await?), (0, 2), "{fetch}");
    }
    commit(&store, response("/x", 30, b"short"), None).await;
    assert_eq!(staying(&redis, 27).await?, 0);
    Ok(())
}

#[tokio::test]
async fn chunks_of_a_body_that_comes_too_late_go_at_once() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, long("/x", 8), None).await;
    commit(&store, long("/x", 7), None).await;
    assert_eq!((chunks(&redis, 7).await?, staying(&redis, 8).await?), (0, 2));
    // A head that was renewed later has this very body.
    let renewed = Arc::new(long("/x", 8).freshened(&head("\"1\""), Position::of_log(3), 9));
    store.freshen(Write { response: renewed, keep: MINUTE, lease: None, log_position: None }).await;
    commit(&store, long("/x", 8), None).await;
    assert_eq!(staying(&redis, 8).await?, 2);
    Ok(())
}

#[tokio::test]
async fn chunks_go_with_the_entry_that_is_dropped_or_becomes_one_of_variants() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, long("/x", 7), None).await;
    store.remove(&long("/x", 7));
    assert!(store.drain(MINUTE).await);
    assert_eq!((text(&store, "/x").await, staying(&redis, 7).await?), (None, 0));
    commit(&store, long("/y", 8), None).await;
    commit(&store, variant("/y", 9, "de"), None).await;
    assert_eq!(staying(&redis, 8).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_purge_of_everything_drops_what_is_stored_and_nothing_later() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    for (path, fetch) in [("/x", 7), ("/y", 8)] {
        commit(&store, long(path, fetch), None).await;
    }
    commit(&store, variant("/z", 9, "de"), None).await;
    store.name_keys(Some(Arc::new(|key| key.url().ends_with("/named").then(|| "n:1".to_owned()))));
    commit(&store, response("/named", 9, b"named"), None).await;
    let purge = |invalidation| async { store.log().publish(invalidation).await };
    assert!(matches!(purge(Invalidation::soft([InvalidationTarget::All])).await, Published::Logged(_)));
    let Published::Logged(number) = purge(Invalidation::hard([InvalidationTarget::Tag("t".to_owned())])).await else { panic!("no log") };
    let later = response("/later", 10, &pattern(2 * SEGMENT)).freshened(&head("\"1\""), Position::of_log(number + 1), 10);
    commit(&store, later, None).await;
    assert_eq!(entries(&redis).await?, 2 * 3 + 2 + 3);
    let Published::Logged(everything) = purge(Invalidation::hard([InvalidationTarget::All])).await else { panic!("no log") };
    assert_eq!(everything, number + 1);
    // A primary entry that leads to variants is no stored response, and expires by itself.
    let gone = || async { Ok((staying(&redis, 7).await? + staying(&redis, 8).await? == 0).then_some(())) };
    eventually("waiting for the chunks to go", gone).await?;
    let heads = || async { Ok((redis.count(&["EVAL", HEADS, "0"]).await? == 2).then_some(())) };
    eventually("waiting for the heads to go", heads).await?;
    assert!(text(&store, "/later").await.is_some());
    let named = || async { Ok((redis.count(&["EVAL", "return #redis.call('KEYS', 'larder:n:1:*')", "0"]).await? == 0).then_some(())) };
    eventually("waiting for what has a name to go", named).await?;
    Ok(())
}

#[tokio::test]
async fn a_purge_of_everything_that_was_kept_or_came_by_the_channel_drops_what_is_stored() -> Result<()> {
    let Setup { redis, store: other } = Setup::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let url = RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap();
    let store = another(&redis, |options| {
        options.servers = RedisServers::Single(url);
        options.timeout = Duration::from_millis(100);
    });
    let (store, everything) = (store.await?, Invalidation::hard([InvalidationTarget::All]));
    let gone = || async { Ok((entries(&redis).await? == 0).then_some(())) };
    commit(&other, response("/x", 7, b"old"), None).await;
    assert!(matches!(store.log().publish_once(everything.clone(), vec![7]).await, Published::Logged(_)));
    eventually("waiting for what a message invalidated to go", gone).await?;
    commit(&other, response("/y", 8, b"old"), None).await;
    let scripts = proxy.hold("EVALSHA", "");
    assert_eq!(store.log().publish(everything).await, Published::Kept);
    scripts.open();
    eventually("waiting for what a kept purge invalidated to go", gone).await
}

#[tokio::test]
async fn a_server_that_answers_late_once_is_swept_all_the_same() -> Result<()> {
    let Setup { redis, store: other } = Setup::start().await?;
    let (proxy, late) = (FaultProxy::start(redis.address()).await?, Arc::new(Late(Gate::new("a late answer"))));
    let mut options = RedisOptions::new(RedisServers::Single(RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap()));
    (options.timeout, options.breaker_open) = (Duration::from_millis(100), Duration::from_millis(10));
    let store = RedisStore::start(options, CLOCKS, Arc::default(), Some(Arc::clone(&late) as _)).unwrap();
    has_read_the_log(&store).await?;
    for path in ["/x", "/y", "/z"] {
        commit(&other, response(path, 7, b"old"), None).await;
    }
    let looks = proxy.hold("HMGET", "");
    assert!(matches!(store.log().publish(Invalidation::hard([InvalidationTarget::All])).await, Published::Logged(_)));
    late.0.reached(1).await?;
    looks.open();
    eventually("waiting for what a purge invalidated to go", || async { Ok((entries(&redis).await? == 0).then_some(())) }).await
}

/// Marks each removal that Redis did not answer in time.
struct Late(Gate);

impl RedisObserver for Late {
    fn operation(&self, operation: Operation, outcome: std::result::Result<(), RemoteError>, _: Duration) {
        if (operation, outcome) == (Operation::Remove, Err(RemoteError::Timeout)) {
            self.0.mark();
        }
    }
}

#[tokio::test]
async fn a_purge_of_everything_leaves_other_namespaces_alone() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let shop = another(&redis, |options| options.prefix = "larder:shop".to_owned()).await?;
    for store in [&store, &shop] {
        store.name_keys(Some(Arc::new(|key| key.url().ends_with("/named").then(|| "n:1".to_owned()))));
        for (path, fetch) in [("/named", 7), ("/plain", 8)] {
            commit(store, response(path, fetch, b"kept"), None).await;
        }
    }
    let everything = || async { store.log().publish(Invalidation::hard([InvalidationTarget::All])).await };
    let named = || async { Ok((redis.count(&["EVAL", "return #redis.call('KEYS', 'larder:n:1:*')", "0"]).await? == 0).then_some(())) };
    let Published::Logged(number) = everything().await else { panic!("no log") };
    eventually("waiting for the first purge", &named).await?;
    // What the first purge leaves alone, the second one drops, once the first has looked at everything.
    let later = response("/named", 9, b"later").freshened(&head("\"1\""), Position::of_log(number), 9);
    commit(&store, later, None).await;
    assert!(matches!(everything().await, Published::Logged(_)));
    eventually("waiting for the second purge", &named).await?;
    for path in ["/named", "/plain"] {
        assert_eq!(text(&shop, path).await.as_deref(), Some("kept"), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_full_server_keeps_no_chunks_of_a_body_that_it_refused() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let used = redis.count(&["EVAL", "return tonumber(string.match(redis.call('INFO', 'memory'), 'used_memory:(%d+)'))", "0"]).await?;
    // Room for some of them.
    redis.command(&["CONFIG", "SET", "maxmemory", &(used + (2 << 20)).to_string()]).await?;
    commit(&store, response("/x", 7, &pattern(30 * SEGMENT)), None).await;
    assert_eq!((chunks(&redis, 7).await?, text(&store, "/x").await), (0, None));
    Ok(())
}

const HEADS: &str = "local n = 0 for _, key in ipairs(redis.call('KEYS', 'larder:{????????????????????????????????}*')) do \
                     if redis.call('TYPE', key).ok == 'hash' then n = n + 1 end end return n";
