//! The connection that a request came over.

use std::net::IpAddr;

use http::Version;

/// The connection to the hop before this one. [`crate::forward::to_upstream`] names its address and scheme to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConnection {
    /// The address the connection came from.
    pub peer: IpAddr,
    /// Whether the connection was encrypted.
    pub secure: bool,
    /// The protocol version the request was received with, for `Via`.
    pub version: Version,
}

impl ClientConnection {
    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}
