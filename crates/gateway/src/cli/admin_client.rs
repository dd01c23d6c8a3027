//! The command line's client to a running gateway's admin listener.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 16 << 20;

/// Where the admin listener is: `host:port`, or the URL that the log prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress(String);

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest.strip_suffix('/').unwrap_or(rest),
            Some((scheme, _)) => return Err(format!("the admin listener speaks http, not {scheme}")),
            None => text,
        };
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() || address.contains(['/', '?', '#', '@', ' ']) {
            return Err("write host and port, like 127.0.0.1:8090, or the URL that the log prints".to_owned());
        }
        Ok(Self(address.to_owned()))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AdminAddress {
    /// A request with the fields that every one has.
    pub(crate) fn request(&self, method: http::Method, target: &str) -> http::request::Builder {
        Request::builder().method(method).uri(target).header(header::HOST, &self.0).header(header::CONNECTION, "close")
    }

    /// Sends a request, and waits for the whole answer. An error says where no answer came from, and why.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        self.exchange(request).await.map_err(|error| format!("no answer from the admin listener on {self}: {error}"))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = tokio::net::TcpStream::connect(&self.0).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_the_url_that_the_log_prints() {
        for (text, address) in [
            ("127.0.0.1:8090", "127.0.0.1:8090"),
            ("http://127.0.0.1:8090", "127.0.0.1:8090"),
            ("HTTP://[::1]:8090/", "[::1]:8090"),
            ("larder.internal:1", "larder.internal:1"),
        ] {
            assert_eq!(text.parse::<AdminAddress>().map(|parsed| parsed.to_string()), Ok(address.to_owned()), "{text}");
        }
        for text in ["", "8090", "http://", "http://host", "https://host:1", "host:1/path", "host:99999", "a@host:1"] {
            assert!(text.parse::<AdminAddress>().is_err(), "{text}");
        }
    }
}
