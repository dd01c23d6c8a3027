//! Origins behind TLS, with certificates made for each test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use larder_tls::Pair;
use larder_tower::RequestBody;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::origin::{get, options, origin, send};
use crate::{TunnelClient, UpstreamError, UpstreamOptions, UpstreamService};
use larder_message::client::ClientConnection;
use larder_message::forward::HostPolicy;

/// An origin that says which protocol and host it was asked with, and the authority that its certificate comes from.
struct TlsOrigin {
    address: SocketAddr,
    authority: TempDir,
}

/// A self-signed certificate for this name, with its key, as files of a folder.
fn pair(name: &str) -> (TempDir, Pair) {
    let own = rcgen::generate_simple_self_signed([name.to_owned()]).expect("certificate");
    let folder = tempfile::tempdir().expect("directory");
    let (chain, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    std::fs::write(&chain, own.cert.pem()).expect("write");
    std::fs::write(&key, own.signing_key.serialize_pem()).expect("write");
    let pair = Pair::load(&chain, &key).expect("a pair");
    (folder, pair)
}

impl TlsOrigin {
    async fn start(names: &[&str]) -> Self {
        Self::start_for(names, None).await
    }

    /// With `clients`, only those are served whose certificates this one in a file has signed.
    async fn start_for(names: &[&str], clients: Option<&std::path::Path>) -> Self {
        Self::start_silent(names, clients, 0).await
    }

    /// On the first so many connections nothing comes after the handshake.
    async fn start_silent(names: &[&str], clients: Option<&std::path::Path>, silent: usize) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let own = rcgen::generate_simple_self_signed(names).expect("certificate");
        let authority = tempfile::tempdir().expect("directory");
        std::fs::write(authority.path().join("ca.pem"), own.cert.pem()).expect("write");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(file).expect("certificate")).expect("an authority");
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("verifier");
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(vec![own.cert.der().clone()], key).expect("key");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Nothing that would come after the request.
        config.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move {
            for count in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    if count < silent {
                        std::future::pending::<()>().await;
                    }
                    let both = auto::Builder::new(TokioExecutor::new());
                    // What was agreed on, and no guess from the first bytes.
                    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let agreed = if is_http2 { both.http2_only() } else { both.http1_only() };
                    let _ = agreed.serve_connection(TokioIo::new(stream), service_fn(tell)).await;
                });
            }
        });
        Self { address, authority }
    }

    fn options(&self) -> UpstreamOptions {
        let mut options = options(&format!("https://127.0.0.1:{}", self.address.port()));
        options.config.ca_file = Some(self.authority.path().join("ca.pem"));
        options
    }
}

async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or("-");
    let authority = request.uri().authority().map_or("-", |authority| authority.as_str());
    Ok(Response::new(Full::from(format!("{:?} {host} {authority}", request.version()))))
}

