//! A real ACME authority, with a name server that leads every host to this machine.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use rustls::ClientConfig;
use tempfile::TempDir;

use crate::certificates::trusting;
use crate::process::Process;
use crate::redis::free_address;
use crate::wait::eventually;
use crate::{Authority, Client, Result};

/// A running `pebble`. It is killed when dropped, with its name server.
pub struct Pebble {
    /// Of its own TLS.
    authority: Authority,
    address: SocketAddr,
    management: SocketAddr,
    http: SocketAddr,
    tls: SocketAddr,
    process: Arc<Process>,
    _names: Arc<Process>,
    _folder: TempDir,
}

impl Pebble {
    /// Starts one that looks for proofs at once, at free ports of this machine.
    pub async fn start() -> Result<Self> {
        let (authority, folder) = (Authority::new()?, TempDir::new()?);
        let [address, management, http, tls, names] = [free_address()?, free_address()?, free_address()?, free_address()?, free_address()?];
        let own = authority.issue("pebble", &["localhost", "127.0.0.1"])?;
        let config = format!(
            "{{\"pebble\": {{\"listenAddress\": \"{address}\", \"managementListenAddress\": \"{management}\", \"certificate\": {:?}, \
             \"privateKey\": {:?}, \"httpPort\": {}, \"tlsPort\": {}}}}}",
            own.chain,
            own.key,
            http.port(),
            tls.port()
        );
        let file = folder.path().join("pebble.json");
        std::fs::write(&file, config)?;
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-dns01", &names.to_string(), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", &free_address()?.to_string()]);
        let _names = Process::start("pebble-challtestsrv", &mut command)?;
        let mut command = Command::new("pebble");
        command.arg("-config").arg(&file).args(["-dnsserver", &names.to_string()]);
        // A client has to take refused nonces and proofs that are remembered.
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "20").env("PEBBLE_AUTHZREUSE", "50");
        let process = Process::start("pebble", &mut command)?;
        let pebble = Self { authority, address, management, http, tls, process, _names, _folder: folder };
        eventually("waiting for pebble", || async { Ok(pebble.root().await.ok()) }).await.map_err(|error| pebble.process.explain(error))?;
        Ok(pebble)
    }

    /// The keys of `[acme]` that lead to it.
    pub fn in_config(&self) -> String {
        format!("directory = \"https://{}/dir\"\nca_file = {:?}\n", self.address, self.authority.ca_file())
    }

    /// Where it looks for proofs over HTTP.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Where it looks for proofs in handshakes.
    pub fn tls_address(&self) -> SocketAddr {
        self.tls
    }

    /// A client's settings that trust what it issues.
    pub async fn client(&self) -> Result<Arc<ClientConfig>> {
        trusting(self.root().await?.as_bytes())
    }

    async fn root(&self) -> Result<String> {
        let mut client = Client::connect_tls(self.management, "localhost", &self.authority.client(&[], None)?).await?;
        Ok(client.exchange("GET", "/roots/0", &[("Connection", "close")], "").await?.text())
    }
}
