//! `[[quotas]]` with `shared = true`: what replicas charge together in a Redis, and without it.

use larder_testkit::client::Response;
use larder_testkit::faults::FaultProxy;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Redis, Result};

use crate::quotas::quota;
use crate::redis::{TTL, reads_the_log, replica};

const REPLICAS: usize = 3;

/// Each answer has 10 tokens.
async fn origin() -> Result<Origin> {
    let origin = Origin::start().await?;
    let answer = Answer::ok().header("Content-Type", "application/json").header("Cache-Control", "no-store");
    origin.always("POST", "/ask", answer.body(r#"{"usage":{"prompt_tokens":8,"completion_tokens":2}}"#));
    Ok(origin)
}

async fn replicas(origin: &Origin, redis: &Redis, limits: &str) -> Result<Vec<Larder>> {
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(replica(origin, redis.address(), &quota(limits, "shared = true")).await?);
    }
    for replica in &replicas {
        let known = || async { Ok((replica.admin("/replicas").await?.text().matches("\"name\"").count() >= REPLICAS).then_some(())) };
        eventually("waiting for the replicas to know each other", known).await?;
    }
    Ok(replicas)
}

async fn ask(replica: &Larder) -> Result<Response> {
    replica.request("POST", "/ask", &[], "x").await
}

/// Asks each replica in turn until it refuses; how many answers that were.
async fn admitted(replicas: &[Larder], most: usize) -> Result<usize> {
    let mut admitted = 0;
    for turn in 0..most {
        let response = ask(&replicas[turn % replicas.len()]).await?;
        assert!(matches!(response.status, 200 | 429), "{response:?}");
        assert!(response.header("ratelimit").is_some_and(|field| field.starts_with("\"q.tokens.month\";r=")), "{response:?}");
        admitted += usize::from(response.status == 200);
    }
    Ok(admitted)
}

/// What Redis knows of the client.
async fn used(replica: &Larder) -> Result<i64> {
    let client: serde_json::Value = serde_json::from_slice(&replica.admin("/limits/q/127%2E0%2E0%2E1").await?.body)?;
    Ok(client["used"].as_i64().unwrap_or_default())
}

async fn knows(replica: &Larder, units: i64) -> Result<()> {
    eventually("waiting for Redis to know what was charged", || async { Ok((used(replica).await? >= units).then_some(())) }).await
}

/// Beyond the quota a client gets what it asks of other replicas within the second for which they rely on what they know.
#[tokio::test]
async fn replicas_charge_one_quota_together() -> Result<()> {
    let (origin, redis) = (origin().await?, Redis::start().await?);
    let replicas = replicas(&origin, &redis, "{ count = \"tokens\", max = 60, per = \"month\" }").await?;
    // One after the other, each when all replicas can know of those before.
    for turn in 0..6 {
        assert_eq!(ask(&replicas[turn % REPLICAS]).await?.status, 200, "{turn}");
        knows(&replicas[0], 10 * (turn as i64 + 1)).await?;
    }
    for replica in &replicas {
        let refuses = || async { Ok((ask(replica).await?.status == 429).then_some(())) };
        eventually("waiting for each to refuse", refuses).await?;
    }
    // Each may have answered once more from what it knew of a second ago.
    let total = used(&replicas[0]).await?;
    assert!((60..=60 + 10 * 10 * REPLICAS as i64).contains(&total), "{total}");
    assert_eq!(admitted(&replicas, 9).await?, 0);
    // Nothing is lost and nothing is counted twice.
    knows(&replicas[1], 10 * origin.request_count() as i64).await?;
    assert_eq!(used(&replicas[1]).await?, 10 * origin.request_count() as i64);
    Ok(())
}

#[tokio::test]
async fn replicas_go_on_with_their_share_without_redis_and_settle_when_it_is_back() -> Result<()> {
    let (origin, mut redis) = (origin().await?, Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await?);
    let replicas = replicas(&origin, &redis, "{ count = \"tokens\", max = 300, per = \"month\" }").await?;
    assert_eq!(admitted(&replicas, 9).await?, 9);
    knows(&replicas[0], 90).await?;
    redis.kill().await?;
    // Until it notices, each may use what it knows to be left: of the 300 it has used 30 itself. From then on it takes three units for one.
    let without = admitted(&replicas, 150).await?;
    assert!(without > 0 && without <= REPLICAS * 27, "{without}");
    // And then nothing is left, also once what it knew of Redis is too old.
    for replica in &replicas {
        let refuses_alone = || async {
            assert_eq!(ask(replica).await?.status, 429);
            Ok((replica.metric("larder_limit_alone_total", &[]).await? > 0.0).then_some(()))
        };
        eventually("waiting for each to decide alone", refuses_alone).await?;
    }
    redis.restart().await?;
    for replica in &replicas {
        crate::redis_faults::recovered(replica).await?;
    }
    let all = 10 * origin.request_count() as i64;
    knows(&replicas[2], all).await?;
    assert_eq!(used(&replicas[2]).await?, all, "what was owed is told once");
    Ok(())
}

#[tokio::test]
async fn three_replicas_admit_the_requests_of_one_day_and_no_more() -> Result<()> {
    let (origin, redis) = (origin().await?, Redis::start().await?);
    let replicas: Vec<_> = replicas(&origin, &redis, "{ count = \"requests\", max = 30, per = \"day\" }")
        .await?
        .into_iter()
        .map(std::sync::Arc::new)
        .collect();
    let mut asking = tokio::task::JoinSet::new();
    for turn in 0..120 {
        let replica = std::sync::Arc::clone(&replicas[turn % REPLICAS]);
        asking.spawn(async move { ask(&replica).await });
    }
    let mut admitted = 0;
    while let Some(response) = asking.join_next().await {
        let response = response.map_err(larder_testkit::Error::from)??;
        assert!(matches!(response.status, 200 | 429), "{response:?}");
        admitted += usize::from(response.status == 200);
    }
    assert_eq!((admitted, origin.request_count()), (30, 30));
    let mut warned = 0.0;
    for replica in &replicas {
        warned += replica.metric("larder_limit_warnings_total", &[]).await?;
    }
    assert_eq!(warned, 1.0, "one replica tells of it");
    Ok(())
}

const LIMIT_SCRIPT: &str = include_str!("../../crates/store-redis/src/scripts/limit.lua");

/// Redis tells one question of a window that the share is reached.
#[tokio::test]
async fn a_client_that_leaves_while_redis_answers_does_not_take_the_warning_along() -> Result<()> {
    let (origin, redis) = (origin().await?, Redis::start().await?);
    let proxy = FaultProxy::start(redis.address()).await?;
    let store = format!("{TTL}[store.redis]\nurl = \"redis://{}\"\ntimeout = \"10s\"\n", proxy.address());
    let quota = quota("{ count = \"requests\", max = 10, per = \"day\" }", "shared = true");
    let larder = Larder::before(&origin, &format!("{store}{quota}")).await?;
    reads_the_log(&larder).await?;
    for turn in 1..8 {
        assert_eq!(ask(&larder).await?.status, 200, "{turn}");
    }
    let question = proxy.hold("EVALSHA", &redis.command(&["SCRIPT", "LOAD", LIMIT_SCRIPT]).await?);
    let mut client = larder.connect().await?;
    client.send("POST", "/ask", &[], "x").await?;
    question.reached(1).await?;
    drop(client);
    let left = || async { Ok((larder.metric("larder_client_connections", &[]).await? == 0.0).then_some(())) };
    eventually("waiting for the end of the connection", left).await?;
    question.open();
    larder.metric_reaches("larder_limit_warnings_total", &[], 1.0).await
}
