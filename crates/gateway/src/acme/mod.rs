//! Certificates from an authority, as the gateway holds them: a reload replaces the keeper, and the listeners get what it has.

mod shared_store;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use http::Request;
use larder_acme::{AcmeStore, DomainReport, Folder, Keeper};
use larder_message::authority::without_port;
use larder_tls::Pair;
use larder_tower::clock::wall;
use rustls::ServerConfig;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::config::{self, AcmeStoreKind, Config};
use crate::listeners::Certificates;
use crate::redis::Redis;
use crate::server::TlsChallenges;
use crate::telemetry::snapshot::{AcmeDomain, AcmeSnapshot, LabelledCount};
use shared_store::SharedStore;

/// Where the authority looks for a proof over HTTP (RFC 8555 §8.3).
const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// The certificates of `[acme]`, if there is such a section.
#[derive(Debug, Default)]
pub(crate) struct Acme {
    keeper: ArcSwapOption<Keeper>,
    /// What keeps them. It ends when another takes its place.
    keeping: Mutex<Option<AbortHandle>>,
}

/// A request for a proof, as far as it can be seen from its head.
pub(crate) struct ChallengeRequest {
    keeper: Arc<Keeper>,
    host: String,
    token: String,
}

impl Acme {
    /// Follows a configuration that is in force. Returns what is told once the stored certificates are in use.
    pub(crate) fn follow(&self, config: &Config, redis: Option<&Redis>, certificates: &Arc<Certificates>) -> oneshot::Receiver<()> {
        let (loaded, when_loaded) = oneshot::channel();
        let running = self.keeper.load_full();
        if running.as_ref().map(|keeper| keeper.config()) == config.acme.as_ref() {
            return when_loaded;
        }
        let store = config.acme.as_ref().and_then(|acme| store(acme, redis));
        if config.acme.is_some() && store.is_none() && running.is_some() {
            // Until the restart that the new store needs, what was kept is kept on.
            return when_loaded;
        }
        let keeper = config.acme.clone().zip(store).map(|(acme, store)| Keeper::new(acme, store, seconds));
        self.keeper.store(keeper.clone());
        let certificates = Arc::clone(certificates);
        let task = tokio::spawn(async move {
            let Some(keeper) = keeper else { return certificates.set_acme(Vec::new()) };
            let before = certificates.issued();
            keeper.load().await;
            let mut pairs = keeper.pairs();
            let serve = |own: &[Pair]| certificates.set_acme(in_use(&keeper.config().domains, own, &before));
            serve(&pairs.borrow_and_update());
            let _ = loaded.send(());
            let followed = async {
                while pairs.changed().await.is_ok() {
                    serve(&pairs.borrow_and_update());
                }
            };
            tokio::join!(Arc::clone(&keeper).keep(), followed);
        });
        let before = self.keeping.lock().unwrap_or_else(PoisonError::into_inner).replace(task.abort_handle());
        if let Some(before) = before {
            before.abort();
        }
        when_loaded
    }

    /// Orders nothing more: an authority that looks for a proof is another process's to answer, or nobody's. The certificates stay in use.
    pub(crate) fn stop(&self) {
        if let Some(keeping) = self.keeping.lock().unwrap_or_else(PoisonError::into_inner).take() {
            keeping.abort();
        }
    }

    /// What a request asks for, if it may be an authority's.
    pub(crate) fn asked<B>(&self, request: &Request<B>) -> Option<ChallengeRequest> {
        let token = request.uri().path().strip_prefix(CHALLENGE_PATH)?;
        let keeper = self.keeper.load_full()?;
        let authority = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => request.headers().get(http::header::HOST)?.to_str().ok()?,
        };
        Some(ChallengeRequest { keeper, host: without_port(authority).to_owned(), token: token.to_owned() })
    }

    /// The figures for metrics; `None` where there is no such section.
    pub(crate) fn snapshot(&self) -> Option<AcmeSnapshot> {
        let keeper = self.keeper.load_full()?;
        let counts = keeper.counts();
        let orders = [("issued", counts.issued), ("failed", counts.failed)];
        let domain = |report: DomainReport| AcmeDomain {
            domain: report.domain,
            failures: u64::from(report.failures),
            next_order_seconds: report.next_order,
        };
        Some(AcmeSnapshot {
            orders: orders.map(|(label, count)| LabelledCount { label, count }).into(),
            domains: keeper.report().into_iter().map(domain).collect(),
        })
    }

    /// For `/readyz`: the domains that have no certificate, or whose last order failed; `None` if there are none.
    pub(crate) fn detail(&self) -> Option<serde_json::Value> {
        let described = |report: DomainReport| {
            let DomainReport { domain, not_after, next_order, failures, problem } = report;
            serde_json::json!({
                "domain": domain, "not_after": not_after, "next_order": next_order, "failures": failures, "problem": problem,
            })
        };
        let reports = self.keeper.load_full()?.report().into_iter();
        let troubled: Vec<_> = reports.filter(|report| report.not_after.is_none() || report.failures > 0).map(described).collect();
        (!troubled.is_empty()).then(|| troubled.into())
    }
}

impl ChallengeRequest {
    /// The proof, where a certificate for this host is being ordered.
    pub(crate) async fn answer(&self) -> Option<String> {
        self.keeper.challenges().over_http(&self.host, &self.token).await
    }
}

impl TlsChallenges for Acme {
    fn answer<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = Option<Arc<ServerConfig>>> + Send + 'a>> {
        Box::pin(async move { self.keeper.load_full()?.challenges().in_handshake(host).await })
    }
}

/// The certificates of these domains: of each the keeper's own, or until it has one, that of `before`: neither a store that is away nor another authority
/// takes from clients what they can still use.
fn in_use(domains: &[String], own: &[Pair], before: &[Pair]) -> Vec<Pair> {
    let of = |domain: &String| own.iter().chain(before).find(|pair| pair.facts().names.cover(domain)).cloned();
    domains.iter().filter_map(of).collect()
}

/// `None` where the section names a Redis that came with a reload, which takes effect at the next start.
fn store(acme: &config::Acme, redis: Option<&Redis>) -> Option<Arc<dyn AcmeStore>> {
    match &acme.store {
        AcmeStoreKind::Folder(path) => Some(Arc::new(Folder::new(path))),
        AcmeStoreKind::Redis => Some(Arc::new(SharedStore::new(redis?))),
    }
}

fn seconds() -> u64 {
    wall().as_millis() / 1000
}
