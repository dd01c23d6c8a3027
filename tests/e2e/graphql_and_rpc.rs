//! GraphQL and JSON-RPC over sockets: what only reads is answered from the cache, whatever it looks like.

use larder_testkit::client::{Client, Response};
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::json;

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
rpc = { eth_chainId = "24h", "eth_get*" = "1m", eth_call = "1h" }
"#;

async fn ask(larder: &Larder, target: &str, body: &str) -> Result<Response> {
    let answer = larder.request("POST", target, &[("Content-Type", "application/json")], body).await?;
    larder.settled().await?;
    Ok(answer)
}

const RESULT: &str = r#"{"jsonrpc":"2.0","result":{"id":7},"id":1}"#;
const FAILURE: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000}}"#;
const NOTHING: &str = r#"{"jsonrpc":"2.0","id":1,"result":null}"#;

/// Lets a server answer the next `count` calls with `body`.
fn answers(origin: &Origin, count: usize, body: &str) {
    let answer = Answer::ok().header("Content-Type", "application/json").header("ETag", "\"1\"").body(body);
    origin.times(count, "POST", "/rpc", answer);
}

#[tokio::test]
async fn each_client_gets_its_own_id() -> Result<()> {
    let origin = Origin::start().await?;
    answers(&origin, 1, RESULT);
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
    [(6, RESULT), (2, FAILURE), (2, NOTHING)].iter().for_each(|(count, body)| answers(&origin, *count, body));
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
    assert!(read.header("cache-control").is_some_and(|control| control.contains("max-age=3600")), "{:?}", read.header("cache-control"));
    Ok(())
}

