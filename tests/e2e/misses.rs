//! Misses over HTTP/1.1 are answered past hyper where that is plain; nobody may see which of the two has answered.

use larder_testkit::{Answer, Client, Larder, Origin, Response, Result, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A field that makes a request one that hyper answers, and changes nothing in the answer.
const THROUGH_HYPER: (&str, &str) = ("Connection", "keep-alive, x-nothing");

const SETTINGS: &str = "[cache]\nttl = \"1h\"\nmax_object = \"64MiB\"\n[store.memory]\ncapacity = \"512MiB\"";

/// All of a response, with its fields in the order of their names: hyper moves the length to the end where it writes it anew.
fn whole(response: &Response) -> (String, Vec<(String, String)>, Vec<u8>, bool) {
    let mut fields = response.head.fields.clone();
    // Two responses may be a second apart.
    fields.retain(|(name, _)| name != "date");
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    (response.head.start.clone(), fields, response.body.clone(), response.complete)
}

#[tokio::test]
async fn an_answer_of_the_origin_is_the_same_whoever_passes_it_on() -> Result<()> {
    let origin = Origin::start().await?;
    let text = || Answer::ok().header("ETag", "\"1\"").header("X-Two", "1").header("X-Two", "2");
    type Make = Box<dyn Fn() -> Answer>;
    let answers: Vec<(&str, Make)> = vec![
        ("plain", Box::new(move || text().body("0123456789"))),
        ("uncacheable", Box::new(move || text().header("Cache-Control", "no-store").body("0123456789"))),
        ("cookie", Box::new(move || text().header("Set-Cookie", "a=b").body("0123456789"))),
        ("chunked", Box::new(move || text().chunk("01234").chunk("56789"))),
        ("trailers", Box::new(move || text().chunk("01234").trailers(&[("x-sum", "1")]))),
        ("empty", Box::new(move || text().body(""))),
        ("missing", Box::new(|| Answer::new(404).body("no"))),
        ("failed", Box::new(|| Answer::new(503).body("not now"))),
        ("strange", Box::new(|| Answer::new(299).body("strange"))),
        ("nothing", Box::new(|| Answer::new(204))),
        ("moved", Box::new(|| Answer::new(302).header("Location", "/elsewhere").body("there"))),
        ("large", Box::new(move || text().body("x".repeat(5 << 20)))),
        ("old", Box::new(move || text().http10().body("old"))),
        ("endless", Box::new(move || text().until_close().part("to the end"))),
        ("hints", Box::new(move || text().interim(103, &[("Link", "</a.css>; rel=preload")]).body("after hints"))),
        ("short", Box::new(move || text().declared_length(20).part("0123456789").close())),
        ("broken", Box::new(Answer::hang_up)),
    ];
    let larder = Larder::before(&origin, SETTINGS).await?;
    for (name, answer) in answers {
        for method in ["GET", "HEAD"] {
            let mut client = larder.connect().await?;
            let mut taken = Vec::new();
            for (number, fields) in [&[][..], &[THROUGH_HYPER]].into_iter().enumerate() {
                let target = format!("/{name}/{method}/{number}");
                origin.always(method, &target, answer());
                taken.push(client.exchange(method, &target, fields, "").await?);
                if !taken[number].complete {
                    client = larder.connect().await?;
                }
            }
            assert_eq!(whole(&taken[0]), whole(&taken[1]), "{method} {name}");
            assert_ne!(taken[0].x_cache(), "HIT", "{method} {name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn misses_sent_at_once_are_answered_in_order() -> Result<()> {
    let origin = Origin::start().await?;
    for (target, body) in [("/one", "1"), ("/two", "22"), ("/three", "333")] {
        origin.always("GET", target, Answer::ok().wait("slow").body(body));
    }
    let larder = Larder::before(&origin, SETTINGS).await?;
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let (name, value) = THROUGH_HYPER;
    let through_hyper = format!("{name}: {value}\r\n");
    let requests = [get("/one", ""), get("/two", &through_hyper), get("/three", ""), get("/one", "")].concat();
    let mut client = larder.connect().await?;
    client.send_raw("GET", requests.as_bytes()).await?;
    origin.gate("slow").reached(1).await?;
    origin.gate("slow").open();
    for body in ["1", "22", "333", "1"] {
        assert_eq!(client.finish().await?.text(), body);
    }
    Ok(())
}

#[tokio::test]
async fn a_request_behind_a_miss_may_come_in_any_pieces() -> Result<()> {
    let origin = Origin::start().await?;
    origin.respond_with("GET", "/miss", |_| Answer::ok().header("Cache-Control", "no-store").body("miss"));
    let larder = Larder::before(&origin, SETTINGS).await?;
    let request = b"GET /miss HTTP/1.1\r\nHost: x\r\nAccept: a\r\n\r\n";
    let mut client = larder.connect().await?;
    client.send_raw("GET", request).await?;
    for cut in 1..request.len() {
        client.write(&request[..cut]).await?;
        assert_eq!(client.finish().await?.text(), "miss", "before a cut after {cut}");
        client.send_raw("GET", &request[cut..]).await?;
    }
    assert_eq!(client.finish().await?.text(), "miss");
    Ok(())
}

/// A client that leaves harms nobody: the next one finds the response.
#[tokio::test]
async fn a_miss_whose_client_leaves_is_stored_all_the_same() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/slow", Answer::ok().wait("slow").body("slow"));
    let larder = Larder::before(&origin, SETTINGS).await?;
    let mut stream = TcpStream::connect(larder.address()).await?;
    stream.write_all(format!("GET /slow HTTP/1.1\r\nHost: {}\r\n\r\n", larder.address()).as_bytes()).await?;
    origin.gate("slow").reached(1).await?;
    stream.shutdown().await?;
    // It is noticed while the origin is waited for.
    let mut rest = Vec::new();
    wait::within("the connection to end", stream.read_to_end(&mut rest)).await??;
    assert!(rest.is_empty(), "{rest:?}");
    origin.gate("slow").open();
    larder.settled().await?;
    let response = larder.get("/slow").await?;
    assert_eq!((response.x_cache(), response.text().as_str()), ("HIT", "slow"));
    assert_eq!(origin.count_of("/slow"), 1);
    Ok(())
}

#[tokio::test]
async fn a_body_whose_client_leaves_ends_its_log_line_as_aborted() -> Result<()> {
    let origin = Origin::start().await?;
    let answer = Answer::ok().header("Cache-Control", "no-store").declared_length(20).part("0123456789").wait("rest").part("0123456789");
    origin.always("GET", "/slow", answer);
    let larder = Larder::before(&origin, &format!("{SETTINGS}\n[log]\naccess = \"json\"")).await?;
    let mut client = larder.connect().await?;
    client.send("GET", "/slow", &[], "").await?;
    client.read_at_least(1).await?;
    drop(client);
    larder.process().line("a line about the client that left", |line| line.contains("\"transfer\":\"aborted\"").then_some(())).await?;
    origin.gate("rest").open();
    Ok(())
}

#[tokio::test]
async fn a_miss_under_way_is_finished_when_the_server_stops() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/slow", Answer::ok().wait("head").body("slow"));
    origin.always("GET", "/streamed", Answer::ok().declared_length(20).part("0123456789").wait("rest").part("0123456789"));
    let larder = Larder::before(&origin, SETTINGS).await?;
    let (mut waiting, mut reading) = (larder.connect().await?, larder.connect().await?);
    waiting.send("GET", "/slow", &[], "").await?;
    reading.send("GET", "/streamed", &[], "").await?;
    origin.gate("head").reached(1).await?;
    reading.read_at_least(1).await?;
    larder.terminate()?;
    let refused = || async { Ok(Client::connect(larder.address()).await.err()) };
    wait::eventually("waiting for the listener to close", refused).await?;
    origin.gate("head").open();
    origin.gate("rest").open();
    let last = waiting.finish().await?;
    assert_eq!((last.text().as_str(), last.header("connection")), ("slow", Some("close")));
    waiting.closed().await?;
    let last = reading.finish().await?;
    assert!(last.complete && last.text() == "01234567890123456789", "{last:?}");
    reading.closed().await?;
    assert_eq!(larder.exited().await?.code(), Some(0));
    Ok(())
}
