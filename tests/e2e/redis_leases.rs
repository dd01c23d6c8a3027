//! Replicas that wait for each other's fetches, and those that need not.

use std::sync::Arc;

use larder_testkit::{Answer, Error, Larder, Origin, Redis, Response, Result};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::redis::{HOST, get, replica};

/// Looks at what another replica fetches, one every 25 ms at most: longer than an operation of Redis may take here, which is a second.
const LOOKS_OF_A_SECOND: f64 = 60.0;

/// Requests wait for each other for longer than any test does.
const PATIENT: &str = "[[routes]]\npath = \"/{*rest}\"\ncollapse = { wait = \"10m\" }\n";

async fn patient(origin: &Origin, redis: &Redis) -> Result<Larder> {
    replica(origin, redis.address(), PATIENT).await
}

#[tokio::test]
async fn a_fetch_from_before_a_write_holds_up_no_later_request() -> Result<()> {
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

/// Waits until this replica waits for another one, and has done so for a number of looks.
async fn waits(larder: &Larder, looks: f64) -> Result<()> {
    larder.metric_reaches("larder_redis_lookups_total", &["result=\"awaited\""], looks).await
}

/// Asks each replica so many times at once.
fn all_ask(replicas: &[Arc<Larder>], times: usize) -> JoinSet<Result<Response>> {
    let mut asking = JoinSet::new();
    for larder in replicas.iter().cycle().take(times * replicas.len()) {
        let larder = Arc::clone(larder);
        asking.spawn(async move { get(&larder, "/a").await });
    }
    asking
}

async fn answers(mut asking: JoinSet<Result<Response>>) -> Result<Vec<Response>> {
    let mut answers = Vec::new();
    while let Some(answer) = asking.join_next().await {
        answers.push(answer.map_err(Error::from)??);
    }
    Ok(answers)
}

/// Three replicas. A client asks the first, which fetches, and five clients each ask the others, which wait for the first.
struct Three {
    replicas: Vec<Arc<Larder>>,
    /// The clients of the first, and of the others.
    first: JoinSet<Result<Response>>,
    others: JoinSet<Result<Response>>,
}

impl Three {
    /// Once they wait. The origin's first answer has to hold at the gate `first`.
    async fn start(origin: &Origin, redis: &Redis, keys: &str) -> Result<Self> {
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(Arc::new(replica(origin, redis.address(), keys).await?));
        }
        let first = all_ask(&replicas[..1], 1);
        origin.gate("first").reached(1).await?;
        let others = all_ask(&replicas[1..], 5);
        let three = Self { replicas, first, others };
        three.wait(1.0).await?;
        Ok(three)
    }

    /// Waits until the others have looked so often.
    async fn wait(&self, looks: f64) -> Result<()> {
        for larder in &self.replicas[1..] {
            waits(larder, looks).await?;
        }
        Ok(())
    }
}

/// A lease that does not end by itself: what its holder's death costs then is known by nothing but its silence.
async fn lasts_for_ever(redis: &Redis) -> Result<()> {
    let persisted = redis.count(&["EVAL", "return redis.call('PERSIST', redis.call('KEYS', '*:l')[1])", "0"]).await?;
    assert_eq!(persisted, 1);
    Ok(())
}

#[tokio::test]
async fn replicas_that_have_waited_share_a_failure() -> Result<()> {
    let error = Answer::new(503).header("Retry-After", "7").header("Content-Length", "5").wait("first").part("sorry");
    for (failing, status) in [(Answer::raw("").wait("first").close(), 502), (error, 503)] {
        let (origin, redis) = (Origin::start().await?, Redis::start().await?);
        origin.once("GET", "/a", failing);
        let three = Three::start(&origin, &redis, PATIENT).await?;
        three.wait(LOOKS_OF_A_SECOND).await?;
        origin.gate("first").open();
        for answer in answers(three.first).await?.into_iter().chain(answers(three.others).await?) {
            assert_eq!(answer.status, status, "{answer:?}");
            match status {
                502 => assert_eq!(answer.header("proxy-status"), Some("larder; error=connection_terminated; next-hop=\"api\"")),
                _ => assert_eq!(answer.header("retry-after"), Some("7")),
            }
        }
        assert_eq!(origin.request_count(), 1);
        origin.check()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_holder_that_is_killed_or_stopped_is_waited_for_no_longer_than_its_silence() -> Result<()> {
    for signal in [Signal::KILL, Signal::STOP] {
        let (origin, redis) = (Origin::start().await?, Redis::start().await?);
        origin.once("GET", "/a", Answer::ok().header("Content-Length", "3").wait("first").part("old"));
        origin.once("GET", "/a", Answer::ok().header("Content-Length", "3").wait("second").part("new"));
        let three = Three::start(&origin, &redis, PATIENT).await?;
        three.replicas[0].process().signal(signal)?;
        lasts_for_ever(&redis).await?;
        origin.gate("second").reached(1).await?;
        origin.gate("second").open();
        for answer in answers(three.others).await? {
            assert_eq!((answer.status, answer.text().as_str()), (200, "new"));
        }
        assert_eq!(origin.request_count(), 2, "one of the others fetches");
        if signal == Signal::STOP {
            three.replicas[0].process().signal(Signal::CONT)?;
            origin.gate("first").open();
            for answer in answers(three.first).await? {
                assert_eq!(answer.status, 200);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_origin_slower_than_the_wait_is_asked_once_by_each_replica_and_the_first_answer_is_for_all() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    origin.once("GET", "/a", Answer::ok().header("Content-Length", "5").wait("first").part("first"));
    origin.times(2, "GET", "/a", Answer::ok().header("Content-Length", "5").wait("later").part("later"));
    let three = Three::start(&origin, &redis, &PATIENT.replace("10m", "1s")).await?;
    origin.gate("later").reached(2).await?;
    origin.gate("first").open();
    for answer in answers(three.first).await?.into_iter().chain(answers(three.others).await?) {
        assert_eq!((answer.status, answer.text().as_str()), (200, "first"));
    }
    assert_eq!(origin.request_count(), 3);
    origin.check()
}
