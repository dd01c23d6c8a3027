//! Real servers of the test's own, on free ports, in folders of their own.

mod cluster;
mod sentinel;
mod tls;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinels;
pub use tls::TlsRedis;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;
use crate::wait::{eventually, within};
use crate::{Error, Result};

/// A running redis-server. It is killed when dropped.
pub struct Redis {
    program: String,
    process: Arc<Process>,
    folder: TempDir,
    address: SocketAddr,
    settings: Vec<String>,
}

impl Redis {
    /// Starts one that keeps nothing on disk, and waits until it answers.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one with further settings, each a name and its value as on the command line: `["--maxmemory", "2mb"]`.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        Self::start_program("redis-server", settings).await
    }

    /// The programs of this kind that the system has: redis-server, which the tests need, Valkey's where it is installed, and those whose
    /// paths stand in `LARDER_TEST_REDIS_SERVERS`, separated by colons.
    pub fn programs() -> Vec<String> {
        let works = |program: &String| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
        let others = std::env::var("LARDER_TEST_REDIS_SERVERS").unwrap_or_default();
        let others = others.split(':').filter(|path| !path.is_empty()).map(str::to_owned);
        let mut programs = vec!["redis-server".to_owned()];
        programs.extend(["valkey-server".to_owned()].into_iter().filter(works).chain(others));
        programs
    }

    /// Starts this program.
    pub async fn start_program(program: &str, settings: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        // Another process may take the free port before the server does.
        let mut last = None;
        for _ in 0..5 {
            let address = free_address()?;
            match launch(program, address, &folder, &settings).await {
                Ok(process) => return Ok(Self { program: program.to_owned(), process, folder, address, settings }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new("no free port")))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The URL of its socket in the file system.
    pub fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    /// Sends it a signal: `STOP` for a server that hangs, `CONT` for its recovery.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Kills it, as a machine that loses power would.
    pub async fn kill(&self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.exited().await.map(drop)
    }

    /// Starts it again on the same port, empty, after [`Redis::kill`].
    pub async fn restart(&mut self) -> Result<()> {
        self.process = launch(&self.program, self.address, &self.folder, &self.settings).await?;
        Ok(())
    }

    /// One command, and the first line of its answer with the type sign, or the whole bulk string.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        command(self.address, arguments).await
    }

    /// An integer answer.
    pub async fn count(&self, arguments: &[&str]) -> Result<i64> {
        let answer = self.command(arguments).await?;
        answer.trim_start_matches(':').parse().map_err(|_| Error::new(format!("{arguments:?} answered {answer}")))
    }
}

async fn launch(program: &str, address: SocketAddr, folder: &TempDir, settings: &[String]) -> Result<Arc<Process>> {
    let mut server = Command::new(program);
    server.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string(), "--save", "", "--appendonly", "no"]);
    server.arg("--dir").arg(folder.path()).arg("--unixsocket").arg(socket(folder)).args(settings);
    let process = Process::start(program, &mut server)?;
    process.line("`eady to accept connections`", |line| line.contains("eady to accept connections").then_some(())).await?;
    eventually(format!("waiting for {program}"), || async { Ok(TcpStream::connect(address).await.ok().map(drop)) }).await?;
    Ok(process)
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("redis.sock")
}

/// A port without a listener.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn command(address: SocketAddr, arguments: &[&str]) -> Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    let mut request = format!("*{}\r\n", arguments.len());
    for argument in arguments {
        request.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
    }
    connection.write_all(request.as_bytes()).await?;
    within(format!("{arguments:?}"), answer(&mut connection)).await?
}

async fn answer(connection: &mut TcpStream) -> Result<String> {
    let mut received = Vec::new();
    loop {
        if connection.read_buf(&mut received).await? == 0 {
            return Err(Error::new("redis-server hung up"));
        }
        let Some(end) = received.windows(2).position(|pair| pair == b"\r\n") else { continue };
        let line = String::from_utf8_lossy(&received[..end]).into_owned();
        match line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) {
            None => return Ok(line),
            Some(length) if received.len() >= end + 4 + length => {
                return Ok(String::from_utf8_lossy(&received[end + 2..end + 2 + length]).into_owned());
            }
            Some(_) => {}
        }
    }
}

/// Waits until a replica has all that its master has.
async fn replicates(replica: &Redis) -> Result<()> {
    let up = || async { Ok(replica.command(&["INFO", "replication"]).await?.contains("master_link_status:up").then_some(())) };
    eventually("waiting for the replica to have everything", up).await
}
