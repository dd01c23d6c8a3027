//! Metrics of the process, its configuration and its tiers, as Prometheus sees them.

use larder_testkit::larder::config;
use larder_testkit::{Answer, Larder, Origin, Result};
use tempfile::TempDir;

/// The value of the label `hash` of the running configuration.
async fn config_hash(larder: &Larder) -> Result<String> {
    let text = larder.admin("/metrics").await?.text();
    let line = text.lines().find(|line| line.starts_with("larder_config_info{")).unwrap_or_default();
    Ok(line.split('"').nth(1).unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_build_the_process_and_reloads_are_in_the_metrics() -> Result<()> {
    let origin = Origin::start().await?;
    let text = |ttl: &str| config(&origin.url(), &format!("[cache]\nttl = {ttl}\n[server]\nlisten = \"127.0.0.1:0\""));
    let larder = Larder::start(&text("\"60s\"")).await?;
    assert_eq!(larder.metric("larder_build_info", &["version=\"", "arch=\"", "os=\"linux\""]).await?, 1.0);
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_max_fds"] {
        assert!(larder.metric(name, &[]).await? > 0.0, "{name}");
    }
    assert!(larder.metric("process_start_time_seconds", &[]).await? > 1.7e9);
    let first = config_hash(&larder).await?;
    assert_eq!(first.len(), 16, "{first}");

    larder.write_config(&text("60"))?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &[r#"result="refused""#], 1.0).await?;
    assert_eq!(larder.metric("larder_config_last_reload_successful", &[]).await?, 0.0);
    assert_eq!(config_hash(&larder).await?, first, "the one before is in force");

    larder.write_config(&text("\"30s\""))?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &[r#"result="applied""#], 1.0).await?;
    assert_eq!(larder.metric("larder_config_last_reload_successful", &[]).await?, 1.0);
    assert_ne!(config_hash(&larder).await?, first);
    Ok(())
}

#[tokio::test]
async fn routes_have_their_class_and_the_time_that_they_save() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/issues/1", Answer::ok().body("a"));
    let rest = "[classes.project]\nttl = \"60s\"\n[[routes]]\nname = \"issue\"\npath = \"/issues/{id}\"\nupstream = \"api\"\nclass = \"project\"\n";
    let larder = Larder::before(&origin, rest).await?;
    let labels = [r#"route="issue""#, r#"class="project""#, r#"upstream="api""#, r#"scope="public""#];
    assert_eq!(larder.metric("larder_route_info", &labels).await?, 1.0);
    larder.get("/issues/1").await?;
    larder.get("/issues/1").await?;
    larder.metric_reaches("larder_requests_total", &[r#"result="hit""#], 1.0).await?;
    // A miss over a socket takes longer than a hit from memory.
    assert!(larder.metric("larder_origin_time_saved_seconds", &[r#"route="issue""#]).await? > 0.0);
    Ok(())
}

#[tokio::test]
async fn operations_on_disk_have_their_times() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.once("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("a"));
    let disk = format!("[store.disk]\npath = {:?}\ncapacity = \"256MiB\"\nadmit = \"all\"", folder.path());
    let larder = Larder::before(&origin, &disk).await?;
    larder.get("/a").await?;
    larder.metric_reaches("larder_disk_operation_duration_seconds_count", &[r#"operation="commit""#], 1.0).await?;
    Ok(())
}
