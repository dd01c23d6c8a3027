//! Refusals as problem documents (RFC 9457).

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::purge::Refused;

pub(super) const PROBLEM: &str = "application/problem+json";

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, [(header::CACHE_CONTROL, "no-store")], body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The parameters of a query, decoded as forms are (`+` is a space).
pub(super) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, Refused> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        let text = percent_decode_str(&spaced).decode_utf8().map(std::borrow::Cow::into_owned);
        text.map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "The query is not UTF-8."))
    };
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| Ok((decoded(name)?, decoded(value)?))).collect()
}

/// A parameter of a query that has no meaning here; `known` says which have.
pub(super) fn unknown_parameter(name: &str, known: &[&str]) -> Refused {
    let hint = crate::config::nearest_hint(name, known, "there are");
    let end = if hint.ends_with('?') { "" } else { "." };
    Refused::new(StatusCode::BAD_REQUEST, format!("`{name}` is not a parameter of this: {hint}{end}"))
}
