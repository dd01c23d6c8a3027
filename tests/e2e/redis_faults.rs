//! Faults of Redis and on the way to it, and failovers: no client notices them.

use std::sync::Arc;
use std::time::Duration;

use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Error, Larder, Origin, Redis, RedisSentinels, Result};
use rustix::process::Signal;

use crate::redis::{HOST, TTL, get, reads_the_log, replica, written};

/// Asks for something new and something old a few times over. Nobody may notice anything.
async fn no_client_notices(origin: &Origin, larder: &Larder, round: &str) -> Result<()> {
    for n in 0..8 {
        let new = format!("/new/{round}/{n}");
        origin.always("GET", &new, Answer::ok().body("x"));
        let response = larder.get(&new).await?;
        assert_eq!((response.status, response.complete, response.text().as_str()), (200, true, "x"), "{round}");
        let response = larder.get("/old").await?;
        assert_eq!((response.status, response.x_cache(), response.text().as_str()), (200, "HIT", "x"), "{round}");
        assert_eq!(larder.request("PUT", "/other", &[], "").await?.status, 204, "{round}");
    }
    Ok(())
}

pub(crate) async fn recovered(larder: &Larder) -> Result<()> {
    let closed = || async { Ok((larder.metric("larder_redis_breaker", &[]).await? == 0.0).then_some(())) };
    eventually("waiting for the breaker to close", closed).await?;
    let reported = || async { Ok((larder.metric("larder_invalidations_untold", &[]).await? == 0.0).then_some(())) };
    eventually("waiting for the journal to be told", reported).await
}

pub(crate) async fn any_origin() -> Result<Origin> {
    let origin = Origin::start().await?;
    origin.always("GET", "/old", Answer::ok().body("x"));
    origin.always("PUT", "/other", Answer::new(204));
    Ok(origin)
}

