//! The code of a source file: without comments, without what stands in literals, and without the tests at its end.

/// The rest of a file's text.
pub(super) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| if ends_in_word(&code) { None } else { raw_string(rest) }).or_else(|| literal(rest));
        match skipped {
            Some(length) => {
                code.push(' ');
                rest = &rest[length..];
            }
            None => {
                code.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    without_tests(&code).to_owned()
}

fn ends_in_word(code: &str) -> bool {
    code.ends_with(|last: char| last.is_alphanumeric() || last == '_')
}

/// The length of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.starts_with("/*").then(|| text.find("*/").map_or(text.len(), |end| end + 2))
}

fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let inner = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(text.len() - inner.len() + length)
}

/// The length of the string or character that the text begins with. A lifetime is neither.
fn literal(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let inner = &text[1..];
    let is_character = inner.starts_with('\\') || inner.chars().nth(1) == Some('\'');
    if quote == '\'' && !is_character {
        return None;
    }
    let mut escaped = false;
    for (at, character) in inner.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(at + 2),
            _ => {}
        }
    }
    Some(text.len())
}

/// Tests stand at the end of a file.
fn without_tests(code: &str) -> &str {
    code.match_indices("#[cfg(test)]")
        .map(|(at, _)| at)
        .find(|at| {
            let item = code[at + "#[cfg(test)]".len()..].trim_start();
            item.starts_with("mod ") && item.find(['{', ';']).is_some_and(|end| item[end..].starts_with('{'))
        })
        .map_or(code, |at| &code[..at])
}
