//! Hits over HTTP/2 are answered before the library sees their requests; nobody may see which of the two has answered.

use std::path::Path;

use larder_testkit::client::{H2Client, H2Response};
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tls::{Edge, HOST};

/// A field with which the library gets a request, and which changes nothing in the answer.
const THROUGH_THE_LIBRARY: (&str, &str) = ("te", "trailers");

const CACHED: &str = "[cache]\nttl = \"1h\"\nmax_object = \"64MiB\"";

fn text() -> Answer {
    Answer::ok().header("ETag", "\"1\"").header("Last-Modified", "Sat, 01 Jan 2022 00:00:00 GMT").header("X-Two", "1").header("X-Two", "2")
}

/// All of a response but the seconds in it, which may pass between two of them, and the request's id.
fn timeless(response: &H2Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let fields = response.head.headers.iter().filter(|(name, _)| *name != "age" && *name != "x-request-id").map(|(name, value)| {
        let value = value.to_str().expect("text").split(';').filter(|part| !part.trim_start().starts_with("ttl="));
        (name.as_str().to_owned(), value.collect::<Vec<_>>().join(";"))
    });
    let mut fields: Vec<_> = fields.collect();
    // Lines of one name keep their order.
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    (response.head.status.as_u16(), fields, response.body.to_vec())
}

async fn assert_same(client: &mut H2Client, method: &str, target: &str, fields: &[(&str, &str)]) -> Result<()> {
    let before = client.exchange(method, target, fields, "").await?;
    let through = client.exchange(method, target, &[fields, &[THROUGH_THE_LIBRARY]].concat(), "").await?;
    let again = client.exchange(method, target, fields, "").await?;
    assert_eq!(timeless(&before), timeless(&through), "{method} {target} {fields:?}");
    assert_eq!(timeless(&before), timeless(&again), "{method} {target} {fields:?}");
    assert_eq!(before.head.headers["x-cache"], "HIT", "{method} {target} {fields:?}");
    Ok(())
}

const CONDITIONS: &[&[(&str, &str)]] = &[
    &[],
    &[("if-none-match", "\"1\"")],
    &[("if-none-match", "\"2\"")],
    &[("if-modified-since", "Sat, 01 Jan 2022 00:00:00 GMT")],
    &[("range", "bytes=2-4")],
    &[("range", "bytes=262140-262150")],
    &[("range", "bytes=5-3000000")],
    &[("range", "bytes=0-1,5-6")],
    &[("range", "bytes=-1")],
    &[("range", "bytes=99999999-")],
    &[("range", "bytes=2-4"), ("if-range", "\"2\"")],
];

#[tokio::test]
async fn an_answer_is_the_same_before_the_library_and_through_it() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/plain", text().body("0123456789"));
    origin.always("GET", "/chunked", text().chunk("01234").chunk("56789"));
    origin.always("GET", "/trailers", text().chunk("01234").trailers(&[("x-sum", "1")]));
    origin.always("GET", "/empty", text().body(""));
    origin.always("GET", "/missing", Answer::new(404).body("no"));
    origin.always("GET", "/nothing", Answer::new(204));
    origin.always("GET", "/whole", text().body("x".repeat(65_000)));
    origin.always("GET", "/large", text().body("x".repeat(5 << 20)));
    let targets = ["/plain", "/chunked", "/trailers", "/empty", "/missing", "/nothing", "/whole", "/large"];
    for request_id in [false, true] {
        let larder = Larder::before(&origin, &format!("[server]\nrequest_id = {request_id}\n{CACHED}")).await?;
        let mut client = H2Client::connect(larder.address()).await?;
        for target in targets {
            client.exchange("GET", target, &[], "").await?;
        }
        larder.settled().await?;
        let asked = origin.request_count();
        for target in targets {
            for method in ["GET", "HEAD"] {
                for fields in CONDITIONS {
                    assert_same(&mut client, method, target, fields).await?;
                }
            }
        }
        assert_eq!(origin.request_count(), asked);
        let answer = client.exchange("GET", "/plain", &[], "").await?;
        assert_eq!(answer.head.headers.contains_key("x-request-id"), request_id);
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_over_tls_is_the_same_before_the_library_and_through_it() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/plain", text().body("0123456789"));
    let edge = Edge::start(&origin, ", hsts = \"180d\"", CACHED).await?;
    let mut client = H2Client::connect_tls(edge.tls(), HOST, &edge.authority.client(&["h2"], None)?).await?;
    client.exchange("GET", "/plain", &[], "").await?;
    edge.larder.settled().await?;
    assert_same(&mut client, "GET", "/plain", &[]).await?;
    let hit = client.exchange("GET", "/plain", &[], "").await?;
    assert_eq!(hit.head.headers["strict-transport-security"], "max-age=15552000");
    Ok(())
}

