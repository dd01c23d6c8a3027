//! `[[warm]]`: what is fetched before anybody asks for it.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderMap};
use http::{HeaderName, HeaderValue, Uri};
use larder_message::authority;
use larder_semantics::fields::is_hop_by_hop;
use toml::Spanned;

use crate::model::{ReadFile, Server, WarmJob};
use crate::parse::mistake::Mistake;
use crate::parse::reader::{Table, choose};
use crate::sections::cache::items;
use crate::sections::upstreams::positive;

const URLS_HINT: &str = "like urls = [\"/api/v1/issues\"] with host = \"www.example.com\", or whole URLs";
/// A job is a list that people write, or one that a program writes for them.
const MAX_URLS: usize = 1_000_000;

/// When a job runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Start,
    Reload,
}

/// Where a path stands, as far as the job says.
struct Base {
    scheme: &'static str,
    host: Option<String>,
}

/// The jobs that are right; mistakes are noted.
pub(crate) fn read(root: &mut Table<'_>, server: &Server) -> Vec<WarmJob> {
    let mut names = Vec::new();
    let is_https = server.listeners.iter().any(|listener| listener.tls.is_some());
    let scheme = if is_https { "https" } else { "http" };
    root.tables("warm").into_iter().filter_map(|table| job(table, scheme, &mut names)).collect()
}

fn job(mut table: Table<'_>, scheme: &'static str, names: &mut Vec<Spanned<String>>) -> Option<WarmJob> {
    let mistakes = table.mistakes();
    table.require("name", "like name = \"listings\": metrics and `larder warm` know the job by it");
    let name = table.parse("name", "a name in quotes, like \"listings\"", name);
    if let Some(name) = &name {
        if let Some(first) = names.iter().find(|first| first.get_ref() == name.get_ref()) {
            let mistake = Mistake::new(format!("there are two jobs called `{}`", name.get_ref()));
            mistakes.clash(name.span(), mistake.hint("give each its own name"), Some(first.span()), "first here");
        }
        names.push(name.clone());
    }
    let on = table.list("on", "\"start\" or \"reload\"", |text| choose("`on`", text, &[("start", On::Start), ("reload", On::Reload)]));
    let on = on.map_or_else(|| vec![On::Start], items);
    let every = positive(&mut table, "every");
    let host = table.parse("host", "a host in quotes, like \"www.example.com\"", host).map(Spanned::into_inner);
    let base = Base { scheme, host };
    let mut files = Vec::new();
    let urls = urls(&mut table, &base, &mut files);
    let headers = table.named_texts("headers", |name, text| Ok((field(name)?, value(text)?)));
    let concurrency = table.integer("concurrency", 1..=256).and_then(|count| usize::try_from(count).ok()).unwrap_or(4);
    let rate = table.parse("rate", "requests a second in quotes, like \"50/s\"", rate).map(Spanned::into_inner);
    let ready = table.boolean("ready").unwrap_or_default();
    let ready_timeout = positive(&mut table, "ready_timeout");
    if ready && !on.contains(&On::Start) {
        let mistake = Mistake::new("`ready` waits for a job that does not run at the start");
        mistakes.error(table.span(), mistake.hint("add \"start\" to `on`, or leave `ready` out"));
    }
    table.finish();
    let headers: HeaderMap = headers.into_iter().flatten().map(Spanned::into_inner).collect();
    Some(WarmJob {
        name: name?.into_inner(),
        on_start: on.contains(&On::Start),
        on_reload: on.contains(&On::Reload),
        every,
        urls: urls?,
        headers,
        concurrency,
        rate,
        ready,
        ready_timeout: ready_timeout.unwrap_or(Duration::from_secs(60)),
        files,
    })
}

/// `None` if there is none, or one is wrong; mistakes are noted either way.
fn urls(table: &mut Table<'_>, base: &Base, files: &mut Vec<ReadFile>) -> Option<Vec<Uri>> {
    let (span, mistakes) = (table.span(), table.mistakes());
    let listed = table.list("urls", "URLs or paths in quotes", |text| url(text, base));
    let of_file = table.parse("urls_file", "a path in quotes", |path| {
        files.push(ReadFile::now(path));
        let text = std::fs::read_to_string(path).map_err(|error| {
            Mistake::new(format!("cannot read the URLs in {path}: {error}")).hint("a text file with one URL or path a line")
        })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.take(MAX_URLS).map(|line| url(line, base)).collect::<Result<Vec<_>, _>>().map_err(|mistake| mistake.within(path))
    });
    if !table.has("urls") && !table.has("urls_file") {
        mistakes.error(span, Mistake::new("the job names nothing to fetch").hint(URLS_HINT));
        return None;
    }
    if (table.has("urls") && listed.is_none()) || (table.has("urls_file") && of_file.is_none()) {
        return None;
    }
    let mut urls = listed.map(items).unwrap_or_default();
    urls.extend(of_file.map(Spanned::into_inner).unwrap_or_default());
    if urls.is_empty() {
        mistakes.warning(span, Mistake::new("the job names nothing to fetch").hint(URLS_HINT));
        return None;
    }
    Some(urls)
}

/// A whole URL, or a path at the job's host.
fn url(text: &str, base: &Base) -> Result<Uri, Mistake> {
    let whole = match (&base.host, text.starts_with('/')) {
        (Some(host), true) => format!("{}://{host}{text}", base.scheme),
        (None, true) => {
            let mistake = Mistake::new(format!("`{text}` is a path, and the job names no host"));
            return Err(mistake.hint("add host = \"www.example.com\", as clients name it: it is a part of keys"));
        }
        (_, false) => text.to_owned(),
    };
    let uri = whole.parse::<Uri>().ok().filter(|uri| {
        uri.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https")
            && uri.authority().is_some_and(|named| authority::is_valid(named.as_str().as_bytes()))
    });
    uri.ok_or_else(|| {
        Mistake::new(format!("`{text}` is nothing to fetch")).hint("a path that begins with `/`, or a URL with http or https")
    })
}

fn name(text: &str) -> Result<String, Mistake> {
    let is_plain = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_plain {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(format!("`{text}` is not a name for a job")).hint("letters, digits, `-`, `_` and `.`"))
}

fn host(text: &str) -> Result<String, Mistake> {
    if authority::is_valid(text.as_bytes()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Mistake::new(format!("`{text}` is no host")).hint("a name or an address, with a port where clients name one"))
}

fn field(text: &str) -> Result<HeaderName, Mistake> {
    let name =
        HeaderName::try_from(text).map_err(|_| Mistake::new(format!("`{text}` is not the name of a field")).hint("like \"accept\""))?;
    if is_hop_by_hop(&name) || name == HOST || name == CONTENT_LENGTH {
        return Err(Mistake::new(format!("`{text}` is not the job's to say")).hint("`host` of the job, or a whole URL, names the host"));
    }
    Ok(name)
}

fn value(text: &str) -> Result<HeaderValue, Mistake> {
    HeaderValue::from_str(text).map_err(|_| Mistake::new(format!("`{text}` is not the value of a field")).hint("without line breaks"))
}

/// `"50/s"`
fn rate(text: &str) -> Result<u32, Mistake> {
    let rate = text.strip_suffix("/s").and_then(|count| count.parse().ok()).filter(|rate| (1..=100_000).contains(rate));
    rate.ok_or_else(|| Mistake::new(format!("`{text}` is not a number of requests a second")).hint("like \"50/s\""))
}
