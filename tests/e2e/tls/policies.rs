//! Where clients are sent, what they are told to remember, and who speaks the wrong protocol.

use larder_testkit::client::H2Client;
use larder_testkit::{Answer, Authority, Client, Larder, Origin, Result};
use tokio::io::AsyncWriteExt;

use super::{Edge, HOST};

const CACHED: &str = "[cache]\nttl = \"60s\"";

async fn redirecting(origin: &Origin, redirect: &str, authority: &Authority) -> Result<(Larder, std::net::SocketAddr, u16)> {
    let certificate = authority.issue("a", &[HOST])?.in_config();
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nredirect = {redirect}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{certificate}] }}\n{CACHED}"
    );
    let larder = Larder::before(origin, &text).await?;
    let addresses = larder.addresses(2).await?;
    Ok((larder, addresses[0], addresses[1].port()))
}

#[tokio::test]
async fn a_listener_sends_clients_to_https_but_for_challenges() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/.well-known/acme-challenge/token", Answer::ok().body("proof"));
    let authority = Authority::new()?;
    let (_larder, clear, port) = redirecting(&origin, "\"https\"", &authority).await?;
    let mut client = Client::connect(clear).await?;
    // Twice, for the second could be a hit; and with content, which is not wanted here.
    for (method, content) in [("GET", ""), ("GET", ""), ("POST", "content"), ("HEAD", "")] {
        let response = client.exchange(method, "/a?b=c", &[("Host", HOST)], content).await?;
        let location = format!("https://{HOST}:{port}/a?b=c");
        assert_eq!((response.status, response.header("location")), (308, Some(location.as_str())), "{method}");
    }
    for _ in 0..2 {
        let challenge = client.exchange("GET", "/.well-known/acme-challenge/token", &[("Host", HOST)], "").await?;
        assert_eq!((challenge.status, challenge.text().as_str()), (200, "proof"));
    }
    let mut h2 = H2Client::connect(clear).await?.for_authority(HOST);
    assert_eq!(h2.exchange("GET", "/a", &[], "").await?.head.status, 308);
    let (_larder, clear, _) = redirecting(&origin, "\"https:443\"", &authority).await?;
    let response = Client::connect(clear).await?.exchange("GET", "/a", &[("Host", HOST)], "").await?;
    assert_eq!(response.header("location"), Some("https://a.example/a"));
    Ok(())
}

#[tokio::test]
async fn rfc6797_7_1_answers_over_tls_tell_clients_to_stay_with_it_and_others_do_not() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    origin.always("GET", "/own", Answer::ok().header("Strict-Transport-Security", "max-age=1").body("own"));
    let edge = Edge::start(&origin, ", hsts = \"180d; includeSubDomains\"", CACHED).await?;
    let policy = Some("max-age=15552000; includeSubDomains");
    let mut one = Client::connect_tls(edge.tls(), HOST, &edge.authority.client(&[], None)?).await?;
    let mut two = H2Client::connect_tls(edge.tls(), HOST, &edge.authority.client(&["h2"], None)?).await?;
    for cached in ["MISS", "HIT", "HIT"] {
        let response = one.exchange("GET", "/a", &[], "").await?;
        assert_eq!((response.x_cache(), response.header("strict-transport-security")), (cached, policy));
        assert_eq!(response.text(), "a");
        let own = one.exchange("GET", "/own", &[], "").await?;
        assert_eq!(own.head.all("strict-transport-security"), ["max-age=1"], "the origin's own stays, alone");
    }
    let response = two.exchange("GET", "/a", &[], "").await?;
    assert_eq!(response.head.headers.get("strict-transport-security").map(|value| value.as_bytes()), policy.map(str::as_bytes));
    let mut clear = Client::connect(edge.clear()).await?;
    for _ in 0..2 {
        assert_eq!(clear.exchange("GET", "/a", &[("Host", HOST)], "").await?.header("strict-transport-security"), None);
    }
    Ok(())
}

#[tokio::test]
async fn a_client_of_the_other_protocol_is_told_in_the_log() -> Result<()> {
    let origin = Origin::start().await?;
    let edge = Edge::start(&origin, "", "").await?;
    let mut clear = Client::connect(edge.clear()).await?;
    clear.send_raw("GET", include_bytes!("client_hello.bin")).await?;
    assert_eq!(clear.finish().await?.status, 400);
    let mut secure = tokio::net::TcpStream::connect(edge.tls()).await?;
    secure.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    for sentence in ["speaks TLS to a listener in clear text", "speaks clear text to a listener that speaks TLS"] {
        edge.larder.process().line(sentence, |line| line.contains(sentence).then_some(())).await?;
    }
    Ok(())
}
