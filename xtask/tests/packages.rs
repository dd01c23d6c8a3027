//! Requirements of crates.io for each package, checked without the registry. `cargo publish --workspace --dry-run` checks the rest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The packages that are not published: what the others are tested, measured and packed with.
const PRIVATE: [&str; 4] = ["larder-benches", "larder-testkit", "larder-tests", "xtask"];

/// The categories in use, by their slugs on crates.io: an unknown one would be dropped there.
const CATEGORIES: [&str; 17] = [
    "asynchronous",
    "authentication",
    "caching",
    "command-line-utilities",
    "compression",
    "config",
    "cryptography",
    "database",
    "development-tools::build-utils",
    "development-tools::profiling",
    "development-tools::testing",
    "network-programming",
    "parser-implementations",
    "simulation",
    "web-programming",
    "web-programming::http-client",
    "web-programming::http-server",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The output of a cargo command in the workspace's root.
fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = command.args(arguments).current_dir(root()).output().expect("cargo starts");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The workspace's packages by name.
fn packages() -> HashMap<String, Value> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"])).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list").clone();
    packages.into_iter().map(|package| (text(&package["name"]).to_owned(), package)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn is_published(package: &Value) -> bool {
    package["publish"].is_null()
}

#[test]
fn every_package_says_what_crates_io_shows() {
    for (name, package) in packages() {
        for field in ["description", "repository", "license", "rust_version", "readme"] {
            assert!(!text(&package[field]).is_empty(), "{name} has no {field}");
        }
        let folder = Path::new(text(&package["manifest_path"])).parent().expect("a folder");
        assert!(folder.join(text(&package["readme"])).is_file(), "{name}: there is no {}", package["readme"]);
        let keywords = texts(&package["keywords"]);
        assert!((1..=5).contains(&keywords.len()), "{name}: {keywords:?}");
        let is_keyword = |word: &&str| {
            let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+'));
            is_plain && word.len() <= 20 && word.starts_with(|first: char| first.is_ascii_alphanumeric())
        };
        assert!(keywords.iter().all(is_keyword), "{name}: {keywords:?}");
        let categories = texts(&package["categories"]);
        assert!((1..=5).contains(&categories.len()), "{name}: {categories:?}");
        assert!(categories.iter().all(|slug| CATEGORIES.contains(slug)), "{name}: {categories:?}");
    }
}

#[test]
fn published_crates_need_no_unpublished_one() {
    let packages = packages();
    let mut private: Vec<&str> = packages.iter().filter(|(_, package)| !is_published(package)).map(|(name, _)| name.as_str()).collect();
    private.sort_unstable();
    assert_eq!(private, PRIVATE);
    for (name, package) in packages.iter().filter(|(_, package)| is_published(package)) {
        let dependencies = package["dependencies"].as_array().expect("a list");
        // A development dependency without a version is left out of what is published.
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"].is_null()) {
            let Some(own) = packages.get(text(&dependency["name"])) else { continue };
            assert!(is_published(own), "{name} needs {}, which is not published", dependency["name"]);
            // Released together, they need not stay compatible with each other's other versions.
            assert_eq!(text(&dependency["req"]), format!("={}", text(&own["version"])), "{name}: {}", dependency["name"]);
        }
    }
}

#[test]
fn a_published_package_has_its_sources_readme_and_licences_and_no_tests() {
    for (name, _) in packages().iter().filter(|(_, package)| is_published(package)) {
        let listed = cargo(&["package", "--list", "--allow-dirty", "--offline", "--package", name]);
        let files: Vec<&str> = listed.lines().collect();
        for file in ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/lib.rs"] {
            assert!(files.contains(&file), "{name} has no {file}: {files:?}");
        }
        assert!(!files.iter().any(|file| file.starts_with("tests/")), "{name}: {files:?}");
    }
}

/// What `cargo binstall larder` fetches is what a release is called.
#[test]
fn binstall_finds_what_a_release_uploads() {
    let binstall = &packages()["larder"]["metadata"]["binstall"];
    let release = std::fs::read_to_string(root().join(".github/workflows/release.yml")).expect("the workflow");
    // The tag that a release is made of is `v` and the version.
    let named = |template: &str| {
        template.replace("{ version }", "1.2.3").replace("{ target }", "x86_64-unknown-linux-gnu").replace("{ bin }", "larder")
    };
    let line = release.lines().find_map(|line| line.trim().strip_prefix("name=\"")).expect("what the archive is called");
    let folder = line.trim_end_matches('"').replace("$GITHUB_REF_NAME", "v1.2.3").replace("$TARGET", "x86_64-unknown-linux-gnu");
    assert_eq!(named(text(&binstall["pkg-url"])), format!("{{ repo }}/releases/download/v1.2.3/{folder}.tar.gz"));
    assert_eq!(named(text(&binstall["bin-dir"])), format!("{folder}/larder"));
    for step in ["\"dist/$name.tar.gz\"", "\"stage/$name/\"", "tags: [\"v"] {
        assert!(release.contains(step), "{step}");
    }
}
