use std::sync::Arc;
use std::time::Duration;

use larder_redis::{RedisOptions, RedisServers, RedisUrl, WriteMode};
use larder_store::{BreakerState, Loaded, Position, Published, RemoteError, RemoteStore, Subject, Tag, Validity};
use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};
use rustix::process::Signal;

use crate::support::{
    MINUTE, Replica, Setup, another, ask_for_lease, commit, entries, granted, has_read_the_log, key, pattern, replica, response, text,
};

fn impatient(options: &mut RedisOptions) {
    options.timeout = Duration::from_millis(100);
    options.breaker_failures = 3;
    // Longer than any test waits: only being seen to work again ends it.
    options.breaker_open = MINUTE;
}

/// Asks until the breaker has opened, and says what the failures before it were.
async fn fail_until_open(store: &larder_redis::RedisStore) -> Vec<RemoteError> {
    let mut errors = Vec::new();
    loop {
        match ask_for_lease(store, "/x", MINUTE).await {
            Err(RemoteError::Open) => return errors,
            Err(error) => errors.push(error),
            Ok(loaded) => panic!("{loaded:?}"),
        }
    }
}

async fn works_again(store: &larder_redis::RedisStore) -> Result<()> {
    eventually("waiting for the breaker to close", || async { Ok((store.stats().breaker == BreakerState::Closed).then_some(())) }).await?;
    eventually("waiting for an answer", || async { Ok(ask_for_lease(store, "/again", MINUTE).await.ok().map(drop)) }).await
}

