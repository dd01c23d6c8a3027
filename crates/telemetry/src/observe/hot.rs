//! The hot list: what clients ask for most, so that it can be fetched before they ask again.
//!
//! Only what can be fetched for anybody is on it: answers to GET that come from the store or go there, under a key without an identity, to requests
//! without credentials and without secrets in their URLs. A request is remembered with the fields that select its answer.
//!
//! It costs a request nothing where no job needs it. Otherwise the first requests of a second are all counted, on each thread, and the more come in it the
//! fewer of them: one in four, in sixteen, and so on, at random, each for as many; those between cost one number of their thread. A thread notices a new
//! second with the first request that it counts.

use std::borrow::Cow;
use std::cell::Cell;

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use larder_semantics::Timestamp;
use larder_tower::CacheResult;
use serde::{Deserialize, Serialize};

use super::space_saving::SpaceSaving;
use crate::access_log::{ResponseRecord, redacted};

/// URLs that are counted, for each that is wanted: those that are on the way up are among them.
const SPARE: usize = 4;

/// Bytes of the list at most.
const MAX_BYTES: usize = 32 << 20;

/// Bytes of a URL with the fields of its request that are kept at most; others are not counted.
const MAX_TEXT: usize = 2048;

/// Bytes of the value of a field that is part of the key.
const MAX_KEYED: usize = 64;

/// Requests of a second that are all counted; so many more are counted of each share that follows.
const STEP: u32 = 64;

/// How often the share of the requests that are counted falls to a quarter in a second: in a very busy one, one in 256 is.
const MAX_STEPS: u32 = 4;

/// A URL goes after so many refreshes between which no client has asked for it.
const MAX_UNUSED: u8 = 2;

/// The fields by which most answers vary, as a client that asked has sent them last. Those in the key are kept for each of their values.
const SELECTING: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

/// One URL of the list. This is also the form in which it outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotUrl {
    /// Scheme, host, path and query.
    pub url: String,
    /// Requests for it: those of the last hour count whole, those of the hour before half, and so on.
    pub requests: u64,
    /// Fields of requests for it that are part of its key.
    #[serde(default)]
    pub keyed: Vec<(String, String)>,
    /// Other fields that may select its answer, as the last client sent them.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
}

impl HotUrl {
    /// All that tells it from others.
    fn name(&self) -> String {
        let lines = self.keyed.iter().flat_map(|(name, value)| ["\n", name, ": ", value]);
        std::iter::once(self.url.as_str()).chain(lines).collect()
    }

    fn length(&self) -> usize {
        self.url.len() + self.all_fields().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    fn all_fields(&self) -> impl Iterator<Item = &(String, String)> {
        self.keyed.iter().chain(&self.fields)
    }

    /// Bytes of memory beside itself.
    fn held(&self) -> usize {
        self.length() + self.all_fields().count() * size_of::<(String, String)>()
    }
}

/// The list.
#[derive(Debug)]
pub(super) struct HotList {
    urls: SpaceSaving<Hot>,
    wanted: usize,
}

#[derive(Debug)]
struct Hot {
    url: HotUrl,
    /// Refreshes since a client asked for it.
    unused: u8,
}

/// A request under way that is to be counted.
#[derive(Debug)]
pub(super) struct HotRequest {
    headers: HeaderMap,
    weight: u32,
}

thread_local! {
    /// Requests that go by before the next one is counted.
    static SKIPPED: Cell<u32> = const { Cell::new(0) };
    static SAMPLE: Cell<Sample> = const { Cell::new(Sample { second: 0, count: 0, weight: 1, random: 0x9e37_79b9 }) };
}

/// The state of a thread's draws.
#[derive(Clone, Copy, Debug)]
struct Sample {
    second: u64,
    /// Requests of that second that were counted.
    count: u32,
    /// For how many the next one counts.
    weight: u32,
    /// The state of a generator of random numbers (Marsaglia: Xorshift RNGs, 2003).
    random: u32,
}

/// Whether this request is counted. The others cost one number of their thread, and no clock.
pub(super) fn is_drawn() -> bool {
    SKIPPED.with(|skipped| {
        let left = skipped.get();
        skipped.set(left.saturating_sub(1));
        left == 0
    })
}

/// For how many requests the drawn one counts. Says when the next one is drawn.
fn weight(now: Timestamp) -> u32 {
    SAMPLE.with(|sample| {
        let Sample { second: last, count, weight, mut random } = sample.get();
        let second = now.as_millis() / 1000;
        let count = if last == second { count.saturating_add(1) } else { 1 };
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        // One in so many.
        let share = 4_u32.pow((count / STEP).min(MAX_STEPS));
        SKIPPED.with(|left| left.set(random % (2 * share - 1)));
        sample.set(Sample { second, count, weight: share, random });
        weight
    })
}

impl HotRequest {
    /// A request that was drawn, if its answer is nobody's own.
    pub(super) fn of<B>(request: &Request<B>, now: Timestamp) -> Option<Self> {
        let weight = weight(now);
        let is_shared = request.method() == Method::GET && !request.headers().contains_key(AUTHORIZATION);
        is_shared.then(|| Self { headers: request.headers().clone(), weight })
    }

