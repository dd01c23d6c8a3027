//! `cargo xtask deb`: the Debian package, by dpkg-deb alone. cargo-deb packs files that are there; the manual pages and completions are made by the
//! binary that is packed, and what it depends on is read from it, so that a package cannot tell of another version.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::package::tree::Tree;
use crate::package::{binary, built, epoch, read, target};
use crate::run::output;

const USAGE: &str = "usage: cargo xtask deb [--binary FILE] [--output FOLDER] [--store]

  --binary FILE     pack this one; without it the release binary is built
  --output FOLDER   where the package goes, instead of target/debian
  --store           do not compress: for tests";

const CONFFILES: [&str; 2] = ["etc/larder/config.toml", "etc/logrotate.d/larder"];

struct Options {
    binary: Option<PathBuf>,
    output: PathBuf,
    compression: &'static str,
}

/// Builds the package and prints its path.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = options(arguments, target()?.join("debian"))?;
    let binary = built(options.binary.as_deref())?;
    let facts = binary::Facts::of(&binary)?;
    let name = format!("larder_{}-1_{}", env!("CARGO_PKG_VERSION"), facts.architecture);
    let tree = Tree::create(options.output.join(&name))?;
    stage(&tree, &binary)?;
    control(&tree, &facts)?;
    let package = options.output.join(format!("{name}.deb"));
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", options.compression, "--build"]).arg(tree.folder()).arg(&package);
    // Its words are not part of what this prints: the path of the package.
    output(build.env("SOURCE_DATE_EPOCH", epoch()?))?;
    println!("{}", package.display());
    Ok(())
}

fn options(arguments: &[String], output: PathBuf) -> Result<Options, String> {
    let mut options = Options { binary: None, output, compression: "-Zxz" };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().map(PathBuf::from).ok_or_else(|| format!("{argument} wants a value\n{USAGE}"));
        match argument.as_str() {
            "--binary" => options.binary = Some(value()?),
            "--output" => options.output = value()?,
            "--store" => options.compression = "-Znone",
            _ => return Err(format!("unknown argument {argument}\n{USAGE}")),
        }
    }
    Ok(options)
}

/// What the package installs.
fn stage(tree: &Tree, binary: &Path) -> Result<(), String> {
    tree.copy(binary, "usr/bin/larder", 0o755)?;
    let unit = read("deploy/larder.service")?.replace("/usr/local/bin/larder", "/usr/bin/larder");
    // How to install it by hand stands first.
    let unit = unit.split_once("\n\n").map_or("", |(_, rest)| rest);
    tree.write("usr/lib/systemd/system/larder.service", unit, 0o644)?;
    tree.write("usr/lib/sysusers.d/larder.conf", &read("deploy/debian/larder.sysusers")?, 0o644)?;
    tree.write("etc/larder/config.toml", &read("deploy/config.toml")?, 0o644)?;
    let rotation = read("deploy/larder.logrotate")?;
    tree.write("etc/logrotate.d/larder", rotation.split_once('\n').map_or("", |(_, rest)| rest), 0o644)?;
    let larder = |arguments: &[&str]| output(Command::new(binary).args(arguments));
    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/larder"),
        ("zsh", "usr/share/zsh/vendor-completions/_larder"),
        ("fish", "usr/share/fish/vendor_completions.d/larder.fish"),
    ] {
        tree.write(path, &larder(&["completions", shell])?, 0o644)?;
    }
    tree.compressed("usr/share/man/man1/larder.1", &larder(&["man"])?)?;
    for command in binary::commands(&larder(&["--help"])?) {
        tree.compressed(&format!("usr/share/man/man1/larder-{command}.1"), &larder(&["man", command])?)?;
    }
    let documents = "usr/share/doc/larder";
    tree.write(&format!("{documents}/copyright"), &read("deploy/debian/copyright")?, 0o644)?;
    tree.write(&format!("{documents}/examples/config.toml"), &read("config.toml")?, 0o644)?;
    tree.compressed(&format!("{documents}/changelog"), &read("CHANGELOG.md")?)?;
    tree.compressed(&format!("{documents}/changelog.Debian"), &changelog()?)
}

/// What tells dpkg about it.
fn control(tree: &Tree, facts: &binary::Facts) -> Result<(), String> {
    let size = tree.bytes()?.div_ceil(1024);
    let mut depends: Vec<String> = facts.libc.iter().map(|version| format!("libc6 (>= {version}), libgcc-s1")).collect();
    depends.push("systemd | systemd-standalone-sysusers | systemd-sysusers".to_owned());
    let fields = [
        ("Package", "larder".to_owned()),
        ("Version", format!("{}-1", env!("CARGO_PKG_VERSION"))),
        ("Architecture", facts.architecture.to_owned()),
        ("Maintainer", MAINTAINER.to_owned()),
        ("Installed-Size", size.to_string()),
        ("Depends", depends.join(", ")),
        ("Recommends", "ca-certificates".to_owned()),
        ("Suggests", "redis-server, logrotate, prometheus".to_owned()),
        ("Section", "web".to_owned()),
        ("Priority", "optional".to_owned()),
        ("Homepage", env!("CARGO_PKG_REPOSITORY").to_owned()),
        ("Description", DESCRIPTION.to_owned()),
    ];
    let sums = output(Command::new("sh").args(["-c", "find usr -type f | LC_ALL=C sort | xargs md5sum"]).current_dir(tree.folder()))?;
    tree.write("DEBIAN/md5sums", &sums, 0o644)?;
    tree.write("DEBIAN/conffiles", &CONFFILES.map(|path| format!("/{path}\n")).concat(), 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        tree.write(&format!("DEBIAN/{script}"), &read(&format!("deploy/debian/{script}"))?, 0o755)?;
    }
    tree.write("DEBIAN/control", &fields.map(|(name, value)| format!("{name}: {value}\n")).concat(), 0o644)
}

const MAINTAINER: &str = "The Larder maintainers <larder-cache@users.noreply.github.com>";

const DESCRIPTION: &str = "HTTP reverse-proxy response cache for REST backends
 Larder stands in front of REST and LLM backends and answers from memory, disk
 or Redis where RFC 9111 and the operator's configuration allow it. It gives a
 reason for every decision and serves on when its backend or Redis fails.";

/// Debian's own changelog: what changed in Larder is in the other.
fn changelog() -> Result<String, String> {
    let date = output(Command::new("date").args(["--utc", "--rfc-email", "--date"]).arg(format!("@{}", epoch()?)))?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!("larder ({version}-1) stable; urgency=medium\n\n  * Release {version}.\n\n -- {MAINTAINER}  {}\n", date.trim()))
}
