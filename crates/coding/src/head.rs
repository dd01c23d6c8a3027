//! The fields of an answer whose body changes its coding.

use http::header::{ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields about the bytes of a representation (RFC 9110 §8.6, RFC 9530, RFC 1864): packed or unpacked there are others.
const ABOUT_BYTES: [HeaderName; 6] = [
    CONTENT_LENGTH,
    ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// Says that the answer was chosen by `Accept-Encoding`, where it does not say so.
pub fn add_vary(headers: &mut HeaderMap) {
    let names = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let is_said = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str().as_bytes());
    if !names.map(<[u8]>::trim_ascii).any(is_said) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The fields of an answer in another coding. Its entity tag becomes a weak one: it names other bytes now, which mean the same (RFC 9110 §8.8.1).
pub(crate) fn recoded(headers: &mut HeaderMap) {
    without_claims_about_bytes(headers);
    weaken(headers);
    add_vary(headers);
}

/// Takes out of a head or of trailers what is said of bytes that are others now.
pub(crate) fn without_claims_about_bytes(headers: &mut HeaderMap) {
    for name in &ABOUT_BYTES {
        headers.remove(name);
    }
}

/// Makes a strong entity tag weak.
pub(crate) fn weaken(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get_mut(ETAG)
        && tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        *tag = weak;
    }
}

/// Whether a request knows the entity tag of this 304 in its weak form only: then it was made weak here.
pub(crate) fn is_known_as_weak(known: &[u8], headers: &HeaderMap) -> bool {
    let Some(tag) = headers.get(ETAG).map(HeaderValue::as_bytes).filter(|tag| tag.starts_with(b"\"")) else { return false };
    let members = || known.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    members().any(|member| member.strip_prefix(b"W/") == Some(tag)) && !members().any(|member| member == tag)
}

/// Whether `Cache-Control` has one of these directives.
pub(crate) fn has_directive(headers: &HeaderMap, wanted: &[&str]) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let mut names = lines.flat_map(|line| line.as_bytes().split(|byte| b",; =\t".contains(byte)));
    names.any(|name| wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes())))
}
