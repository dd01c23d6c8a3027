//! What replicas do in turn.

use std::sync::Arc;

use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl};
use larder_testkit::{Redis, Result};

use crate::support::{CLOCKS, MINUTE};

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

#[tokio::test]
async fn where_redis_is_away_no_replica_waits_for_another() -> Result<()> {
    let redis = Redis::start().await?;
    let one = replica(&redis);
    drop(redis);
    assert!(one.turn("a", MINUTE).await.is_err());
    one.tell("a", "good 1", MINUTE).await;
    Ok(())
}
