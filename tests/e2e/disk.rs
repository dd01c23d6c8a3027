//! The tier on disk: real processes, one after another over one directory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Redis, Response, Result};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// One site under one name; the port that each process happens to have is no part of it.
const HOST: (&str, &str) = ("Host", "site.example");

fn keys(directory: &Path) -> String {
    let path = directory.display();
    format!(
        "[cache]\nttl = \"1h\"\n[store.disk]\npath = \"{path}\"\ncapacity = \"256MiB\"\nadmit = \"all\"\nwrite_rate = \"0B\"\ntimeout = \"10s\"\n"
    )
}

/// A process that has the directory and knows all that is in it.
async fn process(origin: &Origin, folder: &TempDir) -> Result<Larder> {
    let larder = Larder::before(origin, &keys(&folder.path().join("cache"))).await?;
    larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    Ok(larder)
}

/// It ends well.
async fn end(larder: Larder) -> Result<()> {
    larder.terminate()?;
    assert!(larder.exited().await?.success());
    Ok(())
}

/// It is killed, whatever it does.
async fn kill(larder: Larder) -> Result<()> {
    larder.process().signal(Signal::KILL)?;
    larder.exited().await.map(drop)
}

async fn get(larder: &Larder, target: &str) -> Result<Response> {
    larder.request("GET", target, &[HOST], "").await
}

async fn purge(larder: &Larder, target: &str) -> Result<()> {
    let body = format!(r#"{{"urls":["http://site.example{target}"]}}"#);
    let mut admin = Client::connect(larder.admin_address()).await?;
    let answer = admin.exchange("POST", "/purge", &[("Content-Type", "application/json")], &body).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(r#""applied":1"#) && answer.text().contains(r#""replicas":1"#), "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn what_lies_on_disk_is_sealed_and_a_route_may_leave_the_disk_out() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    let page = "a page for everybody. ".repeat(1_000);
    origin.once("GET", "/a", Answer::ok().header("Content-Type", "text/plain").body(page.clone()));
    origin.times(2, "GET", "/quick/a", Answer::ok().body("a page for a moment"));
    let (cache, key) = (folder.path().join("cache"), folder.path().join("key"));
    std::fs::write(&key, "07".repeat(32))?;
    let form = format!("compress = {{ min = \"1KiB\" }}\nencrypt = {{ key = \"file:{}\" }}\n", key.display());
    let routes = "[[routes]]\npath = \"/quick/{*rest}\"\ntiers = [\"memory\"]\n[[routes]]\npath = \"/{*rest}\"\n";
    let start = async || {
        let larder = Larder::before(&origin, &format!("{}{form}{routes}", keys(&cache))).await?;
        larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
        Ok::<_, Error>(larder)
    };
    let first = start().await?;
    assert_eq!((get(&first, "/a").await?.x_cache(), get(&first, "/quick/a").await?.x_cache()), ("MISS", "MISS"));
    assert_eq!(get(&first, "/quick/a").await?.x_cache(), "HIT", "it is in memory");
    end(first).await?;
    for file in std::fs::read_dir(&cache)? {
        let bytes = std::fs::read(file?.path())?;
        // As text, which is searched quickly however little the tests are optimised.
        let text = String::from_utf8_lossy(&bytes);
        assert!(!["a page for", "/quick/a", "site.example"].iter().any(|open| text.contains(open)));
    }
    let second = start().await?;
    let stored = get(&second, "/a").await?;
    assert!(stored.x_cache() == "HIT" && stored.text() == page);
    assert_eq!(get(&second, "/quick/a").await?.x_cache(), "MISS");
    origin.check()
}

#[tokio::test]
async fn a_restart_answers_hits_without_the_origin() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    origin.once("GET", "/a", Answer::ok().header("Content-Type", "text/plain").body("kept"));
    let large = "0123456789".repeat(100_000);
    origin.once("GET", "/large", Answer::ok().body(large.clone()));
    let first = process(&origin, &folder).await?;
    assert_eq!((get(&first, "/a").await?.x_cache(), get(&first, "/large").await?.x_cache()), ("MISS", "MISS"));
    end(first).await?;
    let second = process(&origin, &folder).await?;
    let response = get(&second, "/a").await?;
    assert_eq!((response.x_cache(), response.text().as_str(), response.header("content-type")), ("HIT", "kept", Some("text/plain")));
    let range = second.request("GET", "/large", &[HOST, ("Range", "bytes=500000-500009")], "").await?;
    assert_eq!((range.status, range.text().as_str()), (206, "0123456789"));
    assert!(get(&second, "/large").await?.text() == large);
    assert!(second.metric("larder_disk_lookups_total", &["result=\"hit\""]).await? >= 2.0);
    origin.check()
}

#[tokio::test]
async fn a_purge_and_a_write_hold_over_restarts() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    for target in ["/purged", "/written", "/kept"] {
        origin.once("GET", target, Answer::ok().body("old"));
    }
    origin.once("POST", "/written", Answer::ok());
    let first = process(&origin, &folder).await?;
    for target in ["/purged", "/written", "/kept"] {
        assert_eq!(get(&first, target).await?.x_cache(), "MISS");
    }
    first.metric_reaches("larder_disk_written_total", &[], 3.0).await?;
    purge(&first, "/purged").await?;
    assert_eq!(first.request("POST", "/written", &[HOST], "").await?.status, 200);
    kill(first).await?;
    for target in ["/purged", "/written"] {
        origin.once("GET", target, Answer::ok().body("new"));
    }
    let second = process(&origin, &folder).await?;
    for (target, x_cache, text) in [("/purged", "MISS", "new"), ("/written", "MISS", "new"), ("/kept", "HIT", "old")] {
        let response = get(&second, target).await?;
        assert_eq!((response.x_cache(), response.text().as_str()), (x_cache, text), "{target}");
    }
    origin.check()
}

