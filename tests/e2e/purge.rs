//! Purging from outside: over the admin listener, from the command line, and with `PURGE` where that is allowed.

use std::process::Command;

use larder_testkit::larder::command;
use larder_testkit::{Answer, Client, Larder, Origin, Response, Result};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[cache]
ttl = "60s"
[classes.project]
[[routes]]
name = "issue.detail"
path = "/issues/{id}"
class = "project"
tags = ["issue:{id}"]
[[routes]]
name = "other"
path = "/{*rest}"
"#;

async fn started(config: &str) -> Result<(Larder, Origin)> {
    let origin = Origin::start().await?;
    for path in ["/issues/7", "/issues/8", "/about"] {
        origin.always("GET", path, Answer::ok().header("Surrogate-Key", "all some").body("x"));
    }
    Ok((Larder::before(&origin, config).await?, origin))
}

async fn post(larder: &Larder, query: &str, body: &Value) -> Result<Response> {
    let fields = [("Content-Type", "application/json")];
    Client::connect(larder.admin_address()).await?.exchange("POST", &format!("/purge{query}"), &fields, &body.to_string()).await
}

async fn result(larder: &Larder, path: &str) -> Result<String> {
    Ok(larder.get(path).await?.x_cache().to_owned())
}

async fn stored(larder: &Larder) -> Result<()> {
    for path in ["/issues/7", "/issues/8", "/about"] {
        larder.get(path).await?;
        assert_eq!(result(larder, path).await?, "HIT", "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn every_way_to_say_what_is_old_purges_that_and_nothing_else() -> Result<()> {
    let (larder, _origin) = started(CONFIG).await?;
    let host = larder.address().to_string();
    for (body, purged) in [
        (json!({"urls": [format!("http://{host}/issues/7")]}), [true, false, false]),
        (json!({"prefixes": [format!("{host}/issues")]}), [true, true, false]),
        (json!({"prefixes": ["/about"]}), [false, false, true]),
        (json!({"tags": ["issue:8"]}), [false, true, false]),
        (json!({"routes": ["other"]}), [false, false, true]),
        (json!({"classes": ["project"]}), [true, true, false]),
        (json!({"namespaces": ["default"]}), [true, true, true]),
        (json!({"patterns": ["*/issues/*"]}), [true, true, false]),
        (json!({"all": true}), [true, true, true]),
        (json!({"urls": [format!("http://{host}/about")], "tags": ["issue:7"]}), [true, false, true]),
    ] {
        stored(&larder).await?;
        let answer = post(&larder, "?wait=2s", &body).await?;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        let said: Value = serde_json::from_str(&answer.text())?;
        assert_eq!((&said["applied"], &said["replicas"]), (&json!(1), &json!(1)));
        for (path, purged) in ["/issues/7", "/issues/8", "/about"].into_iter().zip(purged) {
            assert_eq!(result(&larder, path).await?, if purged { "MISS" } else { "HIT" }, "{path} after {body}");
        }
    }
    assert!(larder.metric("larder_invalidations_total", &[r#"kind="tag""#]).await? >= 2.0);
    Ok(())
}

#[tokio::test]
async fn a_soft_purge_serves_what_it_has_until_it_is_renewed() -> Result<()> {
    let (larder, origin) = started(CONFIG).await?;
    stored(&larder).await?;
    let before = origin.count_of("/issues/7");
    post(&larder, "", &json!({"tags": ["issue:7"], "soft": true})).await?;
    let stale = larder.get("/issues/7").await?;
    assert_eq!(stale.x_cache(), "HIT");
    assert!(stale.cache_status().contains("soft-purged"));
    origin.wait_for_requests(4).await?;
    larder.settled().await?;
    let fresh = larder.get("/issues/7").await?;
    assert!(!fresh.cache_status().contains("soft-purged"));
    assert_eq!(origin.count_of("/issues/7"), before + 1);
    Ok(())
}

#[tokio::test]
async fn a_purge_with_a_mistake_purges_nothing() -> Result<()> {
    let (larder, _origin) = started(CONFIG).await?;
    stored(&larder).await?;
    for (query, body, status) in [
        ("", json!({"all": true, "tags": [""]}), 422),
        ("", json!({"all": true, "routes": ["nobody"]}), 422),
        ("", json!({"all": true, "everything": true}), 400),
        ("", json!({"all": true, "tags": vec!["x"; 1001]}), 413),
        ("?wait=never", json!({"all": true}), 400),
        ("", json!("all"), 400),
    ] {
        let answer = post(&larder, query, &body).await?;
        assert_eq!((answer.status, answer.header("Content-Type")), (status, Some("application/problem+json")), "{query} {body}");
        let problem: Value = serde_json::from_str(&answer.text())?;
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with('.') || detail.ends_with('?')), "{problem}");
    }
    let fields = [("Content-Type", "text/plain")];
    let answer = Client::connect(larder.admin_address()).await?.exchange("POST", "/purge", &fields, r#"{"all":true}"#).await?;
    assert_eq!(answer.status, 415);
    let counted = post(&larder, "?count", &json!({"all": true})).await?;
    assert_eq!(serde_json::from_str::<Value>(&counted.text())?, json!({"count": 3, "estimate": true}));
    for path in ["/issues/7", "/issues/8", "/about"] {
        assert_eq!(result(&larder, path).await?, "HIT");
    }
    Ok(())
}

const TOKENS: &str = r#"
[admin]
listen = "0.0.0.0:0"
[[admin.tokens]]
file = "TOKEN"
scopes = ["purge"]
[purge]
public_from = ["127.0.0.0/8"]
"#;

#[tokio::test]
async fn a_token_is_needed_where_others_can_reach_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n")?;
    let config = TOKENS.replace("TOKEN", &token.display().to_string()) + CONFIG;
    let (larder, _origin) = started(&config).await?;
    stored(&larder).await?;
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], larder.admin_address().port()));
    for (authorization, status) in [("", 401), ("Bearer 0123456789abcdee", 401), ("Bearer 0123456789abcdef", 200)] {
        let fields = [("Content-Type", "application/json"), ("Authorization", authorization)];
        let answer = Client::connect(admin).await?.exchange("POST", "/purge", &fields, r#"{"tags":["issue:8"]}"#).await?;
        assert_eq!(answer.status, status, "{authorization}");
        let answer = Client::connect(admin).await?.exchange("GET", "/metrics", &fields[1..], "").await?;
        assert_eq!(answer.status, if status == 200 { 403 } else { status }, "{authorization}");
        assert_eq!(result(&larder, "/issues/7").await?, "HIT");
    }
    assert_eq!(result(&larder, "/issues/8").await?, "MISS");

    assert_eq!(larder.request("PURGE", "/issues/7", &[], "").await?.status, 401);
    assert_eq!(result(&larder, "/issues/7").await?, "HIT");
    let answer = larder.request("PURGE", "/issues/7", &[("Authorization", "Bearer 0123456789abcdef")], "").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(result(&larder, "/issues/7").await?, "MISS");
    assert_eq!(result(&larder, "/issues/8").await?, "HIT");
    Ok(())
}

/// The answers that probes over the network need: a container has no token to show. Nothing else answers as long as nobody can be told apart.
#[tokio::test]
async fn only_probes_are_answered_where_others_can_reach_it_and_there_is_no_token() -> Result<()> {
    let (larder, _origin) = started(&format!("[admin]\nlisten = \"0.0.0.0:0\"\n{CONFIG}")).await?;
    stored(&larder).await?;
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], larder.admin_address().port()));
    for (method, path, status) in
        [("GET", "/healthz", 200), ("GET", "/readyz", 200), ("GET", "/metrics", 403), ("POST", "/purge", 403), ("POST", "/events", 403)]
    {
        let fields = [("Content-Type", "application/json"), ("Authorization", "Bearer 0123456789abcdef")];
        let answer = Client::connect(admin).await?.exchange(method, path, &fields, r#"{"all":true}"#).await?;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    assert_eq!(result(&larder, "/issues/7").await?, "HIT");
    Ok(())
}

#[tokio::test]
async fn without_leave_a_purge_is_a_method_like_any_other() -> Result<()> {
    let (larder, origin) = started(CONFIG).await?;
    origin.once("PURGE", "/issues/7", Answer::new(405));
    stored(&larder).await?;
    assert_eq!(larder.request("PURGE", "/issues/7", &[], "").await?.status, 405);
    assert_eq!(result(&larder, "/issues/7").await?, "HIT");
    Ok(())
}

fn purge(larder: &Larder) -> Result<Command> {
    let mut command = command()?;
    command.args(["purge", "--admin", &larder.admin_address().to_string()]).env_remove("LARDER_TOKEN");
    Ok(command)
}

#[tokio::test]
async fn the_command_says_how_many_replicas_applied_it() -> Result<()> {
    let (larder, _origin) = started(CONFIG).await?;
    stored(&larder).await?;
    let counted = purge(&larder)?.args(["--prefix", "/issues", "--count"]).output()?;
    assert_eq!(String::from_utf8_lossy(&counted.stdout), "about 2 stored responses\n");
    let applied = purge(&larder)?.args(["--tag", "issue:7", "--route", "other", "--wait", "2s"]).output()?;
    assert!(applied.status.success());
    assert_eq!(String::from_utf8_lossy(&applied.stdout), "applied on 1 of 1 (position 1)\n");
    assert_eq!((result(&larder, "/issues/7").await?, result(&larder, "/issues/8").await?), ("MISS".into(), "HIT".into()));
    let refused = purge(&larder)?.args(["--route", "issue.detial"]).output()?;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.starts_with("error: routes[0]: ") && said.contains("did you mean `issue.detail`?"), "{said}");
    Ok(())
}

