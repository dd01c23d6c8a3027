//! What is known of tokens, and the keys that it is known by.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use larder_semantics::{Timestamp, TokenVerifier, VerifiedClaims};
use quick_cache::sync::Cache;

use crate::check::{Checked, Refusal, TokenRules, check};
use crate::key_set::{KeySet, KeySetError};

/// A hash of a token that nobody finds another token for.
type TokenHash = [u8; 32];

/// The world around a verifier.
pub struct Context {
    /// The time.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Called for a token that names a key which is not known: it may be new. Called as often as such tokens come.
    pub unknown_key: Box<dyn Fn() + Send + Sync>,
}

/// Verifies tokens, and remembers by their hashes what it has found: most requests show one that was seen before.
pub struct Verifier {
    rules: TokenRules,
    /// The claims that keys are made of.
    names: Vec<String>,
    max_tokens: usize,
    context: Context,
    /// `None`: there are none yet.
    keys: ArcSwapOption<Known>,
    counts: Arc<Counts>,
}

/// Tokens that were checked.
#[derive(Default)]
struct Counts {
    verified: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

/// Keys, with what they have said of tokens: nothing of that outlives them.
struct Known {
    document: Vec<u8>,
    keys: KeySet,
    verified: Cache<TokenHash, Believed>,
    /// With the time since when they are.
    refused: Cache<TokenHash, Timestamp>,
}

#[derive(Clone)]
struct Believed {
    claims: Arc<VerifiedClaims>,
    until: Timestamp,
}

impl Verifier {
    /// By these rules, for these claims; for so many tokens at a time. It believes none until it [gets keys](Self::set_keys). What the one `before` has
    /// counted goes on.
    pub fn new(rules: TokenRules, names: Vec<String>, max_tokens: usize, context: Context, before: Option<&Self>) -> Self {
        let counts = before.map_or_else(Arc::default, |before| Arc::clone(&before.counts));
        Self { rules, names, max_tokens, context, keys: ArcSwapOption::empty(), counts }
    }

    /// From now on these keys hold, and no others. Tells whether they are others than before.
    ///
    /// # Errors
    /// [`KeySetError`] where there is none among them; then nothing changes.
    pub fn set_keys(&self, document: &[u8]) -> Result<bool, KeySetError> {
        if self.keys.load().as_ref().is_some_and(|known| known.document == document) {
            return Ok(false);
        }
        let keys = KeySet::parse(document, &self.rules.algorithms)?;
        let (verified, refused) = (Cache::new(self.max_tokens), Cache::new(self.max_tokens / 4));
        self.keys.store(Some(Arc::new(Known { document: document.to_vec(), keys, verified, refused })));
        Ok(true)
    }

    /// The document that the keys are from; `None`: there are none yet.
    pub fn document(&self) -> Option<Vec<u8>> {
        self.keys.load().as_ref().map(|known| known.document.clone())
    }

    /// How many keys it has.
    pub fn key_count(&self) -> usize {
        self.keys.load().as_ref().map_or(0, |known| known.keys.len())
    }

    /// How many tokens it remembers as good.
    pub fn token_count(&self) -> usize {
        self.keys.load().as_ref().map_or(0, |known| known.verified.len())
    }

    /// How many tokens it has checked, by what it found. Those that it remembers are not checked again.
    pub fn checked(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let refused = Refusal::ALL.iter().zip(&self.counts.refused).map(|((word, _), count)| (*word, count.load(Ordering::Relaxed)));
        std::iter::once(("verified", self.counts.verified.load(Ordering::Relaxed))).chain(refused)
    }

    #[cold]
    fn check(&self, token: &[u8], known: &Known, hash: TokenHash, now: Timestamp) -> Option<Arc<VerifiedClaims>> {
        match check(token, &known.keys, &self.rules, &self.names, now) {
            Ok(Checked { claims, until }) => {
                self.counts.verified.fetch_add(1, Ordering::Relaxed);
                let claims = Arc::new(claims);
                known.verified.insert(hash, Believed { claims: Arc::clone(&claims), until });
                Some(claims)
            }
            Err(refused) => {
                self.count(refused.reason);
                if let Some(since) = refused.since() {
                    known.refused.insert(hash, since);
                }
                if refused.reason == Refusal::UnknownKey {
                    (self.context.unknown_key)();
                }
                None
            }
        }
    }

    fn count(&self, refusal: Refusal) {
        let counts = Refusal::ALL.iter().zip(&self.counts.refused);
        counts.filter(|((_, own), _)| *own == refusal).for_each(|(_, count)| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
}

impl TokenVerifier for Verifier {
    fn verified(&self, token: &[u8]) -> Option<Arc<VerifiedClaims>> {
        let keys = self.keys.load();
        let Some(known) = keys.as_ref() else {
            self.count(Refusal::UnknownKey);
            return None;
        };
        let (hash, now) = (*blake3::hash(token).as_bytes(), (self.context.now)());
        if let Some(believed) = known.verified.get(&hash) {
            if now < believed.until {
                return Some(believed.claims);
            }
            known.verified.remove(&hash);
        }
        if known.refused.get(&hash).is_some_and(|since| now >= since) {
            return None;
        }
        self.check(token, known, hash, now)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("rules", &self.rules).field("keys", &self.key_count()).finish_non_exhaustive()
    }
}
