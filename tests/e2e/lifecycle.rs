//! Start, reload, stop.

use std::time::Duration;

use larder_testkit::larder::{command, config};
use larder_testkit::process::Process;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Result, wait};

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
    wait::eventually("waiting for the listener to close", refused).await?;
    origin.gate("middle").open();
    let response = client.finish().await?;
    assert!(response.complete);
    assert_eq!(response.text(), "first second");
    assert_eq!(larder.exited().await?.code(), Some(0));
    Ok(())
}

/// Balancers hear of a stop from `/readyz`, and send new connections until they act on it.
#[tokio::test]
async fn a_stop_goes_on_accepting_for_drain_delay_and_a_second_signal_ends_it() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\ndrain_delay = \"1h\"").await?;
    let mut kept = larder.connect().await?;
    kept.exchange("GET", "/a", &[], "").await?;
    larder.terminate()?;
    let draining = || async { Ok((larder.admin("/readyz").await?.status == 503).then_some(())) };
    wait::eventually("waiting for /readyz to say that it drains", draining).await?;
    assert!(larder.admin("/readyz").await?.text().contains("draining"));
    assert_eq!(larder.get("/a").await?.text(), "a", "a new connection is accepted");
    assert_eq!(kept.exchange("GET", "/a", &[], "").await?.header("connection"), None, "an old one is kept");
    larder.terminate()?;
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

#[tokio::test]
async fn a_write_whose_client_has_left_holds_over_a_restart_whether_its_answer_comes_or_not() -> Result<()> {
    // The port that each process happens to have is no part of the name.
    const HOST: (&str, &str) = ("Host", "site.example");
    for (is_answered, drain) in [(true, "60s"), (false, "50ms")] {
        let (origin, folder) = (Origin::start().await?, tempfile::TempDir::new()?);
        origin.once("GET", "/a", Answer::ok().body("old"));
        origin.once("POST", "/a", Answer::ok().wait("written").chunk("written"));
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndrain_timeout = \"{drain}\"\n[cache]\nttl = \"1h\"\n\
             [store.disk]\npath = \"{}\"\ncapacity = \"256MiB\"\nadmit = \"all\"\ntimeout = \"10s\"\n",
            folder.path().join("cache").display()
        );
        let first = Larder::before(&origin, &text).await?;
        first.metric_reaches("larder_disk_ready", &[], 1.0).await?;
        assert_eq!(first.request("GET", "/a", &[HOST], "").await?.x_cache(), "MISS");
        first.metric_reaches("larder_disk_written_total", &[], 1.0).await?;
        let mut writer = first.connect().await?;
        writer.send("POST", "/a", &[HOST], "").await?;
        origin.wait_for_requests(2).await?;
        drop(writer);
        let is_gone = || async { Ok((first.metric("larder_client_connections", &[]).await? == 0.0).then_some(())) };
        wait::eventually("waiting for the client to have left", is_gone).await?;
        first.terminate()?;
        first.process().line("the stop", |line| line.contains("stopping: ").then_some(())).await?;
        if is_answered {
            origin.gate("written").open();
        }
        assert!(first.exited().await?.success());
        origin.once("GET", "/a", Answer::ok().body("new"));
        let second = Larder::before(&origin, &text).await?;
        second.metric_reaches("larder_disk_ready", &[], 1.0).await?;
        let read = second.request("GET", "/a", &[HOST], "").await?;
        assert_eq!((read.x_cache(), read.text().as_str()), ("MISS", "new"), "answered: {is_answered}");
    }
    Ok(())
}

