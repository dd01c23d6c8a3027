//! Tokens of clients that are verified: `[auth.jwt]`.
//!
//! 1. [`Auth::follow`]: the verifier of a configuration. A reload that does not change the section keeps it, with all that it knows.
//! 2. [`keeping`]: where the keys are at a URL, a task that fetches them for as long as the verifier lives.
//!
//! Verifying itself is in `larder_auth`, and what it means for keys in `larder_semantics::key`.

mod keeping;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_auth::{Context, KeySet, KeySetError, Verifier};
use larder_semantics::{Timestamp, TokenVerifier};
use larder_tower::clock::Clock;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::config::{Config, JwksUrl, JwtAuth, JwtKeys};
use crate::telemetry::access_log::timestamp;
use crate::telemetry::snapshot::{KeyFetches, LabelledCount, TokensSnapshot};

/// What verifies the tokens of one configuration.
#[derive(Debug)]
pub(crate) struct Auth {
    settings: JwtAuth,
    /// The claims that anything is told apart by.
    names: Vec<String>,
    verifier: Arc<Verifier>,
    /// Tells that keys are wanted sooner than they are due.
    wanted: Arc<Notify>,
    fetches: Arc<Fetches>,
    clock: Clock,
}

/// How fetching keys has gone.
#[derive(Debug, Default)]
struct Fetches {
    ok: AtomicU64,
    failed: AtomicU64,
    /// Since the last one that was not.
    failed_in_a_row: AtomicU64,
    /// When the last one ended that was not, in seconds since the epoch; 0: none has.
    last: AtomicU64,
}

impl Auth {
    /// What verifies the tokens of a configuration; `None` where nothing does. Keys that `before` had from the same place hold until they are fetched, if
    /// anything `is_fetched` at all: without a network there are those of files.
    ///
    /// # Errors
    /// If the keys in a file cannot be used.
    pub(crate) fn follow(
        config: &Config,
        clock: &Clock,
        before: Option<&Arc<Self>>,
        is_fetched: bool,
    ) -> Result<Option<Arc<Self>>, KeySetError> {
        let Some(settings) = config.jwt.clone() else { return Ok(None) };
        let names = config.verified_claims();
        if let Some(before) = before.filter(|before| before.settings == settings && before.names == names) {
            return Ok(Some(Arc::clone(before)));
        }
        let (wanted, time) = (Arc::<Notify>::default(), clock.clone());
        let waking = Arc::clone(&wanted);
        let context = Context { now: Box::new(move || time.now()), unknown_key: Box::new(move || waking.notify_one()) };
        let known = before.map(|before| &*before.verifier);
        let verifier = Arc::new(Verifier::new(settings.rules.clone(), names.clone(), settings.max_tokens, context, known));
        let fetches = before.map_or_else(Arc::default, |before| Arc::clone(&before.fetches));
        if let JwtKeys::Document(document) = &settings.keys {
            verifier.set_keys(document)?;
        } else if let Some(document) =
            before.filter(|before| before.settings.keys == settings.keys).and_then(|before| before.verifier.document())
        {
            // They may be none for other algorithms.
            let _ = verifier.set_keys(&document);
        }
        let auth = Arc::new(Self { settings, names, verifier, wanted, fetches, clock: clock.clone() });
        if let JwtKeys::Url(url) = &auth.settings.keys
            && is_fetched
        {
            tokio::spawn(keeping::keep_at(Arc::downgrade(&auth), Arc::clone(&auth.wanted), url.clone()));
        }
        Ok(Some(auth))
    }

    /// What verifies tokens.
    pub(crate) fn verifier(&self) -> Arc<dyn TokenVerifier> {
        Arc::clone(&self.verifier) as _
    }

    pub(crate) fn snapshot(&self) -> TokensSnapshot {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Fetches { ok, failed, failed_in_a_row, last } = &*self.fetches;
        TokensSnapshot {
            checked: self.verifier.checked().map(|(label, count)| LabelledCount { label, count }).collect(),
            remembered: self.verifier.token_count() as u64,
            keys: self.verifier.key_count() as u64,
            fetches: matches!(self.settings.keys, JwtKeys::Url(_)).then(|| KeyFetches {
                ok: count(ok),
                failed: count(failed),
                failed_in_a_row: count(failed_in_a_row),
                last_success_seconds: count(last),
            }),
        }
    }

    /// For probes: how fetching keys fails, where it does.
    pub(crate) fn detail(&self) -> Option<Value> {
        let TokensSnapshot { keys, fetches, .. } = self.snapshot();
        let fetches = fetches.filter(|fetches| fetches.failed_in_a_row > 0)?;
        let last = (fetches.last_success_seconds > 0).then(|| timestamp(Timestamp::from_millis(fetches.last_success_seconds * 1000)));
        Some(json!({ "keys": keys, "failed_in_a_row": fetches.failed_in_a_row, "last_success": last }))
    }

    /// A fetch of keys has ended. Tells how often in a row it has failed: keys from before hold meanwhile.
    fn fetched(&self, document: Result<Vec<u8>, String>) -> u64 {
        let fetches = &*self.fetches;
        match document.and_then(|document| self.verifier.set_keys(&document).map_err(|error| error.to_string())) {
            Ok(changed) => {
                fetches.ok.fetch_add(1, Ordering::Relaxed);
                fetches.last.store(seconds(self.clock.now()), Ordering::Relaxed);
                let failed = fetches.failed_in_a_row.swap(0, Ordering::Relaxed);
                if changed || failed > 0 {
                    info!(keys = self.verifier.key_count(), changed, "the keys of [auth.jwt] were fetched");
                }
                0
            }
            Err(error) => {
                fetches.failed.fetch_add(1, Ordering::Relaxed);
                let failed = fetches.failed_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                if failed == 1 {
                    let keys = self.verifier.key_count();
                    warn!(error, keys, "the keys of [auth.jwt] could not be fetched; those from before hold, and it is tried again");
                }
                failed
            }
        }
    }
}

impl Drop for Auth {
    fn drop(&mut self) {
        // Its task sees that it has gone.
        self.wanted.notify_one();
    }
}

/// How many keys for these algorithms there are at the URL now; for people who look whether it works.
///
/// # Errors
/// Why there are none, in a sentence.
pub(crate) async fn probe(settings: &JwtAuth, url: &JwksUrl) -> Result<usize, String> {
    let document = keeping::fetch(url).await?;
    KeySet::parse(&document, &settings.rules.algorithms).map(|keys| keys.len()).map_err(|error| error.to_string())
}

fn seconds(time: Timestamp) -> u64 {
    time.as_millis() / 1000
}
