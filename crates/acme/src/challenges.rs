//! What the authority is answered when it looks whether a domain leads here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use larder_config::AcmeChallenge;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::store::{AcmeStore, StoreError};

/// How long a challenge is kept for other processes: longer than an order may take.
const KEPT: Duration = Duration::from_secs(600);
/// The protocol of a handshake that asks for a proof (RFC 8737 §3).
const ACME_TLS: &[u8] = b"acme-tls/1";
/// The longest token that is looked for. They have 128 bits at least (RFC 8555 §8.1), so these are the shortest as well.
const TOKENS: std::ops::RangeInclusive<usize> = 22..=128;

/// The challenges that are answered now, of this process, and where the store is shared of all.
pub struct Challenges {
    store: Arc<dyn AcmeStore>,
    domains: Vec<String>,
    /// Key authorizations by the names under which the store keeps them.
    shown: Arc<Mutex<HashMap<String, String>>>,
}

/// A challenge that is answered until this is dropped.
pub(crate) struct Shown {
    name: String,
    shown: Arc<Mutex<HashMap<String, String>>>,
}

impl Challenges {
    pub(crate) fn new(store: Arc<dyn AcmeStore>, domains: Vec<String>) -> Self {
        Self { store, domains, shown: Arc::default() }
    }

    /// Answers a challenge from now on.
    pub(crate) async fn show(
        &self,
        challenge: AcmeChallenge,
        domain: &str,
        token: &str,
        key_authorization: &str,
    ) -> Result<Shown, StoreError> {
        let name = match challenge {
            AcmeChallenge::Http01 => over_http(token),
            AcmeChallenge::TlsAlpn01 => in_handshake(domain),
        };
        if self.store.is_shared() {
            self.store.save(&name, key_authorization.as_bytes(), KEPT).await?;
        }
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), key_authorization.to_owned());
        Ok(Shown { name, shown: Arc::clone(&self.shown) })
    }

    /// The answer to a request for `/.well-known/acme-challenge/TOKEN` (RFC 8555 §8.3), if it is one of a challenge here.
    pub async fn over_http(&self, host: &str, token: &str) -> Option<String> {
        let is_token =
            TOKENS.contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_token || !self.is_for(host) {
            return None;
        }
        self.key_authorization(&over_http(token)).await
    }

    /// What answers a handshake that asks for a proof of this domain (RFC 8737 §3), if there is a challenge for it here.
    pub async fn in_handshake(&self, domain: &str) -> Option<Arc<ServerConfig>> {
        if !self.is_for(domain) {
            return None;
        }
        let domain = domain.to_ascii_lowercase();
        let key_authorization = self.key_authorization(&in_handshake(&domain)).await?;
        tls_config(&domain, &key_authorization).inspect_err(|error| tracing::warn!(domain, %error, "a challenge cannot be answered")).ok()
    }

    fn is_for(&self, host: &str) -> bool {
        self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host))
    }

    async fn key_authorization(&self, name: &str) -> Option<String> {
        let own = self.shown.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if own.is_some() || !self.store.is_shared() {
            return own;
        }
        String::from_utf8(self.store.load(name).await.ok()??).ok()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").field("domains", &self.domains).finish_non_exhaustive()
    }
}

fn over_http(token: &str) -> String {
    format!("http-01/{token}")
}

fn in_handshake(domain: &str) -> String {
    format!("tls-alpn-01/{domain}")
}

/// A certificate for the domain alone, with the digest of the key authorization in it.
fn tls_config(domain: &str, key_authorization: &str) -> Result<Arc<ServerConfig>, String> {
    let failed = |error: rcgen::Error| error.to_string();
    let mut params = CertificateParams::new(vec![domain.to_owned()]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest(&SHA256, key_authorization.as_bytes()).as_ref())];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = any_supported_type(&key).map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    // By a resolver: rustls looks into certificates that are given by themselves, and refuses the critical extension, which it does not know.
    let resolver = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der().clone()], key));
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
