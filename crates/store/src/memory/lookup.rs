//! Look-ups: one probe of the table, a comparison of the whole key, and at most one step from a [`Slot::Vary`] to a variant.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderMap;
use larder_semantics::validation::may_confirm_another;
use larder_semantics::{StoredHead, Timestamp};

use super::MemoryStore;
use super::departed::Departure;
use super::key_hash::{KeyHash, SlotKey};
use super::slot::Slot;
use super::vary_index::VaryIndex;
use crate::entry::StoredPart;
use crate::entry::{StoredResponse, Variant};

/// Stored variants whose validators go into one conditional request.
const MAX_CANDIDATES: usize = 8;

thread_local! {
    /// Secondary keys of look-ups are written here, so that none allocates.
    static SECONDARY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The result of a look-up.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The stored response that the request selects, fresh or not.
    Found(Arc<StoredResponse>),
    /// The stored response that the request selects, but other replicas may have invalidated it: it has to be validated.
    Unvouched(Arc<StoredResponse>),
    /// Some bytes of it.
    Partial(Arc<StoredPart>),
    /// The URI is known, but no stored variant suits this request; and as far as that is known, why.
    VaryMiss(Arc<VaryIndex>, Departure),
    /// Known not to be worth waiting for.
    HitForMiss {
        /// Whether that is known of requests with credentials only.
        of_credentials: bool,
    },
    /// Nothing under this URI, and as far as that is known, why.
    Absent(Departure),
}

impl Lookup {
    /// The stored response that was found, good or to be validated.
    pub fn response(&self) -> Option<&Arc<StoredResponse>> {
        match self {
            Self::Found(response) | Self::Unvouched(response) => Some(response),
            Self::Partial(_) | Self::VaryMiss(..) | Self::HitForMiss { .. } | Self::Absent(_) => None,
        }
    }

    /// The head of the stored response that was found.
    pub fn head(&self) -> Option<&StoredHead> {
        match self {
            Self::Found(response) => Some(&response.head),
            _ => None,
        }
    }
}

/// When the origin sent it, to the second and not later: the response may have been slow, and this process may have been suspended.
fn fetched(head: &StoredHead) -> Timestamp {
    Timestamp::from_millis(head.response_time.as_millis().saturating_sub(u64::from(head.initial_age) * 1000))
}

impl MemoryStore {
    /// Looks up the response for a request with these fields. Follows a [`Slot::Vary`] once; the most recent of several matches wins
    /// (RFC 9111 §4.1). Invalidated entries are removed on the way.
    #[inline]
    pub fn lookup(&self, key: SlotKey<'_>, request: &HeaderMap, now: Timestamp) -> Lookup {
        self.lookup_with(key, request, now, |hash| self.get(hash, key.text))
    }

    /// As [`Self::lookup`], for people who look: it counts as no use, and what is invalid stays where it is.
    pub fn peek(&self, key: SlotKey<'_>, request: &HeaderMap, now: Timestamp) -> Lookup {
        let valid = |hash| self.current(hash, key.text.as_bytes()).filter(|slot| !slot.is_invalid(&self.ledger));
        match self.lookup_with(key, request, now, valid) {
            // The look-up of a request would have removed it, and noted that.
            Lookup::Absent(_) if self.current(key.hash, key.text.as_bytes()).is_some_and(|slot| slot.is_invalid(&self.ledger)) => {
                Lookup::Absent(Departure::Purged)
            }
            Lookup::VaryMiss(index, _) if self.has_invalid_variant(key, &index, request) => Lookup::VaryMiss(index, Departure::Purged),
            found => found,
        }
    }

    #[inline]
    fn lookup_with(&self, key: SlotKey<'_>, request: &HeaderMap, now: Timestamp, get: impl Fn(KeyHash) -> Option<Slot>) -> Lookup {
        match get(key.hash) {
            None => Lookup::Absent(self.evictions.departed.why(key.hash)),
            Some(Slot::Response(response)) => self.vouched(response, now),
            Some(Slot::Partial(part)) => self.found_part(part, now),
            Some(Slot::HitForMiss(mark)) if mark.until > now => Lookup::HitForMiss { of_credentials: mark.of_credentials },
            Some(Slot::HitForMiss(_)) => Lookup::Absent(Departure::Unknown),
            Some(Slot::Vary(index)) => match self.select(key, &index, request, get) {
                Some(Slot::Response(response)) => self.vouched(response, now),
                Some(Slot::Partial(part)) => self.found_part(part, now),
                _ => {
                    let why = self.why_no_variant(key, &index, request);
                    Lookup::VaryMiss(index, why)
                }
            },
        }
    }

    /// The result of a look-up that found this response, which is known to be valid.
    pub fn vouched(&self, response: Arc<StoredResponse>, now: Timestamp) -> Lookup {
        if self.vouches_for(&response.head, now) { Lookup::Found(response) } else { Lookup::Unvouched(response) }
    }

    /// Whether the ledger vouches for a response with this head ([`Ledger::vouches_for`](crate::Ledger::vouches_for)).
    pub fn vouches_for(&self, head: &StoredHead, now: Timestamp) -> bool {
        self.ledger.vouches_for(fetched(head), now)
    }

