//! The public listeners while they serve: what each of them is told, and their certificates, which a reload replaces.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use larder_tls::{Pair, TlsSettings, TlsState, UnusableTls, Urgency, days_left};

use crate::config::{Config, Listen, Listener, SocketFile, Tls};
use crate::server::{ListenerSetup, TlsChallenges};
use crate::telemetry::snapshot::{CertificateSnapshot, RevocationSnapshot};

/// The certificates of all listeners that speak TLS.
#[derive(Debug)]
pub(crate) struct Certificates {
    served: Vec<Served>,
    /// What an authority has issued. Held while a listener's certificates are replaced, so that of two replacements none undoes the other.
    issued: Mutex<Vec<Pair>>,
}

/// Those of one listener.
#[derive(Debug)]
struct Served {
    /// Its place among `[[listeners]]`: several may have the address with port 0.
    position: usize,
    listen: Listen,
    /// As it is configured now.
    tls: ArcSwap<Tls>,
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
pub(crate) struct NewCertificates<'a> {
    all: &'a Certificates,
    /// As each listener is configured now, and its certificates where they are others.
    listeners: Vec<(&'a Served, Tls, Option<TlsState>)>,
}

impl Served {
    /// What it is to serve: the certificates of the configuration, and behind them those that were issued for it.
    fn settings(tls: &Tls, issued: &[Pair]) -> TlsSettings {
        let mut settings = tls.settings.clone();
        if tls.acme {
            settings.pairs.extend_from_slice(issued);
        }
        settings
    }

    /// Serves what it is to serve, where it does not yet. Returns whether that has changed anything.
    fn settle(&self, issued: &[Pair]) -> Result<bool, UnusableTls> {
        let settings = Self::settings(&self.tls.load(), issued);
        let is_new = *self.state.load().settings() != settings;
        if is_new {
            self.state.store(Arc::new(TlsState::new(settings)?));
        }
        Ok(is_new)
    }
}

impl Certificates {
    /// Those that a process starts with.
    pub(crate) fn new(config: &Config) -> Result<Self, UnusableTls> {
        let state = |(position, listener): (usize, &Listener)| {
            let tls = listener.tls.clone()?;
            let state = TlsState::new(tls.settings.clone());
            let (listen, tls) = (listener.listen.clone(), ArcSwap::from_pointee(tls));
            Some(state.map(|state| Served { position, listen, tls, state: Arc::new(ArcSwap::from_pointee(state)) }))
        };
        let served = config.server.listeners.iter().enumerate().filter_map(state).collect::<Result<_, _>>()?;
        Ok(Self { served, issued: Mutex::default() })
    }

    /// Every public address, with what the server is told about it. `challenges` answers authorities on those that speak TLS.
    pub(crate) fn setups<'a>(&self, config: &'a Config, challenges: &Arc<dyn TlsChallenges>) -> Vec<ToBind<'a>> {
        let server = &config.server;
        let own = |(position, listener): (usize, &'a Listener)| {
            let tls = self.served.iter().find(|served| served.position == position).map(|served| Arc::clone(&served.state));
            let setup = ListenerSetup {
                options: Some(listener.options),
                counted_apart: listener.counted_apart,
                http2: listener.http2,
                redirect: listener.redirect,
                proxy_protocol: listener.proxy_protocol.clone().map(Arc::new),
                // A reload may say where certificates come from.
                challenges: tls.is_some().then(|| Arc::clone(challenges)),
                tls,
            };
            ToBind { listen: &listener.listen, socket_file: listener.socket_file, setup }
        };
        let plain = server.listen.iter().map(ToBind::plain);
        plain.chain(server.listeners.iter().enumerate().map(own)).collect()
    }

    /// The difference to a new configuration. Certificates that are as they were keep their sessions. Refused as a whole, before anything changes.
    pub(crate) fn differing(&self, config: &Config) -> Result<NewCertificates<'_>, UnusableTls> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let listeners = &config.server.listeners;
        let configured = |served: &Served| {
            let here = listeners.get(served.position).filter(|listener| listener.listen == served.listen);
            here.or_else(|| listeners.iter().find(|listener| listener.listen == served.listen))?.tls.clone()
        };
        let all = self.served.iter().filter_map(|served| Some((served, configured(served)?)));
        let listeners = all.map(|(served, tls)| {
            let settings = Served::settings(&tls, &issued);
            let is_new = *served.state.load().settings() != settings;
            let state = is_new.then(|| TlsState::new(settings)).transpose()?;
            Ok((served, tls, state))
        });
        Ok(NewCertificates { all: self, listeners: listeners.collect::<Result<_, UnusableTls>>()? })
    }

    /// What an authority has issued, as it is in use.
    pub(crate) fn issued(&self) -> Vec<Pair> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An authority has issued these, which take the place of those before.
    pub(crate) fn set_acme(&self, pairs: Vec<Pair>) {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        *issued = pairs;
        for served in &self.served {
            match served.settle(&issued) {
                Ok(true) => tracing::info!("new connections to {} get new certificates", served.listen.address()),
                Ok(false) => {}
                Err(error) => tracing::error!("{} goes on with the certificates that it has: {error}", served.listen.address()),
            }
        }
    }

    /// Whether no listener speaks TLS.
    pub(crate) fn is_empty(&self) -> bool {
        self.served.is_empty()
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
        self.served.iter().flat_map(of_listener).collect()
    }

    /// The lists of revoked client certificates in use, for metrics and the log.
    pub(crate) fn revocations(&self) -> Vec<RevocationSnapshot> {
        let of_listener = |served: &Served| {
            let state = served.state.load();
            let next_update_seconds = state.settings().clients.as_ref()?.revocations.as_ref()?.next_update();
            Some(RevocationSnapshot { listener: served.listen.address().to_owned(), next_update_seconds })
        };
        self.served.iter().filter_map(of_listener).collect()
    }
}

impl NewCertificates<'_> {
    /// New connections get them from now on. Returns on how many listeners.
    pub(crate) fn take_effect(self) -> usize {
        let issued = self.all.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.listeners.iter().filter(|(.., state)| state.is_some()).count();
        for (served, tls, state) in self.listeners {
            served.tls.store(Arc::new(tls));
            if let Some(state) = state {
                served.state.store(Arc::new(state));
            }
            // An authority may have issued one since.
            if let Err(error) = served.settle(&issued) {
                tracing::error!("{} does not get the last certificate of the authority: {error}", served.listen.address());
            }
        }
        changed
    }
}
