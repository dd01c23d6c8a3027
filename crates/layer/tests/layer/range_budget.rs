//! Memory that slow clients of ranges keep of bodies which are not stored any more.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use larder_store::{Invalidation, InvalidationTarget};
use larder_tower::clock::Clock;
use larder_tower::{BodyError, Cache, CacheService, EffectiveTarget};

use crate::common::{self, Origin, header, request, send};
use crate::ranges::{bytes, file_of, range};

/// Longer than what slow clients may keep of bodies in a cache of [`CAPACITY`] bytes.
const LONG: u64 = 2 << 20;
const CAPACITY: u64 = 8 << 20;

fn cached_long(max_object: u64) -> CacheService<Origin> {
    let origin = Origin::new(|request| file_of(LONG, request, "\"1\""));
    let cache = Cache::builder(CAPACITY).max_object(max_object).clock(Clock::manual(common::START).0).build();
    CacheService::new(origin, cache, Arc::new(common::builder().max_object(max_object).build()))
}

/// Whether a client that stalls keeps the answer to its `range` no longer than it may, once the cache has dropped what it is of.
async fn is_cut_off(cache: &CacheService<Origin>, range: &str) -> bool {
    let asking = request("GET", "/a", &[("range", range)]);
    let stalled = cache.serve(asking, EffectiveTarget::default(), |_| ()).await.expect("an answer");
    assert_eq!((header(&stalled.response, "x-cache").as_str(), stalled.response.status().as_u16()), ("HIT", 206), "{range}");
    cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::All])).await;
    tokio::time::advance(Duration::from_secs(10)).await;
    // The next that is stored divides the memory anew.
    for target in ["/a", "/b"] {
        send(cache, request("GET", target, &[("range", "bytes=0-9")])).await;
    }
    matches!(stalled.response.into_body().collect().await, Err(BodyError::Outrun))
}

#[tokio::test(start_paused = true)]
async fn clients_of_several_ranges_keep_no_more_in_memory_than_those_of_the_whole() {
    let cache = cached_long(2 * LONG);
    send(&cache, request("GET", "/a", &[])).await;
    let backwards = range(&cache, "bytes=1500000-1999999,10-799999").await;
    for (first, last) in [(1_500_000, 1_999_999), (10, 799_999)] {
        let bytes = bytes(first, last);
        assert!(backwards.text().contains(std::str::from_utf8(&bytes).unwrap()), "{first}-{last}");
    }
    assert!(is_cut_off(&cache, "bytes=0-0,1000-").await);
}

#[tokio::test(start_paused = true)]
async fn clients_of_parts_keep_no_more_in_memory_than_those_of_the_whole() {
    for wanted in ["bytes=0-1899999", "bytes=0-0,1000-1899999"] {
        let cache = cached_long(LONG - 1);
        for (first, last) in [(0, 99_999), (1_000_000, 1_899_999), (50_000, 1_500_000)] {
            let part = range(&cache, &format!("bytes={first}-{last}")).await;
            assert_eq!(part.body.expect("whole"), bytes(first, last));
        }
        assert_eq!(range(&cache, "bytes=77-1899999").await.body.expect("whole"), bytes(77, 1_899_999));
        assert!(is_cut_off(&cache, wanted).await, "{wanted}");
    }
}
