//! A shop with sessions in a cookie, behind frameworks that are in use: [Express](https://expressjs.com), which json-server brings along, and
//! [FastAPI](https://fastapi.tiangolo.com).

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use larder_testkit::Result;
use larder_testkit::process::Process;

/// The running shop. It is killed when dropped.
pub struct Shop {
    address: SocketAddr,
    _process: Arc<Process>,
}

impl Shop {
    /// Starts `tests/backends/express_shop.js`.
    pub async fn express() -> Result<Self> {
        let modules = super::backends("node_modules/express/package.json")?.join("node_modules");
        Self::start("express", || {
            let mut command = Command::new("node");
            command.arg(super::program("express_shop.js")).env("NODE_PATH", &modules);
            command
        })
        .await
    }

    /// Starts `tests/backends/fastapi_shop.py`.
    pub async fn fastapi() -> Result<Self> {
        let packages = super::backends("python/fastapi/__init__.py")?.join("python");
        Self::start("fastapi", || {
            let mut command = Command::new("python3");
            command.arg(super::program("fastapi_shop.py")).env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
            command
        })
        .await
    }

    /// Starts the backend of `examples/fastapi`.
    pub async fn example() -> Result<Self> {
        let packages = super::backends("python/fastapi/__init__.py")?.join("python");
        super::on_a_free_address(|address| {
            let mut command = Command::new("python3");
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/fastapi/app.py")).arg(address.to_string());
            command.env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
            async move {
                let process = Process::start("fastapi", &mut command)?;
                super::listens(address, &process).await?;
                Ok(Self { address, _process: process })
            }
        })
        .await
    }

    async fn start(name: &'static str, command: impl Fn() -> Command) -> Result<Self> {
        let (address, process) = super::served(name, command).await?;
        Ok(Self { address, _process: process })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
