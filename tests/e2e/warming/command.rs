//! `larder warm`, and `POST /warm` with URLs.

use std::io::Write;
use std::process::{Command, Stdio};

use larder_testkit::larder::command;
use larder_testkit::process::Process;
use larder_testkit::{Answer, Larder, Origin, Result};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::{admin, ended, job, reports, warm, x_cache};

/// Runs `larder warm` with this on its standard input.
async fn warm_with_input(larder: &Larder, input: String, arguments: &'static [&'static str]) -> Result<std::process::Output> {
    let admin = larder.admin_address().to_string();
    let run = move || {
        let mut command: Command = command()?;
        command.arg("warm").args(arguments).args(["--admin", &admin]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().expect("it is piped").write_all(input.as_bytes())?;
        Ok(child.wait_with_output()?)
    };
    tokio::task::spawn_blocking(run).await?
}

#[tokio::test]
async fn urls_of_a_file_are_fetched_once_and_failures_make_the_command_fail() -> Result<()> {
    let origin = Origin::start().await?;
    for target in ["/a", "/b"] {
        origin.always("GET", target, Answer::ok().body("x"));
    }
    origin.always("GET", "/broken", Answer::new(500).body("x"));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"\n").await?;
    let good = "# of last week\nhttp://a.example/a\n\n http://a.example/b \n".to_owned();
    let output = warm_with_input(&larder, good.clone(), &["--urls", "-", "--json"]).await?;
    let jobs: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert!(output.status.success() && jobs[0]["stored"] == 2, "{output:?}");
    assert_eq!([x_cache(&larder, "/a").await?, x_cache(&larder, "/b").await?], ["HIT", "HIT"]);
    let output = warm_with_input(&larder, good + "http://a.example/broken\n", &["--urls", "-"]).await?;
    let (table, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.code() == Some(1) && table.contains("1 server-error"), "{output:?}");
    assert!(told.ends_with("error: some of it could not be fetched\n"), "{told}");
    let output = warm_with_input(&larder, "http://a.example/broken\n".to_owned(), &["--urls", "-", "--json"]).await?;
    let jobs: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!((output.status.code(), &jobs[0]["failed"]), (Some(1), &json!(1)), "what failed is JSON, too");
    let output = warm_with_input(&larder, "/a\n".to_owned(), &["--urls", "-"]).await?;
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("`/a` is not a whole URL"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_fetched_and_fetches_nothing() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    let larder = Larder::before(&origin, &job("listings", &["/a", "/b"], "on = []")).await?;
    x_cache(&larder, "/a").await?;
    let output = warm(&larder, &["--dry-run", "--json"]).await?;
    let jobs: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!((&jobs[0]["hits"], &jobs[0]["left"], &jobs[0]["reasons"]), (&json!(1), &json!(1), &json!({ "absent": 1 })), "{jobs}");
    assert_eq!(origin.request_count(), 1);
    let output = warm(&larder, &["--dry-run"]).await?;
    assert!(String::from_utf8_lossy(&output.stdout).contains("to fetch"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn ctrl_c_ends_the_run_and_says_how_far_it_came() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.always("GET", "/a", Answer::ok().body("x"));
    origin.always("GET", "/slow", Answer::ok().wait("held").body("x"));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"\n").await?;
    let urls = folder.path().join("urls.txt");
    std::fs::write(&urls, "http://a.example/a\nhttp://a.example/slow\n")?;
    let mut command = command()?;
    command.arg("warm").arg("--urls").arg(&urls).args(["--concurrency", "1", "--admin", &larder.admin_address().to_string()]);
    let process = Process::start("larder warm", &mut command)?;
    origin.wait_for_requests(2).await?;
    process.signal(Signal::INT)?;
    let status = process.exited().await?;
    assert_eq!(status.code(), Some(1), "{:?}", process.output());
    assert!(process.output().iter().any(|line| line.contains("stopped")), "{:?}", process.output());
    let job = &reports(&larder).await?[0];
    assert_eq!((&job["running"], &job["stopped"], &job["stored"]), (&json!(false), &json!(true), &json!(1)), "{job}");
    Ok(())
}

#[tokio::test]
async fn what_is_asked_for_once_is_checked_and_remembered_for_a_while() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    let larder = Larder::before(&origin, &job("listings", &["/a"], "on = []")).await?;
    for (question, status) in [
        (json!({ "urls": ["ftp://a.example/"] }), 422),
        (json!({ "urls": ["http://a.example/a"], "jobs": ["listings"] }), 422),
        (json!({ "urls": ["http://a.example/a"], "concurrency": 0 }), 422),
        (json!({ "jobs": ["none"] }), 404),
        (json!({ "url": "http://a.example/a" }), 400),
    ] {
        assert_eq!(admin(&larder, "POST", "/warm", &question).await?.0, status, "{question}");
    }
    for number in 1..=20 {
        let (status, started) = admin(&larder, "POST", "/warm", &json!({ "urls": ["http://a.example/a"] })).await?;
        assert_eq!((status, &started[0]["name"]), (202, &json!(format!("asked-{number}"))));
        ended(&larder, &format!("asked-{number}")).await?;
    }
    assert_eq!(reports(&larder).await?.len(), 17, "the job of the configuration, and the last sixteen");
    let exposition = larder.admin("/metrics").await?.text();
    assert!(exposition.contains("job=\"listings\"") && !exposition.contains("asked-"), "they would be labels without end");
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn on_a_terminal_there_is_a_bar() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    let larder = Larder::before(&origin, &job("listings", &["/a"], "on = []")).await?;
    let warm =
        format!("stty rows 40 cols 160; exec {} warm --admin {}", larder_testkit::larder::binary()?.display(), larder.admin_address());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &warm, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 of 1") && text.contains("1 stored, 0 failed"), "{text:?}");
    Ok(())
}
