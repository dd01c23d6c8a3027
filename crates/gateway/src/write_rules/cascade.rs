//! Targets that follow from those of an invalidation: `[tags] cascade`, and other spellings under which keys have what is named.

use larder_store::{Endless, Invalidation, InvalidationTarget, TagCascade};
use larder_tower::Cascade;

use super::KeySpellings;
use crate::config::Config;

/// The rules of one configuration.
#[derive(Debug)]
pub(crate) struct ConfiguredCascade {
    tags: TagCascade,
    spellings: KeySpellings,
}

impl ConfiguredCascade {
    /// `None` where nothing follows from anything.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let (tags, spellings) = (config.tags.cascade.clone(), KeySpellings::of(config));
        (!tags.is_empty() || !spellings.is_plain()).then_some(Self { tags, spellings })
    }
}

impl Cascade for ConfiguredCascade {
    /// Where rules feed each other without end, the tags that would be missing are not known, so everything is invalidated.
    fn widen(&self, invalidation: &mut Invalidation) {
        let tags = invalidation.targets.iter().filter_map(|target| match target {
            InvalidationTarget::Tag(tag) => Some(tag.as_str()),
            _ => None,
        });
        let also: Vec<InvalidationTarget> = match self.tags.follow(tags) {
            Ok(also) => also.into_iter().map(InvalidationTarget::Tag).collect(),
            Err(Endless) => {
                tracing::warn!("a purge of tags came to more than can be followed by [tags] cascade; everything is purged instead");
                vec![InvalidationTarget::All]
            }
        };
        let spelt: Vec<InvalidationTarget> = invalidation.targets.iter().flat_map(|target| self.spellings.others(target)).collect();
        invalidation.targets.extend(also.into_iter().chain(spelt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn widened(cascade: &str, targets: Vec<InvalidationTarget>) -> Vec<InvalidationTarget> {
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[tags]\ncascade = {{ {cascade} }}");
        let parsed = config::parse("test.toml", text.as_bytes(), &Default::default());
        let (config, _) = parsed.unwrap_or_else(|report| panic!("{}", report.render(false)));
        let mut invalidation = Invalidation::soft(targets);
        ConfiguredCascade::of(&config).expect("a rule").widen(&mut invalidation);
        assert!(invalidation.soft);
        invalidation.targets
    }

    #[test]
    fn only_tags_bring_about_others() {
        let tag = |text: &str| InvalidationTarget::Tag(text.to_owned());
        let route = InvalidationTarget::Route("org:1".to_owned());
        let found = widened(r#""org:{id}" = ["issues-of:{id}"]"#, vec![tag("org:7"), route.clone()]);
        assert_eq!(found, [tag("org:7"), route, tag("issues-of:7")]);
    }

    #[test]
    fn an_endless_cascade_invalidates_everything() {
        // `check` cannot see a cascade that grows from some tags only.
        let found = widened(r#""{a}:{b}" = ["{b}:{b}"]"#, vec![InvalidationTarget::Tag("1:2:3".to_owned())]);
        assert_eq!(found.last(), Some(&InvalidationTarget::All));
    }
}
