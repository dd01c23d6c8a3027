//! What is fetched before anybody asks for it.

#[path = "warming/command.rs"]
mod command;
#[path = "warming/hot.rs"]
mod hot;
#[path = "warming/lists.rs"]
mod lists;
#[path = "warming/replicas.rs"]
mod replicas;
#[path = "warming/yielding.rs"]
mod yielding;

use std::process::Output;

use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Larder, Origin, Result};
use serde_json::Value;

/// A job for these URLs of `a.example`, and the keys behind.
fn job(name: &str, urls: &[&str], keys: &str) -> String {
    format!("[cache]\nttl = \"60s\"\n[[warm]]\nname = \"{name}\"\nhost = \"a.example\"\nurls = {urls:?}\n{keys}\n")
}

/// How all jobs stand.
async fn reports(larder: &Larder) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&larder.admin("/warm").await?.text())?)
}

/// How the first job with this name has ended, once it has run.
async fn ended(larder: &Larder, name: &str) -> Result<Value> {
    let probe = || async {
        let mut jobs = reports(larder).await?;
        let place = jobs.iter().position(|job| job["name"] == name && job["running"] == false && job["done"] != 0);
        Ok(place.map(|place| jobs.swap_remove(place)))
    };
    eventually(format!("waiting for the end of {name}"), probe).await.map_err(|error| larder.process().explain(error))
}

/// `POST` or `DELETE` of JSON on the admin listener.
async fn admin(larder: &Larder, method: &str, target: &str, question: &Value) -> Result<(u16, Value)> {
    let mut client = Client::connect(larder.admin_address()).await?;
    let fields = [("Content-Type", "application/json"), ("Connection", "close")];
    let answer = client.exchange(method, target, &fields, &question.to_string()).await?;
    Ok((answer.status, serde_json::from_slice(&answer.body)?))
}

/// Runs `larder warm` to its end.
async fn warm(larder: &Larder, arguments: &'static [&'static str]) -> Result<Output> {
    let admin = larder.admin_address().to_string();
    let run = move || Ok(larder_testkit::larder::command()?.arg("warm").args(arguments).args(["--admin", &admin]).output()?);
    tokio::task::spawn_blocking(run).await?
}

async fn requests(larder: &Larder, outcome: &str) -> Result<f64> {
    larder.metric("larder_warm_requests_total", &[&format!("outcome=\"{outcome}\"")]).await
}

async fn x_cache(larder: &Larder, target: &str) -> Result<String> {
    Ok(larder.request("GET", target, &[("Host", "a.example")], "").await?.x_cache().to_owned())
}

#[tokio::test]
async fn a_job_at_the_start_makes_the_first_request_of_a_client_a_hit() -> Result<()> {
    let origin = Origin::start().await?;
    for target in ["/a", "/b?c=d"] {
        origin.always("GET", target, Answer::ok().body("x"));
    }
    origin.always("GET", "/private", Answer::ok().header("Cache-Control", "private").body("x"));
    origin.always("GET", "/broken", Answer::new(500).body("x"));
    let larder =
        Larder::before(&origin, &job("listings", &["/a", "/b?c=d", "/private", "/broken"], "headers = { accept = \"x/y\" }")).await?;
    larder.process().line("the end of the job", |line| line.contains("some of it failed").then_some(())).await?;
    assert_eq!(
        [requests(&larder, "stored").await?, requests(&larder, "not_stored").await?, requests(&larder, "failed").await?],
        [2.0, 1.0, 1.0]
    );
    assert_eq!([x_cache(&larder, "/a").await?, x_cache(&larder, "/b?c=d").await?], ["HIT", "HIT"]);
    let received = origin.received();
    assert_eq!(received.len(), 4);
    assert!(
        received.iter().all(|request| request.header("accept") == Some("x/y") && request.header("host") == Some("a.example")),
        "{received:?}"
    );
    let jobs = reports(&larder).await?;
    assert_eq!(
        (&jobs[0]["done"], &jobs[0]["total"], &jobs[0]["stored"], &jobs[0]["running"]),
        (&4.into(), &4.into(), &2.into(), &false.into())
    );
    assert_eq!((&jobs[0]["reasons"]["server-error"], jobs[0]["reasons"].as_object().map(|reasons| reasons.len())), (&1.into(), Some(2)));
    Ok(())
}

