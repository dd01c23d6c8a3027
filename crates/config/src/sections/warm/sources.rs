//! Where the URLs of a job come from.

use std::path::PathBuf;

use http::Uri;
use serde_json_path::JsonPath;

use crate::model::{ReadFile, WarmBase, WarmList, WarmSource};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::cache::items;
use crate::sections::json_path::json_path;

const URLS_HINT: &str = "like urls = [\"/api/v1/issues\"] with host = \"www.example.com\", or whole URLs";
const URL: &str = "a URL or a path in quotes";

/// A job is a list that people write, or one that a program writes for them.
const MAX_URLS: usize = 1_000_000;

/// The most that `top` may say: as many URLs are kept with their counts, and some more.
const MAX_TOP: u64 = 10_000;

/// `None` if there is none, or one is wrong; mistakes are noted either way.
pub(super) fn read(table: &mut Table<'_>, base: &WarmBase, files: &mut Vec<ReadFile>) -> Option<Vec<WarmSource>> {
    const KEYS: [&str; 6] = ["urls", "urls_file", "from", "sitemap", "access_log", "top"];
    let mistakes = table.mistakes();
    let nothing = || Mistake::new("the job names nothing to fetch").hint(URLS_HINT);
    if !KEYS.iter().any(|key| table.has(key)) {
        mistakes.error(table.span(), nothing());
    }
    let mut sources = Vec::new();
    let listed = urls(table, base, files);
    sources.extend((!listed.is_empty()).then_some(WarmSource::Urls(listed)));
    sources.extend(list(table, base).map(WarmSource::List));
    sources.extend(table.parse("sitemap", URL, |text| url(text, base)).map(|sitemap| WarmSource::Sitemap(sitemap.into_inner())));
    sources.extend(access_log(table).map(WarmSource::AccessLog));
    sources.extend(table.integer("top", 1..=MAX_TOP).and_then(|top| usize::try_from(top).ok()).map(WarmSource::Hot));
    if sources.is_empty() && !mistakes.any_error() {
        mistakes.warning(table.span(), nothing());
    }
    (!sources.is_empty()).then_some(sources)
}

fn urls(table: &mut Table<'_>, base: &WarmBase, files: &mut Vec<ReadFile>) -> Vec<Uri> {
    let listed = table.list("urls", "URLs or paths in quotes", |text| url(text, base));
    let of_file = table.parse("urls_file", "a path in quotes", |path| {
        files.push(ReadFile::now(path));
        let text = std::fs::read_to_string(path).map_err(|error| {
            Mistake::new(format!("cannot read the URLs in {path}: {error}")).hint("a text file with one URL or path a line")
        })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.take(MAX_URLS).map(|line| url(line, base)).collect::<Result<Vec<_>, _>>().map_err(|mistake| mistake.within(path))
    });
    let mut urls = listed.map(items).unwrap_or_default();
    urls.extend(of_file.map(toml::Spanned::into_inner).unwrap_or_default());
    urls
}

/// `from`, with the keys that say how it is read.
fn list(table: &mut Table<'_>, base: &WarmBase) -> Option<WarmList> {
    let from = table.parse("from", URL, |text| url(text, base));
    let each = table.parse("each", "a JSONPath in quotes, like \"$.items[*].id\"", each);
    let template = table.parse("url", "a URL or a path with {} in quotes", |text| template(text, base));
    let follow = table.one_of("follow", &[("next", true)]);
    let pages = table.integer("pages", 1..=10_000);
    if !table.has("from") {
        let alone = ["each", "url", "follow", "pages"].into_iter().find(|key| table.has(key));
        if let Some(key) = alone {
            let mistake = Mistake::new(format!("`{key}` is about a list, and the job has none"));
            table.mistakes().error(table.span(), mistake.hint("add from = \"/api/v1/organizations\": the URL whose answer lists them"));
        }
        return None;
    }
    table.require("each", "like each = \"$.items[*].id\": a JSONPath (RFC 9535) that selects the items of the list");
    let pages = pages.and_then(|pages| u32::try_from(pages).ok()).unwrap_or(100);
    Some(WarmList {
        from: from?.into_inner(),
        each: each?.into_inner(),
        url: template.map(toml::Spanned::into_inner),
        follow: follow.is_some(),
        pages,
    })
}

fn each(text: &str) -> Result<JsonPath, Mistake> {
    json_path(text, "as RFC 9535 has it: \"$.items[*].id\", \"$[*]\", \"$..href\"")
}

/// A URL with a place for an item.
fn template(text: &str, base: &WarmBase) -> Result<String, Mistake> {
    if !text.contains(WarmList::PLACE) {
        let mistake = Mistake::new(format!("`{text}` has no place for an item"));
        return Err(mistake.hint("write {} where it stands: \"/api/v1/organizations/{}/board\""));
    }
    url(&text.replace(WarmList::PLACE, "0"), base).map(|_| text.to_owned())
}

/// A whole URL, or a path at the job's host.
fn url(text: &str, base: &WarmBase) -> Result<Uri, Mistake> {
    if text.starts_with('/') && base.host.is_none() {
        let mistake = Mistake::new(format!("`{text}` is a path, and the job names no host"));
        return Err(mistake.hint("add host = \"www.example.com\", as clients name it: it is a part of keys"));
    }
    base.url(text).ok_or_else(|| {
        Mistake::new(format!("`{text}` is nothing to fetch")).hint("a path that begins with `/`, or a URL with http or https")
    })
}

/// It is read when the job runs, for it grows all the time; so one that is not there yet is no error.
fn access_log(table: &mut Table<'_>) -> Option<PathBuf> {
    let path = table.parse("access_log", "a path in quotes", |path| Ok(PathBuf::from(path)))?;
    if let Err(error) = std::fs::File::open(path.get_ref()) {
        let mistake = Mistake::new(format!("cannot read the access log {}: {error}", path.get_ref().display()));
        let hint = "a log of Larder as JSON lines, or in the combined format that nginx and Apache write; it is read when the job runs";
        table.mistakes().warning(path.span(), mistake.hint(hint));
    }
    Some(path.into_inner())
}
