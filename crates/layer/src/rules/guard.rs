//! Guards at the moment of storing: an answer that gives back what one client sent, that depends on who asks, or that its URL lies about, is not for everyone.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use larder_semantics::guard::{AnswersByClient, SEARCHED, Suspects, has_credentials, is_misleading, may_be_caused_by_unusual, may_tell};
use larder_semantics::{GuardMode, PrimaryKey, Reason, Scope, StoredHead, VarySpec};
use xxhash_rust::xxh3::Xxh3Default;

use super::RouteRules;

/// Is told of answers that a guard has found.
pub trait GuardObserver: fmt::Debug + Send + Sync {
    /// Called on the way of the answer: it must not wait.
    fn found(&self, finding: &Finding<'_>);
}

/// An answer that may not be for everyone.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Finding<'a> {
    /// What is wrong with it.
    pub reason: Reason,
    /// Where the value is from that it holds: a field, `cookie NAME` or `claim NAME`; `None` where it is not about a value.
    pub from: Option<&'a str>,
    /// Whether it was kept from being stored.
    pub refused: bool,
}

/// The guard of a route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    pub(crate) mode: GuardMode,
    pub(crate) observer: Option<Arc<dyn GuardObserver>>,
}

/// The request whose answer is about to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guarded<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) key: &'a PrimaryKey,
    /// The fields that select the variant.
    pub(crate) vary: Option<&'a VarySpec>,
    /// It is only tried out, so nobody is told.
    pub(crate) is_trial: bool,
}

/// Bytes of a body with a coding that are decoded at most, until enough is there to be searched: a block of zstd has up to 128 KiB, and is decoded as
/// a whole (RFC 8878 §3.1.1.2.3).
const CODED: usize = 192 * 1024;

/// Types of content that no client is named in, nor a script runs in.
const OPAQUE: [&[u8]; 4] = [b"image/", b"audio/", b"video/", b"font/"];

impl RouteRules {
    /// Whether a guard looks.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guard.mode != GuardMode::Off
    }

    /// Why an answer is not stored, as far as its head tells.
    pub(crate) fn guarded_head(&self, request: Guarded<'_>, status: StatusCode, fields: &HeaderMap) -> Option<Reason> {
        if !self.is_guarded() {
            return None;
        }
        let content_type = fields.get(CONTENT_TYPE).map(|value| value.as_bytes());
        if is_misleading(request.parts.uri.path(), status, content_type) {
            return self.guard.found(Reason::MisleadingPath, None, request);
        }
        // An API's own clients may all send a field that no other does, and then their errors are meant to be stored: what may be an attack, and
        // mostly is none, counts only where an operator has chosen to refuse. Any client can cause it, so nobody is told.
        if self.guard.mode == GuardMode::Refuse && may_be_caused_by_unusual(&self.key, request.vary, &request.parts.headers, status) {
            return Some(Reason::UnkeyedField);
        }
        if !may_tell(fields) {
            return None;
        }
        let suspects = self.suspects(request);
        let suspect = suspects.in_fields(fields)?;
        self.guard.found(suspect.reason(), Some(&suspect.from()), request)
    }

    /// Whether an answer under way may still turn out not to be for everyone, so that nobody else may have it before its end.
    pub(crate) fn may_refuse_body(&self) -> bool {
        self.guard.mode == GuardMode::Refuse
    }

    /// Whether a part of an answer is not stored, since parts are not searched: a value may stand where two of them meet.
    pub(crate) fn refuses_part(&self, request: &Parts, fields: &HeaderMap) -> bool {
        let is_opaque = || fields.get(CONTENT_TYPE).is_some_and(|value| is_opaque(value.as_bytes()));
        self.may_refuse_body() && (self.may_differ_by_client(request) || !is_opaque())
    }

    /// Why an answer is not stored, as far as its body tells. `answers` are those that clients got before. `digest` is that of a body of which only the
    /// beginning is at hand.
    pub(crate) fn guarded_body<'b>(
        &self,
        request: Guarded<'_>,
        head: &StoredHead,
        frames: impl Iterator<Item = &'b Bytes> + Clone,
        digest: Option<u64>,
        answers: &Mutex<AnswersByClient>,
    ) -> Option<Reason> {
        if !self.is_guarded() {
            return None;
        }
        let digest = || {
            digest.unwrap_or_else(|| {
                let mut hasher = answer_hasher(head.status);
                frames.clone().for_each(|frame| hasher.update(frame));
                hasher.digest()
            })
        };
        let differs = self.differs_by_client(request, digest, answers);
        match self.suspect_in_body(request, head, frames) {
            Some((reason, from)) => self.guard.found(reason, Some(&from), request),
            None if differs => self.guard.found(Reason::DiffersByClient, None, request),
            None => None,
        }
    }

    /// Whether clients that ask with other credentials get other answers under the same key.
    fn differs_by_client(
        &self,
        Guarded { parts, key, vary, .. }: Guarded<'_>,
        digest: impl FnOnce() -> u64,
        answers: &Mutex<AnswersByClient>,
    ) -> bool {
        if !self.may_differ_by_client(parts) {
            return false;
        }
        let digest = digest();
        let variant = vary.map(|vary| vary.secondary_key(&parts.headers));
        let key = (key.text(), variant.as_ref().map(|variant| variant.text()));
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.add(&key, &parts.headers, digest);
        answers.depends(&key)
    }

    /// Whether the request shows who asks, and the key knows nothing of it.
    fn may_differ_by_client(&self, request: &Parts) -> bool {
        self.policy.scope != Scope::Identity && !self.key.authorization_in_key() && has_credentials(&request.headers)
    }

    /// What the body gives back of the request, or tells of its client; and where that is from.
    fn suspect_in_body<'b>(
        &self,
        request: Guarded<'_>,
        head: &StoredHead,
        frames: impl Iterator<Item = &'b Bytes> + Clone,
    ) -> Option<(Reason, String)> {
        if head.headers.get(&CONTENT_TYPE).is_some_and(|value| is_opaque(value.as_bytes())) {
            return None;
        }
        let mut suspects = self.suspects(request);
        let coding = head.headers.get(&CONTENT_ENCODING);
        if coding.is_some() {
            suspects = suspects.without_keyed();
        }
        if suspects.is_empty() {
            return None;
        }
        let found = match coding {
            None => suspects.in_body(&pieces(frames)),
            Some(coding) => {
                // What cannot be decoded cannot be searched.
                let fields = HeaderMap::from_iter([(CONTENT_ENCODING, coding)]);
                let decoded = self.content_decoder.as_ref()?.decode_beginning(&fields, &beginning(frames, CODED), SEARCHED)?;
                suspects.in_body(&[&decoded])
            }
        };
        found.map(|suspect| (suspect.reason(), suspect.from()))
    }

    fn suspects<'r>(&self, Guarded { parts, key, vary, .. }: Guarded<'r>) -> Suspects<'r> {
        Suspects::of(&self.key, key.text(), vary, &parts.headers)
    }
}

