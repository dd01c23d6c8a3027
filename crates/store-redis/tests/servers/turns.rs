//! What replicas do in turn.

use std::sync::Arc;

use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl};
use larder_testkit::{Redis, Result};

use crate::support::{CLOCKS, MINUTE, another};

fn replica(redis: &Redis) -> RedisStore {
    let mut options = RedisOptions::new(RedisServers::Single(RedisUrl::parse(&redis.url()).unwrap()));
    options.timeout = MINUTE / 12;
    RedisStore::start(options, CLOCKS, Arc::default(), None).unwrap()
}

#[tokio::test]
async fn one_replica_of_all_has_the_turn_and_all_hear_its_word() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (replica(&redis), replica(&redis));
    assert_eq!(one.turn("a", MINUTE).await.unwrap(), (None, true));
    assert_eq!(other.turn("a", MINUTE).await.unwrap(), (None, false));
    assert_eq!(other.turn("b", MINUTE).await.unwrap(), (None, true), "something else has turns of its own");
    one.tell("a", "good 1", MINUTE).await;
    let told = || Some("good 1".to_owned());
    assert_eq!(other.turn("a", MINUTE).await.unwrap(), (told(), false));
    assert_eq!(one.turn("a", MINUTE).await.unwrap(), (told(), false), "once in a term");
    Ok(())
}

/// One that people know by this name, once it is in the registry.
async fn registered(redis: &Redis, name: &str) -> Result<RedisStore> {
    another(redis, |options| options.replica = name.to_owned()).await
}

#[tokio::test]
async fn a_turn_is_one_replicas_for_as_long_as_that_lives() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (registered(&redis, "one").await?, registered(&redis, "other").await?);
    assert!(one.take_turn("a", MINUTE).await.unwrap());
    assert!(!other.take_turn("a", MINUTE).await.unwrap());
    assert!(one.take_turn("a", MINUTE).await.unwrap(), "it is its own");
    one.leave().await;
    assert!(other.take_turn("a", MINUTE).await.unwrap());
    let late = registered(&redis, "late").await?;
    assert!(!late.take_turn("a", MINUTE).await.unwrap(), "it is the other's now");
    Ok(())
}

#[tokio::test]
async fn a_turn_of_an_earlier_process_is_taken_over_by_the_next_under_its_name() -> Result<()> {
    let redis = Redis::start().await?;
    assert!(registered(&redis, "one").await?.take_turn("a", MINUTE).await.unwrap());
    assert!(registered(&redis, "one").await?.take_turn("a", MINUTE).await.unwrap());
    Ok(())
}

#[tokio::test]
async fn a_turn_that_is_kept_lasts_longer() -> Result<()> {
    let redis = Redis::start().await?;
    let one = registered(&redis, "one").await?;
    assert!(one.take_turn("a", MINUTE).await.unwrap());
    one.keep_turn("a", 2 * MINUTE).await;
    let left = "return redis.call('PTTL', redis.call('KEYS', 'larder:{turn:*}:t')[1])";
    assert!(redis.count(&["EVAL", left, "0"]).await? > 60_000);
    Ok(())
}

#[tokio::test]
async fn where_redis_is_away_no_replica_waits_for_another() -> Result<()> {
    let redis = Redis::start().await?;
    let one = replica(&redis);
    drop(redis);
    assert!(one.turn("a", MINUTE).await.is_err());
    assert!(one.take_turn("a", MINUTE).await.is_err());
    one.tell("a", "good 1", MINUTE).await;
    Ok(())
}
