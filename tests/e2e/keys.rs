//! `GET /keys`, `GET /entries/{key}`, `larder keys` and `larder show`: what is stored.

use larder_testkit::{Answer, Client, Larder, Origin, Result, larder::command};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[[routes]]
name = "detail"
path = "/issues/{id}"
ttl = "60s"
tags = ["issue:{id}"]
[[routes]]
name = "rest"
path = "/{*rest}"
ttl = "60s"
"#;

async fn started() -> Result<(Larder, Origin)> {
    let origin = Origin::start().await?;
    for (target, body) in [("/issues/7", "12345"), ("/issues/8", "<script>alert(1)</script>"), ("/a", "x")] {
        origin.always("GET", target, Answer::ok().header("Content-Type", "text/html").body(body));
    }
    let larder = Larder::before(&origin, CONFIG).await?;
    for target in ["/issues/7", "/issues/8", "/a", "/a"] {
        larder.get(target).await?;
    }
    larder.settled().await?;
    Ok((larder, origin))
}

async fn json_of(larder: &Larder, target: &str) -> Result<(u16, Value)> {
    let answer = larder.admin(target).await?;
    Ok((answer.status, serde_json::from_slice(&answer.body)?))
}

#[tokio::test]
async fn what_is_stored_is_listed_by_prefix_tag_and_route_in_the_order_that_is_asked_for() -> Result<()> {
    let (larder, _origin) = started().await?;
    let paths = |list: &Value| -> Vec<String> {
        let keys = list["keys"].as_array().expect("a list").iter();
        keys.map(|row| row["url"].as_str().and_then(|url| url.splitn(4, '/').nth(3)).unwrap_or_default().to_owned()).collect()
    };
    for (target, expected, matching) in [
        ("/keys?sort=hits&limit=1", &["a"][..], 3),
        ("/keys?tag=issue:7", &["issues/7"], 1),
        ("/keys?tag=issue:*&sort=size", &["issues/8", "issues/7"], 2),
        ("/keys?route=rest", &["a"], 1),
        ("/keys?prefix=%2Fissues", &["issues/8", "issues/7"], 2),
        ("/keys?prefix=/issues&tag=issue:8", &["issues/8"], 1),
        ("/keys?tag=none", &[], 0),
    ] {
        let (status, list) = json_of(&larder, target).await?;
        assert_eq!(
            (status, paths(&list), &list["matching"]),
            (200, expected.iter().map(|&p| p.to_owned()).collect(), &json!(matching)),
            "{target}"
        );
    }
    let (_, list) = json_of(&larder, "/keys?tag=issue:7").await?;
    let row = &list["keys"][0];
    assert_eq!((&row["route"], &row["status"], &row["bytes"], &row["hits"]), (&json!("detail"), &json!(200), &json!(5), &json!(0)));
    Ok(())
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused_with_a_problem() -> Result<()> {
    let (larder, _origin) = started().await?;
    for (target, said) in [
        ("/keys?sort=name", "sort: `name` is no order"),
        ("/keys?limit=0", "limit: "),
        ("/keys?limit=100000", "limit: "),
        ("/keys?prefix=a*b", "prefix: "),
        ("/keys?tag=", "tag: "),
        ("/keys?route=none", "route: there is no route `none`"),
        ("/keys?tags=a", "`tags` is not a parameter"),
        ("/keys?tag=%ff", "UTF-8"),
    ] {
        let (status, problem) = json_of(&larder, target).await?;
        assert!(status == 400 && problem["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{target}: {status} {problem}");
    }
    for (target, status) in
        [("/entries/x", 422), ("/entries/http%3A%2F%2F%2F", 422), ("/entries/v1%3Adefault%3AGET%3Ahttp%3A%2F%2Fa%2Fnone", 404)]
    {
        let (found, problem) = json_of(&larder, target).await?;
        assert!(found == status && problem["detail"].is_string(), "{target}: {found} {problem}");
    }
    Ok(())
}

/// Content of an origin must not become a page of the admin listener, where it could ask for anything.
#[tokio::test]
async fn an_entry_is_shown_by_key_or_url_and_its_body_is_never_a_page() -> Result<()> {
    let (larder, _origin) = started().await?;
    let (_, list) = json_of(&larder, "/keys?tag=issue:8").await?;
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let key = list["keys"][0]["key"].as_str().expect("a key").to_owned();
    let url = format!("http://{}/issues/8", larder.address());
    for name in [&key, &url] {
        let (status, entry) = json_of(&larder, &format!("/entries/{}", encoded(name))).await?;
        assert_eq!((status, &entry["key"]["text"]), (200, &json!(key)), "{entry:#}");
        let stored = &entry["stored"][0];
        assert_eq!((&stored["status"], &stored["state"]), (&json!(200), &json!("fresh")), "{entry:#}");
        assert!(stored["fields"].as_array().is_some_and(|fields| fields.contains(&json!(["content-type", "text/html"]))), "{entry:#}");
    }
    let body = larder.admin(&format!("/entries/{}?body", encoded(&key))).await?;
    assert_eq!((body.status, body.text().as_str()), (200, "<script>alert(1)</script>"));
    assert_eq!(body.header("content-type"), Some("application/octet-stream"));
    assert_eq!((body.header("content-security-policy"), body.header("x-content-type-options")), (Some("sandbox"), Some("nosniff")));

    let admin = larder.admin_address().to_string();
    let run = |arguments: &[&str]| Ok::<_, larder_testkit::Error>(command()?.args(arguments).args(["--admin", &admin]).output()?);
    let listed = String::from_utf8_lossy(&run(&["keys", "--route", "detail"])?.stdout).into_owned();
    assert!(listed.starts_with("size") && listed.contains(&key) && listed.contains("2 responses"), "{listed}");
    let shown = String::from_utf8_lossy(&run(&["show", &url])?.stdout).into_owned();
    assert!(shown.contains("content-type: text/html") && shown.contains("lifetime 1m"), "{shown}");
    assert_eq!(run(&["show", &key, "--body"])?.stdout, b"<script>alert(1)</script>");
    let none = run(&["show", "http://a.example/none"])?;
    assert!(none.status.code() == Some(1) && String::from_utf8_lossy(&none.stderr).contains("Nothing is stored"), "{none:?}");
    Ok(())
}

#[tokio::test]
async fn bodies_need_another_scope_than_keys() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    let folder = tempfile::tempdir()?;
    let mut tokens = String::new();
    for (name, scope) in [("reads", "read"), ("purges", "purge"), ("does-all", "admin")] {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("{name}-0123456789abcdef"))?;
        tokens.push_str(&format!("[[admin.tokens]]\nfile = {file:?}\nscopes = [\"{scope}\"]\n"));
    }
    let larder = Larder::before(&origin, &format!("[admin]\nlisten = \"0.0.0.0:0\"\n{tokens}{CONFIG}")).await?;
    larder.get("/a").await?;
    larder.settled().await?;
    let entry = format!("/entries/http%3A%2F%2F{}%2Fa", larder.address());
    let with_body = format!("{entry}?body");
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], larder.admin_address().port()));
    for (token, target, status) in [
        ("purges", "/keys", 403),
        ("reads", "/keys", 200),
        ("reads", &*entry, 200),
        ("reads", &*with_body, 403),
        ("does-all", &*with_body, 200),
        ("nobody", "/keys", 401),
    ] {
        let bearer = format!("Bearer {token}-0123456789abcdef");
        let answer = Client::connect(admin).await?.exchange("GET", target, &[("Authorization", &bearer)], "").await?;
        assert_eq!(answer.status, status, "{token} {target}: {}", answer.text());
    }
    Ok(())
}
