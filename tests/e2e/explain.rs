//! `larder explain` and `POST /explain`: the dry run says what a request gets, and changes nothing.

use larder_testkit::{Answer, Client, Larder, Origin, Response, Result, larder::command};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[cache]
scope = "public"
[[routes]]
name = "detail"
path = "/issues/{id}"
methods = ["GET", "HEAD"]
ttl = "60s"
tags = ["issue:{id}"]
[[routes]]
name = "me"
path = "/me"
scope = "identity"
[[routes]]
name = "rest"
path = "/{*rest}"
[[on_write]]
methods = ["PUT"]
path = "/issues/{id}"
purge = ["tag:issue:{id}"]
"#;

async fn ask(larder: &Larder, question: &Value) -> Result<Response> {
    let mut client = Client::connect(larder.admin_address()).await?;
    client.exchange("POST", "/explain", &[("Content-Type", "application/json"), ("Connection", "close")], &question.to_string()).await
}

async fn explained(larder: &Larder, question: Value) -> Result<Value> {
    let answer = ask(larder, &question).await?;
    assert_eq!(answer.status, 200, "{question}: {}", answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}

fn url(larder: &Larder, path: &str) -> String {
    format!("http://{}{path}", larder.address())
}

/// Nothing is served from the store there, whatever it has.
#[tokio::test]
async fn a_route_in_shadow_mode_is_told_as_it_is_answered() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("x"));
    let larder = Larder::before(&origin, "[cache]\nverify = { mode = \"shadow\" }\n").await?;
    larder.get("/a").await?;
    let decision = explained(&larder, json!({"url": url(&larder, "/a")})).await?["decision"].take();
    assert_eq!((&decision["verdict"], &decision["reason"]), (&json!("pass"), &json!("shadow")), "{decision}");
    let answer = larder.get("/a").await?;
    assert!(answer.x_cache() == "BYPASS" && answer.text().contains('x'));
    assert!(answer.header("cache-status").is_some_and(|status| status.contains("detail=shadow")), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_says_what_the_request_then_gets_and_changes_nothing() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/issues/7", Answer::ok().header("Vary", "Accept-Language").body("12345"));
    origin.always("GET", "/none", Answer::ok().header("Cache-Control", "no-store").body("x"));
    let larder = Larder::before(&origin, CONFIG).await?;
    let issue = || json!({ "url": url(&larder, "/issues/7?utm_source=x"), "headers": { "Accept-Language": "de" } });

    let said = explained(&larder, issue()).await?;
    assert_eq!((&said["decision"]["verdict"], &said["decision"]["reason"]), (&json!("miss"), &json!("absent")), "{said:#}");
    assert_eq!((&said["route"]["name"], &said["route"]["upstream"]), (&json!("detail"), &json!("api")));
    assert_eq!(said["not_taken"][0], json!({ "name": "rest", "why": "it matches too, and the other's path is more specific" }));
    assert_eq!(said["key"]["changes"][0], "left out of the query: utm_source=x");
    assert_eq!((origin.request_count(), said["stored"].as_array().map(Vec::len)), (0, Some(0)), "nothing was asked");

    larder.request("GET", "/issues/7", &[("Accept-Language", "de")], "").await?;
    larder.settled().await?;
    let said = explained(&larder, issue()).await?;
    assert_eq!((&said["decision"]["verdict"], &said["decision"]["reason"]), (&json!("hit"), &json!("fresh")), "{said:#}");
    let stored = &said["stored"][0];
    assert_eq!((&stored["selected"], &stored["bytes"], &stored["lifetime"]), (&json!(true), &json!(5), &json!(60)), "{said:#}");
    assert_eq!((&stored["lifetime_from"], &stored["tags"]), (&json!("the route's `ttl`"), &json!(["issue:7"])));
    assert_eq!(stored["hits"], 0, "a dry run is no use of it");

    let other = json!({ "url": url(&larder, "/issues/7"), "headers": { "Accept-Language": "fr" } });
    let said = explained(&larder, other).await?;
    assert_eq!((&said["decision"]["reason"], &said["stored"][0]["selected"]), (&json!("vary-miss"), &json!(false)), "{said:#}");

    let said = explained(&larder, json!({ "url": url(&larder, "/none") })).await?;
    assert_eq!(said["decision"]["reason"], "absent");
    larder.get("/none").await?;
    larder.settled().await?;
    let said = explained(&larder, json!({ "url": url(&larder, "/none") })).await?;
    assert_eq!((&said["decision"]["reason"], &said["stored"][0]["kind"]), (&json!("hit-for-miss"), &json!("mark")), "{said:#}");
    Ok(())
}

