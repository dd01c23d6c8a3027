//! The ways to a server: TLS, users, sockets, and the programs that there are.

use std::sync::Arc;

use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result, TlsRedis};

use crate::support::{CLOCKS, MINUTE, ask_for_lease, commit, granted, has_read_the_log, response, text};

fn at(url: &str) -> RedisServers {
    RedisServers::Single(RedisUrl::parse(url).unwrap())
}

/// A store there, which stores and finds.
async fn works(servers: RedisServers, change: impl FnOnce(&mut RedisOptions)) -> Result<RedisStore> {
    let mut options = RedisOptions::new(servers);
    options.write = larder_redis::WriteMode::Through;
    options.timeout = MINUTE / 12;
    change(&mut options);
    let store = RedisStore::start(options, CLOCKS, Arc::default(), None).unwrap();
    has_read_the_log(&store).await?;
    let lease = granted(ask_for_lease(&store, "/x", MINUTE).await);
    commit(&store, response("/x", 7, b"hello"), Some(lease)).await;
    assert_eq!(text(&store, "/x").await.as_deref(), Some("hello"));
    assert_eq!(store.problem(), None);
    Ok(store)
}

/// Says what is wrong, once it has found out.
async fn problem(servers: RedisServers, change: impl FnOnce(&mut RedisOptions)) -> Result<String> {
    let mut options = RedisOptions::new(servers);
    change(&mut options);
    let store = RedisStore::start(options, CLOCKS, Arc::default(), None).unwrap();
    eventually("waiting for the problem to be told", || async { Ok(store.problem()) }).await
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own_and_a_user_with_a_password() -> Result<()> {
    let redis = TlsRedis::start_with(&["--user", "larder", "on", ">s3cret/&", "~larder:*", "+@all", "--requirepass", "other"]).await?;
    let ca = || Some(std::fs::read(redis.ca_file()).unwrap().into());
    works(at(&redis.url("larder:s3cret%2F&@")), |options| options.ca = ca()).await?;
    let distrusted = problem(at(&redis.url("larder:s3cret%2F&@")), |_| ()).await?;
    assert!(distrusted.contains("certificate"), "{distrusted}");
    let wrong = problem(at(&redis.url("larder:hunter2@")), |options| options.ca = ca()).await?;
    assert_eq!(wrong, "it does not accept the user or the password");
    let none = problem(at(&redis.url("")), |options| options.ca = ca()).await?;
    assert_eq!(none, "it asks for a password, and the URL has none");
    Ok(())
}

#[tokio::test]
async fn a_socket_in_the_file_system() -> Result<()> {
    let redis = Redis::start().await?;
    works(at(&redis.socket_url()), |_| ()).await.map(drop)
}

#[tokio::test]
async fn every_program_that_is_installed() -> Result<()> {
    for program in Redis::programs() {
        let redis = Redis::start_program(&program, &[]).await?;
        println!(
            "{program}: {}",
            redis.command(&["INFO", "server"]).await?.lines().find(|line| line.contains("_version:")).unwrap_or_default()
        );
        works(at(&redis.url()), |_| ()).await?;
    }
    Ok(())
}

/// The remarks about a server, once it has been looked at.
async fn concerns(servers: RedisServers) -> Result<Vec<String>> {
    let store = RedisStore::start(RedisOptions::new(servers), CLOCKS, Arc::default(), None).unwrap();
    let found = || async { Ok(Some(store.concerns()).filter(|concerns| !concerns.is_empty())) };
    eventually("waiting for a concern", found).await
}

#[tokio::test]
async fn obstacles_to_a_good_tier_are_reported() -> Result<()> {
    let redis = Redis::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"]).await?;
    let [concern] = &concerns(at(&redis.url())).await?[..] else { panic!("one concern") };
    assert!(concern.starts_with("memory is limited (maxmemory) and nothing is evicted"), "{concern}");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    redis.command(&["ACL", "SETUSER", "me", "on", ">secret", "~larder:*", "+@all", "-info", "-hset", "-mget"]).await?;
    let url = format!("redis://me:secret@{}", redis.address());
    let concerns = concerns(at(&url)).await?;
    assert_eq!(concerns[0], "the user may not use MGET, HSET, INFO on larder:*: grant them with ACL SETUSER");
    assert!(concerns[1].starts_with("without INFO"), "{concerns:?}");
    assert_eq!(redis.count(&["EXISTS", "larder:{log}:p"]).await?, 0, "nothing is left behind");
    Ok(())
}

#[tokio::test]
async fn the_servers_say_what_they_are() -> Result<()> {
    for program in Redis::programs() {
        let redis = Redis::start_program(&program, &[]).await?;
        let store = works(at(&redis.url()), |_| ()).await?;
        let servers =
            eventually("waiting for the server's word", || async { Ok(Some(store.servers()).filter(|servers| !servers.is_empty())) });
        let [server] = &servers.await?[..] else { panic!("one server") };
        let product = if program.contains("valkey") { "valkey " } else { "redis " };
        assert!(server.version.starts_with(product) && server.used_memory > 0 && server.policy == "noeviction", "{server:?}");
        assert_eq!(store.concerns(), [""; 0]);
    }
    Ok(())
}
