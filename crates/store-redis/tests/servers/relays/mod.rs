//! Answers that other replicas read from Redis while they arrive.

mod setup;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl, SealKey, SealKeys};
use larder_store::{Invalidation, InvalidationTarget, LeaseTerms, LoadRequest, Loaded, Piece, Position, RemoteError, RemoteStore, SEGMENT};
use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, RedisCluster, Result};

use crate::support::{
    CLOCKS, MINUTE, Setup, another, ask_for_lease, commit, granted, has_read_the_log, key, pattern, response, speaking, terms, text,
    variant,
};
use setup::{arrives, data, empty, is_let_go, relayed, relays, rest, send};

fn sealed(options: &mut RedisOptions) {
    options.keys = Some(SealKeys { key: SealKey::parse(&"07".repeat(32)).unwrap(), old_keys: Vec::new() });
}

#[tokio::test]
async fn every_piece_is_read_when_it_is_there_and_the_end_is_proven() -> Result<()> {
    for (change, shows) in [(sealed as fn(&mut RedisOptions), false), (|_| (), true)] {
        let Setup { redis, store } = Setup::with(&[], change).await?;
        let (other, third) = (another(&redis, change).await?, another(&redis, change).await?);
        let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
        let sender = arrives(&mut lease, Some(11), empty);
        send(&sender, "secret");
        let mut read = relayed(&other).await?;
        assert_eq!((read.holder.token, read.length, read.record.fetch()), (lease.token(), Some(11), 7));
        assert_eq!(read.record.head().etag(), Some(HeaderValue::from_static("\"1\"")));
        assert_eq!(data(&mut read.pieces).await, "secret");
        let dump = "local all = '' for _, key in ipairs(redis.call('KEYS', '*:r:*')) do all = all .. table.concat(redis.call('HVALS', key)) end return all";
        let dump = redis.command(&["EVAL", dump, "0"]).await?;
        assert_eq!(dump.contains("secret"), shows);
        let mut late = relayed(&third).await?;
        send(&sender, "plain");
        sender.send(Ok(Piece::Trailers(speaking("de")))).unwrap();
        drop(sender);
        assert_eq!(rest(&mut read.pieces).await?, (b"plain".to_vec(), Some(speaking("de"))));
        assert_eq!(rest(&mut late.pieces).await?, (b"secretplain".to_vec(), Some(speaking("de"))));
        commit(&store, response("/x", 7, b"secretplain"), Some(lease)).await;
        assert_eq!(text(&third, "/x").await.as_deref(), Some("secretplain"));
        assert_eq!((store.stats().relays, other.stats().relayed, third.stats().relayed), (1, 1, 1));
        let left = "return redis.call('PTTL', redis.call('KEYS', '*:r:*')[1])";
        assert!((1..=30_000).contains(&redis.count(&["EVAL", left, "0"]).await?), "it ends by itself");
    }
    Ok(())
}

#[tokio::test]
async fn a_fetch_that_no_other_replica_waits_for_writes_nothing_more() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], |options| options.timeout = Duration::from_millis(400)).await?;
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let sender = arrives(&mut lease, None, empty);
    send(&sender, "one");
    // Many times as long as one who waits would need.
    let number = "return tonumber(redis.call('GET', redis.call('KEYS', '*:{alive}:????????????????')[1] or '') or '0')";
    let counts_on = || async { Ok((redis.count(&["EVAL", number, "0"]).await? >= 20).then_some(())) };
    eventually("waiting for heartbeats", counts_on).await?;
    assert_eq!((relays(&redis).await?, store.stats().relays), (0, 0));
    // One who comes in the middle reads it from its start.
    let other = another(&redis, |_| ()).await?;
    let mut read = relayed(&other).await?;
    drop(sender);
    assert_eq!(rest(&mut read.pieces).await?.0, b"one");
    Ok(())
}

