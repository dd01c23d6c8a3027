//! Paths in code: those of `use`, with the names that they get, and those of expressions and types.

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// `crate`, `self`, `super`, or the name of a crate or module; then the rest.
    pub(super) segments: Vec<String>,
    /// Its name in the module, if a `use` brings it there.
    pub(super) name: Option<String>,
}

/// All paths of `use`, and all others that begin with `crate`, `self` or `super`.
pub(super) fn paths(code: &str) -> Vec<Path> {
    let mut found = Vec::new();
    let mut reader = Reader { rest: code };
    while let Some(word) = reader.next_word() {
        match word {
            "use" => found.extend(reader.tree().into_iter().map(|(segments, alias)| {
                let name = alias.or_else(|| segments.last().cloned());
                Path { segments, name }
            })),
            "crate" | "self" | "super" => {
                let mut segments = vec![word.to_owned()];
                while let Some(segment) = reader.next_segment() {
                    segments.push(segment.to_owned());
                }
                found.extend((segments.len() > 1).then_some(Path { segments, name: None }));
            }
            _ => {}
        }
    }
    found
}

struct Reader<'c> {
    rest: &'c str,
}

impl<'c> Reader<'c> {
    /// The next word that no path leads to.
    fn next_word(&mut self) -> Option<&'c str> {
        loop {
            let start = self.rest.find(is_word)?;
            let leads = self.rest[..start].trim_end().ends_with(['$', '.']) || self.rest[..start].ends_with("::");
            self.rest = &self.rest[start..];
            let word = self.word();
            if !leads {
                return Some(word);
            }
        }
    }

    fn word(&mut self) -> &'c str {
        let end = self.rest.find(|next| !is_word(next)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// The name after `::`, if one follows.
    fn next_segment(&mut self) -> Option<&'c str> {
        let after = self.rest.strip_prefix("::").filter(|after| after.starts_with(is_word))?;
        self.rest = after;
        Some(self.word())
    }

    /// The paths of a `use`, each with its alias.
    fn tree(&mut self) -> Vec<(Vec<String>, Option<String>)> {
        self.rest = self.rest.trim_start();
        if let Some(inner) = self.rest.strip_prefix('{') {
            self.rest = inner;
            let mut found = Vec::new();
            loop {
                self.rest = self.rest.trim_start_matches(|next: char| next.is_whitespace() || next == ',');
                let before = self.rest.len();
                if self.take("}") || before == 0 {
                    return found;
                }
                found.extend(self.tree());
                if self.rest.len() == before {
                    return found;
                }
            }
        }
        if self.take("*") {
            return vec![(Vec::new(), None)];
        }
        let segment = self.word().to_owned();
        if self.take("::") {
            let below = self.tree().into_iter();
            return below.map(|(below, alias)| ([vec![segment.clone()], below].concat(), alias)).collect();
        }
        let before = self.rest;
        self.rest = self.rest.trim_start();
        if self.take("as ") {
            self.rest = self.rest.trim_start();
            return vec![(vec![segment], Some(self.word().to_owned()))];
        }
        self.rest = before;
        vec![(vec![segment], None)]
    }

    fn take(&mut self, text: &str) -> bool {
        let after = self.rest.strip_prefix(text);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
