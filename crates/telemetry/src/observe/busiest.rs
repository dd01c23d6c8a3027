//! URLs by what is asked of them, while somebody looks: the most asked for, those that miss most, the slowest and the largest.
//!
//! Bounded ([`SpaceSaving`]), so it is an estimate: where there are more URLs than it has room for, those that were asked for least go.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use larder_tower::clock::monotonic;
use serde::Serialize;

use super::happening::Happened;
use super::hot::HotUrl;
use super::space_saving::SpaceSaving;

/// URLs that are counted at the same time.
const MAX_URLS: usize = 2048;

/// Rows of each list.
pub(super) const ROWS: usize = 25;

/// Bytes of a URL that are kept.
const MAX_URL: usize = 512;

/// Bytes of all of them.
const MAX_BYTES: usize = 2 << 20;

/// How long it counts on after the last look.
const ATTENTION: Duration = Duration::from_secs(60);

/// What was asked for while somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Busiest {
    /// How long it has counted.
    pub seconds: f64,
    /// Requests in that time.
    pub requests: u64,
    /// The most asked for. Where a job keeps a list of those ([`HotUrl`]), also before somebody looked.
    pub hottest: Vec<UrlCount>,
    /// Those for which the origin was asked most.
    pub missing: Vec<UrlCount>,
    /// By the longest time to the head of a response.
    pub slowest: Vec<UrlRecord>,
    /// By the longest body.
    pub largest: Vec<UrlRecord>,
}

impl Busiest {
    /// With what was asked for most before.
    pub(super) fn with_hot(mut self, hot: Vec<HotUrl>) -> Self {
        for HotUrl { url, requests, .. } in hot {
            match self.hottest.iter_mut().find(|count| count.url == url) {
                Some(count) => count.requests = count.requests.max(requests),
                None => self.hottest.push(UrlCount { url, requests, fetches: 0 }),
            }
        }
        self.hottest.sort_by_key(|count| Reverse(count.requests));
        self.hottest.truncate(ROWS);
        self
    }
}

/// How often a URL was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UrlCount {
    /// Scheme, host, path and query. Secrets in it are masked.
    pub url: String,
    /// Requests for it.
    pub requests: u64,
    /// Of these, those for which the origin was asked.
    pub fetches: u64,
}

/// One request that stands out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UrlRecord {
    /// As of [`UrlCount`].
    pub url: String,
    /// The status of its response.
    pub status: Option<u16>,
    /// What the cache did.
    pub result: Option<&'static str>,
    /// Microseconds to the head of the response.
    pub duration_us: u64,
    /// The length of the body, where it was known beforehand.
    pub bytes: u64,
}

/// The counts, for as long as somebody looks.
#[derive(Debug)]
pub(super) struct Counting {
    began: Instant,
    looked: Instant,
    requests: u64,
    /// With how often the origin was asked.
    urls: SpaceSaving<u64>,
    slowest: Vec<UrlRecord>,
    largest: Vec<UrlRecord>,
}

impl Counting {
    pub(super) fn new() -> Self {
        let now = monotonic();
        Self { began: now, looked: now, requests: 0, urls: SpaceSaving::new(MAX_URLS, MAX_BYTES), slowest: Vec::new(), largest: Vec::new() }
    }

    /// Whether nobody has looked for a while.
    pub(super) fn is_forgotten(&self) -> bool {
        monotonic().saturating_duration_since(self.looked) > ATTENTION
    }

    pub(super) fn count(&mut self, happened: &Happened) {
        self.requests += 1;
        let url = url_of(happened);
        let fetched = u64::from(happened.upstream_us.is_some());
        *self.urls.add(&url, 1, 0, || 0) += fetched;
        let record = || UrlRecord {
            url: url.to_string(),
            status: happened.status,
            result: happened.result,
            duration_us: happened.duration_us,
            bytes: happened.bytes.unwrap_or_default(),
        };
        keep(&mut self.slowest, happened.duration_us, |record| record.duration_us, record);
        if let Some(bytes) = happened.bytes.filter(|bytes| *bytes > 0) {
            keep(&mut self.largest, bytes, |record| record.bytes, record);
        }
    }

