//! Answers that are slow in head and body: fetched once for all replicas, and read by each client while they arrive.

use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Response, Result};
use rustix::process::Signal;

use crate::redis::{HOST, get, replica, written};

/// Requests wait for each other for longer than any test does.
const PATIENT: &str = "[[routes]]\npath = \"/{*rest}\"\ncollapse = { wait = \"10m\" }\n";

const ETAG: &str = "\"1\"";

/// The answer of a slow origin: nothing before the gate `head` opens, and only `one` before `body` does.
fn slow() -> Answer {
    Answer::ok().wait("head").header("Content-Length", "6").header("ETag", ETAG).flush_head().part("one").wait("body").part("two")
}

/// The same without a length and a validator.
fn slow_in_chunks() -> Answer {
    Answer::ok().wait("head").chunk("one").wait("body").chunk("two")
}

/// Replicas, of which the first fetches and the others wait for it.
struct Slow {
    origin: Origin,
    redis: Redis,
    proxy: FaultProxy,
    replicas: Vec<Larder>,
    /// Of the first replica, and of the others.
    first: Vec<Client>,
    others: Vec<Client>,
}

async fn ask(larder: &Larder, times: usize, fields: &[(&str, &str)]) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..times {
        let mut client = larder.connect().await?;
        client.send("GET", "/a", &[&[HOST], fields].concat(), "").await?;
        clients.push(client);
    }
    Ok(clients)
}

impl Slow {
    /// Once the head and `one` are there for the clients of all three replicas, so many of each. The last replica has Redis behind a proxy.
    async fn start(answer: Answer, times: usize, keys: &str) -> Result<Self> {
        let (origin, redis) = (Origin::start().await?, Redis::start().await?);
        let proxy = FaultProxy::start(redis.address()).await?;
        origin.once("GET", "/a", answer);
        let keys = &format!("{keys}{PATIENT}");
        let mut replicas = Vec::new();
        for address in [redis.address(), redis.address(), proxy.address()] {
            replicas.push(replica(&origin, address, keys).await?);
        }
        let first = ask(&replicas[0], times, &[]).await?;
        origin.gate("head").reached(1).await?;
        let mut others = Vec::new();
        for larder in &replicas[1..] {
            others.extend(ask(larder, times, &[]).await?);
            larder.metric_reaches("larder_redis_lookups_total", &["result=\"awaited\""], 1.0).await?;
        }
        origin.gate("head").open();
        let mut slow = Self { origin, redis, proxy, replicas, first, others };
        for client in slow.first.iter_mut().chain(&mut slow.others) {
            assert_eq!(client.read_at_least(3).await?, 3, "the end is still held back");
        }
        Ok(slow)
    }

    async fn finish(&mut self) -> Result<Vec<Response>> {
        let mut answers = Vec::new();
        for client in self.first.iter_mut().chain(&mut self.others) {
            answers.push(client.finish().await?);
        }
        Ok(answers)
    }
}

