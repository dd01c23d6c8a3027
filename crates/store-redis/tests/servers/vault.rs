//! What replicas keep besides responses, such as certificates with their keys.

use std::sync::Arc;
use std::time::Duration;

use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl, SealKey, SealKeys};
use larder_testkit::{Redis, Result};

use crate::support::{CLOCKS, MINUTE};

fn replica(redis: &Redis, key: Option<u8>) -> RedisStore {
    let mut options = RedisOptions::new(RedisServers::Single(RedisUrl::parse(&redis.url()).unwrap()));
    options.timeout = MINUTE / 12;
    options.keys = key.map(|key| SealKeys { key: SealKey::new([key; 32]), old_keys: Vec::new() });
    RedisStore::start(options, CLOCKS, Arc::default(), None).unwrap()
}

#[tokio::test]
async fn a_value_is_shared_by_replicas_with_the_key_and_read_by_nobody_else() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other, strange) = (replica(&redis, Some(1)), replica(&redis, Some(1)), replica(&redis, Some(2)));
    assert_eq!(one.value("acme/a").await.unwrap(), None);
    one.keep_value("acme/a", b"a private key", MINUTE).await.unwrap();
    assert_eq!(other.value("acme/a").await.unwrap().as_deref(), Some(&b"a private key"[..]));
    assert_eq!(other.value("acme/b").await.unwrap(), None);
    assert_eq!(strange.value("acme/a").await.unwrap(), None, "another key opens nothing");
    let plain = "local found = 0 for _, key in ipairs(redis.call('KEYS', '*vault*')) do \
                 if string.find(redis.call('GET', key), 'private') then found = found + 1 end end return found";
    assert_eq!(redis.count(&["EVAL", plain, "0"]).await?, 0, "it is sealed");
    let eternal = "local found = 0 for _, key in ipairs(redis.call('KEYS', '*vault*')) do \
                   if redis.call('PTTL', key) < 0 then found = found + 1 end end return found";
    assert_eq!(redis.count(&["EVAL", eternal, "0"]).await?, 0, "every key has a time to live");
    Ok(())
}

#[tokio::test]
async fn a_lock_is_one_replica_s_until_it_gives_it_back_and_the_pause_is_over() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (replica(&redis, None), replica(&redis, None));
    assert!(one.lock("a", "one", MINUTE).await.unwrap());
    assert!(one.lock("a", "one", MINUTE).await.unwrap(), "its own question, asked again");
    assert!(!other.lock("a", "other", MINUTE).await.unwrap());
    other.unlock("a", "other", Duration::ZERO).await.unwrap();
    assert!(!other.lock("a", "other", MINUTE).await.unwrap(), "who does not hold it gives nothing back");
    one.unlock("a", "one", MINUTE).await.unwrap();
    assert!(!other.lock("a", "other", MINUTE).await.unwrap() && !one.lock("a", "one", MINUTE).await.unwrap(), "a pause is everybody's");
    assert!(one.lock("b", "one", MINUTE).await.unwrap());
    one.unlock("b", "one", Duration::ZERO).await.unwrap();
    assert!(other.lock("b", "other", MINUTE).await.unwrap());
    Ok(())
}