    /// What has been counted so far.
    pub(super) fn look(&mut self) -> Busiest {
        self.looked = monotonic();
        let by = |rank: fn(&UrlCount) -> u64| {
            let counts = self.urls.most().map(|(url, requests, fetches)| UrlCount { url: url.to_owned(), requests, fetches: *fetches });
            let mut counts: Vec<UrlCount> = counts.filter(|count| rank(count) > 0).collect();
            counts.sort_by(|one, other| rank(other).cmp(&rank(one)).then_with(|| one.url.cmp(&other.url)));
            counts.truncate(ROWS);
            counts
        };
        Busiest {
            seconds: self.looked.saturating_duration_since(self.began).as_secs_f64(),
            requests: self.requests,
            hottest: by(|count| count.requests),
            missing: by(|count| count.fetches),
            slowest: self.slowest.clone(),
            largest: self.largest.clone(),
        }
    }
}

/// Keeps a record in its place, if it is among the first ones. A URL stands in a list once, with its own largest.
fn keep(list: &mut Vec<UrlRecord>, value: u64, rank: fn(&UrlRecord) -> u64, record: impl FnOnce() -> UrlRecord) {
    if list.len() >= ROWS && list.last().is_some_and(|last| rank(last) >= value) {
        return;
    }
    let record = record();
    if let Some(place) = list.iter().position(|other| other.url == record.url) {
        if rank(&list[place]) >= value {
            return;
        }
        list.remove(place);
    }
    list.push(record);
    list.sort_by_key(|record| Reverse(rank(record)));
    list.truncate(ROWS);
}

fn url_of(happened: &Happened) -> Box<str> {
    let url = format!("{}://{}{}", happened.scheme, happened.host, happened.target);
    url[..url.floor_char_boundary(MAX_URL)].into()
}

#[cfg(test)]
mod tests {
    use super::super::filter::tests::happened;
    use super::*;

    fn asked(counting: &mut Counting, target: &str, upstream_us: Option<u64>, duration_us: u64, bytes: u64) {
        counting.count(&Happened { target: target.into(), upstream_us, duration_us, bytes: Some(bytes), ..happened() });
    }

    #[test]
    fn each_list_has_what_it_is_named_after() {
        let mut counting = Counting::new();
        (0..3).for_each(|_| asked(&mut counting, "/hot", None, 10, 1));
        (0..2).for_each(|_| asked(&mut counting, "/missing", Some(5), 20, 2));
        asked(&mut counting, "/slow", Some(5), 9000, 3);
        asked(&mut counting, "/large", None, 30, 9_000);
        let busiest = counting.look();
        let first = |url: &str| assert!(url.contains("://a.example/"), "{url}");
        first(&busiest.hottest[0].url);
        assert_eq!((busiest.requests, busiest.hottest[0].requests, busiest.missing[0].fetches), (7, 3, 2));
        assert!(busiest.missing[0].url.ends_with("/missing") && busiest.missing.len() == 2, "{busiest:?}");
        assert!(busiest.slowest[0].url.ends_with("/slow") && busiest.largest[0].url.ends_with("/large"), "{busiest:?}");
        assert_eq!(busiest.slowest.len(), 4, "each URL once");
    }

    #[test]
    fn whatever_comes_it_stays_within_its_bounds_and_keeps_what_is_hot() {
        let mut counting = Counting::new();
        (0..20).for_each(|_| asked(&mut counting, "/hot", None, 1, 1));
        for number in 0..10 * MAX_URLS as u64 {
            asked(&mut counting, &format!("/{number}{}", "x".repeat(1000)), None, number, number);
        }
        let busiest = counting.look();
        assert!(counting.urls.len() <= MAX_URLS && counting.urls.most().all(|(url, ..)| url.len() <= MAX_URL));
        assert_eq!((busiest.hottest[0].requests, busiest.slowest.len(), busiest.largest.len()), (20, ROWS, ROWS));
        assert!(busiest.slowest[0].url.contains("/20479x"), "{:?}", busiest.slowest[0]);
    }
}
