//! The cost of recording one request for the task that answers it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use larder_config::{AccessLog as Form, Log};
use larder_semantics::{Reason, Timestamp};
use larder_telemetry::access_log::{AccessLog, ResponseRecord};
use larder_telemetry::metrics::{Metrics, RequestRecord};
use larder_tower::CacheResult;

fn metrics(criterion: &mut Criterion) {
    let metrics = Metrics::new(&["issue.list", "issue.get"], &["api"]);
    let record = RequestRecord {
        method: Some(&Method::GET),
        status: StatusCode::OK,
        result: Some(CacheResult::Hit),
        reason: Some(Reason::Fresh),
        elapsed: Duration::from_micros(12),
        bytes: Some(100),
    };
    criterion.bench_function("metrics/request", |bencher| bencher.iter(|| metrics.request(black_box(Some(1)), black_box(&record))));
}

fn access_log(criterion: &mut Criterion) {
    let route: Arc<str> = Arc::from("issue.list");
    let answer =
        ResponseRecord { route: Some(&route), result: Some(CacheResult::Hit), reason: Some(Reason::Fresh), ..ResponseRecord::default() };
    let (on, _writer) = AccessLog::start(&Log { access: Form::Json, ..Log::default() }, std::io::sink()).expect("a thread");
    for (name, log) in [("access_log/off", AccessLog::off()), ("access_log/on", on)] {
        criterion.bench_function(name, |bencher| {
            let request = Request::get("/api/v1/issues?project=p").header("host", "api.example.com").body(()).expect("a request");
            bencher.iter_batched(
                || Response::new(Empty::<Bytes>::new()),
                |response| log.begin(&request, None, Timestamp::default).respond(response, &answer),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, metrics, access_log);
criterion_main!(benches);
