//! Who asks, and whether answers depend on that.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};

/// Fields by which an origin may know who asks.
const CREDENTIALS: [HeaderName; 4] = [AUTHORIZATION, COOKIE, HeaderName::from_static("client-cert"), HeaderName::from_static("x-api-key")];

/// Keys whose last answers are known; the first of them go.
const MAX_KEYS: usize = 4096;

/// Answers that are known for each key.
const MAX_ANSWERS: usize = 4;

/// Whether a request shows who asks.
pub(super) fn has_credentials(headers: &HeaderMap) -> bool {
    CREDENTIALS.iter().any(|name| headers.contains_key(name))
}

/// Takes out of a request what shows who asks.
pub(super) fn without_credentials(headers: &mut HeaderMap) {
    CREDENTIALS.iter().for_each(|name| _ = headers.remove(name));
}

/// The last answers that clients would have got from the origin, by key. Neither keys nor credentials are kept, but hashes that mean nothing in another
/// process.
#[derive(Debug, Default)]
pub(super) struct Answers {
    secret: RandomState,
    by_key: BTreeMap<u64, VecDeque<(u64, u64)>>,
}

impl Answers {
    /// A client with these fields has got an answer with this digest for a key. Whether it shows that answers depend on who asks: a client gets its earlier
    /// answer again, after another one has got another.
    pub(super) fn add(&mut self, key: &str, headers: &HeaderMap, digest: u64) -> bool {
        let shown: Vec<&[u8]> = CREDENTIALS.iter().flat_map(|name| headers.get_all(name)).map(|line| line.as_bytes()).collect();
        let (key, client) = (self.secret.hash_one(key), self.secret.hash_one(shown));
        if !self.by_key.contains_key(&key) && self.by_key.len() >= MAX_KEYS {
            self.by_key.pop_first();
        }
        let answers = self.by_key.entry(key).or_default();
        let earlier = answers.iter().position(|(own, same)| (*own, *same) == (client, digest));
        let depends = earlier.is_some_and(|earlier| answers.iter().skip(earlier).any(|(own, other)| *own != client && *other != digest));
        if answers.back() != Some(&(client, digest)) {
            answers.push_back((client, digest));
        }
        if answers.len() > MAX_ANSWERS {
            answers.pop_front();
        }
        depends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_depend_on_who_asks_where_a_client_gets_its_own_again_after_another_got_another() {
        let of = |token: &'static str| HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(token))]);
        let (ann, bob) = (of("a"), of("b"));
        let mut answers = Answers::default();
        assert_eq!([answers.add("k", &ann, 1), answers.add("k", &bob, 2), answers.add("k", &ann, 1)], [false, false, true]);
        let mut answers = Answers::default();
        let told = [answers.add("k", &ann, 1), answers.add("k", &bob, 2), answers.add("k", &ann, 2), answers.add("k", &bob, 3)];
        assert_eq!(told, [false; 4], "the answer has changed for all");
        assert!(!answers.add("other", &ann, 1), "another key");
    }
}
