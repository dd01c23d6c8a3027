//! Replicas that share a Redis: real processes, a real server, and a proxy between them that breaks.

use std::sync::Arc;
use std::time::Duration;

use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::larder::{command, config};
use larder_testkit::patience::eventually;
use larder_testkit::process::Process;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Redis, RedisSentinels, Response, Result};
use rustix::process::Signal;

const TTL: &str = "[cache]\nttl = \"60s\"\n";

/// A replica, once it has read the log of invalidations.
pub(crate) async fn replica(origin: &Origin, redis: std::net::SocketAddr, keys: &str) -> Result<Larder> {
    let larder = Larder::before(origin, &format!("{TTL}[store.redis]\nurl = \"redis://{redis}\"\ntimeout = \"1s\"\n{keys}")).await?;
    reads_the_log(&larder).await?;
    Ok(larder)
}

async fn reads_the_log(larder: &Larder) -> Result<()> {
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
async fn what_one_replica_fetched_the_other_has_and_a_restart_starts_warm() -> Result<()> {
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

/// Asks for something new and something old a few times over. Nobody may notice anything.
async fn nobody_notices(origin: &Origin, larder: &Larder, round: &str) -> Result<()> {
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

async fn recovered(larder: &Larder) -> Result<()> {
    let closed = || async { Ok((larder.metric("larder_redis_breaker", &[]).await? == 0.0).then_some(())) };
    eventually("waiting for the breaker to close", closed).await?;
    let told = || async { Ok((larder.metric("larder_invalidations_untold", &[]).await? == 0.0).then_some(())) };
    eventually("waiting for the journal to be told", told).await
}

async fn any_origin() -> Result<Origin> {
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
        nobody_notices(&origin, &larder, &format!("{fault:?}").replace(['(', ')', '.'], "")).await?;
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
    nobody_notices(&origin, &larder, "stopped").await?;
    redis.signal(Signal::CONT)?;
    recovered(&larder).await?;

    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    nobody_notices(&origin, &larder, "full").await?;
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    recovered(&larder).await?;

    redis.command(&["REPLICAOF", "127.0.0.1", "1"]).await?;
    nobody_notices(&origin, &larder, "readonly").await?;
    let number = larder.metric("larder_invalidation_log_number", &[]).await?;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await?;
    recovered(&larder).await?;
    // Who was a replica may lack what its master had last: nothing from before is trusted.
    larder.metric_reaches("larder_invalidation_log_number", &[], number + 1_000.0).await?;
    larder.get("/old").await?;

    redis.kill().await?;
    nobody_notices(&origin, &larder, "killed").await?;
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
    nobody_notices(&origin, &larder, "absent").await?;
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
async fn what_was_fetched_last_is_written_before_the_process_stops() -> Result<()> {
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
async fn what_was_purged_while_redis_was_away_outlives_the_process() -> Result<()> {
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

#[tokio::test]
async fn a_wrong_password_leaves_the_memory_and_is_told() -> Result<()> {
    let (origin, redis) = (any_origin().await?, Redis::start_with(&["--requirepass", "right"]).await?);
    let larder = Larder::before(&origin, &format!("{TTL}[store.redis]\nurl = \"redis://:hunter2@{}\"\n", redis.address())).await?;
    let told = || async { Ok(larder.admin("/readyz").await?.text().contains("it does not accept the user or the password").then_some(())) };
    eventually("waiting for /readyz to tell", told).await?;
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
