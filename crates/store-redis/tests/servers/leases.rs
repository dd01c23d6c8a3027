use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl, WriteMode};
use larder_store::{FetchFailure, Lease, LeaseHolder, LeaseTerms, LoadRequest, Loaded, Position, RemoteError, RemoteStore, Write};
use larder_testkit::Result;
use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::wait::eventually;

use crate::support::{
    CLOCKS, MINUTE, Setup, another, ask_for_lease, commit, entries, granted, has_read_the_log, head, key, response, terms, text, variant,
};

#[tokio::test]
async fn one_replica_fetches_and_the_others_wait_until_it_has_stored() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    assert!(matches!(ask_for_lease(&other, "/x", MINUTE).await, Ok(Loaded::Awaited(_))));
    commit(&store, response("/x", 7, b"hello"), Some(lease)).await;
    assert!(matches!(ask_for_lease(&other, "/x", MINUTE).await, Ok(Loaded::Response(_))));
    assert_eq!(entries(&redis).await?, 1, "the lease is gone");
    Ok(())
}

#[tokio::test]
async fn a_known_stale_response_is_leased_for_its_renewal() -> Result<()> {
    let Setup { redis: _redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    let (key, request) = (key("/x"), HeaderMap::new());
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 7, lease: Some(terms(MINUTE)), awaited: None };
    drop(granted(store.load(ask).await));
    assert!(matches!(store.load(LoadRequest { newer_than: 6, ..ask }).await, Ok(Loaded::Response(_))));
    Ok(())
}

#[tokio::test]
async fn a_fetch_that_fails_lets_the_next_one_try() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    drop(granted(ask_for_lease(&store, "/x", MINUTE).await));
    let next = || async {
        match ask_for_lease(&other, "/x", MINUTE).await {
            Ok(Loaded::Nothing(Some(lease))) => Ok(Some(lease)),
            _ => Ok(None),
        }
    };
    drop(eventually("waiting for the lease to be given back", next).await?);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_cannot_be_shared_lets_everyone_go() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    granted(ask_for_lease(&store, "/x", MINUTE).await).not_shared();
    let alone = || async { Ok(matches!(ask_for_lease(&other, "/x", MINUTE).await, Ok(Loaded::Nothing(None))).then_some(())) };
    eventually("waiting for the others to be let go", alone).await
}

/// Waits for a lease that is to become free.
async fn next_lease(store: &RedisStore, path: &str) -> Result<Lease> {
    let next = || async {
        match ask_for_lease(store, path, MINUTE).await {
            Ok(Loaded::Nothing(lease)) => Ok(lease),
            Ok(Loaded::Awaited(_)) => Ok(None),
            other => panic!("{other:?}"),
        }
    };
    eventually("waiting for the lease", next).await
}

async fn is_let_go(store: &RedisStore, path: &str) -> Result<()> {
    let alone = || async { Ok(matches!(ask_for_lease(store, path, MINUTE).await, Ok(Loaded::Nothing(None))).then_some(())) };
    eventually("waiting to be let go", alone).await
}

async fn through(proxy: &FaultProxy, change: impl FnOnce(&mut RedisOptions)) -> Result<RedisStore> {
    let mut options = RedisOptions::new(RedisServers::Single(RedisUrl::parse(&format!("redis://{}", proxy.address()))?));
    options.write = WriteMode::Through;
    // None of these tests is about the breaker.
    options.breaker_failures = u32::MAX;
    options.timeout = Duration::from_secs(5);
    change(&mut options);
    let store = RedisStore::start(options, CLOCKS, Arc::default(), None)?;
    has_read_the_log(&store).await?;
    Ok(store)
}

