//! Content codings: packed once, one stored body for every client, unpacked for those who accept less.

use http_body_util::{BodyExt, Full};
use larder_coding::Coded;
use larder_semantics::Coding;
use larder_testkit::client::Response;
use larder_testkit::origin::Received;
use larder_testkit::{Answer, Larder, Origin, Result};

const KEPT: &str = "[cache]\nttl = \"60s\"\nencodings = [\"zstd\", \"br\", \"gzip\"]\n";
const PACKED: &str = "[cache]\nttl = \"60s\"\nencodings = [\"zstd\", \"br\", \"gzip\"]\ncompress = { min = \"1KiB\" }\n";

fn text() -> String {
    "{\"issue\":7,\"title\":\"the same again\"}".repeat(200)
}

fn json(fields: &[(&str, &str)]) -> Answer {
    let answer = Answer::ok().header("Content-Type", "application/json").header("ETag", "\"1\"");
    fields.iter().fold(answer, |answer, (name, value)| answer.header(*name, *value)).body(text())
}

pub(crate) async fn coded(body: Vec<u8>, coding: Coding, packs: bool) -> Vec<u8> {
    let body = Full::new(body.into());
    let coded = if packs { Coded::packed(body, coding) } else { Coded::unpacked(body, coding) };
    coded.collect().await.expect("a whole stream").to_bytes().to_vec()
}

async fn is_whole(response: &Response) -> bool {
    read(response).await == text()
}

/// The text of an answer in whatever coding it says.
async fn read(response: &Response) -> String {
    let body = response.body.clone();
    let body = match response.header("content-encoding") {
        Some(name) => coded(body, Coding::named(name.as_bytes()).expect("a known coding"), false).await,
        None => body,
    };
    String::from_utf8(body).expect("text")
}

async fn get(larder: &Larder, target: &str, fields: &[(&str, &str)]) -> Result<Response> {
    larder.request("GET", target, fields, "").await
}

/// What browsers and programs send, and whether that names the coding.
const USUAL: [(Option<&str>, [bool; 3]); 9] = [
    (Some("gzip, deflate, br, zstd"), [true, true, true]),
    (Some("zstd, br, gzip"), [true, true, true]),
    (Some("gzip, deflate, br"), [false, true, true]),
    (Some("br;q=1.0, gzip;q=0.8, *;q=0.1"), [true, true, true]),
    (Some("gzip, deflate"), [false, false, true]),
    (Some("gzip"), [false, false, true]),
    (Some("identity"), [false; 3]),
    (Some("deflate"), [false; 3]),
    (None, [false; 3]),
];

fn accepting(accepted: Option<&str>) -> Vec<(&str, &str)> {
    accepted.iter().map(|accepted| ("Accept-Encoding", *accepted)).collect()
}

#[tokio::test]
async fn nine_usual_values_are_one_stored_body_that_everybody_can_read() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", json(&[]));
    origin.always("GET", "/b", json(&[]));
    let larder = Larder::before(&origin, PACKED).await?;
    let mut backwards = USUAL;
    backwards.reverse();
    // Whoever asks first, what is stored is the same.
    for (path, order) in [("/a", USUAL), ("/b", backwards)] {
        for round in 0..2 {
            for (place, (accepted, codings)) in order.into_iter().enumerate() {
                let answer = get(&larder, path, &accepting(accepted)).await?;
                let coding = codings[0].then_some("zstd");
                assert_eq!((answer.header("content-encoding"), is_whole(&answer).await), (coding, true), "{accepted:?}");
                assert_eq!((answer.header("etag"), answer.head.joined("vary").as_deref()), (Some("W/\"1\""), Some("Accept-Encoding")));
                assert!(coding.is_none() || answer.body.len() * 4 < text().len());
                assert_eq!(answer.x_cache(), if round == 0 && place == 0 { "MISS" } else { "HIT" }, "{accepted:?}");
                assert!(answer.complete);
            }
        }
        assert_eq!(origin.count_of(path), 1);
    }
    let asked = origin.received();
    assert!(asked.iter().all(|request| request.header("accept-encoding") == Some("zstd, br, gzip")), "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn what_the_origin_coded_goes_out_as_it_is_to_all_who_accept_that() -> Result<()> {
    let origin = Origin::start().await?;
    let gzip = coded(text().into_bytes(), Coding::Gzip, true).await;
    origin.always("GET", "/a", Answer::ok().header("Content-Encoding", "gzip").header("ETag", "\"g\"").body(gzip.clone()));
    let larder = Larder::before(&origin, KEPT).await?;
    for (accepted, codings) in USUAL.into_iter().rev() {
        let answer = get(&larder, "/a", &accepting(accepted)).await?;
        let expected = if codings[2] { (Some("gzip"), Some("\"g\"")) } else { (None, Some("W/\"g\"")) };
        assert_eq!((answer.header("content-encoding"), answer.header("etag")), expected, "{accepted:?}");
        assert!(if codings[2] { answer.body == gzip } else { is_whole(&answer).await }, "{accepted:?}");
    }
    assert_eq!(origin.count_of("/a"), 1);
    // A client that refuses what has no coding cannot take it unpacked, so its own request decides.
    get(&larder, "/a", &accepting(Some("br, identity;q=0"))).await?;
    assert_eq!(origin.received()[1].header("accept-encoding"), Some("br, identity;q=0"));
    Ok(())
}

