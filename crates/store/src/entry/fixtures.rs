//! Keys, heads, bodies and requests for tests.

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_semantics::{
    FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredHead, Target, Timestamp, VarySpec,
};

use super::{BodyBuilder, BodyCodec, StoredResponse};
use crate::ledger::Position;

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

/// A response with this body, from the first fetch.
pub(crate) fn response_with_body(path: &str, body: &str) -> StoredResponse {
    let mut builder = BodyBuilder::new(body.len() as u64);
    builder.push(body.as_bytes());
    let body = builder.finish(None).expect("complete");
    StoredResponse::new(&key(path), None, &head(NOW, None), body, &[], Position::default(), 1)
}

/// Packs runs of one byte, of which each piece says the byte and how many follow each other, 65,535 at most.
#[derive(Debug)]
pub(crate) struct Runs;

impl BodyCodec for Runs {
    fn suits(&self, _: &StoredHead, length: u64) -> bool {
        length > 0
    }

    fn pack(&self, body: &Bytes) -> Option<Bytes> {
        let runs = body.chunk_by(|one, next| one == next).flat_map(|run| run.chunks(usize::from(u16::MAX)));
        let packed: Vec<u8> = runs.flat_map(|run| [run[0], (run.len() >> 8) as u8, run.len() as u8]).collect();
        (packed.len() < body.len()).then(|| packed.into())
    }

    fn unpack(&self, packed: &Bytes, length: usize) -> Option<Bytes> {
        let run = |piece: &[u8]| std::iter::repeat_n(piece[0], usize::from(piece[1]) << 8 | usize::from(piece[2]));
        let body: Vec<u8> = packed.chunks_exact(3).flat_map(run).collect();
        (body.len() == length).then(|| body.into())
    }
}
