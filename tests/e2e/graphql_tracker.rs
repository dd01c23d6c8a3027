//! A real server of GraphQL and a real client, with Larder between them.

use larder_testkit::larder::config;
use larder_testkit::{Larder, Result};
use larder_tests::NodeBackend;
use larder_tests::models::tracker_client;
use serde_json::json;

const ROUTES: &str = r#"
[[routes]]
path = "/graphql"
ttl = "1h"
read = true
key = { body = "graphql" }
tags = "typename"

[[on_write]]
path = "/graphql"
operation = "updateIssue"
purge = ["tag:Issue:{variables.id}"]
"#;

#[tokio::test]
async fn queries_are_answered_from_the_cache_until_a_mutation_changes_what_they_show() -> Result<()> {
    let tracker = NodeBackend::graphql_tracker().await?;
    let larder = Larder::start(&config(&tracker.url(), ROUTES)).await?;
    let said = tracker_client(format!("http://{}", larder.address())).await?;
    let of = |name: &str| (said[name].0.as_str(), said[name].1.as_str());
    let issue = |id: &str, title: &str| format!(r#"{{"__typename":"Issue","id":"{id}","title":"{title}"}}"#);
    let (slow, fast, lost) = (issue("7", "Slow board"), issue("7", "Fast board"), issue("8", "Lost draft"));
    for (name, cache, text) in [
        ("issue", "MISS", slow.clone()),
        ("issue again", "HIT", slow.clone()),
        ("issue in other words", "HIT", slow.clone()),
        ("issue by GET", "HIT", slow.clone()),
        ("another issue", "MISS", lost.clone()),
        ("issues", "MISS", format!("[{slow},{lost}]")),
        ("issues again", "HIT", format!("[{slow},{lost}]")),
        ("broken", "MISS", "error: broken".to_owned()),
        ("broken again", "MISS", "error: broken".to_owned()),
        ("update", "BYPASS", fast.clone()),
        ("issue after it", "MISS", fast.clone()),
        ("issues after it", "MISS", format!("[{fast},{lost}]")),
        ("another issue after it", "HIT", lost.clone()),
    ] {
        assert_eq!(of(name), (cache, text.as_str()), "{name}");
    }
    assert_eq!(tracker.asked().await?, json!({ "issue": 3, "issues": 2, "updateIssue": 1 }));
    Ok(())
}