#[tokio::test]
async fn a_holder_that_may_not_ask_who_waits_hands_on_what_takes_long() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], |options| options.timeout = Duration::from_millis(400)).await?;
    let other = another(&redis, |_| ()).await?;
    redis.command(&["ACL", "SETUSER", "default", "-spop"]).await?;
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let sender = arrives(&mut lease, None, empty);
    send(&sender, "one");
    let mut read = relayed(&other).await?;
    assert_eq!(data(&mut read.pieces).await, "one");
    Ok(())
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_break_for_all_who_read_it() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let sender = arrives(&mut lease, None, empty);
    send(&sender, "one");
    let mut read = relayed(&other).await?;
    assert_eq!(data(&mut read.pieces).await, "one");
    sender.send(Err(RemoteError::Incomplete)).unwrap();
    assert_eq!(rest(&mut read.pieces).await, Err(RemoteError::Incomplete));
    is_let_go(&other).await?;
    assert_eq!((relays(&redis).await?, other.stats().interrupted), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_piece_that_is_not_what_was_written_is_a_break() -> Result<()> {
    for script in [
        "return redis.call('HSET', KEYS[1], '1', 'damaged')",
        // A piece of this very body, in another one's place.
        "return redis.call('HSET', KEYS[1], '1', redis.call('HGET', KEYS[1], '0'))",
        "return redis.call('HDEL', KEYS[1], '1')",
        "return redis.call('DEL', KEYS[1])",
        "return redis.call('HSET', KEYS[1], 'n', 'many')",
    ] {
        for change in [sealed as fn(&mut RedisOptions), |_| ()] {
            let Setup { redis, store } = Setup::with(&[], change).await?;
            let other = another(&redis, change).await?;
            let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
            let sender = arrives(&mut lease, None, empty);
            send(&sender, "one");
            let mut read = relayed(&other).await?;
            assert_eq!(data(&mut read.pieces).await, "one");
            send(&sender, "two");
            let relay = redis.command(&["EVAL", "return redis.call('KEYS', '*:r:*')[1]", "0"]).await?;
            eventually("waiting for the piece", || async { Ok((redis.count(&["HLEN", &relay]).await? == 7).then_some(())) }).await?;
            redis.command(&["EVAL", script, "1", &relay]).await?;
            assert!(rest(&mut read.pieces).await.is_err(), "{script}");
            drop(sender);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_request_for_another_variant_fetches_its_own() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let (other, third) = (another(&redis, |_| ()).await?, another(&redis, |_| ()).await?);
    // That there are variants is known with the answer only.
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let sender = arrives(&mut lease, None, || variant("/x", 7, "de").with_body_fetch(7));
    send(&sender, "Guten Tag");
    let key = key("/x");
    let wait = async |store: &RedisStore, language: &'static str| {
        let request = speaking(language);
        let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: Some(terms(MINUTE)), awaited: None };
        let settled = || async {
            match store.load(ask).await {
                Ok(Loaded::Awaited(_)) => Ok(None),
                loaded => Ok(Some(loaded)),
            }
        };
        eventually("waiting for the answer", settled).await
    };
    let Ok(Loaded::Relayed(mut read)) = wait(&other, "de").await? else { panic!("it is its own") };
    assert_eq!(data(&mut read.pieces).await, "Guten Tag");
    assert_eq!(read.record.variant(), variant("/x", 7, "de").variant());
    let own = granted(wait(&third, "en").await?);
    assert_ne!(own.key(), lease.key());
    Ok(())
}

#[tokio::test]
async fn a_body_that_outgrows_its_bound_is_a_window_in_which_nobody_begins() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], |options| options.max_object = 250).await?;
    let (other, behind) = (another(&redis, |_| ()).await?, another(&redis, |_| ()).await?);
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let sender = arrives(&mut lease, None, empty);
    send(&sender, vec![0; 60]);
    let (mut read, mut slow) = (relayed(&other).await?, relayed(&behind).await?);
    assert_eq!(data(&mut slow.pieces).await.len(), 60);
    for byte in 0..20 {
        if byte > 0 {
            send(&sender, vec![byte; 60]);
        }
        assert_eq!(data(&mut read.pieces).await, vec![byte; 60]);
    }
    let bytes = "return #table.concat(redis.call('HVALS', redis.call('KEYS', '*:r:*')[1]))";
    assert!(redis.count(&["EVAL", bytes, "0"]).await? < 300, "as much as may be held of one body");
    assert!(matches!(ask_for_lease(&behind, "/x", MINUTE).await, Ok(Loaded::Awaited(_))), "its start is gone");
    assert_eq!(slow.pieces.next().await, Some(Err(RemoteError::Incomplete)), "too far behind");
    drop(sender);
    assert_eq!(rest(&mut read.pieces).await?.0, b"");
    Ok(())
}

