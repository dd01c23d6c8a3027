//! What a listener serves with: a configuration of rustls for each pair, found by name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, ServerConfig, ServerSessionMemoryCache, StoresServerSessions};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{SignatureScheme, SupportedProtocolVersion};

use crate::tickets::SharedTickets;
use crate::{ClientCertificates, MinVersion, Names, Pair, TlsSettings, is_address};

/// Sessions that are kept for clients of TLS 1.2 that cannot resume by ticket.
const SESSIONS: usize = 4096;

/// Settings that rustls refuses.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct UnusableTls(#[from] rustls::Error);

/// One certificate, ready to serve.
#[derive(Clone, Debug)]
pub struct Site {
    /// For the handshake.
    pub config: Arc<ServerConfig>,
    /// Whom the certificate is for.
    pub names: Arc<Names>,
    pub(crate) pair: Pair,
}

/// All certificates of a listener, ready to serve. It does not change: a reload makes another, whose sessions and tickets are its own, so that
/// no session outlives the certificates it was agreed under.
#[derive(Debug)]
pub struct TlsState {
    settings: TlsSettings,
    /// What checks certificates of clients, where they are asked for one.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    sites: Vec<Site>,
    /// Positions in `sites`, in the order of the configuration: one name may have certificates of several kinds.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Vec<usize>>,
}

impl TlsState {
    /// From settings that were read.
    ///
    /// # Errors
    /// Where rustls refuses them.
    pub fn new(settings: TlsSettings) -> Result<Self, UnusableTls> {
        let tickets: Arc<dyn ProducesTickets> = match &settings.ticket_keys {
            Some(keys) => Arc::new(SharedTickets::new(keys, settings.clients.as_ref())),
            None => Ticketer::new()?,
        };
        let sessions = ServerSessionMemoryCache::new(SESSIONS);
        let verifier = settings.clients.as_ref().map(ClientCertificates::verifier).transpose()?;
        let site = |pair: &Pair| -> Result<Site, UnusableTls> {
            let config = server_config(&settings, verifier.clone(), pair, Arc::clone(&tickets), Arc::clone(&sessions) as _)?;
            Ok(Site { config: Arc::new(config), names: Arc::new(pair.facts().names.clone()), pair: pair.clone() })
        };
        let sites = settings.pairs.iter().map(site).collect::<Result<Vec<_>, _>>()?;
        let (mut exact, mut wildcard) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for (position, site) in sites.iter().enumerate() {
            site.names.exact().for_each(|name| exact.entry(name.into()).or_default().push(position));
            site.names.wildcard().for_each(|name| wildcard.entry(name.into()).or_default().push(position));
        }
        Ok(Self { settings, verifier, sites, exact, wildcard })
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// The certificate for a client that asks for this name (SNI, RFC 6066 §3): one that has the very name, else one with a wildcard for it. Of
    /// several the first whose key the client can check. A client that names none, or an address, which SNI cannot carry, gets the first of
    /// all. `None`: nothing here is for that name.
    pub fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Site> {
        let Some(name) = name.filter(|name| !is_address(name)) else {
            return self.suitable(0..self.sites.len(), schemes).or(self.sites.first());
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let suffix = name.split_once('.').map(|(_, suffix)| suffix);
        let found = self.exact.get(&*name).or_else(|| self.wildcard.get(suffix?))?;
        self.suitable(found.iter().copied(), schemes).or_else(|| self.sites.get(*found.first()?))
    }

    /// Whether the certificates of a session that is resumed still count. It brings those that it began with, which rustls does not check again; and each
    /// resumption gets new tickets, so that without this a session would outlive its certificate, and the end of a list of revoked ones.
    pub fn still_takes(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        match (&self.verifier, chain.split_first()) {
            (Some(verifier), Some((own, others))) => verifier.verify_client_cert(own, others, now).is_ok(),
            _ => true,
        }
    }

    fn suitable(&self, positions: impl IntoIterator<Item = usize>, schemes: &[SignatureScheme]) -> Option<&Site> {
        let mut sites = positions.into_iter().filter_map(|position| self.sites.get(position));
        sites.find(|site| site.pair.certified.key.choose_scheme(schemes).is_some())
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// No early data (0-RTT): what is sent in it may be replayed by anybody who saw it (RFC 8470).
fn server_config(
    settings: &TlsSettings,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    pair: &Pair,
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
) -> Result<ServerConfig, UnusableTls> {
    let versions: &[&'static SupportedProtocolVersion] = match settings.min_version {
        MinVersion::Tls12 => &[&TLS13, &TLS12],
        MinVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let resolver = SingleCertAndKey::from(Arc::clone(&pair.certified));
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = if settings.http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    config.ticketer = tickets;
    config.session_storage = sessions;
    Ok(config)
}
