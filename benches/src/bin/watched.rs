//! `watched WHO COUNT`: notes COUNT requests for those who look at them, and ends. WHO is `nobody`, `filtered` (a tail whose filter lets nothing through)
//! or `all` (a tail that takes every one). What the test `instructions` counts the instructions of.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use larder_semantics::{Reason, Timestamp};
use larder_telemetry::access_log::ResponseRecord;
use larder_telemetry::observe::{Observers, TailFilter};
use larder_tower::CacheResult;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let who = arguments.next().unwrap_or_default();
    let count: u32 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(0);
    let observers = Arc::new(Observers::default());
    let filter = match who.as_str() {
        "filtered" => Some([("status", "599")].as_slice()),
        "all" => Some([].as_slice()),
        _ => None,
    };
    let filter = filter.map(|given| TailFilter::parse(given.iter().copied()).expect("a filter"));
    let _tail = filter.map(|filter| observers.subscribe(filter).expect("room"));
    let route: Arc<str> = Arc::from("issue.list");
    let record =
        ResponseRecord { route: Some(&route), result: Some(CacheResult::Hit), reason: Some(Reason::Fresh), ..ResponseRecord::default() };
    let request = Request::get("/api/v1/issues?page=1&project=storefront").header("host", "api.example.com").body(()).expect("a request");
    for _ in 0..count {
        if let Some(noted) = observers.begin(&request, "http", [127, 0, 0, 1].into(), Timestamp::default) {
            noted.ended(StatusCode::OK, Some(1024), Duration::from_micros(12), &record, &[]);
        }
    }
}
