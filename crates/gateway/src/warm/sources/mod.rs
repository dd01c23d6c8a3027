//! The URLs of a job, one after the other: none of the sources is held whole in memory where it can be long.

mod access_log;
mod list;
mod sitemap;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use http_body_util::{BodyExt, Limited};
use tokio::sync::mpsc;

use super::item::{Extent, Item};
use super::request::{get, is_due};
use crate::config::WarmSource;
use crate::jobs::{Fetched, Job};
use crate::proxy::Gateway;
use crate::telemetry::observe::HotUrl;

/// URLs of one run at most.
const MAX_URLS: u64 = 1_000_000;

/// Bytes of one list: more than an API gives in a page, and a sitemap may have (50 MiB unpacked, by its protocol).
const MAX_LIST: usize = 50 << 20;

/// How long one may take to come: an answer without an end would hold its job for ever.
const MAX_TIME: Duration = Duration::from_secs(300);

/// Looks at what a purge has reached between which others have their turn.
const BREATH: u32 = 64;

/// Finds all URLs of a job, and hands them on.
pub(super) async fn find(gateway: Arc<Gateway>, job: Arc<Job>, extent: Extent, found: mpsc::Sender<Item>) {
    let mut finder = Finder { gateway, job: Arc::clone(&job), extent, found, count: 0, looks: 0 };
    for source in &job.config.sources {
        let found = match source {
            WarmSource::Urls(urls) => finder.all(urls.iter().cloned()).await,
            WarmSource::Hot(top) => finder.hot(*top).await,
            // What a purge reaches of these is not known without asking for them.
            _ if extent == Extent::Purged => Ok(()),
            WarmSource::List(list) => list::find(&mut finder, list).await,
            WarmSource::Sitemap(sitemap) => sitemap::find(&mut finder, sitemap).await,
            WarmSource::AccessLog(path) => access_log::find(&mut finder, path).await,
        };
        finder.job.holds(0);
        if found.is_err() {
            return;
        }
    }
}

/// The run wants no more.
#[derive(Debug)]
struct Enough;

/// Hands on what the sources find.
struct Finder {
    gateway: Arc<Gateway>,
    job: Arc<Job>,
    extent: Extent,
    found: mpsc::Sender<Item>,
    count: u64,
    looks: u32,
}

impl Finder {
    async fn all(&mut self, urls: impl IntoIterator<Item = Uri>) -> Result<(), Enough> {
        for url in urls {
            self.url(url, None).await?;
        }
        Ok(())
    }

    /// A URL or a path that a source names.
    async fn named(&mut self, text: &str) -> Result<(), Enough> {
        match self.job.config.base.url(text) {
            Some(url) => self.url(url, None).await,
            None => {
                self.job.found_wrong("no-url");
                Ok(())
            }
        }
    }

    async fn hot(&mut self, top: usize) -> Result<(), Enough> {
        for hot in self.gateway.observers.hot(top) {
            match self.job.config.base.url(&hot.url) {
                Some(url) => self.url(url, Some(hot)).await?,
                // Of a key without a host it is not known which one to ask for.
                None => self.job.found_odd("no-host"),
            }
        }
        Ok(())
    }

    /// Hands on a URL, once for each variant.
    async fn url(&mut self, url: Uri, hot: Option<HotUrl>) -> Result<(), Enough> {
        let (job, plain) = (Arc::clone(&self.job), [HeaderMap::new()]);
        let variants = if job.config.variants.is_empty() { &plain[..] } else { &job.config.variants };
        for variant in variants {
            if self.count >= MAX_URLS {
                self.job.found_odd("too-many");
                return Err(Enough);
            }
            self.count += 1;
            let fields = fields(hot.as_ref(), [&job.config.headers, variant]);
            let item = Item { url: url.clone(), fields, hot: hot.clone().map(Box::new), tries: 0 };
            if self.is_due(&item).await {
                self.job.found(1);
                self.found.send(item).await.map_err(|_| Enough)?;
            }
        }
        Ok(())
    }

    async fn is_due(&mut self, item: &Item) -> bool {
        if self.extent == Extent::Purged {
            self.looks += 1;
            if self.looks.is_multiple_of(BREATH) {
                tokio::task::yield_now().await;
            }
        }
        is_due(&self.gateway, item, self.extent)
    }

    /// The whole answer of a source, on the way of a client's request. What is wrong with it is noted.
    async fn answer(&self, url: &Uri) -> Option<(HeaderMap, Bytes)> {
        let wrong = |reason: &'static str| {
            self.job.found_wrong(reason);
            None
        };
        let served = match get(&self.gateway, url, &self.job.config.headers).await {
            Ok(served) => served,
            Err(Fetched::NotStored(reason) | Fetched::Failed(reason)) => return wrong(reason),
            Err(_) => return wrong("list-failed"),
        };
        let (parts, body) = served.response.into_parts();
        if !parts.status.is_success() {
            return wrong("list-failed");
        }
        let Ok(read) = tokio::time::timeout(MAX_TIME, Limited::new(body, MAX_LIST).collect()).await else { return wrong("list-too-slow") };
        let body = match read {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => return wrong("list-too-long"),
            Err(_) => return wrong("broken-off"),
        };
        match unpacked(&parts.headers, body) {
            Some(body) => {
                self.job.holds(body.len());
                Some((parts.headers, body))
            }
            None => wrong("list-unreadable"),
        }
    }
}

/// Without its coding, where it has one; `None` where that cannot be undone.
fn unpacked(headers: &HeaderMap, body: Bytes) -> Option<Bytes> {
    if !headers.contains_key(http::header::CONTENT_ENCODING) {
        return Some(body);
    }
    larder_coding::decoded(headers, &body, MAX_LIST).map(Bytes::from)
}

/// The fields of a request: those of a client that has asked for it, and over them those of the job.
fn fields(hot: Option<&HotUrl>, of_job: [&HeaderMap; 2]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in hot.into_iter().flat_map(|hot| hot.fields.iter().chain(&hot.keyed)) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            fields.insert(name, value);
        }
    }
    for (name, value) in of_job.into_iter().flatten() {
        fields.insert(name.clone(), value.clone());
    }
    fields
}
