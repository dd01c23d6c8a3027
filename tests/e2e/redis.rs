//! Replicas that share a Redis: real processes, a real server, and a proxy between them that breaks.

use std::sync::Arc;

use larder_testkit::faults::FaultProxy;
use larder_testkit::larder::{command, config};
use larder_testkit::process::Process;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Redis, Response, Result};
use rustix::process::Signal;

use crate::redis_faults::{any_origin, recovered};

pub(crate) const TTL: &str = "[cache]\nttl = \"60s\"\n";

/// A replica, once it has read the log of invalidations.
pub(crate) async fn replica(origin: &Origin, redis: std::net::SocketAddr, keys: &str) -> Result<Larder> {
    let larder = Larder::before(origin, &format!("{TTL}[store.redis]\nurl = \"redis://{redis}\"\ntimeout = \"1s\"\n{keys}")).await?;
    reads_the_log(&larder).await?;
    Ok(larder)
}

pub(crate) async fn reads_the_log(larder: &Larder) -> Result<()> {
    let ok = || async { Ok(larder.admin("/readyz").await?.text().contains(r#""state":"ok""#).then_some(())) };
    eventually("waiting for the log of invalidations to be read", ok).await
}

pub(crate) async fn written(larder: &Larder, count: f64) -> Result<()> {
    larder.metric_reaches("larder_redis_written_total", &[], count).await
}

/// Replicas are one site under one name; the port that each of them happens to have is no part of it.
pub(crate) const HOST: (&str, &str) = ("Host", "site.example");

pub(crate) async fn get(larder: &Larder, target: &str) -> Result<Response> {
    larder.request("GET", target, &[HOST], "").await
}

#[tokio::test]
async fn a_response_of_one_replica_is_there_for_the_other_and_after_a_restart() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.once("GET", "/a", Answer::ok().header("Content-Type", "text/plain").body("shared"));
    let large = "x".repeat(1_000_000);
    origin.once("GET", "/large", Answer::ok().body(large.clone()));
    let one = replica(&origin, redis.address(), "").await?;
    assert_eq!(get(&one, "/a").await?.x_cache(), "MISS");
    assert_eq!(get(&one, "/large").await?.x_cache(), "MISS");
    written(&one, 2.0).await?;
    drop(one);
    let other = replica(&origin, redis.address(), "").await?;
    let response = get(&other, "/a").await?;
    assert_eq!((response.x_cache(), response.text().as_str(), response.header("content-type")), ("HIT", "shared", Some("text/plain")));
    assert!(get(&other, "/large").await?.text() == large);
    assert_eq!(other.metric("larder_redis_lookups_total", &["result=\"hit\""]).await?, 2.0);
    assert_eq!(get(&other, "/a").await?.x_cache(), "HIT");
    assert_eq!(other.metric("larder_redis_lookups_total", &["result=\"hit\""]).await?, 2.0, "promoted to memory");
    origin.check()
}

/// Until the log of invalidations has been read nothing that is stored can be used: requests that come before would be misses.
#[tokio::test]
async fn a_start_waits_for_redis_before_it_accepts() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.once("GET", "/a", Answer::ok().body("shared"));
    let one = replica(&origin, redis.address(), "").await?;
    get(&one, "/a").await?;
    written(&one, 1.0).await?;
    let proxy = FaultProxy::start(redis.address()).await?;
    // A log is read to its end by a script, before anything new is waited for.
    let reading = proxy.hold("EVALSHA", "");
    let folder = tempfile::TempDir::new()?;
    let text = format!("{TTL}[store.redis]\nurl = \"redis://{}\"\ntimeout = \"10s\"\nconnect_timeout = \"1h\"\n", proxy.address());
    std::fs::write(folder.path().join("config.toml"), config(&origin.url(), &text))?;
    let mut command = command()?;
    let process = Process::start("larder", command.args(["serve", "--config", "config.toml"]).current_dir(folder.path()))?;
    let admin = process.line("`admin on`", |line| line.split("admin on http://").nth(1)?.trim().parse().ok()).await?;
    reading.reached(1).await?;
    let ready = Client::connect(admin).await?.exchange("GET", "/readyz", &[("Connection", "close")], "").await?;
    assert!(ready.status == 503 && ready.text().contains("starting"), "{ready:?}");
    reading.open();
    let address = process.line("`listening on`", |line| line.split("listening on http://").nth(1)?.trim().parse().ok()).await?;
    let response = Client::connect(address).await?.exchange("GET", "/a", &[HOST], "").await?;
    assert_eq!((response.x_cache(), response.text().as_str()), ("HIT", "shared"));
    origin.check()
}

/// One that never comes holds up a start for `connect_timeout`, and a stop not at all.
#[tokio::test]
async fn a_start_without_redis_goes_on_after_its_time_and_can_be_stopped_before() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().body("a"));
    let nobody = larder_tests::free_address()?;
    let redis = |time: &str| format!("[store.redis]\nurl = \"redis://{nobody}\"\nconnect_timeout = \"{time}\"\n");
    let larder = Larder::before(&origin, &redis("200ms")).await?;
    assert_eq!(larder.get("/a").await?.text(), "a");
    let folder = tempfile::TempDir::new()?;
    std::fs::write(folder.path().join("config.toml"), config(&origin.url(), &redis("1h")))?;
    let mut command = command()?;
    let process = Process::start("larder", command.args(["serve", "--config", "config.toml"]).current_dir(folder.path()))?;
    process.line("`admin on`", |line| line.contains("admin on http://").then_some(())).await?;
    process.signal(Signal::TERM)?;
    assert_eq!(process.exited().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn variants_are_shared() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    for language in ["de", "en"] {
        origin.once("GET", "/a", Answer::ok().header("Vary", "Accept-Language").body(language));
    }
    let (one, other) = (replica(&origin, redis.address(), "").await?, replica(&origin, redis.address(), "").await?);
    for language in ["de", "en"] {
        assert_eq!(one.request("GET", "/a", &[HOST, ("Accept-Language", language)], "").await?.text(), language);
    }
    written(&one, 2.0).await?;
    for language in ["de", "en"] {
        let response = other.request("GET", "/a", &[HOST, ("Accept-Language", language)], "").await?;
        assert_eq!((response.x_cache(), response.text().as_str()), ("HIT", language));
    }
    origin.check()
}

