//! `larder import`: what comes out serves as nginx did.

use std::io::Write;
use std::process::{Output, Stdio};

use larder_testkit::larder::command;
use larder_testkit::{Answer, Larder, Origin, Result};

fn import(nginx: &str) -> Result<Output> {
    let mut child =
        command()?.args(["import", "nginx", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().map(|mut stdin| stdin.write_all(nginx.as_bytes())).transpose()?;
    Ok(child.wait_with_output()?)
}

#[tokio::test]
async fn a_configuration_of_nginx_that_was_carried_over_caches_and_passes_as_it_says() -> Result<()> {
    let origin = Origin::start().await?;
    for target in ["/v2/issues", "/login/form"] {
        origin.always("GET", target, Answer::ok().body("hello"));
    }
    let address = origin.address();
    let output = import(&format!(
        "http {{ proxy_cache_path /var/cache/nginx keys_zone=api:10m max_size=64m;\n upstream app {{ server {address}; }}\n\
         server {{ listen 127.0.0.1:0;\n location /api/ {{ proxy_pass http://app/v2/; proxy_cache api; proxy_cache_valid 1m; }}\n\
         location /login/ {{ proxy_pass http://app; }}\n }} }}\n"
    ))?;
    assert!(output.status.success(), "{output:?}");
    let config = String::from_utf8_lossy(&output.stdout).into_owned() + "\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    let larder = Larder::start(&config).await?;
    let words = |answers: [&larder_testkit::client::Response; 2]| answers.map(|answer| answer.x_cache().to_owned());
    assert_eq!(words([&larder.get("/api/issues").await?, &larder.get("/api/issues").await?]), ["MISS", "HIT"]);
    assert_eq!(words([&larder.get("/login/form").await?, &larder.get("/login/form").await?]), ["BYPASS", "BYPASS"]);
    assert_eq!((origin.count_of("/v2/issues"), origin.count_of("/login/form")), (1, 2));
    Ok(())
}

#[test]
fn what_is_no_configuration_of_nginx_is_one_sentence_with_its_line() -> Result<()> {
    let output = import("server {\n listen 80\n}\n")?;
    assert!(!output.status.success() && output.stdout.is_empty());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: standard input:3: `listen` has no `;` at its end\n");
    Ok(())
}
