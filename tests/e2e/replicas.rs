//! Replicas before one Redis: what a purge through one of them says of the others, and what they serve.

use std::time::Duration;

use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::larder::command;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Result};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::redis::{HOST, get, replica};

async fn purge(larder: &Larder, query: &str, body: &Value) -> Result<Value> {
    let fields = [("Content-Type", "application/json")];
    let answer =
        Client::connect(larder.admin_address()).await?.exchange("POST", &format!("/purge{query}"), &fields, &body.to_string()).await?;
    Ok(serde_json::from_str(&answer.text())?)
}

/// `larder purge`: whether it succeeded, and its line.
fn said(larder: &Larder, wait: &str) -> Result<(bool, String)> {
    let admin = larder.admin_address().to_string();
    let said = command()?.args(["purge", "--admin", &admin, "--all", "--wait", wait]).env_remove("LARDER_TOKEN").output()?;
    Ok((said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned()))
}

/// Waits until a line of the process's log has this in it.
async fn tells(replica: &Larder, text: &str) -> Result<()> {
    let reported = || async { Ok(replica.process().output().iter().any(|line| line.contains(text)).then_some(())) };
    eventually(format!("waiting for {text:?} in {:?}", replica.process().output()), reported).await
}

#[tokio::test]
async fn after_a_purge_through_a_replica_it_uses_what_the_others_store() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.always("GET", "/a", Answer::ok().body("x"));
    let (one, other) = (replica(&origin, redis.address(), "").await?, replica(&origin, redis.address(), "").await?);
    for round in 1..=5 {
        let by = purge(&one, "?wait=10s", &json!({"all": true})).await?;
        assert_eq!((&by["applied"], &by["replicas"]), (&json!(2), &json!(2)), "{by}");
        assert_eq!(get(&other, "/a").await?.x_cache(), "MISS");
        other.metric_reaches("larder_redis_written_total", &[], f64::from(round)).await?;
        assert_eq!(get(&one, "/a").await?.x_cache(), "HIT", "round {round}");
    }
    assert_eq!(origin.count_of("/a"), 5);
    Ok(())
}

#[tokio::test]
async fn redis_is_used_under_continuous_writes() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.always("GET", "/a", Answer::ok().body("x"));
    origin.always("PUT", "/busy", Answer::new(204));
    let one = replica(&origin, redis.address(), "max_lag = \"1s\"\n").await?;
    let busy = async {
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        loop {
            pause.tick().await;
            if let Err(error) = one.request("PUT", "/busy", &[HOST], "").await {
                return error;
            }
        }
    };
    let used = async {
        get(&one, "/a").await?;
        one.metric_reaches("larder_redis_written_total", &[], 1.0).await?;
        // One that starts meanwhile reads the log to its end, and goes on doing so.
        let other = replica(&origin, redis.address(), "max_lag = \"1s\"\n").await?;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let detail = other.admin("/readyz").await?.text();
            assert!(detail.contains(r#""log_lag_seconds":0"#), "{detail}");
        }
        assert_eq!(get(&other, "/a").await?.x_cache(), "HIT");
        Ok(())
    };
    tokio::select! {
        error = busy => Err(error),
        used = used => used,
    }
}

#[tokio::test]
async fn a_replica_that_stood_still_serves_nothing_that_was_purged_meanwhile() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.once("GET", "/a", Answer::ok().body("old"));
    origin.always("GET", "/a", Answer::ok().body("new"));
    let proxy = FaultProxy::start(redis.address()).await?;
    let (one, other) =
        (replica(&origin, redis.address(), "max_lag = \"1s\"\n").await?, replica(&origin, proxy.address(), "max_lag = \"1s\"\n").await?);
    assert_eq!(get(&other, "/a").await?.text(), "old");
    assert_eq!(get(&other, "/a").await?.x_cache(), "HIT");
    other.process().signal(Signal::STOP)?;
    // It counts for as long as it may serve what it has, and is not waited for any longer.
    assert_eq!(purge(&one, "?wait=1ms", &json!({"all": true})).await?["replicas"], 2);
    let alone = || async { Ok((purge(&one, "?wait=1ms", &json!({"all": true})).await?["replicas"] == 1).then_some(())) };
    eventually("waiting for it not to be counted", alone).await?;
    // It hears nothing of the log when it goes on: only its clock can tell.
    proxy.set(Fault::Blackholed);
    other.process().signal(Signal::CONT)?;
    assert_eq!(get(&other, "/a").await?.text(), "new");
    Ok(())
}

