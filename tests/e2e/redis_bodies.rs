//! Long bodies from Redis: served while they arrive, and whole or broken when Redis fails in their middle.

use std::path::Path;
use std::sync::Arc;

use larder_testkit::faults::{Fault, FaultProxy};
use larder_testkit::gate::Gate;
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Response, Result};
use tempfile::TempDir;

use crate::redis::{HOST, get, replica, written};

/// Bytes of a chunk, before anything is made of them.
const CHUNK: usize = 256 * 1024;

/// Digits by lot: shorter by half when compressed, and still several chunks.
fn long() -> Arc<str> {
    let mut lot = 1_u64;
    let digits = (0..6 * CHUNK + 5).map(|_| {
        lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b"0123456789abcdef"[(lot >> 60) as usize])
    });
    digits.collect::<String>().into()
}

/// An origin with a long response: with this entity tag where there is one, and then its ranges too, if it knows any.
async fn origin(etag: Option<&'static str>, ranges: bool) -> Result<(Origin, Arc<str>)> {
    let (origin, body) = (Origin::start().await?, long());
    let content = Arc::clone(&body);
    origin.respond_with("GET", "/long", move |request| {
        let first = request.header("range").filter(|_| ranges && request.header("if-range") == etag);
        let first = first.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let tagged = |answer: Answer| etag.into_iter().fold(answer, |answer, etag| answer.header("ETag", etag));
        match first {
            Some(first) => {
                let range = format!("bytes {first}-{}/{}", content.len() - 1, content.len());
                tagged(Answer::new(206)).header("Content-Range", range).body(&content.as_bytes()[first..])
            }
            None => tagged(Answer::ok()).body(content.as_bytes()),
        }
    });
    Ok((origin, body))
}

/// How bodies lie in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AsTheyAre,
    CompressedAndSealed,
}

const FORMS: [Form; 2] = [Form::AsTheyAre, Form::CompressedAndSealed];

impl Form {
    fn keys(self, key: &Path) -> Result<String> {
        std::fs::write(key, "07".repeat(32))?;
        let both = format!("compress = {{ min = \"1KiB\", level = 3 }}\nencrypt = {{ key = \"file:{}\" }}\n", key.display());
        Ok(if self == Self::AsTheyAre { String::new() } else { both })
    }
}

/// A replica that finds the long response in Redis, and a proxy between them that holds its second chunk back.
struct Behind {
    larder: Larder,
    redis: Redis,
    proxy: FaultProxy,
    second: Gate,
    _folder: TempDir,
}

impl Behind {
    async fn start(origin: &Origin, form: Form) -> Result<Self> {
        let (redis, folder) = (Redis::start().await?, tempfile::tempdir()?);
        let keys = &form.keys(&folder.path().join("key"))?;
        let one = replica(origin, redis.address(), keys).await?;
        assert_eq!(get(&one, "/long").await?.x_cache(), "MISS");
        written(&one, 1.0).await?;
        let proxy = FaultProxy::start(redis.address()).await?;
        let larder = replica(origin, proxy.address(), keys).await?;
        let second = proxy.hold("GET", ":1");
        Ok(Self { larder, redis, proxy, second, _folder: folder })
    }

    /// A client that has the first chunk, and waits for the second.
    async fn client(&self) -> Result<Client> {
        let mut client = self.larder.connect().await?;
        client.send("GET", "/long", &[HOST], "").await?;
        client.read_at_least(CHUNK).await?;
        self.second.reached(1).await?;
        Ok(client)
    }

    async fn chunk(&self, number: usize) -> Result<String> {
        self.redis.command(&["EVAL", "return redis.call('KEYS', ARGV[1])[1]", "0", &format!("*:k:*:{number}")]).await
    }

    async fn hits(&self) -> Result<f64> {
        self.larder.metric("larder_redis_lookups_total", &["result=\"hit\""]).await
    }
}

