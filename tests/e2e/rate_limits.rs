//! `[[limits]]`: how much a client may have, told in fields that a parser of structured fields reads.

use larder_testkit::client::H2Client;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Response, Result, larder};
use sfv::{BareItem, List, ListEntry, Parser};

/// The members of a field, each with its name and its parameters.
pub(crate) fn members(field: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let list: List = Parser::new(field).parse().unwrap_or_else(|error| panic!("{field}: {error}"));
    let member = |entry: ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("an inner list in {field}") };
        let BareItem::String(name) = &item.bare_item else { panic!("no name in {field}") };
        let numbers = item.params.iter().filter_map(|(key, value)| match value {
            BareItem::Integer(number) => Some((key.to_string(), i64::from(*number))),
            _ => None,
        });
        (name.as_str().to_owned(), numbers.collect())
    };
    list.into_iter().map(member).collect()
}

/// The limit that a response tells of, and what is left.
pub(crate) fn left(response: &Response) -> Option<(String, i64)> {
    let (name, numbers) = members(response.header("ratelimit")?).remove(0);
    let (key, left) = &numbers[0];
    assert_eq!(key, "r", "{response:?}");
    Some((name, *left))
}

fn limit(name: &str, rest: &str) -> String {
    format!("[[limits]]\nname = \"{name}\"\nper = \"1h\"\n{rest}\n")
}

pub(crate) async fn outcome(larder: &Larder, limit: &str, outcome: &str) -> Result<f64> {
    larder.metric("larder_limit_requests_total", &[&format!("limit=\"{limit}\""), &format!("outcome=\"{outcome}\"")]).await
}

pub(crate) fn assert_refused(response: &Response) {
    assert_eq!(response.status, 429, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert_eq!(response.header("proxy-status"), Some("larder; error=http_request_denied"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert!(response.cache_status().contains("detail=rate-limited"), "{response:?}");
    assert!(response.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0)), "{response:?}");
    assert!(response.text().contains("\"status\":429"), "{response:?}");
}

async fn origin() -> Result<Origin> {
    let origin = Origin::start().await?;
    for target in ["/a", "/b", "/c", "/d"] {
        origin.always("GET", target, Answer::ok().header("Cache-Control", "max-age=60").body(target));
    }
    Ok(origin)
}

#[tokio::test]
async fn misses_beyond_a_limit_are_429_and_hits_are_free() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &limit("per-client", "max = 2")).await?;
    let first = larder.get("/a").await?;
    assert_eq!((first.status, left(&first)), (200, Some(("per-client".to_owned(), 1))));
    assert_eq!(
        members(first.header("ratelimit-policy").unwrap_or_default()),
        [("per-client".to_owned(), vec![("q".to_owned(), 2), ("w".to_owned(), 3600)])]
    );
    assert_eq!(left(&larder.get("/b").await?), Some(("per-client".to_owned(), 0)));
    for target in ["/c", "/d"] {
        let refused = larder.get(target).await?;
        assert_refused(&refused);
        assert_eq!((refused.x_cache(), left(&refused)), ("BYPASS", Some(("per-client".to_owned(), 0))));
    }
    for _ in 0..5 {
        let hit = larder.get("/a").await?;
        assert_eq!(
            (hit.status, hit.x_cache(), hit.header("ratelimit"), hit.header("ratelimit-policy")),
            (200, "HIT", None, None),
            "{hit:?}"
        );
    }
    assert_eq!(origin.request_count(), 2);
    assert_eq!((outcome(&larder, "per-client", "admitted").await?, outcome(&larder, "per-client", "refused").await?), (2.0, 2.0));
    assert_eq!(larder.metric("larder_requests_total", &["reason=\"rate-limited\"", "status=\"4xx\""]).await?, 2.0);
    assert_eq!(larder.metric("larder_limit_keys", &[]).await?, 1.0);
    Ok(())
}

#[tokio::test]
async fn a_write_is_a_miss_and_one_that_is_refused_invalidates_nothing() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &limit("per-client", "max = 1")).await?;
    assert_eq!(larder.get("/a").await?.status, 200);
    assert_refused(&larder.request("DELETE", "/a", &[], "").await?);
    assert_refused(&larder.request("POST", "/a", &[], "content").await?);
    assert_eq!((larder.get("/a").await?.x_cache(), origin.request_count()), ("HIT", 1));
    let upgrade = [("Connection", "upgrade"), ("Upgrade", "websocket")];
    assert_refused(&larder.request("GET", "/a", &upgrade, "").await?);
    Ok(())
}

