//! `larder simulate`: what it says of a log is what the running binary did.

use std::path::Path;
use std::process::Output;

use larder_testkit::larder::{command, config};
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::Value;
use tempfile::TempDir;

fn simulate(arguments: &[&str]) -> Result<Output> {
    Ok(command()?.arg("simulate").args(arguments).output()?)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write(folder: &TempDir, name: &str, content: &str) -> Result<String> {
    let path = folder.path().join(name);
    std::fs::write(&path, content)?;
    Ok(path.display().to_string())
}

fn lines(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?)
}

/// What the log and the file of decisions both have of a request.
fn decision(line: &Value) -> String {
    let of = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
    // The log says nothing of storing where the origin was not asked.
    let stored = line["stored"].as_bool().unwrap_or_default();
    format!("{} {} {} {} {} {stored}", of("method"), of("target"), of("route"), of("result"), of("reason"))
}

const ROUTES: &str = r#"
[[routes]]
name = "issue.list"
path = "/issues"
ttl = "1h"
query = { drop = ["utm_*", "ref"] }
[[routes]]
name = "issue"
path = "/issues/{id}"
ttl = "1h"
tags = ["issue:{id}"]
[[routes]]
name = "me"
path = "/me"
cache = false
[[routes]]
name = "rest"
path = "/{*rest}"
[[on_write]]
path = "/issues/{id}/comments"
purge = ["tag:issue:{id}"]
"#;

#[tokio::test]
async fn the_decisions_of_a_simulation_are_those_of_the_running_binary() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    let log = folder.path().join("access.log");
    for (method, target, answer) in [
        ("GET", "/issues", Answer::ok().body("[]")),
        ("GET", "/issues?page=2", Answer::ok().body("[2]")),
        ("GET", "/issues/7", Answer::ok().body("{}")),
        ("HEAD", "/issues/7", Answer::ok().declared_length(2)),
        ("GET", "/issues/404", Answer::new(404).body("no")),
        ("GET", "/issues/500", Answer::new(500).body("no")),
        ("GET", "/me", Answer::ok().body("me")),
        ("GET", "/about", Answer::ok().body("about")),
        ("POST", "/issues/7/comments", Answer::new(201)),
        ("PUT", "/issues/7", Answer::new(204)),
        ("DELETE", "/issues", Answer::new(204)),
    ] {
        origin.always(method, target, answer);
    }
    let logged = "[log]\naccess = \"json\"\nfields = [\"timestamp\", \"client\", \"method\", \"host\", \"target\", \"status\", \"bytes\", \
                  \"duration_us\", \"result\", \"reason\", \"route\", \"stored\", \"header.cache-control\"]\n";
    let config = config(&origin.url(), &format!("{logged}file = {log:?}\n{ROUTES}"));
    let larder = Larder::start(&config).await?;
    for (method, target, fields) in [
        ("GET", "/issues", &[][..]),
        ("GET", "/issues?utm_source=a", &[]),
        ("GET", "/issues?ref=1&page=2", &[]),
        ("GET", "/issues?page=2&ref=2", &[]),
        ("GET", "/issues/7", &[]),
        ("GET", "/issues/7", &[]),
        ("HEAD", "/issues/7", &[]),
        ("GET", "/issues/7", &[("Cache-Control", "no-cache")]),
        ("GET", "/issues/7", &[("Cache-Control", "only-if-cached")]),
        ("GET", "/issues/404", &[]),
        ("GET", "/issues/404", &[]),
        ("GET", "/issues/500", &[]),
        ("GET", "/issues/500", &[]),
        ("GET", "/me", &[]),
        ("GET", "/me", &[]),
        ("GET", "/about", &[]),
        ("GET", "/about", &[]),
        ("POST", "/issues/7/comments", &[]),
        ("GET", "/issues/7", &[]),
        ("GET", "/issues/7", &[]),
        ("PUT", "/issues/7", &[]),
        ("GET", "/issues/7", &[]),
        ("DELETE", "/issues", &[]),
        ("GET", "/issues", &[]),
        ("GET", "/issues", &[("Cache-Control", "no-store")]),
        ("GET", "/issues", &[]),
    ] {
        larder.request(method, target, fields, "").await?;
    }
    let count = || async { Ok((lines(&log).unwrap_or_default().len() == 26).then_some(())) };
    eventually("waiting for the log", count).await?;
    let decisions = folder.path().join("decisions.json");
    let file = larder.config_file().display().to_string();
    let output = simulate(&["--config", &file, "--decisions", &decisions.display().to_string(), &log.display().to_string()])?;
    assert!(output.status.success(), "{}", said(&output));
    let real: Vec<String> = lines(&log)?.iter().map(decision).collect();
    let simulated: Vec<String> = lines(&decisions)?.iter().map(decision).collect();
    assert_eq!(simulated, real, "{}", text(&output));
    assert!(real.iter().any(|line| line.contains("HIT fresh")) && real.iter().any(|line| line.contains("purged")), "{real:#?}");
    Ok(())
}