/// Behind a proxy that ends TLS, and with the port of the listener left out, people name URLs that no key has.
#[tokio::test]
async fn a_url_under_which_nothing_is_stored_is_told_with_the_one_that_is() -> Result<()> {
    let (larder, _origin) = started(CONFIG).await?;
    stored(&larder).await?;
    let port = larder.address().port();
    let with_scheme = |scheme: &str| format!("{scheme}://127.0.0.1:{port}/issues/7");
    let said = purge(&larder)?.args(["--url", &with_scheme("https")]).output()?;
    let note = format!("note: nothing is stored under {}; did you mean {}?\n", with_scheme("https"), with_scheme("http"));
    assert_eq!((said.status.success(), String::from_utf8_lossy(&said.stderr)), (true, note.into()));
    assert_eq!(result(&larder, "/issues/7").await?, "HIT");
    let mut command = command()?;
    // The log prints a URL, so that is what is pasted.
    command.args(["purge", "--admin", &format!("http://{}", larder.admin_address()), "--url", &with_scheme("http")]);
    let said = command.env_remove("LARDER_TOKEN").output()?;
    assert_eq!((said.status.success(), &*said.stderr), (true, &b""[..]));
    let purged = larder.get("/issues/7").await?;
    assert!(purged.x_cache() == "MISS" && purged.cache_status().contains("detail=purged"), "{}", purged.cache_status());
    Ok(())
}

