//! The client to the authority: a deadline for each request, and answers that are bounded.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use larder_tls::Authorities;

use crate::failure::Failure;

/// From the request to the end of its answer.
const MAX_TIME: Duration = Duration::from_secs(30);
/// Longer answers are none of an authority.
const MAX_ANSWER: usize = 1 << 20;

pub(crate) struct AuthorityClient(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl AuthorityClient {
    /// Trusts these authorities for TLS, or those of the system.
    pub(crate) fn new(roots: Option<&Authorities>) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Setup(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| failed(&error))?;
        let builder = match roots {
            Some(authorities) => builder.with_root_certificates(authorities.roots().map_err(|error| failed(&error))?),
            None => builder.with_native_roots().map_err(|error| failed(&error))?,
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(builder.with_no_client_auth()).https_only().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

impl HttpClient for AuthorityClient {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let answer = self.0.request(request);
        Box::pin(async move {
            let answering = async move {
                let (head, body) = answer.await.map_err(|error| Error::Other(Box::new(error)))?.into_parts();
                let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Error::Other)?;
                Ok(BytesResponse::from(Response::from_parts(head, Full::new(body.to_bytes()))))
            };
            let in_time = tokio::time::timeout(MAX_TIME, answering).await;
            in_time.unwrap_or_else(|_elapsed| Err(Error::Other("it does not answer in time".into())))
        })
    }
}