#[tokio::test]
async fn the_first_chunk_reaches_the_client_while_the_second_is_held_back() -> Result<()> {
    for form in FORMS {
        let (origin, body) = origin(None, false).await?;
        let behind = Behind::start(&origin, form).await?;
        let mut client = behind.client().await?;
        assert_eq!(client.head().await?.get("content-length"), Some(body.len().to_string().as_str()));
        behind.second.open();
        let response = client.finish().await?;
        assert!(response.complete && response.text() == *body);
        assert_eq!((response.x_cache(), response.age().is_some()), ("HIT", true));
        behind.larder.settled().await?;
        let again = get(&behind.larder, "/long").await?;
        assert!(again.x_cache() == "HIT" && again.text() == *body);
        assert_eq!((behind.hits().await?, origin.request_count()), (1.0, 1), "it is in memory now");
    }
    Ok(())
}

#[tokio::test]
async fn three_clients_read_one_body_in_redis_once() -> Result<()> {
    let (origin, body) = origin(None, false).await?;
    let behind = Behind::start(&origin, Form::AsTheyAre).await?;
    let mut clients = [behind.client().await?, behind.client().await?, behind.client().await?];
    let mut left = behind.client().await?;
    left.read_at_least(CHUNK).await?;
    drop(left);
    behind.second.open();
    for client in &mut clients {
        let response = client.finish().await?;
        assert!(response.complete && response.x_cache() == "HIT" && response.text() == *body);
    }
    assert_eq!((behind.hits().await?, origin.request_count()), (1.0, 1));
    Ok(())
}

#[tokio::test]
async fn a_range_and_a_precondition_are_answered_while_the_body_arrives() -> Result<()> {
    let (origin, body) = origin(Some("\"1\""), false).await?;
    let behind = Behind::start(&origin, Form::AsTheyAre).await?;
    let ask = async |method: &'static str, name: &'static str, value: &'static str| {
        behind.larder.request(method, "/long", &[HOST, (name, value)], "").await
    };
    let part = ask("GET", "Range", "bytes=100-199").await?;
    assert_eq!((part.status, part.text().as_str(), part.x_cache()), (206, &body[100..200], "HIT"));
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-199/{}", body.len()).as_str()));
    let same = ask("GET", "If-None-Match", "\"1\"").await?;
    assert_eq!((same.status, same.x_cache()), (304, "HIT"));
    behind.second.open();
    behind.larder.settled().await?;
    assert!(get(&behind.larder, "/long").await?.text() == *body);
    assert_eq!((behind.hits().await?, origin.request_count()), (1.0, 1));
    Ok(())
}

