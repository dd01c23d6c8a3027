//! Documents that were seen with their hash (automatic persisted queries), within a bound.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

/// Bytes of all documents that are remembered; those that came first go first.
const MAX_BYTES: usize = 4 << 20;

/// Bytes that a document takes besides its text.
const OVERHEAD: usize = 128;

type Hash = [u8; 32];

/// The documents by their SHA-256.
#[derive(Debug, Default)]
pub(crate) struct Persisted(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    documents: HashMap<Hash, Arc<str>>,
    order: VecDeque<Hash>,
    bytes: usize,
}

impl Persisted {
    pub(crate) fn get(&self, hash: &str) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).documents.get(&read(hash)?).cloned()
    }

    /// Remembers a document, unless the hash is another's. Whether it is its own.
    pub(crate) fn put(&self, hash: &str, document: &str) -> bool {
        let Some(hash) = read(hash) else { return false };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).documents.get(&hash).cloned();
        if let Some(known) = known {
            return *known == *document;
        }
        let weight = document.len() + OVERHEAD;
        if digest(&SHA256, document.as_bytes()).as_ref() != hash {
            return false;
        }
        if weight > MAX_BYTES {
            return true;
        }
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.documents.insert(hash, document.into()).is_none() {
            remembered.order.push_back(hash);
            remembered.bytes += weight;
        }
        while remembered.bytes > MAX_BYTES
            && let Some(oldest) = remembered.order.pop_front()
        {
            let gone = remembered.documents.remove(&oldest);
            remembered.bytes -= gone.map_or(0, |gone| gone.len() + OVERHEAD);
        }
        true
    }
}

/// 64 hexadecimal digits.
fn read(hash: &str) -> Option<Hash> {
    let mut bytes = [0; 32];
    if hash.len() != 64 {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(hash.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(document: &str) -> String {
        digest(&SHA256, document.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_document_is_remembered_by_its_own_hash_and_no_other() {
        let persisted = Persisted::default();
        let hash = hash_of("{ a }");
        assert!(!persisted.put(&hash, "{ secret }") && !persisted.put("ff", "{ a }"));
        assert_eq!(persisted.get(&hash), None);
        assert!(persisted.put(&hash, "{ a }") && persisted.put(&hash, "{ a }") && !persisted.put(&hash, "{ secret }"));
        assert_eq!(persisted.get(&hash.to_uppercase()).as_deref(), Some("{ a }"));
        assert_eq!(persisted.get(&hash_of("{ b }")), None);
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let persisted = Persisted::default();
        let document = |n: usize| format!("{{ a{n} }} # {}", "x".repeat(1 << 20));
        for n in 0..6 {
            persisted.put(&hash_of(&document(n)), &document(n));
        }
        let known = (0..6).map(|n| persisted.get(&hash_of(&document(n))).is_some()).collect::<Vec<_>>();
        assert_eq!(known, [false, false, false, true, true, true]);
        let huge = "x".repeat(MAX_BYTES);
        assert!(persisted.put(&hash_of(&huge), &huge));
        assert!(persisted.get(&hash_of(&huge)).is_none());
    }
}