#[tokio::test]
async fn what_does_not_reach_the_store_says_why() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, CONFIG).await?;
    for (question, verdict, reason) in [
        (json!({ "url": url(&larder, "/issues/7"), "method": "POST", "data": "x" }), "pass", "method"),
        (json!({ "url": url(&larder, "/a//b") }), "pass", "odd-path"),
        (json!({ "url": url(&larder, "/ME") }), "pass", "near-private"),
        (json!({ "url": url(&larder, "/a"), "data": "x" }), "pass", "request-body"),
        (json!({ "url": url(&larder, "/a?no_cache") }), "miss", "bypass-parameter"),
        (json!({ "url": url(&larder, "/a"), "headers": { "Cache-Control": "only-if-cached" } }), "refused", "only-if-cached"),
    ] {
        let said = explained(&larder, question.clone()).await?;
        assert_eq!((&said["decision"]["verdict"], &said["decision"]["reason"]), (&json!(verdict), &json!(reason)), "{question} {said:#}");
        assert!(said["decision"]["meaning"].is_string() && said["decision"]["advice"].is_string(), "{said:#}");
    }
    // An origin may ignore an upgrade.
    for headers in [json!({}), json!({ "Connection": "upgrade", "Upgrade": "tcp" })] {
        let said = explained(&larder, json!({ "url": url(&larder, "/issues/7"), "method": "PUT", "headers": headers })).await?;
        let targets = said["invalidates"].as_array().expect("a list");
        assert!(
            targets.contains(&json!(format!("url {}", url(&larder, "/issues/7")))) && targets.contains(&json!("tag issue:7")),
            "{said:#}"
        );
    }
    let said = explained(&larder, json!({ "url": url(&larder, "/me"), "headers": { "Authorization": "Bearer hush" } })).await?;
    assert_eq!(said["key"]["others"][0]["name"], "identity", "{said:#}");
    assert!(!said.to_string().contains("hush"));
    assert_eq!(origin.request_count(), 0);
    Ok(())
}

#[tokio::test]
async fn the_origin_is_tried_out_once_and_nothing_is_stored() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=5").header("Vary", "X-A").body("12345"));
    origin.always("GET", "/b", Answer::ok().header("Set-Cookie", "id=hush").header("Cache-Control", "max-age=5").body("x"));
    let larder = Larder::before(&origin, CONFIG).await?;
    let said = explained(&larder, json!({ "url": url(&larder, "/a"), "fetch": true })).await?;
    let fetched = &said["fetched"];
    assert_eq!((&fetched["stored"], &fetched["lifetime"], &fetched["length"]), (&json!(true), &json!(5), &json!(5)), "{said:#}");
    assert_eq!((&fetched["vary"], &fetched["lifetime_from"]), (&json!(["x-a"]), &json!("`max-age` of Cache-Control")));
    let said = explained(&larder, json!({ "url": url(&larder, "/b"), "fetch": true })).await?;
    let fetched = &said["fetched"];
    assert_eq!((&fetched["stored"], &fetched["reason"]), (&json!(false), &json!("set-cookie")), "{said:#}");
    assert!(fetched["advice"].as_str().is_some_and(|advice| advice.contains("cookie")) && !said.to_string().contains("hush"), "{said:#}");
    assert_eq!((origin.count_of("/a"), origin.count_of("/b")), (1, 1));
    assert_eq!(larder.metric("larder_cache_entries", &[]).await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_with_a_problem() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, CONFIG).await?;
    for (question, status) in [
        (json!({}), 400),
        (json!([]), 400),
        (json!({ "url": "/a" }), 422),
        (json!({ "url": "http://a/", "method": "<script>" }), 422),
        (json!({ "url": "http://a/", "headers": { "x": "a\r\nb: c" } }), 422),
        (json!({ "url": "http://a/", "method": "DELETE", "fetch": true }), 422),
    ] {
        let answer = ask(&larder, &question).await?;
        let problem: Value = serde_json::from_slice(&answer.body)?;
        assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")), "{question}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
    }
    Ok(())
}