#[tokio::test]
async fn a_dead_holder_costs_one_term_and_a_late_one_overwrites_nothing() -> Result<()> {
    let Setup { redis, store: other } = Setup::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let dead = through(&proxy, |_| ()).await?;
    let late = granted(ask_for_lease(&dead, "/x", Duration::from_millis(400)).await);
    proxy.set(Fault::Refused);
    let second = next_lease(&other, "/x").await?;
    proxy.set(Fault::None);
    let connected = || async { Ok(ask_for_lease(&dead, "/other", MINUTE).await.ok().map(drop)) };
    eventually("waiting for the late one to be back", connected).await?;
    commit(&dead, response("/x", 7, b"late"), Some(late)).await;
    assert!(matches!(ask_for_lease(&dead, "/x", MINUTE).await, Ok(Loaded::Response(_))));
    let key = key("/x");
    let ask = LoadRequest { key: &key, request: &HeaderMap::new(), spec: None, newer_than: 7, lease: Some(terms(MINUTE)), awaited: None };
    let Ok(Loaded::Awaited(holder)) = dead.load(ask).await else { panic!("the second holder's lease stands") };
    assert_eq!(holder.token, second.token());
    commit(&other, response("/x", 8, b"newer"), Some(second)).await;
    commit(&dead, response("/x", 7, b"late"), None).await;
    assert_eq!(text(&dead, "/x").await.as_deref(), Some("newer"));
    Ok(())
}

#[tokio::test]
async fn a_lease_is_renewed_while_its_holder_lives() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let lease = granted(ask_for_lease(&store, "/x", Duration::from_secs(3)).await);
    let left = "return redis.call('PTTL', redis.call('KEYS', '*:l')[1])";
    let min = AtomicI64::new(i64::MAX);
    let renewed = || async {
        let left = redis.count(&["EVAL", left, "0"]).await?;
        Ok((left > min.fetch_min(left, Ordering::Relaxed)).then_some(()))
    };
    eventually("waiting for the lease to be renewed", renewed).await?;
    drop(lease);
    eventually("waiting for it to be given back", || async { Ok((entries(&redis).await? == 0).then_some(())) }).await
}

#[tokio::test]
async fn a_lease_that_is_granted_too_late_is_given_back() -> Result<()> {
    let Setup { redis, store: other } = Setup::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let store = through(&proxy, |options| options.timeout = Duration::from_millis(100)).await?;
    // Commands arrive, and their answers do not.
    proxy.set(Fault::Blackholed);
    assert_eq!(ask_for_lease(&store, "/x", MINUTE).await.unwrap_err(), RemoteError::Timeout);
    drop(next_lease(&other, "/x").await?);
    Ok(())
}

#[tokio::test]
async fn a_lease_ends_where_it_was_granted() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    // That there are variants is known with the answer only.
    let lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    commit(&store, variant("/x", 7, "de"), Some(lease)).await;
    assert_eq!(entries(&redis).await?, 2, "the variant and what leads to it");
    let lease = granted(ask_for_lease(&store, "/y", MINUTE).await);
    commit(&store, variant("/y", 7, "de"), None).await;
    let renewed = Arc::new(variant("/y", 7, "de").freshened(&head("\"2\""), Position::of_log(3), 8));
    store.freshen(Write { response: renewed, keep: MINUTE, lease: Some(lease), log_position: None }).await;
    assert_eq!(entries(&redis).await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_lease_from_before_an_invalidation_holds_up_no_later_request() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let (other, third) = (another(&redis, |_| ()).await?, another(&redis, |_| ()).await?);
    let (key, request) = (key("/x"), HeaderMap::new());
    let at = |number, instead_of| LoadRequest {
        key: &key,
        request: &request,
        spec: None,
        newer_than: 0,
        lease: Some(LeaseTerms { position: Position::of_log(number), instead_of, ..terms(MINUTE) }),
        awaited: None,
    };
    let outdated = granted(store.load(at(3, None)).await);
    let Ok(Loaded::Awaited(holder)) = other.load(at(4, None)).await else { panic!("it stands until somebody judges it") };
    assert_eq!(holder, LeaseHolder { token: outdated.token(), position: Position::of_log(3), silent: false });
    let lease = granted(other.load(at(4, Some(holder.token))).await);
    let Ok(Loaded::Awaited(holder)) = third.load(at(4, Some(holder.token))).await else { panic!("this one is not outdated") };
    assert_eq!(holder, LeaseHolder { token: lease.token(), position: Position::of_log(4), silent: false });
    drop(outdated);
    assert!(store.drain(MINUTE).await);
    assert!(matches!(third.load(at(4, None)).await, Ok(Loaded::Awaited(_))), "it ends its own only");
    Ok(())
}

