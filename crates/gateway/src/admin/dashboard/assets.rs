//! The files that pages need: part of the binary.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;

use crate::purge::Refused;

/// Names, types and contents.
const FILES: [(&str, &str, &str); 6] = [
    ("larder.css", "text/css; charset=utf-8", include_str!("../../../templates/ui/larder.css")),
    ("larder.js", "text/javascript; charset=utf-8", include_str!("../../../templates/ui/larder.js")),
    ("live.js", "text/javascript; charset=utf-8", include_str!("../../../templates/ui/live.js")),
    ("keys.js", "text/javascript; charset=utf-8", include_str!("../../../templates/ui/keys.js")),
    ("tail.js", "text/javascript; charset=utf-8", include_str!("../../../templates/ui/tail.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../../templates/ui/icon.svg")),
];

/// One of them. It needs no token: everybody has it who has the program. Browsers ask each time whether theirs is still the same, since an upgrade
/// changes it.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response<Body>, Refused> {
    let file = FILES.iter().find(|(own, ..)| *own == name);
    let (_, kind, content) = file.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "There is no such file."))?;
    let etag = format!("\"{}\"", &blake3::hash(content.as_bytes()).to_hex()[..16]);
    let fields = [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, "no-cache"), (header::CONTENT_TYPE, kind)];
    // Compression makes it a weak one on its way.
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    if known.trim_start_matches("W/") == etag {
        return Ok((StatusCode::NOT_MODIFIED, fields).into_response());
    }
    Ok((fields, *content).into_response())
}
