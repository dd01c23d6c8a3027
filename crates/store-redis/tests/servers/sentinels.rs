use std::sync::Arc;
use std::time::Duration;

use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl, WriteMode};
use larder_store::{Ledger, Published};
use larder_testkit::wait::eventually;
use larder_testkit::{RedisSentinels, Result};
use rustix::process::Signal;

use crate::support::{CLOCKS, MINUTE, Replica, commit, response, text};

fn replica(sentinels: &RedisSentinels, master: &str, ledger: Arc<Ledger>) -> RedisStore {
    let urls = sentinels.urls().iter().map(|url| RedisUrl::parse(url).unwrap()).collect();
    let mut options = RedisOptions::new(RedisServers::Sentinel { sentinels: urls, master: master.to_owned() });
    options.write = WriteMode::Through;
    options.timeout = Duration::from_secs(1);
    options.breaker_open = MINUTE;
    RedisStore::start(options, CLOCKS, ledger, None).unwrap()
}

#[tokio::test]
async fn a_failover_is_followed_and_what_was_purged_stays_purged() -> Result<()> {
    let sentinels = RedisSentinels::start().await?;
    let one = Replica::with(|ledger| replica(&sentinels, sentinels.master(), ledger)).await?;
    let other = Replica::with(|ledger| replica(&sentinels, sentinels.master(), ledger)).await?;
    let before = other.ledger.position().shared();
    commit(&one.store, response("/x", 7, b"old"), None).await;
    assert_eq!(text(&other.store, "/x").await.as_deref(), Some("old"));

    let [master, spare] = sentinels.servers() else { panic!("two servers") };
    // The replica hears nothing any more: what is purged now is lost with its master.
    spare.signal(Signal::STOP)?;
    assert!(matches!(one.invalidate("issues").await, Published::Logged(_)));
    let began = one.store.stats().log_number;
    master.signal(Signal::STOP)?;
    spare.signal(Signal::CONT)?;
    sentinels.promoted(1).await?;
    for replica in [&one, &other] {
        replica.has_read(began + 1_000).await?;
        assert!(!replica.vouches("issues", before));
    }
    let stored = || async {
        commit(&one.store, response("/y", 9, b"new"), None).await;
        Ok((spare.count(&["EXISTS", "larder:{log}:n"]).await? == 1 && one.store.stats().written > 1).then_some(()))
    };
    eventually("waiting for writes to reach the new master", stored).await?;
    let found = || async { Ok((crate::support::ask_for_lease(&other.store, "/y", Duration::ZERO).await.is_ok()).then_some(())) };
    eventually("waiting for the other replica to follow", found).await?;
    assert_eq!(text(&other.store, "/y").await.as_deref(), Some("new"));

    // The old master wakes up and thinks that it still is one: nobody goes back to it.
    master.signal(Signal::CONT)?;
    commit(&one.store, response("/y", 10, b"newer"), None).await;
    assert_eq!(text(&other.store, "/y").await.as_deref(), Some("newer"));
    assert_eq!(text(&one.store, "/y").await.as_deref(), Some("newer"));
    Ok(())
}

#[tokio::test]
async fn a_master_that_no_sentinel_knows_is_told() -> Result<()> {
    let sentinels = RedisSentinels::start().await?;
    let store = replica(&sentinels, "other", Arc::default());
    let problem = eventually("waiting for the problem to be told", || async { Ok(store.problem()) }).await?;
    assert!(problem.starts_with("the sentinels name no master"), "{problem}");
    Ok(())
}
