//! `[store.memory] compress`: texts take less memory, and clients are given what they would be given without it.

use larder_testkit::client::H2Client;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result};

const KEYS: usize = 40;
const COMPRESS: &str = "[cache]\nttl = \"60s\"\n[store.memory]\ncompress = { min = \"1KiB\", level = 3 }\n";

fn text(key: usize) -> String {
    (0..1_500).map(|line| format!("{{\"issue\":{},\"title\":\"title {line} of {key}\"}}\n", key * 7_919 + line)).collect()
}

/// Waits until so many bodies are packed.
async fn packed(larder: &Larder, count: usize) -> Result<()> {
    larder.metric_reaches("larder_cache_packed_total", &[], count as f64).await
}

#[tokio::test]
async fn texts_take_less_memory_and_every_answer_is_what_it_would_be() -> Result<()> {
    let origin = Origin::start().await?;
    for key in 0..KEYS {
        let answer = Answer::ok().header("Content-Type", "application/json").header("ETag", format!("\"{key}\"")).body(text(key));
        origin.once("GET", &format!("/{key}"), answer);
    }
    let larder = Larder::before(&origin, COMPRESS).await?;
    for key in 0..KEYS {
        assert_eq!(larder.get(&format!("/{key}")).await?.x_cache(), "MISS");
    }
    packed(&larder, KEYS).await?;
    let plain = (0..KEYS).map(|key| text(key).len()).sum::<usize>() as f64;
    let small = || async { Ok((larder.metric("larder_cache_stored_bytes", &[]).await? < plain / 4.0).then_some(())) };
    eventually("waiting for the memory that packing saves", small).await?;
    assert!(larder.metric("larder_cache_packed_saved_bytes_total", &[]).await? > plain / 2.0);

    for key in 0..KEYS {
        let (target, text) = (format!("/{key}"), text(key));
        let response = larder.get(&target).await?;
        assert_eq!((response.x_cache(), response.text() == text), ("HIT", true), "{target}");
        assert_eq!(response.header("content-length"), Some(text.len().to_string().as_str()));
        let tag = format!("\"{key}\"");
        assert_eq!((response.header("etag"), response.header("content-encoding")), (Some(tag.as_str()), None));
    }
    let whole = text(3);
    let part = larder.request("GET", "/3", &[("Range", "bytes=1000-1099")], "").await?;
    assert_eq!((part.status, part.text().as_str()), (206, &whole[1000..1100]));
    let both = larder.request("GET", "/3", &[("Range", "bytes=0-9, 50-59")], "").await?;
    assert!(both.text().contains(&whole[..10]) && both.text().contains(&whole[50..60]), "{both:?}");
    let head = larder.request("HEAD", "/3", &[], "").await?;
    assert_eq!((head.header("content-length"), head.body.len()), (Some(whole.len().to_string().as_str()), 0));
    assert_eq!(larder.request("GET", "/3", &[("If-None-Match", "\"3\"")], "").await?.status, 304);
    let over_http2 =
        H2Client::connect(larder.address()).await?.for_authority(&larder.address().to_string()).exchange("GET", "/3", &[], "").await?;
    assert_eq!(&over_http2.body[..], whole.as_bytes());
    let rests = || async { Ok((larder.metric("larder_cache_whole_bytes", &[]).await? == 0.0).then_some(())) };
    eventually("waiting for the last reader to be done", rests).await?;
    origin.check()
}

#[tokio::test]
async fn what_is_validated_stays_packed_and_what_is_no_text_is_never() -> Result<()> {
    let origin = Origin::start().await?;
    let stale = Answer::ok().header("Content-Type", "text/plain").header("Cache-Control", "max-age=0").header("ETag", "\"1\"");
    origin.validated("/text", "\"1\"", stale.body(text(1)));
    origin.once("GET", "/image", Answer::ok().header("Content-Type", "image/png").body("x".repeat(50_000)));
    origin.once(
        "GET",
        "/coded",
        Answer::ok().header("Content-Type", "text/plain").header("Content-Encoding", "gzip").body("x".repeat(50_000)),
    );
    let larder = Larder::before(&origin, COMPRESS).await?;
    for target in ["/image", "/coded", "/text"] {
        larder.get(target).await?;
    }
    packed(&larder, 1).await?;
    for _ in 0..3 {
        let response = larder.get("/text").await?;
        assert!(response.x_cache() == "HIT" && response.text() == text(1), "{}", response.cache_status());
    }
    assert_eq!(origin.count_of("/text"), 4);
    // The head alone was renewed.
    assert_eq!(larder.metric("larder_cache_packed_total", &[]).await?, 1.0);
    origin.check()
}
