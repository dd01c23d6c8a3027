//! Segments of a path, and what origins take for their separators.

use std::borrow::Cow;

use super::escapes::{octet, replaced};

/// The path with every separator as `/` and no parameters behind dots: `..%2f`, `..\`, `%252f`, and `..;x/` (as servlet containers have it).
pub(super) fn lenient(decoded: &str) -> Cow<'_, str> {
    // Escapes may be decoded twice, or more often.
    let separator = |escape: &str| {
        let inner = escape.trim_start_matches("25");
        let character = match octet(inner)? {
            b'/' | b'\\' => '/',
            b'.' => '.',
            _ => return None,
        };
        Some((character, escape.len() - inner.len() + 2))
    };
    let mut text = replaced(decoded, separator);
    if text.contains('\\') {
        text = Cow::Owned(text.replace('\\', "/"));
    }
    if text.split('/').any(|segment| bare_dots(segment).is_some()) {
        text = Cow::Owned(text.split('/').map(|segment| bare_dots(segment).unwrap_or(segment)).collect::<Vec<_>>().join("/"));
    }
    text
}

/// The dots of a dot segment that has parameters.
fn bare_dots(segment: &str) -> Option<&str> {
    let dots = &segment[..segment.len() - segment.trim_start_matches('.').len()];
    let rest = &segment[dots.len()..];
    let has_parameters = rest.starts_with(';') || rest.get(..3).is_some_and(|escape| escape.eq_ignore_ascii_case("%3b"));
    (matches!(dots, "." | "..") && has_parameters).then_some(dots)
}

pub(super) fn has_odd_segments(path: &str) -> bool {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        // The path may end in a slash.
        if matches!(segment, "." | "..") || (segment.is_empty() && segments.peek().is_some()) {
            return true;
        }
    }
    false
}

/// RFC 3986 §5.2.4, with empty segments left out.
pub(super) fn without_odd_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_folder = true;
    for segment in path.split('/') {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => _ = kept.pop(),
            segment => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len());
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if is_folder || kept.is_empty() {
        normal.push('/');
    }
    normal
}
