//! One path template, ready to be matched.

use crate::config::PathTemplate;
use crate::path_reading;

/// Matches the paths that a route with the same template is for.
#[derive(Debug)]
pub(crate) struct PathMatcher {
    exact: matchit::Router<()>,
    /// The same in small letters.
    folded: matchit::Router<()>,
}

impl PathMatcher {
    pub(crate) fn new(template: &PathTemplate) -> Result<Self, matchit::InsertError> {
        let (mut exact, mut folded) = (matchit::Router::new(), matchit::Router::new());
        for shape in [Some(template.shape()), template.without_rest()].into_iter().flatten() {
            exact.insert(shape, ())?;
            folded.insert(shape.to_ascii_lowercase(), ())?;
        }
        Ok(Self { exact, folded })
    }

    /// The captures by position, an empty rest left out; `None` where the path is another.
    pub(crate) fn captures(&self, path: &str) -> Option<Vec<String>> {
        let path = path_reading::normal(path);
        let found = self.exact.at(&path).ok()?;
        Some(found.params.iter().map(|(_, value)| value.to_owned()).collect())
    }

    /// The captures under every reading of the path, so that no other spelling of it evades a rule: many origins ignore case, a slash at the end, and
    /// parameters of segments (`;v=1`).
    pub(crate) fn captures_in_any_reading(&self, path: &str) -> Vec<Vec<String>> {
        let mut all: Vec<Vec<String>> = self.captures(path).into_iter().collect();
        for reading in path_reading::readings(path) {
            for text in [&*reading, &path_reading::simplified(&reading)] {
                all.extend(self.folded_captures(text).filter(|captures| !all.contains(captures)));
            }
        }
        all
    }

    /// The captures in the letters that the path has.
    fn folded_captures(&self, path: &str) -> Option<Vec<String>> {
        let folded = path.to_ascii_lowercase();
        let found = self.folded.at(&folded).ok()?;
        let in_path = |value: &str| {
            let start = value.as_ptr().addr() - folded.as_ptr().addr();
            path[start..start + value.len()].to_owned()
        };
        Some(found.params.iter().map(|(_, value)| in_path(value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_what_a_route_is_for() {
        let text = "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[[routes]]\npath = \"/a/{id}/{*rest}\"";
        let parsed = crate::config::parse("test.toml", text.as_bytes(), &Default::default());
        let (config, _) = parsed.unwrap_or_else(|report| panic!("{}", report.render(false)));
        let matcher = PathMatcher::new(&config.routes[0].path).expect("a valid path");
        for (path, captures) in [
            ("/a/1/x/y", Some(vec!["1", "x/y"])),
            ("/a/1/", Some(vec!["1"])),
            ("/%61/%31/x%2f", Some(vec!["1", "x%2f"])),
            ("/a/1", None),
            ("/b/1/x", None),
        ] {
            assert_eq!(matcher.captures(path), captures.map(|all| all.into_iter().map(str::to_owned).collect()), "{path}");
        }
    }

    #[test]
    fn no_spelling_evades_what_looks_at_every_reading() {
        let text = "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[[routes]]\npath = \"/Api/issues/{id}\"";
        let parsed = crate::config::parse("test.toml", text.as_bytes(), &Default::default());
        let (config, _) = parsed.unwrap_or_else(|report| panic!("{}", report.render(false)));
        let matcher = PathMatcher::new(&config.routes[0].path).expect("a valid path");
        for (path, captures) in [
            ("/Api/issues/A7", &["A7"][..]),
            ("/api/ISSUES/A7", &["A7"]),
            ("/Api/issues/A7/", &["A7"]),
            ("/Api;x/issues;y=1/A7;z", &["A7"]),
            ("/Api/issues/A7;z", &["A7;z", "A7"]),
            ("/x/../Api/./issues//A7", &["A7"]),
            ("/x/..%2fApi%2Fissues/A7", &["A7"]),
            ("/x\\..\\Api\\issues\\A7", &["A7"]),
            ("/Api/issues/A%37", &["A7"]),
            ("/Api/issues/A7/comments", &[]),
            ("/Api/issues", &[]),
        ] {
            let found: Vec<String> = matcher.captures_in_any_reading(path).into_iter().flatten().collect();
            assert_eq!(found, captures, "{path}");
        }
    }
}
