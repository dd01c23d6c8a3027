//! Which requests are refused, and with which response.

use super::*;

/// A whole answer that says what is wrong: RFC 9457 in its body, RFC 9209 in its fields.
fn assert_problem(answer: &str, expected: &str) {
    assert_eq!(status(answer), expected, "{answer:?}");
    for field in
        ["connection: close\r\n", "content-type: application/problem+json\r\n", "proxy-status: larder; error=http_request_error\r\n"]
    {
        assert!(answer.contains(field), "{answer}");
    }
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["status"].to_string(), expected);
}

/// The request is refused with `expected`, the connection is closed (or `talk` would not return), and nothing was handled.
async fn refused(bytes: &str, expected: &str) {
    let server = serve_echo();
    let answer = talk(server.address, bytes).await;
    assert_problem(&answer, expected);
    assert_eq!(server.handled.load(Ordering::SeqCst), 0, "{bytes:?} reached the handler");
}

#[tokio::test]
async fn rfc9112_6_1_content_length_with_transfer_encoding_is_refused() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:chunked\r\ncontent-length:0\r\n\r\n0\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_6_1_content_length_with_transfer_encoding_is_refused_on_a_later_request_too() {
    let server = serve_echo();
    let first = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let second = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = talk(server.address, &format!("{first}{second}")).await;
    assert!(answer.contains("POST /1 hi"), "{answer}");
    assert!(answer.contains("HTTP/1.1 400 Bad Request"), "{answer}");
    assert_eq!(server.handled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn rfc9112_6_1_a_transfer_encoding_that_does_not_end_in_chunked_is_refused() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501").await;
}

#[tokio::test]
async fn rfc9112_6_1_transfer_encoding_in_http_1_0_is_refused() {
    refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_6_3_two_different_lengths_are_refused() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabc", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", "400").await;
}

#[tokio::test]
async fn rfc9112_2_2_bare_cr_and_rfc9110_5_5_nul_in_a_field_are_refused() {
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\rHost: a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_5_1_space_before_the_colon_is_refused() {
    refused("GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_5_2_line_folding_is_refused() {
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_3_2_a_request_without_exactly_one_host_is_refused() {
    refused("GET / HTTP/1.1\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400").await;
    refused("GET http://other.example/ HTTP/1.1\r\nHost: a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn connect_is_refused() {
    refused("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "501").await;
}

#[tokio::test]
async fn rubbish_is_refused() {
    refused("\x16\x03\x01\x02\r\n\r\n", "400").await;
    refused("GET / HTTP/9.9\r\nHost: a\r\n\r\n", "400").await;
    refused("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn a_target_that_is_too_long_is_refused_with_414() {
    refused(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20 * 1024)), "414").await;
    // Longer than the library takes a target to be, where heads may be longer still.
    let server = serve(ServerOptions { max_header_bytes: 96 * 1024, ..ServerOptions::default() }, echo);
    let answer = talk(server.address, &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70 * 1024))).await;
    assert_problem(&answer, "414");
    assert_eq!(server.handled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn fields_that_are_too_large_or_too_many_are_refused_with_431() {
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(300 * 1024)), "431").await;
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(101)), "431").await;
}

#[tokio::test]
async fn a_malformed_request_behind_others_is_told_what_is_wrong_too() {
    let server = serve_echo();
    // At once, and after a pause in which the connection was idle.
    let good = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = talk(server.address, &format!("{good}{good}rubbish\r\n\r\n")).await;
    assert_problem(answer.rsplit("GET /1 ").next().expect("behind the others"), "400");
    let mut stream = connect(server.address).await;
    stream.write_all(good.as_bytes()).await.expect("write");
    until(&mut stream, "GET /1 ").await;
    stream.write_all(b"rubbish\r\n\r\n").await.expect("write");
    assert_problem(&rest(&mut stream).await, "400");
}

const LIKE_A_REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn content_that_looks_like_a_refusal_is_content() {
    let server = serve(ServerOptions::default(), |_, _| async { Response::new(Full::from(LIKE_A_REFUSAL.repeat(20_000))) });
    let answer = talk(server.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer.split_once("\r\n\r\n").expect("a head").1, LIKE_A_REFUSAL.repeat(20_000));
}

#[tokio::test]
async fn rfc9110_7_8_what_comes_behind_an_upgrade_is_left_alone() {
    let server = serve(ServerOptions::default(), |mut request: Request<Incoming>, _| async move {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut tunnel = TokioIo::new(upgraded.await.expect("a tunnel"));
            for _ in 0..2 {
                tunnel.flush().await.expect("flush");
                tunnel.write_all(LIKE_A_REFUSAL.as_bytes()).await.expect("write");
            }
        });
        let switching = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "x");
        switching.body(Full::default()).expect("response")
    });
    let answer = talk(server.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    assert_eq!(answer.split_once("\r\n\r\n").expect("a head").1, LIKE_A_REFUSAL.repeat(2));
}

