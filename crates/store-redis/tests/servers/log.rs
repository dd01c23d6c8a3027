use std::sync::Arc;
use std::time::Duration;

use larder_store::{AppliedBy, Invalidation, InvalidationTarget, Published, Subject, Tag, Tags, Validity};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};

use crate::support::{Replica, has_read_the_log, replica};

#[tokio::test]
async fn an_invalidation_of_one_replica_holds_on_all() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    let before = other.ledger.position();
    assert!(matches!(one.invalidate("issues").await, Published::Logged(number) if number > 0));
    let number = one.store.stats().log_number;
    other.has_read(number).await?;
    assert!(!other.vouches("issues", before));
    assert!(other.vouches("users", before));
    assert!(one.vouches("issues", one.ledger.position()), "what is fetched next is good");
    assert_eq!(one.ledger.position().shared(), other.ledger.position());
    Ok(())
}

#[tokio::test]
async fn a_replica_that_starts_later_knows_what_was_invalidated_before() -> Result<()> {
    let redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    let stored_at = one.ledger.position().shared();
    one.invalidate("issues").await;
    let later = Replica::start(&redis).await?;
    assert_eq!(later.ledger.position(), one.ledger.position().shared());
    assert!(!later.vouches("issues", stored_at));
    Ok(())
}

#[tokio::test]
async fn a_log_that_no_longer_reaches_back_vouches_for_nothing_from_before() -> Result<()> {
    let redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    let stored_at = one.ledger.position().shared();
    one.invalidate("issues").await;
    one.invalidate("users").await;
    let since = one.ledger.position().shared();
    redis.command(&["XTRIM", "larder:{log}:s", "MAXLEN", "0"]).await?;
    let later = Replica::start(&redis).await?;
    assert!(!later.vouches("anything", stored_at));
    assert!(later.vouches("anything", since));
    Ok(())
}

#[tokio::test]
async fn an_emptied_redis_is_noticed_and_the_numbers_go_on() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    one.invalidate("issues").await;
    let (before, number) = (one.ledger.position(), one.store.stats().log_number);
    redis.command(&["FLUSHALL"]).await?;
    for replica in [&one, &other] {
        replica.has_read(number + 1).await?;
        assert!(!replica.vouches("anything", before), "nobody knows what was in the log");
    }
    eventually("waiting for it to be told again", || async { Ok((one.store.stats().journaled == 0).then_some(())) }).await?;
    let between = other.ledger.position();
    let Published::Logged(number) = one.invalidate("users").await else { panic!("the log is there") };
    other.has_read(number).await?;
    assert!(!other.vouches("users", between));
    Ok(())
}

#[tokio::test]
async fn an_invalidation_while_redis_is_away_is_published_when_it_is_back() -> Result<()> {
    let mut redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    redis.kill().await?;
    assert_eq!(one.invalidate("issues").await, Published::Kept);
    assert_eq!(one.invalidate("users").await, Published::Kept);
    assert_eq!(one.store.stats().journaled, 2);
    redis.restart().await?;
    eventually("waiting for the journal to empty", || async { Ok((one.store.stats().journaled == 0).then_some(())) }).await?;
    let started = other.ledger.position();
    other.has_read(one.store.stats().log_number.max(started.log_number())).await?;
    assert!(matches!(one.invalidate("more").await, Published::Logged(_)));
    Ok(())
}

#[tokio::test]
async fn many_invalidations_arrive_in_their_order() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    let mut positions = Vec::new();
    for n in 0..300 {
        positions.push(one.ledger.position().shared());
        one.invalidate(&n.to_string()).await;
    }
    other.has_read(one.store.stats().log_number).await?;
    for (n, position) in positions.iter().enumerate() {
        assert!(!other.vouches(&n.to_string(), *position), "{n}");
        assert!(n == 0 || other.vouches(&(n - 1).to_string(), *position), "{n}");
    }
    Ok(())
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_behind_after_a_while() -> Result<()> {
    let mut redis = Redis::start().await?;
    let store = replica(&redis, Arc::default(), |options| options.max_lag = Duration::from_millis(1));
    has_read_the_log(&store).await?;
    redis.kill().await?;
    let lags = || async {
        let outcome = crate::support::ask_for_lease(&store, "/x", Duration::ZERO).await;
        Ok(matches!(outcome, Err(larder_store::RemoteError::Unvouched)).then_some(()))
    };
    eventually("waiting for the lag to be too long", lags).await?;
    redis.restart().await
}

#[tokio::test]
async fn every_replica_that_lives_says_how_far_it_is() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    let Published::Logged(number) = one.invalidate("issues").await else { panic!("the log did not take it") };
    let everywhere = Some(AppliedBy { applied: 2, replicas: 2, unknown: 0 });
    let applied = || async { Ok((one.store.log().applied_by(number).await == everywhere).then_some(())) };
    eventually("waiting for both replicas to apply it", applied).await?;
    assert_eq!(one.store.log().applied_by(number + 1).await, Some(AppliedBy { applied: 0, replicas: 2, unknown: 0 }));
    drop(other);
    let alone = || async {
        Ok((one.store.log().applied_by(number).await == Some(AppliedBy { applied: 1, replicas: 1, unknown: 0 })).then_some(()))
    };
    eventually("waiting for the other one to be forgotten", alone).await
}

