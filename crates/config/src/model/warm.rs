//! `[[warm]]`: what is fetched before anybody asks for it.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};
use larder_message::authority;
use serde_json_path::JsonPath;

use super::ReadFile;

/// One of `[[warm]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmJob {
    /// Its name; no two have the same.
    pub name: String,
    /// Whether it runs when the process starts.
    pub on_start: bool,
    /// Whether it runs when a configuration comes into force.
    pub on_reload: bool,
    /// Whether a purge makes it fetch again what the purge reached of it.
    pub on_purge: bool,
    /// The time from the end of one run to the beginning of the next; `None`: there is none.
    pub every: Option<Duration>,
    /// When it runs each day.
    pub at: Option<TimeOfDay>,
    /// The URLs, source after source; never empty.
    pub sources: Vec<WarmSource>,
    /// What paths belong to.
    pub base: WarmBase,
    /// The fields of each request.
    pub headers: HeaderMap,
    /// Each URL is asked for once with the fields of each of them, besides `headers`; empty: once without more.
    pub variants: Vec<HeaderMap>,
    /// Requests at the same time.
    pub concurrency: usize,
    /// Requests a second at most; `None`: any number.
    pub rate: Option<u32>,
    /// Whether `/readyz` waits for its first run.
    pub ready: bool,
    /// How long it waits.
    pub ready_timeout: Duration,
    /// The files that it names.
    pub files: Vec<ReadFile>,
}

impl WarmJob {
    /// A job that runs when somebody asks for it.
    pub fn once(name: &str, sources: Vec<WarmSource>, base: WarmBase) -> Self {
        Self {
            name: name.to_owned(),
            on_start: false,
            on_reload: false,
            on_purge: false,
            every: None,
            at: None,
            sources,
            base,
            headers: HeaderMap::new(),
            variants: Vec::new(),
            concurrency: Self::CONCURRENCY,
            rate: None,
            ready: false,
            ready_timeout: Duration::ZERO,
            files: Vec::new(),
        }
    }

    /// Requests at the same time, where none says how many.
    pub(crate) const CONCURRENCY: usize = 4;
}

/// Where URLs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WarmSource {
    /// They stand in the configuration, or in a file that it names: whole URLs with `http` or `https`.
    Urls(Vec<Uri>),
    /// An answer lists what they are made of.
    List(WarmList),
    /// A sitemap, or an index of sitemaps.
    Sitemap(Uri),
    /// An access log: those that were asked for most.
    AccessLog(PathBuf),
    /// So many of those that clients ask for most.
    Hot(usize),
}

/// A list that an API gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmList {
    /// Its first page.
    pub from: Uri,
    /// Selects the items (RFC 9535): strings and numbers.
    pub each: JsonPath,
    /// The URL of an item, which stands in place of [`WarmList::PLACE`]; `None`: the items are URLs or paths themselves.
    pub url: Option<String>,
    /// Whether `Link` with `rel="next"` leads to further pages (RFC 8288).
    pub follow: bool,
    /// The pages that are read at most.
    pub pages: u32,
}

impl WarmList {
    /// The place of an item in a URL.
    pub const PLACE: &str = "{}";
}

/// What paths belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmBase {
    /// `http`, or `https` where any listener speaks TLS.
    pub scheme: &'static str,
    /// As clients name it.
    pub host: Option<String>,
}

impl WarmBase {
    /// The URL that is meant: a whole one, or a path at the host; `None` where it is neither, or there is no host.
    pub fn url(&self, text: &str) -> Option<Uri> {
        let whole = match &self.host {
            Some(host) if text.starts_with('/') => format!("{}://{host}{text}", self.scheme),
            _ => text.to_owned(),
        };
        let is_http = |uri: &Uri| uri.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
        let has_host = |uri: &Uri| uri.authority().is_some_and(|named| authority::is_valid(named.as_str().as_bytes()));
        whole.parse().ok().filter(|uri| is_http(uri) && has_host(uri))
    }
}

/// A time of each day, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    pub(crate) minutes: u32,
}

impl TimeOfDay {
    /// The time from now, which is so many milliseconds after the beginning of 1970, until it is next that time; never zero.
    pub fn from_now(self, now: u64) -> Duration {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        let then = u64::from(self.minutes) * 60 * 1000;
        Duration::from_millis((then + DAY - now % DAY - 1) % DAY + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_today_or_tomorrow_and_never_now() {
        const MINUTE: u64 = 60_000;
        let three = TimeOfDay { minutes: 180 };
        let minutes = |now: u64| three.from_now(20_000 * 24 * 60 * MINUTE + now * MINUTE).as_secs() / 60;
        assert_eq!([minutes(0), minutes(179), minutes(180), minutes(181)], [180, 1, 1440, 1439]);
    }
}
