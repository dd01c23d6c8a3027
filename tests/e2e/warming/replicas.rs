//! Several replicas with one Redis: one of them fetches.

use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Result};

use super::{job, x_cache};

#[tokio::test]
async fn of_replicas_one_warms_and_the_others_find_it_in_redis() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.always("GET", "/a", Answer::ok().body("x"));
    let text =
        config(&origin.url(), &format!("{}[store.redis]\nurl = \"{}\"\ntimeout = \"2s\"", job("listings", &["/a"], ""), redis.url()));
    let one = Larder::start(&text).await?;
    one.process().line("the end of the job", |line| line.contains("the job listings has ended").then_some(())).await?;
    let stored = || async { Ok((one.metric("larder_redis_written_total", &[]).await? >= 1.0).then_some(())) };
    eventually("the response is in Redis", stored).await?;
    let other = Larder::start(&text).await?;
    other.process().line("the other's turn", |line| line.contains("another replica warms").then_some(())).await?;
    let mut client = Client::connect(other.address()).await?;
    let answer = client.exchange("GET", "/a", &[("Host", "a.example")], "").await?;
    assert_eq!((answer.x_cache(), origin.request_count()), ("HIT", 1));
    Ok(())
}

#[tokio::test]
async fn a_restart_warms_again_whatever_the_process_before_has_warmed() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.always("GET", "/a", Answer::ok().body("x"));
    let text =
        config(&origin.url(), &format!("{}[store.redis]\nurl = \"{}\"\ntimeout = \"2s\"", job("listings", &["/a"], ""), redis.url()));
    for _ in 0..2 {
        let larder = Larder::start(&text).await?;
        larder.process().line("the end of the job", |line| line.contains("the job listings has ended").then_some(())).await?;
        larder.terminate()?;
        assert!(larder.exited().await?.success());
    }
    Ok(())
}

#[tokio::test]
async fn what_is_due_on_all_replicas_is_fetched_ahead_by_one() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.once("GET", "/a", Answer::ok().body("one"));
    origin.always("GET", "/a", Answer::ok().wait("held").chunk("two"));
    // It is due from the tenth millisecond on.
    let rest = format!("[cache]\nttl = \"10s\"\nrefresh_ahead = 0.001\n[store.redis]\nurl = \"{}\"\ntimeout = \"2s\"\n", redis.url());
    let text = config(&origin.url(), &rest);
    let (one, other) = (Larder::start(&text).await?, Larder::start(&text).await?);
    x_cache(&one, "/a").await?;
    let stored = || async { Ok((one.metric("larder_redis_written_total", &[]).await? >= 1.0).then_some(())) };
    eventually("the response is in Redis", stored).await?;
    assert_eq!(x_cache(&other, "/a").await?, "HIT");
    let due = || async {
        x_cache(&one, "/a").await?;
        Ok((origin.request_count() == 2).then_some(()))
    };
    eventually("waiting for the fetch ahead", due).await?;
    for larder in [&one, &other].into_iter().cycle().take(40) {
        let answer = larder.request("GET", "/a", &[("Host", "a.example")], "").await?;
        assert_eq!((answer.x_cache(), answer.text().as_str()), ("HIT", "one"));
    }
    assert_eq!(origin.request_count(), 2, "one replica is under way");
    origin.gate("held").open();
    for larder in [&one, &other] {
        let renewed = || async {
            let answer = larder.request("GET", "/a", &[("Host", "a.example")], "").await?;
            Ok((answer.text() == "two").then_some(()))
        };
        eventually("waiting for what the one has fetched", renewed).await?;
    }
    Ok(())
}
