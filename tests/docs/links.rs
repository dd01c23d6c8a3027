//! Where links lead. What is on other hosts is not asked for; what is in the repository is looked up, by its path or by its URL there.

use std::collections::BTreeSet;

use larder_testkit::{Error, Result};

use super::{files, read, root};

/// The repository as readers of the book see it.
pub(super) const REPOSITORY: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// Every page that people read.
fn pages() -> Result<Vec<String>> {
    let mut pages: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned).to_vec();
    for folder in ["docs", "examples", "deploy", "crates/layer", "crates/store", "crates/semantics", "tests/scenarios"] {
        pages.extend(files(folder, ".md")?);
    }
    Ok(pages)
}

/// The targets of links and pictures in a page, outside of blocks and of `code`.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut outside = String::new();
        line.split('`').step_by(2).for_each(|piece| outside.push_str(piece));
        for (at, _) in outside.match_indices("](") {
            let rest = &outside[at + 2..];
            found.extend(rest.find(')').map(|end| rest[..end].split_whitespace().next().unwrap_or_default().to_owned()));
        }
    }
    found
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    })
}

/// The names of a page's headings in links, as GitHub and mdBook make them.
fn headings(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let name: String =
            heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect();
        let free = std::iter::once(name.clone()).chain((1..).map(|number| format!("{name}-{number}"))).find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}

pub(super) fn all_lead_somewhere() -> Result<()> {
    let mut lost = Vec::new();
    for page in pages()? {
        let text = read(&page)?;
        for target in targets(&text) {
            if let Err(why) = leads(&page, &text, &target) {
                lost.push(format!("{page}: ({target}) {why}"));
            }
        }
    }
    assert!(lost.is_empty(), "links that lead nowhere:\n{}", lost.join("\n"));
    Ok(())
}

fn leads(page: &str, text: &str, target: &str) -> std::result::Result<(), &'static str> {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = match path.strip_prefix(REPOSITORY) {
        Some(path) => path.to_owned(),
        None if path.starts_with("http://") || path.starts_with("mailto:") => return Err("is neither https nor a path"),
        None if path.starts_with("https://") => return Ok(()),
        None if path.is_empty() => page.to_owned(),
        None => joined(page, path),
    };
    // The book has no other files, and what leads out of it is a link to the repository.
    if page.starts_with("docs/") && !file.starts_with("docs/") && !target.starts_with("https://") {
        return Err("leads out of the book: write the URL in the repository");
    }
    let place = root().join(&file);
    if !place.exists() {
        return Err("is not in the repository");
    }
    if heading.is_empty() || !file.ends_with(".md") {
        return Ok(());
    }
    let other = if file == page { text.to_owned() } else { read(&file).unwrap_or_default() };
    if headings(&other).contains(heading) { Ok(()) } else { Err("has no such heading") }
}

/// A path from a page, without `..`.
fn joined(page: &str, path: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

pub(super) fn the_contents_are_whole() -> Result<()> {
    let contents = read("docs/SUMMARY.md")?;
    let listed: Vec<String> = targets(&contents).iter().map(|target| joined("docs/SUMMARY.md", target)).collect();
    let once: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "a page stands twice");
    let pages: Vec<String> = files("docs", ".md")?.into_iter().filter(|page| page != "docs/SUMMARY.md").collect();
    assert_eq!(once.into_iter().collect::<Vec<_>>(), pages.iter().collect::<Vec<_>>(), "docs/SUMMARY.md and the pages in docs");
    Ok(())
}

pub(super) fn the_readme_is_short() -> Result<()> {
    let readme = read("README.md")?;
    let lines = readme.lines().count();
    assert!(lines <= 120, "it has {lines} lines: what is more belongs to the book");
    if readme.contains("docs/dashboard.png") { Ok(()) } else { Err(Error::new("it shows no picture")) }
}
