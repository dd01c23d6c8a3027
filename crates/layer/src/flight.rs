//! Collapsed forwarding: of the requests for one key that need the origin, one leads and the others follow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_semantics::{PrimaryKey, StoredHead};
use larder_store::{KeyHash, Ledger, Position, StoredResponse, Tag, Variant};
use tokio::sync::watch;

use crate::body_log::LogHandle;
use crate::error::FetchError;

const SHARDS: usize = 32;

/// The flights under way, by key.
#[derive(Debug)]
pub(crate) struct Flights(Box<[Mutex<Shard>]>);

type Shard = HashMap<KeyHash, Arc<Flight>>;

#[derive(Debug)]
struct Flight {
    key: PrimaryKey,
    /// The ledger's position from before it began.
    position: Position,
    landing: watch::Sender<Option<Landing>>,
}

/// What an exchange came to, as far as followers can use it.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    /// A response on its way into the store.
    Live(Arc<Live>),
    /// The origin confirmed a stored response; this is it, freshened.
    Confirmed(Arc<StoredResponse>),
    /// Another replica has stored this.
    Loaded(Arc<StoredResponse>),
    /// No answer. All fail together, or use what they have.
    Failed(FetchError),
    /// An error status that stands for "no answer" (500, 502, 503, 504) and was not passed on.
    Unavailable,
    /// The answer is for one client only; everyone else fetches alone, at once.
    NotShared,
}

/// A response on its way into the store.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) head: Arc<StoredHead>,
    /// Which requests it is for; `None` without `Vary`.
    pub(crate) variant: Option<Variant>,
    pub(crate) body: LogHandle,
    /// The body's length, where the origin announced it.
    pub(crate) length: Option<u64>,
}

/// How to go on.
#[derive(Debug)]
pub(crate) enum Join {
    /// Fetch; others wait for what comes of it.
    Lead(Permit),
    /// Wait.
    Follow(watch::Receiver<Option<Landing>>),
}

/// The right and duty to fetch for a key. Dropped before it lands (a panic, a shutdown), it releases the followers.
#[derive(Debug)]
pub(crate) struct Permit {
    flights: Arc<Flights>,
    hash: KeyHash,
    flight: Arc<Flight>,
}

/// A flight whose landing is known. Requests still join until it is dropped: after the response was committed, so that there is no
/// gap between flight and store.
#[derive(Debug)]
pub(crate) struct Landed {
    _permit: Permit,
}

impl Default for Flights {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Flights {
    /// Joins the flight for `key`, or starts one. A flight from before an invalidation of this key is not joined: it may carry old data.
    pub(crate) fn join(self: &Arc<Self>, hash: KeyHash, key: &PrimaryKey, ledger: &Ledger) -> Join {
        let mut shard = self.shard(hash);
        if let Some(flight) = shard.get(&hash)
            && flight.key == *key
            && ledger.is_valid(&[Tag::url(key.url())], flight.position)
        {
            return Join::Follow(flight.landing.subscribe());
        }
        let flight = Arc::new(Flight { key: key.clone(), position: ledger.position(), landing: watch::Sender::new(None) });
        shard.insert(hash, Arc::clone(&flight));
        Join::Lead(Permit { flights: Arc::clone(self), hash, flight })
    }

    fn shard(&self, hash: KeyHash) -> MutexGuard<'_, Shard> {
        self.0[hash as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The ledger's position from before the fetch.
    pub(crate) fn position(&self) -> Position {
        self.flight.position
    }

    /// Tells the followers.
    pub(crate) fn land(self, landing: Landing) -> Landed {
        self.flight.landing.send_replace(Some(landing));
        Landed { _permit: self }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut shard = self.flights.shard(self.hash);
        if shard.get(&self.hash).is_some_and(|current| Arc::ptr_eq(current, &self.flight)) {
            shard.remove(&self.hash);
        }
        drop(shard);
        self.flight.landing.send_if_modified(|landing| {
            let lost = landing.is_none();
            if lost {
                *landing = Some(Landing::NotShared);
            }
            lost
        });
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use larder_semantics::{KeyBuffer, KeyRules, QueryRules, Target};

    use super::*;

    fn key() -> PrimaryKey {
        let query = QueryRules { sort: true, drop: Vec::new(), drop_empty: false, bypass: None };
        let rules = KeyRules { namespace: "default".into(), version: 1, query, identity: Vec::new() };
        let mut buffer = KeyBuffer::default();
        let target = Target { scheme: "http", authority: "a", path: "/", query: None };
        rules.derive(target, &HeaderMap::new(), &mut buffer);
        buffer.to_key()
    }

    fn lead(join: Join) -> Permit {
        match join {
            Join::Lead(permit) => permit,
            Join::Follow(_) => panic!("expected to lead"),
        }
    }

    fn follow(join: Join) -> watch::Receiver<Option<Landing>> {
        match join {
            Join::Follow(receiver) => receiver,
            Join::Lead(_) => panic!("expected to follow"),
        }
    }

    #[test]
    fn one_leads_and_the_others_follow_until_it_has_landed_and_left() {
        let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
        let permit = lead(flights.join(7, &key(), &ledger));
        let follower = follow(flights.join(7, &key(), &ledger));
        let landed = permit.land(Landing::Unavailable);
        assert!(matches!(*follower.borrow(), Some(Landing::Unavailable)));
        follow(flights.join(7, &key(), &ledger));
        drop(landed);
        lead(flights.join(7, &key(), &ledger));
    }

    #[test]
    fn a_leader_that_is_lost_releases_its_followers() {
        let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
        let permit = lead(flights.join(7, &key(), &ledger));
        let follower = follow(flights.join(7, &key(), &ledger));
        drop(permit);
        assert!(matches!(*follower.borrow(), Some(Landing::NotShared)));
    }

    #[test]
    fn a_request_after_an_invalidation_never_joins_an_older_flight() {
        let (flights, ledger) = (Arc::new(Flights::default()), Ledger::default());
        let older = lead(flights.join(7, &key(), &ledger));
        ledger.invalidate([Tag::url(key().url())]);
        let newer = lead(flights.join(7, &key(), &ledger));
        drop(older);
        follow(flights.join(7, &key(), &ledger));
        drop(newer);
    }
}
