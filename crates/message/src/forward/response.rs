//! A response on its way to the client (and to the store).

use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use larder_semantics::Timestamp;
use larder_semantics::fields::{is_hop_by_hop, remove_hop_by_hop};

use super::via;

/// The response uses a transfer coding that was not asked for, so that its content cannot be told from its coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the origin used a transfer coding that was not asked for")]
pub struct Unforwardable;

/// Makes a received head into the one that goes to the client: hop-by-hop fields end here (RFC 9110 §7.6.1), `Via` is appended, and
/// `Date` is added where the origin sent none (§6.6.1), `now` being when the head came.
///
/// # Errors
/// [`Unforwardable`] for a transfer coding other than `chunked`.
pub fn to_client(parts: &mut Parts, now: impl FnOnce() -> Timestamp) -> Result<(), Unforwardable> {
    let seen = Seen::in_fields(&parts.headers);
    if seen.hop_by_hop {
        check_transfer_coding(&mut parts.headers)?;
        remove_hop_by_hop(&mut parts.headers);
    }
    let has_no_length = parts.status.is_informational() || parts.status == StatusCode::NO_CONTENT;
    if seen.lengths > 1 || (seen.lengths == 1 && (has_no_length || seen.joined_length)) {
        settle_length(parts);
    }
    via::append(&mut parts.headers, parts.version);
    if !seen.date && !parts.status.is_informational() {
        parts.headers.insert(header::DATE, now().to_http_date());
    }
    parts.version = Version::HTTP_11;
    Ok(())
}

/// Fields of a head that need a second look. One walk over its few lines costs less than a search for each.
#[derive(Default)]
struct Seen {
    hop_by_hop: bool,
    date: bool,
    /// Lines of `Content-Length`, and whether one of them is a list.
    lengths: usize,
    joined_length: bool,
}

impl Seen {
    fn in_fields(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for (name, value) in headers {
            match *name {
                header::DATE => seen.date = true,
                header::CONTENT_LENGTH => {
                    seen.lengths += 1;
                    seen.joined_length |= value.as_bytes().contains(&b',');
                }
                _ => seen.hop_by_hop |= is_hop_by_hop(name),
            }
        }
        seen
    }
}

/// Leaves one `Content-Length` or none. "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx
/// (Informational) or 204 (No Content)". Where several values came that are all alike, "the recipient MUST either reject the message as
/// invalid or replace the duplicated field values with a single valid Content-Length" (RFC 9110 §8.6). Others can only be here where no
/// content follows that they would measure: the connection has refused the message otherwise.
fn settle_length(parts: &mut Parts) {
    let headers = &mut parts.headers;
    if parts.status.is_informational() || parts.status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
        return;
    }
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let is_one = |line: &HeaderValue| !line.as_bytes().contains(&b',');
    if lines.next().is_none_or(is_one) && lines.next().is_none() {
        return;
    }
    let lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut members = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let first = members.next().unwrap_or_default();
    let only = members.all(|member| member == first).then(|| HeaderValue::from_bytes(first).ok()).flatten();
    headers.remove(header::CONTENT_LENGTH);
    headers.extend(only.map(|only| (header::CONTENT_LENGTH, only)));
}

/// RFC 9112 §6.1 and §6.3: `chunked` is decoded by the connection and overrides `Content-Length`, which is removed before the message
/// goes on.
fn check_transfer_coding(headers: &mut HeaderMap) -> Result<(), Unforwardable> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter().peekable();
    if codings.peek().is_none() {
        return Ok(());
    }
    if !codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err(Unforwardable);
    }
    headers.remove(header::CONTENT_LENGTH);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(784_111_777);

    fn received(lines: &[(&'static str, &'static str)]) -> Parts {
        let mut parts = Response::new(()).into_parts().0;
        for (name, value) in lines {
            parts.headers.append(*name, HeaderValue::from_static(value));
        }
        parts
    }

    #[test]
    fn rfc9110_6_6_1_a_missing_date_is_the_time_of_receipt() {
        let mut parts = received(&[]);
        to_client(&mut parts, || NOW).expect("forwardable");
        assert_eq!(parts.headers["date"], "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn an_origins_own_date_stays() {
        let mut parts = received(&[("date", "Mon, 07 Nov 1994 08:49:37 GMT")]);
        to_client(&mut parts, || NOW).expect("forwardable");
        assert_eq!(parts.headers.get_all("date").iter().collect::<Vec<_>>(), ["Mon, 07 Nov 1994 08:49:37 GMT"]);
    }

    #[test]
    fn rfc9110_7_6_3_via_names_the_version_the_origin_spoke() {
        let mut parts = received(&[("via", "1.1 inner")]);
        parts.version = Version::HTTP_10;
        to_client(&mut parts, || NOW).expect("forwardable");
        assert_eq!(parts.headers.get_all("via").iter().collect::<Vec<_>>(), ["1.1 inner", "1.0 larder"]);
    }

    #[test]
    fn rfc9112_6_3_content_length_beside_chunked_is_removed() {
        let mut parts = received(&[("transfer-encoding", "chunked"), ("content-length", "5"), ("trailer", "x-sum")]);
        to_client(&mut parts, || NOW).expect("forwardable");
        assert!(!parts.headers.contains_key("content-length") && !parts.headers.contains_key("transfer-encoding"));
        assert_eq!(parts.headers["trailer"], "x-sum", "Trailer is end-to-end");
    }

    #[test]
    fn rfc9110_8_6_one_content_length_goes_on_at_most() {
        let lengths = |status: u16, lines: &[&'static str]| {
            let mut parts = received(&lines.iter().map(|line| ("content-length", *line)).collect::<Vec<_>>());
            parts.status = StatusCode::from_u16(status).expect("status");
            to_client(&mut parts, || NOW).expect("forwardable");
            parts.headers.get_all("content-length").iter().map(|line| line.to_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(lengths(200, &["5"]), ["5"]);
        assert_eq!(lengths(200, &["5", "5"]), ["5"]);
        assert_eq!(lengths(200, &["5 ,5", "5"]), ["5"]);
        assert_eq!(lengths(304, &["5", "6"]), none, "without content they have not been compared");
        assert_eq!(lengths(204, &["0"]), none);
        assert_eq!(lengths(103, &["0"]), none);
        assert_eq!(lengths(304, &["5"]), ["5"]);
    }

    #[test]
    fn rfc9112_6_1_an_unrequested_transfer_coding_is_not_passed_on_as_content() {
        let mut parts = received(&[("transfer-encoding", "gzip, chunked")]);
        assert_eq!(to_client(&mut parts, || NOW), Err(Unforwardable));
    }

    #[test]
    fn hop_by_hop_fields_of_the_origin_end_here() {
        let mut parts = received(&[("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "timeout=5"), ("etag", "\"a\"")]);
        to_client(&mut parts, || NOW).expect("forwardable");
        assert!(!parts.headers.contains_key("x-hop") && !parts.headers.contains_key("keep-alive"));
        assert_eq!(parts.headers["etag"], "\"a\"");
    }
}
