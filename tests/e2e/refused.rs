//! Requests that could mean one thing here and another at the origin are refused with the connection closed, and nothing of them is forwarded
//! (RFC 9112 §2.2, §3.2, §5, §6.3, §11.2).

use larder_testkit::{Answer, Client, Larder, Origin, Result};

async fn refused(bytes: &str, statuses: &[u16]) -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let mut client = larder.connect().await?;
    client.send_raw("GET", bytes.as_bytes()).await?;
    let response = client.finish().await?;
    assert!(statuses.contains(&response.status), "{} is not one of {statuses:?}", response.head.start);
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    assert_eq!(response.header("proxy-status"), Some("larder; error=http_request_error"), "{response:?}");
    assert!(response.complete && response.text().contains(&format!("\"status\":{}", response.status)), "{response:?}");
    client.closed().await?;
    assert_eq!(origin.request_count(), 0, "{:?}", origin.received());
    Ok(())
}

macro_rules! refused {
    ($($name:ident: $bytes:expr => $statuses:expr;)*) => {
        $(#[tokio::test]
        async fn $name() -> Result<()> {
            refused($bytes, &$statuses).await
        })*
    };
}

refused! {
    content_length_with_transfer_encoding:
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => [400];
    transfer_encoding_with_content_length:
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" => [400];
    two_different_lengths: "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!" => [400];
    a_list_of_different_lengths: "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\nhello!" => [400];
    a_length_with_a_sign: "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello" => [400];
    a_negative_length: "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" => [400];
    a_coding_after_chunked: "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" => [400, 501];
    an_unknown_coding: "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" => [400, 501];
    chunked_in_http_1_0: "POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => [400];
    a_bare_cr_in_a_field: "GET /a HTTP/1.1\r\nHost: x\r\nX-A: a\rb\r\n\r\n" => [400];
    a_bare_lf_in_a_field: "GET /a HTTP/1.1\r\nHost: x\r\nX-A: a\nX-B: b\r\n\r\n" => [400];
    a_bare_lf_after_the_request_line: "GET /a HTTP/1.1\nHost: x\r\n\r\n" => [400];
    nul_in_a_field: "GET /a HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n" => [400];
    nul_in_the_target: "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n" => [400];
    an_obs_fold: "GET /a HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n" => [400];
    space_before_the_colon: "GET /a HTTP/1.1\r\nHost: x\r\nX-A : a\r\n\r\n" => [400];
    space_before_the_first_field: "GET /a HTTP/1.1\r\n Host: x\r\n\r\n" => [400];
    a_field_without_a_colon: "GET /a HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n" => [400];
    a_space_in_the_target: "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n" => [400];
    no_host: "GET /a HTTP/1.1\r\n\r\n" => [400];
    no_host_beside_an_absolute_target: "GET http://x/a HTTP/1.1\r\n\r\n" => [400];
    two_hosts: "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" => [400];
    a_host_that_is_none: "GET /a HTTP/1.1\r\nHost: x/y@z\r\n\r\n" => [400];
    an_address_with_a_tail_as_host: "GET /a HTTP/1.1\r\nHost: [::1]@evil\r\n\r\n" => [400];
    an_address_that_is_none_as_host: "GET /a HTTP/1.1\r\nHost: [a,b]\r\n\r\n" => [400];
    an_empty_address_as_host: "GET /a HTTP/1.1\r\nHost: []\r\n\r\n" => [400];
    an_empty_label_in_host: "GET /a HTTP/1.1\r\nHost: a..b\r\n\r\n" => [400];
    two_hosts_in_an_absolute_target: "GET http://a,b/x HTTP/1.0\r\n\r\n" => [400];
    absolute_form_for_another_host: "GET http://other.example/a HTTP/1.1\r\nHost: x\r\n\r\n" => [400];
    connect: "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n" => [400, 501];
    not_http: "EHLO example.com\r\n\r\n" => [400];
    an_unknown_version: "GET /a HTTP/3.7\r\nHost: x\r\n\r\n" => [400, 505];
}

#[tokio::test]
async fn fields_too_large() -> Result<()> {
    refused(&format!("GET /a HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "a".repeat(40_000)), &[431]).await
}

#[tokio::test]
async fn too_many_fields() -> Result<()> {
    refused(&format!("GET /a HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(2000)), &[431]).await
}

#[tokio::test]
async fn a_target_too_long() -> Result<()> {
    refused(&format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000)), &[414]).await?;
    // Past the limit on the whole head it is not known whose fault it is.
    refused(&format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(40_000)), &[414, 431]).await
}

/// The bytes after a refused request on the connection are not read as another one: that is how requests are smuggled.
#[tokio::test]
async fn a_second_request_behind_a_refused_one_is_not_answered() -> Result<()> {
    let smuggled = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    refused(smuggled, &[400]).await
}

/// Two equal lengths leave no doubt (RFC 9112 §6.3 allows to take them for one, or to refuse).
#[tokio::test]
async fn the_same_length_twice_is_one_length_or_refused() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/a", larder_testkit::Answer::ok().body("x"));
    let larder = Larder::before(&origin, "").await?;
    let response = larder.request("POST", "/a", &[("Content-Length", "2"), ("Content-Length", "2")], "hi").await?;
    assert!([200, 400].contains(&response.status), "{}", response.head.start);
    for request in origin.received() {
        assert_eq!((request.head.all("content-length"), request.body.as_slice()), (vec!["2"], &b"hi"[..]));
    }
    Ok(())
}

