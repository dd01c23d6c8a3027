//! Replicas that wait for each other's fetches, and those that need not.

use larder_testkit::{Answer, Larder, Origin, Redis, Result};

use crate::redis::{HOST, get, replica};

/// A replica whose requests wait for each other for longer than any test does.
async fn patient(origin: &Origin, redis: &Redis) -> Result<Larder> {
    replica(origin, redis.address(), "[[routes]]\npath = \"/{*rest}\"\ncollapse = { wait = \"10m\" }\n").await
}

#[tokio::test]
async fn a_fetch_from_before_a_write_holds_up_nobody_after_it() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    let (one, other) = (patient(&origin, &redis).await?, patient(&origin, &redis).await?);
    for (target, writer) in [("/a", &other), ("/b", &one)] {
        origin.once("GET", target, Answer::ok().header("Content-Length", "3").wait(target).part("old"));
        origin.once("PUT", target, Answer::new(204));
        origin.once("GET", target, Answer::ok().body("new"));
        let outdated = async {
            let response = get(&one, target).await?;
            Ok::<_, larder_testkit::Error>(response.text())
        };
        let after = async {
            origin.gate(target).reached(1).await?;
            writer.request("PUT", target, &[HOST], "").await?;
            assert_eq!(get(writer, target).await?.text(), "new");
            origin.gate(target).open();
            Ok(())
        };
        let (outdated, after) = tokio::join!(outdated, after);
        after.and(outdated.map(|text| assert_eq!(text, "old")))?;
    }
    origin.check()
}
