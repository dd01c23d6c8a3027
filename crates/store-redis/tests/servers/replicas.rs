//! Replicas that are counted for the answer to a purge.

use std::time::Duration;

use larder_redis::{RedisServers, RedisUrl};
use larder_store::{AppliedBy, Published};
use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};

use crate::support::{Replica, replica};

/// A replica that can be cut off.
async fn through(redis: &Redis, proxy: &FaultProxy) -> Result<Replica> {
    let url = RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap();
    Replica::with(|ledger| replica(redis, ledger, |options| options.servers = RedisServers::Single(url))).await
}

async fn counts(replica: &Replica, replicas: usize) -> Result<()> {
    let number = replica.store.stats().log_number;
    let known = || async { Ok(replica.store.log().applied_by(number).await.filter(|by| by.replicas == replicas).map(drop)) };
    eventually(format!("waiting for {replicas} replicas to be known"), known).await
}

/// Who has applied an invalidation. While what an emptied log has lost is put into it again, others wait their turn: they are `Kept`.
async fn applied(replica: &Replica, name: &str) -> Result<AppliedBy> {
    let logged = || async {
        let published = replica.invalidate(name).await;
        Ok(if let Published::Logged(number) = published { Some(number) } else { None })
    };
    let number = eventually(format!("waiting for the log to take `{name}`"), logged).await?;
    Ok(replica.store.log().applied_by(number).await.expect("the log is there"))
}

#[tokio::test]
async fn a_replica_that_is_cut_off_counts_and_is_said_to_be_unknown() -> Result<()> {
    let redis = Redis::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let (one, _other) = (Replica::start(&redis).await?, through(&redis, &proxy).await?);
    counts(&one, 2).await?;
    proxy.set(Fault::Refused);
    let Published::Logged(number) = one.invalidate("issues").await else { panic!("the log did not take it") };
    let log = || one.store.log();
    assert_eq!(log().applied_by(number).await.map(|by| (by.applied, by.replicas)), Some((1, 2)));
    let unknown = Some(AppliedBy { applied: 1, replicas: 2, unknown: 1 });
    eventually("waiting for it to be unknown", || async { Ok((log().applied_by(number).await == unknown).then_some(())) }).await?;
    proxy.set(Fault::None);
    let everyone = Some(AppliedBy { applied: 2, replicas: 2, unknown: 0 });
    eventually("waiting for it to be back", || async { Ok((log().applied_by(number).await == everyone).then_some(())) }).await
}

#[tokio::test]
async fn a_replica_that_is_cut_off_counts_although_the_registry_was_lost() -> Result<()> {
    for loss in [&["FLUSHALL"][..], &["DEL", "larder:{log}:m"]] {
        let redis = Redis::start().await?;
        let proxy = FaultProxy::start(redis.address()).await?;
        let (one, _other) = (Replica::start(&redis).await?, through(&redis, &proxy).await?);
        counts(&one, 2).await?;
        // It knows the others from its own looks alone.
        one.has_read(one.store.stats().log_number).await?;
        applied(&one, "first").await?;
        proxy.set(Fault::Refused);
        redis.command(loss).await?;
        for n in 0..5 {
            let by = applied(&one, &n.to_string()).await?;
            assert_eq!((by.applied, by.replicas), (1, 2), "{loss:?}, purge {n}");
        }
        // Somebody who has just started hears of it from those who know.
        let later = Replica::start(&redis).await?;
        counts(&later, 3).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_registry_that_no_replica_remembers_confirms_nothing() -> Result<()> {
    let redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    assert_eq!(applied(&one, "issues").await?, AppliedBy { applied: 1, replicas: 1, unknown: 0 });
    redis.command(&["DEL", "larder:{log}:m"]).await?;
    let lost = || async { Ok((redis.count(&["HEXISTS", "larder:{log}:m", "lost"]).await? == 1).then_some(())) };
    eventually("waiting for the loss to be noticed", lost).await?;
    assert_eq!(applied(&one, "issues").await?, AppliedBy { applied: 1, replicas: 2, unknown: 1 });
    Ok(())
}

#[tokio::test]
async fn a_server_that_stood_still_has_silenced_no_replica() -> Result<()> {
    let redis = Redis::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let (one, _other) = (Replica::start(&redis).await?, through(&redis, &proxy).await?);
    counts(&one, 2).await?;
    proxy.set(Fault::Refused);
    // As if the last look had been an hour ago.
    let an_hour_back = "local count, wall = string.match(redis.call('HGET', KEYS[1], 'clock'), '(%d+) (%d+)') \
                        redis.call('HSET', KEYS[1], 'clock', count .. ' ' .. string.format('%.0f', wall - 3600000))";
    redis.command(&["EVAL", an_hour_back, "1", "larder:{log}:m"]).await?;
    let by = applied(&one, "issues").await?;
    assert_eq!((by.applied, by.replicas), (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_replica_that_stops_signs_off() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    counts(&one, 2).await?;
    other.store.leave().await;
    assert_eq!(applied(&one, "issues").await?, AppliedBy { applied: 1, replicas: 1, unknown: 0 });
    // It follows the log for what it still has to write, and is not counted again.
    other.has_read(one.store.stats().log_number).await?;
    assert_eq!(applied(&one, "users").await?, AppliedBy { applied: 1, replicas: 1, unknown: 0 });
    Ok(())
}

#[tokio::test]
async fn a_replica_that_is_gone_is_forgotten_after_a_while() -> Result<()> {
    let redis = Redis::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let short = |options: &mut larder_redis::RedisOptions| options.max_lag = Duration::from_secs(1);
    let one = Replica::with(|ledger| replica(&redis, ledger, short)).await?;
    let url = RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap();
    let other = Replica::with(|ledger| {
        replica(&redis, ledger, |options| {
            short(options);
            options.servers = RedisServers::Single(url);
        })
    });
    let other = other.await?;
    counts(&one, 2).await?;
    proxy.set(Fault::Refused);
    drop(other);
    counts(&one, 1).await
}
