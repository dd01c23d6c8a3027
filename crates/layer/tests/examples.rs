//! The examples do what they say, each as a process of its own that gets real requests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use larder_testkit::Client;
use larder_testkit::process::Process;

/// Where cargo puts examples: beside the folder that this test lies in.
fn built(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("the build folder");
    folder.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX))
}

/// An example that listens on a free port.
async fn start(example: &str) -> (Arc<Process>, SocketAddr) {
    let process = Process::start(example, Command::new(built(example)).arg("127.0.0.1:0"))
        .expect("`cargo build --package larder-tower --examples` builds it");
    let address = process.line("an address", |line| line.strip_prefix("listening on http://")?.parse().ok());
    (Arc::clone(&process), address.await.expect("it listens"))
}

/// The results and contents of these requests, one after another.
async fn ask(address: SocketAddr, requests: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for (method, path) in requests {
        let mut client = Client::connect(address).await.expect("it accepts");
        let response = client.exchange(method, path, &[], "").await.expect("an answer");
        answers.push((response.x_cache().to_owned(), response.text().trim().to_owned()));
    }
    answers
}

fn answers(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(result, text)| ((*result).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_service_in_axum_and_one_in_hyper_answer_from_the_cache() {
    for example in ["axum", "hyper"] {
        let (_process, address) = start(example).await;
        let got = ask(address, &[("GET", "/"), ("GET", "/")]).await;
        assert_eq!(got, answers(&[("MISS", "hello"), ("HIT", "hello")]), "{example}");
    }
}

#[tokio::test]
async fn a_write_makes_old_what_the_application_says() {
    let (process, address) = start("purging").await;
    let got = ask(address, &[("GET", "/issues"), ("GET", "/issues"), ("GET", "/issues/count"), ("POST", "/issues")]).await;
    let before = [("MISS", "issues 1 to 7"), ("HIT", "issues 1 to 7"), ("MISS", "7"), ("BYPASS", "")];
    assert_eq!(got, answers(&before));
    let got = ask(address, &[("GET", "/issues"), ("GET", "/issues/count"), ("GET", "/stats")]).await;
    assert_eq!(got[..2], answers(&[("MISS", "issues 1 to 8"), ("MISS", "8")]));
    assert!(got[2].0.is_empty() && got[2].1.starts_with("2 entries, "), "{:?}", got[2]);
    process.line("a hit", |line| (line == "/issues: HIT, fresh").then_some(())).await.expect("what is around the cache sees hits");
}

#[test]
fn the_readmes_show_the_examples_as_they_are() {
    for (readme, example) in [("README.md", "axum"), ("README.md", "hyper"), ("../../docs/rust-service.md", "axum")] {
        let read = |path: &str| std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file");
        let source = read(&format!("examples/{example}.rs"));
        let (_, code) = source.split_once("\n\n").expect("a line about it, and the code");
        let shown = format!("```rust,no_run\n{code}```\n");
        assert!(read(readme).contains(&shown), "{readme} does not have examples/{example}.rs word for word");
    }
}
