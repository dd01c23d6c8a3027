//! One path template, ready to be matched.

use crate::config::{PathTemplate, normal_path};

/// Matches the paths that a route with the same template is for.
#[derive(Debug)]
pub(crate) struct PathMatcher(matchit::Router<()>);

impl PathMatcher {
    pub(crate) fn new(template: &PathTemplate) -> Result<Self, matchit::InsertError> {
        let mut router = matchit::Router::new();
        router.insert(template.shape(), ())?;
        if let Some(bare) = template.without_rest() {
            router.insert(bare, ())?;
        }
        Ok(Self(router))
    }

    /// The captures by position, an empty rest left out; `None` where the path is another.
    pub(crate) fn captures(&self, path: &str) -> Option<Vec<String>> {
        let path = normal_path(path);
        let found = self.0.at(&path).ok()?;
        Some(found.params.iter().map(|(_, value)| value.to_owned()).collect())
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
}
