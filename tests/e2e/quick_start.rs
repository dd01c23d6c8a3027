//! The README's commands.

use std::process::Command;

use larder_testkit::larder::command;
use larder_testkit::process::Process;
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

/// Every command that the demo prints is run as printed, and does what the comment below it says.
#[tokio::test]
async fn the_demos_printed_commands_do_what_they_say() -> Result<()> {
    let mut command = command()?;
    let backend = larder_tests::free_address()?.to_string();
    command.args(["demo", "--backend", &backend, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let process = Process::start("larder demo", &mut command)?;
    process.line("the last command", |line| line.contains("/metrics").then_some(())).await?;
    process.line("the comment below it", |line| line.contains("# larder_requests_total").then_some(())).await?;
    let lines = process.output();
    let commands: Vec<_> = lines.windows(2).filter(|pair| pair[0].contains("curl ") && pair[1].trim().starts_with('#')).collect();
    assert!(commands.len() >= 10, "{lines:?}");
    for pair in commands {
        let (printed, said) = (pair[0].trim(), pair[1].trim().trim_start_matches("# "));
        // The stream of events never ends by itself.
        let output = Command::new("timeout").args(["3", "sh", "-c", printed]).output()?;
        let output = String::from_utf8_lossy(&output.stdout).to_lowercase();
        for promise in promises(said) {
            assert!(output.contains(&promise.to_lowercase()), "{printed}\nsays {promise:?}, but:\n{output}");
        }
    }
    Ok(())
}

/// What a comment says that can be found in the output: a status line, `X-Cache`, a count, a metric's name.
fn promises(said: &str) -> Vec<String> {
    let mut promises = Vec::new();
    let words: Vec<&str> = said.split_whitespace().collect();
    for pair in words.windows(2) {
        match pair {
            ["HTTP/1.1" | "X-Cache:", _] | [_, "times"] => promises.push(pair.join(" ").replace("times", "x-backend-request")),
            _ => {}
        }
    }
    promises.extend(words.first().filter(|word| word.starts_with("larder_")).map(|word| (*word).to_owned()));
    assert!(!promises.is_empty(), "nothing to check in {said:?}");
    promises
}

#[test]
fn the_version_is_told() -> Result<()> {
    let output = command()?.arg("--version").output()?;
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("larder 0."));
    Ok(())
}
