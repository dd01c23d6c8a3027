//! The README's commands.

use larder_testkit::larder::command;
use larder_testkit::{Answer, Larder, Origin, Result};

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

#[test]
fn the_version_is_told() -> Result<()> {
    let output = command()?.arg("--version").output()?;
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("larder 0."));
    Ok(())
}
