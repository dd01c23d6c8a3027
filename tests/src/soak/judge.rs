//! The checker: what an answer may be.

use std::fmt;

use larder_testkit::Response;
use larder_testkit::client::H2Response;

use super::subject::{Family, Subject};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Nothing older than an acknowledged purge or write is served.
    NeverOlder,
    /// Nobody is given another's answer.
    NeverAnothers,
    /// What ends well is whole.
    NeverCut,
    /// Bytes are the origin's.
    NeverAltered,
    /// No fault of a cache, and no reload, refuses what the origin answers.
    AlwaysAnswered,
    /// Memory stays within its budget.
    WithinBudget,
    /// No connection, descriptor or task outlives what it was for.
    NothingLeft,
    /// After a fault everything is as before.
    Recovers,
}

/// A promise that was broken, and by what.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// What was seen.
    pub seen: String,
}

impl Violation {
    pub(super) fn new(promise: Promise, seen: impl Into<String>) -> Self {
        Self { promise, seen: seen.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.promise, self.seen)
    }
}

/// A request, and what is known when it is sent.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) subject: Subject,
    pub(super) method: &'static str,
    /// The first and the last byte, where a part is asked for.
    pub(super) range: Option<(usize, usize)>,
    /// The entity tag of what the client has.
    pub(super) has: Option<String>,
    /// The least version that is not older than what was acknowledged.
    pub(super) min: u64,
    /// Whether its body may break off, which it then does for the client too: its origin fails; or it is a stream, whose length nobody knows, of another replica, and Redis
    /// fails in the middle of it.
    pub(super) may_break_off: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) content_range: Option<String>,
    pub(super) cache_status: String,
    /// `X-Cache`.
    pub(super) result: String,
    pub(super) body: Vec<u8>,
    pub(super) complete: bool,
}

impl From<Response> for Got {
    fn from(response: Response) -> Self {
        let field = |name| response.header(name).map(str::to_owned);
        Self {
            status: response.status,
            etag: field("etag"),
            content_range: field("content-range"),
            cache_status: response.cache_status(),
            result: response.x_cache().to_owned(),
            complete: response.complete,
            body: response.body,
        }
    }
}

impl From<H2Response> for Got {
    fn from(response: H2Response) -> Self {
        let field = |name| response.head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            status: response.head.status.as_u16(),
            etag: field("etag"),
            content_range: field("content-range"),
            cache_status: field("cache-status").unwrap_or_default(),
            result: field("x-cache").unwrap_or_default(),
            body: response.body.to_vec(),
            // What is cut ends in an error over HTTP/2.
            complete: true,
        }
    }
}

/// Judges an answer.
///
/// # Errors
/// The promise that it breaks.
pub(super) fn judge(asked: &Asked, got: &Got) -> Result<(), Violation> {
    let is_broken = asked.subject.family == Family::Broken;
    let wrong = |promise, what: &str| {
        let Asked { subject, method, range, .. } = asked;
        let seen = format!("{method} {subject} {range:?}: {} {what} ({})", got.status, got.cache_status);
        Err(Violation::new(promise, seen))
    };
    match got.status {
        200 | 206 | 304 => {}
        500..=599 if is_broken => return Ok(()),
        _ => return wrong(Promise::AlwaysAnswered, &String::from_utf8_lossy(&got.body)),
    }
    let etag = got.etag.as_deref().unwrap_or_default();
    let Some(version) = asked.subject.version_in(etag) else {
        return wrong(Promise::NeverAnothers, &format!("has the entity tag {etag}"));
    };
    if version < asked.min {
        return wrong(Promise::NeverOlder, &format!("is version {version}, and {} was acknowledged", asked.min));
    }
    if got.status == 304 && asked.has.as_deref().and_then(|has| asked.subject.version_in(has)) != Some(version) {
        return wrong(Promise::NeverAltered, &format!("confirms {:?} with {etag}", asked.has));
    }
    if asked.method == "HEAD" || got.status == 304 {
        return Ok(());
    }
    let whole = asked.subject.body(version);
    let expected = match got.status {
        206 => match part(asked, got, &whole) {
            Some(part) => part,
            None => return wrong(Promise::NeverAltered, &format!("is of another range: {:?}", got.content_range)),
        },
        _ => &whole[..],
    };
    if got.body == expected && got.complete {
        return Ok(());
    }
    match expected.starts_with(&got.body) {
        true if asked.may_break_off && !got.complete => Ok(()),
        true => wrong(Promise::NeverCut, &format!("ends after {} of {} bytes, complete: {}", got.body.len(), expected.len(), got.complete)),
        false => wrong(whose(asked.subject, &got.body), &format!("has other bytes: {:?}…", String::from_utf8_lossy(first_line(&got.body)))),
    }
}