#[tokio::test]
async fn a_limit_on_requests_counts_hits_too_and_tells_of_them_over_every_version() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &limit("all", "max = 6\ncount = \"requests\"\nlegacy_fields = true")).await?;
    let mut client = larder.connect().await?;
    for remaining in (2..6).rev() {
        let response = client.exchange("GET", "/a", &[], "").await?;
        assert_eq!((response.status, left(&response)), (200, Some(("all".to_owned(), remaining))), "{response:?}");
        let legacy = ["x-ratelimit-limit", "x-ratelimit-remaining"].map(|name| response.header(name).unwrap_or_default());
        assert_eq!(legacy, ["6", &*remaining.to_string()]);
        assert!(response.header("x-ratelimit-reset").is_some(), "{response:?}");
    }
    let mut h2 = H2Client::connect(larder.address()).await?;
    for remaining in ["\"all\";r=1", "\"all\";r=0"] {
        let head = h2.exchange("GET", "/a", &[], "").await?.head;
        let told = head.headers.get("ratelimit").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        assert!(head.status == 200 && told.starts_with(remaining), "{head:?}");
    }
    assert_eq!(h2.exchange("GET", "/a", &[], "").await?.head.status, 429);
    assert_refused(&client.exchange("GET", "/a", &[], "").await?);
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn requests_that_share_a_fetch_are_one_miss() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").wait("all are there").body("x"));
    let larder = std::sync::Arc::new(Larder::before(&origin, &limit("per-client", "max = 1")).await?);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let larder = std::sync::Arc::clone(&larder);
        asking.spawn(async move { larder.get("/a").await });
    }
    origin.wait_for_requests(1).await?;
    let waiting = || async { Ok((larder.metric("larder_collapsed_waiting", &[]).await? >= 19.0).then_some(())) };
    eventually("waiting for the followers", waiting).await?;
    origin.gate("all are there").open();
    while let Some(response) = asking.join_next().await {
        assert_eq!(response.map_err(larder_testkit::Error::from)??.status, 200);
    }
    assert_eq!((outcome(&larder, "per-client", "admitted").await?, outcome(&larder, "per-client", "refused").await?), (1.0, 0.0));
    assert_refused(&larder.get("/b").await?);
    Ok(())
}

#[tokio::test]
async fn a_stale_response_stands_in_where_the_limit_says_so() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/old", Answer::ok().header("Cache-Control", "max-age=0").header("ETag", "\"1\"").body("old"));
    origin.always(
        "GET",
        "/strict",
        Answer::ok().header("Cache-Control", "max-age=0, must-revalidate").header("ETag", "\"1\"").body("strict"),
    );
    let larder = Larder::before(&origin, &limit("per-client", "max = 2\nover = \"stale\"")).await?;
    assert_eq!((larder.get("/old").await?.x_cache(), larder.get("/strict").await?.x_cache()), ("MISS", "MISS"));
    let stale = larder.get("/old").await?;
    assert_eq!((stale.status, stale.x_cache(), &*stale.text()), (200, "HIT", "old"), "{stale:?}");
    assert!(stale.cache_status().contains("hit") && stale.cache_status().contains("detail=rate-limited"), "{stale:?}");
    assert_eq!(left(&stale), Some(("per-client".to_owned(), 0)));
    assert_refused(&larder.get("/strict").await?);
    assert_refused(&larder.request("GET", "/old", &[("Cache-Control", "no-cache")], "").await?);
    assert_refused(&larder.get("/nothing").await?);
    assert_eq!(origin.request_count(), 2);
    assert_eq!((outcome(&larder, "per-client", "stale").await?, outcome(&larder, "per-client", "refused").await?), (1.0, 3.0));
    Ok(())
}

