//! `larder test`: a configuration that is right passes its tests, one that is not is told of with the line and the difference.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use larder_testkit::Result;
use larder_testkit::larder::command;

/// The example of the issue that asked for this, with what it needs.
const CONFIG: &str = r#"[upstreams.api]
url = "http://127.0.0.1:9"

[[routes]]
name = "board"
path = "/api/v1/projects/{id}/board"
methods = ["GET", "HEAD"]

[[routes]]
name = "issue"
path = "/api/v1/issues/{id}"
tags = ["issue:{id}"]

[[on_write]]
path = "/api/v1/issues/{id}"
purge = ["tag:issue:{id}"]

[[tests]]
name = "the board is shared, and a write drops it"
steps = [
  { get = "/api/v1/projects/7/board", answer = { status = 200, headers = { cache-control = "max-age=60" }, body = "{}" }, expect = { result = "miss", stored = true, ttl = 60 } },
  { get = "/api/v1/projects/7/board?utm_source=x", expect = { result = "hit", age = 0, fetched = false } },
  { wait = "61s", get = "/api/v1/projects/7/board", expect = { result = "miss", reason = "stale" } },
  { put = "/api/v1/issues/3", answer = { status = 204 }, expect = { purges = ["tag:issue:3"], route = "issue" } },
]
"#;

fn folder(name: &str, files: &[(&str, &str)]) -> Result<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config-tests").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for (file, text) in files {
        fs::write(folder.join(file), text)?;
    }
    Ok(folder)
}

fn larder(folder: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output: Output = command()?.args(arguments).current_dir(folder).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.code(), text))
}

#[test]
fn a_configuration_passes_its_tests_without_an_origin() -> Result<()> {
    let folder = folder("right", &[("config.toml", CONFIG)])?;
    let (code, text) = larder(&folder, &["test"])?;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ok            the board is shared, and a write drops it") && text.contains("1 passed, 0 failed"), "{text}");
    Ok(())
}

#[test]
fn a_failed_step_tells_its_line_the_difference_and_the_explanation() -> Result<()> {
    let wrong = CONFIG
        .replace("?utm_source=x\", expect = { result = \"hit\", age = 0", "?page=2\", expect = { result = \"hit\", reason = \"fresh\"");
    let folder = folder("wrong", &[("config.toml", &wrong)])?;
    let (code, text) = larder(&folder, &["test", "--junit", "report.xml"])?;
    assert_eq!(code, Some(1), "{text}");
    for said in [
        "FAILED        the board is shared, and a write drops it (config.toml:18)",
        "step          2 in line 22: GET http://localhost/api/v1/projects/7/board?page=2",
        "result        expected hit, found miss",
        "reason        expected fresh, found absent",
        "key           v1:default:GET:http://localhost/api/v1/projects/7/board?page=2",
        "stored        nothing in memory",
        "0 passed, 1 failed",
    ] {
        assert!(text.contains(said), "no {said:?} in:\n{text}");
    }
    let junit = fs::read_to_string(folder.join("report.xml"))?;
    assert!(junit.contains("tests=\"1\" failures=\"1\"") && junit.contains("step 2: result is miss"), "{junit}");
    let (code, json) = larder(&folder, &["test", "--json"])?;
    let report: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!((code, &report["failed"], &report["tests"][0]["failure"]["step"]), (Some(1), &1.into(), &2.into()), "{json}");
    assert_eq!(report["tests"][0]["failure"]["differences"][0]["found"], "miss", "{json}");
    Ok(())
}