    fn field(&self, name: &HeaderName) -> Option<(String, String)> {
        Some((name.to_string(), self.headers.get(name)?.to_str().ok()?.to_owned()))
    }

    /// The fields of the key; `None` where one of them may be a secret: those are what others write as a hash.
    fn keyed(&self, names: &[HeaderName]) -> Option<Vec<(String, String)>> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let may_stay = |(name, value): &(String, String)| {
            let is_secret = ["key", "token", "secret", "auth", "cookie"].iter().any(|word| name.contains(word));
            !is_secret && value.len() <= MAX_KEYED && value.bytes().all(is_plain)
        };
        let fields = names.iter().filter(|name| self.headers.contains_key(*name)).map(|name| self.field(name).filter(may_stay));
        fields.collect()
    }
}

impl HotList {
    /// For the first `wanted` of all URLs.
    pub(super) fn new(wanted: usize) -> Self {
        Self { urls: SpaceSaving::new(wanted * SPARE, MAX_BYTES), wanted }
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Counts a request whose answer is there. `keyed` are the fields that are part of its key.
    pub(super) fn count(&mut self, request: &HotRequest, status: StatusCode, record: &ResponseRecord<'_>, keyed: &[HeaderName]) {
        let is_shared = matches!(record.result, Some(CacheResult::Hit | CacheResult::Revalidated))
            || record.stored == Some(true)
            || (record.result.is_some() && record.collapsed);
        let Some(key) = record.key.filter(|key| is_shared && status.is_success() && key.identity().is_none()) else { return };
        // What is masked elsewhere must not lie in a file.
        if matches!(redacted(key.url()), Cow::Owned(_)) {
            return;
        }
        let Some(keyed) = request.keyed(keyed) else { return };
        let fields =
            SELECTING.iter().filter(|name| keyed.iter().all(|(own, _)| own != name.as_str())).filter_map(|name| request.field(name));
        self.add(HotUrl { url: key.url().to_owned(), requests: request.weight.into(), fields: fields.collect(), keyed });
    }

    fn add(&mut self, url: HotUrl) {
        if url.length() > MAX_TEXT {
            return;
        }
        let hot = self.urls.add(&url.name(), url.requests, url.held(), || Hot { url: HotUrl::default(), unused: 0 });
        *hot = Hot { url, unused: 0 };
    }

    /// The most asked for, at most so many.
    pub(super) fn most(&self, count: usize) -> Vec<HotUrl> {
        self.urls.most().take(count).map(|(_, requests, hot)| HotUrl { requests, ..hot.url.clone() }).collect()
    }

    /// Takes what an earlier process has kept. It counts as if it had been asked for just now.
    pub(super) fn restore(&mut self, urls: Vec<HotUrl>) {
        urls.into_iter().for_each(|url| self.add(HotUrl { requests: url.requests.max(1), ..url }));
    }

    /// A job has fetched it again. What nobody asks for between two such refreshes leaves the list.
    pub(super) fn refreshed(&mut self, url: &HotUrl) {
        let name = url.name();
        let Some(hot) = self.urls.get_mut(&name) else { return };
        hot.unused += 1;
        if hot.unused >= MAX_UNUSED {
            self.urls.remove(&name);
        }
    }

    /// An hour has passed: what was asked for before counts half.
    pub(super) fn age(&mut self) {
        self.urls.halve();
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.urls.bytes()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use larder_semantics::PrimaryKey;

    use super::*;

    const HIT: ResponseRecord<'static> = ResponseRecord {
        result: Some(CacheResult::Hit),
        reason: None,
        route: None,
        key: None,
        stored: None,
        collapsed: false,
        upstream: None,
        upstream_server: None,
        upstream_status: None,
        upstream_time: None,
        upstream_connect: None,
        upstream_attempts: None,
        trace: None,
        tokens_saved: None,
        problem: None,
    };

    fn request(fields: &[(&'static str, &'static str)]) -> HotRequest {
        let headers = fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        HotRequest { headers, weight: 1 }
    }

    fn asked(list: &mut HotList, key: &str, fields: &[(&'static str, &'static str)]) {
        let key = PrimaryKey::from(key);
        let tenant = [HeaderName::from_static("x-tenant")];
        list.count(&request(fields), StatusCode::OK, &ResponseRecord { key: Some(&key), ..HIT }, &tenant);
    }

    fn urls(list: &HotList) -> Vec<(String, u64)> {
        list.most(10).into_iter().map(|hot| (hot.url, hot.requests)).collect()
    }

    #[test]
    fn the_most_asked_for_stands_first_with_what_selects_its_answer() {
        let mut list = HotList::new(10);
        asked(&mut list, "v1:default:GET:http://a.example/a", &[]);
        (0..3).for_each(|_| asked(&mut list, "v1:default:GET:http://a.example/b?c=1", &[("accept-language", "de"), ("x-other", "1")]));
        assert_eq!(urls(&list), [("http://a.example/b?c=1".to_owned(), 3), ("http://a.example/a".to_owned(), 1)]);
        assert_eq!(list.most(1)[0].fields, [("accept-language".to_owned(), "de".to_owned())]);
    }

    #[test]
    fn what_is_in_the_key_tells_entries_apart() {
        let mut list = HotList::new(10);
        for tenant in ["one", "two", "one"] {
            asked(&mut list, "v1:default:GET:http://a.example/a", &[("x-tenant", tenant)]);
        }
        let most = list.most(10);
        assert_eq!((most[0].keyed[0].1.as_str(), most[0].requests, most[1].keyed[0].1.as_str()), ("one", 2, "two"));
    }

    #[test]
    fn nobodys_own_and_nothing_secret_is_on_it() {
        let mut list = HotList::new(10);
        asked(&mut list, "v1:default:GET:http://a.example/a #identity=0123", &[]);
        asked(&mut list, "v1:default:GET:http://a.example/a?access_token=x", &[]);
        asked(&mut list, "v1:default:GET:http://a.example/long", &[("x-tenant", "a value that stands in keys as a hash")]);
        let key = PrimaryKey::from("v1:default:GET:http://a.example/a");
        let missed = ResponseRecord { result: Some(CacheResult::Miss), key: Some(&key), ..HIT };
        list.count(&request(&[]), StatusCode::OK, &missed, &[]);
        list.count(&request(&[]), StatusCode::NOT_FOUND, &ResponseRecord { key: Some(&key), ..HIT }, &[]);
        assert_eq!(urls(&list), []);
        let with = |name| Request::get("/").header(name, "x").body(()).expect("a request");
        assert!(HotRequest::of(&with("authorization"), Timestamp::default()).is_none());
        assert!(HotRequest::of(&with("accept"), Timestamp::default()).is_some());
    }

    #[test]
    fn what_clients_send_last_is_within_the_bound_too() {
        let mut list = HotList::new(100_000);
        let url = |n: usize| HotUrl { url: format!("http://a.example/{n}"), requests: 1, ..HotUrl::default() };
        (0..50_000).for_each(|n| list.add(url(n)));
        let (before, count) = (list.bytes(), list.most(100_000).len());
        let fields = vec![("accept".to_owned(), "x".repeat(MAX_TEXT - 100))];
        (0..count).for_each(|n| list.add(HotUrl { fields: fields.clone(), ..url(n) }));
        let held: usize = list.most(100_000).iter().map(HotUrl::held).sum();
        assert!(before < list.bytes() && list.bytes() <= MAX_BYTES && held < list.bytes(), "{before}, {}, {held}", list.bytes());
    }

    #[test]
    fn what_nobody_asks_for_leaves_after_two_refreshes() {
        let mut list = HotList::new(10);
        for _ in 0..5 {
            asked(&mut list, "v1:default:GET:http://a.example/a", &[]);
            let hot = list.most(1).remove(0);
            list.refreshed(&hot);
        }
        let hot = list.most(1).remove(0);
        list.refreshed(&hot);
        assert_eq!(urls(&list), []);
        list.restore(vec![hot]);
        assert_eq!(urls(&list), [("http://a.example/a".to_owned(), 5)], "a restart begins anew");
    }

    #[test]
    fn in_a_busy_second_a_share_of_requests_stands_for_all() {
        let counted = |second: u64, requests: u32| {
            let weights = (0..requests).map(|_| if is_drawn() { weight(Timestamp::from_secs(second)) } else { 0 });
            weights.collect::<Vec<_>>()
        };
        assert_eq!(counted(999, STEP), vec![1; STEP as usize], "the first are all counted");
        let busy = counted(1_000, 100_000);
        let (sum, drawn) = (busy.iter().sum::<u32>(), busy.iter().filter(|weight| **weight > 0).count());
        assert!((90_000..110_000).contains(&sum), "{sum}");
        assert!(drawn < 100_000 / 100, "{drawn} are looked at");
        // What is left of the last distance goes by first.
        let share = 4_u32.pow(MAX_STEPS);
        let next = counted(1_001, 2 * share + STEP);
        let first = next.iter().position(|weight| *weight == share).expect("one stands for those before it");
        assert_eq!(next[first + 1..][..STEP as usize - 1], vec![1; STEP as usize - 1]);
    }
}
