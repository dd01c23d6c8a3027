//! What requests of GraphQL and JSON-RPC carry out, and the invalidations that are named for it.

use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::json;

const CONFIG: &str = r#"
[[routes]]
path = "/graphql"
ttl = "1m"
read = true
key = { body = "graphql" }
max_key_body = "1KiB"

[[routes]]
path = "/rpc"
read = true
key = { body = "json-rpc" }
rpc = { "issue.get" = "1h" }

[[routes]]
path = "/issues/{id}"
ttl = "1h"
tags = ["issue:{id}"]

[[on_write]]
path = "/graphql"
operation = "deleteIssue"
purge = ["tag:issue:{variables.id}", "tag:issue:9"]

[[on_write]]
path = "/rpc"
operation = "issue.delete"
purge = ["tag:issue:{variables.id}"]
"#;

const JSON: &str = "application/json";

/// A gateway before a server that has issues, and carries out everything.
async fn tracker(config: &str) -> Result<(Origin, Larder)> {
    let origin = Origin::start().await?;
    for id in [7, 8, 9] {
        origin.always("GET", &format!("/issues/{id}"), Answer::ok().body("an issue"));
    }
    for path in ["/graphql", "//graphql", "/rpc", "//rpc"] {
        origin.always("POST", path, Answer::ok().header("Content-Type", JSON).body("[]"));
    }
    let larder = Larder::before(&origin, config).await?;
    Ok((origin, larder))
}

/// The issues that a request invalidates.
async fn invalidated(larder: &Larder, path: &str, media_type: &str, content: &str) -> Result<Vec<u32>> {
    for id in [7, 8, 9] {
        larder.get(&format!("/issues/{id}")).await?;
        larder.settled().await?;
        assert_eq!(larder.get(&format!("/issues/{id}")).await?.x_cache(), "HIT");
    }
    larder.request("POST", path, &[("Content-Type", media_type)], content).await?;
    let mut old = Vec::new();
    for id in [7, 8, 9] {
        if larder.get(&format!("/issues/{id}")).await?.x_cache() != "HIT" {
            old.push(id);
        }
    }
    Ok(old)
}

fn delete(id: u32) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": "issue.delete", "params": { "id": id } }).to_string()
}

fn mutation(id: u32) -> String {
    json!({ "query": "mutation($id: ID) { deleteIssue(id: $id) { id } }", "variables": { "id": id } }).to_string()
}

#[tokio::test]
async fn all_that_a_batch_carries_out_invalidates_what_is_named_for_it() -> Result<()> {
    let (_origin, larder) = tracker(CONFIG).await?;
    let update = r#"{"id":1,"method":"issue.update","params":{"id":9}}"#;
    let read = r#"{"id":1,"method":"issue.get"}"#;
    let (one, other) = (delete(7), delete(8));
    for (content, old) in [
        (format!("[{update},{one},{read},{other}]"), vec![7, 8]),
        (format!("[{read},{update}]"), vec![]),
        (format!(r#"[{{"method":"issue.get"}},{one}]"#), vec![7]),
        // "A Notification is a Request object without an "id" member" (JSON-RPC 2.0 §4.1).
        (r#"{"method":"issue.delete","params":{"id":7}}"#.to_owned(), vec![7]),
    ] {
        assert_eq!(invalidated(&larder, "/rpc", JSON, &content).await?, old, "{content}");
    }
    let query = r#"{"query":"{ a }"}"#;
    let content = format!("[{query},{},{}]", mutation(7), mutation(8));
    assert_eq!(invalidated(&larder, "/graphql", JSON, &content).await?, [7, 8, 9]);
    assert_eq!(invalidated(&larder, "/graphql", JSON, &format!("[{query}]")).await?, [0; 0]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_may_be_any_operation() -> Result<()> {
    let (_origin, larder) = tracker(CONFIG).await?;
    let long = json!({ "query": format!("mutation {{ deleteIssue(id: 7) {{ id }} }} # {}", "x".repeat(1024)) }).to_string();
    let by_hash = json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "0".repeat(64) } } }).to_string();
    for (media_type, content) in [
        (JSON, long.as_str()),
        (JSON, &by_hash),
        (JSON, r#"{"documentId":"delete"}"#),
        ("multipart/form-data; boundary=b", "--b\r\n\r\n--b--"),
    ] {
        assert_eq!(invalidated(&larder, "/graphql", media_type, content).await?, [9], "{content}");
    }
    let query = json!({ "query": "{ a }", "variables": [] }).to_string();
    assert_eq!(invalidated(&larder, "/graphql", JSON, &query).await?, [0; 0], "it only reads");
    Ok(())
}

#[tokio::test]
async fn a_write_invalidates_as_usual_where_its_route_passes_by_the_cache() -> Result<()> {
    let shadow = "verify = { mode = \"shadow\" }";
    for (path, setting) in [("", shadow), ("", "cache = false"), ("/", "odd_paths = \"pass\"")] {
        let config = ["/graphql", "/rpc"].into_iter().fold(CONFIG.to_owned(), |config, path| {
            let route = format!("path = \"{path}\"\n");
            config.replacen(&route, &format!("{route}{setting}\n"), 1)
        });
        let (_origin, larder) = tracker(&config).await?;
        let (graphql, rpc) = (format!("{path}/graphql"), format!("{path}/rpc"));
        assert_eq!(invalidated(&larder, &graphql, JSON, &mutation(7)).await?, [7, 9], "{setting}");
        assert_eq!(invalidated(&larder, &rpc, JSON, &format!("[{},{}]", delete(7), delete(8))).await?, [7, 8], "{setting}");
        assert_eq!(invalidated(&larder, &graphql, JSON, r#"{"query":"{ a }"}"#).await?, [0; 0], "{setting}: it only reads");
        assert_eq!(invalidated(&larder, &rpc, JSON, r#"{"id":1,"method":"issue.get"}"#).await?, [0; 0], "{setting}: it only reads");
    }
    Ok(())
}
