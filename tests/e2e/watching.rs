//! Ids of requests, requests that have happened, requests as they happen, and what the cache is worth.

use larder_testkit::{Answer, Client, Larder, Origin, Result, larder::command};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[[routes]]
name = "all"
path = "/{*rest}"
ttl = "60s"
"#;

fn with_ids(more: &str) -> String {
    format!("[server]\nlisten = \"127.0.0.1:0\"\nrequest_id = true\n{more}\n[log]\naccess = \"json\"\n{CONFIG}")
}

async fn explain(larder: &Larder, question: Value) -> Result<(u16, Value)> {
    let mut client = Client::connect(larder.admin_address()).await?;
    let answer = client.exchange("POST", "/explain", &[("Content-Type", "application/json")], &question.to_string()).await?;
    Ok((answer.status, serde_json::from_slice(&answer.body)?))
}

#[tokio::test]
async fn every_response_carries_an_id_that_the_origin_and_the_log_see() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("X-Request-Id", "the origin's").body("x"));
    origin.always("POST", "/a", Answer::new(204));
    let larder = Larder::before(&origin, &with_ids("")).await?;
    let mut ids = Vec::new();
    for (method, target, own) in
        [("GET", "/a", ""), ("GET", "/a", ""), ("GET", "/a", "mine"), ("POST", "/a", ""), ("GET", "/%2e%2e/%2e", "")]
    {
        let fields = [("X-Request-Id", own)];
        let answer = larder.request(method, target, if own.is_empty() { &[] } else { &fields }, "").await?;
        let all: Vec<&str> =
            answer.head.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id")).map(|(_, id)| &**id).collect();
        assert!(all.len() == 1 && all[0].len() == 32, "{method} {target}: {answer:?}");
        ids.push(all[0].to_owned());
    }
    let mut unique = ids.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
    let seen: Vec<_> = origin.received().iter().map(|received| received.header("x-request-id").unwrap_or_default().to_owned()).collect();
    assert!(seen.contains(&ids[0]) && seen.contains(&ids[3]) && !seen.contains(&"mine".to_owned()), "{seen:?} {ids:?}");
    for id in &ids[..2] {
        larder.process().line("the id in the log", |line| line.contains(&format!("\"request_id\":\"{id}\"")).then_some(())).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxys_id_is_taken_over_and_a_reload_turns_ids_on() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    let larder = Larder::before(&origin, CONFIG).await?;
    assert_eq!(larder.get("/a").await?.header("x-request-id"), None);
    assert_eq!(explain(&larder, json!({ "last": true })).await?.0, 404);
    let text = larder_testkit::larder::config(&origin.url(), &with_ids("trusted_proxies = [\"127.0.0.0/8\"]"));
    let text = text.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"{}\"", larder.address()), 1);
    larder.write_config(&text)?;
    larder.hang_up()?;
    larder.process().line("the reload", |line| line.contains("the configuration was reloaded").then_some(())).await?;
    let answer = larder.request("GET", "/a", &[("X-Request-Id", "7f3a")], "").await?;
    assert_eq!((answer.x_cache(), answer.header("x-request-id")), ("HIT", Some("7f3a")));
    let (status, said) = explain(&larder, json!({ "id": "7f3a" })).await?;
    assert_eq!((status, &said["happened"]["facts"]["result"]), (200, &json!("HIT")), "{said:#}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_has_happened_is_explained_by_its_id_or_as_the_last_one() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a?token=hush", Answer::ok().header("Cache-Control", "no-store").body("x"));
    let larder = Larder::before(&origin, &with_ids("")).await?;
    let id = larder.get("/a?token=hush").await?.header("x-request-id").expect("an id").to_owned();
    larder.get("/b").await?;
    let (_, said) = explain(&larder, json!({ "id": id })).await?;
    let happened = &said["happened"];
    assert_eq!((&happened["facts"]["status"], &happened["facts"]["reason"]), (&json!(200), &json!("no-store")), "{said:#}");
    assert!(
        happened["facts"]["upstream_us"].is_u64() && happened["meaning"].as_str().is_some_and(|text| text.contains("no-store")),
        "{said:#}"
    );
    assert!(!said.to_string().contains("hush") && said["decision"]["verdict"].is_string(), "{said:#}");
    let (_, said) = explain(&larder, json!({ "last": true })).await?;
    assert_eq!(said["happened"]["facts"]["target"], "/b");
    let (status, problem) = explain(&larder, json!({ "id": "none" })).await?;
    assert!(status == 404 && problem["detail"].as_str().is_some_and(|detail| detail.contains("thousand")), "{problem}");
    let admin = larder.admin_address().to_string();
    let told = command()?.args(["explain", &id, "--admin", &admin]).output()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        text.starts_with("happened ")
            && text.contains("upstream api answered 200 in")
            && text.contains(&format!("by its server {}", origin.url()))
            && text.contains("now "),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn a_tail_shows_what_its_filter_lets_through_as_it_happens() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    origin.always("GET", "/none", Answer::new(404));
    let larder = Larder::before(&origin, CONFIG).await?;
    let mut tail = Client::connect(larder.admin_address()).await?;
    tail.send("GET", "/tail?status=404", &[], "").await?;
    assert_eq!(tail.head().await?.get("content-type"), Some("text/event-stream"));
    larder.get("/a").await?;
    larder.get("/none").await?;
    let event = tail.read_through("}\n\n").await?;
    let facts: Value = serde_json::from_str(event.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event"))?;
    assert_eq!((&facts["target"], &facts["status"], &facts["route"]), (&json!("/none"), &json!(404), &json!("all")), "{event}");
    for (query, said) in [("result=x", "result: "), ("colour=red", "is not a filter"), ("sample=2", "sample: "), ("slower=x", "slower: ")] {
        let refused = larder.admin(&format!("/tail?{query}")).await?;
        let problem: Value = serde_json::from_slice(&refused.body)?;
        assert!(refused.status == 400 && problem["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{query}: {problem}");
    }
    Ok(())
}

#[tokio::test]
async fn the_stats_say_what_hits_have_saved() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("0123456789"));
    origin.always("GET", "/stream", Answer::ok().header("Cache-Control", "no-store").chunk("01234").chunk("56789"));
    let larder = Larder::before(&origin, CONFIG).await?;
    for target in ["/a", "/a", "/a", "/stream"] {
        larder.get(target).await?;
    }
    larder.metric_reaches("larder_response_body_bytes_total", &[], 40.0).await?;
    let stats: Value = serde_json::from_slice(&larder.admin("/stats").await?.body)?;
    let total = &stats["windows"][0]["total"];
    assert_eq!((&total["requests"], &total["hits"], &total["fetches"]), (&json!(4), &json!(2), &json!(2)), "{stats:#}");
    assert_eq!(
        (&total["bytes"], &total["bytes_from_store"], &total["ratio_by_requests"]),
        (&json!(40), &json!(20), &json!(0.5)),
        "{stats:#}"
    );
    assert!(total["ratio_by_time"].is_number() && stats["windows"].as_array().is_some_and(|windows| windows.len() == 4), "{stats:#}");
    let one: Value = serde_json::from_slice(&larder.admin("/stats?route=all").await?.body)?;
    assert_eq!(one["windows"][0]["total"]["route"], "all");
    assert_eq!((larder.admin("/stats?route=none").await?.status, larder.admin("/stats?routes=a").await?.status), (404, 400));
    let told = command()?.args(["stats", "--admin", &larder.admin_address().to_string()]).output()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(text.contains("since the start") && text.contains("50.0 %") && text.contains("last "), "{text}");
    let routes: Value = serde_json::from_slice(&larder.admin("/routes").await?.body)?;
    assert_eq!((&routes["routes"][0]["name"], &routes["routes"][0]["ttl"]), (&json!("all"), &json!(60)), "{routes:#}");
    Ok(())
}

/// What the listener refuses by itself is looked for in the log too.
#[tokio::test]
async fn refusals_of_the_listener_carry_an_id_that_the_log_has() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, &with_ids("")).await?;
    for (bytes, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET /a HTTP/1.1\r\n\r\n", 400),
        ("GET /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: theirs\r\nExpect: miracles\r\n\r\n", 417),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n", 200),
    ] {
        let mut client = larder.connect().await?;
        client.send_raw("GET", bytes.as_bytes()).await?;
        let answer = client.finish().await?;
        let id = answer.header("x-request-id").unwrap_or_default().to_owned();
        assert!(answer.status == status && id.len() == 32, "{bytes}: {answer:?}");
        larder.process().line("its line", |line| line.contains(&format!("\"request_id\":\"{id}\"")).then_some(())).await?;
    }
    let without = Larder::before(&origin, "").await?;
    let mut client = without.connect().await?;
    client.send_raw("GET", b"nonsense\r\n\r\n").await?;
    assert_eq!(client.finish().await?.header("x-request-id"), None);
    Ok(())
}