#[tokio::test]
async fn no_fault_between_larder_and_redis_reaches_a_client() -> Result<()> {
    let (origin, redis) = (any_origin().await?, Redis::start().await?);
    let proxy = FaultProxy::start(redis.address()).await?;
    let larder = replica(&origin, proxy.address(), "breaker = { failures = 2, open = \"1m\" }").await?;
    larder.get("/old").await?;
    for fault in
        [Fault::Refused, Fault::Blackholed, Fault::Slow(Duration::from_millis(1200)), Fault::ResetMidway, Fault::Truncated, Fault::Garbage]
    {
        proxy.set(fault);
        no_client_notices(&origin, &larder, &format!("{fault:?}").replace(['(', ')', '.'], "")).await?;
        proxy.set(Fault::None);
        recovered(&larder).await?;
        let before = larder.metric("larder_redis_written_total", &[]).await?;
        let after = format!("/after/{fault:?}").replace(['(', ')', '.'], "");
        origin.always("GET", &after, Answer::ok().body("x"));
        larder.get(&after).await?;
        written(&larder, before + 1.0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn no_trouble_of_redis_itself_reaches_a_client() -> Result<()> {
    let (origin, mut redis) = (any_origin().await?, Redis::start().await?);
    let larder = replica(&origin, redis.address(), "breaker = { failures = 2, open = \"1m\" }").await?;
    larder.get("/old").await?;

    redis.signal(Signal::STOP)?;
    no_client_notices(&origin, &larder, "stopped").await?;
    redis.signal(Signal::CONT)?;
    recovered(&larder).await?;

    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    no_client_notices(&origin, &larder, "full").await?;
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    recovered(&larder).await?;

    redis.command(&["REPLICAOF", "127.0.0.1", "1"]).await?;
    no_client_notices(&origin, &larder, "readonly").await?;
    let number = larder.metric("larder_invalidation_log_number", &[]).await?;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await?;
    recovered(&larder).await?;
    // Who was a replica may lack what its master had last: nothing from before is trusted.
    larder.metric_reaches("larder_invalidation_log_number", &[], number + 1_000.0).await?;
    larder.get("/old").await?;

    redis.kill().await?;
    no_client_notices(&origin, &larder, "killed").await?;
    let detail = larder.admin("/readyz").await?;
    assert_eq!(detail.status, 200);
    assert!(detail.text().contains(r#""state":"failing""#), "{}", detail.text());
    redis.restart().await?;
    recovered(&larder).await
}

#[tokio::test]
async fn a_replica_that_starts_without_redis_serves_and_finds_it_later() -> Result<()> {
    let (origin, mut redis) = (any_origin().await?, Redis::start().await?);
    redis.kill().await?;
    let larder = Larder::before(&origin, &format!("{TTL}[store.redis]\nurl = \"redis://me:hunter2@{}\"\n", redis.address())).await?;
    larder.get("/old").await?;
    no_client_notices(&origin, &larder, "absent").await?;
    let output = larder.process().output().join("\n");
    assert!(output.contains("does not answer") && !output.contains("hunter2"), "{output}");
    redis.restart().await?;
    redis.command(&["ACL", "SETUSER", "me", "on", ">hunter2", "~*", "&*", "+@all"]).await?;
    reads_the_log(&larder).await?;
    recovered(&larder).await
}

#[tokio::test]
async fn a_replica_cut_off_from_the_log_asks_the_origin_and_never_serves_what_was_purged() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.validated("/a", "\"1\"", Answer::ok().header("ETag", "\"1\"").body("old"));
    let proxy = FaultProxy::start(redis.address()).await?;
    let larder = replica(&origin, proxy.address(), "max_lag = \"1s\"\n").await?;
    larder.get("/a").await?;
    assert!(!larder.get("/a").await?.cache_status().contains("fwd"));
    proxy.set(Fault::Refused);
    let validated = || async { Ok(larder.get("/a").await?.cache_status().contains("fwd-status=304").then_some(())) };
    eventually("waiting for hits to be validated", validated).await.map_err(|error| larder.process().explain(error))?;
    proxy.set(Fault::None);
    let trusted = || async { Ok((!larder.get("/a").await?.cache_status().contains("fwd")).then_some(())) };
    eventually("waiting for hits to be hits again", trusted).await
}

async fn behind_sentinels(origin: &Origin, sentinels: &RedisSentinels) -> Result<Larder> {
    let urls = format!("{:?}", sentinels.urls());
    let redis = format!(
        "url = {urls}\nsentinel = {{ master = \"{}\" }}\ntimeout = \"1s\"\nbreaker = {{ failures = 2, open = \"1m\" }}",
        sentinels.master()
    );
    let larder = Larder::before(origin, &format!("{TTL}[store.redis]\n{redis}\n")).await?;
    reads_the_log(&larder).await?;
    Ok(larder)
}

/// Asks for something that has to be validated each time and for something that has not, over and over, until it is told to stop. Nobody may notice anything.
async fn load(larder: Arc<Larder>, stop: tokio::sync::watch::Receiver<bool>, name: usize) -> Result<usize> {
    let mut asked = 0;
    while !*stop.borrow() {
        for target in [format!("/validated/{name}"), "/old".to_owned()] {
            let response = get(&larder, &target).await?;
            if (response.status, response.complete, response.text().as_str()) != (200, true, "x") {
                return Err(Error::new(format!("{target} was answered with {}", response.status)));
            }
        }
        asked += 1;
    }
    Ok(asked)
}

#[tokio::test]
async fn a_failover_under_load_reaches_no_client_and_brings_back_nothing() -> Result<()> {
    let (origin, sentinels) = (any_origin().await?, RedisSentinels::start().await?);
    for name in 0..4 {
        let answer = Answer::ok().header("Cache-Control", "no-cache").header("ETag", "\"1\"").body("x");
        origin.validated(&format!("/validated/{name}"), "\"1\"", answer);
    }
    origin.always("GET", "/other", Answer::ok().body("x"));
    let (one, other) = (Arc::new(behind_sentinels(&origin, &sentinels).await?), Arc::new(behind_sentinels(&origin, &sentinels).await?));
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let mut clients = tokio::task::JoinSet::new();
    for name in 0..4 {
        let larder = Arc::clone(if name % 2 == 0 { &one } else { &other });
        clients.spawn(load(larder, stopping.clone(), name));
    }
    assert_eq!(get(&one, "/other").await?.x_cache(), "MISS");
    written(&one, 1.0).await?;
    assert_eq!(get(&other, "/other").await?.x_cache(), "HIT");

    sentinels.servers()[0].kill().await?;
    // Purged while there is no master.
    assert_eq!(one.request("PUT", "/other", &[HOST], "").await?.status, 204);
    sentinels.promoted(1).await?;
    for (larder, target) in [(&one, "/after/one"), (&other, "/after/other")] {
        recovered(larder).await?;
        origin.always("GET", target, Answer::ok().body("x"));
        let stored = || async {
            get(larder, target).await?;
            let keys = "return #redis.call('KEYS', 'larder:{????????????????????????????????}')";
            Ok((sentinels.servers()[1].count(&["EVAL", keys, "0"]).await? > 0).then_some(()))
        };
        eventually("waiting for responses in the new master", stored).await?;
    }
    let number = one.metric("larder_invalidation_log_number", &[]).await?;
    other.metric_reaches("larder_invalidation_log_number", &[], number).await?;
    assert_eq!(get(&other, "/other").await?.x_cache(), "MISS");
    stop.send_replace(true);
    while let Some(asked) = clients.join_next().await {
        assert!(asked.map_err(Error::from)?? > 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_leaves_the_memory_and_is_told() -> Result<()> {
    let (origin, redis) = (any_origin().await?, Redis::start_with(&["--requirepass", "right"]).await?);
    let larder = Larder::before(&origin, &format!("{TTL}[store.redis]\nurl = \"redis://:hunter2@{}\"\n", redis.address())).await?;
    let reported =
        || async { Ok(larder.admin("/readyz").await?.text().contains("it does not accept the user or the password").then_some(())) };
    eventually("waiting for /readyz to tell", reported).await?;
    assert_eq!((larder.admin("/readyz").await?.status, larder.get("/old").await?.x_cache()), (200, "MISS"));
    assert_eq!(larder.get("/old").await?.x_cache(), "HIT");
    let output = larder.process().output();
    let said = output.iter().filter(|line| line.contains("the log of invalidations cannot be read: it does not accept")).count();
    assert_eq!(said, 1, "once, and again after a minute");
    assert!(!output.join("\n").contains("hunter2"));
    Ok(())
}

#[tokio::test]
async fn hits_in_memory_never_ask_redis_however_it_fares() -> Result<()> {
    let (origin, redis) = (any_origin().await?, Redis::start().await?);
    let proxy = FaultProxy::start(redis.address()).await?;
    let larder = replica(&origin, proxy.address(), "").await?;
    larder.get("/old").await?;
    written(&larder, 1.0).await?;
    let asked = || larder.metric("larder_redis_operation_duration_seconds_count", &[]);
    let before = asked().await?;
    assert!(before > 0.0);
    for fault in [Fault::None, Fault::Blackholed, Fault::Slow(Duration::from_secs(60)), Fault::Refused] {
        proxy.set(fault);
        for _ in 0..50 {
            let response = larder.get("/old").await?;
            assert_eq!((response.status, response.x_cache()), (200, "HIT"), "{fault:?}");
        }
    }
    assert_eq!(asked().await?, before);
    Ok(())
}
