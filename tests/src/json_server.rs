//! A REST backend from the npm registry: reads, writes, entity tags, `Vary: Origin`.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use larder_testkit::Result;
use larder_testkit::process::Process;
use tempfile::TempDir;

const PROGRAM: &str = "node_modules/json-server/lib/cli/bin.js";

/// A running json-server with its own database. It is killed when dropped.
pub struct JsonServer {
    address: SocketAddr,
    _process: Arc<Process>,
    _folder: Arc<TempDir>,
}

impl JsonServer {
    /// Starts it with this database: a JSON object with a list for each resource.
    pub async fn start(database: &str) -> Result<Self> {
        let folder = Arc::new(TempDir::new()?);
        let file = folder.path().join("db.json");
        std::fs::write(&file, database)?;
        let program = super::backends(PROGRAM)?.join(PROGRAM);
        super::on_a_free_address(|address| {
            let mut command = Command::new("node");
            command.arg(&program).args(["--host", "127.0.0.1", "--port"]).arg(address.port().to_string()).arg(&file);
            let folder = Arc::clone(&folder);
            async move {
                let process = Process::start("json-server", &mut command)?;
                // It greets before its listener is bound.
                process.line("its greeting", |line| line.contains("Type s + enter").then_some(())).await?;
                super::listens(address, &process).await?;
                Ok(Self { address, _process: process, _folder: folder })
            }
        })
        .await
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
