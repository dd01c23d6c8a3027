use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use larder_tower::RequestBody;
use tokio::sync::mpsc;

use crate::tests::origin::{Connection, OK, get, options, origin, send, service};
use crate::tests::until;
use crate::{UpstreamError, UpstreamService};

/// The outcome of one exchange: status and fields as text, then the body, or why there is none.
async fn exchanged(service: &UpstreamService, method: Method) -> Result<(String, Bytes), UpstreamError> {
    let mut request = get("/");
    *request.method_mut() = method;
    let (head, body) = send(service, request).await?.into_parts();
    let fields: String = head.headers.iter().map(|(name, value)| format!("{name}={};", value.to_str().expect("text"))).collect();
    Ok((format!("{} {fields}", head.status.as_u16()), body.collect().await?.to_bytes()))
}

/// An origin that answers every request on a connection with these bytes in these pieces, and closes it after that many answers.
async fn answering(pieces: Vec<Vec<u8>>, answers: usize) -> UpstreamService {
    let address = origin(move |_, mut connection: Connection| {
        let pieces = pieces.clone();
        async move {
            for _ in 0..answers {
                connection.head().await;
                for piece in &pieces {
                    connection.send_apart(piece).await;
                }
            }
        }
    })
    .await;
    service(address)
}

async fn answering_once(text: &str) -> UpstreamService {
    answering(vec![text.as_bytes().to_vec()], 1).await
}

const LONG: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 5\r\nX-B:  2 \r\n\r\nhello";
const CHUNKED: &str = "HTTP/1.1 200 Fine\r\nx-a: 1\r\ntransfer-encoding: chunked\r\nX-B:  2 \r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n";

#[tokio::test]
async fn rfc9112_2_2_a_response_is_the_same_wherever_it_is_split() {
    for text in [LONG, CHUNKED] {
        for split in 1..text.len() {
            let (first, second) = text.as_bytes().split_at(split);
            let service = answering(vec![first.to_vec(), second.to_vec()], 2).await;
            for _ in 0..2 {
                let (head, body) = exchanged(&service, Method::GET).await.expect("a response");
                assert!(head.starts_with("200 x-a=1;") && head.contains("x-b=2;"), "{head} split at {split}");
                assert_eq!(body, "hello", "split at {split}");
            }
            assert_eq!(service.stats().connections_total(), 1, "split at {split}");
        }
    }
}

