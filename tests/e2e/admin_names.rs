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
        for path in ["/metrics", "/readyz"] {
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
    assert_eq!(health.status, 200, "that the process runs may be known");
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
