//! Deriving a primary key.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use larder_semantics::key::IdentityPart;
use larder_semantics::{KeyBuffer, KeyRules, Target};

fn rules(identity: Vec<IdentityPart>) -> KeyRules {
    let mut rules = KeyRules::default();
    rules.query.sort = true;
    rules.query.drop = vec!["utm_*".to_owned()];
    rules.query.bypass = Some("no_cache".to_owned());
    rules.identity = identity;
    rules
}

fn target(query: Option<&'static str>) -> Target<'static> {
    Target { scheme: "http", authority: "api.example.com", path: "/api/v1/projects/larder/issues", query }
}

fn key(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key");
    let public = rules(Vec::new());
    let by_identity = rules(vec![IdentityPart::Header(AUTHORIZATION)]);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer 0123456789abcdef0123456789abcdef"));
    let mut buffer = KeyBuffer::default();
    for (name, rules, query) in [
        ("no_query", &public, None),
        ("query_in_order", &public, Some("organization=acme&page=2&project=storefront")),
        ("query_to_sort", &public, Some("project=storefront&page=2&organization=acme")),
        ("query_to_drop_from", &public, Some("organization=acme&project=storefront&utm_source=mail")),
        ("identity", &by_identity, Some("organization=acme&project=storefront")),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                rules.derive(black_box(target(query)), &headers, &mut buffer);
                buffer.text().len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, key);
criterion_main!(benches);