#[tokio::test]
async fn a_long_body_comes_in_pieces_of_a_segment_of_which_a_reader_holds_few() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let content = pattern(7 * SEGMENT + 5);
    let sender = arrives(&mut lease, Some(content.len() as u64), empty);
    send(&sender, content.clone());
    drop(sender);
    let mut read = relayed(&other).await?;
    let mut all = Vec::new();
    while let Some(piece) = read.pieces.next().await {
        let Ok(Piece::Data(data)) = piece else { panic!("{piece:?}") };
        assert!(data.len() <= SEGMENT && read.pieces.ahead() <= 3 * SEGMENT as u64, "{}", read.pieces.ahead());
        all.extend_from_slice(&data);
    }
    assert!(all == content);
    let (mut one_by_one, mut all) = (relayed(&other).await?, Vec::new());
    one_by_one.pieces.limit_ahead(0);
    while let Some(piece) = one_by_one.pieces.next().await {
        let Ok(Piece::Data(data)) = piece else { panic!("{piece:?}") };
        assert_eq!(one_by_one.pieces.ahead(), 0);
        all.extend_from_slice(&data);
    }
    assert!(all == content);
    Ok(())
}

#[tokio::test]
async fn a_full_server_relays_nothing_and_holds_up_nobody() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    assert!(matches!(ask_for_lease(&other, "/x", MINUTE).await, Ok(Loaded::Awaited(_))));
    // Those who wait can sign that they do, and what is relayed does not fit.
    let sender = arrives(&mut lease, None, empty);
    let mut read = None;
    for full in [false, true] {
        if full {
            redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
        }
        send(&sender, "more");
        if !full {
            read = Some(relayed(&other).await?);
        }
    }
    assert_eq!(rest(&mut read.expect("it was relayed").pieces).await, Err(RemoteError::Incomplete));
    is_let_go(&other).await
}

async fn through(proxy: &FaultProxy, timeout: Duration) -> Result<RedisStore> {
    let mut options = RedisOptions::new(RedisServers::Single(RedisUrl::parse(&format!("redis://{}", proxy.address()))?));
    options.breaker_failures = u32::MAX;
    options.timeout = timeout;
    let store = RedisStore::start(options, CLOCKS, Arc::default(), None)?;
    has_read_the_log(&store).await?;
    Ok(store)
}

#[tokio::test]
async fn a_holder_that_is_cut_off_or_a_redis_that_goes_is_a_break_soon() -> Result<()> {
    for holder in [true, false] {
        let redis = Redis::start().await?;
        let proxy = FaultProxy::start(redis.address()).await?;
        let behind = through(&proxy, Duration::from_millis(400)).await?;
        let plain = another(&redis, |options| options.timeout = Duration::from_millis(400)).await?;
        let (store, other) = if holder { (behind, plain) } else { (plain, behind) };
        let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
        let sender = arrives(&mut lease, None, empty);
        send(&sender, "one");
        let mut read = relayed(&other).await?;
        assert_eq!(data(&mut read.pieces).await, "one");
        proxy.set(Fault::Refused);
        assert!(rest(&mut read.pieces).await.is_err());
        drop(sender);
    }
    Ok(())
}

