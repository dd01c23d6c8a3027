//! `larder doctor`, `larder completions` and `larder man`.

use larder_testkit::tokens::{TokenKey, key_set};
use larder_testkit::{Answer, Larder, Origin, Redis, Result, larder};
use serde_json::Value;
use tempfile::TempDir;

/// The findings for this config, with the exit code.
async fn findings(config: String) -> Result<(Option<i32>, Vec<Value>)> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("config.toml"), config)?;
    let mut command = larder::command()?;
    command.args(["doctor", "--json"]).current_dir(folder.path());
    // The origin is served by this thread.
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok((output.status.code(), serde_json::from_slice(&output.stdout)?))
}

fn verdict<'f>(findings: &'f [Value], what: &str) -> Vec<&'f str> {
    let about = findings.iter().filter(|finding| finding["what"].as_str().is_some_and(|found| found.starts_with(what)));
    about.filter_map(|finding| finding["verdict"].as_str()).collect()
}

#[tokio::test]
async fn each_part_is_looked_at_and_every_trouble_has_a_remedy() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("x"));
    let (code, all) = findings(larder::config(&origin.url(), "[[routes]]\npath = \"/a\"\n[store.memory]\ncapacity = \"16MiB\"")).await?;
    for what in ["configuration", "admin listener", "file descriptors", "memory", "listener", "upstream api"] {
        assert!(!verdict(&all, what).is_empty(), "{what} in {all:#?}");
    }
    assert_eq!((verdict(&all, "upstream api"), verdict(&all, "memory")), (vec!["good"], vec!["good"]), "{all:#?}");
    assert!(code.is_some_and(|code| code < 2) && origin.count_of("/a") == 1, "{code:?} {all:#?}");
    Ok(())
}

#[tokio::test]
async fn an_origin_that_is_away_and_a_broken_file_are_errors() -> Result<()> {
    let (code, all) = findings(larder::config("http://127.0.0.1:1", "")).await?;
    assert_eq!((code, verdict(&all, "upstream api")), (Some(2), vec!["error"]), "{all:#?}");
    assert!(all.iter().all(|finding| finding["verdict"] == "good" || finding["remedy"].is_string()), "{all:#?}");
    let (code, all) = findings(larder::config("http://127.0.0.1:1", "[cache]\ntll = 1")).await?;
    assert_eq!((code, verdict(&all, "configuration")), (Some(2), vec!["error"]), "{all:#?}");
    Ok(())
}

#[tokio::test]
async fn the_url_of_keys_is_asked() -> Result<()> {
    let (origin, issuer) = (Origin::start().await?, Origin::start().await?);
    issuer.always("GET", "/jwks", Answer::ok().body(key_set(&[&TokenKey::p256("a")?])));
    let section = |path: &str, algorithm: &str| {
        let url = format!("{}{path}", issuer.url());
        format!(
            "[auth.jwt]\nissuer = \"a\"\njwks_url = \"{url}\"\nalgorithms = [\"{algorithm}\"]\n[cache]\nscope = \"identity\"\nidentity = [\"jwt:sub\"]"
        )
    };
    for (path, algorithm, expected, why) in
        [("/jwks", "ES256", "good", "one key in "), ("/elsewhere", "ES256", "error", "it answered "), ("/jwks", "RS256", "error", "")]
    {
        let (_, all) = findings(larder::config(&origin.url(), &section(path, algorithm))).await?;
        let found = all.iter().find(|finding| finding["what"].as_str().is_some_and(|what| what.starts_with("keys of [auth.jwt] at 127.")));
        assert!(found.is_some_and(|finding| finding["why"].as_str().is_some_and(|found| found.contains(why))), "{all:#?}");
        assert_eq!(verdict(&all, "keys of [auth.jwt]"), [expected], "{all:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn redis_is_looked_at_closely() -> Result<()> {
    let origin = Origin::start().await?;
    let redis = Redis::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"]).await?;
    let rest = format!("[store.redis]\nurl = \"redis://{}\"", redis.address());
    let (code, all) = findings(larder::config(&origin.url(), &rest)).await?;
    for what in ["Redis latency", "Redis memory", "Redis evictions", "Redis replication", "Redis clients", "Redis persistence"] {
        assert_eq!(verdict(&all, what).len(), 1, "{what} in {all:#?}");
    }
    assert_eq!(
        (code, verdict(&all, "Redis memory"), verdict(&all, "Redis replication")),
        (Some(2), vec!["error"], vec!["good"]),
        "{all:#?}"
    );
    assert!(all.iter().all(|finding| finding["verdict"] == "good" || finding["remedy"].is_string()), "{all:#?}");
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await?;
    let (_, all) = findings(larder::config(&origin.url(), &rest)).await?;
    assert_eq!(verdict(&all, "Redis memory"), ["good"], "{all:#?}");
    Ok(())
}

/// A process has written there and ended: what it wrote is what wears the disk.
#[tokio::test]
async fn the_directory_of_the_disk_is_measured_and_its_wear_told() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.always("GET", "/page", Answer::ok().header("Cache-Control", "max-age=60").body("x".repeat(3 << 20)));
    let path = folder.path().join("cache");
    let section = format!(
        "[store.disk]\npath = \"{}\"\ncapacity = \"256MiB\"\nadmit = \"all\"\nwrite_rate = \"0B\"\ntimeout = \"10s\"\n",
        path.display()
    );
    let gateway = Larder::before(&origin, &section).await?;
    gateway.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    gateway.get("/page").await?;
    gateway.metric_reaches("larder_disk_entries", &[], 1.0).await?;
    gateway.terminate()?;
    assert!(gateway.exited().await?.success());
    let (_, all) = findings(larder::config(&origin.url(), &section)).await?;
    let of = |part: &str| {
        let what = format!("disk {} {part}", path.display());
        all.iter().find(|finding| finding["what"] == what.as_str()).map(|finding| finding["why"].as_str().unwrap_or_default().to_owned())
    };
    let told = |part: &str| of(part).unwrap_or_else(|| panic!("no {part} in {all:#?}"));
    assert!(told("speed").contains(" a second are written; a read takes "), "{}", told("speed"));
    assert!(told("room").contains("of `capacity` 256MiB are taken") && !told("room").contains(" 0B of `capacity`"), "{}", told("room"));
    assert!(!told("file system").is_empty());
    assert!(told("wear").starts_with("3MiB written in ") && told("wear").contains("each byte 1.00 times in the mean"), "{}", told("wear"));
    Ok(())
}

#[test]
fn completions_and_manual_pages_know_every_command() -> Result<()> {
    let printed = |arguments: &[&str]| Ok::<_, larder_testkit::Error>(larder::command()?.args(arguments).output()?);
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = String::from_utf8_lossy(&printed(&["completions", shell])?.stdout).into_owned();
        assert!(["explain", "doctor", "tail"].iter().all(|command| script.contains(command)), "{shell}");
    }
    assert!(String::from_utf8_lossy(&printed(&["man"])?.stdout).contains("doctor"));
    assert!(String::from_utf8_lossy(&printed(&["man", "explain"])?.stdout).contains("\\-\\-fetch"));
    assert_eq!((printed(&["man", "none"])?.status.code(), printed(&["completions", "none"])?.status.code()), (Some(1), Some(2)));
    Ok(())
}
