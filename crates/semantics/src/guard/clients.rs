//! Who got which answer for a key: whether answers depend on who asks.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};

/// Fields by which an origin may know who asks.
const CREDENTIALS: [HeaderName; 4] = [AUTHORIZATION, COOKIE, HeaderName::from_static("client-cert"), HeaderName::from_static("x-api-key")];

/// Keys whose last answers are known; those that came first go first.
const MAX_KEYS: usize = 4096;

/// Answers that are known for each key.
const MAX_ANSWERS: usize = 4;

/// Whether a request shows who asks.
pub fn has_credentials(headers: &HeaderMap) -> bool {
    // One walk over the few names of a request costs less than hashing all that might be there.
    headers.keys().any(|name| CREDENTIALS.contains(name))
}

/// Takes out of a request what shows who asks.
pub fn without_credentials(headers: &mut HeaderMap) {
    CREDENTIALS.iter().for_each(|name| _ = headers.remove(name));
}

/// The last answers that clients got from the origin, by key. Neither keys nor credentials are kept, but hashes that mean nothing in another process.
#[derive(Debug, Default)]
pub struct AnswersByClient {
    secret: RandomState,
    by_key: HashMap<u64, Known>,
    /// The keys, as they came.
    order: VecDeque<u64>,
}

/// What is known of a key.
#[derive(Debug, Default)]
struct Known {
    /// Clients and digests, the last ones last.
    answers: VecDeque<(u64, u64)>,
    depends: bool,
}

impl AnswersByClient {
    /// A client with these fields has got an answer with this digest for a key. Whether it shows that answers depend on who asks: a client gets its earlier
    /// answer again, after another one has got another. That another client gets another answer does not show it, since the answer may have changed meanwhile.
    pub fn add(&mut self, key: &impl Hash, headers: &HeaderMap, digest: u64) -> bool {
        let shown: Vec<&[u8]> = CREDENTIALS.iter().flat_map(|name| headers.get_all(name)).map(|line| line.as_bytes()).collect();
        let (key, client) = (self.secret.hash_one(key), self.secret.hash_one(shown));
        if !self.by_key.contains_key(&key) {
            if self.order.len() >= MAX_KEYS
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_key.remove(&oldest);
            }
            self.order.push_back(key);
        }
        let Known { answers, depends: known } = self.by_key.entry(key).or_default();
        let earlier = answers.iter().position(|(own, same)| (*own, *same) == (client, digest));
        let depends = earlier.is_some_and(|earlier| answers.iter().skip(earlier).any(|(own, other)| *own != client && *other != digest));
        let is_shared = answers.back().is_some_and(|(last, same)| *last != client && *same == digest);
        *known = (*known || depends) && !is_shared;
        if answers.back() != Some(&(client, digest)) {
            answers.push_back((client, digest));
        }
        if answers.len() > MAX_ANSWERS {
            answers.pop_front();
        }
        depends
    }

    /// Whether answers for a key were found to depend on who asks, and no two clients have got the same one after the other since.
    pub fn depends(&self, key: &impl Hash) -> bool {
        self.by_key.get(&self.secret.hash_one(key)).is_some_and(|known| known.depends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_depend_on_who_asks_where_a_client_gets_its_own_again_after_another_got_another() {
        let of = |token: &'static str| HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(token))]);
        let (ann, bob) = (of("a"), of("b"));
        let mut answers = AnswersByClient::default();
        assert_eq!([answers.add(&"k", &ann, 1), answers.add(&"k", &bob, 2), answers.add(&"k", &ann, 1)], [false, false, true]);
        let mut answers = AnswersByClient::default();
        let told = [answers.add(&"k", &ann, 1), answers.add(&"k", &bob, 2), answers.add(&"k", &ann, 2), answers.add(&"k", &bob, 3)];
        assert_eq!(told, [false; 4], "the answer has changed for all");
        assert!(!answers.add(&"other", &ann, 1), "another key");
    }

    #[test]
    fn a_key_whose_answers_depend_on_who_asks_is_known_until_two_clients_get_the_same() {
        let of = |token: &'static str| HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(token))]);
        let (ann, bob, carol) = (of("a"), of("b"), of("c"));
        let mut answers = AnswersByClient::default();
        for (client, digest, depends) in [(&ann, 1, false), (&bob, 2, false), (&ann, 1, true), (&carol, 3, true), (&bob, 3, false)] {
            answers.add(&"k", client, digest);
            assert_eq!(answers.depends(&"k"), depends, "{digest}");
        }
        assert!(!answers.depends(&"other"));
    }

    #[test]
    fn keys_that_clients_make_up_do_not_fill_the_memory() {
        let mut answers = AnswersByClient::default();
        for key in 0..2 * MAX_KEYS {
            answers.add(&key, &HeaderMap::new(), 1);
        }
        assert_eq!((answers.by_key.len(), answers.order.len()), (MAX_KEYS, MAX_KEYS));
    }

    #[test]
    fn the_keys_that_came_last_are_known_however_many_came_before() {
        let of = |token: &'static str| HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(token))]);
        let (ann, bob) = (of("a"), of("b"));
        let mut answers = AnswersByClient::default();
        for key in 0..MAX_KEYS {
            answers.add(&key, &HeaderMap::new(), 1);
        }
        for key in MAX_KEYS..2 * MAX_KEYS {
            let told = [(&ann, 1), (&bob, 2), (&ann, 1)].map(|(client, digest)| {
                // A key more, between the requests of each client.
                answers.add(&(client == &ann, key, digest), &HeaderMap::new(), 1);
                answers.add(&key, client, digest)
            });
            assert_eq!(told, [false, false, true], "{key}");
        }
    }
}
