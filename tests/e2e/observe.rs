//! Metrics and the access log, as operators see them.

use larder_testkit::{Answer, Client, Larder, Origin, Result};
use serde_json::Value;

#[tokio::test]
async fn requests_are_counted_by_route_method_status_result_and_reason() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/issues/1", Answer::ok().body("12345"));
    origin.once("POST", "/issues/1", Answer::new(500));
    let rest = "[cache]\nttl = \"60s\"\n[[routes]]\nname = \"issue.detail\"\npath = \"/issues/{id}\"\nupstream = \"api\"\n";
    let larder = Larder::before(&origin, rest).await?;
    larder.get("/issues/1").await?;
    larder.get("/issues/1").await?;
    larder.get("/issues/1?no_cache=1").await?;
    larder.request("POST", "/issues/1", &[], "x").await?;
    let route = r#"route="issue.detail""#;
    larder.metric_reaches("larder_requests_total", &[route], 4.0).await?;
    let counted = [
        (&[route, r#"method="GET""#, r#"status="2xx""#, r#"result="miss""#][..], 1.0),
        (&[route, r#"method="GET""#, r#"status="2xx""#, r#"result="hit""#, r#"reason="fresh""#], 1.0),
        (&[route, r#"method="GET""#, r#"result="bypass""#], 1.0),
        (&[route, r#"method="POST""#, r#"status="5xx""#, r#"result="bypass""#], 1.0),
    ];
    for (labels, count) in counted {
        assert_eq!(larder.metric("larder_requests_total", labels).await?, count, "{labels:?}");
    }
    let text = larder.admin("/metrics").await?.text();
    for name in [
        "larder_request_duration_seconds_bucket",
        "larder_origin_duration_seconds_bucket",
        "larder_cache_stored_bytes",
        "larder_cache_entries",
        "larder_cache_evictions_total",
        "larder_collapsed_followers_total",
        "larder_fills_in_flight",
        "larder_origin_connections",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "no {name} in:\n{text}");
    }
    assert!(larder.metric("larder_cache_entries", &[]).await? >= 1.0);
    assert!(larder.metric("larder_cache_stored_bytes", &[]).await? >= 5.0);
    Ok(())
}

/// Whatever clients send, the number of series does not grow with it.
#[tokio::test]
async fn labels_are_bounded() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let series = || async { Ok::<_, larder_testkit::Error>(larder.admin("/metrics").await?.text().lines().count()) };
    for number in 0..3 {
        origin.once(&format!("METHOD-{number}"), &format!("/{number}"), Answer::ok());
        larder.request(&format!("METHOD-{number}"), &format!("/{number}"), &[("Host", &format!("h{number}.example"))], "").await?;
    }
    let before = series().await?;
    for number in 3..20 {
        origin.once(&format!("METHOD-{number}"), &format!("/{number}"), Answer::ok());
        larder.request(&format!("METHOD-{number}"), &format!("/{number}"), &[("Host", &format!("h{number}.example"))], "").await?;
    }
    larder.metric_reaches("larder_requests_total", &[], 20.0).await?;
    assert_eq!(series().await?, before);
    Ok(())
}

async fn json_line(larder: &Larder, target: &str) -> Result<Value> {
    let wanted = format!("\"target\":\"{target}\"");
    let line = larder.process().line(&wanted, |line| line.contains(&wanted).then(|| line.to_owned())).await?;
    let start = line.find('{').unwrap_or_default();
    Ok(serde_json::from_str(&line[start..])?)
}

#[tokio::test]
async fn the_access_log_has_one_structured_line_a_request() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().body("12345"));
    // On a connection that was used before, a safe request is tried once more.
    origin.always("GET", "/b", Answer::hang_up());
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"\n[log]\naccess = \"json\"").await?;
    larder.request("GET", "/a", &[("Authorization", "Bearer secret-token"), ("Cookie", "session=secret-cookie")], "").await?;
    larder.get("/b").await?;
    let line = json_line(&larder, "/a").await?;
    assert_eq!((line["method"].as_str(), line["status"].as_u64(), line["bytes"].as_u64()), (Some("GET"), Some(200), Some(5)));
    assert_eq!(line["result"].as_str(), Some("MISS"));
    assert!(line["reason"].is_string() && line["key"].as_str().is_some_and(|key| key.contains("/a")), "{line}");
    assert_eq!(json_line(&larder, "/b").await?["status"].as_u64(), Some(502));
    let output = larder.process().output();
    assert_eq!(output.iter().filter(|line| line.contains("\"target\":\"/a\"")).count(), 1);
    assert!(!output.iter().any(|line| line.contains("secret-")), "secrets are not logged: {output:?}");
    Ok(())
}

/// The hit rate is what the origin did not see, so an answer that it had to confirm is no hit there. `X-Cache` has three words only.
#[tokio::test]
async fn the_log_says_what_was_stored_and_what_the_origin_had_to_confirm() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().header("Cache-Control", "max-age=0").header("ETag", "\"1\"").body("a"));
    origin.once("GET", "/a", Answer::new(304).header("ETag", "\"1\"").header("Cache-Control", "max-age=60"));
    origin.once("GET", "/b", Answer::ok().header("Cache-Control", "no-store").body("b"));
    origin.once("GET", "/c", Answer::ok().header("Cache-Control", "max-age=0").body("c"));
    let larder = Larder::before(&origin, "[log]\naccess = \"json\"").await?;
    let x_cache = [larder.get("/a").await?, larder.get("/a").await?, larder.get("/a").await?].map(|answer| answer.x_cache().to_owned());
    assert_eq!(x_cache, ["MISS", "HIT", "HIT"]);
    larder.get("/b").await?;
    larder.get("/c").await?;
    larder.metric_reaches("larder_requests_total", &[], 5.0).await?;
    for (result, count) in [("miss", 3.0), ("revalidated", 1.0), ("hit", 1.0)] {
        assert_eq!(larder.metric("larder_requests_total", &[&format!("result=\"{result}\"")]).await?, count, "{result}");
    }
    larder.terminate()?;
    larder.exited().await?;
    let lines = larder.process().output().into_iter().filter(|line| line.contains("\"target\":\"/"));
    let said = lines.map(|line| {
        let line: Value = serde_json::from_str(&line)?;
        Ok(format!("{} {} {} {}", line["target"], line["result"], line["reason"], line["stored"]).replace('"', ""))
    });
    let expected = [
        "/a MISS absent true",
        "/a REVALIDATED validated true",
        "/a HIT fresh null",
        "/b MISS no-store false",
        "/c MISS lifetime-zero false",
    ];
    assert_eq!(said.collect::<Result<Vec<_>>>()?, expected);
    Ok(())
}

