//! A hit through the whole cache service, without a connection around it.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::header::IF_NONE_MATCH;
use larder_benches::cache::{fill, hit, request, service};
use larder_benches::sample;

const SPREAD: usize = 100_000;

fn hits(criterion: &mut Criterion) {
    let cache = service();
    fill(&cache, SPREAD);
    let mut group = criterion.benchmark_group("hit");
    group.bench_function("hot", |bencher| bencher.iter_batched(|| request(7), |request| hit(&cache, request), BatchSize::SmallInput));
    let mut key = 0;
    group.bench_function("spread_100k", |bencher| {
        let next = || {
            // A stride that visits all keys in an order no prefetcher guesses.
            key = (key + 61_803) % SPREAD;
            request(key)
        };
        bencher.iter_batched(next, |request| hit(&cache, request), BatchSize::SmallInput);
    });
    group.bench_function("not_modified", |bencher| {
        let conditional = || {
            let mut request = request(7);
            request.headers_mut().insert(IF_NONE_MATCH, sample::TAG);
            request
        };
        bencher.iter_batched(conditional, |request| hit(&cache, request), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, hits);
criterion_main!(benches);
