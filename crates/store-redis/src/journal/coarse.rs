//! Invalidations that are too long for the log become coarser: what they name is in them still, and more than that.
//!
//! ```text
//! URL        -> the prefix of its folder      http://a/b/c?d  ->  a/b
//! prefix     -> the one above it              a/b/c           ->  a/b
//! path       -> the prefix of its folder      /b/c            ->  /b
//! tag        -> the family that it is in      issue:7         ->  issue:*
//! the rest, and what is too long all the same ->  everything
//! ```

use std::collections::HashSet;

use larder_store::{Invalidation, InvalidationTarget};

use super::form::encode;

/// Steps up before everything is meant.
const STEPS: usize = 8;

/// The invalidation, or the finest coarser one whose form in the log takes so many bytes at most.
pub(crate) fn within(mut invalidation: Invalidation, max_bytes: usize) -> Invalidation {
    for _ in 0..STEPS {
        if encode(&invalidation).len() <= max_bytes {
            return invalidation;
        }
        let mut seen = HashSet::new();
        invalidation.targets = invalidation.targets.into_iter().map(above).filter(|target| seen.insert(target.clone())).collect();
    }
    invalidation.targets = vec![InvalidationTarget::All];
    invalidation
}

/// The next coarser target.
fn above(target: InvalidationTarget) -> InvalidationTarget {
    match target {
        InvalidationTarget::Url(url) => {
            let text = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            InvalidationTarget::Prefix(folder(text.split('?').next().unwrap_or_default()))
        }
        InvalidationTarget::Prefix(path) | InvalidationTarget::Path(path) => InvalidationTarget::Prefix(folder(&path)),
        InvalidationTarget::Tag(name) => {
            let family = name.strip_suffix(":*").unwrap_or(&name);
            match family.rfind(':') {
                Some(end) => InvalidationTarget::Tag(format!("{}:*", &family[..end])),
                None => InvalidationTarget::Tag(name),
            }
        }
        other => other,
    }
}

/// A path less its last segment; a host stays.
fn folder(path: &str) -> String {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((folder, _)) => folder.to_owned(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use larder_semantics::Timestamp;
    use larder_store::{Ledger, Subject, Tag, Tags, Validity};

    use super::*;
    use InvalidationTarget::{All, Pattern, Prefix, Tag as Named, Url};

    fn coarser(targets: Vec<InvalidationTarget>, max_bytes: usize) -> Vec<InvalidationTarget> {
        within(Invalidation::hard(targets), max_bytes).targets
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn an_invalidation_that_fits_stays_unchanged() {
        let targets = vec![Url(text("http://a.example/x")), Named(text("issue:7"))];
        assert_eq!(coarser(targets.clone(), 1_000), targets);
    }

    #[test]
    fn an_invalidation_that_is_too_long_becomes_one_that_covers_it() {
        let urls = (0..100).map(|n| Url(format!("http://a.example/api/issues/{n}?page={n}"))).collect();
        assert_eq!(coarser(urls, 200), [Prefix(text("a.example/api/issues"))]);
        let tags = (0..100).flat_map(|n| [Named(format!("issue:{n}")), Named(format!("user:{n}:name"))]).collect();
        assert_eq!(coarser(tags, 200), [Named(text("issue:*")), Named(text("user:*"))]);
        let prefixes = (0..100).map(|n| Prefix(format!("/api/{n}"))).collect();
        assert_eq!(coarser(prefixes, 200), [Prefix(text("/api"))]);
        let paths = (0..100).map(|n| InvalidationTarget::Path(format!("/api/{n}"))).collect();
        assert_eq!(coarser(paths, 200), [Prefix(text("/api"))]);
    }

    #[test]
    fn an_invalidation_that_nothing_covers_becomes_everything() {
        for target in [Pattern as fn(String) -> InvalidationTarget, Named] {
            assert_eq!(coarser((0..100).map(|n| target(format!("a{n}"))).collect(), 200), [All]);
        }
    }

    #[test]
    fn the_coarser_one_names_all_that_the_finer_one_did() {
        let targets: Vec<_> = (0..50).flat_map(|n| [Url(format!("http://a.example/{n}/x?y")), Named(format!("a:{n}:{n}"))]).collect();
        for max_bytes in [4_000, 2_000, 1_000, 500, 100] {
            let ledger = Ledger::default();
            ledger.apply(&within(Invalidation::hard(targets.clone()), max_bytes), Timestamp::from_secs(1_000));
            for n in 0..50 {
                let url = format!("http://a.example/{n}/x?y");
                let by = |url: &str, names: &[&str]| {
                    let tags: Tags = Tag::surrogates(names.iter().copied()).unwrap().into();
                    ledger.check(&Subject { url, tags: (&tags).into() }, Default::default())
                };
                assert_eq!(by(&url, &[]), Validity::Invalid, "{url} within {max_bytes}");
                assert_eq!(by("http://b.example/", &[&format!("a:{n}:{n}")]), Validity::Invalid, "{n} within {max_bytes}");
            }
        }
    }

    #[test]
    fn a_soft_one_stays_soft() {
        let soft = within(Invalidation::soft((0..100).map(|n| Url(format!("http://a.example/{n}")))), 100);
        assert_eq!(soft, Invalidation::soft([Prefix(text("a.example"))]));
    }
}