const CONFIG: &str = "[upstreams.api]\nurl = \"http://127.0.0.1:9\"\n";

/// A line of nginx's usual log, so many seconds after nine.
fn combined(second: u32, target: &str, size: u32) -> String {
    let (minute, second) = (second / 60, second % 60);
    format!("203.0.113.7 - - [30/Nov/2026:09:{minute:02}:{second:02} +0000] \"GET {target} HTTP/1.1\" 200 {size} \"-\" \"-\"\n")
}

#[test]
fn the_report_counts_hits_bytes_and_what_the_origin_is_spared_by_route() -> Result<()> {
    let folder = TempDir::new()?;
    let config = write(
        &folder,
        "config.toml",
        &format!("{CONFIG}[[routes]]\nname = \"a\"\npath = \"/a\"\nttl = \"1m\"\n[[routes]]\nname = \"b\"\npath = \"/b\"\n"),
    )?;
    // Fresh for a minute, so the fetches are those at 0, 60 and 120.
    let a: String = (0..13).map(|number| combined(number * 10, "/a", 100)).collect();
    let log = write(&folder, "access.log", &format!("{a}{}{}broken\n", combined(125, "/b", 300), combined(126, "/b", 300)))?;
    let output = simulate(&["--config", &config, "--no-curve", "--json", &log])?;
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_str(&text(&output))?;
    let total = &report["total"];
    assert_eq!((&total["requests"], &total["hits"], &total["misses"]), (&15.into(), &10.into(), &5.into()), "{report:#}");
    assert_eq!((&total["bytes"], &total["hit_bytes"], &total["origin_requests"]), (&1900.into(), &1000.into(), &5.into()));
    assert_eq!((&report["routes"][0]["route"], &report["routes"][0]["hits"]), (&"a".into(), &10.into()));
    assert_eq!((&report["not_stored"][0]["reason"], &report["not_stored"][0]["requests"]), (&"no-lifetime".into(), &2.into()));
    assert_eq!((&report["lines"]["broken"], &report["lines"]["first_broken"][0]["line"]), (&1.into(), &16.into()));
    let assumed = report["assumed"].to_string();
    assert!(assumed.contains("15 lines tell nothing of a lifetime") && assumed.contains("tell no host"), "{assumed}");
    Ok(())
}

#[test]
fn reads_whose_key_has_their_content_are_told_as_not_stored_and_are_no_writes() -> Result<()> {
    let folder = TempDir::new()?;
    let route = |name: &str, more: &str| {
        format!("[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nread = true\nttl = \"1m\"\nkey = {{ body = \"json\" }}\n{more}\n")
    };
    let config = write(&folder, "config.toml", &format!("{CONFIG}{}{}", route("search", ""), route("uncached", "cache = false")))?;
    let posts: String = (0..3).map(|second| combined(second, "/search", 300).replace("GET", "POST")).collect();
    let writes: String = ["/uncached", "/other"].map(|path| combined(4, path, 300).replace("GET", "POST")).concat();
    let log = write(&folder, "access.log", &format!("{posts}{writes}"))?;
    let output = simulate(&["--config", &config, "--no-curve", "--json", &log])?;
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_str(&text(&output))?;
    assert_eq!(report["writes"]["writes"], 2, "what is not cached is no read: {report:#}");
    let told = &report["not_stored"];
    assert_eq!((&told[0]["reason"], &told[0]["requests"]), (&"body-not-keyed".into(), &3.into()), "{told:#}");
    Ok(())
}

#[test]
fn what_is_assumed_of_a_route_makes_its_answers_storable() -> Result<()> {
    let folder = TempDir::new()?;
    let config = write(&folder, "config.toml", &format!("{CONFIG}[[routes]]\nname = \"b\"\npath = \"/b\"\n"))?;
    let log = write(&folder, "access.log", &(0..10).map(|second| combined(second, "/b", 300)).collect::<String>())?;
    let hits = |assume: &[&str]| -> Result<Value> {
        let output = simulate(&[&["--config", &config, "--no-curve", "--json"], assume, &[&log]].concat())?;
        assert!(output.status.success(), "{}", said(&output));
        Ok(serde_json::from_str::<Value>(&text(&output))?["total"]["hits"].clone())
    };
    assert_eq!([hits(&[])?, hits(&["--assume", "b=max-age=60"])?, hits(&["--assume", "*=max-age=5"])?], [0, 9, 8]);
    let unknown = simulate(&["--config", &config, "--assume", "bb=max-age=60", &log])?;
    assert!(!unknown.status.success() && said(&unknown).contains("there is no route `bb`"), "{}", said(&unknown));
    Ok(())
}

