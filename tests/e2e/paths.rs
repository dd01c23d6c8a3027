//! Paths that can be read in several ways: no spelling takes a response out of its route, its identity, or the reach of writes.

use larder_testkit::origin::Received;
use larder_testkit::{Answer, Larder, Origin, Result};

/// Public files for a day, and what is somebody's.
const ROUTES: &str = r#"
[cache]
ttl = "1m"
[[routes]]
path = "/static/{*rest}"
ttl = "24h"
ttl_mode = "override"
[[routes]]
path = "/api/v1/me"
scope = "identity"
identity = ["cookie:sid"]
[[routes]]
path = "/{*rest}"
"#;

/// Spellings of `/api/v1/me` that one origin or another takes for it.
const SPELLINGS: [&str; 18] = [
    "//api/v1/me",
    "/api//v1/me",
    "/static/../api/v1/me",
    "/static/%2e%2e/api/v1/me",
    "/static/.%2E/api/v1/me",
    "/static/..%2fapi/v1/me",
    "/static/..%2Fapi%2Fv1%2Fme",
    "/static/..\\api\\v1\\me",
    "/static/..%5capi/v1/me",
    "/static/..;/api/v1/me",
    "/static/..;x=y/api/v1/me",
    "/static/%252e%252e/api/v1/me",
    "/static/..%252fapi/v1/me",
    "/static/x/.././../api/v1/me",
    "/API/v1/Me",
    "/api/v1/me/",
    "/api/v1/me;x=y",
    "/api;x/v1/me",
];

fn whose(request: &Received) -> Answer {
    let who = request.header("cookie").unwrap_or("nobody").to_owned();
    Answer::ok().body(who)
}

#[tokio::test]
async fn no_spelling_files_one_users_page_under_a_public_route() -> Result<()> {
    let origin = Origin::start().await?;
    SPELLINGS.iter().for_each(|path| origin.respond_with("GET", path, whose));
    let larder = Larder::before(&origin, ROUTES).await?;
    for path in SPELLINGS {
        let victims = larder.request("GET", path, &[("Cookie", "sid=victim")], "").await?;
        assert_eq!((victims.status, victims.text().as_str()), (200, "sid=victim"), "{path}");
        // To routes those with plain dot segments are `/api/v1/me` itself, and the others are next to it.
        let reason = victims.cache_status().rsplit_once("detail=").map(|(_, reason)| reason.to_owned());
        assert!(matches!(reason.as_deref(), Some("odd-path" | "near-private")), "{path}: {reason:?}");
        let attackers = larder.request("GET", path, &[("Cookie", "sid=attacker")], "").await?;
        assert_eq!(attackers.text(), "sid=attacker", "{path}");
    }
    let sent: Vec<String> = origin.received().iter().map(|request| request.target.clone()).collect();
    let expected: Vec<&str> = SPELLINGS.iter().flat_map(|path| [*path, *path]).collect();
    assert_eq!(sent, expected, "byte for byte");
    Ok(())
}

#[tokio::test]
async fn odd_paths_are_refused_or_stored_where_that_is_said() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/files/a%2Fb", Answer::ok().body("x"));
    origin.always("GET", "/plain", Answer::ok().body("x"));
    let rules = "[cache]\nttl = \"60s\"\nodd_paths = \"refuse\"\n[[routes]]\npath = \"/files/{*rest}\"\nodd_paths = \"cache\"\n";
    let larder = Larder::before(&origin, rules).await?;
    assert_eq!(larder.get("/files/a%2Fb").await?.x_cache(), "MISS");
    assert_eq!(larder.get("/files/a%2Fb").await?.x_cache(), "HIT");
    let refused = larder.get("//plain").await?;
    assert_eq!((refused.status, refused.header("content-type")), (400, Some("application/problem+json")));
    assert_eq!(larder.get("/plain").await?.status, 200);
    assert_eq!(origin.count_of("//plain"), 0);
    Ok(())
}

#[tokio::test]
async fn no_spelling_of_a_write_leaves_the_old_version() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/api/v1/issues/7", Answer::ok().body("issue"));
    origin.always("GET", "/api/v1/board", Answer::ok().body("board"));
    let rules = "[cache]\nttl = \"60s\"\n[[routes]]\npath = \"/api/v1/board\"\ntags = [\"issue:7\"]\n[[routes]]\npath = \"/{*rest}\"\n\
                 [[on_write]]\npath = \"/api/v1/issues/{id}\"\npurge = [\"tag:issue:{id}\"]\n";
    let larder = Larder::before(&origin, rules).await?;
    for path in [
        "/api/v1/x/../issues/7",
        "//api/v1/issues/7",
        "/api/v1/x/..%2fissues/7",
        "/api/v1/issues/%37",
        "/api/v1/./issues//7",
        "/api\\v1\\issues\\7",
    ] {
        for target in ["/api/v1/issues/7", "/api/v1/board"] {
            larder.get(target).await?;
            assert_eq!(larder.get(target).await?.x_cache(), "HIT", "{target}");
        }
        origin.once("PUT", path, Answer::new(204));
        assert_eq!(larder.request("PUT", path, &[], "").await?.status, 204, "{path}");
        for target in ["/api/v1/issues/7", "/api/v1/board"] {
            assert_eq!(larder.get(target).await?.x_cache(), "MISS", "{target} after {path}");
        }
    }
    for path in ["/API/v1/Issues/7", "/api/v1/issues/7/", "/api/v1/issues/7;v=1"] {
        assert_eq!(larder.get("/api/v1/board").await?.x_cache(), "HIT");
        origin.once("PUT", path, Answer::new(204));
        larder.request("PUT", path, &[], "").await?;
        assert_eq!(larder.get("/api/v1/board").await?.x_cache(), "MISS", "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn an_upstreams_base_path_is_never_left() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/base/a/../b", Answer::ok().body("inside"));
    let rules = format!("[upstreams.api]\nurl = \"{}/base\"\n[cache]\nodd_paths = \"cache\"\n", origin.url());
    let larder = Larder::before(&origin, &rules).await?;
    for path in ["/../secret", "/b/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/..\\secret", "/..;/secret", "/a//../../secret"] {
        for method in ["GET", "PUT"] {
            assert_eq!(larder.request(method, path, &[], "").await?.status, 400, "{method} {path}");
        }
        let upgrade = [("Connection", "upgrade"), ("Upgrade", "websocket")];
        assert_eq!(larder.request("GET", path, &upgrade, "").await?.status, 400, "{path}");
    }
    assert_eq!(origin.request_count(), 0, "{:?}", origin.received());
    assert_eq!(larder.get("/a/../b").await?.text(), "inside");
    Ok(())
}
