//! The cost of telemetry for the task that answers a request: no allocation for metrics, nothing at all for a log that is off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use larder_config::{AccessLog as Form, Log};
use larder_semantics::{PrimaryKey, Reason, Timestamp};
use larder_telemetry::access_log::{AccessLog, ResponseRecord};
use larder_telemetry::metrics::{Metrics, RequestRecord};
use larder_telemetry::observe::Observers;
use larder_testkit::alloc::{CountingAllocator, allocations};
use larder_tower::CacheResult;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn recording_a_request_allocates_nothing_once_its_route_was_used() {
    let metrics = Metrics::new(&["a", "b"], &[]);
    let record = RequestRecord {
        method: Some(&Method::GET),
        status: StatusCode::OK,
        result: Some(CacheResult::Hit),
        reason: Some(Reason::Fresh),
        elapsed: Duration::from_micros(12),
        bytes: Some(100),
    };
    metrics.request(Some(1), &record);
    let ((), counted) = allocations(|| {
        metrics.request(Some(1), &record);
        metrics.request(Some(1), &RequestRecord { status: StatusCode::NOT_MODIFIED, ..record });
        metrics.request(Some(1), &RequestRecord { result: Some(CacheResult::Miss), reason: Some(Reason::Absent), ..record });
    });
    assert_eq!(counted.count, 0);
}

#[test]
fn a_log_that_is_off_allocates_nothing() {
    let log = AccessLog::off();
    let request = Request::get("/a?b=1").header("host", "example.com").body(()).unwrap();
    let response = Response::new(Empty::<Bytes>::new());
    let (response, counted) = allocations(|| {
        let entry = log.begin(&request, Some([127, 0, 0, 1].into()), || unreachable!("the clock is not asked"));
        entry.respond(response, &ResponseRecord::default())
    });
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(counted.count, 0);
}

#[test]
fn a_line_of_the_log_allocates_nothing_once_its_thread_has_written_one() {
    for access in [Form::Json, Form::Text] {
        let (log, writer) = AccessLog::start(&Log { access, ..Log::default() }, std::io::sink()).unwrap();
        let request = Request::get("/a?b=1").header("host", "example.com").header("x-request-id", "7f3a").body(()).unwrap();
        let route: Arc<str> = Arc::from("issue.list");
        let record = ResponseRecord {
            route: Some(&route),
            result: Some(CacheResult::Hit),
            reason: Some(Reason::Fresh),
            ..ResponseRecord::default()
        };
        let line = || {
            let entry = log.begin(&request, Some([127, 0, 0, 1].into()), || Timestamp::from_millis(0));
            entry.responded(StatusCode::OK, 12, &record);
        };
        line();
        let ((), counted) = allocations(|| (0..100).for_each(|_| line()));
        assert_eq!((counted.count, log.dropped()), (0, 0));
        assert!(writer.stop(Duration::from_secs(10)));
    }
}

#[test]
fn a_list_of_what_is_hot_costs_nothing_where_no_job_needs_it_and_a_busy_second_few_of_its_requests() {
    const REQUESTS: usize = 16_000;
    let observers = Arc::new(Observers::default());
    let request = Request::get("/a?b=1").header("host", "a.example").header("accept", "x/y").body(()).unwrap();
    let client = [127, 0, 0, 1].into();
    let (noted, counted) = allocations(|| observers.begin(&request, "http", client, || unreachable!("the clock is not asked")));
    assert_eq!((noted.is_some(), counted.count), (false, 0));
    observers.keep_hot(Some(10));
    let key = PrimaryKey::from("v1:default:GET:http://a.example/a?b=1");
    let hit = ResponseRecord { result: Some(CacheResult::Hit), key: Some(&key), ..ResponseRecord::default() };
    let mut sampled = 0;
    for _ in 0..REQUESTS {
        let (noted, counted) = allocations(|| observers.begin(&request, "http", client, || Timestamp::from_secs(1)));
        match noted {
            Some(noted) => {
                sampled += 1;
                noted.ended(StatusCode::OK, None, Duration::ZERO, &hit, &[]);
            }
            None => assert_eq!(counted.count, 0),
        }
    }
    assert!((270..350).contains(&sampled), "{sampled} of {REQUESTS}");
    let requests = observers.hot(1)[0].requests;
    assert!((14_000..18_000).contains(&requests), "{requests} stand for {REQUESTS}");
}
