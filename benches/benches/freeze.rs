//! Copying a complete body into the segments that are stored.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use larder_benches::sample;
use larder_store::BodyBuilder;

/// The bytes of one read from a connection.
const FRAME: usize = 16 << 10;

fn freeze(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("freeze");
    for len in [200, 1 << 10, 64 << 10, 1 << 20] {
        let body = sample::body(len);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::from_parameter(len), &body, |bencher, body| {
            bencher.iter(|| {
                let mut builder = BodyBuilder::new(body.len() as u64);
                body.chunks(FRAME).for_each(|frame| builder.push(frame));
                builder.finish(None)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, freeze);
criterion_main!(benches);
