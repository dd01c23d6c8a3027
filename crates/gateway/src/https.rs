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

/// A client that is made for a request and dropped after it: nothing is kept open.
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
        Ok(Self(Client::builder(TokioExecutor::new()).build(builder.https_or_http().enable_http1().build())))
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
