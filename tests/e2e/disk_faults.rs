//! File systems that are full, read-only or gone, under a real process: no client notices more than a miss.

use std::path::{Path, PathBuf};
use std::process::Command;

use larder_testkit::{Answer, Client, Larder, Origin, Response, Result};
use tempfile::TempDir;

const HOST: (&str, &str) = ("Host", "site.example");

const BODY: usize = 4 << 20;

/// A small file system of its own. Where this user may not mount one, a directory below a file stands in, which refuses everything too: what clients
/// see is judged in any case.
struct SmallDisk {
    folder: TempDir,
    is_mounted: bool,
}

impl SmallDisk {
    fn new(size: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let is_mounted = mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "larder-test", &folder.path().to_string_lossy()]);
        if !is_mounted {
            std::fs::write(folder.path().join("cache"), "in its way")?;
        }
        Ok(Self { folder, is_mounted })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn directory(&self) -> PathBuf {
        self.path().join("cache")
    }

    fn remount(&self, how: &str) -> bool {
        self.is_mounted && mount(&["-o", &format!("remount,{how}"), &self.path().to_string_lossy()])
    }

    /// It is gone while it is in use.
    fn detach(&mut self) {
        if std::mem::take(&mut self.is_mounted) {
            let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.detach();
    }
}

fn mount(arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).output().is_ok_and(|output| output.status.success())
}

async fn process(origin: &Origin, disk: &SmallDisk) -> Result<Larder> {
    let text = format!(
        "[store.memory]\ncapacity = \"64MiB\"\nmax_object = \"64KiB\"\n[cache]\nttl = \"1h\"\n[store.disk]\npath = \"{}\"\ncapacity = \"1GiB\"\nadmit = \"all\"\nwrite_rate = \"0B\"\ntimeout = \"10s\"\nbreaker = {{ failures = 2, open = \"100ms\" }}\n",
        disk.directory().display()
    );
    Larder::before(origin, &text).await
}

fn body_of(number: usize) -> String {
    format!("{number:08}").repeat(BODY / 8)
}

fn script(origin: &Origin, count: usize) {
    (0..count).for_each(|number| origin.always("GET", &format!("/{number}"), Answer::ok().body(body_of(number))));
}

async fn get(larder: &Larder, number: usize) -> Result<Response> {
    let response = larder.request("GET", &format!("/{number}"), &[HOST], "").await?;
    assert!(response.status == 200 && response.text() == body_of(number), "/{number}");
    Ok(response)
}

async fn purge(larder: &Larder, number: usize) -> Result<()> {
    let body = format!(r#"{{"urls":["http://site.example/{number}"]}}"#);
    let mut admin = Client::connect(larder.admin_address()).await?;
    let answer = admin.exchange("POST", "/purge", &[("Content-Type", "application/json")], &body).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn a_full_file_system_holds_what_it_can_and_costs_no_answer() -> Result<()> {
    let (origin, disk) = (Origin::start().await?, SmallDisk::new("150m")?);
    script(&origin, 60);
    let larder = process(&origin, &disk).await?;
    if disk.is_mounted {
        larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    }
    // Some two hundred megabytes, and room for two segments of 64.
    for number in 0..60 {
        get(&larder, number).await?;
    }
    for number in [0, 30, 59] {
        get(&larder, number).await?;
        purge(&larder, number).await?;
        assert_eq!(get(&larder, number).await?.x_cache(), "MISS", "a purge holds on a full disk");
    }
    if disk.is_mounted {
        assert!(larder.metric("larder_disk_lookups_total", &["result=\"hit\""]).await? >= 1.0, "the latest are there");
        assert_eq!(larder.metric("larder_disk_breaker", &["operation=\"read\""]).await?, 0.0);
    }
    Ok(())
}

#[tokio::test]
async fn a_read_only_file_system_is_left_out_until_it_can_be_written() -> Result<()> {
    let (origin, disk) = (Origin::start().await?, SmallDisk::new("300m")?);
    script(&origin, 4);
    let first = process(&origin, &disk).await?;
    get(&first, 0).await?;
    if disk.is_mounted {
        first.metric_reaches("larder_disk_written_total", &[], 1.0).await?;
    }
    first.terminate()?;
    assert!(first.exited().await?.success());
    let is_read_only = disk.remount("ro");
    let second = process(&origin, &disk).await?;
    for number in 0..4 {
        get(&second, number).await?;
        purge(&second, number).await?;
        assert_eq!(get(&second, number).await?.x_cache(), "MISS");
    }
    assert!(second.admin("/readyz").await?.text().contains(r#""state":"failing""#));
    if is_read_only {
        assert!(disk.remount("rw"));
        second.metric_reaches("larder_disk_ready", &[], 1.0).await?;
        assert_eq!(
            (get(&second, 0).await?.x_cache(), get(&second, 0).await?.x_cache()),
            ("MISS", "HIT"),
            "purged while it could not be written"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_file_system_that_is_gone_costs_misses_and_nothing_else() -> Result<()> {
    let (origin, mut disk) = (Origin::start().await?, SmallDisk::new("300m")?);
    script(&origin, 6);
    let larder = process(&origin, &disk).await?;
    get(&larder, 0).await?;
    disk.detach();
    for number in 0..6 {
        get(&larder, number).await?;
        purge(&larder, number).await?;
        get(&larder, number).await?;
    }
    larder.terminate()?;
    assert!(larder.exited().await?.success());
    Ok(())
}