#[tokio::test]
async fn sixty_clients_of_three_replicas_read_one_slow_answer_while_it_arrives() -> Result<()> {
    for (answer, form) in [(slow(), "a length"), (slow_in_chunks(), "chunks")] {
        let mut slow = Slow::start(answer, 20, "").await?;
        slow.origin.gate("body").open();
        for answer in slow.finish().await? {
            assert!(answer.complete && answer.status == 200 && answer.text() == "onetwo", "{form}: {answer:?}");
        }
        assert_eq!(slow.origin.request_count(), 1, "{form}");
        written(&slow.replicas[0], 1.0).await?;
        for (larder, [relays, relayed, written]) in slow.replicas.iter().zip([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]) {
            larder.settled().await?;
            assert_eq!(larder.metric("larder_redis_relays_total", &[]).await?, relays, "{form}");
            assert_eq!(larder.metric("larder_redis_lookups_total", &["result=\"relayed\""]).await?, relayed, "{form}");
            assert_eq!(larder.metric("larder_redis_written_total", &[]).await?, written, "{form}");
            let again = get(larder, "/a").await?;
            assert_eq!((again.x_cache(), again.text().as_str()), ("HIT", "onetwo"), "{form}");
        }
        slow.origin.check()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_holder_that_is_killed_or_a_redis_that_is_costs_no_client_its_answer_where_the_origin_has_the_same() -> Result<()> {
    for is_holder in [true, false] {
        let mut slow = Slow::start(slow(), 3, "").await?;
        let rest = Answer::new(206).header("ETag", ETAG).header("Content-Range", "bytes 3-5/6").body("two");
        slow.origin.times(2, "GET", "/a", rest);
        match is_holder {
            true => slow.replicas[0].process().signal(Signal::KILL)?,
            false => slow.redis.kill().await?,
        }
        for client in &mut slow.others {
            let answer = client.finish().await?;
            assert!(answer.complete && answer.text() == "onetwo", "{is_holder}: {answer:?}");
        }
        let received = slow.origin.received();
        assert_eq!(received.len(), 3, "each replica asks for the rest once");
        for request in &received[1..] {
            assert_eq!((request.header("range"), request.header("if-range")), (Some("bytes=3-"), Some(ETAG)));
        }
        slow.origin.gate("body").open();
        if !is_holder {
            for client in &mut slow.first {
                assert_eq!(client.finish().await?.text(), "onetwo");
            }
        }
        for larder in &slow.replicas[1..] {
            larder.settled().await?;
            assert_eq!(get(larder, "/a").await?.text(), "onetwo");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_holder_that_is_killed_or_a_lost_redis_is_a_break_and_no_clean_end_where_the_rest_cannot_be_told() -> Result<()> {
    for is_holder in [true, false] {
        let mut slow = Slow::start(slow_in_chunks(), 2, "").await?;
        match is_holder {
            true => slow.replicas[0].process().signal(Signal::KILL)?,
            false => slow.proxy.set(Fault::Refused),
        }
        // Of the last replica, which both concern.
        for client in &mut slow.others[2..] {
            let answer = client.finish().await?;
            assert!(!answer.complete && answer.text() == "one", "{is_holder}: {answer:?}");
        }
        slow.replicas[2].settled().await?;
        assert_eq!(slow.replicas[2].metric("larder_cache_entries", &[]).await?, 0.0);
        assert_eq!(slow.replicas[2].metric("larder_redis_interrupted_total", &[]).await?, 1.0);
        slow.origin.gate("body").open();
    }
    Ok(())
}

#[tokio::test]
async fn an_origin_that_cuts_off_breaks_the_answer_of_every_client() -> Result<()> {
    let cut = Answer::ok().wait("head").header("Content-Length", "6").flush_head().part("one").wait("body").close();
    let mut slow = Slow::start(cut, 2, "").await?;
    // The other replicas ask for it again, once each.
    slow.origin.times(2, "GET", "/a", Answer::new(404));
    slow.origin.gate("body").open();
    for answer in slow.finish().await? {
        assert!(!answer.complete && answer.text() == "one", "{answer:?}");
    }
    for larder in &slow.replicas {
        larder.settled().await?;
        assert_eq!(larder.metric("larder_cache_entries", &[]).await?, 0.0);
    }
    slow.origin.check()
}

#[tokio::test]
async fn a_write_meanwhile_makes_the_answer_old_for_all_who_come_later_and_ends_it_for_none() -> Result<()> {
    let mut slow = Slow::start(slow(), 2, "").await?;
    slow.origin.once("PUT", "/a", Answer::new(204));
    slow.origin.once("GET", "/a", Answer::ok().body("new"));
    slow.replicas[1].request("PUT", "/a", &[HOST], "").await?;
    assert_eq!(get(&slow.replicas[1], "/a").await?.text(), "new");
    slow.origin.gate("body").open();
    for answer in slow.finish().await? {
        assert!(answer.complete && answer.text() == "onetwo", "{answer:?}");
    }
    for larder in &slow.replicas {
        larder.settled().await?;
        assert_eq!(get(larder, "/a").await?.text(), "new", "what is old was stored nowhere");
    }
    slow.origin.check()
}

#[tokio::test]
async fn clients_that_leave_end_the_answer_for_no_other() -> Result<()> {
    let mut slow = Slow::start(slow(), 2, "").await?;
    // All of the first replica, and one each of the others.
    slow.first.clear();
    slow.others.remove(3);
    slow.others.remove(0);
    slow.origin.gate("body").open();
    for answer in slow.finish().await? {
        assert!(answer.complete && answer.text() == "onetwo", "{answer:?}");
    }
    assert_eq!(slow.origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_body_that_outgrows_what_redis_keeps_goes_on_to_those_who_read_it() -> Result<()> {
    let long = "x".repeat(5_000);
    let answer = Answer::ok().wait("head").chunk("one").wait("body").chunk(&long).wait("more").chunk("end");
    let mut slow = Slow::start(answer, 2, "max_object = \"4KiB\"\n").await?;
    slow.origin.once("GET", "/a", Answer::ok().body("own"));
    slow.origin.gate("body").open();
    for client in &mut slow.others {
        client.read_at_least(5_003).await?;
    }
    slow.origin.gate("more").open();
    for answer in slow.finish().await? {
        assert!(answer.complete && answer.text() == format!("one{long}end"), "{} bytes", answer.body.len());
    }
    Ok(())
}

#[tokio::test]
async fn ranges_preconditions_and_head_are_answered_while_the_body_arrives_elsewhere() -> Result<()> {
    let mut slow = Slow::start(slow(), 1, "").await?;
    slow.origin.once("HEAD", "/a", Answer::ok().header("ETag", ETAG));
    let with =
        async |method: &'static str, fields: &[(&str, &str)]| slow.replicas[1].request(method, "/a", &[&[HOST], fields].concat(), "").await;
    let part = with("GET", &[("Range", "bytes=1-2")]).await?;
    assert_eq!((part.status, part.text().as_str(), part.header("content-range")), (206, "ne", Some("bytes 1-2/6")));
    assert_eq!(with("GET", &[("If-None-Match", ETAG)]).await?.status, 304);
    assert_eq!(with("GET", &[("Range", "bytes=6-")]).await?.status, 416);
    let head = with("HEAD", &[]).await?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    slow.origin.gate("body").open();
    for answer in slow.finish().await? {
        assert_eq!(answer.text(), "onetwo");
    }
    slow.origin.check()
}