#[tokio::test]
async fn a_replica_is_ready_only_when_it_is_warm() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().wait("slow").chunk("x"));
    let text = config(&origin.url(), &job("listings", &["/a"], "ready = true"));
    let starting = tokio::spawn(async move { Larder::start(&text).await });
    origin.wait_for_requests(1).await?;
    assert!(!starting.is_finished(), "it says that it is not ready");
    origin.gate("slow").open();
    let larder = starting.await??;
    assert_eq!(x_cache(&larder, "/a").await?, "HIT");
    Ok(())
}

#[tokio::test]
async fn a_job_runs_when_it_is_told_to_and_the_command_waits_for_it() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    let larder = Larder::before(&origin, &job("listings", &["/a"], "on = []")).await?;
    assert_eq!(origin.request_count(), 0);
    let output = warm(&larder, &["listings"]).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("listings") && text.contains("stored"), "{output:?}");
    assert_eq!((x_cache(&larder, "/a").await?, origin.request_count()), ("HIT".to_owned(), 1));
    let unknown = warm(&larder, &["nothing"]).await?;
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("There is no job nothing"), "{unknown:?}");
    Ok(())
}

#[tokio::test]
async fn a_reload_takes_other_jobs_and_runs_those_that_say_so() -> Result<()> {
    let origin = Origin::start().await?;
    for target in ["/a", "/b"] {
        origin.always("GET", target, Answer::ok().body("x"));
    }
    let text = config(&origin.url(), &job("first", &["/a"], ""));
    let larder = Larder::start(&text).await?;
    larder.process().line("the end of the job", |line| line.contains("the job first has ended").then_some(())).await?;
    larder.write_config(&config(&origin.url(), &job("second", &["/b"], "on = [\"start\", \"reload\"]")))?;
    larder.hang_up()?;
    larder.process().line("the end of the other", |line| line.contains("the job second has ended").then_some(())).await?;
    assert_eq!((x_cache(&larder, "/b").await?, origin.request_count()), ("HIT".to_owned(), 2));
    Ok(())
}

#[tokio::test]
async fn a_reload_ends_no_run_of_a_job_that_stays_as_it_was() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().wait("slow").chunk("x"));
    let text = config(&origin.url(), &job("first", &["/a"], ""));
    let larder = Larder::start(&text).await?;
    origin.wait_for_requests(1).await?;
    larder.write_config(&format!("{text}[[warm]]\nname = \"second\"\nurls = [\"http://a.example/a\"]\non = []\n"))?;
    larder.hang_up()?;
    larder.process().line("the reload", |line| line.contains("the configuration was reloaded").then_some(())).await?;
    origin.gate("slow").open();
    assert_eq!(ended(&larder, "first").await?["stored"], 1);
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn warming_stores_what_clients_would_have_to_ask_for_more_than_once() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    let rest = job("listings", &["/a"], "").replace("[cache]\n", "[cache]\nmin_hits = 3\nmin_origin_time = \"1h\"\n");
    let larder = Larder::before(&origin, &rest).await?;
    assert_eq!(ended(&larder, "listings").await?["stored"], 1);
    assert_eq!(x_cache(&larder, "/a").await?, "HIT");
    Ok(())
}

#[tokio::test]
async fn a_job_that_takes_too_long_keeps_no_replica_from_its_traffic() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().wait("never").chunk("x"));
    // It starts only once /readyz says so.
    let larder = Larder::before(&origin, &job("listings", &["/a"], "ready = true\nready_timeout = \"100ms\"")).await?;
    larder.process().line("the warning", |line| line.contains("is ready before the job listings is").then_some(())).await?;
    assert_eq!(reports(&larder).await?[0]["running"], true, "the job goes on");
    Ok(())
}

#[tokio::test]
async fn a_job_runs_again_and_again_where_it_says_so() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "no-store").body("x"));
    let larder = Larder::before(&origin, &job("listings", &["/a"], "on = []\nevery = \"50ms\"")).await?;
    origin.wait_for_requests(3).await?;
    larder.metric_reaches("larder_warm_requests_total", &["outcome=\"not_stored\""], 2.0).await
}
