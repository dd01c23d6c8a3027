//! The OCI layout: umoci makes it, and what its command line has no flag for is put into the image's configuration afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::dockerfile::Stage;
use crate::run::{output, root, succeed};

pub(super) struct Layout<'a> {
    pub(super) folder: &'a Path,
    pub(super) tag: &'a str,
}

impl Layout<'_> {
    /// Writes the layout with these files as its one layer.
    pub(super) fn write(&self, files: &Path, stage: &Stage, architecture: &str, created: &str) -> Result<(), String> {
        if self.folder.exists() {
            fs::remove_dir_all(self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))?;
        }
        succeed(Command::new("umoci").args(["init", "--layout"]).arg(self.folder))?;
        let umoci = |command: &str| {
            let mut umoci = Command::new("umoci");
            umoci.args([command, "--image"]).arg(format!("{}:{}", self.folder.display(), self.tag));
            umoci
        };
        succeed(&mut umoci("new"))?;
        let mut insert = umoci("insert");
        if output(Command::new("id").arg("-u"))?.trim() != "0" {
            insert.arg("--rootless");
        }
        succeed(insert.args(["--history.created", created, "--history.created_by", "cargo xtask image"]).arg(files).arg("/"))?;
        let mut config = umoci("config");
        config.args(["--no-history", "--created", created, "--os", "linux", "--architecture", architecture, "--config.user", &stage.user]);
        let labels = stage.labels.iter().cloned().chain(self.labels(created));
        for (flag, values) in [
            ("--config.env", stage.environment.clone()),
            ("--config.exposedports", stage.ports.iter().map(|port| format!("{port}/tcp")).collect()),
            ("--config.entrypoint", stage.entrypoint.clone()),
            ("--config.cmd", stage.command.clone()),
            ("--config.label", labels.collect()),
        ] {
            for value in values {
                config.args([flag, &value]);
            }
        }
        succeed(&mut config)?;
        self.amend(|config| config["config"]["Healthcheck"] = stage.health_check.clone())?;
        succeed(Command::new("umoci").args(["gc", "--layout"]).arg(self.folder))?;
        // umoci keeps its files to their owner.
        succeed(Command::new("chmod").args(["--recursive", "a+rX"]).arg(self.folder))
    }

    /// What only a build knows.
    fn labels(&self, created: &str) -> Vec<String> {
        let mut labels =
            vec![format!("org.opencontainers.image.version={}", self.tag), format!("org.opencontainers.image.created={created}")];
        // A source without its history has no revision to tell.
        if let Ok(revision) = output(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root())) {
            labels.push(format!("org.opencontainers.image.revision={}", revision.trim()));
        }
        labels
    }

    /// Changes the image's configuration, and all digests that follow from it.
    fn amend(&self, change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let index_file = self.folder.join("index.json");
        let mut index = read(&index_file)?;
        let mut manifest = read(&self.blob(&index["manifests"][0])?)?;
        let mut config = read(&self.blob(&manifest["config"])?)?;
        change(&mut config);
        self.put(&config, &mut manifest["config"])?;
        self.put(&manifest, &mut index["manifests"][0])?;
        write(&index_file, &index)
    }

    fn blob(&self, descriptor: &Value) -> Result<PathBuf, String> {
        let digest = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).ok_or("a digest is no sha256")?;
        Ok(self.folder.join("blobs/sha256").join(digest))
    }

    /// Writes a blob, and names it in its descriptor.
    fn put(&self, blob: &Value, descriptor: &mut Value) -> Result<(), String> {
        let file = self.folder.join("blobs/sha256/new");
        write(&file, blob)?;
        let sum = output(Command::new("sha256sum").arg(&file))?;
        let digest = sum.split_whitespace().next().ok_or("sha256sum says nothing")?;
        descriptor["size"] = fs::metadata(&file).map_err(|error| error.to_string())?.len().into();
        descriptor["digest"] = format!("sha256:{digest}").into();
        fs::rename(&file, file.with_file_name(digest)).map_err(|error| format!("{}: {error}", file.display()))
    }
}

fn read(file: &Path) -> Result<Value, String> {
    let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, value: &Value) -> Result<(), String> {
    fs::write(file, value.to_string()).map_err(|error| format!("{}: {error}", file.display()))?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).map_err(|error| format!("{}: {error}", file.display()))
}
