//! The list of what is stored: one walk over the store, of which no request waits for more than an entry, and a bounded answer.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use larder_semantics::Timestamp;
use larder_store::{Selection, Slot, StoredResponse, Tag};
use larder_tower::Cache;

use super::report::{KeyList, KeyRow};
use crate::active::ActiveConfig;

/// Entries that a walk looks at.
const MAX_WALK: usize = 2_000_000;

/// What is listed.
pub(crate) struct Filter {
    /// Only what each of them covers.
    pub(crate) selections: Vec<Selection>,
    pub(crate) sort: Sort,
    /// Rows of the answer.
    pub(crate) limit: usize,
    /// Requests by URL, as far as a job keeps a list of what is asked for most.
    pub(crate) hot: HashMap<String, u64>,
}

impl Filter {
    fn requests(&self, stored: &StoredResponse) -> u64 {
        self.hot.get(stored.key().url()).copied().unwrap_or_default().max(stored.uses().into())
    }
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The largest.
    #[default]
    Size,
    /// The oldest.
    Age,
    /// The most asked for.
    Hits,
    /// What is fresh for the longest.
    Ttl,
}

impl Sort {
    pub(crate) const WORDS: [&'static str; 4] = ["size", "age", "hits", "ttl"];

    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "size" => Self::Size,
            "age" => Self::Age,
            "hits" => Self::Hits,
            "ttl" => Self::Ttl,
            _ => return None,
        })
    }

    /// What comes first has the largest.
    fn rank(self, filter: &Filter, stored: &StoredResponse, now: Timestamp) -> i64 {
        match self {
            Self::Size => i64::try_from(stored.weight()).unwrap_or(i64::MAX),
            Self::Age => stored.head.age(now).into(),
            Self::Hits => i64::try_from(filter.requests(stored)).unwrap_or(i64::MAX),
            Self::Ttl => stored.head.ttl(now),
        }
    }
}

/// Lists what is stored whole in memory and still valid. Takes as long as the walk.
pub(crate) fn list(cache: &Cache, active: &ActiveConfig, filter: &Filter) -> KeyList {
    let now = cache.now();
    let mut list = KeyList::default();
    let mut first = First { rows: Vec::new(), limit: filter.limit };
    list.cut = cache.walk(MAX_WALK, |slot| {
        let Slot::Response(stored) = slot else { return };
        let subject = stored.subject();
        if !filter.selections.iter().all(|selection| selection.covers(&subject)) || !cache.is_valid(stored) {
            return;
        }
        list.matching += 1;
        list.matching_bytes += stored.weight() as u64;
        first.offer(filter.sort.rank(filter, stored, now), stored);
    });
    let routes: Vec<(Tag, &str)> =
        active.config.routes.iter().chain(&active.config.fallback).map(|route| (Tag::route(&route.name), &*route.name)).collect();
    list.keys = first
        .into_sorted()
        .iter()
        .map(|stored| KeyRow { name: active.name_that_purges(stored).unwrap_or_default(), ..row(filter, stored, &routes, now) })
        .collect();
    list
}

fn row(filter: &Filter, stored: &StoredResponse, routes: &[(Tag, &str)], now: Timestamp) -> KeyRow {
    let key = stored.key();
    let route = stored.tags().iter().find_map(|tag| routes.iter().find(|(own, _)| *own == tag)).map_or("", |(_, name)| name);
    KeyRow {
        key: key.text().to_owned(),
        url: key.url().to_owned(),
        variant: stored.variant().map(|variant| variant.secondary.text().to_owned()).unwrap_or_default(),
        route: route.to_owned(),
        status: stored.head.status.as_u16(),
        bytes: stored.body_length(),
        weight: stored.weight() as u64,
        age: stored.head.age(now),
        ttl: stored.head.ttl(now),
        hits: filter.requests(stored),
        ..KeyRow::default()
    }
}

/// The first ones of a list that is not known whole.
struct First {
    rows: Vec<(i64, Arc<StoredResponse>)>,
    limit: usize,
}

impl First {
    fn offer(&mut self, rank: i64, stored: &Arc<StoredResponse>) {
        self.rows.push((rank, Arc::clone(stored)));
        if self.rows.len() >= self.limit.saturating_mul(2).max(64) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.rows.sort_by_key(|(rank, _)| Reverse(*rank));
        self.rows.truncate(self.limit);
    }

    /// Those of one rank by their keys, so that two answers of an unchanged store are the same.
    fn into_sorted(mut self) -> Vec<Arc<StoredResponse>> {
        self.rows.sort_by(|(one, left), (other, right)| other.cmp(one).then_with(|| left.key_bytes().cmp(right.key_bytes())));
        self.rows.truncate(self.limit);
        self.rows.into_iter().map(|(_, stored)| stored).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_an_order_is_known() {
        assert!(Sort::WORDS.iter().all(|word| Sort::of(word).is_some()));
        assert_eq!(Sort::of("name"), None);
    }
}
