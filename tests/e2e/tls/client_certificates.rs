//! Certificates that clients show.

use std::sync::Arc;

use larder_testkit::client::H2Client;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Authority, Client, Larder, Origin, Result, connect_tls};
use rustls::ClientConfig;
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

/// Each resumption gets a new ticket with the session's certificate, so that a client could go on for ever.
#[tokio::test]
async fn a_session_that_is_resumed_over_and_over_ends_with_its_certificate() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let authority = Authority::new()?;
    let larder = start(&origin, &authority, &authority, "required", "").await?;
    let short = authority.issue_for_seconds("me", &["me"], 5)?;
    let settings = authority.client(&[], Some(&short))?;
    assert!(passes(&larder, &settings).await);
    assert!(passes(&larder, &settings).await);
    larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"resumed\""], 1.0).await?;
    eventually("the certificate ends", || async { Ok((!passes(&larder, &settings).await).then_some(())) }).await?;
    assert!(!passes(&larder, &settings).await, "nor in a full handshake");
    Ok(())
}

#[tokio::test]
async fn rfc5280_6_3_a_revoked_certificate_is_refused_and_a_new_list_counts_at_once() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let authority = Authority::new()?;
    let with_serial = |file: &str, serial: u64| authority.issue_with(file, &[file], |params| params.serial_number = Some(serial.into()));
    let (one, two) = (with_serial("one", 1)?, with_serial("two", 2)?);
    let (server, list) = (authority.issue("a", &[HOST])?.in_config(), authority.revoke("revoked", &[1], 30)?);
    let ca = authority.ca_file();
    let tls = format!("{{ certificates = [{server}], client_ca = {ca:?}, client_certificate = \"optional\", client_crl = {list:?} }}");
    let larder = Larder::before(&origin, &format!("[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {tls}\n")).await?;
    let (one, two) = (authority.client(&[], Some(&one))?, authority.client(&[], Some(&two))?);
    assert_eq!([passes(&larder, &one).await, passes(&larder, &two).await], [false, true]);
    // The second's session would outlive its certificate.
    authority.revoke("revoked", &[1, 2], 30)?;
    larder.process().line("the reload", |line| line.contains("new certificates").then_some(())).await?;
    assert_eq!([passes(&larder, &one).await, passes(&larder, &two).await], [false, false]);
    let ends = larder.metric("larder_tls_revocations_next_update_seconds", &[]).await?;
    let days = (ends - std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs_f64()) / 86_400.0;
    assert!((29.0..31.0).contains(&days), "{days}");
    // One that has ended says nothing of anybody any more.
    authority.revoke("revoked", &[], 0)?;
    larder.process().line("the warning", |line| line.contains("has ended: clients of its authority are refused").then_some(())).await?;
    let reloaded = || async {
        Ok((!passes(&larder, &two).await && larder.metric("larder_tls_revocations_next_update_seconds", &[]).await? < ends).then_some(()))
    };
    eventually("the list that has ended is in force", reloaded).await?;
    let none = authority.client(&[], None)?;
    assert!(passes(&larder, &none).await, "a client without a certificate needs none");
    Ok(())
}

/// Whether a client with these settings gets an answer. Under TLS 1.3 it may think that the handshake is done before it is refused.
async fn passes(larder: &Larder, settings: &Arc<ClientConfig>) -> bool {
    match Client::connect_tls(larder.address(), HOST, settings).await {
        Ok(mut client) => client.exchange("GET", "/a", &[], "").await.is_ok_and(|answer| answer.status == 200),
        Err(_) => false,
    }
}

#[tokio::test]
async fn rfc9440_a_trusted_proxy_tells_of_its_clients_certificate_and_is_none_itself() -> Result<()> {
    let origin = Origin::start().await?;
    origin.respond_with("GET", "/me", |received| Answer::ok().body(received.header("client-cert").unwrap_or("nobody").to_owned()));
    let authority = Authority::new()?;
    let rest = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\ntrust = [\"client-cert\"]\n\
                [cache]\nttl = \"60s\"\nscope = \"identity\"\nidentity = [\"client-cert\"]";
    let larder = start(&origin, &authority, &authority, "optional", rest).await?;
    let proxy = authority.issue("proxy", &["proxy"])?;
    for (protocol, claims, told) in [
        ("http/1.1", &[("Client-Cert", ":YWxpY2U=:"), ("Client_Cert", ":Ym9i:")][..], ":YWxpY2U=:"),
        ("http/1.1", &[("Client-Cert", ":Ym9i:")], ":Ym9i:"),
        ("http/1.1", &[], "nobody"),
        ("http/1.1", &[("Client-Cert", ":YWxpY2U=:"), ("Client-Cert", ":Ym9i:")], "nobody"),
        ("h2", &[("client-cert", ":YWxpY2U=:")], ":YWxpY2U=:"),
    ] {
        let settings = authority.client(&[protocol], Some(&proxy))?;
        let answer = if protocol == "h2" {
            let mut client = H2Client::connect_tls(larder.address(), HOST, &settings).await?;
            String::from_utf8(client.exchange("GET", "/me", claims, "").await?.body.to_vec())?
        } else {
            let mut client = Client::connect_tls(larder.address(), HOST, &settings).await?;
            let first = client.exchange("GET", "/me", claims, "").await?.text();
            let hit = client.exchange("GET", "/me", claims, "").await?;
            assert_eq!((hit.x_cache(), hit.text()), ("HIT", first.clone()), "{claims:?}");
            first
        };
        assert_eq!(answer, told, "{claims:?}");
    }
    assert_eq!(origin.request_count(), 3, "what one client has is not fetched again for it");
    Ok(())
}