#[tokio::test]
async fn the_access_log_can_be_read_and_can_be_off() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/seen", Answer::ok().body("x"));
    let readable = Larder::before(&origin, "[log]\naccess = \"text\"").await?;
    readable.get("/seen").await?;
    readable.process().line("the access log line", |line| (line.contains("/seen") && line.contains(" 200 ")).then_some(())).await?;
    let silent = Larder::before(&origin, "[log]\naccess = \"off\"").await?;
    silent.get("/seen").await?;
    silent.terminate()?;
    silent.exited().await?;
    assert!(!silent.process().output().iter().any(|line| line.contains("/seen")));
    Ok(())
}

/// The next line about an answer with this status.
async fn json_status(larder: &Larder, status: u16) -> Result<Value> {
    let wanted = format!("\"status\":{status},");
    let line = larder.process().line(&wanted, |line| line.contains(&wanted).then(|| line.to_owned())).await?;
    Ok(serde_json::from_str(&line[line.find('{').unwrap_or_default()..])?)
}

#[tokio::test]
async fn requests_that_the_listener_refuses_are_logged_and_counted() -> Result<()> {
    let origin = Origin::start().await?;
    let config = "[server]\nlisten = \"127.0.0.1:0\"\nheader_read_timeout = \"300ms\"\n[log]\naccess = \"json\"";
    let larder = Larder::before(&origin, config).await?;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000));
    let large = format!("GET /large HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "a".repeat(200_000));
    // A request that could be read is logged with method, host and target.
    let read = [
        ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 501, "CONNECT"),
        ("GET /expects HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\n\r\n", 417, "GET"),
        (long.as_str(), 414, "GET"),
    ];
    for (bytes, status, method) in read {
        let mut client = larder.connect().await?;
        client.send_raw(method, bytes.as_bytes()).await?;
        let line = json_status(&larder, status).await?;
        assert_eq!(line["method"].as_str(), Some(method), "{line}");
        assert!(line["problem"].is_string() && line["bytes"].as_u64() > Some(0) && line["transfer"] == "complete", "{line}");
    }
    for (bytes, status) in [("nothing of the kind\r\n\r\n", 400), (large.as_str(), 431), ("GET /late HTT", 408)] {
        let mut client = larder.connect().await?;
        client.send_raw("GET", bytes.as_bytes()).await?;
        let line = json_status(&larder, status).await?;
        assert!(line["method"].is_null() && line["problem"].is_string() && line["client"] == "127.0.0.1", "{line}");
    }
    larder.metric_reaches("larder_requests_total", &[r#"route="-""#, r#"status="4xx""#], 5.0).await?;
    larder.metric_reaches("larder_requests_total", &[r#"route="-""#, r#"status="5xx""#, r#"method="CONNECT""#], 1.0).await?;
    larder.metric_reaches("larder_requests_total", &[r#"route="-""#, r#"method="other""#], 3.0).await?;
    assert_eq!(origin.request_count(), 0);
    Ok(())
}

#[tokio::test]
async fn the_last_hops_answer_is_logged() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "[log]\naccess = \"json\"").await?;
    larder.request("OPTIONS", "/here", &[("Max-Forwards", "0")], "").await?;
    let line = json_line(&larder, "/here").await?;
    assert_eq!((line["status"].as_u64(), line["problem"].is_null()), (Some(200), true), "{line}");
    larder.metric_reaches("larder_requests_total", &[r#"method="OPTIONS""#], 1.0).await
}

#[tokio::test]
async fn a_hit_that_its_client_did_not_take_is_not_complete() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/large", Answer::ok().body("x".repeat(32 << 20)));
    let config = "[cache]\nttl = \"60s\"\nmax_object = \"64MiB\"\n[store.memory]\ncapacity = \"512MiB\"\n[log]\naccess = \"json\"";
    let larder = Larder::before(&origin, config).await?;
    larder.get("/large").await?;
    let mut client = Client::connect_narrow(larder.address()).await?;
    client.send("GET", "/large", &[], "").await?;
    client.read_at_least(1).await?;
    drop(client);
    let line = larder.process().line("the hit", |line| line.contains("\"HIT\"").then(|| line.to_owned())).await?;
    let line: Value = serde_json::from_str(&line[line.find('{').unwrap_or_default()..])?;
    assert_eq!(line["transfer"], "aborted", "{line}");
    assert!(line["bytes"].as_u64() < Some(32 << 20), "{line}");
    Ok(())
}
