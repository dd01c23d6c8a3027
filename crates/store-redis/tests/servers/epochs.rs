//! Responses that another tier kept over a restart, and that the log vouches for.

use std::sync::Arc;

use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl};
use larder_store::{LogPosition, Published};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};

use crate::support::{CLOCKS, Replica, replica};

/// Where a response is in the log that is fetched now.
fn stored_now(replica: &Replica) -> LogPosition {
    replica.ledger.log_position(replica.ledger.position()).expect("the log was read")
}

/// Whether a response with this tag may be used that was stored there.
fn uses(replica: &Replica, tag: &str, stored: LogPosition) -> bool {
    replica.ledger.position_of(stored).is_some_and(|position| replica.vouches(tag, position))
}

#[tokio::test]
async fn a_later_process_judges_what_an_earlier_one_has_stored() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    one.invalidate("first").await;
    let stored = stored_now(&one);
    drop(one);
    other.invalidate("issues").await;
    let later = Replica::start(&redis).await?;
    assert!(!uses(&later, "issues", stored) && uses(&later, "users", stored) && uses(&later, "first", stored));
    Ok(())
}

#[tokio::test]
async fn a_log_that_was_emptied_judges_nothing_from_before() -> Result<()> {
    let redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    one.invalidate("issues").await;
    let stored = stored_now(&one);
    drop(one);
    redis.command(&["FLUSHALL"]).await?;
    let later = Replica::start(&redis).await?;
    assert!(!uses(&later, "users", stored));
    later.invalidate("issues").await;
    assert!(uses(&later, "users", stored_now(&later)));
    Ok(())
}

#[tokio::test]
async fn another_log_judges_nothing() -> Result<()> {
    let (redis, second) = (Redis::start().await?, Redis::start().await?);
    let stored = stored_now(&Replica::start(&redis).await?);
    let elsewhere = Replica::start(&second).await?;
    let namespace = Replica::with(|ledger| replica(&redis, ledger, |options| options.prefix = "larder:other".to_owned())).await?;
    assert!(uses(&Replica::start(&redis).await?, "users", stored));
    for (what, other) in [("another server", elsewhere), ("another namespace", namespace)] {
        assert_ne!(stored_now(&other).epoch, stored.epoch, "{what}");
        assert!(!uses(&other, "users", stored), "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_came_back_from_a_dump_judges_nothing_from_before() -> Result<()> {
    let mut redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    one.invalidate("issues").await;
    let stored = stored_now(&one);
    drop(one);
    redis.kill().await?;
    redis.restart().await?;
    assert!(!uses(&Replica::start(&redis).await?, "users", stored));
    Ok(())
}

#[tokio::test]
async fn invalidations_that_an_earlier_process_could_not_publish_come_before_the_first_look_up() -> Result<()> {
    let (folder, redis) = (tempfile::tempdir()?, Redis::start().await?);
    let journal = folder.path().join("journal");
    let stored = stored_now(&Replica::start(&redis).await?);
    let start = |url: &str| {
        let mut options = RedisOptions::new(RedisServers::Single(RedisUrl::parse(url).unwrap()));
        options.journal = Some(journal.clone());
        let ledger = Arc::default();
        RedisStore::start(options, CLOCKS, Arc::clone(&ledger), None).ok().map(|store| Replica { ledger, store })
    };
    // Nothing listens there.
    let cut_off = start("redis://127.0.0.1:1").expect("a journal of its own");
    assert!(cut_off.store.log().outlives_process());
    assert_eq!(cut_off.invalidate("issues").await, Published::Kept);
    drop(cut_off);
    let later = eventually("waiting for the journal to be let go", || async { Ok(start(&redis.url())) }).await?;
    let judges = || async { Ok(later.ledger.position_of(stored).map(drop)) };
    eventually("waiting for the journal to be in the log", judges).await?;
    assert!(!uses(&later, "issues", stored) && uses(&later, "users", stored));
    Ok(())
}