#[tokio::test]
async fn rfc9112_8_a_response_is_incomplete_wherever_it_is_cut() {
    for text in [LONG, CHUNKED] {
        for end in 0..text.len() {
            match exchanged(&answering_once(&text[..end]).await, Method::GET).await {
                Err(UpstreamError::Reset(_) | UpstreamError::BodyBroken(_)) => {}
                other => panic!("cut at {end}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn rfc9112_4_and_5_what_is_no_head_is_a_protocol_error() {
    let many: String = (0..101).map(|number| format!("x-{number}: 1\r\n")).collect();
    let large: String = (0..60).map(|number| format!("x-{number}: {}\r\n", "a".repeat(8000))).collect();
    for head in [
        "HTTP/2.0 200 OK\r\n",
        "HTTP/1.2 200 OK\r\n",
        "http/1.1 200 OK\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 099 Low\r\n",
        "HTTP/1.1  200 OK\r\n",
        "200 OK\r\n",
        "HTTP/1.1 200 O\0K\r\n",
        "HTTP/1.1 200 OK\r\nname : 1\r\n",
        "HTTP/1.1 200 OK\r\n: 1\r\n",
        "HTTP/1.1 200 OK\r\nname\r\n",
        "HTTP/1.1 200 OK\r\nna me: 1\r\n",
        "HTTP/1.1 200 OK\r\nname: 1\r\n folded\r\n",
        "HTTP/1.1 200 OK\r\n folded: 1\r\n",
        "HTTP/1.1 200 OK\r\nname: a\0b\r\n",
        "HTTP/1.1 200 OK\r\nname: a\rb\r\n",
        "HTTP/1.1 200 OK\r\nname: a\x7fb\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n",
        &format!("HTTP/1.1 200 OK\r\n{many}"),
        &format!("HTTP/1.1 200 OK\r\n{large}"),
    ] {
        let outcome = exchanged(&answering_once(&format!("{head}\r\nhello")).await, Method::GET).await;
        assert!(matches!(outcome, Err(UpstreamError::Protocol(_))), "{head:.60}: {outcome:?}");
    }
}

#[tokio::test]
async fn rfc9110_15_2_informational_responses_without_an_end_are_a_protocol_error() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        while connection.try_send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await {}
    })
    .await;
    let outcome = exchanged(&service(address), Method::GET).await;
    assert!(matches!(outcome, Err(UpstreamError::Protocol(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_head_without_an_end_is_a_protocol_error_before_it_fills_memory() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\nx: ").await;
        while connection.try_send(&[b'a'; 4096]).await {}
    })
    .await;
    let outcome = exchanged(&service(address), Method::GET).await;
    assert!(matches!(outcome, Err(UpstreamError::Protocol(_))), "{outcome:?}");
}

#[tokio::test]
async fn rfc9112_6_3_1_a_response_without_a_body_leaves_its_connection_in_order() {
    for (method, text) in [
        (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (Method::HEAD, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        (Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
        (Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        (Method::GET, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let service = answering(vec![text.as_bytes().to_vec()], 2).await;
        for _ in 0..2 {
            assert_eq!(exchanged(&service, method.clone()).await.expect("a response").1, "", "{text}");
        }
        assert_eq!(service.stats().connections_total(), 1, "{text}");
    }
}

#[tokio::test]
async fn rfc9112_6_3_8_without_a_length_the_body_ends_with_the_connection() {
    for text in ["HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\nhello"] {
        let service = answering_once(text).await;
        for connections in 1..=2 {
            assert_eq!(exchanged(&service, Method::GET).await.expect("a response").1, "hello");
            assert_eq!(service.stats().connections_total(), connections);
        }
    }
}

#[tokio::test]
async fn rfc9112_9_a_connection_is_not_used_again_when_its_end_is_announced_or_its_place_is_not_known() {
    for text in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
    ] {
        let service = answering(vec![text.as_bytes().to_vec()], 2).await;
        for connections in 1..=2 {
            let (_, body) = exchanged(&service, Method::GET).await.expect("a response");
            assert!(body == "ok" || body.is_empty(), "{text}: {body:?}");
            assert_eq!(service.stats().connections_total(), connections, "{text}");
        }
    }
}

#[tokio::test]
async fn rfc9112_9_2_bytes_without_a_request_end_an_idle_connection() {
    let address = origin(|number, mut connection| async move {
        connection.head().await;
        connection.send(OK).await;
        if number == 0 {
            connection.send_apart(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await;
        }
        connection.closed().await;
    })
    .await;
    let service = service(address);
    exchanged(&service, Method::GET).await.expect("a response");
    // On the wire behind the answer, so there before anything that is sent from here on is answered.
    tokio::time::timeout(Duration::from_secs(30), async {
        while service.stats().connections_total() < 2 {
            exchanged(&service, Method::GET).await.expect("a response");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the connection was never given up");
}

#[tokio::test]
async fn rfc9110_9_2_2_what_is_sent_once_more_is_the_same_text() {
    let (seen, mut heads) = mpsc::unbounded_channel();
    let address = origin(move |number, mut connection| {
        let seen = seen.clone();
        async move {
            // The first connection leaves its second request without an answer.
            for answers in [true, number > 0] {
                seen.send(connection.head().await).expect("receiver");
                if answers {
                    connection.send(OK).await;
                }
            }
        }
    })
    .await;
    let service = UpstreamService::new(options(&format!("http://{address}"))).expect("service");
    send(&service, get("/1")).await.expect("response").into_body().collect().await.expect("body");
    send(&service, get("/2?x")).await.expect("response").into_body().collect().await.expect("body");
    assert_eq!(service.stats().retries_total(), 1);
    let (_, second, again) = (heads.recv().await, heads.recv().await.expect("a head"), heads.recv().await.expect("a head"));
    assert!(second.starts_with("GET /2?x HTTP/1.1\r\n"), "{second}");
    assert_eq!(second, again);
}

#[tokio::test]
async fn rfc9112_6_content_without_a_length_goes_up_in_chunks() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            seen.send((connection.head().await, connection.until("0\r\n\r\n").await)).expect("receiver");
            connection.send(OK).await;
        }
    })
    .await;
    for method in [Method::POST, Method::GET] {
        let (content, body) = mpsc::unbounded_channel();
        for piece in ["hello", "", ", the whole wide world"] {
            content.send(Bytes::from_static(piece.as_bytes())).expect("receiver");
        }
        drop(content);
        let request = Request::builder().method(method).uri("/").header("host", "a").header("transfer-encoding", "chunked");
        let request = request.body(RequestBody::new(Pieces(body))).expect("request");
        send(&service(address), request).await.expect("response");
        let (head, content) = requests.recv().await.expect("request");
        assert!(head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"), "{head}");
        assert_eq!(content, "5\r\nhello\r\n16\r\n, the whole wide world\r\n0\r\n\r\n");
    }
}

#[tokio::test]
async fn content_that_is_not_what_was_announced_is_the_clients_fault() {
    for pieces in [&["hello"][..], &["hello, world"][..]] {
        let address = origin(|_, mut connection| async move { connection.closed().await }).await;
        let (content, body) = mpsc::unbounded_channel();
        pieces.iter().for_each(|piece| content.send(Bytes::from_static(piece.as_bytes())).expect("receiver"));
        drop(content);
        let request = Request::post("/").header("host", "a").header("content-length", "7").body(RequestBody::new(Pieces(body)));
        let error = send(&service(address), request.expect("request")).await.map(|response| response.status()).expect_err("should fail");
        assert!(matches!(error, UpstreamError::RequestBody(_)), "{error:?}");
    }
}

/// An origin that answers as soon as it has the head, and says what came after once all of it is there.
async fn answers_early(end: &'static str) -> (UpstreamService, mpsc::UnboundedReceiver<String>) {
    let (seen, contents) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            while !connection.head().await.is_empty() {
                connection.send(OK).await;
                let _nobody_listens = seen.send(connection.until(end).await);
            }
        }
    })
    .await;
    (service(address), contents)
}

#[tokio::test]
async fn rfc9112_9_3_content_goes_up_to_its_end_though_the_answer_is_there_and_the_connection_is_used_again() {
    let (service, mut contents) = answers_early("world").await;
    for _ in 0..2 {
        let (content, body) = mpsc::unbounded_channel();
        content.send(Bytes::from_static(b"hello, ")).expect("receiver");
        let request = Request::post("/").header("host", "a").header("content-length", "12").body(RequestBody::new(Pieces(body)));
        let response = send(&service, request.expect("request")).await.expect("response");
        assert_eq!(response.into_body().collect().await.expect("body").to_bytes(), "ok");
        content.send(Bytes::from_static(b"world")).expect("the rest is still wanted");
        drop(content);
        assert_eq!(contents.recv().await.expect("content"), "hello, world");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(service.stats().connections_total(), 1);
}

#[tokio::test]
async fn a_response_that_is_not_read_ends_the_request_that_it_answers() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await;
        connection.closed().await;
    })
    .await;
    let service = service(address);
    let (content, body) = mpsc::unbounded_channel::<Bytes>();
    let request = Request::post("/").header("host", "a").body(RequestBody::new(Pieces(body))).expect("request");
    drop(send(&service, request).await.expect("response"));
    content.closed().await;
    until(|| service.stats().connections_open() == 0).await;
}

/// A body of what comes over a channel, without a length.
struct Pieces(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    }
}