/// The access log's lines about this target, without what tells times and the request's own fields.
async fn lines_about(file: &Path, target: &str, count: usize) -> Result<Vec<Value>> {
    let found = || async {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains(target)).map(|line| Ok(serde_json::from_str(line)?));
        let lines = lines.collect::<Result<Vec<Value>>>()?;
        Ok((lines.len() == count).then_some(lines))
    };
    eventually(format!("waiting for {count} lines about {target}"), found).await
}

#[tokio::test]
async fn a_hit_is_logged_and_counted_as_any_other() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.always("GET", "/logged", text().body("0123456789"));
    let file = folder.path().join("access.log");
    let fields = r#"["client", "method", "target", "protocol", "status", "result", "reason", "bytes", "transfer", "route"]"#;
    let larder = Larder::before(&origin, &format!("{CACHED}\n[log]\naccess = \"json\"\nfile = {file:?}\nfields = {fields}")).await?;
    let mut client = H2Client::connect(larder.address()).await?;
    client.exchange("GET", "/logged", &[], "").await?;
    larder.settled().await?;
    client.exchange("GET", "/logged", &[], "").await?;
    client.exchange("GET", "/logged", &[THROUGH_THE_LIBRARY], "").await?;
    let lines = lines_about(&file, "/logged", 3).await?;
    assert_eq!(lines[1], lines[2]);
    assert_eq!((&lines[1]["bytes"], &lines[1]["status"]), (&Value::from(10), &Value::from(200)));
    larder.metric_reaches("larder_requests_total", &["result=\"hit\""], 2.0).await?;
    Ok(())
}

/// The library's encoder puts fields into its table and names them by a byte the next time; what is written before it does neither.
#[tokio::test]
async fn a_hit_is_answered_before_the_library() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("hello"));
    let larder = Larder::before(&origin, CACHED).await?;
    let mut stream = TcpStream::connect(larder.address()).await?;
    let frame =
        |kind: u8, flags: u8, stream: u8, payload: &[u8]| [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat();
    let (headers, settings, window_update) = (1, 4, 8);
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(settings, 0, 0, b""), frame(window_update, 0, 0, &[0, 1, 0, 0])];
    stream.write_all(&opening.concat()).await?;
    let request = b"\x82\x86\x44\x02/a\x41\x09a.example";
    let through_the_library = [&request[..], b"\x00\x02te\x08trailers"].concat();
    let mut lengths = Vec::new();
    for (number, fields) in [(1, &request[..]), (3, request), (5, &through_the_library)] {
        stream.write_all(&frame(headers, 0x5, number, fields)).await?;
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut payload).await?;
            if head[3] == headers {
                lengths.push(payload.len());
            }
            if head[8] == number && head[4] & 0x1 != 0 {
                break;
            }
        }
        larder.settled().await?;
    }
    let [_miss, before, through] = lengths[..] else { panic!("not three answers: {lengths:?}") };
    assert!(before > through + 20, "{lengths:?}");
    Ok(())
}
