//! Several servers behind one upstream: what clients see while servers die, hang and come back.

use std::net::SocketAddr;

use larder_testkit::larder::{check, config};
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Redis, Result};
use serde_json::Value;

/// An upstream over these servers, one after the other.
pub(crate) fn over(origins: &[&Origin], settings: &str) -> String {
    let urls: Vec<_> = origins.iter().map(|origin| format!("\"{}\"", origin.url())).collect();
    let text = format!("[upstreams.api]\nservers = [{}]\nbalance = \"round-robin\"\n{settings}\n", urls.join(", "));
    config("", &text)
}

pub(crate) async fn answering(body: &str) -> Result<Origin> {
    let origin = Origin::start().await?;
    for method in ["GET", "POST"] {
        origin.always(method, "/a", Answer::ok().header("Cache-Control", "no-store").body(body));
    }
    Ok(origin)
}

fn labels(address: SocketAddr) -> String {
    format!("server=\"http://{address}\"")
}

#[tokio::test]
async fn no_safe_request_fails_while_a_server_dies_and_comes_back() -> Result<()> {
    let (mut one, other) = (answering("one").await?, answering("other").await?);
    let larder = Larder::start(&over(&[&one, &other], "eject = { failures = 2, for = \"100ms\" }")).await?;
    let address = one.address();
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(larder.connect().await?);
    }
    for round in 0..6 {
        if round == 2 {
            one.stop().await;
        }
        for client in &mut clients {
            client.send("GET", "/a", &[], "").await?;
        }
        for client in &mut clients {
            assert_eq!(client.finish().await?.status, 200);
        }
    }
    larder.metric_reaches("larder_origin_server_ejections_total", &[&labels(address)], 1.0).await?;
    larder.process().line("`left out`", |line| (line.contains("WARN") && line.contains("is left out for a while")).then_some(())).await?;
    let back = Origin::start_at(&address.to_string()).await?;
    back.always("GET", "/a", Answer::ok().header("Cache-Control", "no-store").body("one"));
    larder.process().line("`asked again`", |line| line.contains("is asked again").then_some(())).await?;
    let is_asked = || async {
        assert_eq!(larder.get("/a").await?.status, 200);
        Ok((back.request_count() > 0).then_some(()))
    };
    eventually("a request to the server that came back", is_asked).await
}

#[tokio::test]
async fn a_write_reaches_a_server_that_can_be_reached_and_is_never_sent_twice() -> Result<()> {
    let (mut one, other) = (answering("one").await?, answering("other").await?);
    one.stop().await;
    other.once("POST", "/reset", Answer::hang_up());
    let larder = Larder::start(&over(&[&one, &other], "eject = false")).await?;
    for _ in 0..4 {
        let response = larder.request("POST", "/a", &[], "content").await?;
        assert_eq!((response.status, response.text().as_str()), (200, "other"));
    }
    assert_eq!(larder.request("POST", "/reset", &[], "content").await?.status, 502);
    assert_eq!(other.count_of("/reset"), 1);
    assert!(other.received().iter().all(|request| request.body == b"content"));
    Ok(())
}

#[tokio::test]
async fn while_all_servers_are_down_what_is_stale_is_served_and_the_first_that_answers_is_found() -> Result<()> {
    let (mut one, mut other) = (Origin::start().await?, Origin::start().await?);
    let stale = || Answer::ok().header("Cache-Control", "max-age=10, stale-if-error=60").header("Age", "15").body("old");
    one.always("GET", "/stale", stale());
    other.always("GET", "/stale", stale());
    let settings = "breaker = false\neject = { failures = 1, for = \"1h\", max_share = 1.0 }";
    let larder = Larder::start(&over(&[&one, &other], settings)).await?;
    assert_eq!(larder.get("/stale").await?.x_cache(), "MISS");
    let address = other.address();
    one.stop().await;
    other.stop().await;
    for _ in 0..3 {
        let served = larder.get("/stale").await?;
        assert_eq!((served.status, served.text().as_str()), (200, "old"));
        assert_eq!(larder.get("/missing").await?.status, 502);
    }
    assert_eq!(larder.metric("larder_origin_server_ejected", &[]).await?, 2.0);
    let back = Origin::start_at(&address.to_string()).await?;
    back.always("GET", "/missing", Answer::ok().body("back"));
    for _ in 0..2 {
        assert_eq!(larder.get("/missing").await?.text(), "back", "all are asked though all are left out");
    }
    Ok(())
}

