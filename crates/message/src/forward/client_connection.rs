//! What is known about the connection that a request came on.

use std::net::IpAddr;

use http::Version;

/// The hop before this one, of which [`super::to_upstream`] tells the origin.
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
