//! A client for the few requests of Larder's own: to receivers of alerts, and for keys. It follows no redirect, which might lead to another host.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use larder_tls::Authorities;
use tokio::time::timeout;

/// How Larder names itself.
pub(crate) const USER_AGENT: &str = concat!("larder/", env!("CARGO_PKG_VERSION"));

/// Until the head of an answer is there.
const ANSWERING: Duration = Duration::from_secs(10);

/// A client whose every request has a connection of its own: nothing is kept open.
pub(crate) struct HttpsClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpsClient {
    /// For servers whose certificates these authorities issue; `None`: those that the system knows.
    ///
    /// # Errors
    /// The mistake in a sentence.
    pub(crate) fn new(authorities: Option<&Authorities>) -> Result<Self, String> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let builder = match authorities {
            Some(authorities) => {
                let tls = rustls::ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
                let roots = authorities.roots().map_err(|error| error.to_string())?;
                let tls = tls.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(tls)
            }
            None => HttpsConnectorBuilder::new().with_provider_and_native_roots(provider).map_err(|error| error.to_string())?,
        };
        // A connection that the server closes behind its answer would fail the next request, which is not sent again.
        let mut client = Client::builder(TokioExecutor::new());
        Ok(Self(client.pool_max_idle_per_host(0).build(builder.https_or_http().enable_http1().build())))
    }

    /// The head of the answer, with its body to come. An error says why there is none, and never the path of the URL.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        match timeout(ANSWERING, self.0.request(request)).await {
            Ok(answer) => answer.map_err(|error: Error| {
                let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
                format!("{error}{source}")
            }),
            Err(_) => Err(format!("no answer within {} s", ANSWERING.as_secs())),
        }
    }
}

impl fmt::Debug for HttpsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpsClient")
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The server would keep its connections. One that does not, and does not say so, has closed the first when the second request comes.
    #[tokio::test]
    async fn each_request_has_a_connection_of_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}/", listener.local_addr().expect("address"));
        let serving = tokio::spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..2 {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(connection.read_u8().await.expect("a request"));
                }
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("an answer");
                connections.push(connection);
            }
            connections.len()
        });
        let client = HttpsClient::new(None).expect("a client");
        for _ in 0..2 {
            let answer = client.ask(Request::get(&url).body(Full::default()).expect("request")).await.expect("an answer");
            assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "ok");
        }
        assert_eq!(serving.await.expect("served"), 2);
    }
}
