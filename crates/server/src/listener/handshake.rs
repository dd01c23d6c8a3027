//! The server's side of the TLS handshake: the certificate is chosen once the client has named the host that it wants.
//!
//! [`tokio_rustls::LazyConfigAcceptor`] would do most of it, but it answers a client that does not speak TLS with an alert, behind which no
//! refusal in clear text can be read.

use std::io::{self, Read};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use larder_tls::{Names, TlsState, is_address};
use rustls::pki_types::UnixTime;
use rustls::server::{Accepted, Acceptor};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use crate::listener::setup::TlsChallenges;
use crate::listener::transport::Transport;

/// The content type of handshake records (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;
/// The only protocol that an authority offers (RFC 8737 §4).
const ACME_TLS: &[u8] = b"acme-tls/1";
/// A fatal `unrecognized_name` alert (RFC 6066 §3), as it is sent before anything is encrypted.
const UNRECOGNIZED_NAME: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70];

/// The same of `certificate_expired` (RFC 8446 §6.2). The session may not be resumed after it (RFC 5246 §7.2.2), so the client's next handshake is a full
/// one, with the certificate that it has now.
const CERTIFICATE_EXPIRED: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x2d];

/// The outcome of a handshake, for as long as the connection lives.
#[derive(Clone, Debug)]
pub(crate) struct TlsFacts {
    /// The host that the client asked for (SNI).
    server_name: Option<Box<str>>,
    /// Whom the certificate is for that it was shown.
    names: Arc<Names>,
    /// HTTP/2, by ALPN.
    pub(crate) is_http2: bool,
    /// The certificate that the client showed, as `Client-Cert` has it: a byte sequence of its DER (RFC 9440 §2.2, RFC 9651 §3.3.5).
    pub(crate) client_certificate: Option<HeaderValue>,
    /// The value of `Strict-Transport-Security` in answers.
    pub(crate) hsts: Option<HeaderValue>,
}

/// A handshake that is done.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) stream: Box<TlsStream<Transport>>,
    pub(crate) facts: TlsFacts,
    pub(crate) resumed: bool,
}

/// Why there is no TLS on a connection. What had to be said to the client about it has been, but for the first.
#[derive(Debug)]
pub(crate) enum HandshakeFailure {
    /// The client speaks HTTP in clear text.
    ClearText(Transport),
    /// No certificate is for the host that it asked for.
    UnknownName,
    /// It was an authority's, which has its proof and wants nothing more.
    Challenge,
    /// It left, broke the protocol, or speaks no version or cipher that is spoken here.
    Broken,
}

impl TlsFacts {
    /// Whether the connection is one for this host: the client was shown a certificate that names it. One that could not say what it wants,
    /// because SNI has no addresses, may ask for any address.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        match &self.server_name {
            Some(name) if name.eq_ignore_ascii_case(host) => return true,
            None if is_address(host) => return true,
            Some(_) | None => {}
        }
        // Old certificates have a common name only, which nothing is compared with any more (RFC 9525 §2).
        self.names.is_empty() || self.names.cover(host)
    }
}

/// Speaks TLS on a connection that was just accepted. It has no deadline of its own.
pub(crate) async fn handshake(
    transport: Transport,
    tls: &TlsState,
    challenges: Option<&Arc<dyn TlsChallenges>>,
) -> Result<Secured, HandshakeFailure> {
    let accepted = match client_hello(&transport).await {
        Ok(accepted) => accepted,
        Err(Some(first)) if first.is_ascii_alphabetic() => return Err(HandshakeFailure::ClearText(transport)),
        Err(_) => return Err(HandshakeFailure::Broken),
    };
    let hello = accepted.client_hello();
    let server_name = hello.server_name().map(Box::<str>::from);
    if let Some(challenges) = challenges
        && hello.alpn().is_some_and(|mut offered| offered.next() == Some(ACME_TLS) && offered.next().is_none())
    {
        let Some(config) = challenges.answer(server_name.as_deref().unwrap_or_default()).await else {
            let _ = transport.try_write(&UNRECOGNIZED_NAME);
            return Err(HandshakeFailure::UnknownName);
        };
        return Err(prove(StartHandshake::from_parts(accepted, transport), config).await);
    }
    let Some(site) = tls.choose(server_name.as_deref(), hello.signature_schemes()) else {
        let _ = transport.try_write(&UNRECOGNIZED_NAME);
        return Err(HandshakeFailure::UnknownName);
    };
    let (config, names) = (Arc::clone(&site.config), Arc::clone(&site.names));
    let started = StartHandshake::from_parts(accepted, transport);
    let mut is_over = false;
    let accept = started.into_stream_with(config, |session| {
        // Certificates that are known before the client has shown one are those of a session that it resumes.
        is_over = session.peer_certificates().is_some_and(|chain| !tls.still_takes(chain, UnixTime::now()));
    });
    if is_over {
        tracing::debug!("the certificate of a resumed session has ended");
        let _ = accept.get_ref().map(|transport| transport.try_write(&CERTIFICATE_EXPIRED));
        return Err(HandshakeFailure::Broken);
    }
    let stream = accept.await.map_err(|error| {
        tracing::debug!(%error, "a TLS handshake failed");
        HandshakeFailure::Broken
    })?;
    let session = stream.get_ref().1;
    let facts = TlsFacts {
        server_name,
        names,
        is_http2: session.alpn_protocol() == Some(b"h2"),
        client_certificate: session.peer_certificates().and_then(|chain| byte_sequence(chain.first()?)),
        hsts: tls.settings().hsts.as_deref().and_then(|policy| HeaderValue::from_str(policy).ok()),
    };
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    Ok(Secured { stream: Box::new(stream), facts, resumed })
}

/// Ends the handshake of an authority (RFC 8737 §3): "the connection MUST be closed once the TLS handshake has been completed".
async fn prove(started: StartHandshake<Transport>, config: Arc<ServerConfig>) -> HandshakeFailure {
    match started.into_stream(config).await {
        Ok(mut stream) => {
            let _ = stream.shutdown().await;
            HandshakeFailure::Challenge
        }
        Err(error) => {
            tracing::debug!(%error, "an authority broke off a TLS handshake");
            HandshakeFailure::Broken
        }
    }
}

fn byte_sequence(bytes: &[u8]) -> Option<HeaderValue> {
    HeaderValue::try_from(format!(":{}:", STANDARD.encode(bytes))).ok()
}

/// Reads the client's first message. The error is the first byte that it sent, if that began no TLS.
async fn client_hello(transport: &Transport) -> Result<Accepted, Option<u8>> {
    let mut acceptor = Acceptor::default();
    let mut input = Input { transport, first: None };
    loop {
        transport.readable().await.map_err(|_| None)?;
        match acceptor.read_tls(&mut input) {
            Ok(0) => return Err(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Err(None),
        }
        if input.first.is_some_and(|first| first != HANDSHAKE) {
            return Err(input.first);
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                let mut record = Vec::new();
                let _ = alert.write_all(&mut record);
                let _ = transport.try_write(&record);
                return Err(None);
            }
        }
    }
}

/// The client's bytes, with the first of them kept.
struct Input<'a> {
    transport: &'a Transport,
    first: Option<u8>,
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.transport.try_read(buf)?;
        self.first = self.first.or_else(|| buf[..read].first().copied());
        Ok(read)
    }
}