impl Guard {
    /// Tells of a finding, and says why the answer is not stored, where it is not.
    fn found(&self, reason: Reason, from: Option<&str>, request: Guarded<'_>) -> Option<Reason> {
        let refused = self.mode == GuardMode::Refuse || reason == Reason::MisleadingPath;
        if !request.is_trial {
            self.observer.iter().for_each(|observer| observer.found(&Finding { reason, from, refused }));
        }
        refused.then_some(reason)
    }
}

/// What guards look at of a body that does not stay in memory: its beginning, and a digest of all of it.
pub(crate) struct Glimpse {
    beginning: BytesMut,
    max: usize,
    hasher: Xxh3Default,
}

impl Glimpse {
    pub(crate) fn of(head: &StoredHead) -> Self {
        let max = if head.headers.get(&CONTENT_ENCODING).is_some() { CODED } else { SEARCHED };
        Self { beginning: BytesMut::with_capacity(max), max, hasher: answer_hasher(head.status) }
    }

    /// Bytes of memory that the beginning takes.
    pub(crate) fn weight(&self) -> u64 {
        self.max as u64
    }

    /// Adds the next bytes of the body.
    pub(crate) fn add(&mut self, data: &[u8]) {
        self.hasher.update(data);
        self.beginning.extend_from_slice(&data[..data.len().min(self.max - self.beginning.len())]);
    }

    /// The beginning, and the digest.
    pub(crate) fn finish(self) -> (Bytes, u64) {
        (self.beginning.freeze(), self.hasher.digest())
    }
}

/// For the digest of an answer: the body comes after its status.
fn answer_hasher(status: StatusCode) -> Xxh3Default {
    let mut hasher = Xxh3Default::new();
    hasher.update(&status.as_u16().to_le_bytes());
    hasher
}

fn is_opaque(content_type: &[u8]) -> bool {
    // A drawing is text, with scripts in it.
    !content_type.starts_with(b"image/svg") && OPAQUE.iter().any(|kind| content_type.starts_with(kind))
}

/// What is searched of a body, as it lies.
fn pieces<'b>(frames: impl Iterator<Item = &'b Bytes>) -> Vec<&'b [u8]> {
    let mut room = SEARCHED;
    let piece = |frame: &'b Bytes| {
        let piece = &frame[..frame.len().min(room)];
        room -= piece.len();
        piece
    };
    frames.map(piece).filter(|piece| !piece.is_empty()).collect()
}

/// The beginning of a body in one piece, which it is already where the first frame is long enough, or the only one.
fn beginning<'b>(mut frames: impl Iterator<Item = &'b Bytes> + Clone, max: usize) -> Bytes {
    let all = frames.clone();
    let Some(first) = frames.next() else { return Bytes::new() };
    if first.len() >= max || frames.clone().next().is_none() {
        return first.slice(..first.len().min(max));
    }
    // Room for all at once: a vector that grows copies what it has each time.
    let length = all.clone().map(Bytes::len).sum::<usize>().min(max);
    let mut whole = Vec::with_capacity(length);
    for frame in all {
        let room = max - whole.len();
        whole.extend_from_slice(&frame[..frame.len().min(room)]);
        if whole.len() == max {
            break;
        }
    }
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_what_the_first_frames_have_together() {
        let frames = |lengths: &[usize]| -> Vec<Bytes> { lengths.iter().map(|length| Bytes::from(vec![b'x'; *length])).collect() };
        for (lengths, expected) in [(&[][..], 0), (&[5], 5), (&[SEARCHED + 1], SEARCHED), (&[3, 4], 7), (&[SEARCHED - 1, 5, 5], SEARCHED)] {
            let frames = frames(lengths);
            assert_eq!(beginning(frames.iter(), SEARCHED).len(), expected, "{lengths:?}");
            assert_eq!(pieces(frames.iter()).concat(), beginning(frames.iter(), SEARCHED), "{lengths:?}");
        }
    }

    #[test]
    fn pictures_are_not_searched_but_drawings_are() {
        assert!(is_opaque(b"image/png") && is_opaque(b"video/mp4"));
        assert!(!is_opaque(b"image/svg+xml") && !is_opaque(b"text/html") && !is_opaque(b"application/json"));
    }
}
