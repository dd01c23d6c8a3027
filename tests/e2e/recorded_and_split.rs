//! Streams that are recorded, and requests that are looked up part by part, as operators see them.

use larder_testkit::client::Response;
use larder_testkit::larder::command;
use larder_testkit::{Answer, Client, Larder, Origin, Result};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[[routes]]
path = "/v1/embeddings"
ttl = "1h"
read = true
key = { body = "embeddings" }

[[routes]]
path = "/rpc"
ttl = "1h"
read = true
key = { body = "json-rpc" }

[[routes]]
path = "/events"
record = true

[[limits]]
name = "all"
count = "requests"
max = 10
per = "1h"
routes = ["/events"]
"#;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// What explain says of a request.
async fn explained(larder: &Larder, question: Value) -> Result<Value> {
    let mut admin = Client::connect(larder.admin_address()).await?;
    Ok(serde_json::from_slice(&admin.exchange("POST", "/explain", &[JSON], &question.to_string()).await?.body)?)
}

async fn ask(larder: &Larder, target: &str, body: &str) -> Result<Response> {
    let answer = larder.request("POST", target, &[JSON], body).await?;
    larder.settled().await?;
    Ok(answer)
}

/// It has no length, so hyper writes it: with the answer that was found before hyper had read the request.
#[tokio::test]
async fn a_recorded_stream_of_a_get_is_looked_up_once() -> Result<()> {
    let origin = Origin::start().await?;
    let events = Answer::ok().header("Content-Type", "text/event-stream").header("Cache-Control", "max-age=60").header("X-Two", "1");
    origin.always("GET", "/events", events.header("X-Two", "2").chunk("data: 1\n\n").chunk("data: 2\n\n"));
    let larder = Larder::before(&origin, CONFIG).await?;
    assert_eq!(larder.get("/events").await?.x_cache(), "MISS");
    larder.settled().await?;
    let mut client = Client::connect(larder.address()).await?;
    for used in 1..=2 {
        let hit = client.exchange("GET", "/events", &[], "").await?;
        assert_eq!((hit.x_cache(), hit.text().as_str(), hit.header("content-length")), ("HIT", "data: 1\n\ndata: 2\n\n", None));
        assert!(
            hit.header("ratelimit").is_some_and(|field| field.contains(&format!("r={}", 9 - used))),
            "one request is one unit: {hit:?}"
        );
        assert!(hit.header("age").is_some() && hit.header("content-type") == Some("text/event-stream"), "{hit:?}");
        let said = explained(&larder, json!({ "url": format!("http://{}/events", larder.address()) })).await?;
        assert_eq!(said["stored"][0]["hits"], json!(used), "each request has used it once: {said:#}");
    }
    // A HEAD has its fields and no content, and the connection goes on.
    let head = client.exchange("HEAD", "/events", &[], "").await?;
    assert_eq!((head.status, head.x_cache(), head.body.len()), (200, "HIT", 0));
    assert_eq!(client.exchange("GET", "/events", &[], "").await?.x_cache(), "HIT");
    assert_eq!((origin.request_count(), larder.metric("larder_limit_requests_total", &["outcome=\"admitted\""]).await?), (1, 5.0));
    Ok(())
}

/// A request for several things is looked up part by part, and explain says what is known of each.
#[tokio::test]
async fn explain_shows_the_parts_of_a_request_that_is_split() -> Result<()> {
    let origin = Origin::start().await?;
    let embeddings = r#"{"data":[{"index":0,"embedding":[0.5]},{"index":1,"embedding":[0.25]}],"model":"e"}"#;
    origin.always("POST", "/v1/embeddings", Answer::ok().header(JSON.0, JSON.1).body(embeddings));
    let calls = r#"[{"jsonrpc":"2.0","id":7,"result":"0x1"},{"jsonrpc":"2.0","id":8,"result":"0x2"}]"#;
    origin.always("POST", "/rpc", Answer::ok().header(JSON.0, JSON.1).body(calls));
    let larder = Larder::before(&origin, CONFIG).await?;
    let call = |id: u32, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#);
    let both = |one: &str, other: &str| format!("[{},{}]", call(7, one), call(8, other));
    let input = |texts: &str| format!(r#"{{"model":"e","input":[{texts}]}}"#);
    for (target, known, partly, unknown) in [
        ("/v1/embeddings", input(r#""a","b""#), input(r#""a","c""#), input(r#""c","d""#)),
        ("/rpc", both("eth_chainId", "eth_gasPrice"), both("eth_chainId", "net_version"), both("net_version", "web3_sha3")),
    ] {
        ask(&larder, target, &known).await?;
        let url = format!("http://{}{target}", larder.address());
        for (data, ages, verdict) in [(known, 2, "hit"), (partly, 1, "miss"), (unknown, 0, "miss")] {
            let said = explained(
                &larder,
                json!({ "url": url, "method": "POST", "headers": { "Content-Type": "application/json" }, "data": data }),
            )
            .await?;
            let parts = said["parts"].as_array().cloned().unwrap_or_default();
            let found = parts.iter().filter(|part| part["age"].is_number()).count();
            assert_eq!((parts.len(), found, said["decision"]["verdict"].as_str()), (2, ages, Some(verdict)), "{said:#}");
            assert_ne!(parts[0]["key"], parts[1]["key"], "{said:#}");
            let summary = said["decision"]["summary"].as_str().unwrap_or_default();
            assert!(verdict == "hit" || summary.contains(&format!("{ages} of its 2 parts")), "{said:#}");
            let mut explain = command()?;
            explain.args(["explain", "--admin", &larder.admin_address().to_string(), "-X", "POST", "-H", "Content-Type: application/json"]);
            let content = tempfile::NamedTempFile::new()?;
            std::fs::write(content.path(), &data)?;
            let told = explain.arg("--data").arg(content.path()).arg(&url).env_remove("LARDER_TOKEN").output()?;
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            assert!(told.contains("parts         1. "), "{told}");
            assert_eq!(told.matches("nothing in memory: ").count(), 2 - ages, "{told}");
        }
    }
    assert_eq!(origin.request_count(), 2, "explain asks nobody");
    Ok(())
}