#[tokio::test]
async fn three_replicas_and_six_hundred_requests_for_a_cold_key_are_one_upstream() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.once("GET", "/a", Answer::ok().header("Content-Length", "1").wait("fetched").part("x"));
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(Arc::new(replica(&origin, redis.address(), "").await?));
    }
    let mut asking = tokio::task::JoinSet::new();
    for larder in replicas.iter().cycle().take(600) {
        let larder = Arc::clone(larder);
        asking.spawn(async move { get(&larder, "/a").await });
    }
    for larder in &replicas {
        larder.metric_reaches("larder_fills_in_flight", &[], 1.0).await?;
    }
    origin.gate("fetched").open();
    while let Some(response) = asking.join_next().await {
        let response: Response = response.map_err(Error::from)??;
        assert_eq!((response.status, response.text().as_str()), (200, "x"));
    }
    assert_eq!(origin.request_count(), 1);
    origin.check()
}

#[tokio::test]
async fn a_write_through_one_replica_is_seen_by_all() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.always("GET", "/a", Answer::ok().body("x"));
    origin.always("PUT", "/a", Answer::new(204));
    let (one, other) = (replica(&origin, redis.address(), "").await?, replica(&origin, redis.address(), "").await?);
    get(&one, "/a").await?;
    written(&one, 1.0).await?;
    assert_eq!(get(&other, "/a").await?.x_cache(), "HIT");
    one.request("PUT", "/a", &[HOST], "").await?;
    let number = one.metric("larder_invalidation_log_number", &[]).await?;
    other.metric_reaches("larder_invalidation_log_number", &[], number).await?;
    assert_eq!(get(&other, "/a").await?.x_cache(), "MISS");
    assert_eq!(origin.count_of("/a"), 3);
    origin.check()
}

#[tokio::test]
async fn the_last_fetch_is_written_before_the_process_stops() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    let one = replica(&origin, redis.address(), "").await?;
    for n in 0..100 {
        let target = format!("/{n}");
        origin.once("GET", &target, Answer::ok().body("x".repeat(100_000)));
        get(&one, &target).await?;
    }
    one.process().signal(Signal::TERM)?;
    one.process().exited().await?;
    assert_eq!(redis.count(&["EVAL", "return #redis.call('KEYS', 'larder:{????????????????????????????????}')", "0"]).await?, 100);
    origin.check()
}

#[tokio::test]
async fn a_purge_while_redis_was_away_outlives_the_process() -> Result<()> {
    let (origin, redis) = (any_origin().await?, Redis::start().await?);
    origin.always("PUT", "/old", Answer::new(204));
    let folder = tempfile::tempdir()?;
    let keys = format!("journal = \"{}\"", folder.path().join("journal").display());
    let (one, other) = (replica(&origin, redis.address(), &keys).await?, replica(&origin, redis.address(), "").await?);
    assert_eq!(get(&other, "/old").await?.x_cache(), "MISS");
    redis.signal(Signal::STOP)?;
    assert_eq!(one.request("PUT", "/old", &[HOST], "").await?.status, 204);
    one.metric_reaches("larder_invalidations_untold", &[], 1.0).await?;
    one.process().signal(Signal::KILL)?;
    one.process().exited().await?;
    redis.signal(Signal::CONT)?;
    let number = other.metric("larder_invalidation_log_number", &[]).await?;
    let one = replica(&origin, redis.address(), &keys).await?;
    recovered(&one).await?;
    other.metric_reaches("larder_invalidation_log_number", &[], number + 1.0).await?;
    assert_eq!(get(&other, "/old").await?.x_cache(), "MISS");
    redis.kill().await
}