#[tokio::test]
async fn all_replicas_publish_again_where_the_log_begins_anew() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    one.invalidate("issues").await;
    one.invalidate("users").await;
    other.invalidate("projects").await;
    redis.command(&["FLUSHALL"]).await?;
    let published = || async {
        let log = redis.command(&["EVAL", "return cjson.encode(redis.call('XRANGE', 'larder:{log}:s', '-', '+'))", "0"]).await?;
        Ok(["issues", "users", "projects"].iter().all(|name| log.contains(name)).then_some(()))
    };
    eventually("waiting for the log to have them again", published).await
}

#[tokio::test]
async fn a_replica_is_current_although_the_log_never_rests() -> Result<()> {
    let redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    let busy = async {
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        loop {
            pause.tick().await;
            one.invalidate("issues").await;
        }
    };
    tokio::select! {
        () = busy => unreachable!("it goes on"),
        other = Replica::start(&redis) => drop(other?),
    }
    Ok(())
}

#[tokio::test]
async fn kept_invalidations_are_published_in_batches() -> Result<()> {
    let mut redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    redis.kill().await?;
    for n in 0..500 {
        assert_eq!(one.invalidate(&n.to_string()).await, Published::Kept);
    }
    redis.restart().await?;
    eventually("waiting for the journal to empty", || async { Ok((one.store.stats().journaled == 0).then_some(())) }).await?;
    assert!(redis.count(&["XLEN", "larder:{log}:s"]).await? < 5);
    Ok(())
}

#[tokio::test]
async fn the_log_is_bounded_in_bytes() -> Result<()> {
    let redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    let name = "x".repeat(60_000);
    for n in 0..200 {
        assert!(matches!(one.invalidate(&format!("{n}{name}")).await, Published::Logged(_)));
    }
    let entries = redis.count(&["XLEN", "larder:{log}:s"]).await?;
    assert!((120..150).contains(&entries), "{entries} of 60 KB");
    assert!(redis.count(&["MEMORY", "USAGE", "larder:{log}:s"]).await? < 9 << 20);
    let later = Replica::start(&redis).await?;
    assert_eq!(later.ledger.position(), one.ledger.position().shared());
    Ok(())
}

#[tokio::test]
async fn a_batch_too_large_for_one_entry_is_logged_as_what_covers_it() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    let before = other.ledger.position();
    let invalidation = Invalidation::hard((0..5_000).map(|n| InvalidationTarget::Tag(format!("issue:{n}"))));
    let Published::Logged(number) = one.store.log().publish(invalidation).await else { panic!("the log did not take it") };
    other.has_read(number).await?;
    let tags: Tags = Tag::surrogates(["issue:4999"]).unwrap().into();
    assert_eq!(other.ledger.check(&Subject { url: "http://a/", tags: (&tags).into() }, before), Validity::Invalid);
    assert!(other.vouches("other", before), "not everything");
    assert!(redis.count(&["MEMORY", "USAGE", "larder:{log}:s"]).await? < 70 << 10);
    Ok(())
}

#[tokio::test]
async fn a_server_without_memory_takes_purges_all_the_same() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    let before = other.ledger.position();
    let Published::Logged(number) = one.invalidate("issues").await else { panic!("the log did not take it") };
    other.has_read(number).await?;
    assert!(!other.vouches("issues", before));
    let everywhere = Some(AppliedBy { applied: 2, replicas: 2, unknown: 0 });
    let applied = || async { Ok((one.store.log().applied_by(number).await == everywhere).then_some(())) };
    eventually("waiting for both to have said so", applied).await?;
    assert!(one.store.problem().is_none() && other.store.problem().is_none());
    Ok(())
}

#[tokio::test]
async fn a_log_that_takes_nothing_is_an_alarm() -> Result<()> {
    let redis = Redis::start().await?;
    let one = Replica::start(&redis).await?;
    redis.command(&["ACL", "SETUSER", "default", "-xadd"]).await?;
    assert_eq!(one.invalidate("issues").await, Published::Kept);
    let problem = one.store.problem().unwrap_or_default();
    assert!(problem.starts_with("the log of invalidations takes no purges: "), "{problem}");
    assert!(one.store.stats().log_refused > 0 && !one.store.stats().log_takes_purges);
    redis.command(&["ACL", "SETUSER", "default", "+xadd"]).await?;
    eventually("waiting for it to be told", || async { Ok((one.store.stats().journaled == 0).then_some(())) }).await?;
    assert!(one.store.problem().is_none() && one.store.stats().log_takes_purges);
    Ok(())
}
