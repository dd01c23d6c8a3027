//! What is in force and who is there: `GET /config`, `/replicas` and `/history` on the admin listener.

use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Result};
use serde_json::{Value, json};

async fn ask(larder: &Larder, path: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&larder.admin(path).await?.body)?)
}

fn value<'v>(config: &'v Value, section: &str, key: &str) -> &'v Value {
    let sections = config["sections"].as_array().expect("sections");
    let section = sections.iter().find(|own| own["name"] == section).expect(section);
    let mut values = section["values"].as_array().expect("values").iter();
    values.find(|own| own["key"] == key).expect(key)
}

#[tokio::test]
async fn the_configuration_in_force_says_where_each_value_is_from_and_changes_with_a_reload() -> Result<()> {
    let origin = Origin::start().await?;
    let rest = |ttl: &str| format!("[cache]\nttl = \"{ttl}\"\n[[routes]]\npath = \"/a\"\nrequest = {{ set = {{ x-key = \"hush\" }} }}");
    let larder = Larder::before(&origin, &rest("1m")).await?;
    let config = ask(&larder, "/config").await?;
    let ttl = value(&config, "[cache]", "ttl");
    assert_eq!((&ttl["value"], &ttl["from"]), (&json!("\"1m\""), &json!("file")), "{config:#}");
    assert!(ttl["line"].is_u64() && !config.to_string().contains("hush"), "{config:#}");
    assert_eq!(value(&config, "[server]", "idle_timeout")["from"], "default");
    larder.write_config(&larder_testkit::larder::config(&origin.url(), &rest("2m")))?;
    larder.hang_up()?;
    let reloaded = || async { Ok((value(&ask(&larder, "/config").await?, "[cache]", "ttl")["value"] == "\"2m\"").then_some(())) };
    eventually("waiting for the reload", reloaded).await
}

#[tokio::test]
async fn replicas_know_each_other_by_name_and_how_far_each_has_read_the_log() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    let shared = format!("[store.redis]\nurl = \"redis://{}\"", redis.address());
    let (one, other) = (Larder::before(&origin, &shared).await?, Larder::before(&origin, &shared).await?);
    for replica in [&one, &other] {
        let well = || async {
            let detail = replica.admin("/readyz").await?.text();
            Ok((detail.contains(r#""state":"ok""#) && detail.contains(r#""log_lag_seconds":0"#)).then_some(()))
        };
        eventually("waiting for the log to be read", well).await?;
    }
    let json = [("Content-Type", "application/json")];
    let purged = Client::connect(one.admin_address()).await?.exchange("POST", "/purge?wait=10s", &json, r#"{"all":true}"#).await?;
    assert_eq!(purged.status, 200, "{}", purged.text());
    let ports = [one.address().port(), other.address().port()];
    let both = || async {
        let report = ask(&other, "/replicas").await?;
        let replicas = report["replicas"].as_array().expect("replicas").clone();
        let far = replicas.iter().all(|replica| replica["behind"] == 0 && replica["state"] == "live");
        Ok((replicas.len() == 2 && far && report["position"].as_u64() > Some(0)).then_some((report, replicas)))
    };
    let (report, replicas) = eventually("waiting for both replicas", both).await?;
    assert_eq!((&report["shared"], &replicas[0]["own"], &replicas[1]["own"]), (&json!(true), &json!(true), &json!(false)), "{report:#}");
    let named = |replica: &Value, port: u16| replica["name"].as_str().is_some_and(|name| name.ends_with(&format!(":{port}")));
    assert!(named(&replicas[0], ports[1]) && named(&replicas[1], ports[0]), "{report:#}");
    one.terminate()?;
    one.exited().await?;
    let alone = || async { Ok((ask(&other, "/replicas").await?["replicas"].as_array().is_some_and(|all| all.len() == 1)).then_some(())) };
    eventually("waiting for the first to be gone", alone).await
}

#[tokio::test]
async fn a_replica_alone_is_in_the_list_and_the_history_counts_what_came() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("0123456789"));
    let larder = Larder::before(&origin, "").await?;
    let report = ask(&larder, "/replicas").await?;
    assert_eq!((&report["shared"], report["replicas"].as_array().map(Vec::len)), (&json!(false), Some(1)), "{report:#}");
    for _ in 0..3 {
        larder.get("/a").await?;
    }
    let kept = || async {
        let history = ask(&larder, "/history").await?;
        let points = history["points"].as_array().expect("points").clone();
        let sum = |key: &str| points.iter().filter_map(|point| point[key].as_u64()).sum::<u64>();
        Ok((sum("requests") == 3).then_some((sum("hits"), sum("fetches"), history["interval_seconds"] == 5)))
    };
    assert_eq!(eventually("waiting for a point", kept).await?, (2, 1, true));
    assert_eq!(ask(&larder, "/history?last=1").await?["points"].as_array().map(Vec::len), Some(1));
    assert_eq!((larder.admin("/history?last=x").await?.status, larder.admin("/history?first=1").await?.status), (400, 400));
    Ok(())
}
