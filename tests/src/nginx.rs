//! nginx serving files: entity tags, dates, ranges.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use larder_testkit::process::Process;
use larder_testkit::{Error, Result};
use tempfile::TempDir;

/// A running nginx that serves the files of one folder. It is killed when dropped.
pub struct Nginx {
    address: SocketAddr,
    _process: Arc<Process>,
    _folder: Arc<TempDir>,
}

impl Nginx {
    /// Starts it with these files.
    pub async fn start(files: &[(&str, &[u8])]) -> Result<Self> {
        let folder = Arc::new(TempDir::new()?);
        let root = folder.path().join("files");
        std::fs::create_dir(&root)?;
        for (name, content) in files {
            std::fs::write(root.join(name), content)?;
        }
        super::on_a_free_address(|address| Self::start_at(address, Arc::clone(&folder))).await
    }

    async fn start_at(address: SocketAddr, folder: Arc<TempDir>) -> Result<Self> {
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, config_text(address, folder.path()))?;
        let process =
            Process::start("nginx", Command::new(program()?).arg("-e").arg("stderr").arg("-c").arg(&config).arg("-p").arg(folder.path()))?;
        super::listens(address, &process).await?;
        Ok(Self { address, _process: process, _folder: folder })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One process in the foreground, with every file it writes inside `folder`.
fn config_text(address: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    let temporary: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {folder}/{kind};")).concat();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
        events {{ worker_connections 256; }}
        http {{ access_log off; {temporary} server {{ listen {address}; root {folder}/files; }} }}"
    )
}

/// Debian installs it where only root's path looks.
fn program() -> Result<&'static Path> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(Path::new).into_iter().find(|program| program.is_file());
    program.ok_or_else(|| Error::new("nginx is not installed: run `cargo xtask test`, or `apt-get install nginx-light`"))
}
