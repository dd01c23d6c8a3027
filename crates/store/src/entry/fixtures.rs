//! Keys, heads and requests for tests.

use http::header::ETAG;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_semantics::{
    FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredHead, Target, Timestamp, VarySpec,
};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_000);

fn rules() -> KeyRules {
    KeyRules::default()
}

pub(crate) fn key(path: &str) -> PrimaryKey {
    let mut buffer = KeyBuffer::default();
    let target = Target { scheme: "http", authority: "example.com", path, query: None };
    rules().derive(target, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

pub(crate) fn head(date: Timestamp, etag: Option<&'static str>) -> StoredHead {
    let fields: HeaderMap = etag.iter().map(|etag| (ETAG, HeaderValue::from_static(etag))).collect();
    StoredHead {
        status: StatusCode::OK,
        headers: (&fields).into(),
        response_time: date,
        initial_age: 0,
        lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
        stale_while_revalidate: 0,
        stale_if_error: 0,
        flags: HeadFlags::default(),
        origin_control: None,
        date_seconds: date.as_secs(),
    }
}

pub(crate) fn accepting(language: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-flavour"), HeaderValue::from_static(language))])
}

pub(crate) fn by_flavour() -> VarySpec {
    VarySpec::new(vec![HeaderName::from_static("x-flavour")])
}