/// Its client gone, nothing held the routes that it began with, and reads of the path are stored under a URL that only their own route has.
#[tokio::test]
async fn a_write_whose_client_has_left_makes_its_url_old_although_a_reload_came_meanwhile() -> Result<()> {
    const RELOADED: &str = "larder_config_reloads_total";
    for (after, is_changed) in [("host = false", false), ("scheme = false", true)] {
        let origin = Origin::start().await?;
        origin.once("GET", "/a", Answer::ok().body("old"));
        origin.once("PUT", "/a", Answer::ok().wait("written").chunk("written"));
        let text = |key: &str| {
            let route = format!("[[routes]]\npath = \"/a\"\nmethods = [\"GET\", \"HEAD\"]\nttl = \"1h\"\nkey = {{ {key} }}\n");
            config(&origin.url(), &route)
        };
        let larder = Larder::start(&text("host = false")).await?;
        assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
        let mut writer = larder.connect().await?;
        writer.send("PUT", "/a", &[], "").await?;
        origin.wait_for_requests(2).await?;
        drop(writer);
        let is_gone = || async { Ok((larder.metric("larder_client_connections", &[]).await? == 0.0).then_some(())) };
        wait::eventually("waiting for the client to have left", is_gone).await?;
        larder.write_config(&text(after))?;
        larder.hang_up()?;
        larder.metric_reaches(RELOADED, &["result=\"applied\""], 1.0).await?;
        if is_changed {
            // What is fetched before the write has taken place is stored as the new configuration has it.
            origin.once("GET", "/a", Answer::ok().body("old"));
            assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
        }
        assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
        origin.gate("written").open();
        origin.always("GET", "/a", Answer::ok().body("new"));
        let reads_anew = || async { Ok((larder.get("/a").await?.text() == "new").then_some(())) };
        wait::eventually("waiting for the write to have made its URL old", reads_anew).await?;
    }
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
    wait::eventually("waiting for the new config", probe).await
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

/// A file may be without mistakes and still not serve, as when a file that it names holds no certificate. What was shared with the running
/// configuration before that is noticed (the cascade of tags is the cache's) must be as it was.
#[tokio::test]
async fn a_reload_that_is_refused_at_the_last_leaves_the_cascade_alone() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").header("Surrogate-Key", "issue:1").body("a"));
    let tags = |cascade: &str| format!("[tags]\nfrom = [\"surrogate-key\"]\ncascade = {{ {cascade} }}\n");
    let larder = Larder::start(&config(&origin.url(), &tags(r#""project:{id}" = ["issue:{id}"]"#))).await?;
    larder.get("/a").await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");

    let empty = larder.config_file().with_file_name("empty.pem");
    std::fs::write(&empty, "")?;
    let secure = format!("[upstreams.secure]\nurl = \"https://127.0.0.1:1\"\nca_file = {empty:?}\n");
    larder.write_config(&config(&origin.url(), &format!("{}{secure}", tags(""))))?;
    larder.hang_up()?;
    larder.process().line("why the reload is refused", |line| line.contains("no certificate authority").then_some(())).await?;

    let fields = [("Content-Type", "application/json")];
    let purged = Client::connect(larder.admin_address()).await?.exchange("POST", "/purge", &fields, r#"{"tags":["project:1"]}"#).await?;
    assert_eq!(purged.status, 200, "{}", purged.text());
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS", "the cascade that is in force still leads from the project to its issues");
    Ok(())
}

/// A file that it names may come after it, as where Kubernetes mounts a secret later than the configuration.
#[tokio::test]
async fn a_refused_configuration_is_read_again_when_the_file_that_it_lacks_is_there() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let token = larder.config_file().with_file_name("token");
    let tokens = format!("[[admin.tokens]]\nfile = {token:?}\nscopes = [\"read\"]\n");
    larder.write_config(&config(&origin.url(), &tokens))?;
    larder.metric_reaches("larder_config_reloads_total", &[r#"result="refused""#], 1.0).await?;
    std::fs::write(&token, "0123456789abcdef")?;
    larder.process().line("the reload", |line| line.contains("the configuration was reloaded").then_some(())).await
}

#[tokio::test]
async fn a_reload_tells_where_memory_is_divided_too_finely_for_what_it_is_to_store() -> Result<()> {
    let origin = Origin::start().await?;
    let text = |max_object: &str| {
        config(&origin.url(), &format!("[store.memory]\ncapacity = \"32MiB\"\n[cache]\nttl = \"1m\"\nmax_object = \"{max_object}\"\n"))
    };
    let larder = Larder::start(&text("64KiB")).await?;
    larder.write_config(&text("4MiB"))?;
    larder.hang_up()?;
    let is_told = |line: &str| line.contains("a change of max_object beyond what memory was divided for").then_some(());
    larder.process().line("what needs a restart", is_told).await
}

/// A reader of the log as JSON gets JSON, and each line has its time under the same name.
#[tokio::test]
async fn everything_that_is_told_is_json_where_the_log_is() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let text = |level: &str| config(&origin.url(), &format!("[log]\naccess = \"json\"\nlevel = \"{level}\""));
    let larder = Larder::start(&text("info")).await?;
    larder.get("/a").await?;
    larder.write_config("[cache]\nttl = \"5 parsecs\"\nnonsense = 1\n")?;
    larder.hang_up()?;
    larder.process().line("the end of the report", |line| line.contains("the running one goes on").then_some(())).await?;
    larder.write_config(&text("debug"))?;
    larder.hang_up()?;
    larder.process().line("a reload", |line| line.contains("was reloaded").then_some(())).await?;
    larder.terminate()?;
    larder.exited().await?;
    let lines = larder.process().output();
    for line in &lines {
        let line: serde_json::Value = serde_json::from_str(line).map_err(|error| Error::new(format!("{error}: {line}")))?;
        assert!(line["timestamp"].is_string(), "{line}");
    }
    for mistake in ["parsecs", "nonsense"] {
        let reported: Vec<_> = lines.iter().filter(|line| line.contains(mistake)).collect();
        assert!(
            reported.len() == 1 && reported[0].contains("\"level\":\"ERROR\"") && reported[0].contains("config.toml:"),
            "{mistake}: {reported:?}"
        );
    }
    Ok(())
}

/// For a health check where there is no curl: 0 ready, 1 not, 2 wrong usage.
#[tokio::test]
async fn larder_ready_says_whether_traffic_is_welcome() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\ndrain_delay = \"1h\"").await?;
    let admin = larder.admin_address().to_string();
    let ready = |arguments: &[&str]| -> Result<_> {
        let output = command()?.arg("ready").args(arguments).env("LARDER_ADMIN_LISTEN", &admin).output()?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    };
    assert_eq!(ready(&[])?, (Some(0), "ready".to_owned()));
    assert_eq!(ready(&["--admin", &admin])?, (Some(0), "ready".to_owned()));
    larder.terminate()?;
    let draining = || async { Ok((larder.admin("/readyz").await?.status == 503).then_some(())) };
    wait::eventually("waiting for /readyz to say that it drains", draining).await?;
    assert_eq!(ready(&[])?, (Some(1), "draining".to_owned()));
    for wrong in [&["--admin"][..], &["--timeout", "soon"], &["--wait", "soon"], &["--nonsense"]] {
        assert_eq!(ready(wrong)?, (Some(2), String::new()), "{wrong:?}");
    }
    // Neither a listener that is none of Larder's nor no listener at all is ready.
    assert_eq!(ready(&["--admin", &origin.address().to_string()])?.0, Some(1));
    larder.terminate()?;
    larder.exited().await?;
    assert_eq!(ready(&[])?.0, Some(1));
    Ok(())
}

/// As a script needs it that has started the gateway a moment ago.
#[tokio::test]
async fn larder_ready_waits_for_a_gateway_that_is_still_starting() -> Result<()> {
    let origin = Origin::start().await?;
    let admin = larder_tests::free_address()?.to_string();
    let asking = Process::start("larder ready", command()?.args(["ready", "--wait", "60s", "--admin", &admin]))?;
    let _larder = Larder::start_with(&["serve", "--upstream", &origin.url(), "--listen", "127.0.0.1:0", "--admin-listen", &admin]).await?;
    asking.line("`ready`", |line| (line == "ready").then_some(())).await?;
    assert!(asking.exited().await?.success());
    Ok(())
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
async fn a_folder_in_which_something_always_changes_does_not_keep_the_process_from_stopping() -> Result<()> {
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
