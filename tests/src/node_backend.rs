//! Backends in Node: a tracker of issues behind [GraphQL Yoga](https://the-guild.dev/graphql/yoga-server), and one that answers as the APIs of models, of
//! Elasticsearch and of a chain's node do.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use larder_testkit::process::Process;
use larder_testkit::{Error, Result};
use serde_json::Value;

/// The running backend. It is killed when dropped.
pub struct NodeBackend {
    address: SocketAddr,
    _process: Arc<Process>,
}

impl NodeBackend {
    /// Starts `tests/backends/graphql_tracker.mjs`, which counts the fields that it has resolved.
    pub async fn graphql_tracker() -> Result<Self> {
        Self::start("graphql_tracker.mjs").await
    }

    /// Starts `tests/backends/api_backend.mjs`, which keeps the bodies that it was sent, by target.
    pub async fn apis() -> Result<Self> {
        Self::start("api_backend.mjs").await
    }

    async fn start(program: &'static str) -> Result<Self> {
        let modules = super::backends("node_modules/graphql-yoga/package.json")?.join("node_modules");
        let command = || {
            let mut command = Command::new("node");
            command.arg(super::program(program)).env("NODE_PATH", &modules);
            command
        };
        let (address, process) = super::served(program, command).await?;
        Ok(Self { address, _process: process })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked for.
    pub async fn asked(&self) -> Result<Value> {
        let answer = larder_testkit::Client::connect(self.address).await?.exchange("GET", "/asked", &[], "").await?;
        serde_json::from_slice(&answer.body).map_err(|error| Error::new(error.to_string()))
    }
}
