//! `key.name`: what is stored under a name is listed, shown and purged by it, and found in Redis by people. Names are no keys.

use larder_testkit::larder::command;
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Result};
use serde_json::{Value, json};

use crate::redis::{get, reads_the_log, written};

const NAMED: &str = r#"
[cache]
ttl = "60s"
[[routes]]
name = "detail"
path = "/issues/{id}"
key = { name = "{namespace}:issue:{id}:{query}" }
[[routes]]
name = "coarse"
path = "/coarse/{*rest}"
key = { name = "same" }
[[routes]]
path = "/{*rest}"
[[on_write]]
path = "/issues/{id}"
methods = ["PUT"]
purge = ["tag:name:default:issue:{id}:*"]
"#;

const TARGETS: [&str; 5] = ["/issues/7?b=2&a=1", "/issues/7", "/issues/8", "/coarse/a", "/coarse/b"];

async fn named(rest: &str) -> Result<(Larder, Origin)> {
    let origin = Origin::start().await?;
    for target in TARGETS {
        origin.always("GET", target, Answer::ok().body(target));
    }
    origin.always("GET", "/x", Answer::ok().body("x"));
    origin.always("PUT", "/issues/7", Answer::ok().body("changed"));
    let larder = Larder::before(&origin, &format!("{NAMED}{rest}")).await?;
    Ok((larder, origin))
}

async fn found(larder: &Larder) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for target in TARGETS {
        let answer = get(larder, target).await?;
        assert_eq!(answer.text(), target, "one name for several, and each its own answer");
        found.push(answer.x_cache().to_owned());
    }
    Ok(found)
}

async fn names(larder: &Larder, query: &str) -> Result<Vec<String>> {
    let answer = larder.admin(&format!("/keys?{query}")).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let list: Value = serde_json::from_slice(&answer.body)?;
    let mut names: Vec<_> =
        list["keys"].as_array().expect("a list").iter().filter_map(|row| Some(row["name"].as_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn what_has_a_name_is_listed_shown_and_purged_by_it() -> Result<()> {
    let (larder, _origin) = named("").await?;
    assert_eq!(found(&larder).await?, ["MISS"; 5]);
    get(&larder, "/x").await?;
    larder.settled().await?;
    let of_seven = ["default:issue:7:", "default:issue:7:a=1&b=2"];
    assert_eq!(names(&larder, "name=default:issue:7:*").await?, of_seven);
    assert_eq!(names(&larder, "name=default:issue:7:").await?, of_seven[..1]);
    assert_eq!(names(&larder, "name=same").await?, ["same", "same"]);
    assert_eq!(names(&larder, "route=detail").await?.len(), 3);
    assert_eq!(larder.admin("/keys?name=de*").await?.status, 400);
    let entry = larder.admin("/entries/http%3A%2F%2Fsite.example%2Fissues%2F7").await?;
    assert_eq!(serde_json::from_slice::<Value>(&entry.body)?["key"]["name"], json!("default:issue:7:"), "{entry:?}");
    let admin = format!("http://{}", larder.admin_address());
    let listed = command()?.args(["keys", "--admin", &admin, "--name", "default:issue:*"]).env_remove("LARDER_TOKEN").output()?;
    let listed = String::from_utf8(listed.stdout)?;
    assert!(listed.contains(" name ") && listed.contains("default:issue:7:a=1&b=2") && !listed.contains("same"), "{listed}");
    let purged = command()?.args(["purge", "--admin", &admin, "--name", "default:issue:7:*"]).env_remove("LARDER_TOKEN").output()?;
    assert!(purged.status.success(), "{purged:?}");
    assert_eq!(found(&larder).await?, ["MISS", "MISS", "HIT", "HIT", "HIT"]);
    Ok(())
}

#[tokio::test]
async fn a_write_names_what_it_makes_old() -> Result<()> {
    let (larder, _origin) = named("").await?;
    found(&larder).await?;
    larder.request("PUT", "/issues/7", &[crate::redis::HOST], "x").await?;
    assert_eq!(found(&larder).await?, ["MISS", "MISS", "HIT", "HIT", "HIT"]);
    Ok(())
}

#[tokio::test]
async fn in_redis_keys_begin_with_the_name_and_what_is_deleted_there_is_gone() -> Result<()> {
    let redis = Redis::start().await?;
    let stores = format!("[store.redis]\nurl = \"redis://{}\"\ntimeout = \"1s\"\n", redis.address());
    let (one, origin) = named(&stores).await?;
    reads_the_log(&one).await?;
    found(&one).await?;
    get(&one, "/x").await?;
    written(&one, 6.0).await?;
    let keys = |pattern: &'static str| {
        let redis = &redis;
        async move { redis.count(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", pattern]).await }
    };
    assert_eq!((keys("larder:default:issue:7:*:{*}").await?, keys("larder:same:{*}").await?, keys("larder:{*}").await? > 0), (2, 2, true));
    let drop = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end return 1";
    redis.count(&["EVAL", drop, "0", "larder:default:issue:7:*"]).await?;
    let other = Larder::before(&origin, &format!("{NAMED}{stores}")).await?;
    reads_the_log(&other).await?;
    assert_eq!(found(&other).await?, ["MISS", "MISS", "HIT", "HIT", "HIT"]);
    // A purge by name reaches every replica, through the log that they share.
    let admin = format!("http://{}", other.admin_address());
    let purged = command()?.args(["purge", "--admin", &admin, "--name", "same"]).env_remove("LARDER_TOKEN").output()?;
    assert!(String::from_utf8_lossy(&purged.stdout).contains("applied on 2 of 2"), "{purged:?}");
    assert_eq!(found(&one).await?[2..], ["HIT", "MISS", "MISS"]);
    Ok(())
}

#[tokio::test]
async fn a_reload_may_name_what_is_stored_from_then_on() -> Result<()> {
    let (larder, origin) = named("").await?;
    found(&larder).await?;
    let renamed = NAMED.replace("{namespace}:issue:{id}:{query}", "ticket:{id}");
    larder.write_config(&larder_testkit::larder::config(&origin.url(), &renamed))?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &[r#"result="applied""#], 1.0).await?;
    // What was stored before is purged by the name that it has, so no other is shown for it.
    assert_eq!(names(&larder, "route=detail").await?, ["", "", ""]);
    assert_eq!(found(&larder).await?, ["HIT"; 5]);
    let purge = json!({"names": ["default:issue:*"]}).to_string();
    let fields = [("Content-Type", "application/json"), ("Connection", "close")];
    Client::connect(larder.admin_address()).await?.exchange("POST", "/purge", &fields, &purge).await?;
    assert_eq!(found(&larder).await?, ["MISS", "MISS", "MISS", "HIT", "HIT"]);
    assert_eq!(names(&larder, "name=ticket:*").await?, ["ticket:7", "ticket:7", "ticket:8"]);
    Ok(())
}
