//! `verify`: what operators see of comparisons, the shadow mode, and a route that is stopped.

use std::process::Stdio;

use larder_testkit::larder::command;
use larder_testkit::{Answer, Client, Larder, Origin, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

async fn report(larder: &Larder) -> Result<Value> {
    let mut admin = Client::connect(larder.admin_address()).await?;
    Ok(serde_json::from_slice(&admin.exchange("GET", "/verify", &[], "").await?.body)?)
}

fn fresh(body: &str) -> Answer {
    Answer::ok().header("Content-Type", "application/json").header("Cache-Control", "public, max-age=60").body(body)
}

#[tokio::test]
async fn hits_are_compared_in_the_background_by_both_doors() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", fresh("{\"a\":1}"));
    origin.always("GET", "/a", fresh("{ \"a\": 2 }"));
    let larder = Larder::before(&origin, "[[routes]]\nname = \"pages\"\npath = \"/{*rest}\"\nverify = { sample = 1 }\n").await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"differed\""], 1.0).await?;
    let said = report(&larder).await?;
    assert_eq!((&said[0]["route"], &said[0]["examples"][0]["places"]), (&json!("pages"), &json!(["$.a"])), "{said:#}");
    // A request with a condition takes the way past the plain door.
    larder.request("GET", "/a", &[("Connection", "x-a"), ("X-A", "1")], "").await?;
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"differed\""], 2.0).await
}

#[tokio::test]
async fn what_a_route_changes_in_answers_is_no_difference_of_a_hit() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", fresh("{\"a\":1}"));
    // The value depends on the request, so it is made for each.
    let changes = "key = { headers = [\"x-kind\"] }\nresponse = { set = { X-Shown = \"{header.X-Kind}\" } }";
    let text =
        format!("[[routes]]\nname = \"pages\"\npath = \"/{{*rest}}\"\nverify = {{ sample = 1, fields = [\"x-shown\"] }}\n{changes}\n");
    let larder = Larder::before(&origin, &text).await?;
    for expected in ["MISS", "HIT"] {
        assert_eq!(larder.request("GET", "/a", &[("X-Kind", "hal")], "").await?.x_cache(), expected);
    }
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"agreed\""], 1.0).await
}

#[tokio::test]
async fn in_shadow_mode_clients_get_the_origins_answers_and_these_are_compared() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", fresh("{\"a\":1}"));
    origin.once("GET", "/a", fresh("{\"a\":1}"));
    origin.always("GET", "/a", fresh("{\"a\":2}"));
    let larder = Larder::before(&origin, "[cache]\nverify = { mode = \"shadow\" }\n").await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    let second = larder.get("/a").await?;
    assert_eq!((second.x_cache(), &second.body[..]), ("BYPASS", &b"{\"a\":1}"[..]));
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"agreed\""], 1.0).await?;
    assert_eq!(larder.get("/a").await?.body, b"{\"a\":2}");
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"differed\""], 1.0).await
}

#[tokio::test]
async fn a_route_that_leaks_stops_until_somebody_resumes_it() -> Result<()> {
    let origin = Origin::start().await?;
    // Ann's page is stored; Bob's is his own, each time he asks, and nobody's is another.
    for who in ["ann", "bob", "bob", "nobody", "bob"] {
        origin.once("GET", "/me", fresh(&format!("{{\"who\":\"{who}\"}}")));
    }
    origin.always("GET", "/me", fresh("{}"));
    let larder = Larder::before(
        &origin,
        "[[routes]]\nname = \"pages\"\npath = \"/{*rest}\"\nguard = \"off\"\nverify = { sample = 1, on_leak = \"stop\" }\n",
    )
    .await?;
    larder.request("GET", "/me", &[("Authorization", "Bearer a")], "").await?;
    assert_eq!(larder.request("GET", "/me", &[("Authorization", "Bearer b")], "").await?.body, b"{\"who\":\"ann\"}");
    larder.metric_reaches("larder_verify_stopped", &["route=\"pages\""], 1.0).await?;
    let passed = larder.get("/me").await?;
    assert!(
        passed.x_cache() == "BYPASS" && passed.header("cache-status").is_some_and(|status| status.contains("leak-found")),
        "{passed:?}"
    );
    let mut admin = Client::connect(larder.admin_address()).await?;
    let unknown = admin.exchange("POST", "/verify/resume/pagse", &[], "").await?;
    assert_eq!(unknown.status, 404);
    assert_eq!(admin.exchange("POST", "/verify/resume/pages", &[], "").await?.status, 200);
    assert_eq!(larder.get("/me").await?.x_cache(), "MISS");
    assert_eq!(admin.exchange("POST", "/verify/resume/pages", &[], "").await?.status, 409);
    Ok(())
}

