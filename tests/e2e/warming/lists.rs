//! URLs that come from lists, sitemaps and logs.

use larder_testkit::larder::check;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{admin, ended, reports, x_cache};

/// A job at `a.example` that runs at the start.
fn job(name: &str, keys: &str) -> String {
    format!("[[warm]]\nname = \"{name}\"\nhost = \"a.example\"\n{keys}\n")
}

/// `http://a.example/c` in a sitemap, as `gzip -9` packs it.
const PACKED: [u8; 65] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 179, 41, 45, 202, 41, 78, 45, 177, 179, 1, 210, 118, 54, 57, 249, 201, 118, 25, 37, 37, 5, 86, 250,
    250, 137, 122, 169, 21, 137, 185, 5, 57, 169, 250, 201, 54, 250, 32, 113, 27, 125, 176, 18, 125, 168, 6, 0, 4, 131, 127, 186, 57, 0, 0,
    0,
];

#[tokio::test]
async fn a_list_of_the_api_is_followed_page_by_page_and_each_variant_fetched() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/orgs", Answer::ok().header("Link", "</orgs?page=2>; rel=\"next\"").body(r#"{"items":[{"id":1},{"id":"x y"}]}"#));
    origin.always("GET", "/orgs?page=2", Answer::ok().body(r#"{"items":[{"id":3}]}"#));
    let boards = ["/orgs/1/board", "/orgs/x%20y/board", "/orgs/3/board"];
    for target in boards {
        origin.always("GET", target, Answer::ok().header("Vary", "Accept-Language").body("x"));
    }
    let keys = "from = \"/orgs\"\neach = \"$.items[*].id\"\nurl = \"/orgs/{}/board\"\nfollow = \"next\"\n\
                variants = [{ accept-language = \"de\" }, { accept-language = \"en\" }]";
    let larder = Larder::before(&origin, &format!("[cache]\nttl = \"60s\"\n{}", job("boards", keys))).await?;
    let report = ended(&larder, "boards").await?;
    assert_eq!((&report["total"], &report["stored"], &report["failed"]), (&json!(6), &json!(6), &json!(0)), "{report}");
    for target in boards {
        let answer = larder.request("GET", target, &[("Host", "a.example"), ("Accept-Language", "de")], "").await?;
        assert_eq!((answer.x_cache(), origin.count_of(target)), ("HIT", 2));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_list_is_said_and_nothing_else_is_harmed() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/fails", Answer::new(500).body("x"));
    origin.always("GET", "/html", Answer::ok().body("<!doctype html><title>x</title>"));
    origin.always("GET", "/loop", Answer::ok().header("Link", "</loop>; rel=next").body("[\"/ok\"]"));
    origin.always("GET", "/values", Answer::ok().body(r#"[{"id":1},"ftp://a.example/"]"#));
    origin.respond_with("GET", "/pages", |_| Answer::ok().header("Link", "</pages?more>; rel=next").body("[\"/ok\"]"));
    origin.always("GET", "/sitemap.xml", Answer::ok().body("<html></html>"));
    origin.always("GET", "/endless", Answer::ok().endless(vec![b'['; 64 << 10]));
    origin.always("GET", "/ok", Answer::ok().body("x"));
    let list = |name: &str, more: &str| job(name, &format!("from = \"/{name}\"\neach = \"$[*]\"\n{more}"));
    let text = format!(
        "[cache]\nttl = \"60s\"\n{}{}{}{}{}{}{}{}{}",
        list("fails", ""),
        list("html", ""),
        list("loop", "follow = \"next\""),
        list("values", ""),
        list("pages", "follow = \"next\"\npages = 1"),
        job("empty", "from = \"/values\"\neach = \"$.items[*]\""),
        job("sitemap", "sitemap = \"/sitemap.xml\""),
        list("endless", ""),
        job("good", "urls = [\"/ok\"]"),
    );
    let larder = Larder::before(&origin, &text).await?;
    for (name, reasons) in [
        ("fails", json!({ "list-failed": 1 })),
        ("html", json!({ "list-not-json": 1 })),
        ("loop", json!({ "list-loop": 1 })),
        ("values", json!({ "no-value": 1, "no-url": 1 })),
        ("pages", json!({ "more-pages": 1 })),
        ("empty", json!({ "list-empty": 1 })),
        ("sitemap", json!({ "list-empty": 1, "sitemap-unreadable": 1 })),
        ("endless", json!({ "list-too-long": 1 })),
        ("good", json!({})),
    ] {
        let report = ended(&larder, name).await?;
        assert_eq!(report["reasons"], reasons, "{report}");
    }
    assert_eq!(x_cache(&larder, "/ok").await?, "HIT");
    assert_eq!((origin.count_of("/loop"), origin.count_of("/pages")), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_million_items_are_asked_for_one_after_the_other_and_held_nowhere_until_somebody_ends_it() -> Result<()> {
    let origin = Origin::start().await?;
    let items: Vec<String> = (0..1_000_000).map(|n| n.to_string()).collect();
    origin.always("GET", "/many", Answer::ok().body(format!("[{}]", items.join(","))));
    origin.always("GET", "/item/0", Answer::ok().wait("held").body("x"));
    let keys = "from = \"/many\"\neach = \"$[*]\"\nurl = \"/item/{}\"\nconcurrency = 1";
    let larder = Larder::before(&origin, &job("many", keys)).await?;
    origin.wait_for_requests(2).await?;
    let known = || async { Ok(reports(&larder).await?[0]["total"].as_u64().filter(|total| *total > 60)) };
    let total = eventually("waiting for the next items", known).await?;
    assert!(total < 100, "{total} of them are known while the first one is under way");
    let (status, report) = admin(&larder, "DELETE", "/warm/many", &Value::Null).await?;
    assert_eq!((status, &report["stopped"]), (200, &json!(true)));
    let ended = || async { Ok((reports(&larder).await?[0]["running"] == false).then_some(())) };
    eventually("waiting for the end", ended).await?;
    assert_eq!((reports(&larder).await?[0]["done"].as_u64(), origin.request_count()), (Some(0), 2));
    assert_eq!(admin(&larder, "DELETE", "/warm/none", &Value::Null).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn a_sitemap_and_an_access_log_name_what_is_fetched() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    let index = "<sitemapindex><sitemap><loc>http://a.example/one.xml</loc></sitemap><sitemap><loc>http://a.example/two.xml.gz</loc></sitemap>\
                 <sitemap><loc>http://a.example/one.xml</loc></sitemap></sitemapindex>";
    origin.always("GET", "/sitemap.xml", Answer::ok().body(index));
    let one = "<urlset><url><loc>http://a.example/a</loc></url><url><loc>http://a.example/b?c=1&amp;d=2</loc></url></urlset>";
    origin.always("GET", "/one.xml", Answer::ok().body(one));
    origin.always("GET", "/two.xml.gz", Answer::ok().header("Content-Type", "application/gzip").body(PACKED));
    for target in ["/a", "/b?c=1&d=2", "/c", "/logged"] {
        origin.always("GET", target, Answer::ok().body("x"));
    }
    let log = folder.path().join("access.log");
    std::fs::write(&log, "1.2.3.4 - - [30/Nov/2026:09:00:00 +0000] \"GET /logged HTTP/1.1\" 200 5 \"-\" \"curl/8\"\nnonsense\n")?;
    let text =
        format!("[cache]\nttl = \"60s\"\n{}{}", job("site", "sitemap = \"/sitemap.xml\""), job("log", &format!("access_log = {log:?}")),);
    let larder = Larder::before(&origin, &text).await?;
    assert_eq!(ended(&larder, "site").await?["stored"], 3);
    assert_eq!(ended(&larder, "log").await?["stored"], 1);
    for target in ["/a", "/b?c=1&d=2", "/c", "/logged"] {
        assert_eq!(x_cache(&larder, target).await?, "HIT", "{target}");
    }
    assert_eq!(origin.count_of("/one.xml"), 1, "an index may name one twice");
    Ok(())
}

#[test]
fn check_says_what_is_wrong_with_a_path_into_json() -> Result<()> {
    let text =
        "[upstreams.api]\nurl = \"http://127.0.0.1:1\"\n[[warm]]\nname = \"a\"\nfrom = \"http://a.example/\"\neach = \"$.items[*\"\n";
    let output = check(text)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("`$.items[*` is not a JSONPath") && told.contains("config.toml:6"), "{told}");
    Ok(())
}