const EVENTS: &str = r#"
[tags]
from = ["surrogate-key"]
[[on_event]]
type = "issue.moved"
purge = ["tag:issue:{id}", "prefix:/{page}"]
"#;

#[tokio::test]
async fn an_event_purges_what_the_config_says_for_its_type() -> Result<()> {
    let (larder, _origin) = started(&format!("{EVENTS}{CONFIG}")).await?;
    stored(&larder).await?;
    let send = async |body: &str| -> Result<Response> {
        let fields = [("Content-Type", "application/json")];
        Client::connect(larder.admin_address()).await?.exchange("POST", "/events", &fields, body).await
    };
    for (body, status) in [
        ("", 400),
        ("[]", 400),
        (r#"{"id": 7}"#, 400),
        (r#"{"type": "issue.moved", "id": 7}"#, 422),
        (r#"{"type": "issue.moved", "id": {}, "page": "about"}"#, 422),
        (r#"{"type": "issue.lost", "id": 7, "page": "about"}"#, 422),
    ] {
        assert_eq!(send(body).await?.status, status, "{body}");
    }
    for path in ["/issues/7", "/issues/8", "/about"] {
        assert_eq!(result(&larder, path).await?, "HIT");
    }
    assert_eq!(send(r#"{"type": "issue.moved", "id": 7, "page": "about"}"#).await?.status, 200);
    for (path, outcome) in [("/issues/7", "MISS"), ("/issues/8", "HIT"), ("/about", "MISS")] {
        assert_eq!(result(&larder, path).await?, outcome, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn tags_that_origins_name_are_purged_like_any_other() -> Result<()> {
    let (larder, _origin) = started(&format!("{EVENTS}{CONFIG}")).await?;
    stored(&larder).await?;
    assert_eq!(post(&larder, "", &json!({"tags": ["some"]})).await?.status, 200);
    for path in ["/issues/7", "/issues/8", "/about"] {
        assert_eq!(result(&larder, path).await?, "MISS", "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn regular_expressions_count_where_they_are_allowed() -> Result<()> {
    for (setting, status, outcome) in [("", 422, "HIT"), ("[purge]\nregex = true\n", 200, "MISS")] {
        let (larder, _origin) = started(&format!("{setting}{CONFIG}")).await?;
        stored(&larder).await?;
        assert_eq!(post(&larder, "", &json!({"regexes": ["/issues/[0-7]$"]})).await?.status, status);
        let malformed = purge(&larder)?.args(["--regex", "(", "--all"]).output()?;
        assert!(!malformed.status.success());
        for (path, outcome) in [("/issues/7", outcome), ("/issues/8", "HIT"), ("/about", "HIT")] {
            assert_eq!(result(&larder, path).await?, outcome, "{path}");
        }
    }
    Ok(())
}

const BODIES: &str = r#"
[[on_write]]
path = "/moves"
purge = ["tag:issue:{request.issue}", "url:/issues/{response.to}"]
"#;

#[tokio::test]
async fn a_write_makes_old_what_its_bodies_name() -> Result<()> {
    let (larder, origin) = started(&format!("{BODIES}{CONFIG}")).await?;
    let moved = |status: u16| Answer::new(status).header("Content-Type", "application/json").body(r#"{"note": "moved", "to": "8"}"#);
    let send = async |body: &str| larder.request("POST", "/moves", &[("Content-Type", "application/json")], body).await;
    for (status, body, expected) in [
        (409, r#"{"issue": 7}"#, ["HIT", "HIT", "HIT"]),
        (201, r#"{"issue": 7}"#, ["MISS", "MISS", "HIT"]),
        (201, r#"{"issue": [7]}"#, ["HIT", "MISS", "HIT"]),
    ] {
        stored(&larder).await?;
        origin.once("POST", "/moves", moved(status));
        assert_eq!(send(body).await?.status, status);
        for (path, outcome) in ["/issues/7", "/issues/8", "/about"].into_iter().zip(expected) {
            assert_eq!(result(&larder, path).await?, outcome, "{path} after {status} {body}");
        }
    }
    Ok(())
}

const REFRESH: &str = r#"
[[on_write]]
path = "/issues/{id}"
purge = ["url:/about", "tag:issue:8"]
refresh = true
"#;

#[tokio::test]
async fn a_requested_response_is_fetched_again_at_once_after_a_write() -> Result<()> {
    let (larder, origin) = started(&format!("{REFRESH}{CONFIG}")).await?;
    stored(&larder).await?;
    origin.always("PUT", "/issues/7", Answer::new(204));
    let before = ["/issues/7", "/issues/8", "/about"].map(|path| origin.count_of(path));
    assert_eq!(larder.request("PUT", "/issues/7", &[], "").await?.status, 204);
    // The write, and two fetches.
    origin.wait_for_requests(before.iter().sum::<usize>() + 3).await?;
    larder.settled().await?;
    for (path, outcome) in [("/issues/7", "HIT"), ("/about", "HIT"), ("/issues/8", "MISS")] {
        assert_eq!(result(&larder, path).await?, outcome, "{path}");
    }
    Ok(())
}

const CASCADE: &str = r#"
[tags]
cascade = { "project:{id}" = ["board:{id}"], "board:{id}" = ["issue:{id}", "project:{id}"] }
[[on_event]]
type = "project.moved"
purge = ["tag:project:{id}"]
[[on_write]]
path = "/projects/{id}"
purge = ["tag:project:{id}"]
"#;

#[tokio::test]
async fn tags_are_invalidated_with_others_whatever_the_way_of_the_purge() -> Result<()> {
    let (larder, origin) = started(&format!("{CASCADE}{CONFIG}")).await?;
    origin.always("POST", "/projects/7", Answer::new(204));
    for way in ["purge", "events", "write", "command"] {
        stored(&larder).await?;
        let post = async |path: &str, body: Value| -> Result<Response> {
            let fields = [("Content-Type", "application/json")];
            Client::connect(larder.admin_address()).await?.exchange("POST", path, &fields, &body.to_string()).await
        };
        match way {
            "purge" => assert_eq!(post("/purge", json!({"tags": ["project:7"]})).await?.status, 200),
            "events" => assert_eq!(post("/events", json!({"type": "project.moved", "id": 7})).await?.status, 200),
            "write" => assert_eq!(larder.request("POST", "/projects/7", &[], "").await?.status, 204),
            _ => assert!(purge(&larder)?.args(["--tag", "project:7"]).output()?.status.success()),
        }
        for (path, outcome) in [("/issues/7", "MISS"), ("/issues/8", "HIT"), ("/about", "HIT")] {
            assert_eq!(result(&larder, path).await?, outcome, "{path} after {way}");
        }
    }
    Ok(())
}
