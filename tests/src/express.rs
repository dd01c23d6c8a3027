//! A shop behind [Express](https://expressjs.com), which json-server brings along.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use larder_testkit::Result;
use larder_testkit::process::Process;

/// The running shop of `tests/backends/express.js`. It is killed when dropped.
pub struct Express {
    address: SocketAddr,
    _process: Arc<Process>,
}

impl Express {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("backends/express.js");
        let modules = super::backends("node_modules/express/package.json")?.join("node_modules");
        super::on_a_free_address(|address| {
            let mut command = Command::new("node");
            command.arg(&program).arg(address.ip().to_string()).arg(address.port().to_string()).env("NODE_PATH", &modules);
            async move {
                let process = Process::start("express", &mut command)?;
                process.line("its greeting", |line| line.contains("listening").then_some(())).await?;
                Ok(Self { address, _process: process })
            }
        })
        .await
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