async fn each_directory_tells_of_itself(larder: &Larder, directories: &[&Path], targets: usize) -> Result<()> {
    let mut entries = 0.0;
    for directory in directories {
        let label = format!("directory=\"{}\"", directory.display());
        assert_eq!(larder.metric("larder_disk_directory_ready", &[&label]).await?, 1.0);
        assert_eq!(larder.metric("larder_disk_directory_capacity_bytes", &[&label]).await?, f64::from(256 << 20));
        let lookups = larder.metric("larder_disk_directory_lookups_total", &[&label]).await?;
        assert!(lookups > 0.0 && lookups < targets as f64, "each is asked for its own keys: {lookups}");
        entries += larder.metric("larder_disk_directory_entries", &[&label]).await?;
    }
    assert_eq!(entries, larder.metric("larder_disk_entries", &[]).await?);
    Ok(())
}

#[tokio::test]
async fn several_directories_are_one_store_and_one_that_is_gone_costs_no_answer() -> Result<()> {
    const TARGETS: usize = 24;
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    (0..TARGETS).for_each(|number| origin.always("GET", &format!("/{number}"), Answer::ok().body(body_of(number))));
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let text = format!(
        "[cache]\nttl = \"1h\"\n[store.disk]\npath = [\"{}\", \"{}\"]\ncapacity = \"512MiB\"\nadmit = \"all\"\nwrite_rate = \"0B\"\ntimeout = \"10s\"\n",
        one.display(),
        two.display()
    );
    let hits = async |larder: &Larder| {
        let mut hits = 0;
        for number in 0..TARGETS {
            let response = get(larder, &format!("/{number}")).await?;
            assert!(response.status == 200 && response.text() == body_of(number), "/{number}");
            hits += usize::from(response.x_cache() == "HIT");
        }
        Ok::<_, Error>(hits)
    };
    for expected in [0, TARGETS] {
        let larder = Larder::before(&origin, &text).await?;
        larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
        assert_eq!(hits(&larder).await?, expected);
        // Nothing is written any more.
        if expected == TARGETS {
            each_directory_tells_of_itself(&larder, &[&one, &two], TARGETS).await?;
        }
        end(larder).await?;
    }
    for directory in [&one, &two] {
        let names = std::fs::read_dir(directory)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        assert!(names.into_iter().any(|name| name.starts_with("segment-")), "{} has its part", directory.display());
    }
    std::fs::rename(&two, folder.path().join("aside"))?;
    std::fs::write(&two, "in its way")?;
    let larder = Larder::before(&origin, &text).await?;
    hits(&larder).await?;
    for (directory, ready) in [(&one, 1.0), (&two, 0.0)] {
        let label = format!("directory=\"{}\"", directory.display());
        assert_eq!(larder.metric("larder_disk_directory_ready", &[&label]).await?, ready);
    }
    purge(&larder, "/0").await?;
    assert_eq!(get(&larder, "/0").await?.x_cache(), "MISS");
    let detail = larder.admin("/readyz").await?;
    assert!(detail.status == 200 && detail.text().contains(&two.display().to_string()), "{}", detail.text());
    Ok(())
}

