//! Hits over HTTP/1.1 are written past hyper; nobody may see which of the two has written.

use larder_testkit::{Answer, Client, Larder, Origin, Response, Result, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A field that makes a request one that hyper answers, and changes nothing in the answer.
const THROUGH_HYPER: (&str, &str) = ("Connection", "keep-alive, x-nothing");

async fn filled(origin: &Origin, targets: &[&str]) -> Result<Larder> {
    let larder = Larder::before(origin, "[cache]\nttl = \"1h\"\nmax_object = \"64MiB\"\n[store.memory]\ncapacity = \"512MiB\"").await?;
    for target in targets {
        larder.get(target).await?;
    }
    larder.settled().await?;
    Ok(larder)
}

/// Waits until no connection is taken any more: the server has begun to stop.
async fn closed(larder: &Larder) -> Result<()> {
    let refused = || async { Ok(Client::connect(larder.address()).await.err()) };
    wait::eventually("waiting for the listener to close", refused).await.map(|_| ())
}

/// All of a response but the seconds in it, which may pass between two of them.
fn timeless(response: &Response) -> (String, Vec<(String, String)>, Vec<u8>, bool) {
    let fields = response.head.fields.iter().filter(|(name, _)| name != "age").map(|(name, value)| {
        let value = value.split(';').filter(|part| !part.trim_start().starts_with("ttl=")).collect::<Vec<_>>().join(";");
        (name.clone(), value)
    });
    let mut fields: Vec<_> = fields.collect();
    // hyper moves the length to the end where it writes it anew. Lines of one name keep their order.
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    (response.head.start.clone(), fields, response.body.clone(), response.complete)
}

#[tokio::test]
async fn an_answer_is_the_same_past_hyper_and_through_it() -> Result<()> {
    let origin = Origin::start().await?;
    let text = || {
        Answer::ok()
            .header("ETag", "\"1\"")
            .header("Last-Modified", "Sat, 01 Jan 2022 00:00:00 GMT")
            .header("X-Two", "1")
            .header("X-Two", "2")
    };
    origin.always("GET", "/plain", text().body("0123456789"));
    origin.always("GET", "/chunked", text().chunk("01234").chunk("56789"));
    origin.always("GET", "/trailers", text().chunk("01234").trailers(&[("x-sum", "1")]));
    origin.always("GET", "/empty", text().body(""));
    origin.always("GET", "/missing", Answer::new(404).body("no"));
    origin.always("GET", "/nothing", Answer::new(204));
    origin.always("GET", "/large", text().body("x".repeat(5 << 20)));
    origin.always("GET", "/old", text().header("Warning", "110 - old").http10().body("old"));
    let targets = ["/plain", "/chunked", "/trailers", "/empty", "/missing", "/nothing", "/large", "/old"];
    let larder = filled(&origin, &targets).await?;
    let asked = origin.request_count();
    let conditions: &[&[(&str, &str)]] = &[
        &[],
        &[("If-None-Match", "\"1\"")],
        &[("If-None-Match", "\"2\"")],
        &[("If-Modified-Since", "Sat, 01 Jan 2022 00:00:00 GMT")],
        &[("Range", "bytes=2-4")],
        &[("Range", "bytes=262140-262150")],
        &[("Range", "bytes=5-3000000")],
        &[("Range", "bytes=0-1,5-6")],
        &[("Range", "bytes=-1")],
        &[("Range", "bytes=99999999-")],
        &[("Range", "bytes=2-4"), ("If-Range", "\"2\"")],
        &[("Connection", "Keep-Alive"), ("Keep-Alive", "timeout=5")],
    ];
    for target in targets {
        for method in ["GET", "HEAD"] {
            for fields in conditions {
                let mut client = larder.connect().await?;
                let direct = client.exchange(method, target, fields, "").await?;
                let mut through = fields.to_vec();
                through.retain(|(name, _)| *name != "Connection");
                through.push(THROUGH_HYPER);
                let other = client.exchange(method, target, &through, "").await?;
                let again = client.exchange(method, target, fields, "").await?;
                assert_eq!(timeless(&direct), timeless(&other), "{method} {target} {fields:?}");
                assert_eq!(timeless(&direct), timeless(&again), "{method} {target} {fields:?}");
                assert_eq!(direct.x_cache(), "HIT", "{method} {target} {fields:?}");
            }
        }
    }
    assert_eq!(origin.request_count(), asked);
    Ok(())
}

/// A client that follows the framing reads no body after a HEAD, so only the bytes on the connection show that none was sent.
#[tokio::test]
async fn rfc9110_9_3_2_a_response_to_head_has_no_content_past_hyper_and_through_it() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/plain", Answer::ok().header("ETag", "\"1\"").body("hello"));
    origin.always("GET", "/chunked", Answer::ok().header("ETag", "\"1\"").chunk("hel").chunk("lo"));
    let larder = filled(&origin, &["/plain", "/chunked"]).await?;
    let (name, value) = THROUGH_HYPER;
    let through_hyper = format!("{name}: {value}\r\n");
    for target in ["/plain", "/chunked"] {
        for (of_head, of_get) in [("", ""), (&*through_hyper, ""), ("", &*through_hyper), (&*through_hyper, &*through_hyper)] {
            let mut stream = TcpStream::connect(larder.address()).await?;
            let host = larder.address();
            let get = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{of_get}\r\n");
            stream.write_all(format!("HEAD {target} HTTP/1.1\r\nHost: {host}\r\n{of_head}\r\n{get}").as_bytes()).await?;
            stream.shutdown().await?;
            let mut answers = String::new();
            wait::within("reading both responses", stream.read_to_string(&mut answers)).await??;
            let [head, next, body] = answers.splitn(3, "\r\n\r\n").collect::<Vec<_>>()[..] else { panic!("not two heads: {answers}") };
            for head in [head, next] {
                let fields = head.to_ascii_lowercase();
                assert!(fields.starts_with("http/1.1 200 ok\r\n"), "{answers}");
                for field in ["x-cache: hit", "etag: \"1\"", "content-length: 5"] {
                    assert!(fields.lines().any(|line| line == field), "no {field} in {answers}");
                }
            }
            assert_eq!(body, "hello", "{answers}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order_past_hyper_and_through_it() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/hit", Answer::ok().body("hit"));
    origin.respond_with("GET", "/slow", |_| Answer::ok().header("Cache-Control", "no-store").wait("slow").chunk("slow"));
    origin.always("POST", "/write", Answer::ok().body("written"));
    let larder = filled(&origin, &["/hit"]).await?;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let post = "POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nGET /hit ".to_owned();
    let chunked = "POST /write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned();
    let requests = [get("/hit"), get("/slow"), get("/hit"), get("/hit"), post, get("/hit"), chunked, get("/hit"), get("/hit")];
    let bodies = ["hit", "slow", "hit", "hit", "written", "hit", "written", "hit", "hit"];
    let mut client = larder.connect().await?;
    client.send_raw("GET", requests.concat().as_bytes()).await?;
    assert_eq!(client.finish().await?.text(), "hit");
    origin.gate("slow").reached(1).await?;
    origin.gate("slow").open();
    for body in &bodies[1..] {
        let response = client.finish().await?;
        assert_eq!(response.text(), *body, "{response:?}");
    }
    let written: Vec<_> = origin.received().into_iter().filter(|request| request.method == "POST").map(|request| request.body).collect();
    assert_eq!(written, [&b"GET /hit "[..], b"abc"]);
    Ok(())
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/hit", Answer::ok().body("hit"));
    let larder = filled(&origin, &["/hit"]).await?;
    let request = b"GET /hit HTTP/1.1\r\nHost: x\r\nAccept: a\r\n\r\n";
    let mut client = larder.connect().await?;
    for cut in 1..request.len() {
        client.send_raw("GET", &request[..cut]).await?;
        // By the time another client has its answer the first piece has nearly always been read by itself.
        larder.get("/hit").await?;
        client.write(&request[cut..]).await?;
        assert_eq!(client.finish().await?.text(), "hit", "cut after {cut}");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_says_no_more_is_answered() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/hit", Answer::ok().body("hit"));
    let larder = filled(&origin, &["/hit"]).await?;
    let mut client = larder.connect().await?;
    client.send("GET", "/hit", &[], "").await?;
    client.shut_down_write()?;
    assert_eq!(client.finish().await?.text(), "hit");
    client.closed().await
}

#[tokio::test]
async fn a_hit_under_way_is_finished_when_the_server_stops() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/large", Answer::ok().body("x".repeat(32 << 20)));
    let larder = filled(&origin, &["/large"]).await?;
    let mut client = Client::connect_narrow(larder.address()).await?;
    client.send("GET", "/large", &[], "").await?;
    client.read_at_least(1).await?;
    larder.terminate()?;
    closed(&larder).await?;
    let response = client.finish().await?;
    assert!(response.complete && response.body.len() == 32 << 20);
    larder.exited().await?;
    Ok(())
}

#[tokio::test]
async fn a_stop_tells_a_connection_of_hits_that_this_was_the_last() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/hit", Answer::ok().body("hit"));
    let larder = filled(&origin, &["/hit"]).await?;
    let mut client = larder.connect().await?;
    client.exchange("GET", "/hit", &[], "").await?;
    larder.terminate()?;
    closed(&larder).await?;
    let last = client.exchange("GET", "/hit", &[], "").await?;
    assert_eq!((last.text().as_str(), last.header("connection")), ("hit", Some("close")));
    client.closed().await
}

/// Asks for a hit without end and takes every answer, until the connection ends.
async fn ask_without_end(stream: TcpStream) {
    let (mut answers, mut requests) = stream.into_split();
    let asking = tokio::spawn(async move {
        let many = "GET /hit HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
        while requests.write_all(many.as_bytes()).await.is_ok() {}
    });
    let mut room = vec![0; 1 << 20];
    while matches!(answers.read(&mut room).await, Ok(1..)) {}
    asking.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_stop_asking_do_not_keep_the_server_from_stopping() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/hit", Answer::ok().body("hit"));
    let larder = filled(&origin, &["/hit"]).await?;
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let stream = TcpStream::connect(larder.address()).await?;
        clients.spawn(ask_without_end(stream));
    }
    larder.metric_reaches("larder_requests_total", &[r#"result="hit""#], 20_000.0).await?;
    larder.terminate()?;
    assert_eq!(larder.exited().await?.code(), Some(0));
    let output = larder.process().output();
    assert!(!output.iter().any(|line| line.contains("were cut")), "{output:?}");
    clients.join_all().await;
    Ok(())
}