/// Beyond a limit on all requests the store answers what it can.
#[tokio::test]
async fn a_limit_on_requests_may_leave_a_client_what_is_stored() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &limit("all", "max = 1\ncount = \"requests\"\nover = \"stale\"")).await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    for _ in 0..2 {
        let hit = larder.get("/a").await?;
        assert_eq!((hit.status, hit.x_cache(), left(&hit)), (200, "HIT", Some(("all".to_owned(), 0))), "{hit:?}");
    }
    assert_refused(&larder.get("/b").await?);
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn clients_are_told_apart_by_the_key_and_their_credentials_are_shown_nowhere() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &limit("per-token", "max = 1\nkey = [\"header:authorization\"]\ncount = \"requests\"")).await?;
    for token in ["Bearer hush-1", "Bearer hush-2"] {
        assert_eq!(larder.request("GET", "/a", &[("Authorization", token)], "").await?.status, 200);
        assert_refused(&larder.request("GET", "/a", &[("Authorization", token)], "").await?);
    }
    // Without one the client's address stands in.
    assert_eq!(larder.get("/a").await?.status, 200);
    assert_refused(&larder.get("/b").await?);
    let question = "{\"url\": \"http://x/a\", \"headers\": {\"authorization\": \"Bearer hush-1\"}, \"client\": \"192.0.2.1\"}";
    let mut admin = larder_testkit::Client::connect(larder.admin_address()).await?;
    let explained = admin.exchange("POST", "/explain", &[("Content-Type", "application/json")], question).await?.text();
    assert!(explained.contains("limit `per-token` counts requests of `*") && explained.contains("0 of 1 are left"), "{explained}");
    assert!(!explained.contains("hush-1\"}") && !larder.admin("/metrics").await?.text().contains("hush"), "{explained}");
    Ok(())
}

#[tokio::test]
async fn bytes_are_charged_once_they_are_known() -> Result<()> {
    let origin = Origin::start().await?;
    for target in ["/a", "/b"] {
        origin.always("GET", target, Answer::ok().header("Cache-Control", "max-age=60").body("x".repeat(60)));
    }
    origin.always("GET", "/chunked", Answer::ok().header("Cache-Control", "no-store").chunk("x".repeat(30)).chunk("y".repeat(30)));
    let larder = Larder::before(&origin, &limit("volume", "max = \"100B\"\ncount = \"bytes\"\nalgorithm = \"fixed-window\"")).await?;
    assert_eq!(larder.get("/a").await?.status, 200);
    assert_eq!(larder.get("/chunked").await?.body.len(), 60);
    // The last frame is charged when the body has ended, which the client may see first.
    let refused = || async { Ok((larder.get("/a").await?.status == 429).then_some(())) };
    eventually("waiting for the charge", refused).await?;
    let response = larder.get("/b").await?;
    assert_refused(&response);
    assert!(response.header("ratelimit-policy").is_some_and(|policy| policy.contains("qu=\"content-bytes\"")), "{response:?}");
    Ok(())
}

#[tokio::test]
async fn a_limit_that_observes_refuses_nothing_and_tells_nobody() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &limit("trial", "max = 1\ncount = \"requests\"\nover = \"observe\"")).await?;
    for _ in 0..3 {
        let response = larder.get("/a").await?;
        assert_eq!((response.status, response.header("ratelimit"), response.header("ratelimit-policy")), (200, None, None));
    }
    assert_eq!((outcome(&larder, "trial", "admitted").await?, outcome(&larder, "trial", "observed").await?), (1.0, 2.0));
    Ok(())
}

#[tokio::test]
async fn a_request_waits_for_as_long_as_the_limit_lets_it_and_no_longer() -> Result<()> {
    let origin = origin().await?;
    let quick =
        "[[limits]]\nname = \"quick\"\nroutes = [\"quick\"]\nmax = 20\nper = \"1s\"\nburst = 1\nover = \"delay\"\nmax_delay = \"30s\"\n";
    let slow = limit("slow", "routes = [\"slow\"]\nmax = 1\nover = \"delay\"");
    let routes = "[[routes]]\nname = \"quick\"\npath = \"/{*rest}\"\n[[routes]]\nname = \"slow\"\npath = \"/c\"";
    let larder = Larder::before(&origin, &format!("{quick}{slow}{routes}")).await?;
    for _ in 0..3 {
        for target in ["/a", "/b"] {
            let bypass = [("Cache-Control", "no-cache")];
            assert_eq!(larder.request("GET", target, &bypass, "").await?.status, 200);
        }
    }
    let (admitted, delayed) = (outcome(&larder, "quick", "admitted").await?, outcome(&larder, "quick", "delayed").await?);
    assert_eq!((admitted + delayed, outcome(&larder, "quick", "refused").await?), (6.0, 0.0));
    assert_eq!(larder.get("/c").await?.status, 200);
    assert_refused(&larder.request("GET", "/c", &[("Cache-Control", "no-cache")], "").await?);
    Ok(())
}

