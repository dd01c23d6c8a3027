//! The book, built by mdBook from PyPI, which has it as a program that is built already.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_testkit::{Error, Result};
use tempfile::TempDir;

use super::root;

pub(super) fn is_built() -> Result<()> {
    let program = larder_tests::backends("python/bin/mdbook")?.join("python/bin/mdbook");
    let folder = TempDir::new()?;
    let output = Command::new(program).arg("build").arg(root().join("docs")).arg("--dest-dir").arg(folder.path()).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !said.contains("WARN") && !said.contains("ERROR"), "{said}");
    let mut lost = Vec::new();
    let mut count = 0;
    for page in pages(folder.path())? {
        count += 1;
        let text = fs::read_to_string(&page)?;
        for link in text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let path = link.split(['#', '?']).next().unwrap_or_default();
            let is_elsewhere = path.is_empty() || path.contains(':') || path.starts_with('/');
            if !is_elsewhere && !page.parent().unwrap_or(folder.path()).join(path).exists() {
                lost.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(lost.is_empty(), "links in the book that lead nowhere: {lost:#?}");
    if count > 20 { Ok(()) } else { Err(Error::new(format!("the book has {count} pages"))) }
}

/// All pages but the one that mdBook shows under every address that is not there.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(pages(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "html")
            && !path.ends_with("404.html")
            && !path.ends_with("toc.html")
        {
            found.push(path);
        }
    }
    Ok(found)
}
