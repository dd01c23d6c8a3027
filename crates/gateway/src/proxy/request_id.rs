//! The id of a request (`[server] request_id`): a trusted proxy's own, or one that is made here.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderValue};

use crate::problem::X_REQUEST_ID;

/// Bytes of an id that is taken over: the log keeps as much of one.
const MAX_ID: usize = 128;

/// Makes ids that no client can guess.
#[derive(Debug, Default)]
pub(crate) struct RequestIds {
    last: AtomicU64,
    seeds: [RandomState; 2],
}

impl RequestIds {
    /// Gives a request its id, for the log and for the origin. One that the request has already counts only where its sender is `trusted`: a client
    /// could otherwise write another's id into the log.
    pub(super) fn give(&self, headers: &mut HeaderMap, trusted: bool) -> HeaderValue {
        if trusted && let Some(own) = headers.get(X_REQUEST_ID).filter(|own| is_id(own)).cloned() {
            headers.insert(X_REQUEST_ID, own.clone());
            return own;
        }
        let made = self.make();
        headers.insert(X_REQUEST_ID, made.clone());
        made
    }

    /// The id of a request that could not be read.
    pub(super) fn make(&self) -> HeaderValue {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let [high, low] = [0, 1].map(|seed: usize| self.seeds[seed].hash_one(number));
        // Hexadecimal digits are always a value.
        HeaderValue::from_str(&format!("{high:016x}{low:016x}")).unwrap_or(HeaderValue::from_static("0"))
    }
}

fn is_id(value: &HeaderValue) -> bool {
    (1..=MAX_ID).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(ids: &RequestIds, own: &[&'static str], trusted: bool) -> (String, usize) {
        let mut headers = HeaderMap::new();
        own.iter().for_each(|own| _ = headers.append(X_REQUEST_ID, HeaderValue::from_static(own)));
        let id = ids.give(&mut headers, trusted);
        assert_eq!(headers.get(X_REQUEST_ID), Some(&id));
        (id.to_str().expect("text").to_owned(), headers.get_all(X_REQUEST_ID).iter().count())
    }

    #[test]
    fn a_trusted_proxys_id_is_taken_over_and_nobody_elses() {
        let ids = RequestIds::default();
        assert_eq!(given(&ids, &["7f3a"], true), ("7f3a".to_owned(), 1));
        for (own, trusted) in [(&["7f3a"][..], false), (&[], true), (&["a b"], true), (&[""], true)] {
            let (id, lines) = given(&ids, own, trusted);
            assert!(id.len() == 32 && lines == 1 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        }
        assert_eq!(given(&ids, &["one", "other"], true), ("one".to_owned(), 1), "the log and the origin see the same");
        assert_ne!(given(&ids, &[], false), given(&ids, &[], false));
    }
}
