//! A page whose name was made to point to this machine (DNS rebinding) gets nothing from the admin listener, in whatever form it names itself.

use larder_testkit::client::H2Client;
use larder_testkit::{Client, Larder, Origin, Result};

const PURGE: &str = r#"{"all":true}"#;

#[tokio::test]
async fn the_admin_listener_answers_under_a_loopback_name_only() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let json = ("Content-Type", "application/json");
    let port = larder.admin_address().port();
    for (name, status) in [(format!("localhost:{port}"), 200), (format!("127.0.0.1:{port}"), 200), ("evil.example".to_owned(), 403)] {
        for path in ["/metrics", "/readyz", "/upstreams"] {
            let by_host = Client::connect(larder.admin_address()).await?.exchange("GET", path, &[("Host", &name)], "").await?;
            let absolute = format!("http://{name}{path}");
            let by_target = Client::connect(larder.admin_address()).await?.exchange("GET", &absolute, &[("Host", &name)], "").await?;
            let mut h2 = H2Client::connect(larder.admin_address()).await?.for_authority(&name);
            let by_authority = h2.exchange("GET", path, &[], "").await?.head.status.as_u16();
            assert_eq!((by_host.status, by_target.status, by_authority), (status, status, status), "{name} {path}");
        }
        let mut h2 = H2Client::connect(larder.admin_address()).await?.for_authority(&name);
        let purged = h2.exchange("POST", "/purge", &[json], PURGE).await?.head.status.as_u16();
        assert_eq!(purged, status, "{name}");
    }
    let health = Client::connect(larder.admin_address()).await?.exchange("GET", "/healthz", &[("Host", "evil.example")], "").await?;
    assert_eq!(health.status, 403, "an unknown name is refused everywhere");
    Ok(())
}

#[tokio::test]
async fn rfc9110_10_1_1_what_is_too_large_is_refused_before_it_is_sent() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    for path in ["/purge", "/events"] {
        let mut client = Client::connect(larder.admin_address()).await?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 100000000\r\n\r\n"
        );
        client.send_raw("POST", head.as_bytes()).await?;
        let response = client.finish().await?;
        assert_eq!((response.status, response.interim.len()), (413, 0), "{path}: {response:?}");
    }
    Ok(())
}

/// A page of another site can send a POST without asking first, and a browser says in `Origin` and `Sec-Fetch-Site` that it did.
#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let address = larder.admin_address();
    let own = format!("http://{address}");
    for (fields, status) in [
        (&[][..], 200),
        (&[("Origin", own.as_str())][..], 200),
        (&[("Origin", "http://evil.example")][..], 403),
        (&[("Origin", "null")][..], 403),
        (&[("Origin", "http://127.0.0.1:1")][..], 403),
        (&[("Sec-Fetch-Site", "cross-site")][..], 403),
    ] {
        for (method, path) in [("POST", "/purge"), ("DELETE", "/purge")] {
            let fields: Vec<_> = fields.iter().copied().chain([("Content-Type", "application/json")]).collect();
            let answer = Client::connect(address).await?.exchange(method, path, &fields, PURGE).await?;
            let expected = if method == "DELETE" && status == 200 { 405 } else { status };
            assert_eq!(answer.status, expected, "{method} {fields:?}: {}", answer.text());
            let is_problem = answer.header("content-type") == Some("application/problem+json");
            assert_eq!(is_problem, expected != 200, "{method} {fields:?}");
        }
        let read = Client::connect(address).await?.exchange("GET", "/readyz", fields, "").await?;
        assert_eq!(read.status, 200, "a page of another origin cannot read the answer");
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_has_an_id_and_every_refusal_is_a_problem() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let named = Client::connect(larder.admin_address()).await?.exchange("GET", "/readyz", &[("X-Request-Id", "mine")], "").await?;
    assert_eq!(named.header("x-request-id"), Some("mine"));
    for (method, path, status) in [("GET", "/none", 404), ("GET", "/purge", 405), ("POST", "/keys", 405), ("PATCH", "/readyz", 405)] {
        let answer = Client::connect(larder.admin_address()).await?.exchange(method, path, &[], "").await?;
        assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")), "{method} {path}");
        assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("admin-")), "{answer:?}");
    }
    let packed = Client::connect(larder.admin_address()).await?.exchange("GET", "/metrics", &[("Accept-Encoding", "gzip")], "").await?;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    Ok(())
}

/// The router says in `Allow` which methods a path takes.
#[tokio::test]
async fn the_openapi_document_names_the_methods_that_the_router_takes() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let document: serde_json::Value = serde_json::from_slice(&larder.admin("/openapi.json").await?.body)?;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let concrete = path.replace("{key}", "x").replace("{id}", "x").replace("{name}", "x");
        let answer = Client::connect(larder.admin_address()).await?.exchange("PATCH", &concrete, &[], "").await?;
        let mut allowed: Vec<_> = answer.header("allow").unwrap_or_default().split(',').filter(|method| *method != "HEAD").collect();
        allowed.sort_unstable();
        let described: Vec<_> = methods.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect();
        assert_eq!((answer.status, allowed.join(",")), (405, described.join(",")), "{path}");
    }
    Ok(())
}
