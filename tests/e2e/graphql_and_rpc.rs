//! GraphQL and JSON-RPC over sockets: what only reads is answered from the cache, whatever it looks like.

use larder_testkit::client::Response;
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::Value;

const CONFIG: &str = r#"
[[routes]]
path = "/graphql"
ttl = "1m"
read = true
key = { body = "graphql" }

[[routes]]
path = "/rpc"
read = true
key = { body = "json-rpc" }
rpc = { eth_chainId = "24h", "eth_get*" = "1m", eth_call = "2s" }
"#;

async fn ask(larder: &Larder, target: &str, body: &str) -> Result<Response> {
    let answer = larder.request("POST", target, &[("Content-Type", "application/json")], body).await?;
    larder.settled().await?;
    Ok(answer)
}

/// A server that answers each call with its own `id`.
fn serving(origin: &Origin) {
    origin.respond_with("POST", "/rpc", |request| {
        let call: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let answer = |call: &Value| match call["method"].as_str() {
            Some("eth_getLogs") => format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32000}}}}"#, call["id"]),
            Some("eth_getReceipt") => format!(r#"{{"jsonrpc":"2.0","id":{},"result":null}}"#, call["id"]),
            _ => format!(r#"{{"jsonrpc":"2.0","result":{{"id":7}},"id":{}}}"#, call["id"]),
        };
        let body = match call.as_array() {
            Some(batch) => format!("[{}]", batch.iter().map(answer).collect::<Vec<_>>().join(",")),
            None => answer(&call),
        };
        Answer::ok().header("Content-Type", "application/json").header("ETag", "\"1\"").body(body)
    });
}

#[tokio::test]
async fn each_client_gets_its_own_id() -> Result<()> {
    let origin = Origin::start().await?;
    serving(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    for (id, expected) in [("1", "MISS"), ("2", "HIT"), ("\"a-long-one\"", "HIT"), ("1", "HIT")] {
        let read = ask(&larder, "/rpc", &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#)).await?;
        assert_eq!((read.x_cache(), read.text()), (expected, format!(r#"{{"jsonrpc":"2.0","result":{{"id":7}},"id":{id}}}"#)));
        assert!(read.complete && (expected == "MISS" || read.header("etag").is_none()));
    }
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_method_is_answered_for_as_long_as_it_may_be() -> Result<()> {
    let origin = Origin::start().await?;
    serving(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    let call = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":["0x1"]}}"#);
    for (method, second, reason) in [
        ("eth_getBalance", "HIT", ""),
        ("eth_call", "HIT", ""),
        ("eth_sendRawTransaction", "BYPASS", "detail=operation"),
        ("net_version", "BYPASS", "detail=operation"),
        ("eth_getLogs", "MISS", ""),
        ("eth_getReceipt", "MISS", ""),
    ] {
        ask(&larder, "/rpc", &call(method)).await?;
        let read = ask(&larder, "/rpc", &call(method)).await?;
        assert!(read.x_cache() == second && read.cache_status().contains(reason), "{method}: {}", read.cache_status());
    }
    let read = ask(&larder, "/rpc", &call("eth_call")).await?;
    assert!(read.header("cache-control").is_some_and(|control| control.contains("max-age=2")), "{:?}", read.header("cache-control"));
    Ok(())
}

#[tokio::test]
async fn a_batch_is_one_request_whose_ids_count() -> Result<()> {
    let origin = Origin::start().await?;
    serving(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    let batch = |first: u32, method: &str| format!(r#"[{{"id":{first},"method":"eth_chainId"}},{{"id":2,"method":"{method}"}}]"#);
    for (body, expected) in [
        (batch(1, "eth_call"), "MISS"),
        (batch(1, "eth_call"), "HIT"),
        (batch(3, "eth_call"), "MISS"),
        (batch(1, "eth_getLogs"), "MISS"),
        (batch(1, "eth_getLogs"), "MISS"),
        (batch(1, "eth_sendRawTransaction"), "BYPASS"),
    ] {
        assert_eq!(ask(&larder, "/rpc", &body).await?.x_cache(), expected, "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn queries_are_answered_and_mutations_are_not() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/graphql", Answer::ok().header("Content-Type", "application/graphql-response+json").body(r#"{"data":{"a":1}}"#));
    let larder = Larder::before(&origin, CONFIG).await?;
    for (body, expected) in [
        (r#"{"query":"query A($b: Int) { a(b: $b) { c } }","variables":{"b":1}}"#, "MISS"),
        (r##"{"variables":{"b":1},"query":"query A($b:Int){\n a(b:$b){c} # comment\n}"}"##, "HIT"),
        (r#"{"query":"query A($b: Int) { a(b: $b) { c } }","variables":{"b":2}}"#, "MISS"),
        (r##"{"query":"# query\nmutation A { a }"}"##, "BYPASS"),
        (r#"{"query":"query A { a } mutation B { b }","operationName":"B"}"#, "BYPASS"),
        (r#"{"query":"query A { a } mutation B { b }","operationName":"A"}"#, "MISS"),
        (r#"{"query":"query A { a } mutation B { b }"}"#, "BYPASS"),
        (r#"{"query":"subscription { a }"}"#, "BYPASS"),
        (r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"a"}}}"#, "BYPASS"),
        (r#"[{"query":"{ a }"}]"#, "BYPASS"),
        (r#"{"variables":{"b":1},"query":"query A($b:Int){a(b:$b){c}}"}"#, "HIT"),
    ] {
        assert_eq!(ask(&larder, "/graphql", body).await?.x_cache(), expected, "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_with_errors_is_not_stored_unless_it_is_wanted() -> Result<()> {
    let origin = Origin::start().await?;
    let body = r#"{"data":{"a":null},"errors":[{"message":"not now"}]}"#;
    origin.always(
        "POST",
        "/graphql",
        Answer::ok().header("Content-Type", "application/json").header("Cache-Control", "max-age=60").body(body),
    );
    for (line, expected) in [("", "MISS"), ("errors = \"store\"\n", "HIT")] {
        let larder = Larder::before(&origin, &CONFIG.replacen("read = true\n", &format!("read = true\n{line}"), 1)).await?;
        for expected in ["MISS", expected] {
            assert_eq!(ask(&larder, "/graphql", r#"{"query":"{ a }"}"#).await?.x_cache(), expected, "{line}");
        }
    }
    Ok(())
}
