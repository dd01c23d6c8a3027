//! The parts of a purge, each checked against what is configured.

use std::borrow::Cow;

use http::Uri;
use larder_semantics::Target;
use larder_store::{InvalidationTarget, NamedTag, Regex};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::active::ActiveConfig;
use crate::config::{self, NAME_TAG, Route};

/// Nothing of ASCII that a URL can hold: every byte beyond it is encoded all the same.
const NOT_ASCII: &AsciiSet = CONTROLS;

/// Longer ones are slips.
const MAX_TAG_BYTES: usize = 1024;

/// Longer patterns cost too much to compare.
const MAX_PATTERN_BYTES: usize = 1024;

const MAX_PREFIX_BYTES: usize = 8192;

/// The names that the running configuration has. Errors are ends of sentences for the client that purges.
pub(crate) struct Known<'a>(pub(crate) &'a ActiveConfig);

type Checked = Result<Vec<InvalidationTarget>, String>;

impl Known<'_> {
    /// A URL as the keys of its routes have it. What is not ASCII is meant as browsers send it (RFC 3987 §3.1), and as it stands: curl sends it
    /// so.
    pub(crate) fn url(&self, text: &str) -> Checked {
        let wrong = || format!("`{text}` is not an absolute URL like http://example.com/a?b=1.");
        // So a key begins that is for both schemes, and people paste it from the log.
        let text = &*text.strip_prefix("*://").map_or(Cow::Borrowed(text), |rest| Cow::Owned(format!("http://{rest}")));
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
        if !matches!(scheme, "http" | "https") || authority.as_str().contains('@') || text.contains('#') {
            return Err(wrong());
        }
        let target = Target { scheme, authority: authority.as_str(), path: uri.path(), query: uri.query() };
        let mut targets = self.target(target);
        if !text.is_ascii() {
            let encoded = |text: &str| utf8_percent_encode(text, NOT_ASCII).to_string();
            let (path, query) = (encoded(uri.path()), uri.query().map(encoded));
            targets.extend(self.target(Target { path: &path, query: query.as_deref(), ..target }));
        }
        Ok(targets)
    }

    /// The target URI of a request.
    pub(crate) fn target(&self, target: Target<'_>) -> Vec<InvalidationTarget> {
        self.0.routes.urls(target)
    }

    pub(crate) fn prefix(text: &str) -> Checked {
        let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        let known = text.split_once("://").is_none_or(|(scheme, rest)| is_http(scheme) && !rest.is_empty() && !rest.starts_with('/'));
        if text.is_empty() || text.len() > MAX_PREFIX_BYTES || !graphic || !known || text.contains(['?', '#', '*']) {
            return Err(format!("`{text}` is not a prefix: write example.com/api/v1, or /api/v1 for every host."));
        }
        Ok(vec![InvalidationTarget::Prefix(text.to_owned())])
    }

    pub(crate) fn path(text: &str) -> Checked {
        let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !text.starts_with('/') || text.len() > MAX_PREFIX_BYTES || !graphic || text.contains(['?', '#']) {
            return Err(format!("`{text}` is not a path: as clients send it, percent-encoded, and without a query."));
        }
        Ok(vec![InvalidationTarget::Path(text.to_owned())])
    }

    pub(crate) fn tag(text: &str) -> Checked {
        labelled("tag", text)?;
        Ok(vec![InvalidationTarget::Tag(text.to_owned())])
    }

    /// A name by `key.name`, which is a tag of what has it.
    pub(crate) fn name(&self, text: &str) -> Checked {
        if self.0.key_names.is_none() {
            return Err("no route gives names: set name in its key = {}.".to_owned());
        }
        labelled("name", text)?;
        Ok(vec![InvalidationTarget::Tag([NAME_TAG, text].concat())])
    }

    pub(crate) fn pattern(text: &str) -> Checked {
        let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
        let known = scheme.is_none_or(is_http);
        let whole = rest.contains('/') || rest.starts_with("**");
        if text.len() > MAX_PATTERN_BYTES || !graphic || text.contains(['?', '#']) || !known || !whole {
            return Err(format!(
                "`{text}` is not a pattern over host and path: *.example.com/api/*/board, where * stays in its segment and ** does not."
            ));
        }
        Ok(vec![InvalidationTarget::Pattern(as_in_keys(scheme, rest))])
    }

    pub(crate) fn regex(&self, text: &str) -> Checked {
        if !self.0.config.purge.regex {
            return Err("regular expressions are off: set regex = true in [purge], or write a pattern.".to_owned());
        }
        if text.is_empty() || text.len() > MAX_PATTERN_BYTES {
            return Err(format!("a regular expression has 1 to {MAX_PATTERN_BYTES} bytes."));
        }
        Regex::new(text).map_err(|why| format!("`{text}` is not a regular expression: {why}."))?;
        Ok(vec![InvalidationTarget::Regex(text.to_owned())])
    }

    pub(crate) fn route(&self, text: &str) -> Checked {
        let names = self.routes().map(|route| &*route.name);
        known("route", text, names)?;
        Ok(vec![InvalidationTarget::Route(text.to_owned())])
    }

    pub(crate) fn class(&self, text: &str) -> Checked {
        known("class", text, self.routes().filter_map(|route| route.class.as_deref()))?;
        Ok(vec![InvalidationTarget::Class(text.to_owned())])
    }

    pub(crate) fn namespace(&self, text: &str) -> Checked {
        known("namespace", text, self.routes().map(|route| route.settings.key.namespace.as_str()))?;
        Ok(vec![InvalidationTarget::Namespace(text.to_owned())])
    }

    fn routes(&self) -> impl Iterator<Item = &Route> {
        self.0.config.routes.iter().chain(&self.0.config.fallback)
    }
}

/// A tag, or a name: one of them, or all that begin so.
fn labelled(kind: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > MAX_TAG_BYTES || text.trim() != text || text.chars().any(char::is_control) {
        return Err(format!("`{text}` is not a {kind}: 1 to {MAX_TAG_BYTES} bytes without spaces around them."));
    }
    let literal = match NamedTag::read(text) {
        NamedTag::Family(prefix) => prefix,
        // A quoted star is said to be one of the tag's own.
        NamedTag::One(_) => text.strip_suffix(r"\*").unwrap_or(text),
    };
    if literal.contains('*') {
        return Err(format!("`{text}` is not a {kind}: a star may only follow a colon at its end."));
    }
    Ok(())
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
}

/// A pattern with its host as keys have it: in lower case, without the default port of its scheme. What `**` stands for may be a path.
fn as_in_keys(scheme: Option<&str>, pattern: &str) -> String {
    let end = [pattern.find('/'), pattern.find("**")].into_iter().flatten().min().unwrap_or(pattern.len());
    let (host, rest) = pattern.split_at(end);
    let default = scheme.map(|scheme| if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" });
    let host = default.and_then(|port| host.strip_suffix(port)).unwrap_or(host);
    host.to_ascii_lowercase() + rest
}

/// A misspelt name would purge nothing, without a word about it.
fn known<'n>(kind: &str, text: &str, names: impl Iterator<Item = &'n str>) -> Result<(), String> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    if names.contains(&text) {
        return Ok(());
    }
    let hint = config::nearest_hint(text, &names, "there are");
    let end = if hint.ends_with('?') { "" } else { "." };
    Err(format!("there is no {kind} `{text}`: {hint}{end}"))
}
