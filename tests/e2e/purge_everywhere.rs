//! Purges across replicas that share a Redis: from any of them, and from applications that know only Redis.

use larder_testkit::larder::command;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Response, Result};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[cache]
ttl = "60s"
[classes.project]
[purge]
regex = true
[tags]
from = ["surrogate-key"]
cascade = { "site" = ["lists"] }
[[routes]]
name = "issue.detail"
path = "/issues/{id}"
class = "project"
tags = ["issue:{id}"]
[[routes]]
name = "other"
path = "/{*rest}"
[[on_write]]
path = "/issues/{id}"
purge = ["tag:issue:{id}", "tag:lists"]
[[on_event]]
type = "issue.moved"
purge = ["tag:issue:{id}"]
"#;

const HOST: (&str, &str) = ("Host", "site.example");

const PATHS: [&str; 3] = ["/issues/7", "/issues/8", "/list"];

/// Replicas before one origin and one Redis.
struct Site {
    origin: Origin,
    redis: Redis,
    replicas: Vec<Larder>,
}

impl Site {
    async fn start(replicas: usize) -> Result<Self> {
        let mut site = Self { origin: Origin::start().await?, redis: Redis::start().await?, replicas: Vec::new() };
        for path in PATHS {
            site.origin.always(
                "GET",
                path,
                Answer::ok().header("Surrogate-Key", if path == "/list" { "lists" } else { "details" }).body("x"),
            );
        }
        site.origin.always("PUT", "/issues/7", Answer::new(204));
        site.origin.always("PUT", "/issues/8", Answer::new(409));
        for _ in 0..replicas {
            site.join(CONFIG).await?;
        }
        Ok(site)
    }

