//! `[[limits]]` with `shared = true`: replicas that count together in a Redis, and go on without it.

use std::sync::Arc;

use larder_testkit::{Answer, Client, Error, Larder, Origin, Redis, Result};
use rustix::process::Signal;

use crate::access_log::lines_with;
use crate::redis::replica;

const REPLICAS: usize = 3;

async fn origin() -> Result<Origin> {
    let origin = Origin::start().await?;
    for n in 0..300 {
        origin.always("GET", &format!("/{n}"), Answer::ok().header("Cache-Control", "no-store").body("x"));
    }
    Ok(origin)
}

async fn replicas(origin: &Origin, redis: &Redis, limit: &str) -> Result<Vec<Arc<Larder>>> {
    let limit = format!("[[limits]]\nname = \"together\"\nper = \"1000h\"\nshared = true\n{limit}\n");
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(Arc::new(replica(origin, redis.address(), &limit).await?));
    }
    for replica in &replicas {
        let known = || async { Ok((replica.admin("/replicas").await?.text().matches("\"name\"").count() >= REPLICAS).then_some(())) };
        larder_testkit::wait::eventually("waiting for the replicas to know each other", known).await?;
    }
    Ok(replicas)
}

/// Sends requests to all replicas at the same time; how many were admitted, of which the others were refused.
async fn admitted(replicas: &[Arc<Larder>], numbers: std::ops::Range<usize>) -> Result<usize> {
    let mut asking = tokio::task::JoinSet::new();
    for n in numbers {
        let replica = Arc::clone(&replicas[n % replicas.len()]);
        asking.spawn(async move { replica.get(&format!("/{n}")).await });
    }
    let mut admitted = 0;
    while let Some(response) = asking.join_next().await {
        let response = response.map_err(Error::from)??;
        assert!(matches!(response.status, 200 | 429), "{response:?}");
        assert!(response.header("ratelimit").is_some_and(|field| field.starts_with("\"together\";r=")), "{response:?}");
        admitted += usize::from(response.status == 200);
    }
    Ok(admitted)
}

async fn alone(replicas: &[Arc<Larder>]) -> Result<f64> {
    let mut sum = 0.0;
    for replica in replicas {
        sum += replica.metric("larder_limit_alone_total", &[]).await?;
    }
    Ok(sum)
}

#[tokio::test]
async fn three_replicas_together_admit_what_there_is_and_no_more() -> Result<()> {
    let (origin, redis) = (origin().await?, Redis::start().await?);
    let replicas = replicas(&origin, &redis, "max = 30").await?;
    assert_eq!((admitted(&replicas, 0..120).await?, origin.request_count()), (30, 30));
    assert_eq!(alone(&replicas).await?, 0.0);
    Ok(())
}

/// A unit that one replica has reserved is another one's no more.
#[tokio::test]
async fn with_batches_replicas_admit_no_more_and_less_by_no_more_than_they_hold() -> Result<()> {
    let (origin, redis) = (origin().await?, Redis::start().await?);
    let replicas = replicas(&origin, &redis, "max = 30\nbatch = 5\ncount = \"requests\"").await?;
    let admitted = admitted(&replicas, 0..120).await?;
    assert!((30 - REPLICAS * 4..=30).contains(&admitted), "{admitted}");
    Ok(())
}

/// It is the client's time, and a client may leave in it.
#[tokio::test]
async fn what_a_request_waits_for_redis_is_in_its_line_of_the_log() -> Result<()> {
    let (origin, redis, folder) = (origin().await?, Redis::start().await?, tempfile::TempDir::new()?);
    let file = folder.path().join("access.log");
    let rest =
        format!("[[limits]]\nname = \"together\"\nper = \"1000h\"\nshared = true\nmax = 30\n[log]\naccess = \"json\"\nfile = {file:?}");
    let larder = replica(&origin, redis.address(), &rest).await?;
    redis.signal(Signal::STOP)?;
    larder.get("/0").await?;
    let line = lines_with(&file, "/0").await?.swap_remove(0);
    let line: serde_json::Value = serde_json::from_str(&line)?;
    assert!(line["duration_us"].as_u64().is_some_and(|micros| micros >= 40_000), "{line}");
    let mut leaving = Client::connect(larder.address()).await?;
    leaving.send("GET", "/1", &[], "").await?;
    drop(leaving);
    lines_with(&file, "\"/1\"").await?;
    redis.signal(Signal::CONT)
}

#[tokio::test]
async fn replicas_go_on_with_their_share_when_redis_is_killed_and_settle_when_it_is_back() -> Result<()> {
    let (origin, mut redis) = (origin().await?, Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await?);
    let replicas = replicas(&origin, &redis, "max = 60").await?;
    assert_eq!(admitted(&replicas, 0..30).await?, 30);
    redis.kill().await?;
    // Each has used 10 of the 60, and has a third of what it takes to be left.
    let without = admitted(&replicas, 30..150).await?;
    assert!(without <= 3 * ((60 - 10) / 3), "{without} after 30");
    assert!(without > 0 && alone(&replicas).await? >= 120.0, "{without}");
    redis.restart().await?;
    for replica in &replicas {
        crate::redis_faults::recovered(replica).await?;
    }
    // One request of each tells Redis of what was used without it; then there is nothing left of 60.
    admitted(&replicas, 150..153).await?;
    assert_eq!(admitted(&replicas, 153..200).await?, 0);
    Ok(())
}

/// While requests are under way: no answer but 200 and 429, and never twice of what there is.
#[tokio::test]
async fn redis_killed_under_load_costs_no_request_an_error_and_gives_nobody_twice() -> Result<()> {
    let (origin, redis) = (origin().await?, Redis::start().await?);
    let replicas = replicas(&origin, &redis, "max = 60").await?;
    let killing = async {
        let some = || async { Ok((origin.request_count() >= 10).then_some(())) };
        larder_testkit::wait::eventually("waiting for the first requests", some).await?;
        redis.kill().await
    };
    let (admitted, killed) = tokio::join!(admitted(&replicas, 0..300), killing);
    killed?;
    let admitted = admitted?;
    assert!((10..120).contains(&admitted), "{admitted}");
    assert_eq!(origin.request_count(), admitted, "nobody was sent on who was refused");
    Ok(())
}
