//! Fields of a request that may change what its origin answers, although neither the key nor `Vary` has them.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode};

use crate::reason::Reason;

/// Fields by which frameworks take a request for one with another method, or for another resource.
const STEERING: [&str; 7] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url", "x-http-host-override", "x-host"];

/// Bytes of all fields, and their number, that every server takes without an error. Limits begin at 8 KiB a line (nginx, Apache httpd), 8 KiB
/// together (Tomcat) and 100 fields (Gunicorn).
const MODEST_BYTES: usize = 4 * 1024;
const MODEST_COUNT: usize = 64;

/// Refuses to store an answer that such a field may have caused: any answer where a field may steer the origin to something else, and an error
/// where the fields may have been too large for it, or the content coding unknown to it, for the key is that of the content itself. CGI and its
/// heirs take `_` in a name for `-`: a field so spelled may be any other, so that what its origin took for a selecting field (RFC 9111 §4.1) or
/// for credentials was not seen here.
pub(crate) fn check(request: &HeaderMap, status: StatusCode) -> Result<(), Reason> {
    if may_steer(request) {
        return Err(Reason::UnkeyedField);
    }
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error && (!is_modest(request) || request.contains_key(CONTENT_ENCODING)) {
        return Err(Reason::UnkeyedField);
    }
    Ok(())
}

/// Whether a field of the request may make its origin answer for another method or resource, or by values that were not seen here. Such an answer
/// says nothing about what is stored for the key: it is not stored, updates nothing and ends nothing.
pub fn may_steer(request: &HeaderMap) -> bool {
    request.keys().any(|name| name.as_str().contains('_') || STEERING.contains(&name.as_str()))
}

fn is_modest(request: &HeaderMap) -> bool {
    let bytes: usize = request.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    request.len() <= MODEST_COUNT && bytes <= MODEST_BYTES
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn refused(fields: &[(&str, &str)], status: StatusCode) -> bool {
        let field = |(name, value): &(&str, &str)| Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?));
        check(&fields.iter().filter_map(field).collect(), status).is_err()
    }

    #[test]
    fn an_answer_that_another_method_or_resource_may_have_caused_is_not_stored() {
        for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X_Original_URL"] {
            assert!(refused(&[(name, "/admin")], StatusCode::OK), "{name}");
            assert!(refused(&[(name, "DELETE")], StatusCode::NOT_FOUND), "{name}");
        }
        for name in ["Accept_Language", "x_user", "a_b"] {
            assert!(refused(&[(name, "x")], StatusCode::OK), "{name}: it may be a selecting field to the origin");
        }
        assert!(!refused(&[("x-method", "x"), ("accept-language", "de")], StatusCode::OK));
    }

    #[test]
    fn an_error_that_a_content_coding_may_have_caused_is_not_stored() {
        let coded = [("content-encoding", "gzip")];
        assert!(refused(&coded, StatusCode::UNSUPPORTED_MEDIA_TYPE) && refused(&coded, StatusCode::BAD_REQUEST));
        assert!(!refused(&coded, StatusCode::OK));
    }

    #[test]
    fn an_error_that_large_fields_may_have_caused_is_not_stored() {
        let large = "x".repeat(MODEST_BYTES);
        let many: Vec<String> = (0..=MODEST_COUNT).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
        for status in [StatusCode::NOT_FOUND, StatusCode::GONE, StatusCode::BAD_REQUEST, StatusCode::NOT_IMPLEMENTED] {
            assert!(refused(&[("cookie", &large)], status), "{status}");
            assert!(refused(&many, status), "{status}");
            assert!(!refused(&[("cookie", &large[..3000])], status), "{status}");
        }
        assert!(!refused(&[("cookie", &large)], StatusCode::OK));
        assert!(!refused(&many, StatusCode::MOVED_PERMANENTLY));
    }
}