#[test]
fn files_beside_the_configuration_are_run_too_and_mistakes_in_them_have_line_and_hint() -> Result<()> {
    let limits = "[[tests]]\nname = \"a client may ask twice a minute\"\nsteps = [\n  { get = \"/api/v1/issues/1\", client = \"10.0.0.7\", answer = { status = 200 }, expect = { status = 200 } },\n  { get = \"/api/v1/issues/1\", client = \"10.0.0.7\" },\n  { get = \"/api/v1/issues/1\", client = \"10.0.0.7\", expect = { result = \"refused\", reason = \"rate-limited\", status = 429 } },\n  { get = \"/api/v1/issues/1\", client = \"10.0.0.8\", expect = { status = 200 } },\n  { wait = \"61s\", get = \"/api/v1/issues/1\", client = \"10.0.0.7\", expect = { status = 200 } },\n]\n";
    let config = format!(
        "{CONFIG}\n[[limits]]\nname = \"issues\"\nroutes = [\"issue\"]\nkey = [\"client\"]\nmax = 2\nper = \"1m\"\ncount = \"requests\"\n"
    );
    let folder = folder("beside", &[("config.toml", &config), ("limits.larder-test.toml", limits)])?;
    let (code, text) = larder(&folder, &["test"])?;
    assert!(code == Some(0) && text.contains("2 passed, 0 failed"), "{text}");
    let (code, text) = larder(&folder, &["test", "limits.larder-test.toml"])?;
    assert!(code == Some(0) && text.contains("1 passed, 0 failed"), "{text}");
    let (code, text) = larder(&folder, &["test", "--filter", "nothing like it"])?;
    assert!(code == Some(2) && text.contains("there is no test whose name has `nothing like it` in it"), "{text}");
    fs::write(folder.join("limits.larder-test.toml"), limits.replace("result = \"refused\"", "resutl = \"refused\""))?;
    for arguments in [&["test"][..], &["check"]] {
        let (code, text) = larder(&folder, arguments)?;
        assert_eq!(code, Some(if arguments == ["test"] { 2 } else { 1 }), "{text}");
        for said in ["limits.larder-test.toml:6:", "unknown key `resutl`", "did you mean `result`?"] {
            assert!(text.contains(said), "no {said:?} in:\n{text}");
        }
    }
    Ok(())
}

#[test]
fn check_strict_warns_of_routes_that_no_test_asks_for() -> Result<()> {
    let config = CONFIG.replace("put = \"/api/v1/issues/3\"", "put = \"/api/v1/other\"").replace(", route = \"issue\"", "");
    let folder = folder("strict", &[("config.toml", &config)])?;
    let (code, text) = larder(&folder, &["check"])?;
    assert!(code == Some(0) && !text.contains("no test asks"), "{text}");
    let (code, text) = larder(&folder, &["check", "--strict"])?;
    assert!(code == Some(0) && text.contains("no test asks for route `issue`") && text.contains("config.toml:11:8"), "{text}");
    assert!(!text.contains("route `board`"), "{text}");
    Ok(())
}

#[test]
fn an_origin_that_is_asked_for_what_no_step_answers_makes_the_step_fail() -> Result<()> {
    let unanswered = "[upstreams.api]\nurl = \"http://127.0.0.1:9\"\n[[tests]]\nname = \"asked\"\nsteps = [{ get = \"/a\" }]\n";
    let folder = folder("unanswered", &[("config.toml", unanswered)])?;
    let (code, text) = larder(&folder, &["test"])?;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("it was asked for GET /a, which no step has an answer for"), "{text}");
    Ok(())
}

#[test]
fn an_event_is_played_and_what_it_purges_is_compared() -> Result<()> {
    let event = "[[on_event]]\ntype = \"issue.moved\"\npurge = [\"tag:issue:{id}\"]\n";
    let steps = |purged: &str| {
        format!(
            "[[tests]]\nname = \"an event drops the issue\"\nsteps = [\n  {{ get = \"/api/v1/issues/7\", answer = {{ status = 200, headers = {{ cache-control = \"max-age=60\" }} }}, expect = {{ stored = true }} }},\n  {{ event = {{ type = \"issue.moved\", id = 7 }}, expect = {{ purges = [\"tag:issue:{purged}\"] }} }},\n  {{ get = \"/api/v1/issues/7\", expect = {{ result = \"miss\", reason = \"purged\" }} }},\n]\n"
        )
    };
    let config = CONFIG.split("[[tests]]").next().unwrap_or_default();
    let (right, wrong) = (format!("{config}{event}{}", steps("7")), format!("{config}{event}{}", steps("8")));
    let (code, text) = larder(&folder("event", &[("config.toml", &right)])?, &["test"])?;
    assert!(code == Some(0) && text.contains("1 passed, 0 failed"), "{text}");
    let (code, text) = larder(&folder("event-wrong", &[("config.toml", &wrong)])?, &["test"])?;
    assert_eq!(code, Some(1), "{text}");
    for said in ["step          2 in line 25: event issue.moved", "purges        expected [\"tag:issue:8\"], found [\"tag:issue:7\"]"] {
        assert!(text.contains(said), "no {said:?} in:\n{text}");
    }
    Ok(())
}
