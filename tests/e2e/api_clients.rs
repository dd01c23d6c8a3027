//! The packages by which people ask what hides its reads behind POST: Gemini, Ollama, Elasticsearch, nodes of a chain.

use larder_testkit::larder::config;
use larder_testkit::{Larder, Result};
use larder_tests::NodeBackend;
use larder_tests::models::{Said, api_clients};

const ROUTES: &str = r#"
[[routes]]
name = "gemini"
path = "/v1/models/{*rest}"
ttl = "1h"
read = true
key = { body = "chat" }

[[routes]]
name = "gemini-embeddings"
path = "/v1/models/embed-test:batchEmbedContents"
ttl = "1h"
read = true
key = { body = "embeddings" }

[[routes]]
name = "ollama"
path = "/api/chat"
ttl = "1h"
read = true
key = { body = "chat" }

[[routes]]
name = "search"
path = "/issues/_search"
methods = ["POST"]
ttl = "1h"
read = true
key = { body = "json", headers = ["accept"] }

[[routes]]
name = "chain"
path = "/rpc"
ttl = "2s"
read = true
key = { body = "json-rpc" }
rpc = { eth_chainId = "24h", eth_getBalance = "1h", eth_gasPrice = "1h", net_version = "1h" }
"#;

/// The first answer came from the backend, and the second one with the same text from the cache.
fn came_twice(said: &Said, name: &str, expected: &str) {
    let (first, again) = (&said[name], &said[&format!("{name} again")]);
    assert_eq!((first.0.as_str(), first.1.as_str()), ("MISS", expected), "{name}");
    assert_eq!((again.0.as_str(), again.1.as_str()), ("HIT", expected), "{name} again");
}

#[tokio::test]
async fn clients_of_other_apis_get_the_same_answer_twice() -> Result<()> {
    let backend = NodeBackend::apis().await?;
    let larder = Larder::start(&config(&backend.url(), ROUTES)).await?;
    let said = api_clients(format!("http://{}", larder.address())).await?;
    let chain = |call: &str| serde_json::to_string(call).unwrap_or_default();
    for (name, expected) in [
        ("gemini", "ONE TWO".to_owned()),
        ("gemini stream", "ONE TWO".to_owned()),
        ("gemini embeddings", "[[3],[3]]".to_owned()),
        ("ollama", "THREE FOUR".to_owned()),
        ("ollama stream", "THREE FOUR".to_owned()),
        ("search", "cache".to_owned()),
        ("call", chain("eth_chainId[]")),
        ("call with parameters", chain("eth_getBalance[\"0x01\",\"latest\"]")),
        ("batch", "[\"eth_gasPrice[]\",\"net_version[]\"]".to_owned()),
    ] {
        came_twice(&said, name, &expected);
    }
    let of = |name: &str| (said[name].0.as_str(), said[name].1.as_str());
    assert_eq!(of("search packed"), ("HIT", "cache"), "a body in gzip has the key of what was packed");
    assert_eq!(of("search other"), ("MISS", "other"));
    assert_eq!(of("gemini embeddings rest"), ("MISS", "[[3],[5]]"), "the one that is stored, and the other");
    assert_eq!(of("batch rest"), ("MISS", "[\"eth_gasPrice[]\",\"web3_clientVersion[]\"]"));
    assert_eq!(of("call other parameters").0, "MISS");
    assert_eq!((of("refused").0, of("refused again").0), ("MISS", "MISS"), "errors are not stored");
    let asked = backend.asked().await?;
    let bodies = |target: &str| asked[target].as_array().cloned().unwrap_or_default();
    let rest = bodies("/v1/models/embed-test:batchEmbedContents").pop().unwrap_or_default().to_string();
    assert!(rest.contains("three") && !rest.contains("two"), "only what is not stored is asked for: {rest}");
    assert_eq!((bodies("/v1/models/gemini-test:generateContent").len(), bodies("/api/chat").len()), (1, 2));
    Ok(())
}
