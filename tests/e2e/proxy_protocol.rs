//! The PROXY protocol: whom a proxy before Larder speaks for.

use larder_testkit::{Answer, Authority, Client, Larder, Origin, Response, Result, connect_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VERSION_1: &[u8] = b"PROXY TCP4 192.0.2.77 192.0.2.2 1234 80\r\n";
const TRUSTED: &str = "proxy_protocol = { from = [\"127.0.0.0/8\"] }";

/// Version 2, with an extension and an address of TCP over IPv6.
fn version_2() -> Vec<u8> {
    let addresses = [&[0x20, 1, 0x0D, 0xB8][..], &[0; 11], &[7], &[0; 15], &[1], &[0x04, 0xD2, 0, 80]].concat();
    let body = [&addresses[..], &[0x05, 0, 3, b'u', b'i', b'd']].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x21"[..], &[0, body.len() as u8], &body].concat()
}

async fn start(origin: &Origin, listener: &str) -> Result<Larder> {
    origin.always("GET", "/a", Answer::ok().body("a"));
    Larder::before(origin, &format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{listener}")).await
}

/// A request behind this header.
async fn ask(larder: &Larder, header: &[u8]) -> Result<Response> {
    let mut client = Client::connect(larder.address()).await?;
    client.send_raw("GET", &[header, b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n"].concat()).await?;
    client.finish().await
}

fn told(origin: &Origin) -> String {
    origin.received().last().and_then(|received| received.header("x-forwarded-for").map(str::to_owned)).unwrap_or_default()
}

#[tokio::test]
async fn the_client_is_whom_the_proxy_speaks_for() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = start(&origin, TRUSTED).await?;
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    for (header, client) in [
        (VERSION_1.to_vec(), "192.0.2.77"),
        (version_2(), "2001:db8::7"),
        (local, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        assert_eq!(ask(&larder, &header).await?.status, 200);
        assert_eq!(told(&origin), client);
    }
    larder.process().line("the client in the log", |line| line.contains("192.0.2.77 \"GET").then_some(())).await
}

#[tokio::test]
async fn a_header_may_arrive_in_pieces_of_any_size() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = start(&origin, TRUSTED).await?;
    for header in [VERSION_1.to_vec(), version_2()] {
        let all = [&header[..], b"GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"].concat();
        for cut in 1..header.len() + 2 {
            let mut stream = TcpStream::connect(larder.address()).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&all[..cut]).await?;
            // The server may have read the first piece by then, or not: both have to do.
            tokio::task::yield_now().await;
            stream.write_all(&all[cut..]).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            assert!(text.starts_with("HTTP/1.1 200"), "cut at {cut}: {text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_listed_proxy_has_to_send_a_header_and_others_are_not_believed() -> Result<()> {
    let origin = Origin::start().await?;
    let request = &b""[..];
    let required = start(&origin, TRUSTED).await?;
    for header in [request, b"PROXY nonsense\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0"] {
        assert!(ask(&required, header).await.is_err(), "the connection is closed without an answer");
    }
    required.process().line("the sentence", |line| line.contains("sends no valid PROXY header").then_some(())).await?;
    let optional = start(&origin, "proxy_protocol = { from = [\"127.0.0.0/8\"], required = false }").await?;
    assert_eq!(ask(&optional, request).await?.status, 200);
    assert_eq!(ask(&optional, VERSION_1).await?.status, 200);
    assert_eq!(told(&origin), "192.0.2.77");
    let elsewhere = start(&origin, "proxy_protocol = { from = [\"192.0.2.0/24\"] }").await?;
    assert_eq!(ask(&elsewhere, request).await?.status, 200);
    assert_eq!(ask(&elsewhere, VERSION_1).await?.status, 400, "for others it is no HTTP");
    Ok(())
}

#[tokio::test]
async fn a_header_that_stalls_ends_by_its_deadline() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = start(&origin, &format!("{TRUSTED}\n[server]\nheader_read_timeout = \"100ms\"")).await?;
    let mut client = Client::connect(larder.address()).await?;
    client.write(&VERSION_1[..20]).await?;
    client.closed().await
}

#[tokio::test]
async fn it_comes_before_tls() -> Result<()> {
    let origin = Origin::start().await?;
    let authority = Authority::new()?;
    let certificate = authority.issue("a", &["a.example"])?.in_config();
    let larder = start(&origin, &format!("{TRUSTED}\ntls = {{ certificates = [{certificate}] }}")).await?;
    // A relay that puts the header before what the client sends.
    let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (address, to) = (relay.local_addr()?, larder.address());
    tokio::spawn(async move {
        let (mut client, _) = relay.accept().await?;
        let mut server = TcpStream::connect(to).await?;
        server.write_all(VERSION_1).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    });
    let mut stream = connect_tls(address, "a.example", &authority.client(&[], None)?).await?;
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(told(&origin), "192.0.2.77");
    assert!(
        connect_tls(larder.address(), "a.example", &authority.client(&[], None)?).await.is_err(),
        "without a header there is no handshake"
    );
    Ok(())
}