#[tokio::test]
async fn a_server_that_dies_is_left_alone_and_found_again() -> Result<()> {
    let Setup { mut redis, store } = Setup::with(&[], impatient).await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    redis.kill().await?;
    assert_eq!(fail_until_open(&store).await.len(), 3);
    assert!(store.problem().is_some());
    redis.restart().await?;
    works_again(&store).await?;
    assert!(store.problem().is_none());
    Ok(())
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_costs_nothing() -> Result<()> {
    let redis = Redis::start().await?;
    let replica = Replica::start(&redis).await?;
    commit(&replica.store, response("/x", 7, b"hello"), None).await;
    let close = async || redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    for round in 0..5 {
        close().await?;
        let loaded = ask_for_lease(&replica.store, "/x", MINUTE).await;
        assert!(matches!(loaded, Ok(Loaded::Response(_))), "{round}: {loaded:?}");
        close().await?;
        let published = replica.invalidate("users").await;
        assert!(matches!(published, Published::Logged(_)), "{round}: {published:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_deadline_and_then_nothing() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], impatient).await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    redis.signal(Signal::STOP)?;
    assert_eq!(fail_until_open(&store).await, [RemoteError::Timeout; 3]);
    redis.signal(Signal::CONT)?;
    works_again(&store).await?;
    assert_eq!(text(&store, "/x").await.as_deref(), Some("hello"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_at_the_start_is_found_when_it_comes() -> Result<()> {
    let mut redis = Redis::start().await?;
    redis.kill().await?;
    let store = replica(&redis, Arc::default(), impatient);
    assert!(matches!(ask_for_lease(&store, "/x", MINUTE).await, Err(RemoteError::Unvouched)), "a miss, at no cost");
    redis.restart().await?;
    has_read_the_log(&store).await?;
    works_again(&store).await
}

/// Its origin may have made it private meanwhile.
#[tokio::test]
async fn a_response_that_is_removed_while_redis_is_away_is_used_by_no_replica_afterwards() -> Result<()> {
    let redis = Redis::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let url = RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap();
    let cut_off = |ledger| {
        replica(&redis, ledger, |options| {
            impatient(options);
            options.servers = RedisServers::Single(url);
        })
    };
    let (one, other) = (Replica::with(cut_off).await?, Replica::start(&redis).await?);
    let number = other.store.stats().log_number;
    commit(&other.store, response("/x", 7, b"hello"), None).await;
    proxy.set(Fault::Refused);
    one.store.remove(&response("/x", 7, b"hello"));
    assert!(one.store.drain(MINUTE).await);
    assert_eq!(text(&other.store, "/x").await.as_deref(), Some("hello"), "nobody can tell it");
    proxy.set(Fault::None);
    other.has_read(number + 1).await?;
    let (key, tags) = (key("/x"), [Tag::url(key("/x").url())]);
    let subject = Subject { url: key.url(), tags: (&tags).into() };
    assert_ne!(other.ledger.check(&subject, Position::of_log(number)), Validity::Valid);
    Ok(())
}

#[tokio::test]
async fn a_write_that_fails_counts_once_with_the_removal_that_follows_it() -> Result<()> {
    let redis = Redis::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let url = RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap();
    let store = another(&redis, |options| {
        impatient(options);
        options.servers = RedisServers::Single(url);
    })
    .await?;
    proxy.set(Fault::Blackholed);
    for (fetch, is_closed) in [(1, true), (2, true), (3, false)] {
        commit(&store, response("/x", fetch, b"x"), None).await;
        assert!(store.drain(MINUTE).await);
        assert_eq!(store.stats().breaker == BreakerState::Closed, is_closed, "{fetch}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_told_and_never_shown() -> Result<()> {
    let redis = Redis::start_with(&["--requirepass", "right"]).await?;
    let store = replica(&redis, Arc::default(), |options| {
        impatient(options);
        options.servers = larder_redis::RedisServers::Single(
            larder_redis::RedisUrl::parse(&format!("redis://:hunter2@{}", redis.address())).expect("a URL"),
        );
    });
    for fetch in 1..=3 {
        commit(&store, response("/x", fetch, b"refused"), None).await;
    }
    assert_ne!(store.stats().breaker, BreakerState::Closed);
    let problem = store.problem().expect("told");
    assert!(!problem.contains("hunter2"), "{problem}");
    Ok(())
}

#[tokio::test]
async fn writes_that_find_no_room_are_dropped_and_counted() -> Result<()> {
    let redis = Redis::start().await?;
    let store = replica(&redis, Arc::default(), |options| {
        options.write = WriteMode::Behind;
        options.max_object = u64::MAX;
    });
    redis.signal(Signal::STOP)?;
    let large = pattern(40 << 20);
    for fetch in 1..=3 {
        commit(&store, response("/x", fetch, &large), None).await;
    }
    let stats = store.stats();
    // With a removal of what was there before for each of the two.
    assert_eq!((stats.dropped, stats.queued, stats.queued_bytes), (2, 3, 40 << 20));
    redis.signal(Signal::CONT)?;
    eventually("waiting for the queue to empty", || async { Ok((store.stats().queued == 0).then_some(())) }).await?;
    assert_eq!(store.stats().written, 1);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_of_writes_drops_and_counts_further_ones_and_holds_up_no_request() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], |options| {
        options.write = WriteMode::Behind;
        options.write_queue = 100;
    })
    .await?;
    let other = another(&redis, |_| ()).await?;
    let refused = granted(ask_for_lease(&store, "/c", MINUTE).await);
    redis.signal(Signal::STOP)?;
    commit(&store, response("/a", 7, &[b'a'; 60]), None).await;
    commit(&store, response("/b", 7, &[b'b'; 40]), None).await;
    commit(&store, response("/c", 7, b"c"), Some(refused)).await;
    let stats = store.stats();
    // Behind the two, what was there before is removed, and the lease given back.
    assert_eq!((stats.dropped, stats.queued, stats.queued_bytes), (1, 4, 100));
    redis.signal(Signal::CONT)?;
    assert!(store.drain(MINUTE).await);
    let stats = store.stats();
    assert_eq!((stats.dropped, stats.written, stats.queued_bytes), (1, 2, 0));
    assert!(matches!(ask_for_lease(&other, "/c", MINUTE).await, Ok(Loaded::Nothing(None))), "all may fetch it at once");
    commit(&store, response("/c", 8, b"c"), None).await;
    assert!(store.drain(MINUTE).await);
    assert_eq!((text(&store, "/c").await.as_deref(), store.stats().dropped), (Some("c"), 1), "there is room again");
    Ok(())
}

#[tokio::test]
async fn a_body_larger_than_is_kept_there_is_left_out() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], |options| options.max_object = 10).await?;
    commit(&store, response("/x", 7, b"more than ten bytes"), None).await;
    assert!(store.drain(MINUTE).await);
    assert_eq!((store.stats().written, entries(&redis).await?), (0, 1), "nothing but that an earlier one is out of date");
    assert!(matches!(ask_for_lease(&store, "/x", MINUTE).await, Ok(Loaded::Nothing(Some(_)))));
    Ok(())
}

#[tokio::test]
async fn everything_goes_to_the_new_master_of_the_same_name_although_the_old_one_keeps_its_connections() -> Result<()> {
    for is_replica in [true, false] {
        let (old, new) = (Redis::start().await?, Redis::start().await?);
        let proxy = FaultProxy::start(old.address()).await?;
        let servers = RedisServers::Single(RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap());
        let one = Replica::with(|ledger| replica(&old, ledger, |options| options.servers = servers.clone())).await?;
        assert!(matches!(one.invalidate("issues").await, Published::Logged(_)));
        proxy.lead_to(new.address());
        if is_replica {
            let address = new.address();
            old.command(&["REPLICAOF", &address.ip().to_string(), &address.port().to_string()]).await?;
        } else {
            // It stays a master, and only the connection that waits for entries breaks.
            let waiting = || async {
                let clients = old.command(&["CLIENT", "LIST"]).await?;
                let waiting = clients.lines().find(|client| client.contains(" cmd=xread "));
                Ok(waiting.and_then(|client| client.split(' ').find_map(|field| field.strip_prefix("id="))).map(str::to_owned))
            };
            let id = eventually("waiting for the log to be followed", waiting).await?;
            old.command(&["CLIENT", "KILL", "ID", &id]).await?;
        }
        let logged = || async {
            let published = one.invalidate("users").await;
            let length = new.count(&["XLEN", "larder:{log}:s"]).await?;
            Ok((matches!(published, Published::Logged(_)) && length > 0).then_some(()))
        };
        eventually("waiting for purges to reach the new master", logged).await?;
        commit(&one.store, response("/x", 7, b"new"), None).await;
        assert_eq!(text(&one.store, "/x").await.as_deref(), Some("new"));
        assert_eq!(entries(&new).await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_purge_that_redis_did_not_take_at_first_is_told_before_the_process_ends() -> Result<()> {
    let redis = Redis::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let url = RedisUrl::parse(&format!("redis://{}", proxy.address())).unwrap();
    let behind = |ledger| {
        replica(&redis, ledger, |options| {
            impatient(options);
            options.servers = RedisServers::Single(url);
        })
    };
    let (one, other) = (Replica::with(behind).await?, Replica::start(&redis).await?);
    let before = other.ledger.position();
    // Whoever follows the log would put it in after the next look.
    proxy.hold("XREAD", "").reached(1).await?;
    let scripts = proxy.hold("EVALSHA", "");
    assert_eq!(one.invalidate("issues").await, Published::Kept);
    let log = one.store.log();
    assert!(log.read_back().is_some());
    scripts.open();
    assert_eq!(one.store.publish_kept(MINUTE).await, 0);
    one.store.leave().await;
    eventually("waiting for the other replica", || async { Ok((!other.vouches("issues", before)).then_some(())) }).await
}
