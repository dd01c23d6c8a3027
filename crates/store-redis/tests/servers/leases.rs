use std::time::Duration;

use http::HeaderMap;
use larder_store::{Ask, Loaded, RemoteStore};
use larder_testkit::Result;
use larder_testkit::patience::eventually;

use crate::support::{MINUTE, Setup, another, ask_for_lease, commit, entries, granted, key, response, text};

#[tokio::test]
async fn one_replica_fetches_and_the_others_wait_until_it_has_stored() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    assert!(matches!(ask_for_lease(&other, "/x", MINUTE).await, Ok(Loaded::Awaited)));
    commit(&store, response("/x", 7, b"hello"), Some(lease)).await;
    assert!(matches!(ask_for_lease(&other, "/x", MINUTE).await, Ok(Loaded::Response(_))));
    assert_eq!(entries(&redis).await?, 1, "the lease is gone");
    Ok(())
}

#[tokio::test]
async fn what_is_known_and_stale_is_leased_for_its_renewal() -> Result<()> {
    let Setup { redis: _redis, store } = Setup::start().await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    let (key, request) = (key("/x"), HeaderMap::new());
    let ask = Ask { key: &key, request: &request, spec: None, newer_than: 7, lease: MINUTE };
    drop(granted(store.load(ask).await));
    assert!(matches!(store.load(Ask { newer_than: 6, ..ask }).await, Ok(Loaded::Response(_))));
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

#[tokio::test]
async fn a_dead_holder_costs_one_deadline_and_a_late_one_overwrites_nothing() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let other = another(&redis, |_| ()).await?;
    let late = granted(ask_for_lease(&store, "/x", Duration::from_millis(30)).await);
    let next = || async {
        match ask_for_lease(&other, "/x", MINUTE).await {
            Ok(Loaded::Nothing(Some(lease))) => Ok(Some(lease)),
            Ok(Loaded::Awaited) => Ok(None),
            other => panic!("{other:?}"),
        }
    };
    let second = eventually("waiting for the deadline", next).await?;
    commit(&store, response("/x", 7, b"late"), Some(late)).await;
    assert!(matches!(entries(&redis).await?, 2), "the second holder's lease stands");
    commit(&other, response("/x", 8, b"newer"), Some(second)).await;
    commit(&store, response("/x", 7, b"late"), None).await;
    assert_eq!(text(&store, "/x").await.as_deref(), Some("newer"));
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