#[tokio::test]
async fn a_newer_fetch_under_the_same_key_ends_no_relay_of_an_older_one() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let (other, third) = (another(&redis, |_| ()).await?, another(&redis, |_| ()).await?);
    let mut old = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let old_body = arrives(&mut old, None, empty);
    send(&old_body, "old");
    let mut before = relayed(&other).await?;
    // A purge: the older lease does not count any more.
    let (key, request) = (key("/x"), HeaderMap::new());
    let lease = Some(LeaseTerms { position: Position::of_log(4), instead_of: Some(old.token()), ..terms(MINUTE) });
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease, awaited: None };
    let mut new = granted(other.load(ask).await);
    let new_body = arrives(&mut new, None, || response("/x", 8, b""));
    send(&new_body, "new");
    let mut after = relayed(&third).await?;
    assert_eq!((after.holder.token, after.record.fetch()), (new.token(), 8));
    drop((old_body, new_body));
    assert_eq!(rest(&mut before.pieces).await?.0, b"old");
    assert_eq!(rest(&mut after.pieces).await?.0, b"new");
    Ok(())
}

#[tokio::test]
async fn a_request_that_fetches_itself_meanwhile_finds_the_relay_of_the_fetch_it_has_waited_for() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let sender = arrives(&mut lease, None, empty);
    send(&sender, "one");
    drop(sender);
    let (key, request, awaited) = (key("/x"), HeaderMap::new(), Some(lease.token()));
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited };
    let finds = || async {
        match other.load(ask).await {
            Ok(Loaded::Relayed(relayed)) => Ok(Some(relayed)),
            Ok(Loaded::Awaited(_)) => Ok(None),
            loaded => panic!("{loaded:?}"),
        }
    };
    let mut read = eventually("waiting for the answer", finds).await?;
    assert_eq!(rest(&mut read.pieces).await?.0, b"one");
    let stranger = other.load(LoadRequest { awaited: Some(lease.token() ^ 1), ..ask }).await;
    assert!(matches!(stranger, Ok(Loaded::Nothing(None))), "{stranger:?}");
    Ok(())
}

#[tokio::test]
async fn relays_work_on_every_node_of_a_cluster() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    let replica = || {
        let seeds = cluster.urls().iter().map(|url| RedisUrl::parse(url).unwrap()).collect();
        let mut options = RedisOptions::new(RedisServers::Cluster(seeds));
        options.timeout = Duration::from_secs(1);
        RedisStore::start(options, CLOCKS, Arc::default(), None).unwrap()
    };
    let (store, other) = (replica(), replica());
    has_read_the_log(&store).await?;
    has_read_the_log(&other).await?;
    for path in ["/a", "/b", "/c", "/d", "/e", "/f"] {
        let mut lease = granted(ask_for_lease(&store, path, MINUTE).await);
        let sender = arrives(&mut lease, None, move || response(path, 7, b""));
        send(&sender, path);
        drop(sender);
        let opens = || async {
            match ask_for_lease(&other, path, MINUTE).await {
                Ok(Loaded::Relayed(relayed)) => Ok(Some(relayed)),
                Ok(Loaded::Awaited(_)) => Ok(None),
                loaded => panic!("{loaded:?}"),
            }
        };
        let mut read = eventually("waiting for the answer", opens).await?;
        assert_eq!(rest(&mut read.pieces).await?.0, path.as_bytes());
    }
    Ok(())
}

#[tokio::test]
async fn a_purge_of_everything_drops_no_relay_that_is_read() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let mut lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let sender = arrives(&mut lease, None, empty);
    send(&sender, "one");
    let mut read = relayed(&other).await?;
    commit(&store, response("/y", 7, b"old"), None).await;
    store.log().publish(Invalidation::hard([InvalidationTarget::All])).await;
    // Entries are dropped from Redis in the background.
    let swept = || async { Ok((crate::support::entries(&redis).await? == 2).then_some(())) };
    eventually("waiting for the entry to be dropped", swept).await?;
    send(&sender, "two");
    drop(sender);
    assert_eq!(rest(&mut read.pieces).await?.0, b"onetwo");
    Ok(())
}
