//! Answers that their URL lies about.

use http::StatusCode;

/// Endings of the paths of files that are the same for everyone.
const STATIC: [&str; 21] = [
    "avif", "bmp", "css", "eot", "gif", "ico", "jpeg", "jpg", "js", "mjs", "mp4", "otf", "png", "svg", "tif", "tiff", "ttf", "webm",
    "webp", "woff", "woff2",
];

/// Whether a path ends like that of a style sheet, a script or an image, and the answer is a page or data: an origin that does not look at the end of
/// a path answers so, also with what is only for the client that was led there (Omer Gil: Web Cache Deception Attack, 2017).
pub fn is_misleading(path: &str, status: StatusCode, content_type: Option<&[u8]>) -> bool {
    if !status.is_success() {
        return false;
    }
    let segment = path.rsplit('/').next().unwrap_or_default();
    let Some((_, ending)) = segment.rsplit_once('.') else { return false };
    let is_static = STATIC.iter().any(|known| ending.eq_ignore_ascii_case(known));
    is_static && content_type.is_some_and(is_page_or_data)
}

fn is_page_or_data(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let is = |name: &[u8]| essence.eq_ignore_ascii_case(name);
    let ends = |end: &[u8]| essence.len() > end.len() && essence[essence.len() - end.len()..].eq_ignore_ascii_case(end);
    is(b"text/html") || is(b"application/xhtml+xml") || is(b"application/json") || ends(b"+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_under_the_name_of_a_style_sheet_is_misleading_and_a_style_sheet_is_not() {
        let misleads = |path: &str, status: u16, content_type: &str| {
            is_misleading(path, StatusCode::from_u16(status).unwrap_or_default(), Some(content_type.as_bytes()))
        };
        for (path, content_type) in [
            ("/account/a.css", "text/html; charset=utf-8"),
            ("/account.JS", "application/json"),
            ("/me/x.png", "application/problem+json"),
            ("/me/..%2fx.woff2", "TEXT/HTML"),
        ] {
            assert!(misleads(path, 200, content_type), "{path} {content_type}");
        }
        for (path, status, content_type) in [
            ("/a.css", 200, "text/css"),
            ("/a.js", 200, "text/javascript"),
            ("/a.css", 404, "text/html"),
            ("/account", 200, "text/html"),
            ("/a.css/account", 200, "text/html"),
            ("/a.json", 200, "application/json"),
            ("/css", 200, "text/html"),
        ] {
            assert!(!misleads(path, status, content_type), "{path} {status} {content_type}");
        }
        assert!(!is_misleading("/a.css", StatusCode::OK, None));
    }
}
