//! POST that only reads, and QUERY, over sockets: the body is part of the key, and reaches the origin as it came.

use http_body_util::{BodyExt, Full};
use larder_coding::Coded;
use larder_semantics::Coding;
use larder_testkit::client::Response;
use larder_testkit::larder::config;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const CONFIG: &str = r#"
[[routes]]
path = "/search"
read = true
key = { body = "json", drop = ["/trace"] }
max_key_body = "1KiB"
"#;

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

fn searching(origin: &Origin) {
    for method in ["POST", "QUERY"] {
        origin.always(method, "/search", Answer::ok().header("Cache-Control", "max-age=60").body("found"));
    }
}

#[tokio::test]
async fn a_search_by_post_is_answered_from_the_cache() -> Result<()> {
    let origin = Origin::start().await?;
    searching(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    let first = larder.request("POST", "/search", JSON, r#"{"q":"x", "trace":1}"#).await?;
    assert_eq!((first.x_cache(), first.text().as_str()), ("MISS", "found"));
    larder.settled().await?;
    let second = larder.request("POST", "/search", JSON, r#"{"trace":2,"q":"\u0078"}"#).await?;
    assert_eq!((second.x_cache(), second.text().as_str()), ("HIT", "found"));
    assert_eq!(larder.request("POST", "/search", JSON, r#"{"q":"y"}"#).await?.x_cache(), "MISS");
    assert_eq!(larder.request("QUERY", "/search", JSON, r#"{"q":"x"}"#).await?.x_cache(), "MISS", "another method, another meaning");
    let bodies = origin.received().into_iter().map(|request| String::from_utf8_lossy(&request.body).into_owned());
    assert_eq!(bodies.collect::<Vec<_>>(), [r#"{"q":"x", "trace":1}"#, r#"{"q":"y"}"#, r#"{"q":"x"}"#], "byte for byte");
    Ok(())
}

#[tokio::test]
async fn what_has_no_key_passes_whole_and_makes_nothing_old() -> Result<()> {
    let origin = Origin::start().await?;
    searching(&origin);
    origin.always("GET", "/search", Answer::ok().header("Cache-Control", "max-age=60").body("form"));
    let larder = Larder::before(&origin, CONFIG).await?;
    larder.get("/search").await?;
    larder.settled().await?;
    let long = format!("\"{}\"", "x".repeat(100_000));
    for body in ["{", r#"{"q":1,"q":2}"#, &long] {
        let answer = larder.request("POST", "/search", JSON, body).await?;
        assert_eq!((answer.x_cache(), answer.text().as_str()), ("BYPASS", "found"));
        assert_eq!(origin.received().last().map(|request| String::from_utf8_lossy(&request.body).into_owned()).as_deref(), Some(body));
        assert!(
            answer.header("cache-status").is_some_and(|status| status.contains("detail=body-not-keyed")),
            "{:?}",
            answer.header("cache-status")
        );
    }
    assert_eq!(larder.get("/search").await?.x_cache(), "HIT");
    Ok(())
}

/// Reads one request whose content has so many bytes, keeps nothing of it, and answers.
async fn swallow(origin: TcpListener, length: usize) -> Result<()> {
    let (mut stream, _) = origin.accept().await?;
    let mut buffer = vec![0; 256 << 10];
    let (mut head, mut count) = (Vec::new(), 0);
    while count < length {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(Error::new(format!("it ends after {count} bytes")));
        }
        let mut content = &buffer[..read];
        if count == 0 {
            head.extend_from_slice(content);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            content = &head[end + 4..];
        }
        assert!(content.iter().all(|byte| *byte == b'x'), "it goes up as it came");
        count += content.len();
    }
    Ok(stream.write_all(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nfound").await?)
}

#[tokio::test]
async fn a_body_of_1_gib_goes_up_whole_and_takes_bounded_memory() -> Result<()> {
    const LENGTH: usize = 1 << 30;
    let origin = TcpListener::bind("127.0.0.1:0").await?;
    let larder = Larder::start(&config(&format!("http://{}", origin.local_addr()?), CONFIG)).await?;
    let swallowed = tokio::spawn(swallow(origin, LENGTH));
    let mut client = larder.connect().await?;
    let head = format!("POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {LENGTH}\r\n\r\n");
    client.send_raw("POST", head.as_bytes()).await?;
    let part = vec![b'x'; 1 << 20];
    for _ in 0..LENGTH / part.len() {
        client.write(&part).await?;
    }
    let answer = client.finish().await?;
    swallowed.await??;
    assert_eq!((answer.status, answer.x_cache(), answer.text().as_str()), (200, "BYPASS", "found"));
    assert!(answer.cache_status().contains("detail=body-not-keyed"), "{}", answer.cache_status());
    assert!(larder.resident_bytes()? < 100 << 20, "{} bytes", larder.resident_bytes()?);
    Ok(())
}

#[tokio::test]
async fn rfc9110_10_1_1_a_client_that_expects_100_gets_it_before_its_body_is_read() -> Result<()> {
    let origin = Origin::start().await?;
    searching(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    for expected in ["MISS", "HIT"] {
        let mut client = larder.connect().await?;
        let head =
            "POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        client.send_raw("POST", head.as_bytes()).await?;
        assert_eq!(client.next_head().await?.status()?, 100);
        client.write(b"{}").await?;
        assert_eq!(client.finish().await?.x_cache(), expected);
        larder.settled().await?;
    }
    let received = origin.received();
    assert_eq!((received.len(), received[0].header("expect"), received[0].header("content-length")), (1, None, Some("2")));
    Ok(())
}

#[tokio::test]
async fn a_chunked_body_is_the_same_content() -> Result<()> {
    let origin = Origin::start().await?;
    searching(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    larder.request("POST", "/search", JSON, r#"{"q":1}"#).await?;
    larder.settled().await?;
    let mut client = Client::connect(larder.address()).await?;
    let head = format!(
        "POST /search HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        larder.address()
    );
    client.send_raw("POST", head.as_bytes()).await?;
    for chunk in ["3\r\n{\"q\r\n", "4\r\n\":1}\r\n", "0\r\n\r\n"] {
        client.write(chunk.as_bytes()).await?;
    }
    assert_eq!(client.finish().await?.x_cache(), "HIT");
    Ok(())
}

#[tokio::test]
async fn explain_says_what_a_body_comes_to() -> Result<()> {
    let origin = Origin::start().await?;
    searching(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    let url = format!("http://{}/search", larder.address());
    for (data, reason) in [(r#"{"q":1}"#, "absent"), ("{", "body-not-keyed")] {
        let question = json!({ "url": url, "method": "POST", "headers": { "Content-Type": "application/json" }, "data": data });
        let mut client = Client::connect(larder.admin_address()).await?;
        let fields = [("Content-Type", "application/json"), ("Connection", "close")];
        let answer = client.exchange("POST", "/explain", &fields, &question.to_string()).await?;
        let said: Value = serde_json::from_slice(&answer.body)?;
        assert_eq!(said["decision"]["reason"], reason, "{said:#}");
    }
    assert_eq!(origin.request_count(), 0);
    Ok(())
}

/// Searches with a coded body.
async fn search_coded(larder: &Larder, coding: Coding, body: &[u8]) -> Result<Response> {
    let mut client = Client::connect(larder.address()).await?;
    let head = format!(
        "POST /search HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Encoding: {}\r\nContent-Length: {}\r\n\r\n",
        larder.address(),
        coding.name(),
        body.len()
    );
    client.send_raw("POST", head.as_bytes()).await?;
    client.write(body).await?;
    client.finish().await
}

async fn packed(coding: Coding, body: &[u8]) -> Vec<u8> {
    Coded::packed(Full::new(body.to_vec().into()), coding).collect().await.expect("packed").to_bytes().to_vec()
}

#[tokio::test]
async fn rfc10008_2_7_a_packed_body_has_the_key_of_what_was_packed_and_goes_up_packed() -> Result<()> {
    let origin = Origin::start().await?;
    searching(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    larder.request("POST", "/search", JSON, r#"{"q":1}"#).await?;
    larder.settled().await?;
    for coding in Coding::ALL {
        let body = packed(coding, br#"{ "q": 1 }"#).await;
        assert_eq!(search_coded(&larder, coding, &body).await?.x_cache(), "HIT", "{coding:?}");
    }
    let body = packed(Coding::Gzip, br#"{"q":2}"#).await;
    assert_eq!(search_coded(&larder, Coding::Gzip, &body).await?.x_cache(), "MISS");
    assert_eq!(origin.received().last().map(|request| request.body.to_vec()), Some(body));
    Ok(())
}

#[tokio::test]
async fn bombs_and_damaged_bodies_go_up_as_they_came() -> Result<()> {
    let origin = Origin::start().await?;
    searching(&origin);
    let larder = Larder::before(&origin, CONFIG).await?;
    let zeros = vec![b'0'; 16 << 20];
    for coding in Coding::ALL {
        // Short enough to be read, and thousands of times as long when it is unpacked.
        let mut bomb = packed(coding, &zeros).await;
        bomb.truncate(1000);
        for body in [&bomb[..], b"{}"] {
            let answer = search_coded(&larder, coding, body).await?;
            assert_eq!((answer.status, answer.x_cache()), (200, "BYPASS"), "{coding:?}");
            assert!(answer.cache_status().contains("detail=body-not-keyed"), "{coding:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn reads_with_content_ask_for_as_few_codings_as_there_are() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/search", Answer::ok().header("Cache-Control", "max-age=60").header("Vary", "Accept-Encoding").body("found"));
    let larder = Larder::before(&origin, &format!("[cache]\nencodings = [\"br\", \"gzip\"]\n{CONFIG}")).await?;
    for (accepted, expected) in [("gzip, deflate, br, zstd", "MISS"), ("br;q=0.9, gzip", "HIT"), ("gzip", "MISS"), ("gzip, deflate", "HIT")]
    {
        let fields = [JSON[0], ("Accept-Encoding", accepted)];
        assert_eq!(larder.request("POST", "/search", &fields, "{}").await?.x_cache(), expected, "{accepted}");
        larder.settled().await?;
    }
    let asked = origin.received().into_iter().map(|request| request.header("accept-encoding").map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(asked, [Some("br, gzip".to_owned()), Some("gzip".to_owned())]);
    Ok(())
}
