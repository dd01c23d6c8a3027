//! `larder init`: what comes out serves, and is careful with what it looked at.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use larder_testkit::larder::{binary, command};
use larder_testkit::{Answer, Larder, Origin, Result};
use larder_tests::{JsonServer, Shop};
use tempfile::TempDir;

use crate::tls::Edge;

/// Runs it in this folder, with no terminal.
fn init(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(command()?.arg("init").args(arguments).current_dir(folder).stdin(Stdio::null()).output()?)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn listeners_anywhere(config: &str) -> String {
    config.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8090", "127.0.0.1:0")
}

async fn in_background(folder: &TempDir, arguments: &[&str]) -> Result<Output> {
    let (folder, arguments) = (folder.path().to_owned(), arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>());
    tokio::task::spawn_blocking(move || init(&folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>())).await?
}

#[tokio::test]
async fn a_fastapi_backend_is_cached_and_its_writes_purge_without_a_line_by_hand() -> Result<()> {
    let shop = Shop::example().await?;
    let folder = TempDir::new()?;
    let output = in_background(&folder, &["--upstream", &shop.url(), "--output", "larder.toml"]).await?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("/openapi.json describes 4 operations"), "{}", said(&output));
    let config = fs::read_to_string(folder.path().join("larder.toml"))?;
    let check = command()?.args(["check", "--config", "larder.toml"]).current_dir(folder.path()).output()?;
    assert_eq!((check.status.code(), said(&check).as_str()), (Some(0), ""), "{config}");

    let larder = Larder::start(&listeners_anywhere(&config)).await?;
    for path in ["/books", "/books/1", "/books/2"] {
        assert_eq!((larder.get(path).await?.x_cache(), larder.get(path).await?.x_cache()), ("MISS", "HIT"), "{path}\n{config}");
    }
    larder.request("PUT", "/books/1/stock/9", &[], "").await?;
    for (path, word) in [("/books", "MISS"), ("/books/1", "MISS"), ("/books/2", "HIT")] {
        assert_eq!(larder.get(path).await?.x_cache(), word, "{path}\n{config}");
    }
    for (client, user) in [("Bearer anna", "anna"), ("Bearer bert", "bert"), ("Bearer anna", "anna")] {
        assert_eq!(larder.request("GET", "/me", &[("Authorization", client)], "").await?.text(), format!("{{\"user\":\"{user}\"}}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_backend_without_a_document_is_looked_at_by_the_paths_that_are_named() -> Result<()> {
    let backend = JsonServer::start(r#"{"posts":[{"id":1,"title":"a"},{"id":2,"title":"b"}]}"#).await?;
    let folder = TempDir::new()?;
    let alone = in_background(&folder, &["--upstream", &backend.url()]).await?;
    assert!(alone.status.success() && said(&alone).contains("nothing leads on from /"), "{}", said(&alone));
    let output = in_background(&folder, &["--upstream", &backend.url(), "--path", "/posts"]).await?;
    // json-server says max-age=0 of everything, which is the backend's word.
    let config = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(config.contains("GET /posts/1: 200 is validated each time"), "{config}");
    let lasting = config.replace("name = \"posts", "ttl = \"60s\"\nttl_mode = \"override\"\nname = \"posts");
    let larder = Larder::start(&listeners_anywhere(&lasting)).await?;
    for path in ["/posts", "/posts/1", "/posts/2"] {
        assert_eq!((larder.get(path).await?.x_cache(), larder.get(path).await?.x_cache()), ("MISS", "HIT"), "{path}\n{lasting}");
    }
    larder.request("PATCH", "/posts/1", &[("Content-Type", "application/json")], r#"{"title":"c"}"#).await?;
    for (path, word) in [("/posts", "MISS"), ("/posts/1", "MISS"), ("/posts/2", "HIT")] {
        assert_eq!(larder.get(path).await?.x_cache(), word, "{path}\n{lasting}");
    }
    Ok(())
}

#[tokio::test]
async fn a_document_in_yaml_is_found_and_read_as_one_in_json() -> Result<()> {
    let origin = Origin::start().await?;
    let document = "openapi: 3.1.0\npaths:\n  /books/{id}:\n    get: {}\n    put: {}\n";
    origin.always("GET", "/openapi.yaml", Answer::ok().header("Content-Type", "application/yaml").body(document));
    let folder = TempDir::new()?;
    let output = in_background(&folder, &["--upstream", &origin.url()]).await?;
    let config = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said(&output).contains("/openapi.yaml describes 2 operations"), "{}", said(&output));
    assert!(config.split("\n\n").any(|section| section.contains("[[on_write]]") && section.contains("path = \"/books/{id}\"")), "{config}");
    Ok(())
}

#[tokio::test]
async fn a_backend_is_asked_with_get_alone_and_nothing_that_may_act_is_asked_for() -> Result<()> {
    let origin = Origin::start().await?;
    let json = || Answer::ok().header("Content-Type", "application/json");
    origin.always("GET", "/", json().body(r#"{"books":"/books","out":"/logout","own":"/account/settings"}"#));
    origin.always("GET", "/books", json().body(r#"[{"id":3}]"#));
    origin.always("GET", "/books/3", json().header("Set-Cookie", "seen=1").body("{}"));
    origin.always("GET", "/account/settings", json().header("Cache-Control", "private").body("{}"));
    let folder = TempDir::new()?;
    let output = in_background(&folder, &["--upstream", &origin.url()]).await?;
    let config = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", said(&output));
    for path in ["/books/{id}", "/logout", "/account/settings"] {
        let route = config.split("\n\n").find(|section| section.contains(&format!("path = {path:?}"))).unwrap_or_default();
        assert!(route.contains("cache = false"), "{path}\n{config}");
    }
    let received = origin.received();
    assert!(received.iter().all(|request| request.method == "GET" && request.target != "/logout"));
    assert!(received.len() <= 48 && origin.count_of("/books") == 1, "{} requests", received.len());
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_there_is_not_overwritten_and_the_backend_is_not_asked() -> Result<()> {
    let origin = Origin::start().await?;
    let folder = TempDir::new()?;
    fs::write(folder.path().join("config.toml"), "mine")?;
    for (file, words) in [("config.toml", "is there already"), ("gone/config.toml", "there is no folder gone")] {
        let output = in_background(&folder, &["--upstream", &origin.url(), "--output", file]).await?;
        assert!(!output.status.success() && said(&output).contains(words), "{}", said(&output));
    }
    assert_eq!((fs::read_to_string(folder.path().join("config.toml"))?.as_str(), origin.request_count()), ("mine", 0));
    Ok(())
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_one_sentence_with_a_hint() -> Result<()> {
    let folder = TempDir::new()?;
    let away = format!("http://{}", larder_tests::free_address()?);
    let cases: [(&[&str], &str); 5] = [
        (&[], "there is no terminal to ask on"),
        (&["--upstream", "127.0.0.1:3000"], "http://"),
        (&["--upstream", &away], "no answer from"),
        (&["--upstream", &away, "--path", "books"], "`books` is not a path on the backend"),
        (&["--upstream", &away, "--openapi", "/docs.json"], "/docs.json is not usable as an OpenAPI document"),
    ];
    for (arguments, words) in cases {
        let output = in_background(&folder, arguments).await?;
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
        assert!(said(&output).starts_with("error: ") && said(&output).contains(words), "{arguments:?}: {}", said(&output));
    }
    Ok(())
}

#[tokio::test]
async fn documents_that_are_too_long_or_pages_are_left_alone() -> Result<()> {
    let origin = Origin::start().await?;
    let long = format!("{{\"openapi\":\"3.0.0\",\"paths\":{{}},\"x\":\"{}\"}}", "x".repeat(20 << 20));
    origin.always("GET", "/openapi.json", Answer::ok().header("Content-Type", "application/json").body(long));
    for path in ["/", "/v3/api-docs", "/swagger.json", "/api-docs"] {
        origin.always("GET", path, Answer::ok().header("Content-Type", "text/html").body("<!doctype html><p>hello"));
    }
    let folder = TempDir::new()?;
    let output = in_background(&folder, &["--upstream", &origin.url()]).await?;
    let (config, said) = (String::from_utf8_lossy(&output.stdout).into_owned(), said(&output));
    assert!(output.status.success() && said.contains("/openapi.json: it is longer than 8MiB"), "{said}");
    assert!(said.contains("no OpenAPI document") && config.contains("path = \"/\""), "{said}{config}");
    let Output { status, stderr, .. } = in_background(&folder, &["--upstream", &origin.url(), "--openapi", "/api-docs"]).await?;
    assert!(!status.success() && String::from_utf8_lossy(&stderr).contains("it is neither JSON nor YAML"));
    Ok(())
}

#[tokio::test]
async fn a_backend_over_tls_is_known_by_its_authority_which_the_configuration_names_too() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/", Answer::ok().body("hello"));
    let edge = Edge::start(&origin, "", "").await?;
    let (folder, url) = (TempDir::new()?, format!("https://{}", edge.tls()));
    let unknown = in_background(&folder, &["--upstream", &url]).await?;
    assert!(!unknown.status.success() && said(&unknown).contains("no answer from"), "{}", said(&unknown));
    let ca_file = edge.authority.ca_file();
    let output = in_background(&folder, &["--upstream", &url, "--ca-file", &ca_file.to_string_lossy()]).await?;
    assert!(output.status.success(), "{}", said(&output));
    let larder = Larder::start(&listeners_anywhere(&String::from_utf8_lossy(&output.stdout))).await?;
    assert_eq!((larder.get("/").await?.text().as_str(), larder.get("/").await?.x_cache()), ("hello", "HIT"));
    Ok(())
}

/// `script` makes a terminal, and types what it is given.
#[tokio::test]
async fn a_terminal_is_asked_for_what_is_missing() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/", Answer::ok().body("hello"));
    let folder = TempDir::new()?;
    fs::write(folder.path().join("config.toml"), "mine")?;
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &format!("{} init", binary()?.display()), "/dev/null"]).current_dir(folder.path());
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let typed = format!("{}\n\nmine.toml\n", origin.url());
    let mut input = child.stdin.take().expect("it is piped");
    let output = tokio::task::spawn_blocking(move || {
        std::io::Write::write_all(&mut input, typed.as_bytes())?;
        let output = child.wait_with_output();
        drop(input);
        output
    })
    .await??;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && shown.contains("URL of the backend") && shown.contains("config.toml is there already"), "{shown}");
    assert_eq!(fs::read_to_string(folder.path().join("config.toml"))?, "mine");
    assert!(fs::read_to_string(folder.path().join("mine.toml"))?.contains("GET /: 200"), "{shown}");
    Ok(())
}
