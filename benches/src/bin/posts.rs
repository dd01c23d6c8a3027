//! `posts KIND COUNT`: answers COUNT requests from a warm cache and ends. `get`: by their URL; `post`: by a content of 2 KiB; `hash`: no request, but the
//! content is read and hashed as for one. What the test `instructions` counts the instructions of.

use std::hint::black_box;

use http_body_util::BodyExt;
use larder_benches::cache::{fill, request, search, search_request, searches};
use larder_semantics::content::{ContentKind, ContentRequest, ContentRules};
use larder_tower::{CacheResult, EffectiveTarget};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.last().and_then(|count| count.parse().ok()).unwrap_or(0_usize);
    let (cache, content, rules) = (searches(), search(), ContentRules::new(ContentKind::Json));
    fill(&cache, 16);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let served = cache.serve(search_request(content.clone()), EffectiveTarget::default(), |_| ()).await.expect("an answer");
        served.response.into_body().collect().await.expect("a body");
        for key in 0..count {
            let served = match arguments[0].as_str() {
                "get" => cache.serve(request(key % 16), EffectiveTarget::default(), |_| ()).await,
                "post" => cache.serve(search_request(content.clone()), EffectiveTarget::default(), |_| ()).await,
                _ => {
                    let (parts, body) = search_request(content.clone()).into_parts();
                    let content = body.collect().await.expect("a content").to_bytes();
                    let keyed = rules.key(&ContentRequest { path: parts.uri.path(), fields: &parts.headers, content: &content });
                    black_box(keyed).expect("a key");
                    continue;
                }
            };
            assert_eq!(served.expect("an answer").outcome.result, CacheResult::Hit);
        }
    });
}
