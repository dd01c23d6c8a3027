//! `larder demo` prints commands, each with what to expect. Run as printed, by a shell with curl, they do what is said.

use std::process::Command;

use larder_testkit::larder::command;
use larder_testkit::process::Process;
use larder_testkit::{Error, Result};

/// The commands and the expectations behind them, as [`guide`](../crates/gateway/src/demo/guide.rs) lays them out.
fn steps(output: &[String]) -> Vec<(&str, &str)> {
    // The log comes on a stream of its own, so a line of it may stand between a command and its expectation.
    let guide: Vec<&str> = output.iter().filter_map(|line| line.strip_prefix("  ")).collect();
    guide.windows(2).filter_map(|pair| Some((pair[0], pair[1].strip_prefix("# ")?))).collect()
}

fn run(command: &str) -> Result<String> {
    let output = Command::new("bash").args(["-c", command]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    if text.is_empty() {
        return Err(Error::new(format!("{command} printed nothing (is curl installed?): {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(text)
}

/// Whether `output` is what `expected` announces: the result and the status it names, or, for many requests, one number 50 times.
fn holds(expected: &str, output: &str) -> bool {
    let head = output.to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default().to_owned();
    let result = expected.split("X-Cache: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let status = expected.split("HTTP/1.1 ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or("200");
    match result {
        Some(result) => field("x-cache") == result.to_ascii_lowercase() && head.starts_with(&format!("http/1.1 {status}")),
        None if expected.starts_with('{') => output == expected,
        None if expected.starts_with("50 times") => output.lines().count() == 1 && output.trim_start().starts_with("50 "),
        None => output.contains("larder_requests_total"),
    }
}

#[tokio::test]
async fn the_demo_s_printed_commands_do_what_they_say() -> Result<()> {
    let mut demo = command()?;
    demo.args(["demo", "--backend", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let process = Process::start("larder demo", &mut demo)?;
    process.line("the end of what to try", |line| line.contains("# larder_requests_total").then_some(())).await?;
    let output = process.output();
    let steps = steps(&output);
    assert!(steps.len() > 15, "{output:?}");
    for (command, expected) in steps {
        let printed = run(command)?;
        assert!(holds(expected, &printed), "{command}\nexpected: {expected}\nprinted:\n{printed}");
    }
    Ok(())
}
