//! The hot list: what clients ask for most.

use std::path::Path;

use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Redis, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{admin, ended, x_cache};

/// A job that fetches what is asked for most, and the folder for its list.
fn hot(origin: &Origin, folder: &Path, on: &str) -> String {
    let server = format!("[server]\nlisten = \"127.0.0.1:0\"\nstate_dir = {folder:?}\n");
    config(&origin.url(), &format!("{server}[cache]\nttl = \"60s\"\n[[warm]]\nname = \"hot\"\non = {on}\ntop = 10\n"))
}

async fn purge(larder: &Larder, urls: &[&str]) -> Result<()> {
    let urls: Vec<String> = urls.iter().map(|path| format!("http://a.example{path}")).collect();
    assert_eq!(admin(larder, "POST", "/purge", &json!({ "urls": urls })).await?.0, 200);
    Ok(())
}

/// Waits until the origin was asked so often for it.
async fn asked(origin: &Origin, target: &str, count: usize) -> Result<()> {
    let probe = || async { Ok((origin.count_of(target) >= count).then_some(())) };
    eventually(format!("waiting for request {count} for {target}"), probe).await
}

#[tokio::test]
async fn a_restart_without_redis_begins_warm_with_what_was_asked_for_most() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.always("GET", "/a?b=c", Answer::ok().header("Vary", "Accept-Language").body("x"));
    origin.always("GET", "/rare", Answer::ok().body("x"));
    origin.always("GET", "/own", Answer::ok().header("Cache-Control", "private").body("x"));
    let text = hot(&origin, folder.path(), "[\"start\"]");
    let german = [("Host", "a.example"), ("Accept-Language", "de")];
    let first = Larder::start(&text).await?;
    for _ in 0..6 {
        first.request("GET", "/a?b=c", &german, "").await?;
    }
    x_cache(&first, "/rare").await?;
    x_cache(&first, "/own").await?;
    let busiest: Value = serde_json::from_str(&first.admin("/busiest").await?.text())?;
    assert_eq!(
        (&busiest["hottest"][0]["url"], &busiest["hottest"][0]["requests"]),
        (&json!("http://a.example/a?b=c"), &json!(6)),
        "{busiest}"
    );
    let keys: Value = serde_json::from_str(&first.admin("/keys?sort=hits").await?.text())?;
    assert_eq!((&keys["keys"][0]["url"], &keys["keys"][0]["hits"]), (&json!("http://a.example/a?b=c"), &json!(6)), "{keys}");
    first.terminate()?;
    first.exited().await?;
    let kept: Value = serde_json::from_slice(&std::fs::read(folder.path().join("hot.json"))?)?;
    assert_eq!(kept["urls"].as_array().map(Vec::len), Some(2), "what is private is not on it: {kept}");

    let second = Larder::start(&text).await?;
    assert_eq!(ended(&second, "hot").await?["stored"], 2);
    assert_eq!(second.request("GET", "/a?b=c", &german, "").await?.x_cache(), "HIT");
    assert_eq!((x_cache(&second, "/rare").await?, origin.count_of("/a?b=c")), ("HIT".to_owned(), 2));
    Ok(())
}

#[tokio::test]
async fn a_list_that_cannot_be_read_or_written_is_told_and_harms_nothing() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.always("GET", "/a", Answer::ok().body("x"));
    std::fs::write(folder.path().join("hot.json"), "{\"version\":")?;
    // A folder stands where the new file would.
    let larder = Larder::start(&hot(&origin, folder.path(), "[\"start\"]")).await?;
    larder.process().line("the damaged file", |line| line.contains("is not known: cannot read").then_some(())).await?;
    assert_eq!([x_cache(&larder, "/a").await?, x_cache(&larder, "/a").await?], ["MISS", "HIT"]);
    std::fs::remove_file(folder.path().join("hot.json"))?;
    std::fs::create_dir_all(folder.path().join("hot.json/in-the-way"))?;
    larder.terminate()?;
    assert!(larder.exited().await?.success());
    assert!(larder.process().output().iter().any(|line| line.contains("is not kept: cannot write")), "{:?}", larder.process().output());
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "nothing is left beside it");
    Ok(())
}

#[tokio::test]
async fn what_a_purge_reaches_of_the_hot_ones_is_fetched_again_and_nothing_else() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    for target in ["/a", "/b", "/c"] {
        origin.always("GET", target, Answer::ok().body("x"));
    }
    let larder = Larder::start(&hot(&origin, folder.path(), "[\"purge\"]")).await?;
    for target in ["/a", "/b", "/c"] {
        x_cache(&larder, target).await?;
    }
    purge(&larder, &["/a", "/c", "/never"]).await?;
    asked(&origin, "/a", 2).await?;
    asked(&origin, "/c", 2).await?;
    let report = ended(&larder, "hot").await?;
    assert_eq!((&report["total"], &report["stored"]), (&json!(2), &json!(2)), "{report}");
    assert_eq!([x_cache(&larder, "/a").await?, x_cache(&larder, "/c").await?], ["HIT", "HIT"]);
    assert_eq!(origin.count_of("/b"), 1);
    Ok(())
}

/// An application's own message, without the admin listener.
#[tokio::test]
async fn what_a_message_on_the_channel_purges_of_the_hot_ones_is_fetched_again_by_each_replica_that_has_it_on_its_list() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    for target in ["/a", "/b"] {
        origin.always("GET", target, Answer::ok().body("x"));
    }
    let folders = [TempDir::new()?, TempDir::new()?];
    let rest = format!("[store.redis]\nurl = \"{}\"\ntimeout = \"2s\"\n", redis.url());
    let text = |folder: &TempDir| hot(&origin, folder.path(), "[\"purge\"]") + &rest;
    let (one, other) = (Larder::start(&text(&folders[0])).await?, Larder::start(&text(&folders[1])).await?);
    for target in ["/a", "/b"] {
        x_cache(&one, target).await?;
    }
    redis.command(&["PUBLISH", "system:cache_invalidation", r#"{"urls":["http://a.example/a"]}"#]).await?;
    let report = ended(&one, "hot").await?;
    assert_eq!((&report["total"], &report["stored"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!([x_cache(&one, "/a").await?, x_cache(&one, "/b").await?], ["HIT", "HIT"]);
    assert_eq!([origin.count_of("/a"), origin.count_of("/b")], [2, 1], "the other replica has heard it, and has nothing on its list");
    other.metric_reaches("larder_invalidation_messages_total", &[], 1.0).await
}

#[tokio::test]
async fn nothing_is_refreshed_for_ever_that_nobody_asks_for() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    for target in ["/a", "/b"] {
        origin.always("GET", target, Answer::ok().body("x"));
    }
    let larder = Larder::start(&hot(&origin, folder.path(), "[\"purge\"]")).await?;
    for _ in 0..3 {
        x_cache(&larder, "/a").await?;
    }
    for count in 2..=4 {
        // The one is asked for between two purges, and the other is not. It would come first.
        x_cache(&larder, "/b").await?;
        purge(&larder, &["/a", "/b"]).await?;
        asked(&origin, "/b", count).await?;
        larder.settled().await?;
    }
    assert_eq!(origin.count_of("/a"), 3, "two refreshes, and no third");
    Ok(())
}
