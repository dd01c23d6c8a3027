//! Certificates that clients show.

use larder_testkit::client::H2Client;
use larder_testkit::{Answer, Authority, Client, Larder, Origin, Result, connect_tls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{HOST, printed, run};

/// A listener whose clients show certificates of `clients`.
async fn start(origin: &Origin, server: &Authority, clients: &Authority, mode: &str, rest: &str) -> Result<Larder> {
    let certificate = server.issue("a", &[HOST])?.in_config();
    let tls = format!("{{ certificates = [{certificate}], client_ca = {:?}, client_certificate = \"{mode}\" }}", clients.ca_file());
    Larder::before(origin, &format!("[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {tls}\n{rest}")).await
}

#[tokio::test]
async fn a_certificate_is_required_and_has_to_be_of_the_authority() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let (server, clients) = (Authority::new()?, Authority::new()?);
    let larder = start(&origin, &server, &clients, "required", "").await?;
    let (own, strange) = (clients.issue("me", &["me"])?, server.issue("me", &["me"])?);
    let mut client = Client::connect_tls(larder.address(), HOST, &server.client(&[], Some(&own))?).await?;
    assert_eq!(client.exchange("GET", "/a", &[], "").await?.status, 200);
    for shown in [None, Some(&strange)] {
        // Under TLS 1.3 the client may think that the handshake is done before it is refused.
        if let Ok(mut stream) = connect_tls(larder.address(), HOST, &server.client(&[], shown)?).await {
            let _ = stream.write_all(format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await;
            assert!(stream.read(&mut [0]).await.is_err(), "{shown:?}");
        }
    }
    assert_eq!(origin.request_count(), 1);
    larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"failed\""], 2.0).await
}

#[tokio::test]
async fn rfc9440_the_origin_is_told_of_the_certificate_and_of_no_other_claim() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let authority = Authority::new()?;
    let larder = start(&origin, &authority, &authority, "optional", "").await?;
    let own = authority.issue("me", &["me"])?;
    let claims = [("Client-Cert", ":AAAA:"), ("Client_Cert", ":BBBB:"), ("client-cert-chain", ":CCCC:"), ("CLIENT_CERT_CHAIN", ":DDDD:")];
    let mut one = Client::connect_tls(larder.address(), HOST, &authority.client(&[], Some(&own))?).await?;
    let mut two = H2Client::connect_tls(larder.address(), HOST, &authority.client(&["h2"], Some(&own))?).await?;
    let mut none = Client::connect_tls(larder.address(), HOST, &authority.client(&[], None)?).await?;
    one.exchange("GET", "/a", &claims, "").await?;
    two.exchange("GET", "/a", &claims.map(|(name, value)| (if name == "Client_Cert" { "client_cert" } else { "client-cert" }, value)), "")
        .await?;
    none.exchange("GET", "/a", &claims, "").await?;
    let der = CertificateDer::from_pem_file(&own.chain)?;
    for (received, shown) in origin.received().iter().zip([true, true, false]) {
        let told: Vec<_> =
            received.head.fields.iter().filter(|(name, _)| name.to_lowercase().replace('_', "-").starts_with("client-cert")).collect();
        assert_eq!(told.len(), usize::from(shown), "{told:?}");
        if shown {
            let decoded = run("openssl", &["base64", "-d", "-A"], told[0].1.trim_matches(':')).await?;
            assert!(decoded.stdout == der.as_ref(), "the DER of the client's own certificate: {}", printed(&decoded));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_an_identity() -> Result<()> {
    let origin = Origin::start().await?;
    origin.respond_with("GET", "/me", |received| Answer::ok().body(received.header("client-cert").unwrap_or("nobody").to_owned()));
    let authority = Authority::new()?;
    let rest = "[cache]\nttl = \"60s\"\nscope = \"identity\"\nidentity = [\"client-cert\"]";
    let larder = start(&origin, &authority, &authority, "optional", rest).await?;
    let (one, two) = (authority.issue("one", &["one"])?, authority.issue("two", &["two"])?);
    let mut bodies = Vec::new();
    for (own, forged) in [(Some(&one), ":AAAA:"), (Some(&two), ":AAAA:"), (None, ":AAAA:")] {
        let mut client = Client::connect_tls(larder.address(), HOST, &authority.client(&[], own)?).await?;
        let miss = client.exchange("GET", "/me", &[("Client-Cert", forged)], "").await?;
        let hit = client.exchange("GET", "/me", &[("Client-Cert", ":BBBB:")], "").await?;
        assert_eq!((miss.x_cache(), hit.x_cache(), hit.text()), ("MISS", "HIT", miss.text()));
        bodies.push(hit.text());
    }
    assert!(bodies[0] != bodies[1] && bodies[2] == "nobody", "{bodies:?}");
    assert_eq!(origin.request_count(), 3);
    Ok(())
}

#[tokio::test]
async fn a_claim_in_clear_text_goes_no_further() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Vary", "Client-Cert").body("a"));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    let first = larder.request("GET", "/a", &[("Client-Cert", ":AAAA:")], "").await?;
    let second = larder.request("GET", "/a", &[("Client-Cert", ":BBBB:")], "").await?;
    assert_eq!((first.x_cache(), second.x_cache()), ("MISS", "HIT"), "neither has one");
    assert_eq!(origin.received()[0].header("client-cert"), None);
    Ok(())
}

/// A session must not outlive what it was agreed under.
#[tokio::test]
async fn a_new_authority_ends_sessions_of_the_old_one() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let (server, clients) = (Authority::new()?, Authority::new()?);
    let larder = start(&origin, &server, &clients, "required", "").await?;
    let trusting = server.client(&[], Some(&clients.issue("me", &["me"])?))?;
    for _ in 0..2 {
        let mut client = Client::connect_tls(larder.address(), HOST, &trusting).await?;
        assert_eq!(client.exchange("GET", "/a", &[], "").await?.status, 200);
    }
    larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"resumed\""], 1.0).await?;
    std::fs::copy(server.ca_file(), clients.ca_file())?;
    larder.process().line("the reload", |line| line.contains("new certificates").then_some(())).await?;
    let refused = match Client::connect_tls(larder.address(), HOST, &trusting).await {
        Ok(mut client) => client.exchange("GET", "/a", &[], "").await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "its certificate is of the old authority");
    Ok(())
}
