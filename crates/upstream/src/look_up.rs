//! How names are looked up.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// How names are looked up.
#[derive(Clone, Default)]
pub enum LookUp {
    /// By the system's resolver.
    #[default]
    System,
    /// As this says, for tests.
    As(Names),
}

/// The addresses of each host.
type Names = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

impl LookUp {
    /// The addresses of a host.
    pub(crate) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()),
            Self::As(names) => Ok(names(host)),
        }
    }
}