#[tokio::test]
async fn a_replica_that_cannot_be_asked_to_resume_is_told_and_makes_the_exit_code_1() -> Result<()> {
    let origin = Origin::start().await?;
    for who in ["ann", "bob", "bob", "nobody", "bob"] {
        origin.once("GET", "/me", fresh(&format!("{{\"who\":\"{who}\"}}")));
    }
    origin.always("GET", "/me", fresh("{}"));
    let text = "[[routes]]\nname = \"pages\"\npath = \"/{*rest}\"\nguard = \"off\"\nverify = { sample = 1, on_leak = \"stop\" }\n";
    let (larder, other) = (Larder::before(&origin, text).await?, Larder::before(&origin, text).await?);
    let gone = Larder::before(&origin, text).await?;
    let nobody = gone.admin_address().to_string();
    gone.terminate()?;
    gone.exited().await?;
    larder.request("GET", "/me", &[("Authorization", "Bearer a")], "").await?;
    larder.request("GET", "/me", &[("Authorization", "Bearer b")], "").await?;
    larder.metric_reaches("larder_verify_stopped", &["route=\"pages\""], 1.0).await?;
    let resume = |replica: String| -> Result<std::process::Output> {
        let mut command = command()?;
        let admin = larder.admin_address().to_string();
        Ok(command.args(["verify", "resume", "pages", "--json", "--admin", &admin, "--replica", &replica]).output()?)
    };
    let asked = resume(nobody.clone())?;
    let (told, error) = (String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr));
    assert_eq!(asked.status.code(), Some(1));
    assert!(told.contains("\"route\": \"pages\"") && error.contains(&nobody), "{told}\n{error}");
    // It was stopped on none of them any more, which is no reason to say that one of them refused.
    let again = resume(other.admin_address().to_string())?;
    assert_eq!((again.status.code(), String::from_utf8_lossy(&again.stderr).trim()), (Some(1), "error: route pages was not stopped"));
    Ok(())
}

const SHADOW: &str = "[cache]\nverify = { mode = \"shadow\" }\n";

async fn compared(larder: &Larder, outcome: &str, count: f64) -> Result<()> {
    larder.metric_reaches("larder_verify_hits_total", &[&format!("outcome=\"{outcome}\"")], count).await
}

/// What is stale and might be served for an error, or while it is refreshed, is what is compared, and the error is what the client gets.
#[tokio::test]
async fn in_shadow_mode_nothing_stale_stands_in_for_what_the_origin_says() -> Result<()> {
    let origin = Origin::start().await?;
    let stale =
        |body: &str| Answer::ok().header("Cache-Control", "public, max-age=60, stale-if-error=600, stale-while-revalidate=600").body(body);
    origin.once("GET", "/a", stale("old"));
    // For the client, and for the refresh that its use of what is stored would have begun.
    origin.times(2, "GET", "/a", Answer::new(503).body("sorry"));
    origin.always("GET", "/a", stale("new"));
    let larder = Larder::before(&origin, SHADOW).await?;
    assert_eq!(larder.get("/a").await?.body, b"old");
    let mut admin = Client::connect(larder.admin_address()).await?;
    let soft = json!({ "all": true, "soft": true }).to_string();
    assert_eq!(admin.exchange("POST", "/purge", &[("Content-Type", "application/json")], &soft).await?.status, 200);
    let failed = larder.get("/a").await?;
    assert_eq!((failed.status, failed.text().as_str(), failed.x_cache()), (503, "sorry", "BYPASS"));
    origin.wait_for_requests(3).await?;
    assert_eq!(larder.get("/a").await?.body, b"new");
    Ok(())
}

/// Each client gets its own answer; the one of the first is stored, and the other's is compared with it.
#[tokio::test]
async fn in_shadow_mode_no_client_gets_the_answer_to_anothers_request() -> Result<()> {
    let origin = Origin::start().await?;
    // Before the body: behind it, the connection would be one that the second request may be sent on.
    let gated = |gate: &str, body: &str| Answer::ok().header("Cache-Control", "public, max-age=60").wait(gate).body(body);
    origin.once("GET", "/a", gated("first", "{\"a\":1}"));
    origin.once("GET", "/a", gated("second", "{\"a\":2}"));
    origin.always("GET", "/a", fresh("{\"a\":2}"));
    let larder = Larder::before(&origin, SHADOW).await?;
    let first = larder.get("/a");
    let second = async {
        origin.wait_for_requests(1).await?;
        let answered = async {
            // Both are under way: neither waits for the other.
            origin.wait_for_requests(2).await?;
            origin.gate("first").open();
            larder.metric_reaches("larder_cache_entries", &[], 1.0).await?;
            origin.gate("second").open();
            Ok::<_, larder_testkit::Error>(())
        };
        let (answer, opened) = tokio::join!(larder.get("/a"), answered);
        opened.and(answer)
    };
    let (first, second) = tokio::join!(first, second);
    let (first, second) = (first?, second?);
    assert_eq!((&first.body[..], first.x_cache()), (&b"{\"a\":1}"[..], "MISS"));
    assert_eq!((&second.body[..], second.x_cache()), (&b"{\"a\":2}"[..], "BYPASS"));
    compared(&larder, "differed", 1.0).await
}

