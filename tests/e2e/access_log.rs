//! The access log as `[log]` shapes it: members, text, which requests, and its file.

use std::path::Path;

use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// Waits until the file has a line with this text, and returns all of its lines.
pub(crate) async fn lines_with(file: &Path, text: &str) -> Result<Vec<String>> {
    let found = || async {
        let lines: Vec<String> = std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect();
        Ok(lines.iter().any(|line| line.contains(text)).then_some(lines))
    };
    eventually(format!("waiting for a line with {text} in {}", file.display()), found).await
}

#[tokio::test]
async fn lines_have_the_members_and_the_requests_that_the_operator_chose() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.once("GET", "/a", Answer::ok().body("a"));
    origin.once("GET", "/missing", Answer::new(404));
    let file = folder.path().join("access.log");
    let log = format!(
        "[log]\naccess = \"json\"\nfile = {file:?}\nonly = [\"4xx\"]\nfields = [\"status\", \"target\", \"header.user-agent\", \"upstream_server\"]"
    );
    let larder = Larder::before(&origin, &log).await?;
    larder.get("/a").await?;
    larder.request("GET", "/missing", &[("User-Agent", "curl \"8\"")], "").await?;
    let lines = lines_with(&file, "/missing").await?;
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with(r#"{"status":404,"target":"/missing","header.user-agent":"#), "{line}");
    let line: Value = serde_json::from_str(line)?;
    assert_eq!(line["header.user-agent"], r#"curl "8""#);
    assert_eq!(line["upstream_server"], origin.url().as_str());
    Ok(())
}

#[tokio::test]
async fn a_format_of_the_operators_own_is_filled() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a?b=1", Answer::ok().body("12345"));
    let log = r#"[log]
format = "LINE {client} \"{method} {target} {protocol}\" {status} {bytes} \"{header.referer}\" {problem}""#;
    let larder = Larder::before(&origin, log).await?;
    larder.get("/a?b=1").await?;
    let line = larder.process().line("`LINE`", |line| line.contains("LINE").then(|| line.to_owned())).await?;
    assert!(line.ends_with(r#"LINE 127.0.0.1 "GET /a?b=1 HTTP/1.1" 200 5 "-" -"#), "{line}");
    Ok(())
}

#[tokio::test]
async fn the_file_is_opened_again_on_sigusr1() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.always("GET", "/before", Answer::ok());
    origin.always("GET", "/after", Answer::ok());
    let (file, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    std::fs::write(&file, "an older line\n")?;
    let larder = Larder::before(&origin, &format!("[log]\nfile = {file:?}")).await?;
    larder.get("/before").await?;
    assert_eq!(lines_with(&file, "/before").await?[0], "an older line", "it is appended to");
    std::fs::rename(&file, &rotated)?;
    larder.process().signal(Signal::USR1)?;
    eventually("waiting for a new file", || async { Ok(file.exists().then_some(())) }).await?;
    larder.get("/after").await?;
    lines_with(&file, "/after").await?;
    assert!(!std::fs::read_to_string(&rotated)?.contains("/after"));
    assert!(!larder.process().output().iter().any(|line| line.contains("GET 127.0.0.1")), "nothing goes to standard output");
    std::fs::remove_file(&file)?;
    std::fs::create_dir(&file)?;
    larder.process().signal(Signal::USR1)?;
    larder.process().line("`cannot be opened again`", |line| line.contains("cannot be opened again").then_some(())).await?;
    assert_eq!(larder.get("/after").await?.status, 200, "it goes on");
    Ok(())
}

/// What the metrics say of servers in sum, the log says of each request.
#[tokio::test]
async fn a_line_names_the_server_that_answered() -> Result<()> {
    let (mut dead, other) = (Origin::start().await?, Origin::start().await?);
    for path in ["/1", "/2"] {
        other.always("GET", path, Answer::ok().header("Cache-Control", "no-store").body("a"));
    }
    let upstream = format!(
        "[upstreams.api]\nservers = [\"{}\", \"{}\"]\nbalance = \"round-robin\"\n[log]\naccess = \"json\"\n",
        dead.url(),
        other.url()
    );
    dead.stop().await;
    let larder = Larder::start(&config("", &upstream)).await?;
    for path in ["/1", "/2"] {
        assert_eq!(larder.get(path).await?.status, 200);
        let wanted = format!("\"target\":\"{path}\"");
        let line = larder.process().line(&wanted, |line| line.contains(&wanted).then(|| line.to_owned())).await?;
        let line: Value = serde_json::from_str(&line[line.find('{').unwrap_or_default()..])?;
        assert_eq!(line["upstream_server"], other.url().as_str(), "the one that was asked in the other's place: {line}");
    }
    Ok(())
}

/// Members, requests, the file and the level change at once; a request that is under way keeps the line that it was begun with.
#[tokio::test]
async fn a_reload_changes_the_log_and_loses_no_line() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.once("GET", "/slow", Answer::ok().wait("gate").body("a"));
    for path in ["/a", "/b", "/c"] {
        origin.always("GET", path, Answer::ok().body("a"));
    }
    let (first, second) = (folder.path().join("first.log"), folder.path().join("second.log"));
    let log = |file: &Path, more: &str| format!("[log]\naccess = \"json\"\nfile = {file:?}\n{more}");
    let larder = Larder::before(&origin, &log(&first, "fields = [\"target\", \"status\"]")).await?;
    let reload = async |text: &str, count: f64| {
        larder.write_config(&config(&origin.url(), text))?;
        larder.hang_up()?;
        larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], count).await
    };
    let mut slow = larder.connect().await?;
    slow.send("GET", "/slow", &[], "").await?;
    origin.wait_for_requests(1).await?;
    reload(&log(&first, "fields = [\"target\"]"), 1.0).await?;
    larder.get("/a").await?;
    lines_with(&first, r#"{"target":"/a"}"#).await?;
    // The last change may have been read twice, by its signal and by the look at the file, so a count does not tell that this one is there.
    larder.write_config(&config(&origin.url(), &log(&second, "fields = [\"target\"]\nlevel = \"debug\"")))?;
    larder.hang_up()?;
    let is_there = || async {
        larder.get("/b").await?;
        Ok(std::fs::read_to_string(&second).is_ok_and(|lines| lines.contains(r#"{"target":"/b"}"#)).then_some(()))
    };
    eventually("waiting for the other file", is_there).await?;
    origin.gate("gate").open();
    assert_eq!(slow.finish().await?.status, 200);
    let mut lines = lines_with(&first, "/slow").await?;
    lines.retain(|line| !line.contains("/b"));
    assert_eq!(lines, [r#"{"target":"/a"}"#, r#"{"target":"/slow","status":200}"#], "in the form and the file that it was begun with");
    assert!(!larder.process().output().iter().any(|line| line.contains("at the next start")), "{:#?}", larder.process().output());

    // A file that cannot be opened is a mistake of the configuration, and the running one goes on.
    larder.write_config(&config(&origin.url(), &log(&folder.path().join("none/a.log"), "")))?;
    larder.hang_up()?;
    larder.process().line("why", |line| line.contains("no file can be at").then_some(())).await?;
    larder.get("/c").await?;
    lines_with(&second, r#"{"target":"/c"}"#).await?;
    assert_eq!(larder.metric("larder_access_log_dropped_total", &[]).await?, 0.0);
    Ok(())
}
