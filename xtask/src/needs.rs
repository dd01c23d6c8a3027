//! What the tests need besides cargo: nginx, curl, valgrind and redis-server from the system, and json-server from the npm registry, which needs node.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{build_folder, root, succeed, works};

/// A program and the Debian package that has it.
struct Need {
    package: &'static str,
    program: &'static str,
    version_flag: &'static str,
}

const NEEDS: [Need; 6] = [
    Need { package: "nginx", program: "/usr/sbin/nginx", version_flag: "-v" },
    Need { package: "curl", program: "curl", version_flag: "--version" },
    Need { package: "nodejs", program: "node", version_flag: "--version" },
    Need { package: "npm", program: "npm", version_flag: "--version" },
    Need { package: "valgrind", program: "valgrind", version_flag: "--version" },
    Need { package: "redis-server", program: "redis-server", version_flag: "--version" },
];

/// Sees to it that everything is there: installs it where that is allowed, or says in one line what to install.
pub(crate) fn provide() -> Result<(), String> {
    let missing = missing();
    if !missing.is_empty() {
        install(&missing)?;
    }
    json_server()
}

fn missing() -> Vec<&'static str> {
    NEEDS.iter().filter(|need| !works(Command::new(need.program).arg(need.version_flag))).map(|need| need.package).collect()
}

fn install(packages: &[&str]) -> Result<(), String> {
    let advice = format!("the tests need more than is installed; run: apt-get install {}", packages.join(" "));
    if !is_root() || !works(Command::new("apt-get").arg("--version")) {
        return Err(advice);
    }
    succeed(Command::new("apt-get").arg("update"))?;
    let mut command = Command::new("apt-get");
    command.args(["install", "--yes", "--no-install-recommends"]).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    succeed(&mut command)?;
    if missing().is_empty() { Ok(()) } else { Err(advice) }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Installs the backends of `tests/backends` beside the build, in the versions of its lock file.
fn json_server() -> Result<(), String> {
    let target = build_folder()?.parent().map(|folder| folder.join("backends")).ok_or("the build folder has no parent")?;
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

fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}
