//! Patterns for names: of parameters, cookies, fields, methods, models.

/// Whether a text is one that the pattern means; one `*` in it stands for any text.
pub fn matches_pattern(pattern: &str, name: &[u8]) -> bool {
    // Hardly any name begins as a pattern does, and then the star need not be searched.
    if let (Some(begin), Some(first)) = (pattern.as_bytes().first(), name.first())
        && begin != first
        && *begin != b'*'
    {
        return false;
    }
    match pattern.split_once('*') {
        None => name == pattern.as_bytes(),
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start.as_bytes()) && name.ends_with(end.as_bytes()),
    }
}