#[test]
fn two_configurations_are_compared() -> Result<()> {
    let folder = TempDir::new()?;
    let route = |drop: &str| format!("{CONFIG}[[routes]]\nname = \"a\"\npath = \"/a\"\nttl = \"1h\"\n{drop}");
    let a = write(&folder, "a.toml", &route(""))?;
    let b = write(&folder, "b.toml", &route("query = { drop = [\"session\"] }\n"))?;
    let log =
        write(&folder, "access.log", &(0..10).map(|second| combined(second, &format!("/a?session={second}"), 300)).collect::<String>())?;
    let output = simulate(&["--compare", &a, &b, "--no-curve", "--json", &log])?;
    assert!(output.status.success(), "{}", said(&output));
    let json: Value = serde_json::from_str(&text(&output))?;
    assert_eq!([&json["reports"][0]["total"]["hits"], &json["reports"][1]["total"]["hits"]], [0, 9]);
    assert_eq!((&json["comparison"]["gained"], &json["comparison"]["lost"]), (&9.into(), &0.into()));
    // The parameter is the one that the first report names.
    let split = &json["reports"][0]["splits"][0];
    let said = (&split["by"], &split["name"], &split["needless_fetches"]);
    assert_eq!(said, (&"parameter".into(), &"session".into(), &9.into()), "{json:#}");
    let output = simulate(&["--compare", &a, &b, "--no-curve", &log])?;
    assert!(text(&output).contains("9 requests are hits with B alone"), "{}", text(&output));
    Ok(())
}

/// Larder's own log has fields of requests where it is told to, and none of answers: these are assumed.
#[test]
fn headers_that_split_keys_needlessly_are_named() -> Result<()> {
    let folder = TempDir::new()?;
    let config = write(
        &folder,
        "config.toml",
        &format!("{CONFIG}[[routes]]\nname = \"a\"\npath = \"/a\"\nttl = \"1h\"\nkey = {{ headers = [\"x-client\"] }}\n"),
    )?;
    let line = |second: u32| {
        let (client, theme) = (second % 5, second % 3);
        format!(
            "{{\"timestamp\":\"2026-11-30T09:00:{second:02}Z\",\"method\":\"GET\",\"host\":\"h\",\"target\":\"/a\",\"status\":200,\"bytes\":{},\"duration_us\":5,\"header.x-client\":\"v{client}\",\"header.x-theme\":\"t{theme}\"}}\n",
            100 + theme
        )
    };
    let log = write(&folder, "access.log", &(0..15).map(line).collect::<String>())?;
    let output = simulate(&["--config", &config, "--no-curve", "--json", "--assume", "a=vary: x-theme", &log])?;
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_str(&text(&output))?;
    assert_eq!(report["total"]["misses"], 15, "{report:#}");
    // The theme decides about the size; the client about nothing, and twelve of its fetches find the same answer.
    let splits = &report["splits"];
    let found = (splits.as_array().map(Vec::len), &splits[0]["by"], &splits[0]["name"], &splits[0]["needless_fetches"]);
    assert_eq!(found, (Some(1), &"header".into(), &"x-client".into(), &12.into()), "{splits:#}");
    let output = simulate(&["--config", &config, "--no-curve", "--assume", "a=vary: x-theme", &log])?;
    assert!(text(&output).contains("x-client     header") && text(&output).contains("`key.headers`"), "{}", text(&output));
    Ok(())
}

#[test]
fn the_curve_rises_with_the_memory_and_is_drawn() -> Result<()> {
    let folder = TempDir::new()?;
    let config = write(
        &folder,
        "config.toml",
        &format!("{CONFIG}[store.memory]\ncapacity = \"1MiB\"\n[[routes]]\npath = \"/{{*rest}}\"\nttl = \"1h\"\n"),
    )?;
    // Two megabytes of bodies in a cycle: no cache of half the size holds what comes next.
    let lines = (0..600_u32).map(|number| combined(number, &format!("/{}", number % 50), 40_000));
    let log = write(&folder, "access.log", &lines.collect::<String>())?;
    let drawing = folder.path().join("curve.svg");
    let arguments = ["--config", &config, "--sample", "1", "--svg", &drawing.display().to_string(), "--json", &log];
    let output = simulate(&arguments)?;
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_str(&text(&output))?;
    let points = report["curve"]["points"].as_array().expect("points").clone();
    let ratios: Vec<f64> = points.iter().map(|point| point["hits"].as_f64().unwrap() / point["requests"].as_f64().unwrap()).collect();
    assert_eq!(ratios.len(), 9);
    assert!(ratios[0] < 0.2 && ratios[8] > 0.9 && ratios.is_sorted_by(|small, large| *small <= large + 0.05), "{ratios:?}");
    let (sampled, whole) = (points[4]["hits"].as_i64().unwrap(), report["total"]["hits"].as_i64().unwrap());
    assert!((sampled - whole).abs() <= 6, "of all keys and with the configured size, it is the whole: {sampled}, {whole}");
    let drawing = std::fs::read_to_string(&drawing)?;
    assert!(drawing.starts_with("<svg") && drawing.matches("<circle").count() == 18 && drawing.contains("1 MiB"), "{drawing}");
    Ok(())
}

