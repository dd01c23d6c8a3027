//! A master with replicas, and the sentinels that watch over them.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Redis, command, free_address};
use crate::process::Process;
use crate::wait::eventually;
use crate::{Error, Result};

/// The name that the sentinels know the master by.
const MASTER: &str = "mymaster";

/// Two servers, of which one is the master, and three sentinels, of which two have to agree.
pub struct RedisSentinels {
    servers: Vec<Redis>,
    sentinels: Vec<(SocketAddr, Arc<Process>, TempDir)>,
}

impl RedisSentinels {
    /// Starts them, and waits until the sentinels know each other and both servers.
    pub async fn start() -> Result<Self> {
        let master = Redis::start().await?;
        let address = master.address();
        let replica =
            Redis::start_with(&["--replicaof", &format!("{} {}", address.ip(), address.port()), "--repl-diskless-sync-delay", "0"]).await?;
        super::replicates(&replica).await?;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(sentinel(address).await?);
        }
        let all = Self { servers: vec![master, replica], sentinels };
        all.know_all_servers().await?;
        Ok(all)
    }

    async fn know_all_servers(&self) -> Result<()> {
        for (address, ..) in &self.sentinels {
            let knows = || async {
                let info = command(*address, &["INFO", "sentinel"]).await?;
                Ok(info.contains("status=ok").then_some(()).filter(|()| info.contains("slaves=1,sentinels=3")))
            };
            eventually("waiting for the sentinels to know all servers", knows).await?;
        }
        Ok(())
    }

    /// The servers; the first one is the master before any failover.
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// The URLs of the sentinels.
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(|(address, ..)| format!("redis://{address}")).collect()
    }

    /// The name that the sentinels know the master by.
    pub fn master(&self) -> &'static str {
        MASTER
    }

    /// Waits until this server has been made the master.
    pub async fn promoted(&self, server: usize) -> Result<()> {
        let server = self.servers.get(server).ok_or_else(|| Error::new("no such server"))?;
        // Sentinels cut all connections of a server whose role they change, this one's too.
        let role = || async { server.command(&["INFO", "replication"]).await.unwrap_or_default() };
        let promoted = || async { Ok(role().await.contains("role:master").then_some(())) };
        eventually("waiting for the failover", promoted).await
    }
}

async fn sentinel(master: SocketAddr) -> Result<(SocketAddr, Arc<Process>, TempDir)> {
    let (address, folder) = (free_address()?, TempDir::new()?);
    let file = folder.path().join("sentinel.conf");
    let settings = format!(
        "bind {}\nport {}\nsentinel monitor {MASTER} {} {} 2\nsentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 5000\n",
        address.ip(),
        address.port(),
        master.ip(),
        master.port()
    );
    std::fs::write(&file, settings)?;
    let process = Process::start("sentinel", Command::new("redis-server").arg(&file).arg("--sentinel").arg("--dir").arg(folder.path()))?;
    process.line("`+monitor master`", |line| line.contains("+monitor master").then_some(())).await?;
    Ok((address, process, folder))
}