/// A chunk that is none ends the request at the origin too: it must not look complete there.
#[tokio::test]
async fn a_broken_chunk_never_completes_a_request() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let mut client: Client = larder.connect().await?;
    client.send_raw("POST", b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n").await?;
    let response = client.finish().await?;
    assert!(response.status == 400 || response.status == 502, "{}", response.head.start);
    client.closed().await?;
    origin.check()
}

/// Some servers take `X: a<LF><CRLF>` for the end of the request; a field that went on would swallow the next one.
#[tokio::test]
async fn a_bare_lf_in_a_trailer_section_is_400_and_the_end_of_the_connection() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/a", Answer::ok().body("a"));
    let larder = Larder::before(&origin, "").await?;
    let mut client = larder.connect().await?;
    let head = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n";
    client.send_raw("POST", format!("{head}X: a\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
    let response = client.finish().await?;
    assert_eq!((response.status, response.header("connection")), (400, Some("close")), "{response:?}");
    client.closed().await?;
    assert!(origin.received().iter().all(|received| !received.complete), "{:?}", origin.received());
    Ok(())
}

/// A request that is refused before it has been sent may be sent to its end all the same: a reset could overtake the answer.
#[tokio::test]
async fn rfc9112_9_6_a_refused_client_may_send_8_mib_before_it_reads_why() -> Result<()> {
    let origin = Origin::start().await?;
    let upstreams = format!("[upstreams.api]\nurl = \"{0}\"\n[upstreams.other]\nurl = \"{0}\"\n", origin.url());
    let routes = "[[routes]]\npath = \"/small\"\nupstream = \"api\"\nmax_request_body = \"10B\"\n";
    let larder = Larder::start(&larder_testkit::larder::config(&origin.url(), &format!("{upstreams}{routes}"))).await?;
    let body = "x".repeat((8 << 20) - (64 << 10));
    let (public, admin) = (larder.address(), larder.admin_address());
    let json = ("Content-Type", "application/json");
    for (address, target, field, status) in [
        (admin, "/purge", json, 413),
        (admin, "/events", json, 413),
        // Nothing there takes so much, whatever its type is.
        (admin, "/purge", ("Content-Type", "text/plain"), 413),
        (admin, "/nothing", json, 404),
        (admin, "/metrics", json, 405),
        (admin, "/stats", json, 405),
        (admin, "/ui/live", json, 405),
        (public, "/small", json, 413),
        (public, "/nowhere", json, 404),
        (public, "/small", ("Expect", "miracles"), 417),
    ] {
        let mut client = Client::connect(address).await?;
        let response = client.exchange("POST", target, &[field], &body).await?;
        assert_eq!((response.status, response.complete), (status, true), "{target} {field:?}");
    }
    Ok(())
}

/// Over HTTP/2, RST_STREAM (NO_ERROR) would be allowed (RFC 9113 §8.1), and is a failed request to more than one client.
#[tokio::test]
async fn a_refused_http2_request_may_send_its_content_to_the_end() -> Result<()> {
    const DATA: u8 = 0;
    const RST_STREAM: u8 = 3;
    const PING: u8 = 6;
    const ACK: u8 = 1;
    let origin = Origin::start().await?;
    let upstreams = format!("[upstreams.api]\nurl = \"{0}\"\n[upstreams.other]\nurl = \"{0}\"\n", origin.url());
    let routes = "[[routes]]\npath = \"/small\"\nupstream = \"api\"\n";
    let larder = Larder::start(&larder_testkit::larder::config(&origin.url(), &format!("{upstreams}{routes}"))).await?;
    let frame =
        |kind: u8, flags: u8, stream: u8, payload: &[u8]| [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat();
    for address in [larder.address(), larder.admin_address()] {
        let mut client = Client::connect(address).await?;
        // POST http://localhost/, which is found on neither listener.
        let fields = b"\x83\x86\x84\x41\x09localhost";
        let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b""), frame(1, 0x4, 1, fields)].concat();
        client.write(&opening).await?;
        let mut kinds = Vec::new();
        while !kinds.contains(&(PING, ACK)) {
            let head = client.read_raw(9).await?;
            client.read_raw(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize).await?;
            kinds.push((head[3], head[4] & 1));
            if kinds.last() == Some(&(DATA, 1)) {
                client.write(&[frame(DATA, 1, 1, b"hello"), frame(PING, 0, 0, &[0; 8])].concat()).await?;
            }
        }
        assert!(kinds.contains(&(DATA, 1)) && kinds.iter().all(|(kind, _)| *kind != RST_STREAM), "{kinds:?}");
    }
    Ok(())
}
