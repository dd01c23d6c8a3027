//! In front of nginx serving files: strong entity tags, dates, ranges, no Cache-Control.

use larder_testkit::larder::config;
use larder_testkit::{Larder, Result};
use larder_tests::Nginx;

async fn start(rest: &str) -> Result<(Nginx, Larder)> {
    let large: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    let nginx = Nginx::start(&[("hello.txt", b"hello, larder\n"), ("large.bin", &large), ("empty", b"")]).await?;
    let larder = Larder::start(&config(&nginx.url(), rest)).await?;
    Ok((nginx, larder))
}

#[tokio::test]
async fn files_are_stored_and_answered_with_304() -> Result<()> {
    let (_nginx, larder) = start("[cache]\nttl = \"60s\"").await?;
    let miss = larder.get("/hello.txt").await?;
    assert_eq!((miss.status, miss.x_cache(), miss.text().as_str()), (200, "MISS", "hello, larder\n"));
    let hit = larder.get("/hello.txt").await?;
    assert_eq!((hit.x_cache(), hit.header("etag"), hit.text()), ("HIT", miss.header("etag"), miss.text()));
    let tag = hit.header("etag").unwrap_or_default();
    let date = hit.header("last-modified").unwrap_or_default();
    for fields in [[("If-None-Match", tag)], [("If-Modified-Since", date)]] {
        let response = larder.request("GET", "/hello.txt", &fields, "").await?;
        assert_eq!((response.status, response.x_cache(), response.body.len()), (304, "HIT", 0), "{fields:?}");
    }
    assert_eq!(larder.get("/empty").await?.body.len(), 0);
    assert_eq!(larder.get("/empty").await?.x_cache(), "HIT");
    assert_eq!(larder.get("/missing").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn stale_files_are_validated() -> Result<()> {
    let (_nginx, larder) = start("[cache]\nheuristic_max = \"0s\"").await?;
    larder.get("/hello.txt").await?;
    let validated = larder.get("/hello.txt").await?;
    assert_eq!((validated.x_cache(), validated.text().as_str()), ("HIT", "hello, larder\n"));
    assert!(validated.cache_status().contains("fwd-status=304"), "{}", validated.cache_status());
    Ok(())
}

/// A range request gets the same bytes before and after the file is stored.
#[tokio::test]
async fn ranges_are_right_with_and_without_a_stored_file() -> Result<()> {
    let (_nginx, larder) = start("[cache]\nttl = \"60s\"").await?;
    let ranges = [("bytes=0-4", "hello"), ("bytes=7-", "larder\n"), ("bytes=-7", "larder\n")];
    for stored in [false, true] {
        for (range, expected) in ranges {
            let response = larder.request("GET", "/hello.txt", &[("Range", range)], "").await?;
            assert_eq!((response.status, response.text().as_str()), (206, expected), "{range}, stored: {stored}");
            assert!(response.header("content-range").is_some_and(|value| value.ends_with("/14")), "{:?}", response.header("content-range"));
        }
        let beyond = larder.request("GET", "/hello.txt", &[("Range", "bytes=99-")], "").await?;
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */14")));
        assert_eq!(larder.get("/hello.txt").await?.text(), "hello, larder\n");
    }
    Ok(())
}

#[tokio::test]
async fn a_large_file_arrives_whole_each_time() -> Result<()> {
    let (_nginx, larder) = start("[cache]\nttl = \"60s\"").await?;
    let miss = larder.get("/large.bin").await?;
    let hit = larder.get("/large.bin").await?;
    assert_eq!((miss.x_cache(), hit.x_cache()), ("MISS", "HIT"));
    assert!(miss.complete && hit.complete && miss.body == hit.body && miss.body.len() == 3_000_000);
    assert!(miss.body.iter().enumerate().all(|(index, &byte)| byte == (index % 251) as u8));
    Ok(())
}

/// A file larger than what a route keeps: its ranges are kept, joined and never mixed up with the whole.
#[tokio::test]
async fn parts_of_a_file_that_is_too_large_are_kept() -> Result<()> {
    let (_nginx, larder) = start("[cache]\nttl = \"60s\"\nmax_object = \"1MiB\"").await?;
    let steps = [
        (0, 9, "MISS"),
        (2, 5, "HIT"),
        (400_000, 699_999, "MISS"),
        (0, 499_999, "MISS"),
        (0, 699_999, "HIT"),
        (699_990, 700_009, "MISS"),
        (10, 700_009, "HIT"),
    ];
    for (first, last, x_cache) in steps {
        let response = larder.request("GET", "/large.bin", &[("Range", &format!("bytes={first}-{last}"))], "").await?;
        assert_eq!((response.status, response.x_cache()), (206, x_cache), "{first}-{last}: {}", response.cache_status());
        assert_eq!(response.header("content-range"), Some(format!("bytes {first}-{last}/3000000").as_str()));
        assert!(response.body.iter().zip(first..=last).all(|(&byte, place)| byte == (place % 251) as u8), "{first}-{last}");
        assert_eq!(response.body.len(), last - first + 1);
    }
    let whole = larder.get("/large.bin").await?;
    assert_eq!((whole.status, whole.x_cache(), whole.body.len()), (200, "MISS", 3_000_000));
    let after = larder.request("GET", "/large.bin", &[("Range", "bytes=0-9")], "").await?;
    assert_eq!((after.status, after.x_cache()), (206, "HIT"));
    Ok(())
}
