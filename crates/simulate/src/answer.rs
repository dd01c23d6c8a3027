//! What the origin would have answered to the request of a record, had it been asked for the whole of it.

use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

use crate::bounded::{Bounded, hash};
use crate::log::LogRecord;

/// URLs whose sizes are remembered.
const MAX_URLS: usize = 200_000;

/// The origin's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, as far as the log has them.
    pub fields: HeaderMap,
    /// Bytes of its body.
    pub size: u64,
    /// Whether the client asked for a range, of which only the length is known.
    pub is_part: bool,
}

/// How often something had to be assumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Assumed {
    /// Answers to GET and HEAD without `Cache-Control` and `Expires` in the log.
    pub without_lifetime: u64,
    /// Answers of 304 whose whole size no line before had told.
    pub unknown_sizes: u64,
    /// Answers of 206, whose ranges the log does not tell.
    pub parts: u64,
    /// Requests with a user's name: they are replayed with credentials.
    pub users: u64,
    /// Lines without a host.
    pub without_host: u64,
    /// Answers of a cache in front, of which the origin's time is not known.
    pub hits_elsewhere: u64,
}

/// Makes the origin's answers of records, in the order of time.
#[derive(Debug)]
pub struct Answers {
    sizes: Bounded<u64>,
    /// Requests whose size is known, and the sum.
    known: (u64, u64),
    assumed: Assumed,
}

impl Default for Answers {
    fn default() -> Self {
        Self { sizes: Bounded::new(MAX_URLS), known: (0, 0), assumed: Assumed::default() }
    }
}

impl Answers {
    /// The answer to the request of a record.
    pub fn of(&mut self, record: &LogRecord) -> OriginAnswer {
        self.count(record);
        let key = hash(&[record.host.as_deref().unwrap_or_default().as_bytes(), record.target.to_string().as_bytes()]);
        let (mut status, mut size) = (record.status, record.bytes);
        match (&record.method, status) {
            (&Method::GET, StatusCode::OK) => {
                self.known = (self.known.0 + 1, self.known.1 + size);
                self.sizes.put(key, size);
            }
            // The client has the representation; the cache would have fetched all of it.
            (_, StatusCode::NOT_MODIFIED) => {
                status = StatusCode::OK;
                let known = self.sizes.get(key).copied();
                self.assumed.unknown_sizes += u64::from(known.is_none());
                size = known.unwrap_or_else(|| self.known.1.checked_div(self.known.0).unwrap_or_default());
            }
            _ => {}
        }
        OriginAnswer { status, fields: record.response_fields.clone(), size, is_part: status == StatusCode::PARTIAL_CONTENT }
    }

    /// How often something had to be assumed so far.
    pub fn assumed(&self) -> Assumed {
        self.assumed
    }

    fn count(&mut self, record: &LogRecord) {
        use http::header::{CACHE_CONTROL, EXPIRES};
        let assumed = &mut self.assumed;
        let fields = &record.response_fields;
        let says_nothing = !fields.contains_key(CACHE_CONTROL) && !fields.contains_key(EXPIRES);
        assumed.without_lifetime += u64::from(record.method.is_safe() && says_nothing);
        assumed.parts += u64::from(record.status == StatusCode::PARTIAL_CONTENT);
        assumed.users += u64::from(record.user.is_some());
        assumed.without_host += u64::from(record.host.is_none());
        assumed.hits_elsewhere += u64::from(record.was_hit == Some(true));
    }
}
