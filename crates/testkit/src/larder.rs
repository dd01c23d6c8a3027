//! The built binary as a process, from the outside: sockets, signals, files and what it prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::wait::eventually;
use crate::{Client, Error, Response, Result};

/// A running Larder. It is killed when dropped.
pub struct Larder {
    process: Arc<Process>,
    folder: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
}

/// The binary under test: `LARDER_BIN`, or else the one built beside the test.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LARDER_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let beside = test.ancestors().skip(1).take(2).map(|folder| folder.join("larder")).find(|path| path.is_file());
    beside.ok_or_else(|| Error::new("no built binary: run `cargo build --package larder` first, or `cargo xtask test` for everything"))
}

/// A command for the binary, with nothing of the caller's settings in its environment.
pub fn command() -> Result<Command> {
    let mut command = Command::new(binary()?);
    for name in ["LARDER_LISTEN", "LARDER_ADMIN_LISTEN", "REDIS_URL", "RUST_LOG", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// The same with a folder of its own for what it keeps over a restart: no process of another test has left anything there.
fn command_in(folder: &TempDir) -> Result<Command> {
    let mut command = command()?;
    command.env("XDG_STATE_HOME", folder.path().join("state")).env_remove("STATE_DIRECTORY");
    Ok(command)
}

/// A config whose listeners take free ports and whose one upstream, `api`, is at this URL. What else the test needs follows it.
pub fn config(origin: &str, rest: &str) -> String {
    let listener = |table: &str| {
        let given = rest.contains(&format!("[{table}]")) || (table == "server" && rest.contains("[[listeners]]"));
        if given { String::new() } else { format!("[{table}]\nlisten = \"127.0.0.1:0\"\n") }
    };
    let upstream = if rest.contains("[upstreams.api]") { String::new() } else { format!("[upstreams.api]\nurl = \"{origin}\"\n") };
    let route = if rest.contains("[[routes]]") { "" } else { "[[routes]]\npath = \"/{*rest}\"\nupstream = \"api\"\n" };
    format!("{}{}{upstream}{rest}\n{route}", listener("server"), listener("admin"))
}

impl Larder {
    /// Starts `larder serve` with this config and waits until it is ready.
    pub async fn start(config: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let file = folder.path().join("config.toml");
        std::fs::write(&file, config)?;
        let process = Process::start("larder", command_in(&folder)?.arg("serve").arg("--config").arg(&file))?;
        Self::started(process, folder).await
    }

    /// Starts the binary with these arguments and waits until it is ready.
    pub async fn start_with(arguments: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let process = Process::start("larder", command_in(&folder)?.args(arguments).current_dir(folder.path()))?;
        Self::started(process, folder).await
    }

    /// Starts with the origin's URL in [`config`].
    pub async fn before(origin: &crate::Origin, rest: &str) -> Result<Self> {
        Self::start(&config(&origin.url(), rest)).await
    }

    async fn started(process: Arc<Process>, folder: TempDir) -> Result<Self> {
        let address = process.line("`listening on`", listening_address).await?;
        let admin = process.line("`admin on`", |line| address_after(line, "admin on http://")).await?;
        let larder = Self { process, folder, address, admin };
        let ready = || async { Ok(larder.admin("/readyz").await.ok().filter(|response| response.status == 200)) };
        eventually("waiting for /readyz", ready).await.map_err(|error| larder.process.explain(error))?;
        Ok(larder)
    }

    /// Where the public listener is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its public listeners are, of which there are so many, in the order of the configuration.
    pub async fn addresses(&self, count: usize) -> Result<Vec<SocketAddr>> {
        let all = || async {
            let addresses: Vec<_> = self.process.output().iter().filter_map(|line| listening_address(line)).collect();
            Ok((addresses.len() >= count).then_some(addresses))
        };
        eventually(format!("waiting for {count} listeners"), all).await.map_err(|error| self.process.explain(error))
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The config file it was started with.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// The process, for its output.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Bytes of memory that the process holds now.
    pub fn resident_bytes(&self) -> Result<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        Ok(kibibytes.ok_or_else(|| Error::new("no VmRSS in the process's status"))? * 1024)
    }

    /// A new connection to the public listener.
    pub async fn connect(&self) -> Result<Client> {
        Client::connect(self.address).await
    }

    /// A request on a connection of its own.
    pub async fn request(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Result<Response> {
        let outcome = self.connect().await?.exchange(method, target, fields, body).await;
        outcome.map_err(|error| self.process.explain(error))
    }

    /// A GET on a connection of its own.
    pub async fn get(&self, target: &str) -> Result<Response> {
        self.request("GET", target, &[], "").await
    }

    /// A GET on the admin listener.
    pub async fn admin(&self, target: &str) -> Result<Response> {
        Client::connect(self.admin).await?.exchange("GET", target, &[("Connection", "close")], "").await
    }

    /// The sum of the samples in `/metrics` that begin with `name` and have each of these `label="value"` parts.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        Ok(sum(&self.admin("/metrics").await?.text(), name, labels))
    }

    /// Waits until [`Larder::metric`] is at least `least`.
    pub async fn metric_reaches(&self, name: &str, labels: &[&str], min: f64) -> Result<()> {
        let probe = || async { Ok((self.metric(name, labels).await? >= min).then_some(())) };
        eventually(format!("waiting for {name} {labels:?} to reach {min}"), probe).await
    }

    /// Waits until no fill is under way: what was fetched, in the background too, is stored or was thrown away.
    pub async fn settled(&self) -> Result<()> {
        let probe = || async { Ok((self.metric("larder_fills_in_flight", &[]).await? == 0.0).then_some(())) };
        eventually("waiting for the fills to end", probe).await
    }

    /// Replaces the config file in one step, as an editor does.
    pub fn write_config(&self, config: &str) -> Result<()> {
        replace(&self.config_file(), config)
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) -> Result<()> {
        self.process.signal(Signal::HUP)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// Waits for the process to end.
    pub async fn exited(&self) -> Result<ExitStatus> {
        self.process.exited().await
    }
}

/// The sum of the samples in this exposition that begin with `name` and have each of these `label="value"` parts.
pub fn sum(exposition: &str, name: &str, labels: &[&str]) -> f64 {
    let has_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    let samples = exposition.lines().filter(has_name).filter(|line| labels.iter().all(|label| line.contains(label)));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Runs `larder check` on this config, as the file `config.toml` in a folder of its own.
pub fn check(config: &str) -> Result<Output> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("config.toml"), config)?;
    Ok(command()?.args(["check", "--config", "config.toml"]).current_dir(folder.path()).output()?)
}

fn replace(file: &Path, text: &str) -> Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text)?;
    Ok(std::fs::rename(beside, file)?)
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    address_after(line, "listening on http://").or_else(|| address_after(line, "listening on https://"))
}

/// The address in a line such as `… listening on http://127.0.0.1:8080`, whatever stands before it.
pub fn address_after(line: &str, words: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(words)? + words.len()..];
    rest.split(|character: char| character.is_whitespace() || "\"',}\u{1b}".contains(character)).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{address_after, config};

    #[test]
    fn the_address_is_found_in_plain_and_in_structured_lines() {
        let address = Some("127.0.0.1:80".parse().unwrap());
        for line in [
            "listening on http://127.0.0.1:80",
            "INFO larder: listening on http://127.0.0.1:80 ",
            r#"{"message":"listening on http://127.0.0.1:80"}"#,
        ] {
            assert_eq!(address_after(line, "listening on http://"), address, "{line}");
        }
        assert_eq!(address_after("admin on http://127.0.0.1:80", "listening on http://"), None);
    }

    #[test]
    fn a_config_gets_what_the_test_left_out() {
        let text = config("http://o", "[cache]\nttl = \"1s\"");
        assert!(text.contains("[server]") && text.contains("url = \"http://o\"") && text.contains("[[routes]]"));
        assert_eq!(config("http://o", "[server]\nlisten = \"x\"\n[[routes]]\npath = \"/\"").matches("[server]").count(), 1);
    }
}