#[tokio::test]
async fn rfc9112_9_6_a_refused_client_that_still_sends_is_not_reset_before_it_has_read_why() {
    let server = serve_echo();
    let mut stream = connect(server.address).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(200 * 1024)).as_bytes()).await.expect("write");
    assert_eq!(status(&rest(&mut stream).await), "431");
    for _ in 0..3 {
        stream.write_all(&[b'a'; 1024]).await.expect("the other side still reads");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn rfc9112_9_6_a_client_that_is_refused_slots_with_a_request_under_way_reads_why() {
    let options = ServerOptions { max_connections: 1, ..ServerOptions::default() };
    let server = serve(options, echo);
    let mut first = connect(server.address).await;
    first.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    until(&mut first, "GET /1 ").await;
    for _ in 0..20 {
        let mut second = connect(server.address).await;
        second
            .write_all(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n{}", "a".repeat(65536)).as_bytes())
            .await
            .expect("write");
        assert_eq!(status(&rest(&mut second).await), "503");
    }
}

/// Some servers take `X: a<LF><CRLF>` for the end of the request, and hyper for the beginning of a field that the next request goes on with.
#[tokio::test]
async fn rfc9112_2_2_a_bare_lf_in_a_trailer_section_ends_the_request_and_the_connection() {
    let server = serve(ServerOptions::default(), |request: Request<Incoming>, _| async move {
        let whole = request.into_body().collect().await;
        Response::builder().status(if whole.is_ok() { 200 } else { 400 }).body(Full::default()).expect("response")
    });
    let head = "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n";
    for trailers in ["X: a\n\r\n", "X: a\r\nY: b\n\n", "\n"] {
        let answer = talk(server.address, &format!("{head}{trailers}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(status(&answer), "400", "{trailers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "what follows is no request: {answer}");
    }
    // The request before it is answered as it would be alone.
    let answer = talk(server.address, &format!("{head}\r\n{head}X: a\n\r\n")).await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1 400 ").count()), ("200", 1), "{answer}");
}

#[tokio::test]
async fn rfc9112_2_2_a_bare_lf_in_a_head_behind_content_is_refused() {
    let server = serve_echo();
    let first = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na\nb\n";
    let last = first.replace("Host: a", "Host: a\r\nConnection: close");
    let answer = talk(server.address, &format!("{first}{last}")).await;
    assert_eq!(answer.matches("POST /1 a\nb\n").count(), 2, "{answer}");
    let mut stream = connect(server.address).await;
    stream.write_all(first.as_bytes()).await.expect("write");
    until(&mut stream, "POST /1 a\nb\n").await;
    stream.write_all(b"GET /2 HTTP/1.1\r\nHost: a\nX: y\r\n\r\n").await.expect("write");
    assert_problem(&rest(&mut stream).await, "400");
}

#[tokio::test]
async fn a_head_that_is_late_is_answered_with_408() {
    let server = serve(short(), echo);
    for begun in ["GET / HTTP/1.1\r\nHost: a\r\nX: ", "G", "PRI * HTT"] {
        let answer = talk(server.address, begun).await;
        assert_eq!(status(&answer), "408", "{begun:?} was answered {answer:?}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_in_time_without_a_word() {
    let server = serve(short(), echo);
    assert_eq!(talk(server.address, "").await, "");
    let answer = talk(server.address, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.ends_with("GET /1 "), "an idle connection ends after its last answer: {answer}");
}

/// A balancer that keeps connections for a minute would lose requests on those that close after ten seconds.
#[tokio::test]
async fn an_idle_connection_has_a_deadline_of_its_own() {
    let options = ServerOptions { idle_timeout: Duration::from_secs(3600), ..short() };
    let server = serve(options, echo);
    let mut kept = connect(server.address).await;
    kept.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    until(&mut kept, "GET /1 ").await;
    // A head that begins after it is late has its time behind it, and so has the idle connection.
    assert_eq!(status(&talk(server.address, "GET / HTTP/1.1\r\nHo").await), "408");
    kept.write_all(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    until(&mut kept, "GET /2 ").await;
    kept.write_all(b"GET /3 HTTP/1.1\r\nHo").await.expect("write");
    assert_eq!(status(&rest(&mut kept).await), "408", "a head that has begun is no idle connection");
}

#[tokio::test]
async fn rfc9110_10_1_1_an_unknown_expectation_is_refused_with_417() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 2\r\n\r\nhi", "417").await;
}