/// A part is compared with the same bytes of what is stored, and a 304 with what the cache would have said.
#[tokio::test]
async fn in_shadow_mode_parts_and_conditions_are_compared_too() -> Result<()> {
    let origin = Origin::start().await?;
    let tagged = |status| Answer::new(status).header("Content-Type", "application/json").header("ETag", "\"1\"");
    let whole = |body: &str| tagged(200).header("Cache-Control", "public, max-age=60").body(body);
    let part = |body: &str| tagged(206).header("Content-Range", "bytes 1-3/5").body(body);
    origin.once("GET", "/a", whole("abcde"));
    origin.once("GET", "/a", part("bcd"));
    origin.once("GET", "/a", part("bXd"));
    // Asked once more, since they differ: for the whole.
    origin.once("GET", "/a", whole("abXde"));
    origin.once("GET", "/a", Answer::new(304).header("ETag", "\"1\""));
    origin.always("GET", "/a", whole("abcde"));
    let larder = Larder::before(&origin, SHADOW).await?;
    larder.get("/a").await?;
    let range = [("Range", "bytes=1-3")];
    assert_eq!(larder.request("GET", "/a", &range, "").await?.body, b"bcd");
    compared(&larder, "agreed", 1.0).await?;
    assert_eq!(larder.request("GET", "/a", &range, "").await?.body, b"bXd", "the origin's own");
    compared(&larder, "differed", 1.0).await?;
    let conditional = larder.request("GET", "/a", &[("If-None-Match", "\"1\"")], "").await?;
    assert_eq!((conditional.status, conditional.x_cache()), (304, "BYPASS"));
    compared(&larder, "agreed", 2.0).await
}

/// What the disk has kept over a restart is what would be served, so it is compared and served to nobody.
#[tokio::test]
async fn in_shadow_mode_what_the_disk_has_is_compared_and_not_served() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.once("GET", "/a", fresh("{\"a\":1}"));
    origin.always("GET", "/a", fresh("{\"a\":2}"));
    let config = format!(
        "{SHADOW}[store.disk]\npath = {:?}\ncapacity = \"256MiB\"\nadmit = \"all\"\ntimeout = \"10s\"\n",
        folder.path().join("cache")
    );
    let ask = async |expected: &str| {
        let larder = Larder::before(&origin, &config).await?;
        larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
        let answer = larder.request("GET", "/a", &[("Host", "site.example")], "").await?;
        assert_eq!(answer.x_cache(), expected);
        Ok::<_, larder_testkit::Error>((larder, answer))
    };
    let (first, answer) = ask("MISS").await?;
    assert_eq!(answer.body, b"{\"a\":1}");
    first.settled().await?;
    first.terminate()?;
    first.exited().await?;
    let (second, answer) = ask("BYPASS").await?;
    assert_eq!(answer.body, b"{\"a\":2}");
    compared(&second, "differed", 1.0).await
}

#[tokio::test]
async fn what_several_replicas_have_compared_is_one_report() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", fresh("{}"));
    let config = "[[routes]]\nname = \"pages\"\npath = \"/{*rest}\"\nverify = { sample = 1 }\n";
    let (one, other) = (Larder::before(&origin, config).await?, Larder::before(&origin, config).await?);
    for larder in [&one, &one, &other] {
        larder.get("/a").await?;
    }
    for larder in [&one, &other] {
        larder.get("/a").await?;
        compared(larder, "agreed", 1.0).await?;
    }
    compared(&one, "agreed", 2.0).await?;
    let (admin, replica) = (one.admin_address().to_string(), other.admin_address().to_string());
    let report = async |arguments: &[&str]| {
        let mut command = command()?;
        command.args(["verify", "report", "--admin", &admin]).args(arguments).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        Ok::<_, larder_testkit::Error>(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let alone = report(&[]).await?;
    assert!(alone.contains("100.00% of 2 compared") && !alone.contains("replica"), "{alone}");
    let together = report(&["--replica", &replica]).await?;
    assert!(together.contains("of 2 replicas together") && together.contains("100.00% of 3 compared"), "{together}");
    let json: Value = serde_json::from_str(&report(&["--replica", &replica, "--json"]).await?)?;
    assert_eq!((json.as_array().map(Vec::len), &json[0]["judged"]), (Some(1), &json!(3)), "{json:#}");
    Ok(())
}
