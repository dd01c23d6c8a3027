//! The effective target and client: the key and the origin get the same, and clients cannot name them for others.

use larder_testkit::client::H2Client;
use larder_testkit::larder::config;
use larder_testkit::origin::Received;
use larder_testkit::{Answer, Larder, Origin, Result};
use larder_tests::free_address;

const BEHIND_A_PROXY: &str = "[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n";

/// An origin whose pages name everything that it heard of how it was reached.
async fn reflecting() -> Result<Origin> {
    let origin = Origin::start().await?;
    origin.respond_with("GET", "/page", |request: &Received| {
        let received = ["host", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-forwarded-prefix", "x-forwarded-port"];
        let received = received.map(|name| request.head.joined(name).unwrap_or_default());
        Answer::ok().header("Cache-Control", "max-age=60").body(received.join("|"))
    });
    Ok(origin)
}

/// Through a balancer that hands on what it does not know of.
#[tokio::test]
async fn a_forwarded_host_poisons_no_other_hosts_entry() -> Result<()> {
    let forged: [&[(&str, &str)]; 4] = [
        &[("X-Forwarded-Host", "victim.example")],
        &[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Host", "victim.example")],
        &[("Forwarded", "for=203.0.113.7;host=victim.example")],
        &[("Forwarded", "host=victim.example")],
    ];
    for fields in forged {
        let origin = reflecting().await?;
        let larder = Larder::before(&origin, BEHIND_A_PROXY).await?;
        let attack: Vec<_> = fields.iter().copied().chain([("Host", "attacker.example")]).collect();
        let page = larder.request("GET", "/page", &attack, "").await?.text();
        assert!(!page.contains("victim"), "{page}");
        let victims = larder.request("GET", "/page", &[("Host", "victim.example"), ("X-Forwarded-For", "192.0.2.1")], "").await?;
        assert_eq!(victims.x_cache(), "MISS", "{fields:?}");
        assert!(!victims.text().contains("attacker"), "{}", victims.text());
    }
    Ok(())
}

#[tokio::test]
async fn a_believed_host_is_the_one_that_the_origin_sees() -> Result<()> {
    let origin = reflecting().await?;
    let larder = Larder::before(&origin, &format!("{BEHIND_A_PROXY}trust = [\"for\", \"proto\", \"host\"]\n")).await?;
    let fields = [("Host", "attacker.example"), ("X-Forwarded-Host", "victim.example"), ("X-Forwarded-For", "203.0.113.7")];
    let page = larder.request("GET", "/page", &fields, "").await?.text();
    assert!(!page.contains("attacker"), "the key has victim.example, and so has the origin: {page}");
    assert_eq!(larder.request("GET", "/page", &[("Host", "victim.example")], "").await?.text(), page);
    Ok(())
}

/// Where all hosts share a page, none of them may be in it, whoever vouches for it.
#[tokio::test]
async fn a_host_that_the_key_leaves_out_reaches_no_page() -> Result<()> {
    let forged: [&[(&str, &str)]; 3] = [
        &[],
        &[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Host", "evil.example")],
        &[("Forwarded", "for=203.0.113.7;host=evil.example")],
    ];
    for trust in ["", "trust = [\"for\", \"proto\", \"host\"]\n"] {
        for fields in forged {
            let origin = reflecting().await?;
            let larder = Larder::before(&origin, &format!("{BEHIND_A_PROXY}{trust}[cache]\nkey = {{ host = false }}\n")).await?;
            let attack: Vec<_> = fields.iter().copied().chain([("Host", "evil.example")]).collect();
            let page = larder.request("GET", "/page", &attack, "").await?.text();
            assert!(!page.contains("evil"), "{fields:?}: {page}");
            let shared = larder.request("GET", "/page", &[("Host", "good.example")], "").await?;
            assert_eq!((shared.x_cache(), shared.text()), ("HIT", page));
        }
    }
    Ok(())
}

/// By both doors: the first is the general one, since `Connection` names more than whether it stays.
#[tokio::test]
async fn no_client_keeps_an_operators_field_from_the_origin_by_naming_it_in_connection() -> Result<()> {
    let origin = Origin::start().await?;
    origin.respond_with("GET", "/page", |request: &Received| {
        Answer::ok().header("Cache-Control", "max-age=60").body(request.head.joined("x-api-version").unwrap_or_default())
    });
    let route = "[[routes]]\npath = \"/page\"\nrequest = { set = { x-api-version = \"2\" } }\n";
    let larder = Larder::before(&origin, route).await?;
    let attack = [("Connection", "x-api-version"), ("X-Api-Version", "1")];
    assert_eq!(larder.request("GET", "/page", &attack, "").await?.text(), "2");
    assert_eq!(larder.request("GET", "/page", &[("Cache-Control", "no-cache")], "").await?.text(), "2");
    Ok(())
}

#[tokio::test]
async fn the_origin_gets_one_account_in_both_forms() -> Result<()> {
    let origin = reflecting().await?;
    let larder = Larder::before(&origin, BEHIND_A_PROXY).await?;
    let fields = [
        ("Host", "a.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "6.6.6.6, 203.0.113.7"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded-Port", "444"),
        ("Forwarded", "for=6.6.6.6;proto=http;host=evil.example"),
    ];
    let page = larder.request("GET", "/page", &fields, "").await?.text();
    assert_eq!(page, "a.example|a.example|https|for=203.0.113.7;host=\"a.example\";proto=https, for=127.0.0.1||");
    assert_eq!(origin.received()[0].header("x-forwarded-for"), Some("203.0.113.7, 127.0.0.1"));
    let plain = larder.request("GET", "/page", &[("Host", "a.example"), ("X-Forwarded-For", "203.0.113.7")], "").await?;
    assert_eq!(plain.x_cache(), "MISS", "another scheme is another resource");
    Ok(())
}

#[tokio::test]
async fn an_untrusted_clients_names_for_its_address_end_here() -> Result<()> {
    let origin = reflecting().await?;
    let larder = Larder::before(&origin, "").await?;
    let names = [
        "X_Forwarded_For",
        "X_Forwarded_Host",
        "X_Real_IP",
        "X-Client-IP",
        "X_Client_IP",
        "True-Client-IP",
        "True_Client_IP",
        "CF-Connecting-IP",
        "X-Cluster-Client-IP",
        "Fastly-Client-IP",
        "Client-IP",
        "X-Original-Forwarded-For",
        "X-Forwarded",
        "Proxy",
    ];
    larder.request("GET", "/page", &names.map(|name| (name, "6.6.6.6")), "").await?;
    let received = &origin.received()[0];
    for name in names {
        assert_eq!(received.header(name), None, "{name} went on");
    }
    Ok(())
}

/// Two gateways that take each other for the origin.
#[tokio::test]
async fn rfc8586_a_circle_ends_with_508() -> Result<()> {
    let (one, other) = (free_address()?, free_address()?);
    let config =
        |listen, upstream| config(&format!("http://{upstream}"), &format!("[server]\nlisten = \"{listen}\"\n[cache]\nttl = \"60s\""));
    let first = Larder::start(&config(one, other)).await?;
    let _second = Larder::start(&config(other, one)).await?;
    for target in ["/a", "/b"] {
        let answer = first.request("GET", target, &[("Host", "a.example")], "").await?;
        assert_eq!((answer.status, answer.header("proxy-status")), (508, Some("larder; error=proxy_loop_detected")), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn rfc8586_a_request_that_was_here_twice_never_reaches_the_origin() -> Result<()> {
    let origin = reflecting().await?;
    let larder = Larder::before(&origin, "").await?;
    for fields in [[("Via", "1.1 larder, 1.1 larder")], [("CDN-Loop", "larder, other, larder; v=1")]] {
        assert_eq!(larder.request("GET", "/page", &fields, "").await?.status, 508, "{fields:?}");
    }
    assert_eq!(origin.request_count(), 0);
    assert_eq!(larder.request("GET", "/page", &[("Via", "1.1 larder"), ("CDN-Loop", "larder")], "").await?.status, 200);
    assert_eq!(origin.received()[0].head.all("cdn-loop"), ["larder", "larder"]);
    Ok(())
}

#[tokio::test]
async fn rfc9113_8_3_1_an_authority_is_as_valid_as_a_host() -> Result<()> {
    let origin = reflecting().await?;
    let larder = Larder::before(&origin, "").await?;
    let status = async |authority: &str| -> Result<u16> {
        let mut client = H2Client::connect(larder.address()).await?.for_authority(authority);
        Ok(client.exchange("GET", "/page", &[], "").await?.head.status.as_u16())
    };
    assert_eq!(status("a,b").await?, 400);
    assert_eq!(status("a..b").await?, 400);
    assert_eq!(origin.request_count(), 0);
    assert_eq!(status("[::1]:80").await?, 200);
    Ok(())
}