#[tokio::test]
async fn a_purge_is_not_confirmed_while_a_replica_is_not_heard_of() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    let (one, other) = (replica(&origin, redis.address(), "").await?, replica(&origin, redis.address(), "").await?);
    let (confirmed, line) = said(&one, "10s")?;
    assert!(confirmed && line.starts_with("applied on 2 of 2 (position "), "{line}");
    other.process().signal(Signal::STOP)?;
    let unknown = || async { Ok((purge(&one, "?wait=1ms", &json!({"all": true})).await?["unknown"] == 1).then_some(())) };
    eventually("waiting for it to be unknown", unknown).await?;
    let (confirmed, line) = said(&one, "1ms")?;
    assert!(!confirmed && line.starts_with("applied on 1 of 2, one was not heard of for a while: not confirmed"), "{line}");
    other.process().signal(Signal::CONT)?;
    let (confirmed, line) = said(&one, "10s")?;
    assert!(confirmed && line.starts_with("applied on 2 of 2"), "{line}");
    // One that stops says so.
    other.terminate()?;
    other.exited().await?;
    let (confirmed, line) = said(&one, "10s")?;
    assert!(confirmed && line.starts_with("applied on 1 of 1"), "{line}");
    Ok(())
}

#[tokio::test]
async fn faults_of_the_log_are_reported_in_the_log_on_readyz_and_in_metrics() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    let one = replica(&origin, redis.address(), "").await?;
    redis.command(&["SET", "larder:{log}:n", "many"]).await?;
    one.metric_reaches("larder_invalidation_log_damaged_total", &[], 1.0).await?;
    tells(&one, r#"larder:{log}:n holds "many", which is no number of the log"#).await?;
    let detail = one.admin("/readyz").await?.text();
    assert!(detail.contains(r#""log_damaged":1"#) && detail.contains(r#""state":"ok""#), "{detail}");

    redis.command(&["ACL", "SETUSER", "default", "-xadd"]).await?;
    assert_eq!(purge(&one, "?wait=1ms", &json!({"all": true})).await?["replicas"], Value::Null);
    let detail = one.admin("/readyz").await?.text();
    assert!(detail.contains(r#""state":"failing""#) && detail.contains("takes no purges: "), "{detail}");
    assert_eq!(one.metric("larder_invalidation_log_writable", &[]).await?, 0.0);
    assert!(one.metric("larder_invalidation_log_refused_total", &[]).await? >= 1.0);
    tells(&one, "the log of invalidations takes no purges: ").await?;
    redis.command(&["ACL", "SETUSER", "default", "+xadd"]).await?;
    one.metric_reaches("larder_invalidation_log_writable", &[], 1.0).await
}

#[tokio::test]
async fn a_published_message_is_in_the_log_once_for_all_replicas() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(replica(&origin, redis.address(), "").await?);
    }
    let listening = "local count = 0 for _, word in ipairs(redis.call('HVALS', 'larder:{log}:m')) do \
                     if string.match(word, '^%d+ %d+ %d+ 1$') then count = count + 1 end end return count";
    let all = || async { Ok((redis.count(&["EVAL", listening, "0"]).await? == 3).then_some(())) };
    eventually("waiting for all to listen", all).await?;
    // Two entries that all have read, one after the other: in between each has looked who else is there.
    for _ in 0..2 {
        assert_eq!(purge(&replicas[0], "?wait=10s", &json!({"tags": ["x"]})).await?["applied"], 3);
    }
    let before = redis.count(&["XLEN", "larder:{log}:s"]).await?;
    for n in 0..30 {
        redis.command(&["PUBLISH", "system:cache_invalidation", &format!("issue:{n}")]).await?;
    }
    for replica in &replicas {
        replica.metric_reaches("larder_invalidation_messages_total", &[], 30.0).await?;
        replica.metric_reaches("larder_invalidations_total", &[r#"kind="tag""#], 60.0).await?;
    }
    let entries = redis.count(&["XLEN", "larder:{log}:s"]).await? - before;
    assert!((1..=30).contains(&entries), "{entries} entries for 30 messages and 3 replicas");
    Ok(())
}