#[tokio::test]
async fn a_head_of_a_long_body_has_its_length_and_no_body() -> Result<()> {
    let (origin, body) = origin(None, false).await?;
    let behind = Behind::start(&origin, Form::AsTheyAre).await?;
    behind.second.open();
    let response = behind.larder.request("HEAD", "/long", &[HOST], "").await?;
    assert_eq!((response.status, response.x_cache(), response.body.len()), (200, "HIT", 0));
    assert_eq!(response.header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

/// A fault in the middle of a body.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Missing,
    Damaged,
    Short,
    Net(Fault),
    Held,
    Killed,
}

const TROUBLES: [Trouble; 8] = [
    Trouble::Missing,
    Trouble::Damaged,
    Trouble::Short,
    Trouble::Net(Fault::Refused),
    Trouble::Net(Fault::ResetMidway),
    Trouble::Net(Fault::Garbage),
    Trouble::Held,
    Trouble::Killed,
];

/// The rest of the body for a client that has the first chunk when this happens.
async fn meets(behind: &Behind, trouble: Trouble) -> Result<Response> {
    let mut client = behind.client().await?;
    let name = behind.chunk(1).await?;
    match trouble {
        Trouble::Missing => _ = behind.redis.command(&["DEL", &name]).await?,
        Trouble::Damaged => _ = behind.redis.command(&["SETRANGE", &name, "5000", "?"]).await?,
        Trouble::Short => _ = behind.redis.command(&["SET", &name, "short"]).await?,
        Trouble::Net(fault) => behind.proxy.set(fault),
        Trouble::Held => {}
        Trouble::Killed => behind.redis.kill().await?,
    }
    // A body that is only held back is given up in its time.
    if !matches!(trouble, Trouble::Held) {
        behind.second.open();
    }
    let response = client.finish().await?;
    behind.larder.settled().await?;
    assert_eq!(behind.larder.metric("larder_redis_interrupted_total", &[]).await?, 1.0, "{trouble:?}");
    Ok(response)
}

#[tokio::test]
async fn after_any_fault_midway_the_client_gets_the_rest_from_an_origin_that_has_the_same() -> Result<()> {
    for (trouble, ranges) in TROUBLES.into_iter().zip([true, false].into_iter().cycle()) {
        let form = if ranges { FORMS[1] } else { FORMS[0] };
        let (origin, body) = origin(Some("\"1\""), ranges).await?;
        let behind = Behind::start(&origin, form).await?;
        let response = meets(&behind, trouble).await?;
        assert!(response.complete && response.text() == *body, "{trouble:?}: {} of {} bytes", response.body.len(), body.len());
        let received = origin.received();
        assert_eq!(received.len(), 2, "{trouble:?}");
        assert_eq!((received[1].header("range"), received[1].header("if-range")), (Some("bytes=262144-"), Some("\"1\"")));
        let again = get(&behind.larder, "/long").await?;
        assert!(again.complete && again.x_cache() == "HIT" && again.text() == *body, "{trouble:?}");
    }
    Ok(())
}

#[tokio::test]
async fn after_any_fault_midway_without_a_validator_an_answer_that_is_the_same_goes_on() -> Result<()> {
    for (trouble, form) in TROUBLES.into_iter().zip(FORMS.into_iter().cycle()) {
        let (origin, body) = origin(None, true).await?;
        let behind = Behind::start(&origin, form).await?;
        let response = meets(&behind, trouble).await?;
        assert!(response.complete && response.text() == *body, "{trouble:?}: {} of {} bytes", response.body.len(), body.len());
        let received = origin.received();
        assert_eq!((received.len(), received[1].header("range")), (2, None), "{trouble:?}");
        assert_eq!(behind.larder.metric("larder_asked_again_total", &["result=\"continued\""]).await?, 1.0, "{trouble:?}");
        let damaged = matches!(trouble, Trouble::Damaged | Trouble::Short);
        let counted = behind.larder.metric("larder_redis_lookups_total", &["result=\"damaged\""]).await?
            + behind.larder.metric("larder_redis_lookups_total", &["result=\"locked\""]).await?;
        assert_eq!(counted, f64::from(u8::from(damaged)), "{trouble:?}");
        behind.second.open();
        let again = get(&behind.larder, "/long").await?;
        assert!(again.complete && again.text() == *body, "{trouble:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_origin_that_has_changed_is_a_break_and_never_mixed() -> Result<()> {
    let (origin, body) = (Origin::start().await?, long());
    origin.once("GET", "/long", Answer::ok().header("ETag", "\"1\"").body(body.as_bytes()));
    let behind = Behind::start(&origin, Form::AsTheyAre).await?;
    origin.always("GET", "/long", Answer::ok().header("ETag", "\"2\"").body("new"));
    let response = meets(&behind, Trouble::Missing).await?;
    assert!(!response.complete && body.starts_with(&response.text()));
    let again = get(&behind.larder, "/long").await?;
    assert_eq!((again.x_cache(), again.text().as_str()), ("MISS", "new"));
    origin.check()
}

#[tokio::test]
async fn a_body_purged_midway_is_not_kept_and_its_client_gets_all_of_it() -> Result<()> {
    let (origin, body) = (Origin::start().await?, long());
    origin.once("GET", "/long", Answer::ok().body(body.as_bytes()));
    origin.always("GET", "/long", Answer::ok().body("new"));
    origin.always("PUT", "/long", Answer::new(204));
    let behind = Behind::start(&origin, Form::AsTheyAre).await?;
    let mut client = behind.client().await?;
    let writer = replica(&origin, behind.redis.address(), "").await?;
    assert_eq!(writer.request("PUT", "/long", &[HOST], "").await?.status, 204);
    let number = writer.metric("larder_invalidation_log_number", &[]).await?;
    behind.larder.metric_reaches("larder_invalidation_log_number", &[], number).await?;
    behind.second.open();
    let response = client.finish().await?;
    assert!(response.complete && response.text() == *body);
    behind.larder.settled().await?;
    assert_eq!(get(&behind.larder, "/long").await?.text(), "new");
    origin.check()
}
