//! A server that speaks TLS with a certificate of the test's own authority.

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Redis, free_address};
use crate::Result;

/// A redis-server that speaks TLS on one port, and as ever on another one for the test itself.
pub struct TlsRedis {
    server: Redis,
    address: SocketAddr,
    certificates: TempDir,
}

impl TlsRedis {
    /// Starts one with further settings.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let (certificates, address) = (TempDir::new()?, free_address()?);
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let path = |name: &str| certificates.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("ca.pem"), own.cert.pem())?;
        std::fs::write(path("key.pem"), own.signing_key.serialize_pem())?;
        let (port, certificate, key) = (address.port().to_string(), path("ca.pem"), path("key.pem"));
        let mut all = vec!["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
        all.extend(["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no"]);
        all.extend(settings);
        Ok(Self { server: Redis::start_with(&all).await?, address, certificates })
    }

    /// The server, without TLS.
    pub fn server(&self) -> &Redis {
        &self.server
    }

    /// Its URL for TLS, with `user` before the host: `"me:secret@"` or nothing.
    pub fn url(&self, user: &str) -> String {
        format!("rediss://{user}localhost:{}", self.address.port())
    }

    /// The file with the authority that its certificate is from.
    pub fn ca_file(&self) -> PathBuf {
        self.certificates.path().join("ca.pem")
    }
}