#[test]
fn lifetimes_are_advised_by_how_often_answers_changed() -> Result<()> {
    let folder = TempDir::new()?;
    let config = write(
        &folder,
        "config.toml",
        &format!("{CONFIG}[[routes]]\nname = \"a\"\npath = \"/a\"\n[[routes]]\nname = \"b\"\npath = \"/b\"\n"),
    )?;
    let line = |second: u32, path: &str, version: u32| {
        format!(
            "{{\"msec\":{}.0,\"request_uri\":\"{path}\",\"status\":200,\"body_bytes_sent\":100,\"sent_http_etag\":\"\\\"{version}\\\"\"}}\n",
            1_796_029_200 + second
        )
    };
    // One never changes, the other with every request.
    let lines = (0..2_000).map(|number| line(number * 10, "/a", 1) + &line(number * 10, "/b", number));
    let log = write(&folder, "access.log", &lines.collect::<String>())?;
    let output = simulate(&["--config", &config, "--no-curve", "--advise", "--json", &log])?;
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_str(&text(&output))?;
    let advice = &report["advice"];
    assert_eq!(
        (&advice[0]["route"], &advice[0]["changes"], &advice[0]["evidence"]),
        (&"a".into(), &0.into(), &"entity_tag".into()),
        "{advice:#}"
    );
    assert!(advice[0]["advised"]["seconds"].as_u64() >= Some(3600) && advice[0]["advised"]["stale_ratio"] == 0.0, "{advice:#}");
    assert_eq!((&advice[1]["changes"], &advice[1]["advised"]), (&1999.into(), &Value::Null), "{advice:#}");
    Ok(())
}

#[tokio::test]
async fn the_origin_is_asked_once_a_route_for_what_the_log_does_not_tell() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.always("GET", "/a/0", Answer::ok().header("Cache-Control", "max-age=60").body("a"));
    origin.always("GET", "/b", Answer::ok().header("Cache-Control", "no-store").body("b"));
    let routes = "[[routes]]\nname = \"a\"\npath = \"/a/{id}\"\n[[routes]]\nname = \"b\"\npath = \"/b\"\n";
    let config = write(&folder, "config.toml", &format!("[upstreams.api]\nurl = \"{}\"\n{routes}", origin.url()))?;
    let lines = (0..10).map(|second| combined(second, &format!("/a/{}", second % 2), 100) + &combined(second, "/b", 100));
    let log = write(&folder, "access.log", &lines.collect::<String>())?;
    let arguments: Vec<String> = ["--config", &config, "--no-curve", "--probe", "--json", &log].map(str::to_owned).into();
    let output = tokio::task::spawn_blocking(move || {
        simulate(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).map_err(|error| error.to_string())
    })
    .await?
    .map_err(larder_testkit::Error::new)?;
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_str(&text(&output))?;
    assert_eq!((origin.count_of("/a/0"), origin.count_of("/a/1"), origin.count_of("/b")), (1, 0, 1));
    assert_eq!((&report["total"]["hits"], &report["not_stored"][0]["reason"]), (&8.into(), &"no-store".into()), "{report:#}");
    Ok(())
}

#[test]
fn what_cannot_be_simulated_is_one_sentence() -> Result<()> {
    let folder = TempDir::new()?;
    let config = write(&folder, "config.toml", CONFIG)?;
    let (log, notes, empty) =
        (write(&folder, "access.log", &combined(0, "/a", 1))?, write(&folder, "notes.txt", "no log\n")?, write(&folder, "empty.log", "")?);
    let absent = folder.path().join("absent.log").display().to_string();
    for (arguments, sentence) in [
        (&["--config", &config, &notes][..], "is of no format that is known"),
        (&["--config", &config, &absent], "cannot be read"),
        (&["--config", &config, &empty], "there is no request in the logs"),
        (&["--config", &config, "--format", "combinde", &log], "is no format and no pattern"),
        (&["--config", &config, "--assume", "a", &log], "it is ROUTE=DIRECTIVES"),
        (&["--config", &config, "--probe", "-"], "standard input"),
        (&["--config", &absent, &log], "there is no such file"),
        (&["--config", &config, "--decisions", "/nowhere/at/all", &log], "cannot be written"),
    ] {
        let output = simulate(arguments)?;
        assert!(!output.status.success() && said(&output).contains(sentence), "{arguments:?}: {}", said(&output));
    }
    Ok(())
}
