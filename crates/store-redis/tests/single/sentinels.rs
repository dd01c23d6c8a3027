use std::sync::Arc;
use std::time::Duration;

use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl, WriteMode};
use larder_store::{Ledger, Published, Tag};
use larder_testkit::patience::eventually;
use larder_testkit::{RedisSentinels, Result};
use rustix::process::Signal;

use crate::support::{MINUTE, commit, has_read_the_log, now, response, text};

fn replica(sentinels: &RedisSentinels, master: &str, ledger: Arc<Ledger>) -> RedisStore {
    let urls = sentinels.urls().iter().map(|url| RedisUrl::parse(url).unwrap()).collect();
    let mut options = RedisOptions::new(RedisServers::Sentinel { sentinels: urls, master: master.to_owned() }, now);
    options.write = WriteMode::Through;
    options.timeout = Duration::from_secs(1);
    options.breaker_open = MINUTE;
    RedisStore::start(options, ledger, None).unwrap()
}

#[tokio::test]
async fn a_failover_is_followed_and_what_was_purged_stays_purged() -> Result<()> {
    let sentinels = RedisSentinels::start().await?;
    let ledgers: [Arc<Ledger>; 2] = Default::default();
    let stores = ledgers.clone().map(|ledger| replica(&sentinels, sentinels.master(), ledger));
    for store in &stores {
        has_read_the_log(store).await?;
    }
    let (tag, before) = (Tag::surrogate("issues"), ledgers[1].position());
    commit(&stores[0], response("/x", 7, b"old"), None).await;
    assert_eq!(text(&stores[1], "/x").await.as_deref(), Some("old"));

    let [master, spare] = sentinels.servers() else { panic!("two servers") };
    // The replica hears nothing any more: what is purged now is lost with its master.
    spare.signal(Signal::STOP)?;
    ledgers[0].invalidate([tag]);
    assert_eq!(stores[0].log().publish(vec![tag]).await, Published::Logged);
    let began = stores[0].stats().log_number;
    master.signal(Signal::STOP)?;
    spare.signal(Signal::CONT)?;
    sentinels.promoted(1).await?;
    for (store, ledger) in stores.iter().zip(&ledgers) {
        let noticed = || async { Ok((store.stats().log_number > began + 1_000).then_some(())) };
        eventually("waiting for the failover to be noticed", noticed).await?;
        assert!(!ledger.is_valid(&[tag], before));
    }
    let stored = || async {
        commit(&stores[0], response("/y", 9, b"new"), None).await;
        Ok((spare.count(&["EXISTS", "larder:{log}:n"]).await? == 1 && stores[0].stats().written > 1).then_some(()))
    };
    eventually("waiting for writes to reach the new master", stored).await?;
    let found = || async { Ok((crate::support::ask_for_lease(&stores[1], "/y", Duration::ZERO).await.is_ok()).then_some(())) };
    eventually("waiting for the other replica to follow", found).await?;
    assert_eq!(text(&stores[1], "/y").await.as_deref(), Some("new"));

    // The old master wakes up and thinks that it still is one: nobody goes back to it.
    master.signal(Signal::CONT)?;
    commit(&stores[0], response("/y", 10, b"newer"), None).await;
    assert_eq!(text(&stores[1], "/y").await.as_deref(), Some("newer"));
    assert_eq!(text(&stores[0], "/y").await.as_deref(), Some("newer"));
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
