//! Start, reload, stop.

use std::time::Duration;

use larder_testkit::larder::{command, config};
use larder_testkit::{Answer, Client, Larder, Origin, Result, patience};

#[tokio::test]
async fn health_is_told_on_the_admin_listener_only() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/readyz", Answer::new(404));
    origin.always("GET", "/healthz", Answer::new(404));
    origin.always("GET", "/metrics", Answer::new(404));
    let larder = Larder::before(&origin, "").await?;
    for target in ["/readyz", "/healthz", "/metrics"] {
        assert_eq!(larder.admin(target).await?.status, 200, "{target}");
        assert_eq!(larder.get(target).await?.status, 404, "{target} on the public listener is the origin's");
    }
    assert_eq!(larder.admin("/a").await?.status, 404);
    assert_eq!(origin.request_count(), 3);
    Ok(())
}

#[tokio::test]
async fn sigterm_drains_what_is_in_flight_and_ends_with_0() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().chunk("first ").wait("middle").chunk("second"));
    let larder = Larder::before(&origin, "").await?;
    let mut idle = larder.connect().await?;
    let mut client = larder.connect().await?;
    client.send("GET", "/a", &[], "").await?;
    client.read_until("first ").await?;
    larder.terminate()?;
    idle.closed().await?;
    let refused = || async { Ok(Client::connect(larder.address()).await.err()) };
    patience::eventually("waiting for the listener to close", refused).await?;
    origin.gate("middle").open();
    let response = client.finish().await?;
    assert!(response.complete);
    assert_eq!(response.text(), "first second");
    assert_eq!(larder.exited().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn draining_ends_after_its_time() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().chunk("first ").wait("never"));
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\ndrain_timeout = \"200ms\"").await?;
    let mut client = larder.connect().await?;
    client.send("GET", "/a", &[], "").await?;
    client.read_until("first ").await?;
    larder.terminate()?;
    assert!(!client.finish().await?.complete, "what was cut off must not look complete");
    assert_eq!(larder.exited().await?.code(), Some(0));
    Ok(())
}

fn with_ttl(origin: &Origin, ttl: &str) -> String {
    config(&origin.url(), &format!("[cache]\nttl = \"{ttl}\"\nquery = {{ drop = [\"{ttl}\"] }}"))
}

/// Asks until a response that is not stored yet has this lifetime: then the new config is in force.
async fn lifetime_becomes(larder: &Larder, seconds: u32) -> Result<()> {
    let mut number = 0;
    let probe = || {
        number += 1;
        let target = format!("/probe?{seconds}={number}");
        async move { Ok((larder.get(&target).await?.header("cache-control") == Some(&format!("max-age={seconds}"))).then_some(())) }
    };
    patience::eventually("waiting for the new config", probe).await
}

fn answering() -> impl Fn(&Origin) {
    |origin| {
        origin.once("GET", "/a", Answer::ok().body("kept"));
        for seconds in [60, 120, 180] {
            for number in 0..1000 {
                origin.once("GET", &format!("/probe?{seconds}={number}"), Answer::ok().body("x"));
            }
        }
    }
}

#[tokio::test]
async fn sighup_reloads_and_keeps_the_cache() -> Result<()> {
    let origin = Origin::start().await?;
    answering()(&origin);
    let larder = Larder::start(&with_ttl(&origin, "60s")).await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    let mut kept = larder.connect().await?;
    kept.exchange("GET", "/a", &[], "").await?;
    larder.write_config(&with_ttl(&origin, "120s"))?;
    larder.hang_up()?;
    lifetime_becomes(&larder, 120).await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
    assert_eq!(kept.exchange("GET", "/a", &[], "").await?.x_cache(), "HIT", "connections outlive a reload");
    Ok(())
}

#[tokio::test]
async fn a_changed_file_is_noticed() -> Result<()> {
    let origin = Origin::start().await?;
    answering()(&origin);
    let larder = Larder::start(&with_ttl(&origin, "60s")).await?;
    larder.write_config(&with_ttl(&origin, "120s"))?;
    lifetime_becomes(&larder, 120).await?;
    // Once more: an editor that puts a new file in place of the old one must not be noticed only once.
    larder.write_config(&with_ttl(&origin, "180s"))?;
    lifetime_becomes(&larder, 180).await
}

#[tokio::test]
async fn a_broken_file_is_refused_and_the_old_config_stays() -> Result<()> {
    let origin = Origin::start().await?;
    answering()(&origin);
    let larder = Larder::start(&with_ttl(&origin, "60s")).await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    larder.write_config("[cache]\nttl = \"5 parsecs\"\n")?;
    larder.hang_up()?;
    larder.process().line("the mistake in the new config", |line| line.contains("parsecs").then_some(())).await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
    lifetime_becomes(&larder, 60).await?;
    larder.write_config(&with_ttl(&origin, "120s"))?;
    larder.hang_up()?;
    lifetime_becomes(&larder, 120).await
}

#[tokio::test]
async fn an_address_in_use_is_told_with_its_place() -> Result<()> {
    let origin = Origin::start().await?;
    let holder = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = holder.local_addr()?;
    let folder = tempfile::TempDir::new()?;
    let text = format!("[server]\nlisten = \"{taken}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[upstreams.api]\nurl = \"{}\"\n", origin.url());
    std::fs::write(folder.path().join("config.toml"), text)?;
    let output = command()?.args(["serve", "--config", "config.toml"]).current_dir(folder.path()).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for part in [taken.to_string().as_str(), "config.toml:2", "in use", "hint"] {
        assert!(error.contains(part), "no {part:?} in:\n{error}");
    }
    Ok(())
}

#[tokio::test]
async fn the_environment_wins_over_the_file() -> Result<()> {
    let origin = Origin::start().await?;
    let folder = tempfile::TempDir::new()?;
    let text = format!("[server]\nlisten = \"{}\"\n[upstreams.api]\nurl = \"{}\"\n", origin.address(), origin.url());
    std::fs::write(folder.path().join("config.toml"), text)?;
    let mut command = command()?;
    command.args(["serve", "--config", "config.toml"]).current_dir(folder.path());
    command.env("LARDER_LISTEN", "127.0.0.1:0").env("LARDER_ADMIN_LISTEN", "127.0.0.1:0");
    let process = larder_testkit::process::Process::start("larder", &mut command)?;
    process.line("the listener's address", |line| line.contains("listening on http://127.0.0.1:").then_some(())).await
}

#[tokio::test]
async fn a_folder_in_which_something_always_changes_keeps_nobody_from_stopping() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let neighbour = larder.config_file().with_file_name("access.log");
    let writing = tokio::spawn(async move {
        for number in 0_u64.. {
            std::fs::write(&neighbour, number.to_string()).expect("a file");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    // The folder is watched by now, and has been looked at for a change of the configuration.
    larder.get("/").await?;
    larder.terminate()?;
    assert_eq!(larder.exited().await?.code(), Some(0));
    writing.abort();
    Ok(())
}