async fn received(options: UpstreamOptions) -> String {
    let response = send(&UpstreamService::new(options).expect("service"), get("/")).await.expect("response");
    let body = response.into_body().collect().await.expect("body").to_bytes();
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

async fn failure(options: UpstreamOptions) -> UpstreamError {
    let service = UpstreamService::new(options).expect("service");
    send(&service, get("/")).await.map(|response| response.status()).expect_err("should fail")
}

#[tokio::test]
async fn an_https_origin_with_the_clients_host_is_asked_with_http_1_1() {
    let origin = TlsOrigin::start(&["127.0.0.1"]).await;
    assert_eq!(received(origin.options()).await, "HTTP/1.1 a.example -");
}

#[tokio::test]
async fn rfc9113_8_3_1_http2_is_offered_where_host_and_authority_agree() {
    let origin = TlsOrigin::start(&["127.0.0.1"]).await;
    let mut options = origin.options();
    options.config.host = HostPolicy::Upstream;
    let own = format!("127.0.0.1:{}", origin.address.port());
    assert_eq!(received(options).await, format!("HTTP/2.0 {own} {own}"));
}

#[tokio::test]
async fn rfc9110_7_8_an_upgrade_is_asked_for_with_http_1_1_where_the_origin_speaks_http2_too() {
    let origin = TlsOrigin::start(&["127.0.0.1"]).await;
    let mut options = origin.options();
    options.config.host = HostPolicy::Upstream;
    let request = Request::get("/").header("host", "a").header("connection", "upgrade").header("upgrade", "x");
    let request = request.body(RequestBody::empty()).expect("request");
    let connection = ClientConnection { peer: [127, 0, 0, 1].into(), secure: false, version: http::Version::HTTP_11 };
    let client = TunnelClient { connection, idle: Duration::from_secs(60), first_byte_timeout: None, guard: Arc::new(()), observer: None };
    let response = UpstreamService::new(options).expect("service").upgrade(request, client).await.expect("response");
    let body = response.into_body().collect().await.expect("body").to_bytes();
    assert_eq!(body, format!("HTTP/1.1 127.0.0.1:{} -", origin.address.port()));
}

/// RFC 9113 §6.5.2: "It is recommended that this value be no smaller than 100".
#[tokio::test]
async fn requests_beyond_a_hundred_at_a_time_go_out_on_another_http2_connection() {
    let origin = TlsOrigin::start(&["127.0.0.1"]).await;
    let mut options = origin.options();
    options.config.host = HostPolicy::Upstream;
    let service = UpstreamService::new(options).expect("service");
    let mut open = Vec::new();
    for connections in [vec![1; 100], vec![2]].concat() {
        open.push(send(&service, get("/")).await.expect("response"));
        assert_eq!(service.stats().connections_total(), connections);
    }
}

/// As over plain TCP: the next request would wait on it in vain, until the kernel gives it up.
#[tokio::test]
async fn an_http2_connection_over_tls_on_which_nothing_comes_any_more_is_not_used_again() {
    let origin = TlsOrigin::start_silent(&["127.0.0.1"], None, 1).await;
    let mut options = origin.options();
    options.config.host = HostPolicy::Upstream;
    options.config.first_byte_timeout = Duration::from_secs(1);
    let service = UpstreamService::new(options).expect("service");
    let error = send(&service, get("/")).await.map(|response| response.status()).expect_err("silence");
    assert!(matches!(error, UpstreamError::FirstByteTimeout), "{error:?}");
    assert_eq!(send(&service, get("/")).await.expect("response").status(), 200);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let origin = TlsOrigin::start(&["other.example"]).await;
    let error = failure(origin.options()).await;
    assert!(matches!(error, UpstreamError::Certificate(_)), "{error:?}");
}

#[tokio::test]
async fn a_certificate_may_be_for_the_name_that_is_configured() {
    let origin = TlsOrigin::start(&["other.example"]).await;
    let mut options = origin.options();
    options.config.server_name = Some(ServerName::try_from("other.example").expect("a name"));
    assert_eq!(received(options).await, "HTTP/1.1 a.example -");
}

#[tokio::test]
async fn an_origin_that_asks_for_it_is_shown_the_client_certificate() {
    let (folder, certificate) = pair("larder.example");
    let origin = TlsOrigin::start_for(&["127.0.0.1"], Some(&folder.path().join("client.pem"))).await;
    let mut options = origin.options();
    options.config.client_certificate = Some(certificate);
    assert_eq!(received(options).await, "HTTP/1.1 a.example -");
    let (_folder, other) = pair("other.example");
    for shown in [None, Some(other)] {
        let mut options = origin.options();
        options.config.client_certificate = shown;
        let error = failure(options).await;
        assert!(matches!(error, UpstreamError::Reset(_) | UpstreamError::Tls(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let origin = TlsOrigin::start(&["127.0.0.1"]).await;
    let other = TlsOrigin::start(&["127.0.0.1"]).await;
    let mut options = origin.options();
    options.config.ca_file = other.options().config.ca_file;
    let error = failure(options).await;
    assert!(matches!(error, UpstreamError::Certificate(_)), "{error:?}");
}

/// Options for an origin that does not get as far as showing a certificate.
async fn trusting_anyone(address: SocketAddr) -> (UpstreamOptions, TlsOrigin) {
    let somebody = TlsOrigin::start(&["127.0.0.1"]).await;
    let mut options = options(&format!("https://{address}"));
    options.config.ca_file = somebody.options().config.ca_file;
    (options, somebody)
}

#[tokio::test]
async fn connect_timeout_covers_the_tls_handshake() {
    let address = origin(|_, mut connection| async move { connection.closed().await }).await;
    let (mut options, _authority) = trusting_anyone(address).await;
    options.config.connect_timeout = Duration::from_millis(20);
    let error = failure(options).await;
    assert!(matches!(error, UpstreamError::ConnectTimeout(_)), "{error:?}");
}

#[tokio::test]
async fn an_origin_that_does_not_speak_tls_is_a_tls_error() {
    let address = origin(|_, mut connection| async move {
        connection.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        connection.closed().await;
    })
    .await;
    let (options, _authority) = trusting_anyone(address).await;
    let error = failure(options).await;
    assert!(matches!(error, UpstreamError::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn a_ca_file_without_certificates_is_refused() {
    let mut options = options("https://127.0.0.1:1");
    options.config.ca_file = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into());
    assert!(UpstreamService::new(options).is_err());
}
