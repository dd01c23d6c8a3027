use std::cell::OnceCell;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderName, Request, StatusCode};
use larder_semantics::Timestamp;
use tokio::sync::mpsc;

use super::busiest::{Busiest, Counting, ROWS};
use super::filter::TailFilter;
use super::happening::{Happened, Happening};
use super::hot::{HotList, HotRequest, HotUrl, is_drawn};
use crate::access_log::ResponseRecord;

/// Lines that wait for a reader of a tail.
const QUEUE: usize = 1024;

/// Tails at the same time: each costs every request a filter.
pub const MAX_TAILS: usize = 16;

/// The last requests that are kept.
const RECENT: usize = 1024;

/// Bytes of their JSON, at most.
const RECENT_BYTES: usize = 2 << 20;

/// Those who look at requests.
#[derive(Debug, Default)]
pub struct Observers {
    /// Whether requests are noted: somebody looks, the last ones are to be kept, or those that are asked for most.
    wanted: AtomicBool,
    /// Whether all of them are: for other reasons than the hot list.
    all_wanted: AtomicBool,
    keeps_recent: AtomicBool,
    tails: Mutex<Vec<Tail>>,
    recent: Mutex<Recent>,
    /// `None` while nobody looks.
    counting: Mutex<Option<Counting>>,
    counts: AtomicBool,
    /// `None` while no job needs it.
    hot: Mutex<Option<HotList>>,
    keeps_hot: AtomicBool,
}

#[derive(Debug)]
struct Tail {
    filter: TailFilter,
    /// A line as JSON, shared by all who get it.
    lines: mpsc::Sender<Arc<str>>,
    lost: Arc<AtomicUsize>,
}

/// Requests as they happen, as far as a filter lets them through.
#[derive(Debug)]
pub struct Subscription {
    lines: mpsc::Receiver<Arc<str>>,
    lost: Arc<AtomicUsize>,
}

impl Subscription {
    /// The next line, as JSON. `None` once the log has ended.
    pub fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Arc<str>>> {
        self.lines.poll_recv(cx)
    }

    /// How many lines were lost since the last call, since they were not taken in time.
    pub fn take_lost(&self) -> usize {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// The last requests, each with its id and as JSON.
#[derive(Debug, Default)]
struct Recent {
    requests: VecDeque<(Option<Box<str>>, Arc<str>)>,
    bytes: usize,
}

impl Observers {
    /// Whether anybody may want to see a request.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Begins to note a request, if anybody is to see it.
    pub fn begin<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        scheme: &'static str,
        client: IpAddr,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<Box<Happening>> {
        if !self.is_wanted() {
            return None;
        }
        let (is_hot, is_seen) = (self.keeps_hot.load(Ordering::Relaxed) && is_drawn(), self.all_wanted.load(Ordering::Relaxed));
        if is_hot || is_seen { self.note(request, scheme, client, now(), [is_hot, is_seen]) } else { None }
    }

    /// Out of the way of requests that nobody is to see.
    #[inline(never)]
    fn note<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        scheme: &'static str,
        client: IpAddr,
        now: Timestamp,
        [is_hot, is_seen]: [bool; 2],
    ) -> Option<Box<Happening>> {
        let hot = if is_hot { HotRequest::of(request, now) } else { None };
        let happened = is_seen.then(|| Happened::new(request, scheme, client, now));
        (happened.is_some() || hot.is_some()).then(|| Box::new(Happening::new(Arc::clone(self), happened, hot)))
    }

    /// Keeps the last requests, or not: then those that are kept go.
    pub fn keep_recent(&self, keep: bool) {
        self.keeps_recent.store(keep, Ordering::Relaxed);
        self.settle(&lock(&self.tails));
        if !keep {
            *lock(&self.recent) = Recent::default();
        }
    }

    /// Lets somebody look; `None` where as many do as may.
    pub fn subscribe(&self, filter: TailFilter) -> Option<Subscription> {
        let mut tails = lock(&self.tails);
        tails.retain(|tail| !tail.lines.is_closed());
        if tails.len() >= MAX_TAILS {
            return None;
        }
        let (sender, lines) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicUsize::new(0));
        tails.push(Tail { filter, lines: sender, lost: Arc::clone(&lost) });
        self.settle(&tails);
        Some(Subscription { lines, lost })
    }

