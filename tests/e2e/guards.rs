//! Guards at the moment of storing: what operators see of them, and bodies that have to be decoded first. What they keep from being stored stands in
//! `scenarios/guards`.

use larder_semantics::Coding;
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::{Value, json};

use super::encodings::coded;

const REFUSE: &str = "[cache]\nttl = \"60s\"\nguard = \"refuse\"\n";

#[tokio::test]
async fn a_body_is_searched_without_its_coding() -> Result<()> {
    let origin = Origin::start().await?;
    let page = async |text: &str| {
        let body = coded(text.as_bytes().to_vec(), Coding::Gzip, true).await;
        Answer::ok().header("Content-Type", "text/html").header("Content-Encoding", "gzip").body(body)
    };
    let long = "<p>a paragraph</p>".repeat(2000);
    origin.once("GET", "/a", page(&format!("{long}//evil.example/a.js")).await);
    origin.once("GET", "/a", page(&long).await);
    let larder = Larder::before(&origin, REFUSE).await?;
    let gzip = ("Accept-Encoding", "gzip");
    let attack = [gzip, ("X-Cdn-Host", "evil.example")];
    for (fields, expected) in [(&attack[..], "MISS"), (&[gzip], "MISS"), (&attack, "HIT")] {
        assert_eq!(larder.request("GET", "/a", fields, "").await?.x_cache(), expected);
    }
    larder.metric_reaches("larder_guard_findings_total", &["reason=\"reflected\"", "outcome=\"refused\""], 1.0).await
}

/// What an attacker can cause at will must not fill the log: one line a route says what to key on, and the rest is counted. Somebody is told.
#[tokio::test]
async fn findings_are_logged_once_counted_and_told() -> Result<()> {
    let (origin, receiver) = (Origin::start().await?, Origin::start().await?);
    receiver.always("POST", "/hook", Answer::new(204));
    for path in ["/a", "/b", "/c"] {
        origin.once("GET", path, Answer::ok().header("Content-Type", "text/html").body("hello evil.example"));
    }
    let larder = Larder::before(&origin, &format!("{REFUSE}[alerts]\nwebhook = \"{}/hook\"\n", receiver.url())).await?;
    for path in ["/a", "/b", "/c"] {
        larder.request("GET", path, &[("X-Cdn-Host", "evil.example")], "").await?;
    }
    larder.metric_reaches("larder_guard_findings_total", &["reason=\"reflected\"", "outcome=\"refused\""], 3.0).await?;
    let names_the_field = |line: &str| line.contains("`x-cdn-host`").then_some(());
    larder.process().line("what to key on", names_the_field).await?;
    let told = larder.process().output().into_iter().filter(|line| line.contains("`x-cdn-host`")).collect::<Vec<_>>();
    assert!(told.len() == 1 && told[0].contains("it was not stored") && told[0].contains("key.headers"), "{told:#?}");
    receiver.wait_for_requests(1).await?;
    let alert: Value = serde_json::from_slice(&receiver.received()[0].body)?;
    assert_eq!((&alert["kind"], &alert["state"]), (&json!("limit"), &json!("firing")), "{alert:#}");
    assert!(alert["subject"].as_str().is_some_and(|subject| subject.starts_with("the guard of route")), "{alert:#}");
    Ok(())
}

/// The dry run that asks the origin says what a guard would do, and counts nothing.
#[tokio::test]
async fn explain_says_what_a_guard_would_do() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/account.css", Answer::ok().header("Content-Type", "text/html").body("an account"));
    let larder = Larder::before(&origin, REFUSE).await?;
    let mut admin = larder_testkit::Client::connect(larder.admin_address()).await?;
    let asked = json!({ "url": format!("http://{}/account.css", larder.address()), "fetch": true }).to_string();
    let answer = admin.exchange("POST", "/explain", &[("Content-Type", "application/json")], &asked).await?;
    let said: Value = serde_json::from_slice(&answer.body)?;
    assert_eq!((&said["fetched"]["stored"], &said["fetched"]["reason"]), (&json!(false), &json!("misleading-path")), "{said:#}");
    assert_eq!(larder.metric("larder_guard_findings_total", &[]).await?, 0.0);
    Ok(())
}