/// Longer than a sixteenth of the memory, and than what bodies under way may take of it.
const LONG: usize = 24 << 20;

/// A memory that holds bodies of half a megabyte, and a route that keeps longer ones.
fn small_memory() -> &'static str {
    "[store.memory]\ncapacity = \"16MiB\"\n[[routes]]\npath = \"/{*rest}\"\nmax_object = \"64MiB\"\n"
}

#[tokio::test]
async fn a_body_longer_than_memory_takes_is_kept_on_disk_and_read_from_there_at_any_place() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    let long: String = (0..LONG / 16).map(|number| format!("{number:015} ")).collect();
    for target in ["/long", "/sealed"] {
        origin.once("GET", target, Answer::ok().header("Content-Type", "text/plain").body(long.clone()));
    }
    origin.once("GET", "/empty", Answer::ok().body(""));
    let key = folder.path().join("key");
    std::fs::write(&key, "07".repeat(32))?;
    let sealed = format!("compress = {{ min = \"1KiB\" }}\nencrypt = {{ key = \"file:{}\" }}\n", key.display());
    for (target, form) in [("/long", ""), ("/sealed", sealed.as_str())] {
        let directory = folder.path().join(target.trim_start_matches('/'));
        let start = async || {
            let larder = Larder::before(&origin, &format!("{}{form}{}", keys(&directory), small_memory())).await?;
            larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
            Ok::<_, Error>(larder)
        };
        let first = start().await?;
        for x_cache in ["MISS", "HIT"] {
            let response = get(&first, target).await?;
            assert!(response.x_cache() == x_cache && response.text() == long, "{target} {x_cache}");
        }
        assert!(first.metric("larder_cache_stored_bytes", &[]).await? < 1e6, "memory keeps nothing of it");
        if target == "/long" {
            assert_eq!(get(&first, "/empty").await?.x_cache(), "MISS");
        }
        end(first).await?;
        let second = start().await?;
        let (from, to) = (LONG - 4_000_000, LONG - 3_999_990);
        let range = second.request("GET", target, &[HOST, ("Range", &format!("bytes={from}-{to}"))], "").await?;
        assert_eq!((range.status, range.x_cache(), range.text().as_str()), (206, "HIT", &long[from..=to]));
        assert!(get(&second, target).await?.text() == long, "{target} after a restart");
        if target == "/long" {
            assert_eq!(get(&second, "/empty").await?.x_cache(), "HIT");
        }
        end(second).await?;
    }
    origin.check()
}

/// Bodies of all lengths, and each of its own bytes.
fn body_of(number: usize) -> String {
    let length = [10, 3_000, 70_000, 700_000][number % 4];
    let text = format!("{number} of all; ");
    text.chars().cycle().take(length).collect()
}

#[tokio::test]
async fn a_kill_in_the_middle_of_writes_leaves_nothing_torn() -> Result<()> {
    const TARGETS: usize = 40;
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    (0..TARGETS).for_each(|number| origin.always("GET", &format!("/{number}"), Answer::ok().body(body_of(number))));
    let mut hits = 0;
    for round in 1..=6 {
        let larder = process(&origin, &folder).await?;
        for number in 0..TARGETS {
            let response = get(&larder, &format!("/{number}")).await?;
            assert!(response.text() == body_of(number), "round {round}, {number}");
            hits += usize::from(response.x_cache() == "HIT");
        }
        kill_under_load(larder, round * 13).await?;
    }
    assert!(hits > 0, "a killed process leaves something");
    Ok(())
}

