//! The README's commands.

use larder_testkit::larder::command;
use larder_testkit::process::Process;
use larder_testkit::{Answer, Client, Larder, Origin, Result, patience};

#[tokio::test]
async fn serve_needs_no_file() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/api/v1/issues?project=p&organization=o", Answer::ok().body("[]"));
    origin.once("GET", "/api/v1/issues?organization=o&project=p", Answer::ok().body("[1]"));
    let url = origin.url();
    let listeners = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let larder = Larder::start_with(&[&["serve", "--upstream", &url, "--ttl", "60s"][..], &listeners].concat()).await?;
    let target = "/api/v1/issues?project=p&organization=o";
    assert_eq!(larder.get(target).await?.x_cache(), "MISS");
    let hit = larder.get(target).await?;
    assert_eq!((hit.x_cache(), hit.header("cache-control")), ("HIT", Some("max-age=60")));
    let renewed = larder.get("/api/v1/issues?organization=o&project=p&no_cache=true").await?;
    assert_eq!((renewed.x_cache(), renewed.text().as_str()), ("BYPASS", "[1]"));
    assert_eq!(larder.get(target).await?.text(), "[1]");
    origin.check()
}

/// Every request that the demo prints is sent as printed, and answered.
#[tokio::test]
async fn the_demo_answers_the_requests_it_prints() -> Result<()> {
    let mut command = command()?;
    let backend = larder_tests::free_address()?.to_string();
    command.args(["demo", "--backend", &backend, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let process = Process::start("larder demo", &mut command)?;
    let address = process.line("the listener's address", |line| line.split("listening on http://").nth(1)?.trim().parse().ok()).await?;
    let printed = || async {
        let lines: Vec<String> = process.output().into_iter().filter(|line| line.contains("curl ")).collect();
        Ok((lines.len() >= 3).then_some(lines))
    };
    let lines = patience::eventually("waiting for the requests to try", printed).await.map_err(|error| process.explain(error))?;
    for line in lines {
        let marker = format!("http://{address}");
        let Some(start) = line.find(&marker) else { continue };
        let rest = &line[start + marker.len()..];
        let target = rest.split(['\'', '"', ' ']).next().unwrap_or("/");
        let mut client = Client::connect(address).await?;
        client.send("GET", target, &[], "").await?;
        let head = client.head().await?;
        assert_eq!(head.status()?, 200, "{line}");
        assert!(["MISS", "HIT", "BYPASS"].contains(&head.get("x-cache").unwrap_or_default()), "{line}");
    }
    Ok(())
}

#[test]
fn the_version_is_told() -> Result<()> {
    let output = command()?.arg("--version").output()?;
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("larder 0."));
    Ok(())
}
