//! The Debian package that `cargo xtask deb` makes: what is in it, and what dpkg does with it in a folder of its own (`--root`), with the package's
//! scripts run there and nothing of this machine changed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_testkit::larder::{address_after, binary, command};
use larder_testkit::process::Process;
use larder_testkit::{Answer, Origin, Result};
use tempfile::TempDir;

use super::{CONFIG, asked_twice, run, xtask};

/// The package with the binary under test, uncompressed, in this folder.
fn package(folder: &Path) -> Result<PathBuf> {
    let mut build = xtask()?;
    build.args(["deb", "--store", "--binary"]).arg(binary()?).arg("--output").arg(folder);
    Ok(run(&mut build)?.trim().into())
}

/// The same package as a later version whose configuration has changed.
fn next(package: &Path, folder: &Path) -> Result<PathBuf> {
    let (tree, later) = (folder.join("later"), folder.join("later.deb"));
    run(Command::new("dpkg-deb").arg("--raw-extract").args([package, &tree]))?;
    for (file, from, to) in [("DEBIAN/control", "\nVersion: ", "\nVersion: 1:"), ("etc/larder/config.toml", "256MiB", "512MiB")] {
        let text = fs::read_to_string(tree.join(file))?;
        assert!(text.contains(from), "{file}: {text}");
        fs::write(tree.join(file), text.replacen(from, to, 1))?;
    }
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).args([&tree, &later]))?;
    Ok(later)
}

/// Path, mode and owner of what the package installs, without folders.
fn contents(package: &Path) -> Result<Vec<(String, String, String)>> {
    let listing = run(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some((words.get(5)?.trim_start_matches('.').to_owned(), (*words.first()?).to_owned(), (*words.get(1)?).to_owned()))
    };
    let mut entries: Vec<_> = listing.lines().filter_map(entry).collect();
    assert!(entries.iter().all(|(_, mode, _)| ["drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"].contains(&mode.as_str())), "{listing}");
    entries.retain(|(_, mode, _)| mode.starts_with('-'));
    Ok(entries)
}

#[test]
fn the_package_has_all_that_an_operator_looks_for_and_nothing_of_its_builder() -> Result<()> {
    let folder = TempDir::new()?;
    let package = package(folder.path())?;
    let entries = contents(&package)?;
    assert!(entries.iter().all(|(_, _, owner)| owner == "root/root"), "{entries:?}");
    let runnable: Vec<&str> = entries.iter().filter(|(_, mode, _)| mode.contains('x')).map(|(path, ..)| path.as_str()).collect();
    assert_eq!(runnable, ["/usr/bin/larder"]);
    let has = |path: &str| entries.iter().any(|(entry, ..)| entry == path);
    for path in [
        CONFIG,
        "/etc/logrotate.d/larder",
        "/usr/lib/systemd/system/larder.service",
        "/usr/lib/sysusers.d/larder.conf",
        "/usr/share/bash-completion/completions/larder",
        "/usr/share/doc/larder/changelog.Debian.gz",
        "/usr/share/doc/larder/copyright",
        "/usr/share/fish/vendor_completions.d/larder.fish",
        "/usr/share/man/man1/larder.1.gz",
        "/usr/share/man/man1/larder-explain-reason.1.gz",
        "/usr/share/zsh/vendor-completions/_larder",
    ] {
        assert!(has(path), "no {path}: {entries:?}");
    }
    let help = String::from_utf8_lossy(&command()?.arg("--help").output()?.stdout).into_owned();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    for name in listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        assert!(has(&format!("/usr/share/man/man1/larder-{name}.1.gz")), "{name} has no manual page");
    }
    let again = TempDir::new()?;
    let other = self::package(again.path())?;
    assert!(fs::read(&package)? == fs::read(other)?, "two builds of the same are two packages");
    Ok(())
}