    /// A part that cannot be vouched for is fetched anew: it is not worth a validation.
    fn found_part(&self, part: Arc<StoredPart>, now: Timestamp) -> Lookup {
        if self.vouches_for(&part.meta.head, now) { Lookup::Partial(part) } else { Lookup::Absent(Departure::Unknown) }
    }

    fn select(&self, key: SlotKey<'_>, index: &VaryIndex, request: &HeaderMap, get: impl Fn(KeyHash) -> Option<Slot>) -> Option<Slot> {
        let mut best: Option<Slot> = None;
        for spec in index.specs() {
            let found = SECONDARY.with_borrow_mut(|secondary| {
                secondary.clear();
                spec.write_secondary_key(request, secondary);
                let slot = get(self.hasher.variant(key.hash, secondary));
                slot.filter(|slot| slot.variant().is_some_and(|variant| variant.secondary.text() == secondary))
            });
            let Some(slot) = found else { continue };
            if best.as_ref().is_none_or(|other| slot.date() > other.date()) {
                best = Some(slot);
            }
        }
        best
    }

    /// What is found of the first variant, of those that a request with these fields may select, of which something is found.
    fn any_variant<T>(&self, key: SlotKey<'_>, index: &VaryIndex, request: &HeaderMap, look: impl Fn(KeyHash) -> Option<T>) -> Option<T> {
        index.specs().iter().find_map(|spec| {
            let hash = SECONDARY.with_borrow_mut(|secondary| {
                secondary.clear();
                spec.write_secondary_key(request, secondary);
                self.hasher.variant(key.hash, secondary)
            });
            look(hash)
        })
    }

    fn why_no_variant(&self, key: SlotKey<'_>, index: &VaryIndex, request: &HeaderMap) -> Departure {
        let why = |hash| Some(self.evictions.departed.why(hash)).filter(|why| *why != Departure::Unknown);
        self.any_variant(key, index, request, why).unwrap_or(Departure::Unknown)
    }

    fn has_invalid_variant(&self, key: SlotKey<'_>, index: &VaryIndex, request: &HeaderMap) -> bool {
        let invalid = |hash| self.current(hash, key.text.as_bytes()).filter(|slot| slot.is_invalid(&self.ledger));
        self.any_variant(key, index, request, invalid).is_some()
    }

    /// All that is stored whole for a resource: the one response, or its variants.
    pub fn variants(&self, key: SlotKey<'_>) -> Vec<Arc<StoredResponse>> {
        let of = |hash| match self.get(hash, key.text) {
            Some(Slot::Response(response)) => Some(response),
            _ => None,
        };
        match self.get(key.hash, key.text) {
            Some(Slot::Response(response)) => vec![response],
            Some(Slot::Vary(index)) => index.variants().iter().filter_map(|hash| of(*hash)).collect(),
            Some(Slot::Partial(_) | Slot::HitForMiss(_)) | None => Vec::new(),
        }
    }

    /// The stored variants of a resource that the origin may confirm for a request that selects none of them, newest first, at most eight
    /// (RFC 9111 §4.3.1).
    pub fn candidates(&self, index: &VaryIndex, request: &HeaderMap) -> Vec<Arc<StoredResponse>> {
        let mut stored: Vec<_> = index
            .variants()
            .iter()
            .filter_map(|hash| match self.get(*hash, index.key().text()) {
                Some(Slot::Response(response)) if may_confirm_another(&response.head, request) => Some(response),
                _ => None,
            })
            .collect();
        stored.sort_by_key(|response| std::cmp::Reverse(response.fetch));
        stored.truncate(MAX_CANDIDATES);
        stored
    }

    /// The slot, if it is for this key and still valid.
    fn get(&self, hash: KeyHash, text: &str) -> Option<Slot> {
        let slot = self.slots.get(&hash)?;
        if slot.key_bytes() != text.as_bytes() {
            return None;
        }
        if slot.is_invalid(&self.ledger) {
            // Unless it was replaced meanwhile.
            self.drop_fetch(hash, slot.fetch());
            self.evictions.departed.purged(hash);
            return None;
        }
        Some(slot)
    }

    /// The key under which requests with these fields share a fetch: their variant's, where it is known which one they select.
    pub fn flight_hash(&self, key: SlotKey<'_>, found: &Lookup, request: &HeaderMap) -> KeyHash {
        match found {
            Lookup::Found(response) | Lookup::Unvouched(response) => self.hash_of(key.hash, response.variant()),
            Lookup::Partial(part) => self.hash_of(key.hash, part.variant.as_ref()),
            Lookup::VaryMiss(index, _) => match index.specs().first() {
                Some(spec) => self.hasher.variant(key.hash, spec.secondary_key(request).text()),
                None => key.hash,
            },
            Lookup::HitForMiss { .. } | Lookup::Absent(_) => key.hash,
        }
    }

    /// The hash under which a variant is stored.
    pub fn variant_hash(&self, key: SlotKey<'_>, variant: &Variant) -> KeyHash {
        self.hasher.variant(key.hash, variant.secondary.text())
    }
}