/// The answers of a batch, by their ids.
fn batch_of(answers: &[(&str, &str)]) -> String {
    let answers: Vec<String> = answers.iter().map(|(id, rest)| format!(r#"{{"id":{id},{rest}}}"#)).collect();
    format!("[{}]", answers.join(","))
}

#[tokio::test]
async fn a_batch_asks_only_for_the_calls_that_are_not_stored() -> Result<()> {
    let origin = Origin::start().await?;
    answers(&origin, 1, &batch_of(&[("2", r#""result":"0x2""#), ("1", r#""result":"0x1""#)]));
    answers(&origin, 1, &batch_of(&[("\"b\"", r#""error":{"code":1}"#)]));
    answers(&origin, 2, &batch_of(&[("1", r#""result":1"#)]));
    answers(&origin, 1, "[]");
    let larder = Larder::before(&origin, CONFIG).await?;
    let batch = batch_of;
    let (chain, call, logs, send) =
        (r#""method":"eth_chainId""#, r#""method":"eth_call""#, r#""method":"eth_getLogs""#, r#""method":"eth_sendRawTransaction""#);
    let first = ask(&larder, "/rpc", &batch(&[("1", chain), ("2", call)])).await?;
    assert_eq!((first.x_cache(), first.text()), ("MISS", batch_of(&[("2", r#""result":"0x2""#), ("1", r#""result":"0x1""#)])));
    let all = ask(&larder, "/rpc", &batch(&[("7", call), ("\"a\"", chain)])).await?;
    assert_eq!((all.x_cache(), all.text()), ("HIT", batch_of(&[("7", r#""result":"0x2""#), ("\"a\"", r#""result":"0x1""#)])));
    let alone = ask(&larder, "/rpc", &format!(r#"{{"id":5,{call}}}"#)).await?;
    assert_eq!((alone.x_cache(), alone.text().as_str()), ("HIT", r#"{"id":5,"result":"0x2"}"#));
    let some = ask(&larder, "/rpc", &batch(&[("1", chain), ("\"b\"", logs)])).await?;
    assert_eq!(some.text(), r#"[{"id":1,"result":"0x1"},{"error":{"code":1},"id":"b"}]"#);
    let asked = origin.received().last().map(|request| String::from_utf8_lossy(&request.body).into_owned());
    assert_eq!(asked, Some(batch(&[("\"b\"", logs)])));
    // What cannot be told apart is asked for as it came, and passed on as it comes.
    let odd = ask(&larder, "/rpc", &batch(&[("1", chain), ("2", logs)])).await?;
    assert_eq!((odd.x_cache(), odd.text()), ("MISS", batch_of(&[("1", r#""result":1"#)])));
    let passed = ask(&larder, "/rpc", &batch(&[("1", chain), ("2", send)])).await?;
    assert_eq!((passed.x_cache(), passed.text().as_str()), ("BYPASS", "[]"), "one of them has to reach the origin, so all do");
    origin.check()
}

#[tokio::test]
async fn the_calls_of_a_batch_are_stored_with_the_tags_that_the_origin_names_for_it() -> Result<()> {
    // Without a lifetime of the route's own the answer as a whole is passed on.
    for ttl in ["", "ttl = \"1h\"\n"] {
        let origin = Origin::start().await?;
        let body = batch_of(&[("1", r#""result":1"#), ("2", r#""result":2"#)]);
        let tagged = |tags: &str| Answer::ok().header("Content-Type", "application/json").header("Surrogate-Key", tags).body(body.clone());
        let config = CONFIG.replacen("path = \"/rpc\"\n", &format!("path = \"/rpc\"\n{ttl}"), 1) + "[tags]\nfrom = [\"surrogate-key\"]\n";
        let larder = Larder::before(&origin, &config).await?;
        let batch = batch_of(&[("1", r#""method":"eth_chainId""#), ("2", r#""method":"eth_call""#)]);
        origin.times(2, "POST", "/rpc", tagged("issue:7"));
        for expected in ["MISS", "HIT"] {
            let read = ask(&larder, "/rpc", &batch).await?;
            assert_eq!((read.x_cache(), read.header("surrogate-key")), (expected, None), "{ttl}");
        }
        let fields = [("Content-Type", "application/json")];
        let purged = Client::connect(larder.admin_address()).await?.exchange("POST", "/purge", &fields, r#"{"tags":["issue:7"]}"#).await?;
        assert_eq!((purged.status, ask(&larder, "/rpc", &batch).await?.x_cache()), (200, "MISS"), "{ttl}");
        // More than are kept: no purge would find it by all of them.
        Client::connect(larder.admin_address()).await?.exchange("POST", "/purge", &fields, r#"{"tags":["issue:7"]}"#).await?;
        let many: Vec<String> = (0..1000).map(|id| format!("i:{id}")).collect();
        origin.times(2, "POST", "/rpc", tagged(&many.join(" ")));
        for _ in 0..2 {
            assert_eq!(ask(&larder, "/rpc", &batch).await?.x_cache(), "MISS", "{ttl}");
        }
        origin.check()?;
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

#[tokio::test]
async fn a_mutation_invalidates_the_objects_that_it_names_and_no_other_query() -> Result<()> {
    let origin = Origin::start().await?;
    let issue = |id: u32| {
        let issue = json!({ "__typename": "Issue", "id": id, "author": { "__typename": "User", "id": 1 } });
        origin.once(
            "POST",
            "/graphql",
            Answer::ok().header("Content-Type", "application/json").body(json!({ "data": { "issue": issue } }).to_string()),
        );
    };
    // The queries, two mutations, the query whose answer the second has made old, another mutation, and both queries.
    [7, 8, 7, 7, 7, 7, 7, 8, 7, 8].into_iter().for_each(issue);
    let rules = r#"
[[on_write]]
path = "/graphql"
operation = "updateIssue"
purge = ["tag:Issue:7"]

[[on_write]]
path = "/graphql"
operation = "Rename*"
purge = ["tag:User:*"]

[[on_write]]
path = "/graphql"
operation = "moveIssue"
purge = ["tag:Issue:{variables.input.id}"]
"#;
    let config = CONFIG.replacen("read = true\n", "read = true\ntags = \"typename\"\n", 1) + rules;
    let larder = Larder::before(&origin, &config).await?;
    let query = |id: u32| json!({ "query": "query($id: ID) { issue(id: $id) { __typename id } }", "variables": { "id": id } }).to_string();
    let both = async |expected: [&str; 2]| -> Result<()> {
        for (id, expected) in [7, 8].into_iter().zip(expected) {
            assert_eq!(ask(&larder, "/graphql", &query(id)).await?.x_cache(), expected, "{id}");
        }
        Ok(())
    };
    both(["MISS", "MISS"]).await?;
    both(["HIT", "HIT"]).await?;
    for (document, expected) in [
        ("mutation($id: ID) { a: closeIssue(id: $id) { id } }", ["HIT", "HIT"]),
        ("mutation($id: ID) { a: updateIssue(id: $id) { id } }", ["MISS", "HIT"]),
        ("mutation RenameUser { rename { id } }", ["MISS", "MISS"]),
        ("mutation($input: Move) { moveIssue(input: $input) { id } }", ["HIT", "MISS"]),
    ] {
        let mutation = json!({ "query": document, "variables": { "id": 7, "input": { "id": 8 } } }).to_string();
        let read = ask(&larder, "/graphql", &mutation).await?;
        assert!(read.x_cache() == "BYPASS" && read.cache_status().contains("detail=operation"), "{}", read.cache_status());
        both(expected).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_method_of_json_rpc_invalidates_what_is_named_for_it() -> Result<()> {
    let origin = Origin::start().await?;
    answers(&origin, 4, RESULT);
    let rules = "[[on_write]]\npath = \"/rpc\"\noperation = \"eth_send*\"\npurge = [\"prefix:/rpc\"]\n";
    let larder = Larder::before(&origin, &format!("{CONFIG}{rules}")).await?;
    let call = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
    for (method, expected) in [
        ("eth_chainId", "MISS"),
        ("eth_chainId", "HIT"),
        ("net_version", "BYPASS"),
        ("eth_chainId", "HIT"),
        ("eth_sendRawTransaction", "BYPASS"),
        ("eth_chainId", "MISS"),
    ] {
        assert_eq!(ask(&larder, "/rpc", &call(method)).await?.x_cache(), expected, "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_says_how_long_it_may_be_kept_and_for_whom() -> Result<()> {
    let origin = Origin::start().await?;
    let hinted = |hint: &str| {
        let body = format!(r#"{{"data":{{"a":1}},"extensions":{{"cacheControl":{{"version":1,"hints":[{hint}]}}}}}}"#);
        Answer::ok().header("Content-Type", "application/json").body(body)
    };
    for hint in [
        r#"{"path":["a"],"maxAge":20},{"path":["b"],"maxAge":3600}"#,
        r#"{"path":["a"],"maxAge":0}"#,
        r#"{"path":["a"],"maxAge":0}"#,
        r#"{"path":["a"],"maxAge":20,"scope":"PRIVATE"}"#,
        r#"{"path":["a"],"maxAge":20,"scope":"PRIVATE"}"#,
    ] {
        origin.once("POST", "/graphql", hinted(hint));
    }
    origin.once("POST", "/graphql", Answer::ok().header("Content-Type", "application/json").body(r#"{"data":{"a":1}}"#));
    let larder = Larder::before(&origin, CONFIG).await?;
    for (field, second) in [("short", "HIT"), ("never", "MISS"), ("private", "MISS"), ("plain", "HIT")] {
        let query = json!({"query": format!("query {{ {field} }}")}).to_string();
        ask(&larder, "/graphql", &query).await?;
        let read = ask(&larder, "/graphql", &query).await?;
        assert_eq!(read.x_cache(), second, "{field}");
        let ttl = if field == "short" { "ttl=20" } else { "ttl=60" };
        assert!(second == "MISS" || read.cache_status().contains(ttl), "{field}: {}", read.cache_status());
    }
    origin.check()
}

const DOCUMENT: &str = "query A { a }";
/// Its SHA-256.
const HASH: &str = "7d0eedabb966107835cf307a0ebaf93b5d2cb8c30228611ffe3d27a53c211a0c";

fn graphql(body: &str) -> Answer {
    Answer::ok().header("Content-Type", "application/json").body(body)
}

#[tokio::test]
async fn a_get_and_a_post_of_one_query_share_an_answer() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/graphql", graphql(r#"{"data":{"a":"post"}}"#));
    let by_get = "/graphql?query=query+A+%7B+a+%7D&variables=%7B%22b%22%3A1%7D";
    let mutation = "/graphql?query=mutation+%7B+a+%7D";
    origin.always("GET", by_get, graphql(r#"{"data":{"a":"get"}}"#));
    origin.always("GET", mutation, Answer::new(405).body("POST it"));
    origin.always("GET", "/graphql?page=1", graphql("{}"));
    let larder = Larder::before(&origin, CONFIG).await?;
    let get = async |target: &str| {
        larder.settled().await?;
        larder.get(target).await
    };
    let read = get(by_get).await?;
    assert_eq!((read.x_cache(), read.text().as_str()), ("MISS", r#"{"data":{"a":"get"}}"#));
    let read = ask(&larder, "/graphql", &json!({"query": "query A {\n a\n}", "variables": {"b": 1}}).to_string()).await?;
    assert_eq!((read.x_cache(), read.text().as_str()), ("HIT", r#"{"data":{"a":"get"}}"#));
    let read = ask(&larder, "/graphql", &json!({"query": DOCUMENT, "variables": {"b": 2}}).to_string()).await?;
    assert_eq!((read.x_cache(), read.text().as_str()), ("MISS", r#"{"data":{"a":"post"}}"#));
    for _ in 0..2 {
        let read = get(mutation).await?;
        assert!(read.status == 405 && read.x_cache() != "HIT", "{read:?}");
    }
    // What asks nothing in its query is a page like any other.
    assert_eq!((get("/graphql?page=1").await?.x_cache(), get("/graphql?page=1").await?.x_cache()), ("MISS", "HIT"));
    Ok(())
}

#[tokio::test]
async fn a_persisted_query_is_answered_once_its_document_was_seen() -> Result<()> {
    let origin = Origin::start().await?;
    let missing = graphql(r#"{"errors":[{"message":"PersistedQueryNotFound"}]}"#);
    origin.times(2, "POST", "/graphql", missing.clone());
    let larder = Larder::before(&origin, CONFIG).await?;
    let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": HASH}});
    let by_hash = json!({"extensions": extensions}).to_string();
    for _ in 0..2 {
        let read = ask(&larder, "/graphql", &by_hash).await?;
        assert!(read.x_cache() == "BYPASS" && read.text().contains("PersistedQueryNotFound"), "{read:?}");
    }
    // Another's document under this hash leads nobody astray.
    origin.once("POST", "/graphql", graphql(r#"{"data":{"b":2}}"#));
    ask(&larder, "/graphql", &json!({"query": "{ b }", "extensions": extensions}).to_string()).await?;
    origin.once("POST", "/graphql", missing);
    assert!(ask(&larder, "/graphql", &by_hash).await?.text().contains("PersistedQueryNotFound"));
    origin.once("POST", "/graphql", graphql(r#"{"data":{"a":1}}"#));
    let full = json!({"query": DOCUMENT, "extensions": extensions}).to_string();
    assert_eq!(ask(&larder, "/graphql", &full).await?.x_cache(), "MISS");
    let read = ask(&larder, "/graphql", &by_hash).await?;
    assert_eq!((read.x_cache(), read.text().as_str()), ("HIT", r#"{"data":{"a":1}}"#));
    let target = format!("/graphql?extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22{HASH}%22%7D%7D");
    let read = larder.get(&target).await?;
    assert_eq!((read.x_cache(), read.text().as_str()), ("HIT", r#"{"data":{"a":1}}"#));
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], 1.0).await?;
    assert_eq!(ask(&larder, "/graphql", &by_hash).await?.x_cache(), "HIT", "a reload keeps the document");
    origin.check()
}