#[tokio::test]
async fn an_operator_sees_how_clients_stand_and_gives_one_back_what_it_has_used() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &limit("per-tenant", "max = 2\nkey = [\"route\", \"header:x-tenant\"]")).await?;
    for target in ["/a", "/b"] {
        assert_eq!(larder.request("GET", target, &[("X-Tenant", "acme")], "").await?.status, 200);
    }
    assert_refused(&larder.request("GET", "/c", &[("X-Tenant", "acme")], "").await?);
    let json = |response: Response| serde_json::from_str::<serde_json::Value>(&response.text()).expect("JSON");
    let limits = json(larder.admin("/limits").await?);
    assert_eq!(
        (&limits[0]["name"], &limits[0]["requests"]["refused"], &limits[0]["clients"]),
        (&"per-tenant".into(), &1.into(), &1.into())
    );
    let clients = json(larder.admin("/limits/per-tenant").await?);
    let key = clients["clients"][0]["key"].as_str().expect("a key").to_owned();
    assert!(key.ends_with("/acme"), "{clients}");
    let client = format!("/limits/per-tenant/{}", key.replace('*', "%2A"));
    let report = json(larder.admin(&client).await?);
    assert_eq!((&report["used"], &report["max"], &report["remaining"]), (&2.into(), &2.into(), &0.into()), "{report}");
    assert!(report["reset_in_seconds"].as_u64().is_some_and(|seconds| (3590..=3600).contains(&seconds)), "{report}");
    let mut admin = larder_testkit::Client::connect(larder.admin_address()).await?;
    assert_eq!(json(admin.exchange("DELETE", &client, &[], "").await?)["used"], 2);
    assert_eq!(admin.exchange("DELETE", &client, &[], "").await?.status, 404);
    assert_eq!(larder.admin(&client).await?.status, 404);
    assert_eq!(larder.request("GET", "/c", &[("X-Tenant", "acme")], "").await?.status, 200);
    let unknown = larder.admin("/limits/per-tennant").await?;
    assert!(unknown.status == 404 && unknown.text().contains("did you mean `per-tenant`?"), "{unknown:?}");
    Ok(())
}

#[tokio::test]
async fn the_strictest_of_several_limits_speaks_and_a_refused_request_takes_nothing_from_the_others() -> Result<()> {
    let origin = origin().await?;
    let limits = [limit("wide", "max = 10\ncount = \"requests\""), limit("narrow", "max = 2\ncount = \"requests\"")].concat();
    let larder = Larder::before(&origin, &limits).await?;
    let first = larder.get("/a").await?;
    assert_eq!(left(&first), Some(("narrow".to_owned(), 1)));
    let names: Vec<String> = members(first.header("ratelimit-policy").unwrap_or_default()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["wide", "narrow"]);
    assert_eq!(larder.get("/a").await?.status, 200);
    for _ in 0..3 {
        assert_refused(&larder.get("/a").await?);
    }
    assert_eq!((outcome(&larder, "wide", "admitted").await?, outcome(&larder, "narrow", "refused").await?), (2.0, 3.0));
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_what_was_used_of_a_limit_that_it_does_not_change() -> Result<()> {
    let origin = origin().await?;
    let limits = |narrow: u32| {
        [limit("wide", "max = 3\ncount = \"requests\""), limit("narrow", &format!("max = {narrow}\ncount = \"requests\""))].concat()
    };
    let larder = Larder::before(&origin, &limits(1)).await?;
    assert_eq!(larder.get("/a").await?.status, 200);
    assert_refused(&larder.get("/a").await?);
    larder.write_config(&larder::config(&origin.url(), &limits(5)))?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], 1.0).await?;
    let response = larder.get("/a").await?;
    assert_eq!((response.status, left(&response)), (200, Some(("wide".to_owned(), 1))), "{response:?}");
    assert_eq!(outcome(&larder, "wide", "admitted").await?, 2.0);
    Ok(())
}