#[tokio::test]
async fn clients_that_accept_different_codings_share_one_fetch() -> Result<()> {
    let origin = Origin::start().await?;
    let gzip = coded(text().into_bytes(), Coding::Gzip, true).await;
    origin.always("GET", "/a", Answer::ok().wait("head").header("Content-Encoding", "gzip").body(gzip));
    let larder = Larder::before(&origin, KEPT).await?;
    let mut clients = Vec::new();
    for (accepted, _) in USUAL {
        let mut client = larder.connect().await?;
        client.send("GET", "/a", &accepting(accepted), "").await?;
        clients.push(client);
    }
    origin.gate("head").reached(1).await?;
    larder.metric_reaches("larder_collapsed_waiting", &[], 8.0).await?;
    origin.gate("head").open();
    for mut client in clients {
        let answer = client.finish().await?;
        assert!(answer.complete && is_whole(&answer).await, "{answer:?}");
    }
    assert_eq!(origin.count_of("/a"), 1);
    Ok(())
}

#[tokio::test]
async fn what_the_origin_packed_is_unpacked_for_those_who_accept_less() -> Result<()> {
    let origin = Origin::start().await?;
    let gzip = coded(text().into_bytes(), Coding::Gzip, true).await;
    // It names no Vary, as many do not.
    let answer = Answer::ok().header("Content-Encoding", "gzip").header("ETag", "\"g\"").header("Accept-Ranges", "bytes");
    origin.always("GET", "/a", answer.clone().body(gzip.clone()));
    origin.always("GET", "/fixed", answer.header("Cache-Control", "no-transform").body(gzip.clone()));
    let larder = Larder::before(&origin, KEPT).await?;
    let plain = get(&larder, "/a", &[]).await?;
    assert_eq!((is_whole(&plain).await, plain.header("content-encoding"), plain.header("content-length")), (true, None, None));
    assert_eq!(
        (plain.header("etag"), plain.header("vary"), plain.header("accept-ranges")),
        (Some("W/\"g\""), Some("Accept-Encoding"), None)
    );
    let packed = get(&larder, "/a", &[("Accept-Encoding", "gzip")]).await?;
    assert_eq!((packed.body.clone(), packed.header("etag"), packed.x_cache()), (gzip.clone(), Some("\"g\""), "HIT"));
    let known = get(&larder, "/a", &[("If-None-Match", "W/\"g\"")]).await?;
    assert_eq!((known.status, known.header("etag"), known.x_cache()), (304, Some("W/\"g\""), "HIT"));
    let known = get(&larder, "/a", &[("If-None-Match", "\"g\""), ("Accept-Encoding", "gzip")]).await?;
    assert_eq!((known.status, known.header("etag")), (304, Some("\"g\"")));
    let head = larder.request("HEAD", "/a", &[], "").await?;
    assert_eq!((head.header("content-encoding"), head.header("content-length"), head.header("etag")), (None, None, Some("W/\"g\"")));
    // It may not be transformed, so the client's own request is asked, which this origin answers alike.
    assert_eq!(get(&larder, "/fixed", &[]).await?.body, gzip);
    Ok(())
}