#[tokio::test]
async fn a_reload_that_adds_a_server_keeps_figures_connections_and_who_is_left_out() -> Result<()> {
    let (mut one, other, third) = (answering("one").await?, answering("other").await?, answering("third").await?);
    let settings = "eject = { failures = 2, for = \"1h\" }";
    let larder = Larder::start(&over(&[&one, &other], settings)).await?;
    one.stop().await;
    for _ in 0..8 {
        assert_eq!(larder.get("/a").await?.text(), "other");
    }
    larder.write_config(&over(&[&one, &other, &third], settings))?;
    larder.hang_up()?;
    larder.process().line("`reloaded`", |line| line.contains("reloaded").then_some(())).await?;
    let connections = other.connection_count();
    for text in ["other", "third", "other", "third"] {
        assert_eq!(larder.get("/a").await?.text(), text);
    }
    assert_eq!(other.connection_count(), connections);
    let told = larder.admin("/upstreams").await?;
    assert_eq!((told.status, told.header("cache-control")), (200, Some("no-store")));
    let told: Value = serde_json::from_str(&told.text())?;
    assert_eq!(told[0]["name"], "api");
    let servers = told[0]["state"]["servers"].as_array().cloned().unwrap_or_default();
    let figures: Vec<_> = servers.iter().map(|server| (server["ejected"].clone(), server["answers"].clone())).collect();
    assert_eq!(figures, [(true.into(), 0.into()), (false.into(), 10.into()), (false.into(), 2.into())]);
    Ok(())
}

#[tokio::test]
async fn two_replicas_agree_which_server_fails_its_health_check() -> Result<()> {
    let redis = Redis::start().await?;
    let (sick, well) = (answering("sick").await?, answering("well").await?);
    sick.always("GET", "/healthz", Answer::new(503));
    well.always("GET", "/healthz", Answer::new(204));
    let check = "health = { path = \"/healthz\", every = \"100ms\", rise = 1, fall = 2 }";
    let shared = format!("{check}\n[store.redis]\nurl = \"{}\"", redis.url());
    let (one, other) = (Larder::start(&over(&[&sick, &well], &shared)).await?, Larder::start(&over(&[&sick, &well], &shared)).await?);
    for larder in [&one, &other] {
        let fails = |line: &str| (line.contains("fails its health check") && line.contains(&sick.url())).then_some(());
        larder.process().line("`fails its health check`", fails).await?;
        for _ in 0..3 {
            assert_eq!(larder.get("/a").await?.text(), "well");
        }
        assert_eq!(larder.metric("larder_origin_server_healthy", &[&labels(sick.address())]).await?, 0.0);
        assert_eq!(larder.metric("larder_origin_server_healthy", &[&labels(well.address())]).await?, 1.0);
    }
    Ok(())
}

#[tokio::test]
async fn without_its_redis_each_replica_asks_for_itself() -> Result<()> {
    let redis = Redis::start().await?;
    let (sick, well) = (answering("sick").await?, answering("well").await?);
    sick.always("GET", "/healthz", Answer::new(503));
    well.always("GET", "/healthz", Answer::new(204));
    let shared = format!("health = {{ path = \"/healthz\", every = \"100ms\" }}\n[store.redis]\nurl = \"{}\"", redis.url());
    drop(redis);
    let larder = Larder::start(&over(&[&sick, &well], &shared)).await?;
    larder.process().line("`fails its health check`", |line| line.contains("fails its health check").then_some(())).await?;
    assert_eq!(larder.get("/a").await?.text(), "well");
    Ok(())
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told_at_its_place_and_refuses_nothing() -> Result<()> {
    let output = check("[upstreams.api]\nservers = [\"http://127.0.0.1:3000\", \"http://nowhere.invalid:3000\"]\n")?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.is_empty() || (told.contains("does not resolve here") && told.contains("config.toml:2:37")), "{told}");
    Ok(())
}

#[tokio::test]
async fn mistakes_in_servers_are_told_all_at_once_with_place_and_hint() -> Result<()> {
    let text = "[upstreams.a]\nurl = \"http://127.0.0.1:1\"\nservers = [\"http://127.0.0.1:2\"]\n[upstreams.b]\nservers = []\n[upstreams.c]\n\
        servers = [{ url = \"http://127.0.0.1:3\", weight = 0 }]\n";
    let output = check(text)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    for part in
        ["config.toml:2:7", "`servers` both say", "config.toml:5:11", "names no server", "config.toml:7:51", "out of range for `weight`"]
    {
        assert!(told.contains(part), "no {part} in {told}");
    }
    assert_eq!(told.matches("hint:").count(), 3, "{told}");
    Ok(())
}
