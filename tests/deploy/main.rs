//! What is shipped: the promise of docs/compatibility.md, and the files in `deploy/`, `examples/` and `.github/`, checked as far as possible without a container engine: it parses, the paths exist, the flags are those of the
//! binary, the configuration is right.

mod compatibility;
mod compose;
mod debian;
mod examples;
mod image;
mod kubernetes;
mod monitoring;
mod workflows;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder_testkit::larder::{binary, command};
use larder_testkit::{Client, Error, Result};

/// Where the package puts the binary and its configuration.
const INSTALLED: &str = "/usr/local/bin/larder";
const CONFIG: &str = "/etc/larder/config.toml";

/// Runs it; its standard output, or an error with all that it said.
fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| Error::from(error).while_doing(format!("running {command:?}")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(Error::new(format!("{command:?}: {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr))))
}

/// What `X-Cache` says of the same request, sent twice: "MISS" and "HIT" is what a stranger's first five minutes come to.
async fn asked_twice(address: SocketAddr, path: &str) -> Result<[String; 2]> {
    let mut client = Client::connect(address).await?;
    let mut said = [String::new(), String::new()];
    for said in &mut said {
        *said = client.exchange("GET", path, &[], "").await?.x_cache().to_owned();
    }
    Ok(said)
}

/// The task runner that was built beside the tests.
fn xtask() -> Result<Command> {
    let test = std::env::current_exe()?;
    let xtask = test.ancestors().map(|folder| folder.join("xtask")).find(|path| path.is_file());
    xtask
        .map(Command::new)
        .ok_or_else(|| Error::new("no built xtask: run `cargo build --package xtask` first, or `cargo xtask test` for everything"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).map_err(|error| Error::from(error).while_doing(format!("reading {path}")))
}

/// Asserts that `arguments` are a subcommand of the binary and flags it has.
fn assert_understood(arguments: &[&str]) -> Result<()> {
    let Some((subcommand, rest)) = arguments.split_first() else { return Err(Error::new("no subcommand")) };
    let output = command()?.args([subcommand, "--help"]).output()?;
    assert!(output.status.success(), "larder has no `{subcommand}`");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let known: Vec<&str> = help.split(|c: char| c.is_whitespace() || c == ',').collect();
    for flag in rest.iter().filter(|argument| argument.starts_with('-')) {
        assert!(known.contains(flag), "larder {subcommand} has no {flag}");
    }
    Ok(())
}

#[test]
fn the_example_configurations_are_right() -> Result<()> {
    for file in ["deploy/config.toml", "deploy/container.toml"] {
        let output = command()?.args(["check", "--config"]).arg(root().join(file)).output()?;
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// In a container, loopback is the container: probes over the network would reach nothing there.
#[test]
fn the_images_configuration_has_nothing_on_loopback() -> Result<()> {
    let text = read("deploy/container.toml")?;
    let lines: Vec<_> =
        text.lines().filter(|line| !line.starts_with('#') && (line.contains("127.0.0.1") || line.contains("localhost"))).collect();
    assert_eq!(lines, [""; 0]);
    Ok(())
}

/// An instruction of a Dockerfile with its arguments, continued lines joined.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let text: String = dockerfile.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let joined = text.replace("\\\n", " ");
    joined.lines().filter_map(|line| line.trim().split_once(' ')).map(|(name, rest)| (name.to_owned(), rest.trim().to_owned())).collect()
}

#[test]
fn the_image_is_built_from_paths_that_exist_and_runs_without_root() -> Result<()> {
    let dockerfile = read("deploy/Dockerfile")?;
    let instructions = instructions(&dockerfile);
    let last = instructions.iter().rposition(|(name, _)| name == "FROM").ok_or_else(|| Error::new("no FROM"))?;
    assert!(instructions[..last].iter().any(|(name, rest)| name == "FROM" && rest.ends_with(" AS build")), "two stages");
    for (name, rest) in &instructions {
        let words: Vec<&str> = rest.split_whitespace().collect();
        match (name.as_str(), words.as_slice()) {
            ("FROM", [image, ..]) => assert!(image.contains(':'), "{image} names no version"),
            ("COPY", ["--from=build", ..]) => {}
            ("COPY", [source, _]) => assert!(root().join(source).exists(), "{source} is not in the repository"),
            ("ENTRYPOINT", _) => assert_eq!(serde_json::from_str::<Vec<String>>(rest)?, [INSTALLED]),
            ("HEALTHCHECK", _) => {
                let asked = rest.split_once("CMD ").map(|(_, asked)| serde_json::from_str::<Vec<String>>(asked)).transpose()?;
                assert_health_check(&asked.ok_or_else(|| Error::new("a health check without CMD"))?)?;
            }
            ("CMD", _) => {
                let arguments: Vec<String> = serde_json::from_str(rest)?;
                assert_understood(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
                assert_eq!(arguments.last().map(String::as_str), Some(CONFIG));
            }
            ("LABEL", _) => {
                for (label, value) in [("source", env!("CARGO_PKG_REPOSITORY")), ("licenses", env!("CARGO_PKG_LICENSE"))] {
                    assert!(rest.contains(&format!("org.opencontainers.image.{label}=\"{value}\"")), "{rest}");
                }
            }
            ("RUN" | "ENV" | "WORKDIR" | "USER" | "EXPOSE", _) => {}
            _ => return Err(Error::new(format!("unknown instruction: {name} {rest}"))),
        }
    }
    assert!(instructions[last..].iter().any(|(name, _)| name == "HEALTHCHECK"), "no health check");
    assert!(instructions[last..].iter().any(|(name, _)| name == "LABEL"), "nothing says where the image is from");
    let runs_as = instructions[last..].iter().rfind(|(name, _)| name == "USER").map(|(_, user)| user.as_str());
    assert_eq!(runs_as, Some("nonroot"));
    let toolchain = format!("rust:{}-", rust_version()?);
    assert!(dockerfile.contains(&toolchain), "the image builds with another compiler than {toolchain}");
    Ok(())
}

/// The probe for readiness, by the binary itself: there is no shell and no curl.
fn assert_health_check(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(words[..2], [INSTALLED, "ready"]);
    assert_understood(&words[1..])
}

/// `rust-version` of the workspace.
fn rust_version() -> Result<String> {
    let manifest = read("Cargo.toml")?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    line.map(|version| version.trim_matches('"').to_owned()).ok_or_else(|| Error::new("no rust-version"))
}

#[test]
fn the_unit_starts_larder_with_flags_it_has() -> Result<()> {
    let unit = read("deploy/larder.service")?;
    for setting in ["ExecStartPre", "ExecStart"] {
        let line = unit.lines().find_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
        let words: Vec<&str> = line.ok_or_else(|| Error::new(format!("no {setting}")))?.split_whitespace().collect();
        assert_eq!((words.first(), words.last()), (Some(&INSTALLED), Some(&CONFIG)));
        assert_understood(&words[1..])?;
    }
    // With a user that is made at each start, only these can hold what outlives it and what is secret.
    for setting in ["StateDirectory=larder", "EnvironmentFile=-/etc/larder/environment", "# LoadCredential="] {
        assert!(unit.lines().any(|line| line.starts_with(setting)), "no {setting}");
    }
    Ok(())
}

/// systemd judges the unit itself, with the binary under test in the place of the installed one.
#[test]
fn systemd_accepts_the_unit() -> Result<()> {
    let unit = read("deploy/larder.service")?.replace(INSTALLED, &binary()?.to_string_lossy());
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("larder.service");
    fs::write(&file, unit)?;
    let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output();
    let verified = verified.map_err(|error| Error::from(error).while_doing("running systemd-analyze, of Debian's package systemd"))?;
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
    Ok(())
}
