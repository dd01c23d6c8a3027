//! Sessions behind cookies, as a new user meets them: a backend in front of which `larder serve` stands with a lifetime.

use larder_testkit::origin::Received;
use larder_testkit::{Answer, Larder, Origin, Result};

fn whose(request: &Received) -> Answer {
    Answer::ok().body(request.header("cookie").unwrap_or("nobody").to_owned())
}

#[tokio::test]
async fn serve_with_a_lifetime_gives_no_session_to_another() -> Result<()> {
    let origin = Origin::start().await?;
    for path in ["/account", "/pages/1"] {
        origin.respond_with("GET", path, whose);
    }
    let url = origin.url();
    let arguments = ["serve", "-u", &url, "--ttl", "60s", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let larder = Larder::start_with(&arguments).await?;
    for session in ["session=anna", "session=bert", "session=anna"] {
        for path in ["/account", "/pages/1"] {
            let own = larder.request("GET", path, &[("Cookie", session)], "").await?;
            assert_eq!((own.text().as_str(), own.x_cache()), (session, "MISS"), "{path}");
            assert!(own.cache_status().contains("detail=cookie"), "{}", own.cache_status());
        }
    }
    for expected in ["MISS", "HIT"] {
        let nobodys = larder.get("/account").await?;
        assert_eq!((nobodys.x_cache(), nobodys.text().as_str()), (expected, "nobody"));
    }
    let told =
        || larder.process().output().into_iter().filter(|line| line.contains("answers to requests with cookies are not shared")).count();
    assert_eq!(told(), 1, "{:?}", larder.process().output());
    let counted = larder.request("GET", "/account", &[("Cookie", "_ga=GA1.1.7")], "").await?;
    assert_eq!((counted.x_cache(), counted.text().as_str()), ("HIT", "nobody"));
    Ok(())
}