/// Clients fetch anew what they ask for, until so many have been answered; then the process is killed.
async fn kill_under_load(larder: Larder, answers: usize) -> Result<()> {
    let (address, answered) = (larder.address(), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for first in 0..4 {
        let answered = Arc::clone(&answered);
        clients.spawn(async move {
            for number in (first..).step_by(4) {
                let Ok(mut client) = Client::connect(address).await else { return };
                let fields = [HOST, ("Cache-Control", "no-cache")];
                let Ok(response) = client.exchange("GET", &format!("/{}", number % 40), &fields, "").await else { return };
                if !response.complete {
                    return;
                }
                assert!(response.text() == body_of(number % 40));
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let enough = || async { Ok((answered.load(Ordering::SeqCst) >= answers).then_some(())) };
    eventually("waiting for answers", enough).await?;
    kill(larder).await?;
    while let Some(client) = clients.join_next().await {
        client.expect("whole answers up to the kill");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_process_on_a_directory_serves_without_it_until_the_first_has_ended() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    for target in ["/a", "/b"] {
        origin.always("GET", target, Answer::ok().body("a"));
    }
    let first = process(&origin, &folder).await?;
    get(&first, "/a").await?;
    first.metric_reaches("larder_disk_written_total", &[], 1.0).await?;
    let second = Larder::before(&origin, &keys(&folder.path().join("cache"))).await?;
    assert_eq!(get(&second, "/b").await?.x_cache(), "MISS");
    let detail = second.admin("/readyz").await?;
    assert!(detail.status == 200 && detail.text().contains("another process uses"), "{}", detail.text());
    end(first).await?;
    second.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    assert_eq!(get(&second, "/a").await?.x_cache(), "HIT");
    assert!(second.admin("/readyz").await?.text().contains(r#""disk":{"damaged":0,"entries":1,"problem":null,"state":"ok"}"#));
    Ok(())
}

#[tokio::test]
async fn no_trouble_of_the_disk_reaches_a_client() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    (0..4).for_each(|number| origin.always("GET", &format!("/{number}"), Answer::ok().body(body_of(number))));
    let cache = folder.path().join("cache");
    std::fs::write(&cache, "in its way")?;
    let larder = Larder::before(&origin, &keys(&cache)).await?;
    assert!(get(&larder, "/0").await?.text() == body_of(0));
    purge(&larder, "/0").await?;
    assert!(larder.admin("/readyz").await?.text().contains(r#""state":"failing""#));
    std::fs::remove_file(&cache)?;
    larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    assert!(get(&larder, "/1").await?.text() == body_of(1));
    larder.metric_reaches("larder_disk_written_total", &[], 1.0).await?;
    std::fs::remove_dir_all(&cache)?;
    for number in 0..4 {
        assert!(get(&larder, &format!("/{number}")).await?.text() == body_of(number));
        purge(&larder, &format!("/{number}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn with_usual_settings_what_is_asked_for_twice_is_there_after_a_restart() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, TempDir::new()?);
    for target in ["/once", "/twice"] {
        origin.always("GET", target, Answer::ok().body("a"));
    }
    let path = folder.path().join("cache");
    let usual = format!("[cache]\nttl = \"1h\"\n[store.disk]\npath = \"{}\"\ncapacity = \"256MiB\"\n", path.display());
    let first = Larder::before(&origin, &usual).await?;
    first.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    for (target, x_cache) in [("/once", "MISS"), ("/twice", "MISS"), ("/twice", "HIT")] {
        assert_eq!(get(&first, target).await?.x_cache(), x_cache);
    }
    end(first).await?;
    let second = Larder::before(&origin, &usual).await?;
    second.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    assert_eq!((get(&second, "/once").await?.x_cache(), get(&second, "/twice").await?.x_cache()), ("MISS", "HIT"));
    Ok(())
}

#[tokio::test]
async fn redis_keeps_the_purges_of_a_disk() -> Result<()> {
    let (origin, folder, redis) = (Origin::start().await?, TempDir::new()?, Redis::start().await?);
    for target in ["/purged", "/kept"] {
        origin.always("GET", target, Answer::ok().body(target));
    }
    // Bodies of any length are too long for Redis here, so only the disk has them.
    let shared = format!("[store.redis]\nurl = \"redis://{}\"\nmax_object = \"1B\"\ntimeout = \"1s\"\n", redis.address());
    let start = || async {
        let larder = Larder::before(&origin, &format!("{}{shared}", keys(&folder.path().join("cache")))).await?;
        larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
        crate::redis::reads_the_log(&larder).await?;
        Ok::<_, Error>(larder)
    };
    let first = start().await?;
    for target in ["/purged", "/kept"] {
        assert_eq!(get(&first, target).await?.x_cache(), "MISS");
    }
    end(first).await?;
    let other = Larder::before(&origin, &format!("[cache]\nttl = \"1h\"\n{shared}")).await?;
    crate::redis::reads_the_log(&other).await?;
    purge(&other, "/purged").await?;
    let second = start().await?;
    assert_eq!((get(&second, "/purged").await?.x_cache(), get(&second, "/kept").await?.x_cache()), ("MISS", "HIT"));
    // Whoever has lost the log judges nothing from before.
    end(second).await?;
    redis.command(&["FLUSHALL"]).await?;
    let third = start().await?;
    assert_eq!(get(&third, "/kept").await?.x_cache(), "MISS");
    Ok(())
}
