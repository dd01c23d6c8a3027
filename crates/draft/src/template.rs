//! Templates of paths, as documents write them and as routes may have them.

use std::fmt;

/// A segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    /// As it stands, percent-encoded.
    Text(String),
    /// `{name}`.
    Part(String),
    /// `{*rest}`: everything to the end.
    Rest,
}

/// `/books/{id}`. Each part is a whole segment, since the router knows one in a segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    /// Whether it ends in a slash, which makes another path of it.
    slash: bool,
}

impl Template {
    /// Segments that a path may have here; longer ones are nobody's interface.
    const MAX_SEGMENTS: usize = 24;

    /// Reads a path with `{name}` or `:name` in it. `None`: no request has such a path.
    pub(crate) fn read(path: &str) -> Option<Self> {
        let inner = path.strip_prefix('/')?;
        let mut template = Self { segments: Vec::new(), slash: inner.ends_with('/') };
        if inner.is_empty() {
            return Some(template);
        }
        for segment in inner.strip_suffix('/').unwrap_or(inner).split('/') {
            let segment = template.segment(segment)?;
            template.segments.push(segment);
        }
        (template.segments.len() <= Self::MAX_SEGMENTS).then_some(template)
    }

    fn segment(&self, text: &str) -> Option<Segment> {
        let named = text.find('{').map(|at| (at, text[at + 1..].split('}').next().unwrap_or_default()));
        let named = named.or_else(|| text.strip_prefix(':').map(|name| (0, name)));
        if let Some((_, name)) = named {
            return Some(Segment::Part(self.free_name(name)));
        }
        // A dot segment is resolved by clients, and an empty one by some servers; `check` takes the others for regular expressions.
        let is_path =
            !text.is_empty() && text != "." && text != ".." && !text.ends_with('$') && !text.contains(".+") && text.bytes().all(is_plain);
        is_path.then(|| Segment::Text(text.to_owned()))
    }

    /// A proper name that no other part has.
    fn free_name(&self, name: &str) -> String {
        let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').take(40).collect();
        let base = if kept.is_empty() { "part".to_owned() } else { kept };
        let taken = |name: &str| self.parts().any(|part| part == name);
        let numbered = || (2..).map(|number| format!("{base}{number}")).find(|name| !taken(name)).unwrap_or_default();
        if taken(&base) { numbered() } else { base }
    }

    /// The template of a path that was seen: segments that look like somebody's key stand for all of them.
    pub(crate) fn of_seen(path: &str) -> Option<Self> {
        let mut template = Self::read(path)?;
        for at in 0..template.segments.len() {
            if let Segment::Text(text) = &template.segments[at]
                && is_key(text)
            {
                let name = template.free_name("id");
                template.segments[at] = Segment::Part(name);
            }
        }
        Some(template)
    }

    /// For a file: everything in its folder. A file at the root is alone.
    pub(crate) fn of_folder(mut self) -> Self {
        if self.segments.len() > 1 {
            self.segments.pop();
            self.segments.push(Segment::Rest);
        }
        self
    }

    /// This, and one more part.
    pub(crate) fn with_part(&self, name: &str) -> Self {
        let mut longer = self.clone();
        let name = longer.free_name(name);
        longer.segments.push(Segment::Part(name));
        longer
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| if let Segment::Part(name) = segment { Some(name.as_str()) } else { None })
    }

    /// The last segment, where it is text.
    pub(crate) fn last_text(&self) -> Option<&str> {
        if let Some(Segment::Text(text)) = self.segments.last() { Some(text) } else { None }
    }

    /// Its first segments.
    pub(crate) fn prefix(&self, length: usize) -> Self {
        Self { segments: self.segments[..length.min(self.segments.len())].to_vec(), slash: self.slash }
    }

    /// The same for all templates that match the same paths, whatever their parts are called.
    pub(crate) fn shape(&self) -> String {
        self.written(|_| "{}".to_owned())
    }

    /// A path, with a value for each part in turn. `None` where one is missing.
    pub(crate) fn filled(&self, values: &mut dyn FnMut(usize, &str) -> Option<String>) -> Option<String> {
        let mut path = String::new();
        for (at, segment) in self.segments.iter().enumerate() {
            path.push('/');
            match segment {
                Segment::Text(text) => path.push_str(text),
                Segment::Part(name) => path.push_str(&values(at, name)?),
                Segment::Rest => return None,
            }
        }
        if self.slash || path.is_empty() {
            path.push('/');
        }
        Some(path)
    }

    fn written(&self, part: impl Fn(&str) -> String) -> String {
        let mut text = String::new();
        for segment in &self.segments {
            text.push('/');
            match segment {
                Segment::Text(segment) => text.push_str(segment),
                Segment::Part(name) => text.push_str(&part(name)),
                Segment::Rest => text.push_str("{*rest}"),
            }
        }
        if self.slash || text.is_empty() {
            text.push('/');
        }
        text
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(|name| format!("{{{name}}}")))
    }
}

/// Bytes that stand in a segment for themselves; what a regular expression would have in it is left out, since `check` warns of it.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&byte)
}

/// A number, a UUID, or a long hash.
fn is_key(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    digits == text.len() || (is_hex && text.len() >= 16 && digits > 0)
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn parts_become_whole_segments_with_proper_names() {
        for (written, read) in [
            ("/books/{book_id}", "/books/{book_id}"),
            ("/files/{name}.{ext}", "/files/{name}"),
            ("/v1/{name}:cancel", "/v1/{name}"),
            ("/Products({id})", "/{id}"),
            ("/a/{id}/b/{id}", "/a/{id}/b/{id2}"),
            ("/users/:id/", "/users/{id}/"),
            ("/a/{ü}", "/a/{part}"),
            ("/", "/"),
        ] {
            assert_eq!(Template::read(written).map(|template| template.to_string()).as_deref(), Some(read), "{written}");
        }
        for path in ["", "books", "//", "/a//b", "/a/../b", "/a?b", "/a b", "/a\nb", "/a\"b", "/[x]", "/é"] {
            assert_eq!(Template::read(path), None, "{path:?}");
        }
    }

    #[test]
    fn keys_in_paths_that_were_seen_stand_for_all() {
        let seen = |path| Template::of_seen(path).map(|template| template.to_string()).unwrap_or_default();
        assert_eq!(seen("/api/v1/issues/7"), "/api/v1/issues/{id}");
        assert_eq!(seen("/u/0d7b1c3e-8f27-4a3e-9d11-0a1b2c3d4e5f/p/12"), "/u/{id}/p/{id2}");
        assert_eq!(seen("/facade/decade"), "/facade/decade");
    }
}