    fn settle(&self, tails: &[Tail]) {
        let all = !tails.is_empty() || self.keeps_recent.load(Ordering::Relaxed) || self.counts.load(Ordering::Relaxed);
        self.all_wanted.store(all, Ordering::Relaxed);
        self.wanted.store(all || self.keeps_hot.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A request has happened.
    pub(super) fn see(&self, happened: Happened) {
        // Made for the first who takes it: a filter that lets little through costs little.
        let made = OnceCell::new();
        let json = || -> Arc<str> { Arc::clone(made.get_or_init(|| happened.json().into())) };
        {
            let mut tails = lock(&self.tails);
            if !tails.is_empty() {
                self.hand_out(&mut tails, &happened, json);
            }
        }
        if self.counts.load(Ordering::Relaxed) {
            self.count(&happened);
        }
        if self.keeps_recent.load(Ordering::Relaxed) {
            let json = json();
            lock(&self.recent).keep(happened.request_id.clone(), json);
        }
    }

    /// URLs by what was asked of them since somebody looked first. A look begins the count, which ends some time after the last one.
    pub fn busiest(&self) -> Busiest {
        let busiest = lock(&self.counting).get_or_insert_with(Counting::new).look().with_hot(self.hot(ROWS));
        self.counts.store(true, Ordering::Relaxed);
        self.settle(&lock(&self.tails));
        busiest
    }

    fn count(&self, happened: &Happened) {
        {
            let mut counting = lock(&self.counting);
            if let Some(counting) = counting.as_mut().filter(|counting| !counting.is_forgotten()) {
                return counting.count(happened);
            }
            *counting = None;
            self.counts.store(false, Ordering::Relaxed);
        }
        self.settle(&lock(&self.tails));
    }

    fn hand_out(&self, tails: &mut Vec<Tail>, happened: &Happened, json: impl Fn() -> Arc<str>) {
        let before = tails.len();
        tails.retain_mut(|tail| {
            if tail.lines.is_closed() {
                return false;
            }
            if tail.filter.takes(happened) && tail.lines.try_send(json()).is_err() {
                tail.lost.fetch_add(1, Ordering::Relaxed);
            }
            true
        });
        if tails.len() != before {
            self.settle(tails);
        }
    }

    /// The last request, or the last one with this id, as JSON.
    pub fn recent(&self, id: Option<&str>) -> Option<Arc<str>> {
        let recent = lock(&self.recent);
        let mut newest_first = recent.requests.iter().rev();
        let found = match id {
            None => newest_first.next(),
            Some(id) => newest_first.find(|(own, _)| own.as_deref() == Some(id)),
        };
        found.map(|(_, json)| Arc::clone(json))
    }

    /// Keeps a list of what is asked for most, so many URLs of it, or none.
    pub fn keep_hot(&self, wanted: Option<usize>) {
        {
            let mut hot = lock(&self.hot);
            let before = hot.take();
            *hot = wanted.map(|wanted| match before {
                Some(list) if list.wanted() == wanted => list,
                before => {
                    let mut list = HotList::new(wanted);
                    list.restore(before.map(|before| before.most(usize::MAX)).unwrap_or_default());
                    list
                }
            });
        }
        self.keeps_hot.store(wanted.is_some(), Ordering::Relaxed);
        self.settle(&lock(&self.tails));
    }

    /// Adds what an earlier process has kept of that list.
    pub fn restore_hot(&self, urls: Vec<HotUrl>) {
        if let Some(hot) = lock(&self.hot).as_mut() {
            hot.restore(urls);
        }
    }

    /// The URLs that are asked for most, the first ones of them; none where no list is kept.
    pub fn hot(&self, count: usize) -> Vec<HotUrl> {
        lock(&self.hot).as_ref().map(|hot| hot.most(count)).unwrap_or_default()
    }

    /// Requests for each of them.
    pub fn hot_requests(&self) -> HashMap<String, u64> {
        self.hot(usize::MAX).into_iter().map(|hot| (hot.url, hot.requests)).collect()
    }

    /// A job has fetched one of them again. What no client asks for between two such refreshes leaves the list.
    pub fn hot_refreshed(&self, url: &HotUrl) {
        if let Some(hot) = lock(&self.hot).as_mut() {
            hot.refreshed(url);
        }
    }

    /// An hour has passed: on the list of what is asked for most, requests from before count half.
    pub fn age_hot(&self) {
        if let Some(hot) = lock(&self.hot).as_mut() {
            hot.age();
        }
    }

    /// Bytes that the list takes.
    pub fn hot_bytes(&self) -> usize {
        lock(&self.hot).as_ref().map_or(0, HotList::bytes)
    }

    /// A request that counts for the list is answered.
    pub(super) fn see_hot(&self, request: &HotRequest, status: StatusCode, record: &ResponseRecord<'_>, keyed: &[HeaderName]) {
        // Who does not get the lock at once is one more that is not in the sample.
        if let Ok(mut hot) = self.hot.try_lock()
            && let Some(hot) = hot.as_mut()
        {
            hot.count(request, status, record, keyed);
        }
    }

    /// Whether the last requests are kept.
    pub fn keeps_recent(&self) -> bool {
        self.keeps_recent.load(Ordering::Relaxed)
    }
}

impl Recent {
    fn keep(&mut self, id: Option<Box<str>>, json: Arc<str>) {
        self.bytes += json.len();
        self.requests.push_back((id, json));
        while self.requests.len() > RECENT || self.bytes > RECENT_BYTES {
            let Some((_, oldest)) = self.requests.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use larder_semantics::PrimaryKey;
    use larder_tower::CacheResult;

    use super::*;

    fn happens(observers: &Arc<Observers>, target: &str) {
        let request = Request::get(target).header("x-request-id", target.trim_start_matches('/')).body(()).expect("a request");
        let noted = observers.begin(&request, "http", Ipv4Addr::LOCALHOST.into(), Timestamp::default);
        if let Some(noted) = noted {
            noted.ended(StatusCode::OK, Some(5), Duration::from_millis(2), &ResponseRecord::default(), &[]);
        }
    }

    #[tokio::test]
    async fn a_tail_gets_what_its_filter_lets_through_and_loses_what_it_does_not_take() {
        let observers = Arc::new(Observers::default());
        happens(&observers, "/a");
        let filter = TailFilter::parse([("url", "**/a")]).expect("a filter");
        let mut tail = observers.subscribe(filter).expect("room");
        happens(&observers, "/b");
        (0..QUEUE + 3).for_each(|_| happens(&observers, "/a"));
        let first = std::future::poll_fn(|cx| tail.poll_next(cx)).await.expect("a request");
        assert!(first.contains(r#""target":"/a""#), "{first}");
        assert_eq!((tail.take_lost(), tail.take_lost()), (3, 0));
        drop(tail);
        happens(&observers, "/a");
        assert!(!observers.is_wanted(), "nobody looks any more");
        assert_eq!(observers.recent(None), None, "none is kept");
    }

    #[test]
    fn requests_are_counted_from_the_first_look_on() {
        let observers = Arc::new(Observers::default());
        happens(&observers, "/before");
        assert!(!observers.is_wanted() && observers.busiest().requests == 0);
        happens(&observers, "/a");
        let busiest = observers.busiest();
        assert_eq!((busiest.requests, busiest.hottest[0].url.as_str(), observers.is_wanted()), (1, "http:///a", true));
    }

    #[test]
    fn a_list_of_what_is_hot_is_kept_where_a_job_needs_it_and_over_a_change_of_its_length() {
        let observers = Arc::new(Observers::default());
        let key = PrimaryKey::from("v1:default:GET:http://a.example/a");
        let hit = ResponseRecord { result: Some(CacheResult::Hit), key: Some(&key), ..ResponseRecord::default() };
        let ask = || {
            let request = Request::get("/a").body(()).expect("a request");
            let noted = observers.begin(&request, "http", Ipv4Addr::LOCALHOST.into(), Timestamp::default)?;
            noted.ended(StatusCode::OK, None, Duration::ZERO, &hit, &[]);
            Some(())
        };
        assert_eq!((ask(), observers.hot_bytes()), (None, 0), "nobody needs it");
        observers.keep_hot(Some(10));
        ask();
        observers.keep_hot(Some(20));
        ask();
        let hot = observers.hot(10);
        assert_eq!((hot.len(), hot[0].url.as_str(), hot[0].requests), (1, "http://a.example/a", 2));
        let busiest = observers.busiest();
        assert_eq!((busiest.hottest[0].url.as_str(), busiest.hottest[0].requests), ("http://a.example/a", 2), "people who look see it too");
        assert_eq!(observers.recent(None), None, "no request was kept for that");
        observers.keep_hot(None);
        assert_eq!(observers.hot(10), []);
    }

    #[test]
    fn there_is_room_for_so_many_tails() {
        let observers = Observers::default();
        let mut tails: Vec<_> = (0..MAX_TAILS).map(|_| observers.subscribe(TailFilter::default())).collect();
        assert!(tails.iter().all(Option::is_some) && observers.subscribe(TailFilter::default()).is_none());
        tails.pop();
        assert!(observers.subscribe(TailFilter::default()).is_some());
    }

    #[test]
    fn the_last_requests_are_found_by_their_ids_and_bounded() {
        let observers = Arc::new(Observers::default());
        observers.keep_recent(true);
        (0..RECENT + 5).for_each(|number| happens(&observers, &format!("/{number}")));
        let target = |id: Option<&str>| Some(observers.recent(id)?.contains(&format!(r#""target":"/{}""#, id.unwrap_or("1028"))));
        assert_eq!((target(None), target(Some("5")), target(Some("4"))), (Some(true), Some(true), None));
        let long = format!("/{}", "x".repeat(4000));
        (0..RECENT).for_each(|_| happens(&observers, &long));
        let recent = lock(&observers.recent);
        assert!(recent.bytes <= RECENT_BYTES && recent.requests.len() < RECENT, "{}", recent.bytes);
        drop(recent);
        observers.keep_recent(false);
        assert_eq!(observers.recent(None), None);
    }
}