    /// One more replica, once it has read the log.
    async fn join(&mut self, config: &str) -> Result<()> {
        let config = format!("{config}[store.redis]\nurl = \"redis://{}\"\ntimeout = \"1s\"\n", self.redis.address());
        let larder = Larder::before(&self.origin, &config).await?;
        let ok = || async { Ok(larder.admin("/readyz").await?.text().contains(r#""state":"ok""#).then_some(())) };
        eventually("waiting for the log of invalidations to be read", ok).await?;
        self.replicas.push(larder);
        Ok(())
    }

    /// Everything is a hit in every replica's memory.
    async fn warm(&self) -> Result<()> {
        for replica in &self.replicas {
            for path in PATHS {
                let warm = || async { Ok((get(replica, path).await?.x_cache() == "HIT").then_some(())) };
                eventually(format!("waiting for {path} to be stored"), warm).await?;
            }
        }
        Ok(())
    }

    /// Which of the paths each replica would have to ask the origin for. The first that asks stores it for all, so each is looked at alone.
    async fn purged(&self, replica: usize) -> Result<[bool; 3]> {
        let mut purged = [false; 3];
        for (path, purged) in PATHS.into_iter().zip(&mut purged) {
            let fields = [HOST, ("Cache-Control", "only-if-cached")];
            *purged = self.replicas[replica].request("GET", path, &fields, "").await?.status == 504;
        }
        Ok(purged)
    }
}

async fn get(larder: &Larder, target: &str) -> Result<Response> {
    larder.request("GET", target, &[HOST], "").await
}

async fn purge(larder: &Larder, query: &str, body: &Value) -> Result<Value> {
    let fields = [("Content-Type", "application/json")];
    let answer =
        Client::connect(larder.admin_address()).await?.exchange("POST", &format!("/purge{query}"), &fields, &body.to_string()).await?;
    assert!(matches!(answer.status, 200 | 202), "{body}: {}", answer.text());
    Ok(serde_json::from_str(&answer.text())?)
}

#[tokio::test]
async fn every_way_of_purging_holds_on_every_replica_once_it_is_acknowledged() -> Result<()> {
    let site = Site::start(3).await?;
    for (number, (body, purged)) in [
        (json!({"urls": ["http://site.example/issues/7"]}), [true, false, false]),
        (json!({"prefixes": ["site.example/issues"]}), [true, true, false]),
        (json!({"tags": ["issue:8"]}), [false, true, false]),
        (json!({"tags": ["issue:*"]}), [true, true, false]),
        (json!({"tags": ["lists"]}), [false, false, true]),
        (json!({"routes": ["other"]}), [false, false, true]),
        (json!({"classes": ["project"]}), [true, true, false]),
        (json!({"namespaces": ["default"]}), [true, true, true]),
        (json!({"patterns": ["*.example/issues/*"]}), [true, true, false]),
        (json!({"regexes": ["/issues/[78]$"]}), [true, true, false]),
        (json!({"tags": ["site"]}), [false, false, true]),
        (json!({"all": true}), [true, true, true]),
    ]
    .into_iter()
    .enumerate()
    {
        site.warm().await?;
        let said = purge(&site.replicas[number % 3], "?wait=10s", &body).await?;
        assert_eq!((&said["applied"], &said["replicas"]), (&json!(3), &json!(3)), "{body}: {said}");
        for replica in 0..3 {
            assert_eq!(site.purged(replica).await?, purged, "replica {replica} after {body}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn messages_of_applications_on_the_channel_purge() -> Result<()> {
    let site = Site::start(2).await?;
    for (message, purged) in [
        ("issue:7", [true, false, false]),
        ("issue:*", [true, true, false]),
        (r#"{"tags":["lists"]}"#, [false, false, true]),
        (r#"{"urls":["http://site.example/list"]}"#, [false, false, true]),
        (r#"{"prefix":"/issues"}"#, [true, true, false]),
        (r#"{"type":"issue.moved","id":8}"#, [false, true, false]),
        ("/issues/*", [true, true, false]),
        ("site", [false, false, true]),
        ("*", [true, true, true]),
    ] {
        site.warm().await?;
        site.redis.command(&["PUBLISH", "system:cache_invalidation", "not {understood"]).await?;
        site.redis.command(&["PUBLISH", "system:cache_invalidation", message]).await?;
        for replica in 0..2 {
            let applied = || async { Ok((site.purged(replica).await? == purged).then_some(())) };
            eventually(format!("waiting for {message} to be applied by replica {replica}"), applied).await?;
        }
    }
    let larder = &site.replicas[0];
    assert_eq!(larder.metric("larder_invalidation_messages_total", &[r#"outcome="refused""#]).await?, 9.0);
    Ok(())
}

#[tokio::test]
async fn a_write_through_one_replica_makes_old_what_the_others_have() -> Result<()> {
    let site = Site::start(2).await?;
    site.warm().await?;
    assert_eq!(site.replicas[0].request("PUT", "/issues/8", &[HOST], "").await?.status, 409);
    assert_eq!(site.purged(0).await?, [false; 3], "a refused write makes nothing old");
    assert_eq!(site.replicas[0].request("PUT", "/issues/7", &[HOST], "").await?.status, 204);
    assert_eq!(site.purged(0).await?, [true, false, true]);
    let applied = || async { Ok((site.purged(1).await? == [true, false, true]).then_some(())) };
    eventually("waiting for the other replica", applied).await
}

#[tokio::test]
async fn a_purge_while_redis_is_away_holds_here_and_is_told_when_it_is_back() -> Result<()> {
    let mut site = Site::start(2).await?;
    site.warm().await?;
    site.redis.kill().await?;
    let said = purge(&site.replicas[0], "?wait=1ms", &json!({"tags": ["issue:7"]})).await?;
    assert_eq!((&said["applied"], &said["replicas"]), (&json!(1), &Value::Null), "{said}");
    assert_eq!(site.purged(0).await?, [true, false, false]);
    site.redis.restart().await?;
    for replica in 0..2 {
        let applied = || async { Ok(site.purged(replica).await?[0].then_some(())) };
        eventually(format!("waiting for replica {replica} to be told"), applied).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_soft_purge_is_soft_on_every_replica() -> Result<()> {
    let site = Site::start(2).await?;
    site.warm().await?;
    let said = purge(&site.replicas[0], "", &json!({"tags": ["issue:7"], "soft": true})).await?;
    assert_eq!(said["applied"], json!(2), "{said}");
    let stale = get(&site.replicas[1], "/issues/7").await?;
    assert_eq!(stale.x_cache(), "HIT");
    assert!(stale.cache_status().contains("soft-purged"), "{}", stale.cache_status());
    Ok(())
}

#[tokio::test]
async fn the_command_counts_the_replicas_that_applied_it() -> Result<()> {
    let site = Site::start(3).await?;
    site.warm().await?;
    let admin = site.replicas[0].admin_address().to_string();
    let said = command()?.args(["purge", "--admin", &admin, "--tag", "issue:7", "--wait", "10s"]).env_remove("LARDER_TOKEN").output()?;
    let line = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && line.starts_with("applied on 3 of 3 "), "{line}");
    for replica in 0..3 {
        assert_eq!(site.purged(replica).await?, [true, false, false]);
    }
    Ok(())
}

#[tokio::test]
async fn a_purge_of_everything_is_one_of_everything_in_its_namespace() -> Result<()> {
    let mut site = Site::start(1).await?;
    site.join(&CONFIG.replace("[cache]", "[cache]\nnamespace = \"other\"")).await?;
    site.warm().await?;
    let answer = purge(&site.replicas[0], "?wait=2s", &json!({"all": true})).await?;
    assert_eq!((&answer["applied"], &answer["replicas"]), (&json!(1), &json!(1)), "the other one is none of its replicas");
    assert_eq!(site.purged(0).await?, [true, true, true]);
    assert_eq!(site.purged(1).await?, [false, false, false]);
    // Its entry comes from Redis, too.
    site.join(&CONFIG.replace("[cache]", "[cache]\nnamespace = \"other\"")).await?;
    let before = site.origin.count_of("/list");
    let loaded = || async { Ok((get(&site.replicas[2], "/list").await?.x_cache() == "HIT").then_some(())) };
    eventually("waiting for what the other has stored", loaded).await?;
    assert_eq!(site.origin.count_of("/list"), before);
    Ok(())
}

#[tokio::test]
async fn thousands_of_paths_on_the_channel_make_old_what_they_name_and_nothing_else() -> Result<()> {
    let site = Site::start(2).await?;
    site.warm().await?;
    let publish = "for n = 1000, 2199 do redis.call('PUBLISH', ARGV[1], '/issues/' .. n) end redis.call('PUBLISH', ARGV[1], '/issues/7')";
    site.redis.command(&["EVAL", publish, "0", "system:cache_invalidation"]).await?;
    let purged =
        || async { Ok((site.purged(0).await? == [true, false, false] && site.purged(1).await? == [true, false, false]).then_some(())) };
    eventually("waiting for the last message", purged).await
}

#[tokio::test]
async fn the_answer_to_a_write_waits_for_the_other_replicas_where_that_is_asked_for() -> Result<()> {
    let mut site = Site::start(0).await?;
    for _ in 0..2 {
        site.join(&CONFIG.replace("[purge]", "[purge]\nwrite_wait = \"10s\"")).await?;
    }
    for _ in 0..30 {
        site.warm().await?;
        assert_eq!(site.replicas[0].request("PUT", "/issues/7", &[HOST], "x").await?.status, 204);
        assert!(site.purged(1).await?[0], "whoever has the answer finds nothing older elsewhere");
    }
    Ok(())
}
