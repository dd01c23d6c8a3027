//! Deciding about a request, and about a response.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use larder_benches::sample;
use larder_semantics::{Disposition, Exchange, Policy, RequestContext, StoredHead, Timestamp, decide, on_response};

/// Inside the sample's validity.
const NOW: Timestamp = Timestamp::from_secs(1_795_253_400);

fn exchange<'a>(policy: &'a Policy, request: &'a RequestContext, fields: &'a [HeaderMap; 2]) -> Exchange<'a> {
    Exchange {
        policy,
        request,
        method: &Method::GET,
        request_headers: &fields[0],
        request_time: NOW,
        response_time: NOW,
        status: StatusCode::OK,
        headers: &fields[1],
    }
}

fn stored(policy: &Policy) -> StoredHead {
    let fields = [HeaderMap::new(), sample::fields(1024)];
    let request = RequestContext::new(&Method::GET, &fields[0], policy, false, false);
    match on_response(&exchange(policy, &request, &fields), &[]) {
        Disposition::Store { head, .. } => (*head).clone(),
        other => panic!("the sample is storable: {other:?}"),
    }
}

fn decisions(criterion: &mut Criterion) {
    let policy = Policy::default();
    let head = stored(&policy);
    let later = Timestamp::from_secs(NOW.as_millis() / 1000 + 7200);
    let mut directives = HeaderMap::new();
    directives.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60, max-stale=10"));
    let mut group = criterion.benchmark_group("decide");
    for (name, fields, now) in
        [("fresh", &HeaderMap::new(), NOW), ("fresh_with_directives", &directives, NOW), ("stale", &HeaderMap::new(), later)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let request = RequestContext::new(&Method::GET, black_box(fields), &policy, false, false);
                decide(&policy, &request, Some(&head), now)
            });
        });
    }
    let fields = [HeaderMap::new(), sample::fields(1024)];
    let request = RequestContext::new(&Method::GET, &fields[0], &policy, false, false);
    group.bench_function("response", |bencher| bencher.iter(|| on_response(black_box(&exchange(&policy, &request, &fields)), &[])));
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