/// The bytes that were asked for, if it is them that the answer says it has.
fn part<'a>(asked: &Asked, got: &Got, whole: &'a [u8]) -> Option<&'a [u8]> {
    let (start, end) = asked.range?;
    let said = format!("bytes {start}-{end}/{}", whole.len());
    (got.content_range.as_deref() == Some(&said)).then(|| &whole[start..=end])
}

/// Wrong bytes are another's if they begin as another's do.
fn whose(subject: Subject, body: &[u8]) -> Promise {
    let line = String::from_utf8_lossy(first_line(body)).into_owned();
    let own = subject.to_string();
    let is_anothers = Subject::all().map(|other| other.to_string()).any(|other| other != own && line.starts_with(&format!("{other} ")));
    if is_anothers { Promise::NeverAnothers } else { Promise::NeverAltered }
}

fn first_line(body: &[u8]) -> &[u8] {
    body[..body.len().min(60)].split(|byte| *byte == b'\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Subject = Subject { family: Family::Key, key: 2, reader: "all" };
    const OTHER: Subject = Subject { family: Family::Key, key: 3, reader: "all" };

    fn asked() -> Asked {
        Asked { subject: OWN, method: "GET", range: None, has: None, min: 4, may_break_off: false }
    }

    fn got(subject: Subject, version: u64) -> Got {
        Got {
            status: 200,
            etag: Some(subject.etag(version)),
            content_range: None,
            cache_status: String::new(),
            result: String::new(),
            body: subject.body(version),
            complete: true,
        }
    }

    fn broken(asked: &Asked, got: &Got) -> Option<Promise> {
        judge(asked, got).err().map(|violation| violation.promise)
    }

    #[test]
    fn a_right_answer_is_right_whole_in_part_and_confirmed() {
        assert_eq!(broken(&asked(), &got(OWN, 4)), None);
        let part = Got {
            status: 206,
            content_range: Some(format!("bytes 10-19/{}", OWN.body(5).len())),
            body: OWN.body(5)[10..20].to_vec(),
            ..got(OWN, 5)
        };
        assert_eq!(broken(&Asked { range: Some((10, 19)), ..asked() }, &part), None);
        let confirmed = Got { status: 304, body: Vec::new(), ..got(OWN, 6) };
        assert_eq!(broken(&Asked { has: Some(OWN.etag(6)), ..asked() }, &confirmed), None);
    }

    #[test]
    fn whatever_breaks_a_promise_is_found() {
        let (right, mut turned) = (got(OWN, 4), got(OWN, 4));
        turned.body[200] ^= 1;
        let cut = Got { body: right.body[..right.body.len() - 1].to_vec(), ..right.clone() };
        let mixed = Got { body: OTHER.body(4), ..right.clone() };
        let confirmed = Got { status: 304, body: Vec::new(), ..got(OWN, 6) };
        for (got, promise) in [
            (got(OWN, 3), Promise::NeverOlder),
            (got(OTHER, 4), Promise::NeverAnothers),
            (mixed, Promise::NeverAnothers),
            (turned, Promise::NeverAltered),
            (cut, Promise::NeverCut),
            (Got { complete: false, ..right.clone() }, Promise::NeverCut),
            (Got { status: 503, ..right.clone() }, Promise::AlwaysAnswered),
            (Got { status: 206, content_range: Some("bytes 0-9/5000".to_owned()), ..right }, Promise::NeverAltered),
            (confirmed, Promise::NeverAltered),
        ] {
            assert_eq!(broken(&asked(), &got), Some(promise), "{got:?}");
        }
    }

    #[test]
    fn an_origin_that_fails_may_fail_for_the_client_but_not_end_well() {
        let subject = Subject { family: Family::Broken, key: 1, reader: "all" };
        let asked = Asked { subject, min: 0, may_break_off: true, ..asked() };
        let half = Got { body: subject.body(0)[..100].to_vec(), complete: false, ..got(subject, 0) };
        assert_eq!(broken(&asked, &half), None);
        assert_eq!(broken(&asked, &Got { complete: true, ..half }), Some(Promise::NeverCut));
        assert_eq!(broken(&asked, &Got { status: 502, ..got(subject, 0) }), None);
    }
}