#[test]
fn what_tells_dpkg_about_the_package_is_whole() -> Result<()> {
    let folder = TempDir::new()?;
    let package = package(folder.path())?;
    let control = folder.path().join("control");
    run(Command::new("dpkg-deb").arg("--control").args([&package, &control]))?;
    for script in ["postinst", "prerm", "postrm"] {
        run(Command::new("sh").arg("-n").arg(control.join(script)))?;
        assert!(fs::read_to_string(control.join(script))?.starts_with("#!/bin/sh\n"), "{script}");
    }
    assert_eq!(fs::read_to_string(control.join("conffiles"))?, format!("{CONFIG}\n/etc/logrotate.d/larder\n"), "all that is in /etc");
    let field = |name: &str| run(Command::new("dpkg-deb").arg("--field").arg(&package).arg(name)).map(|value| value.trim().to_owned());
    assert_eq!(field("Version")?, format!("{}-1", env!("CARGO_PKG_VERSION")));
    let depends = field("Depends")?;
    assert!(depends.starts_with("libc6 (>= 2.") && depends.contains("systemd-sysusers"), "{depends}");
    let sums = fs::read_to_string(control.join("md5sums"))?.lines().count();
    let outside = contents(&package)?.iter().filter(|(path, ..)| !path.starts_with("/etc/")).count();
    assert_eq!(sums, outside, "dpkg --verify knows all but the conffiles");
    Ok(())
}

/// A folder that dpkg takes for a system of its own.
struct System(TempDir);

impl System {
    fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        for path in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"] {
            fs::create_dir_all(folder.path().join(path))?;
        }
        for path in ["var/lib/dpkg/status", "var/lib/dpkg/available"] {
            fs::write(folder.path().join(path), "")?;
        }
        Ok(Self(folder))
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    /// What the package depends on is not there; `confold` is what an operator answers who keeps a file that was changed.
    fn dpkg(&self, action: &str, subject: impl AsRef<OsStr>) -> Result<String> {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg(format!("--root={}", self.0.path().display())).arg(format!("--log={}", self.at("dpkg.log").display()));
        dpkg.arg("--force-not-root,script-chrootless,depends,confdef,confold").arg(action).arg(subject);
        // dpkg looks for these on the path, which a user's may lack.
        run(dpkg.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }
}

#[tokio::test]
async fn an_installation_runs_and_what_the_operator_wrote_stays_until_it_is_purged() -> Result<()> {
    let folder = TempDir::new()?;
    let package = package(folder.path())?;
    let system = System::new()?;
    system.dpkg("--install", &package)?;
    let users = fs::read_to_string(system.at("etc/passwd"))?;
    assert!(users.lines().any(|line| line.starts_with("larder:") && line.ends_with("/nologin")), "{users}");
    let unit = fs::read_to_string(system.at("usr/lib/systemd/system/larder.service"))?;
    for line in
        ["ExecStart=/usr/bin/larder serve --config /etc/larder/config.toml", "ExecReload=/bin/kill -HUP $MAINPID", "StateDirectory=larder"]
    {
        assert!(unit.lines().any(|found| found == line), "no {line}: {unit}");
    }
    let origin = Origin::start().await?;
    origin.always("GET", "/", Answer::ok().header("Cache-Control", "max-age=60").body("hello"));
    let own = fs::read_to_string(system.at(CONFIG))?.replace("256MiB", "1GiB").replace("http://127.0.0.1:3000", &origin.url());
    fs::write(system.at(CONFIG), &own)?;
    let mut serve = Command::new(system.at("usr/bin/larder"));
    serve.arg("serve").arg("--config").arg(system.at(CONFIG)).args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let process = Process::start("larder", serve.env_remove("REDIS_URL"))?;
    let admin = process.line("`admin on`", |line| address_after(line, "admin on http://")).await?.to_string();
    run(Command::new(system.at("usr/bin/larder")).args(["ready", "--admin", &admin, "--timeout", "9s"]))?;
    let public = process.line("`listening`", |line| address_after(line, "listening on http://")).await?;
    assert_eq!(asked_twice(public, "/").await?, ["MISS", "HIT"]);
    drop(process);

    system.dpkg("--install", next(&package, folder.path())?)?;
    assert_eq!(fs::read_to_string(system.at(CONFIG))?, own, "an upgrade keeps what the operator wrote");
    assert!(fs::read_to_string(system.at(&format!("{CONFIG}.dpkg-dist")))?.contains("512MiB"), "and puts the new one beside it");

    let kept = ["var/lib/private/larder", "var/log/private/larder"].map(|path| system.at(path));
    kept.iter().try_for_each(fs::create_dir_all)?;
    system.dpkg("--remove", "larder")?;
    assert!(!system.at("usr/bin/larder").exists() && kept.iter().all(|folder| folder.exists()));
    assert_eq!(fs::read_to_string(system.at(CONFIG))?, own, "a removal keeps it too");
    system.dpkg("--purge", "larder")?;
    assert!(!system.at("etc/larder").exists() && !kept.iter().any(|folder| folder.exists()));
    assert!(!system.at("etc/logrotate.d").exists());
    Ok(())
}
