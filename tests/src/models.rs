//! A provider of language models that answers by script, and the packages by which its customers ask it, from their registries.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use larder_testkit::process::Process;
use larder_testkit::{Error, Result};

/// The running provider. It is killed when dropped.
pub struct ModelProvider {
    address: SocketAddr,
    _process: Arc<Process>,
}

/// What a client's calls came to: by name, the value of `X-Cache` and the text.
pub type Said = BTreeMap<String, (String, String)>;

impl ModelProvider {
    /// Starts `tests/backends/model_provider.py`.
    pub async fn start() -> Result<Self> {
        let command = || {
            let mut command = Command::new("python3");
            command.arg(super::program("model_provider.py"));
            command
        };
        let (address, process) = super::served("model_provider", command).await?;
        Ok(Self { address, _process: process })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was asked for each prompt.
    pub async fn asked(&self) -> Result<BTreeMap<String, u32>> {
        let answer = larder_testkit::Client::connect(self.address).await?.exchange("GET", "/count", &[], "").await?;
        serde_json::from_slice(&answer.body).map_err(|error| Error::new(error.to_string()))
    }
}

/// Asks by the packages `openai` and `anthropic` of PyPI.
pub async fn python_clients(url: String) -> Result<Said> {
    let packages = super::backends("python/openai/__init__.py")?.join("python");
    let mut command = Command::new("python3");
    command.arg(super::program("model_clients.py")).env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    said(command, url).await
}

/// Asks by the packages `openai` and `@anthropic-ai/sdk` of npm.
pub async fn node_clients(url: String) -> Result<Said> {
    node("model_clients.mjs", "openai", url).await
}

/// Asks by the packages `@google/genai`, `ollama`, `@elastic/elasticsearch` and `ethers` of npm.
pub async fn api_clients(url: String) -> Result<Said> {
    node("api_clients.mjs", "ethers", url).await
}

/// Asks a tracker of issues by `@urql/core` of npm.
pub async fn tracker_client(url: String) -> Result<Said> {
    node("graphql_client.mjs", "@urql/core", url).await
}

/// Runs a program that needs this package and the others of npm.
async fn node(program: &str, package: &str, url: String) -> Result<Said> {
    let modules = super::backends(&format!("node_modules/{package}/package.json"))?.join("node_modules");
    let mut command = Command::new("node");
    command.arg(super::program(program)).env("NODE_PATH", modules);
    said(command, url).await
}

async fn said(mut command: Command, url: String) -> Result<Said> {
    let run = move || command.arg(url).output();
    let output = tokio::task::spawn_blocking(run).await.map_err(|error| Error::new(error.to_string()))??;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).map_err(|error| Error::new(format!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))))
}
