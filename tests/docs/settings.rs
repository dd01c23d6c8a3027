//! The configurations that pages show: each is one that Larder takes, with an upstream where it names none.

use std::fs;

use larder_testkit::larder::command;
use larder_testkit::{Error, Result};
use tempfile::TempDir;

use super::page::Page;

pub(super) fn are_right(page: &Page) -> Result<()> {
    for block in page.blocks.iter().filter(|block| block.language == "toml" && block.attribute("not-checked").is_none()) {
        let folder = TempDir::new()?;
        let upstream = if block.text.contains("[upstreams.") { "" } else { "\n[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n" };
        let route = if block.text.contains("[[routes]]") || block.text.contains("[[on_write]]") {
            ""
        } else {
            "\n[[routes]]\npath = \"/{*rest}\"\n"
        };
        fs::write(folder.path().join("config.toml"), format!("{}{upstream}{route}", block.text))?;
        let output = command()?
            .arg("check")
            .current_dir(folder.path())
            .env("LARDER_STORE_KEY", "0".repeat(64))
            .env("LARDER_TOKEN_CI", "0123456789abcdef")
            .output()?;
        if !output.status.success() {
            return Err(Error::new(format!("{}:{}: {}", page.name, block.line, String::from_utf8_lossy(&output.stderr))));
        }
    }
    Ok(())
}
