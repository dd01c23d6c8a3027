//! The origin: what it answers with, and how it fails.

use std::time::Duration;

use larder_testkit::Answer;
use larder_testkit::origin::Received;

use super::defect::Defect;
use super::subject::{Family, Subject};
use super::truth::Truth;

/// The time between two pieces of a stream.
const PACE: Duration = Duration::from_millis(5);

/// Pieces of a stream.
const PIECES: usize = 4;

/// The answer to a request: the version of now, or one of the ways to fail.
pub(super) fn answer(request: &Received, truth: &Truth, defect: Option<Defect>) -> Answer {
    let field = |name: &str| request.header(name).map(str::to_owned);
    let Some(subject) = Subject::asked(&request.target, field) else {
        return Answer::new(404).body("there is no such resource");
    };
    let asked = truth.asked();
    if request.method == "PUT" {
        return Answer::new(204).header("X-Version", truth.change(subject).to_string());
    }
    if defect == Some(Defect::OriginRefuses) && subject.family == Family::Key && asked % 50 == 49 {
        return Answer::new(503);
    }
    let version = truth.version(subject);
    let head = head(subject, version, defect);
    if request.header("if-none-match").is_some_and(|tags| tags.contains(&subject.etag(version))) {
        return head.with_status(304);
    }
    let mut body = subject.body(version);
    if defect == Some(Defect::CutBodies) {
        body.pop();
    }
    if request.method == "HEAD" {
        return head.declared_length(body.len() as u64);
    }
    match subject.family {
        Family::Stream => streamed(head, &body),
        Family::Broken => failing(head, &body, asked),
        _ => match part(request, subject, version, body.len()) {
            Some((start, end)) => {
                let range = format!("bytes {start}-{end}/{}", body.len());
                head.with_status(206).header("Content-Range", range).body(&body[start..=end])
            }
            None => head.body(body),
        },
    }
}

fn head(subject: Subject, version: u64, defect: Option<Defect>) -> Answer {
    let head = Answer::ok().header("Content-Type", "text/plain").header("ETag", subject.etag(version));
    match subject.family {
        Family::Language => head.header("Vary", "Accept-Language"),
        Family::Private if defect == Some(Defect::SharedPersonal) => head.header("Cache-Control", "public, max-age=60"),
        Family::Private => head.header("Cache-Control", "private, max-age=60"),
        _ => head,
    }
}

/// The bounds of the one range that a request asks for, as far as it is of this version.
fn part(request: &Received, subject: Subject, version: u64, length: usize) -> Option<(usize, usize)> {
    if request.header("if-range").is_some_and(|tag| tag != subject.etag(version)) {
        return None;
    }
    let (start, end) = request.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = (start.parse().ok()?, end.parse::<usize>().unwrap_or(usize::MAX).min(length - 1));
    (start <= end).then_some((start, end))
}

fn streamed(head: Answer, body: &[u8]) -> Answer {
    let pieces = body.chunks(body.len().div_ceil(PIECES));
    pieces.fold(head, |answer, piece| answer.chunk(piece).pause(PACE))
}

/// One way after the other in which an origin fails, and answers that are whole between them.
fn failing(head: Answer, body: &[u8], asked: u64) -> Answer {
    let half = &body[..body.len() / 2];
    match asked % 11 {
        0 => Answer::new(500).body("it failed"),
        1 => Answer::new(503).header("Retry-After", "1").body("it is away"),
        2 => Answer::hang_up(),
        3 => head.declared_length(body.len() as u64).part(half).close(),
        4 => head.declared_length(body.len() as u64).part(half).pause(PACE).reset(),
        5 => Answer::raw("\u{1}\u{2}this is not HTTP\r\n\r\n").close(),
        6 => head.chunk(half).close(),
        7 => head.chunk(half).part("not a size\r\n").close(),
        8 => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello").close(),
        _ => head.pause(PACE).body(body),
    }
}