#[tokio::test]
async fn a_fetch_without_an_answer_lets_everyone_try_at_once() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let (other, third) = (another(&redis, |_| ()).await?, another(&redis, |_| ()).await?);
    granted(ask_for_lease(&store, "/x", MINUTE).await).failed(None);
    is_let_go(&other, "/x").await?;
    is_let_go(&third, "/x").await?;
    // Only those who waited; a lease is granted again soon.
    drop(next_lease(&other, "/x").await?);
    Ok(())
}

/// The entry for a request that has waited for the fetch under this lease.
async fn after_waiting(store: &RedisStore, path: &str, awaited: u64) -> Result<Loaded, RemoteError> {
    let (key, request) = (key(path), HeaderMap::new());
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: Some(terms(MINUTE)), awaited: Some(awaited) };
    store.load(ask).await
}

#[tokio::test]
async fn waiting_replicas_learn_how_a_fetch_failed_and_no_others_do() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let error = FetchFailure::ServerError { status: StatusCode::BAD_GATEWAY, retry_after: Some(HeaderValue::from_static("7")) };
    let none = FetchFailure::NoAnswer("http_response_timeout".into());
    for (path, failure) in [("/none", none), ("/error", error), ("/refused", FetchFailure::Refused)] {
        let lease = granted(ask_for_lease(&store, path, MINUTE).await);
        let token = lease.token();
        assert!(matches!(after_waiting(&other, path, token).await, Ok(Loaded::Awaited(_))), "it is under way");
        lease.failed(Some(failure.clone()));
        is_let_go(&other, path).await?;
        assert!(matches!(after_waiting(&other, path, token ^ 1).await, Ok(Loaded::Nothing(None))), "of another fetch");
        let learned = after_waiting(&other, path, token).await;
        assert!(matches!(&learned, Ok(Loaded::Failed(learned)) if *learned == failure), "{learned:?}");
        commit(&store, response(path, 7, b"hello"), None).await;
        assert!(matches!(after_waiting(&other, path, token).await, Ok(Loaded::Response(_))), "a response is better");
    }
    Ok(())
}

#[tokio::test]
async fn a_fetch_whose_lease_was_taken_over_still_tells_of_its_failure() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let overdue = granted(ask_for_lease(&store, "/x", MINUTE).await);
    let token = overdue.token();
    let (key, request) = (key("/x"), HeaderMap::new());
    let terms = LeaseTerms { instead_of: Some(token), ..terms(MINUTE) };
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: Some(terms), awaited: Some(token) };
    let newer = granted(other.load(ask).await);
    let failure = FetchFailure::NoAnswer("connection_terminated".into());
    overdue.failed(Some(failure.clone()));
    assert!(store.drain(MINUTE).await);
    let watch = other.load(LoadRequest { lease: None, ..ask }).await;
    assert!(matches!(&watch, Ok(Loaded::Failed(learned)) if *learned == failure), "{watch:?}");
    let Ok(Loaded::Awaited(holder)) = ask_for_lease(&store, "/x", MINUTE).await else { panic!("the newer lease stands") };
    assert_eq!(holder.token, newer.token());
    Ok(())
}

/// Asks for the lease until the answer is like this: who holds it, and whether that replica is silent.
async fn holder_becomes(store: &RedisStore, path: &str, silent: bool) -> Result<u64> {
    let becomes = || async {
        match ask_for_lease(store, path, MINUTE).await {
            Ok(Loaded::Awaited(holder)) => Ok((holder.silent == silent).then_some(holder.token)),
            other => panic!("{other:?}"),
        }
    };
    eventually(format!("waiting for the holder to be silent: {silent}"), becomes).await
}

#[tokio::test]
async fn a_holder_that_is_cut_off_is_silent_long_before_its_lease_ends() -> Result<()> {
    let Setup { redis, store: other } = Setup::start().await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    let store = through(&proxy, |options| options.timeout = Duration::from_millis(400)).await?;
    let lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    assert_eq!(holder_becomes(&other, "/x", false).await?, lease.token());
    proxy.set(Fault::Refused);
    assert_eq!(holder_becomes(&other, "/x", true).await?, lease.token());
    // It was only cut off.
    proxy.set(Fault::None);
    assert_eq!(holder_becomes(&other, "/x", false).await?, lease.token());
    Ok(())
}