#[tokio::test]
async fn the_command_prints_it_from_the_top_to_the_bottom() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/issues/7", Answer::ok().body("12345"));
    let larder = Larder::before(&origin, CONFIG).await?;
    larder.get("/issues/7").await?;
    larder.settled().await?;
    let admin = larder.admin_address().to_string();
    let explain =
        |arguments: &[&str]| Ok::<_, larder_testkit::Error>(command()?.args(["explain", "--admin", &admin]).args(arguments).output()?);
    let said = explain(&[&url(&larder, "/issues/7")])?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{said:?}");
    let order =
        ["request ", "client ", "route ", "not rest", "key ", "stored ", "lifetime 1m from the route's `ttl`", "decision ", "because "];
    let places: Vec<_> = order.iter().map(|word| text.find(word).unwrap_or_else(|| panic!("no {word} in\n{text}"))).collect();
    assert!(places.is_sorted() && !text.contains('\u{1b}'), "{text}");
    let json: Value = serde_json::from_slice(&explain(&[&url(&larder, "/issues/7"), "--json"])?.stdout)?;
    assert_eq!(json["decision"]["verdict"], "hit");
    let away = command()?.args(["explain", "--admin", "127.0.0.1:1", "http://a/"]).output()?;
    let error = String::from_utf8_lossy(&away.stderr).into_owned();
    assert!(away.status.code() == Some(1) && error.starts_with("error: no answer") && error.contains("hint: "), "{error}");
    let wrong = explain(&["ftp://a/"])?;
    assert!(wrong.status.code() == Some(1) && String::from_utf8_lossy(&wrong.stderr).contains("is not an absolute URL"), "{wrong:?}");
    Ok(())
}

#[tokio::test]
async fn it_says_when_a_request_begins_the_next_fetch_ahead_of_time() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/issues/7", Answer::ok().body("12345"));
    let ahead = CONFIG.replace("ttl = \"60s\"\n", "ttl = \"1h\"\nrefresh_ahead = 0.5\nrefresh_ahead_hits = 3\n");
    let larder = Larder::before(&origin, &ahead).await?;
    larder.get("/issues/7").await?;
    larder.settled().await?;
    let note = |said: &Value| {
        let notes = said["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        notes.filter(|note| note.contains("`refresh_ahead`")).map(str::to_owned).next()
    };
    let said = explained(&larder, json!({ "url": url(&larder, "/issues/7") })).await?;
    let told = note(&said).unwrap_or_else(|| panic!("{said:#}"));
    assert!(told.starts_with("the first request from in 1") && told.contains(" s on begins its next fetch in the background"), "{told}");
    assert!(told.ends_with(", once it has answered 3 requests (`refresh_ahead_hits`)"), "{told}");
    // Each use is counted where the store is next asked.
    for _ in 0..3 {
        larder.get("/issues/7").await?;
    }
    let told = note(&explained(&larder, json!({ "url": url(&larder, "/issues/7") })).await?).unwrap_or_default();
    assert!(told.ends_with("in the background (`refresh_ahead`)"), "{told}");
    Ok(())
}

/// As `larder explain-reason | head -1`, which reads one line.
#[test]
fn a_reader_that_has_read_enough_is_no_error() -> Result<()> {
    for arguments in [&["explain-reason"][..], &["explain-reason", "--markdown"], &["explain-reason", "no-store"]] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let output = command()?.args(arguments).stdout(writer).output()?;
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    Ok(())
}
