//! What is removed, or not written, leaves nothing older to be found.

use std::sync::Arc;

use larder_redis::{RedisServers, RedisUrl, WriteMode};
use larder_store::{Loaded, Position, RemoteStore, SEGMENT, Write};
use larder_testkit::faults::FaultProxy;
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};
use rustix::process::Signal;

use crate::support::{MINUTE, Setup, another, ask_for_lease, commit, entries, find, head, pattern, response, speaking, text, variant};

/// What its origin takes back may still be on its way to Redis, from this replica or from another one.
#[tokio::test]
async fn what_is_removed_is_not_written_afterwards() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let long = || response("/x", 7, &pattern(2 * SEGMENT));
    store.remove(&response("/x", 8, b""));
    assert!(store.drain(MINUTE).await);
    commit(&other, long(), None).await;
    assert_eq!((text(&store, "/x").await, entries(&redis).await?), (None, 1), "the mark of the removal alone, and no chunks");
    commit(&other, response("/x", 8, b"the very one"), None).await;
    let renewed = Arc::new(long().freshened(&head("\"2\""), Position::of_log(3), 8));
    other.freshen(Write { response: renewed, keep: MINUTE, lease: None, log_position: None }).await;
    assert_eq!((text(&store, "/x").await, entries(&redis).await?), (None, 1));
    assert!(matches!(ask_for_lease(&store, "/x", MINUTE).await, Ok(Loaded::Nothing(Some(_)))), "it may be fetched");
    commit(&store, response("/x", 9, b"later"), None).await;
    assert_eq!(text(&other, "/x").await.as_deref(), Some("later"));
    Ok(())
}

#[tokio::test]
async fn variants_are_not_found_by_way_of_what_is_removed() -> Result<()> {
    let Setup { redis: _redis, store } = Setup::start().await?;
    for (path, is_renewed) in [("/x", false), ("/y", true)] {
        commit(&store, variant(path, 6, "de"), None).await;
        store.remove(&response(path, 8, b""));
        assert!(store.drain(MINUTE).await);
        commit(&store, response(path, 7, b"without Vary"), None).await;
        assert!(find(&store, path, &speaking("de")).await.is_none());
        let later = variant(path, 6, "de").freshened(&head("\"2\""), Position::of_log(3), 9);
        let write = Write { response: Arc::new(later), keep: MINUTE, lease: None, log_position: None };
        if is_renewed {
            store.freshen(write).await
        } else {
            store.commit(write).await
        }
        assert_eq!(find(&store, path, &speaking("de")).await.expect(path).fetch, 9, "a later one leads there");
    }
    Ok(())
}

#[tokio::test]
async fn a_removal_that_overtakes_the_write_of_a_long_body_holds_it_off() -> Result<()> {
    let redis = Redis::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let url = RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap();
    let store = another(&redis, |options| {
        options.servers = RedisServers::Single(url);
        options.write = WriteMode::Behind;
    })
    .await?;
    let chunk = proxy.hold("SET", ":k:7:0");
    commit(&store, response("/x", 7, &pattern(2 * SEGMENT)), None).await;
    chunk.reached(1).await?;
    store.remove(&response("/x", 7, b""));
    eventually("waiting for the removal", || async { Ok((store.stats().queued == 1).then_some(())) }).await?;
    chunk.open();
    assert!(store.drain(MINUTE).await);
    assert_eq!((text(&store, "/x").await, entries(&redis).await?), (None, 1));
    Ok(())
}

/// The memory of this replica has a newer one, and others would have two versions by turns.
#[tokio::test]
async fn a_body_larger_than_is_kept_there_leaves_no_earlier_response_behind() -> Result<()> {
    let Setup { redis: _redis, store } = Setup::with(&[], |options| options.max_object = 10).await?;
    let gone = async |path| {
        assert!(store.drain(MINUTE).await);
        assert_eq!(text(&store, path).await, None, "{path}");
    };
    commit(&store, response("/x", 7, b"short"), None).await;
    commit(&store, response("/x", 8, b"more than ten bytes"), None).await;
    gone("/x").await;
    commit(&store, response("/x", 9, b"short"), None).await;
    commit(&store, response("/x", 8, b"more than ten bytes"), None).await;
    assert!(store.drain(MINUTE).await);
    assert_eq!(text(&store, "/x").await.as_deref(), Some("short"), "it is the later one");
    let renewed = response("/x", 8, b"more than ten bytes").freshened(&head("\"2\""), Position::of_log(3), 10);
    store.freshen(Write { response: Arc::new(renewed), keep: MINUTE, lease: None, log_position: None }).await;
    gone("/x").await;
    // The earlier one was for all, and would answer for each variant.
    commit(&store, response("/y", 7, b"short"), None).await;
    commit(&store, variant("/y", 8, "de-1996-bavarian"), None).await;
    gone("/y").await;
    commit(&store, variant("/y", 9, "en"), None).await;
    commit(&store, variant("/y", 10, "de-1996-bavarian"), None).await;
    assert!(store.drain(MINUTE).await);
    assert!(find(&store, "/y", &speaking("en")).await.is_some(), "another variant is none of its business");
    Ok(())
}

#[tokio::test]
async fn a_write_that_finds_no_room_in_the_queue_leaves_no_earlier_response_behind() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], |options| {
        options.write = WriteMode::Behind;
        options.write_queue = 100;
    })
    .await?;
    commit(&store, response("/x", 7, b"earlier"), None).await;
    assert!(store.drain(MINUTE).await);
    redis.signal(Signal::STOP)?;
    commit(&store, response("/a", 8, &[b'a'; 100]), None).await;
    commit(&store, response("/x", 9, b"later"), None).await;
    redis.signal(Signal::CONT)?;
    assert!(store.drain(MINUTE).await);
    assert_eq!((store.stats().dropped, text(&store, "/x").await), (1, None));
    Ok(())
}

#[tokio::test]
async fn a_write_that_fails_leaves_no_earlier_response_behind() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, b"earlier"), None).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    commit(&store, response("/x", 8, b"later"), None).await;
    assert!(store.drain(MINUTE).await);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    assert_eq!((store.stats().written, text(&store, "/x").await), (1, None));
    Ok(())
}