#[tokio::test]
async fn a_range_is_of_bytes_that_stay_the_same() -> Result<()> {
    let origin = Origin::start().await?;
    let gzip = coded(text().into_bytes(), Coding::Gzip, true).await;
    let (length, body) = (gzip.len(), gzip.clone());
    origin.respond_with("GET", "/own", move |request: &Received| match request.header("accept-encoding") {
        Some(_) => {
            Answer::ok().header("Vary", "Accept-Encoding").header("Content-Encoding", "gzip").header("ETag", "\"g\"").body(body.clone())
        }
        None => Answer::ok().header("Vary", "Accept-Encoding").header("ETag", "\"p\"").body(text()),
    });
    origin.always("GET", "/packed", json(&[]));
    let larder = Larder::before(&origin, PACKED).await?;
    let part = ("Range", "bytes=0-9");
    for accepted in ["gzip", "gzip, br, zstd"] {
        let own = get(&larder, "/own", &[("Accept-Encoding", accepted), part]).await?;
        assert_eq!((own.status, own.body.as_slice()), (206, &gzip[..10]), "{accepted}: the origin's own bytes");
        assert_eq!(own.header("content-range"), Some(&*format!("bytes 0-9/{length}")));
    }
    let plain = get(&larder, "/own", &[part]).await?;
    assert_eq!((plain.status, plain.text(), plain.header("etag")), (206, text()[..10].to_owned(), Some("\"p\"")));
    // What is packed here may be other bytes the next time.
    get(&larder, "/packed", &[("Accept-Encoding", "zstd, br, gzip")]).await?;
    let whole = get(&larder, "/packed", &[("Accept-Encoding", "zstd, br, gzip"), part]).await?;
    assert_eq!((whole.status, is_whole(&whole).await, whole.x_cache()), (200, true, "HIT"));
    let plain = get(&larder, "/packed", &[part]).await?;
    assert_eq!((plain.status, plain.text() == text(), plain.x_cache()), (200, true, "HIT"));
    assert_eq!(origin.count_of("/packed"), 1);
    Ok(())
}

/// What is stored is shorter than what such a client has of it already.
#[tokio::test]
async fn a_range_beyond_the_coded_length_is_within_the_plain_one() -> Result<()> {
    let origin = Origin::start().await?;
    let gzip = coded(text().into_bytes(), Coding::Gzip, true).await;
    let beyond = format!("bytes={}-", gzip.len() + 1);
    let rest = text()[gzip.len() + 1..].to_owned();
    origin.respond_with("GET", "/own", move |request: &Received| match request.header("accept-encoding") {
        Some(_) => {
            Answer::ok().header("Vary", "Accept-Encoding").header("Content-Encoding", "gzip").header("ETag", "\"g\"").body(gzip.clone())
        }
        None => Answer::ok().header("Vary", "Accept-Encoding").header("ETag", "\"p\"").body(text()),
    });
    origin.always("GET", "/packed", json(&[]));
    let (kept, packed) = (Larder::before(&origin, KEPT).await?, Larder::before(&origin, PACKED).await?);
    let range = ("Range", beyond.as_str());
    get(&kept, "/own", &[("Accept-Encoding", "gzip")]).await?;
    let part = get(&kept, "/own", &[range]).await?;
    assert_eq!((part.status, part.text()), (206, rest));
    let nothing = get(&kept, "/own", &[("Accept-Encoding", "zstd, br, gzip"), range]).await?;
    assert_eq!(nothing.status, 416, "of the coded bytes there are no more");
    get(&packed, "/packed", &[("Accept-Encoding", "zstd, br, gzip")]).await?;
    let whole = get(&packed, "/packed", &[range]).await?;
    assert_eq!((whole.status, whole.text() == text(), whole.x_cache()), (200, true, "HIT"));
    Ok(())
}

/// Such a tag is strong, but it is that of one packing: the next may have other bytes.
#[tokio::test]
async fn parts_of_what_was_packed_here_are_not_given_whatever_tag_it_has() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Content-Type", "application/json").body(text()));
    let larder = Larder::before(&origin, &format!("{PACKED}etag = \"body\"\n")).await?;
    let accepts = ("Accept-Encoding", "zstd, br, gzip");
    get(&larder, "/a", &[accepts]).await?;
    let whole = get(&larder, "/a", &[accepts, ("Range", "bytes=0-9")]).await?;
    assert_eq!((whole.status, is_whole(&whole).await, whole.x_cache()), (200, true, "HIT"));
    Ok(())
}

#[tokio::test]
async fn an_answer_to_somebody_known_is_never_packed() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", json(&[("Cache-Control", "public, max-age=60")]));
    origin.always("GET", "/private", json(&[("Cache-Control", "private, max-age=60")]));
    let larder = Larder::before(&origin, PACKED).await?;
    for field in [("Cookie", "session=1"), ("Authorization", "Bearer t")] {
        let answer = get(&larder, "/a", &[("Accept-Encoding", "gzip"), field]).await?;
        assert_eq!((answer.text() == text(), answer.header("etag")), (true, Some("\"1\"")), "{field:?}");
    }
    let private = get(&larder, "/private", &[("Accept-Encoding", "gzip")]).await?;
    assert_eq!((private.text() == text(), private.x_cache()), (true, "MISS"));
    Ok(())
}

