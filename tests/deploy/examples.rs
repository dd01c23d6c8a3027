//! The folders in `examples/`: each is started by its own script, and what its page shows is run and compared.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_testkit::larder::{address_after, binary};
use larder_testkit::process::Process;
use larder_testkit::wait::eventually;
use larder_testkit::{Client, Error, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{read, root};

/// Where a page and a script say that things listen.
const BACKEND: &str = "127.0.0.1:3000";
const CLIENTS: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:8090";

/// A copy of the example whose backend listens elsewhere, since tests run side by side.
fn copy(example: &str, backend: SocketAddr) -> Result<TempDir> {
    let folder = TempDir::new()?;
    for path in super::kubernetes::files(&format!("examples/{example}"))? {
        let (from, name) = (root().join(&path), Path::new(&path).file_name().unwrap_or_default());
        let to = folder.path().join(name);
        fs::write(&to, read(&path)?.replace(BACKEND, &backend.to_string()))?;
        fs::set_permissions(&to, fs::metadata(from)?.permissions())?;
    }
    Ok(folder)
}

/// The commands of the page's `console` blocks, each with the lines that are shown below it.
fn shown(page: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for block in page.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((_, lines))) => lines.push(line.to_owned()),
                (None, None) => {}
            }
        }
    }
    commands
}

/// Runs what the page shows against these listeners: in what is printed, each shown line stands after the one before it.
fn follow(page: &str, clients: SocketAddr, admin: SocketAddr) -> Result<()> {
    let commands = shown(page);
    assert!(commands.len() > 3, "the page shows nothing");
    for (command, lines) in commands {
        let here = command.replace(CLIENTS, &clients.to_string()).replace(ADMIN, &admin.to_string());
        let output = Command::new("bash").args(["-c", &here]).output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            return Err(Error::new(format!("{command}: {}: {printed}{}", output.status, String::from_utf8_lossy(&output.stderr))));
        }
        let mut rest = printed.as_str();
        for line in lines {
            let at = rest.find(&line).ok_or_else(|| Error::new(format!("{command}\nno `{line}` in\n{printed}")))?;
            rest = &rest[at + line.len()..];
        }
    }
    Ok(())
}

/// Starts the example as its page says, and follows the page.
async fn runs(example: &str, packages: Option<PathBuf>) -> Result<()> {
    let backend = larder_tests::free_address()?;
    let folder = copy(example, backend)?;
    let mut start = Command::new(folder.path().join("start.sh"));
    start.env("LARDER", binary()?).env("LARDER_LISTEN", "127.0.0.1:0").env("LARDER_ADMIN_LISTEN", "127.0.0.1:0").env_remove("REDIS_URL");
    if let Some(packages) = packages {
        start.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    }
    let process = Process::start(example, &mut start)?;
    let followed = async {
        let clients = process.line("`listening on`", |line| address_after(line, "listening on http://")).await?;
        let admin = process.line("`admin on`", |line| address_after(line, "admin on http://")).await?;
        let accepts = || async { Ok(Client::connect(backend).await.ok().map(drop)) };
        eventually("waiting for the backend", accepts).await.map_err(|error| process.explain(error))?;
        follow(&read(&format!("examples/{example}/README.md"))?, clients, admin)
    }
    .await;
    // The script ends what it has started, whatever came of it.
    process.signal(Signal::TERM)?;
    process.exited().await?;
    let gone = || async { Ok(Client::connect(backend).await.err().map(drop)) };
    eventually("waiting for the backend to be gone", gone).await?;
    followed
}

/// Where `cargo xtask test` has put what the page says to install.
fn python(package: &str) -> Result<Option<PathBuf>> {
    Ok(Some(larder_tests::backends(&format!("python/{package}/__init__.py"))?.join("python")))
}

#[tokio::test]
async fn fastapi_does_what_its_page_says() -> Result<()> {
    runs("fastapi", python("fastapi")?).await
}

#[tokio::test]
async fn graphql_does_what_its_page_says() -> Result<()> {
    runs("graphql", python("graphql")?).await
}

#[tokio::test]
async fn node_does_what_its_page_says() -> Result<()> {
    runs("node", None).await
}

#[tokio::test]
async fn a_chat_does_what_its_page_says() -> Result<()> {
    runs("sse-chat", None).await
}

#[test]
fn every_example_is_in_the_list_and_is_whole() -> Result<()> {
    let list = read("examples/README.md")?;
    for entry in fs::read_dir(root().join("examples"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(list.contains(&format!("[{name}]({name})")), "{name} is not in the list");
            for file in ["README.md", "larder.toml", "start.sh"] {
                assert!(entry.path().join(file).is_file(), "{name} has no {file}");
            }
            let installs = read(&format!("examples/{name}/README.md"))?.contains("requirements.txt");
            assert_eq!(installs, entry.path().join("requirements.txt").is_file(), "{name}");
        }
    }
    Ok(())
}