#[tokio::test]
async fn a_holder_shows_that_it_lives_once_for_all_its_leases() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], |options| options.timeout = Duration::from_millis(400)).await?;
    let _leases = [granted(ask_for_lease(&store, "/x", MINUTE).await), granted(ask_for_lease(&store, "/y", MINUTE).await)];
    let number = "return tonumber(redis.call('GET', redis.call('KEYS', '*:{alive}:????????????????')[1] or '') or '0')";
    let counts_on = || async { Ok((redis.count(&["EVAL", number, "0"]).await? >= 3).then_some(())) };
    eventually("waiting for heartbeats", counts_on).await?;
    assert_eq!(redis.count(&["EVAL", "return #redis.call('KEYS', '*:{alive}:????????????????')", "0"]).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_body_that_takes_long_or_breaks_off_lets_everyone_go() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let mut long = granted(ask_for_lease(&store, "/long", Duration::from_millis(400)).await);
    long.arriving(None);
    is_let_go(&other, "/long").await?;
    let mut broken = granted(ask_for_lease(&store, "/broken", MINUTE).await);
    broken.arriving(None);
    drop(broken);
    is_let_go(&other, "/broken").await
}

/// Counted in heartbeats, eight of which are a `timeout`: a machine that is busy is late with both.
#[tokio::test]
async fn a_body_that_takes_long_lets_everyone_go_within_the_timeout() -> Result<()> {
    let with_timeout = |options: &mut RedisOptions| options.timeout = Duration::from_millis(800);
    let Setup { redis, store } = Setup::with(&[], with_timeout).await?;
    let other = another(&redis, with_timeout).await?;
    let number = "return tonumber(redis.call('GET', redis.call('KEYS', '*:{alive}:????????????????')[1] or '') or '0')";
    let heartbeats = async || redis.count(&["EVAL", number, "0"]).await;
    let mut lease = granted(ask_for_lease(&store, "/long", MINUTE).await);
    // The number is there before it is compared.
    eventually("waiting for a heartbeat", || async { Ok((heartbeats().await? > 0).then_some(())) }).await?;
    let head = heartbeats().await?;
    lease.arriving(None);
    assert!(matches!(ask_for_lease(&other, "/long", MINUTE).await, Ok(Loaded::Awaited(_))), "a body may be there soon");
    is_let_go(&other, "/long").await?;
    let waited = heartbeats().await? - head;
    assert!(waited <= 8, "{waited} heartbeats, of a lease for a minute");
    Ok(())
}

#[tokio::test]
async fn no_request_waits_for_a_body_that_is_not_kept() -> Result<()> {
    let Setup { redis, store } = Setup::with(&[], |options| options.max_object = 10).await?;
    let other = another(&redis, |_| ()).await?;
    assert!(store.takes(10) && !store.takes(11));
    let lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    commit(&store, response("/x", 7, b"more than ten bytes"), Some(lease)).await;
    is_let_go(&other, "/x").await
}

#[tokio::test]
async fn a_full_server_holds_up_no_request() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let leases = ["/a", "/b", "/c"].map(async |path| granted(ask_for_lease(&store, path, MINUTE).await));
    let [failed, not_shared, written] = leases;
    let (failed, not_shared, written) = (failed.await, not_shared.await, written.await);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    failed.failed(None);
    not_shared.not_shared();
    commit(&store, response("/c", 7, b"refused"), Some(written)).await;
    for path in ["/a", "/b", "/c"] {
        is_let_go(&other, path).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_takes_no_writes_still_answers() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    assert_eq!(text(&store, "/x").await.as_deref(), Some("hello"));
    assert!(matches!(ask_for_lease(&store, "/y", MINUTE).await, Ok(Loaded::Nothing(None))), "no lease, so nobody waits");
    commit(&store, response("/y", 7, b"refused"), None).await;
    assert!(store.problem().is_none(), "it is well, only full");
    assert_eq!(text(&store, "/y").await, None);
    Ok(())
}
