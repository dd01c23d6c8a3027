//! The public listeners while they serve: what each of them is told, and their certificates, which a reload replaces.

use std::sync::Arc;

use arc_swap::ArcSwap;
use larder_tls::{TlsState, UnusableTls, Urgency, days_left};

use crate::config::{Config, Listen, Listener, SocketFile};
use crate::server::ListenerSetup;
use crate::telemetry::snapshot::CertificateSnapshot;

/// The certificates of all listeners that speak TLS.
#[derive(Debug)]
pub(crate) struct Certificates(Vec<Served>);

/// Those of one listener.
#[derive(Debug)]
struct Served {
    /// Its place among `[[listeners]]`: several may have the address with port 0.
    position: usize,
    listen: Listen,
    state: Arc<ArcSwap<TlsState>>,
}

/// An address to listen on.
pub(crate) struct ToBind<'a> {
    pub(crate) listen: &'a Listen,
    pub(crate) socket_file: SocketFile,
    pub(crate) setup: ListenerSetup,
}

impl<'a> ToBind<'a> {
    /// In clear text, with the server's settings.
    pub(crate) fn plain(listen: &'a Listen) -> Self {
        Self { listen, socket_file: SocketFile::default(), setup: ListenerSetup::default() }
    }
}

/// Certificates that are ready to take the place of others.
pub(crate) struct NewCertificates<'a>(Vec<(&'a ArcSwap<TlsState>, TlsState)>);

impl Certificates {
    /// Those that a process starts with.
    pub(crate) fn new(config: &Config) -> Result<Self, UnusableTls> {
        let state = |(position, listener): (usize, &Listener)| {
            let state = TlsState::new(listener.tls.as_ref()?.settings.clone());
            let served = |state| Served { position, listen: listener.listen.clone(), state: Arc::new(ArcSwap::from_pointee(state)) };
            Some(state.map(served))
        };
        config.server.listeners.iter().enumerate().filter_map(state).collect::<Result<_, _>>().map(Self)
    }

    /// Every public address, with what the server is told about it.
    pub(crate) fn setups<'a>(&self, config: &'a Config) -> Vec<ToBind<'a>> {
        let server = &config.server;
        let own = |(position, listener): (usize, &'a Listener)| {
            let setup = ListenerSetup {
                options: Some(listener.options),
                counted_apart: listener.counted_apart,
                http2: listener.http2,
                redirect: listener.redirect,
                proxy_protocol: listener.proxy_protocol.clone().map(Arc::new),
                tls: self.0.iter().find(|served| served.position == position).map(|served| Arc::clone(&served.state)),
            };
            ToBind { listen: &listener.listen, socket_file: listener.socket_file, setup }
        };
        let plain = server.listen.iter().map(ToBind::plain);
        plain.chain(server.listeners.iter().enumerate().map(own)).collect()
    }

    /// The difference to a new configuration. Certificates that are as they were keep their sessions. Refused as a whole, before anything changes.
    pub(crate) fn differing(&self, config: &Config) -> Result<NewCertificates<'_>, UnusableTls> {
        let listeners = &config.server.listeners;
        let changed = |served: &Served| {
            let here = listeners.get(served.position).filter(|listener| listener.listen == served.listen);
            let new = here.or_else(|| listeners.iter().find(|listener| listener.listen == served.listen))?.tls.as_ref()?;
            (*served.state.load().settings() != new.settings).then(|| new.settings.clone())
        };
        let differing = self.0.iter().filter_map(|served| Some((&*served.state, changed(served)?)));
        differing.map(|(served, settings)| Ok((served, TlsState::new(settings)?))).collect::<Result<_, _>>().map(NewCertificates)
    }

    /// Those that have 30 days or fewer left, for people who look; `None` if there is none.
    pub(crate) fn expiring(&self, now: u64) -> Option<serde_json::Value> {
        let soon = |certificate: &CertificateSnapshot| Urgency::of(certificate.not_after_seconds, now) > Urgency::None;
        let described = |CertificateSnapshot { listener, name, not_after_seconds }: CertificateSnapshot| serde_json::json!({ "listener": listener, "name": name, "days": days_left(not_after_seconds, now) });
        let expiring: Vec<_> = self.snapshot().into_iter().filter(soon).map(described).collect();
        (!expiring.is_empty()).then(|| expiring.into())
    }

    /// The certificates in use, for metrics.
    pub(crate) fn snapshot(&self) -> Vec<CertificateSnapshot> {
        let of_listener = |served: &Served| {
            let state = served.state.load();
            let certificate = |facts: &larder_tls::Facts| CertificateSnapshot {
                listener: served.listen.address().to_owned(),
                name: facts.names.first().unwrap_or_default(),
                not_after_seconds: facts.not_after,
            };
            state.settings().pairs.iter().map(|pair| certificate(pair.facts())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_listener).collect()
    }
}

impl NewCertificates<'_> {
    /// New connections get them from now on. Returns on how many listeners.
    pub(crate) fn take_effect(self) -> usize {
        let listeners = self.0.len();
        for (served, state) in self.0 {
            served.store(Arc::new(state));
        }
        listeners
    }
}
