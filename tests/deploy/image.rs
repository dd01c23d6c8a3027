//! The container image that `cargo xtask image` makes without a daemon: read by skopeo, unpacked by umoci, and run as its configuration says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use larder_testkit::larder::binary;
use larder_testkit::process::Process;
use larder_testkit::wait::eventually;
use larder_testkit::{Client, Error, Result};
use larder_tests::free_address;
use serde_json::Value;
use tempfile::TempDir;

use super::{CONFIG, INSTALLED, asked_twice, run, xtask};

/// The layout with the binary under test, in this folder; its path and tag.
fn image(folder: &Path) -> Result<String> {
    // Debug information is most of a debug binary, and is nothing that is shipped.
    let (stripped, layout) = (folder.join("larder"), folder.join("layout"));
    run(Command::new("strip").arg("-o").arg(&stripped).arg(binary()?))?;
    let mut build = xtask()?;
    build.args(["image", "--binary"]).arg(&stripped).arg("--output").arg(layout);
    // Outside a repository, too, it is the same image.
    Ok(run(build.env("SOURCE_DATE_EPOCH", "1700000000"))?.trim().to_owned())
}

fn config(image: &str) -> Result<Value> {
    let text = run(Command::new("skopeo").args(["inspect", "--raw", "--config", &format!("oci:{image}")]))?;
    Ok(serde_json::from_str(&text)?)
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_layout_says_what_the_dockerfile_says_and_is_the_same_each_time() -> Result<()> {
    let (folder, again) = (TempDir::new()?, TempDir::new()?);
    let image = image(folder.path())?;
    let whole = config(&image)?;
    let config = &whole["config"];
    assert_eq!((&whole["os"], config["User"].as_str()), (&Value::from("linux"), Some("nonroot")));
    assert_eq!((words(&config["Entrypoint"]), words(&config["Cmd"])), (vec![INSTALLED], vec!["serve", "--config", CONFIG]));
    assert_eq!(words(&config["Env"]), ["LARDER_LISTEN=0.0.0.0:8080"]);
    assert_eq!(words(&config["Healthcheck"]["Test"]), ["CMD", INSTALLED, "ready"]);
    assert_eq!(config["Healthcheck"]["Interval"].as_u64(), Some(10_000_000_000));
    assert!(["8080/tcp", "8090/tcp"].iter().all(|port| config["ExposedPorts"][port].is_object()), "{config}");
    for (label, value) in
        [("source", env!("CARGO_PKG_REPOSITORY")), ("licenses", env!("CARGO_PKG_LICENSE")), ("version", env!("CARGO_PKG_VERSION"))]
    {
        assert_eq!(config["Labels"][&format!("org.opencontainers.image.{label}")], value, "{config}");
    }
    // A copy reads every blob, and compares it with its digest.
    let copy = format!("dir:{}", folder.path().join("copy").display());
    run(Command::new("skopeo").args(["--insecure-policy", "copy", &format!("oci:{image}"), &copy]))?;
    // As a daemon takes it, with its health check.
    let archive = folder.path().join("image.tar");
    let docker = format!("docker-archive:{}:larder:test", archive.display());
    run(Command::new("skopeo").args(["--insecure-policy", "copy", &format!("oci:{image}"), &docker]))?;
    let loaded = run(Command::new("skopeo").args(["inspect", "--raw", "--config", &format!("docker-archive:{}", archive.display())]))?;
    assert_eq!(serde_json::from_str::<Value>(&loaded)?["config"]["Healthcheck"], config["Healthcheck"]);
    let digest = |image: &str| run(Command::new("skopeo").args(["inspect", "--format", "{{.Digest}}", &format!("oci:{image}")]));
    assert_eq!(digest(&image)?, digest(&self::image(again.path())?)?, "two builds of the same are two images");
    Ok(())
}

/// An image unpacked, which runs as a container would: with its root and its user, and nothing but its own environment.
struct Container {
    bundle: PathBuf,
    config: Value,
    is_root: bool,
}

impl Container {
    fn unpacked(image: &str, folder: &Path) -> Result<Self> {
        let (bundle, is_root) = (folder.join("bundle"), rustix::process::getuid().is_root());
        let mut unpack = Command::new("umoci");
        unpack.arg("unpack");
        if !is_root {
            unpack.arg("--rootless");
        }
        run(unpack.args(["--image", image]).arg(&bundle))?;
        Ok(Self { bundle, config: config(image)?["config"].clone(), is_root })
    }

    fn root(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// The number of the user that it names, from its own list.
    fn user(&self) -> Result<String> {
        let users = fs::read_to_string(self.root().join("etc/passwd"))?;
        let name = format!("{}:x:", self.config["User"].as_str().unwrap_or_default());
        let id = users.lines().find_map(|line| line.strip_prefix(&name)?.split(':').next().map(str::to_owned));
        id.ok_or_else(|| Error::new(format!("the image's user is not in its list: {users}")))
    }

    fn command(&self, words: &[&str], environment: &[(&str, String)]) -> Result<Command> {
        let mut command = if self.is_root {
            let mut chroot = Command::new("chroot");
            let user = self.user()?;
            chroot.arg(format!("--userspec={user}:{user}"));
            chroot
        } else {
            // Without root there is only one user to be.
            let mut unshare = Command::new("unshare");
            unshare.args(["--map-root-user", "chroot"]);
            unshare
        };
        command.arg(self.root()).args(words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(words_of(&self.config["Env"])).envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        Ok(command)
    }

    /// Every path in it.
    fn paths(&self) -> Result<String> {
        run(Command::new("find").arg(self.root()).args(["-printf", "%P %s %U %m\n"]))
    }
}

fn words_of(environment: &Value) -> Vec<(&str, &str)> {
    words(environment).into_iter().filter_map(|pair| pair.split_once('=')).collect()
}

#[tokio::test]
async fn what_is_in_the_layout_runs_without_root_answers_its_health_check_and_writes_nothing() -> Result<()> {
    let folder = TempDir::new()?;
    let container = Container::unpacked(&image(folder.path())?, folder.path())?;
    let said = run(&mut container.command(&[INSTALLED, "--version"], &[])?)?;
    assert_eq!(said.trim(), format!("larder {}", env!("CARGO_PKG_VERSION")));
    let before = container.paths()?;
    let listed = |name: &str| before.lines().any(|line| line.starts_with(&format!("{name} ")));
    assert!(listed("etc/ssl/certs/ca-certificates.crt") && !listed("bin/sh") && !listed("usr/bin/sh"), "{before}");

    // The ports of the image may be taken here: only they are others.
    let (public, admin) = (free_address()?, free_address()?);
    let here = [("LARDER_LISTEN", public.to_string()), ("LARDER_ADMIN_LISTEN", admin.to_string())];
    let start = [words(&container.config["Entrypoint"]), words(&container.config["Cmd"])].concat();
    let process = Process::start("larder", &mut container.command(&start, &here)?)?;
    let check = words(&container.config["Healthcheck"]["Test"]);
    let healthy = || async { Ok(container.command(&check[1..], &here)?.output()?.status.success().then_some(())) };
    eventually("waiting for the health check", healthy).await.map_err(|error| process.explain(error))?;
    assert_eq!(owner(&process)?, if container.is_root { container.user()? } else { rustix::process::getuid().as_raw().to_string() });
    // Its backend is a name that only a container's network knows.
    let answer = Client::connect(public).await?.exchange("GET", "/", &[], "").await?;
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
    drop(process);
    // What the quick start asks of a stranger.
    let backend = free_address()?.to_string();
    let process = Process::start("larder demo", &mut container.command(&[INSTALLED, "demo", "--backend", &backend], &here)?)?;
    eventually("waiting for the demo", healthy).await.map_err(|error| process.explain(error))?;
    assert_eq!(asked_twice(public, "/api/v1/issues/7").await?, ["MISS", "HIT"]);
    drop(process);
    assert_eq!(container.paths()?, before, "it writes into its own files");
    Ok(())
}

/// Whom a process runs as.
fn owner(process: &Arc<Process>) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    Ok(line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned())
}
