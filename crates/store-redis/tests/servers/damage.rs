//! The log's own keys, after somebody else has had a hand in them.

use larder_store::Published;
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};

use crate::support::Replica;

/// One after the other on the same server: after each the log begins anew, says so, and works.
const DAMAGE: [&[&[&str]]; 12] = [
    &[&["SET", "larder:{log}:n", "many"]],
    &[&["SET", "larder:{log}:n", "-7"]],
    &[&["SET", "larder:{log}:n", "2199023255552"]],
    &[&["SET", "larder:{log}:n", "99999999999999999999999999"]],
    &[&["DEL", "larder:{log}:n"], &["LPUSH", "larder:{log}:n", "1"]],
    &[&["DEL", "larder:{log}:n"]],
    &[&["DEL", "larder:{log}:s"], &["SET", "larder:{log}:s", "x"]],
    &[&["DEL", "larder:{log}:e"], &["SADD", "larder:{log}:e", "x"]],
    &[&["DEL", "larder:{log}:m"], &["SET", "larder:{log}:m", "x"]],
    &[&["XADD", "larder:{log}:s", "*", "foo", "bar"]],
    &[&["XADD", "larder:{log}:s", "2199023255550-0", "i", "{}"]],
    &[&["XADD", "larder:{log}:s", "18446744073709551615-18446744073709551615", "i", "{}"]],
];

#[tokio::test]
async fn damaged_keys_of_the_log_are_noticed_and_it_begins_anew() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    for damage in DAMAGE {
        reported(&one).await?;
        let Published::Logged(before) = one.invalidate("before").await else { panic!("{damage:?}") };
        other.has_read(before).await?;
        one.has_read(before).await?;
        let (position, found) = (other.ledger.position(), one.store.stats().log_damaged + other.store.stats().log_damaged);
        for command in damage {
            let answer = redis.command(command).await?;
            assert!(!answer.starts_with('-'), "{command:?}: {answer}");
        }
        let counted = || async { Ok((one.store.stats().log_damaged + other.store.stats().log_damaged > found).then_some(())) };
        eventually(format!("waiting for {damage:?} to be noticed"), counted).await?;
        for replica in [&one, &other] {
            replica.has_read(before + 1_000).await?;
            assert!(!replica.vouches("anything", position), "{damage:?}");
        }
        reported(&one).await?;
        let between = other.ledger.position();
        let Published::Logged(number) = one.invalidate("after").await else { panic!("{damage:?}") };
        other.has_read(number).await?;
        assert!(!other.vouches("after", between), "{damage:?}");
        assert!(number < before + (1 << 24), "{damage:?}: numbers leap and do not fly");
        assert!(one.store.problem().is_none(), "{damage:?}: it is mended");
    }
    Ok(())
}

#[tokio::test]
async fn a_purge_is_heard_although_the_keys_were_damaged_a_moment_before() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    for damage in DAMAGE {
        let between = other.ledger.position();
        for command in damage {
            redis.command(command).await?;
        }
        // The log may have begun anew by then, and what was told before is told again first.
        let published = one.invalidate("issues").await;
        reported(&one).await?;
        let number = if let Published::Logged(number) = published { number } else { one.store.stats().log_number };
        other.has_read(number).await?;
        assert!(!other.vouches("issues", between), "{damage:?}");
    }
    Ok(())
}

async fn reported(replica: &Replica) -> Result<()> {
    eventually("waiting for all to be told", || async { Ok((replica.store.stats().journaled == 0).then_some(())) }).await
}

#[tokio::test]
async fn an_emptied_server_is_no_damage() -> Result<()> {
    let redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    let Published::Logged(number) = one.invalidate("issues").await else { panic!("the log did not take it") };
    redis.command(&["FLUSHALL"]).await?;
    one.has_read(number + 1_000).await?;
    assert_eq!(one.store.stats().log_damaged, 0);
    Ok(())
}