#[tokio::test]
async fn what_was_packed_is_validated_by_its_weak_tag() -> Result<()> {
    let origin = Origin::start().await?;
    origin.respond_with("GET", "/a", |request: &Received| match request.header("if-none-match") {
        // As origins compare that know nothing of weak tags, and answer with their own.
        Some(tags) if tags.contains("\"1\"") => Answer::new(304).header("ETag", "\"1\"").header("Vary", "Origin"),
        _ => json(&[("Cache-Control", "max-age=0"), ("Vary", "Origin")]),
    });
    let larder = Larder::before(&origin, "[cache]\nencodings = [\"gzip\"]\ncompress = {}\n").await?;
    for expected in ["MISS", "HIT", "HIT"] {
        let answer = get(&larder, "/a", &[("Accept-Encoding", "gzip")]).await?;
        assert_eq!((answer.x_cache(), answer.header("etag"), is_whole(&answer).await), (expected, Some("W/\"1\""), true));
        assert_eq!(answer.head.joined("vary").as_deref(), Some("Origin, Accept-Encoding"));
    }
    let requests = origin.received();
    assert_eq!(requests[1].header("if-none-match"), Some("W/\"1\""));
    Ok(())
}

#[tokio::test]
async fn a_body_is_packed_while_it_arrives_and_a_cut_one_is_a_break() -> Result<()> {
    let origin = Origin::start().await?;
    let html = Answer::ok().header("Content-Type", "text/html");
    origin.always("GET", "/slow", html.clone().chunk("first").wait("rest").chunk("second"));
    origin.always("GET", "/cut", html.clone().chunk("first").wait("cut").close());
    origin.always("GET", "/broken", html.header("Content-Encoding", "gzip").body("no gzip at all"));
    let larder = Larder::before(&origin, PACKED).await?;
    // Packed for one, and unpacked again for another that asks meanwhile.
    let mut clients = Vec::new();
    for (accepted, bytes) in [("gzip, br, zstd", 10), ("gzip", "first".len())] {
        let mut client = larder.connect().await?;
        client.send("GET", "/slow", &[("Accept-Encoding", accepted)], "").await?;
        client.head().await?;
        client.read_at_least(bytes).await?;
        clients.push(client);
    }
    origin.gate("rest").open();
    for mut client in clients {
        assert_eq!(read(&client.finish().await?).await, "firstsecond");
    }
    assert_eq!(origin.count_of("/slow"), 1);
    origin.gate("cut").open();
    let cut = get(&larder, "/cut", &[("Accept-Encoding", "gzip")]).await?;
    assert!(!cut.complete, "{cut:?}");
    for _ in 0..2 {
        let cut = get(&larder, "/cut", &[]).await?;
        assert!(!cut.complete && cut.x_cache() == "MISS", "{cut:?}");
    }
    let broken = get(&larder, "/broken", &[]).await?;
    assert!(!broken.complete, "{broken:?}");
    Ok(())
}

#[tokio::test]
async fn an_answer_to_a_read_with_content_is_packed_in_what_its_client_accepts() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/search", json(&[]));
    origin.always("POST", "/write", json(&[]));
    let config =
        format!("{PACKED}[[routes]]\npath = \"/search\"\nread = true\nkey = {{ body = \"json\" }}\n[[routes]]\npath = \"/{{*rest}}\"\n");
    let larder = Larder::before(&origin, &config).await?;
    let post = async |target: &str, accepted: &str| {
        let fields = [("Content-Type", "application/json"), ("Accept-Encoding", accepted)];
        larder.request("POST", target, &fields, "{\"q\":1}").await
    };
    for (accepted, coding) in [("gzip, br, zstd", Some("zstd")), ("gzip", Some("gzip")), ("identity", None)] {
        for expected in ["MISS", "HIT"] {
            let answer = post("/search", accepted).await?;
            assert_eq!(
                (answer.x_cache(), answer.header("content-encoding"), is_whole(&answer).await),
                (expected, coding, true),
                "{accepted}"
            );
        }
    }
    assert_eq!(post("/write", "gzip").await?.header("content-encoding"), None, "a write's answer is its client's own");
    Ok(())
}
