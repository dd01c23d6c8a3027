//! `[tags] cascade`: tags that are invalidated together with others.

use std::borrow::Cow;
use std::collections::HashSet;

use larder_store::NamedTag;

use crate::model::tags::{Piece, TagPart, TagTemplate, pieces};
use crate::parse::mistake::Mistake;

/// Maximum number of tags that one purge may lead to. Beyond it rules feed each other without end.
const MAX_TAGS: usize = 10_000;

/// Maximum length in bytes of a tag that follows from others. Longer ones have grown out of each other.
const MAX_TAG_LENGTH: usize = 4096;

/// Which tags are invalidated together with which others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cascade {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    tag: TagPattern,
    also: Vec<TagTemplate>,
}

/// A cascade that leads to more tags than may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endless;

impl Cascade {
    /// Adds a rule: the tags in `also` are invalidated together with every tag that matches `tag`.
    pub(crate) fn add(&mut self, tag: TagPattern, also: Vec<TagTemplate>) {
        self.rules.push(Rule { tag, also });
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The tags that are invalidated together with `tags`, directly or through others: each once, without `tags` themselves.
    ///
    /// # Errors
    /// There are more than 10 000 of them, one is too long, or a family ends elsewhere than at a colon.
    pub fn follow<'t>(&self, tags: impl Iterator<Item = &'t str>) -> Result<Vec<String>, Endless> {
        let mut known: HashSet<Cow<'t, str>> = tags.map(Cow::Borrowed).collect();
        let mut open: Vec<String> = known.iter().map(|tag| tag.as_ref().to_owned()).collect();
        let (mut found, max) = (Vec::new(), known.len() + MAX_TAGS);
        while let Some(tag) = open.pop() {
            let also: Vec<Vec<String>> = self.rules.iter().map(|rule| rule.apply(&tag)).collect::<Result<_, _>>()?;
            for also in also.into_iter().flatten() {
                if known.len() >= max || also.len() > MAX_TAG_LENGTH {
                    return Err(Endless);
                }
                if known.insert(Cow::Owned(also.clone())) {
                    found.push(also.clone());
                    open.push(also);
                }
            }
        }
        Ok(found)
    }
}

impl Rule {
    /// What follows from one tag, or from a family of them.
    fn apply(&self, tag: &str) -> Result<Vec<String>, Endless> {
        match NamedTag::read(tag) {
            NamedTag::One(tag) => Ok(self.of_one(&tag)),
            NamedTag::Family(prefix) => self.of_family(prefix),
        }
    }

    fn of_one(&self, tag: &str) -> Vec<String> {
        let Some(captures) = self.tag.captures(tag) else { return Vec::new() };
        let value = |part: &TagPart| match part {
            TagPart::Path(position) => captures.get(*position).map(|capture| Cow::Borrowed(*capture)),
            _ => None,
        };
        self.also.iter().filter_map(|template| template.fill(value).map(|filled| template.target(filled))).collect()
    }

    /// A family, too, where a place stands for what differs within it.
    fn of_family(&self, prefix: &str) -> Result<Vec<String>, Endless> {
        let Some(captures) = self.tag.captures_of_family(prefix) else { return Ok(Vec::new()) };
        let also = |template: &TagTemplate| {
            let mut begin = String::new();
            for part in template.parts() {
                match part {
                    TagPart::Literal(text) => begin.push_str(text),
                    TagPart::Path(position) => {
                        begin.push_str(captures.get(*position).copied().unwrap_or_default());
                        // No family has them all, unless it ends here.
                        return if begin.ends_with(':') { Ok(begin + "*") } else { Err(Endless) };
                    }
                    _ => {}
                }
            }
            Ok(template.target(begin))
        };
        self.also.iter().map(also).collect()
    }
}

/// What a tag has to look like: text, and places that stand for any text but none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagPattern {
    /// Before the first place, between places, and after the last.
    literals: Vec<String>,
    names: Vec<String>,
}

impl TagPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let mut pattern = Self { literals: vec![String::new()], names: Vec::new() };
        let mut after_place = false;
        for piece in pieces(text)? {
            let name = match piece {
                Piece::Literal(literal) => {
                    *pattern.literals.last_mut().unwrap_or(&mut String::new()) = literal;
                    after_place = false;
                    continue;
                }
                Piece::Placeholder(name) => name,
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
                return Err(Mistake::new(format!("`{{{name}}}` in `{text}` has no proper name"))
                    .hint("a name is made of letters, digits, `_` and `-`: \"project:{id}\""));
            }
            if pattern.names.iter().any(|known| known == name) {
                return Err(Mistake::new(format!("`{text}` names `{name}` twice")).hint("give each part its own name"));
            }
            if after_place {
                return Err(Mistake::new(format!("nothing tells `{{{name}}}` in `{text}` from the part before it"))
                    .hint("put something between them: \"{org}:{id}\""));
            }
            pattern.names.push(name.to_owned());
            pattern.literals.push(String::new());
            after_place = true;
        }
        Ok(pattern)
    }

    /// What stands at the places: each takes as little as the whole allows.
    fn captures<'t>(&self, tag: &'t str) -> Option<Vec<&'t str>> {
        let (first, rest) = self.literals.split_first()?;
        let mut left = tag.strip_prefix(first.as_str())?;
        let Some((last, between)) = rest.split_last() else { return left.is_empty().then(Vec::new) };
        let mut captures = Vec::with_capacity(self.names.len());
        for literal in between {
            let one = left.chars().next()?.len_utf8();
            let at = one + left[one..].find(literal.as_str())?;
            captures.push(&left[..at]);
            left = &left[at + literal.len()..];
        }
        captures.push(left.strip_suffix(last.as_str()).filter(|capture| !capture.is_empty())?);
        Some(captures)
    }

    /// As [`Self::captures`], for all tags that begin so: what is known of each capture's beginning.
    fn captures_of_family<'t>(&self, prefix: &'t str) -> Option<Vec<&'t str>> {
        let (first, rest) = self.literals.split_first()?;
        match (prefix.strip_prefix(first.as_str()), rest) {
            (_, []) => first.starts_with(prefix).then(Vec::new),
            (Some(known), [last]) if last.is_empty() => Some(vec![known]),
            (known, _) => (known.is_some() || first.starts_with(prefix)).then(|| vec![""; self.names.len()]),
        }
    }

    /// What its places are called.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// A tag that it matches.
    pub(crate) fn sample(&self) -> String {
        let names = self.names.iter().map(String::as_str).chain([""]);
        self.literals.iter().map(String::as_str).zip(names).flat_map(|(literal, name)| [literal, name]).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::tags::Placeholders;

    fn rules(rules: &[(&str, &[&str])]) -> Cascade {
        let rule = |(tag, also): &(&str, &[&str])| {
            let tag = TagPattern::parse(tag).expect("a pattern");
            let places = Placeholders { of: "it", names: &tag.names, sources: &[] };
            let also = also.iter().map(|text| TagTemplate::parse(text, places).expect("a template")).collect();
            Rule { tag, also }
        };
        Cascade { rules: rules.iter().map(rule).collect() }
    }

    fn follow(cascade: &Cascade, tag: &str) -> Vec<String> {
        let mut found = cascade.follow([tag].into_iter()).expect("it ends");
        found.sort();
        found
    }

    #[test]
    fn what_follows_from_what_follows_is_old_too_and_everything_once() {
        let cascade = rules(&[("org:{id}", &["project-of:{id}"]), ("project-of:{id}", &["issue-of:{id}", "board:{id}"])]);
        assert_eq!(follow(&cascade, "org:7"), ["board:7", "issue-of:7", "project-of:7"]);
        assert_eq!(follow(&cascade, "project-of:7"), ["board:7", "issue-of:7"]);
        assert_eq!(follow(&cascade, "organ:7"), [""; 0]);
        assert_eq!(follow(&cascade, "org:"), [""; 0]);
    }

    #[test]
    fn tags_that_bring_about_each_other_end() {
        let cascade = rules(&[("a:{x}", &["b:{x}", "a:{x}"]), ("b:{x}", &["a:{x}"])]);
        assert_eq!(follow(&cascade, "a:1"), ["b:1"]);
    }

    #[test]
    fn what_follows_from_a_family_is_a_family() {
        let cascade = rules(&[("org:{id}", &["issue-of:{id}", "orgs"]), ("org:{id}:team:{team}", &["team:{team}:of:{id}"])]);
        assert_eq!(follow(&cascade, "org:*"), ["issue-of:*", "orgs", "team:*"]);
        assert_eq!(follow(&cascade, "org:1:*"), ["issue-of:1:*", "orgs", "team:*"]);
        assert_eq!(follow(&cascade, "orgs:*"), [""; 0]);
        let unnamed = rules(&[("org:{id}", &["issue-of-{id}"])]);
        assert_eq!(unnamed.follow(["org:*"].into_iter()), Err(Endless));
        assert_eq!(follow(&rules(&[("org:all", &["x"])]), "org:*"), ["x"]);
    }

    #[test]
    fn a_star_in_a_tag_is_text_and_brings_about_no_family() {
        let cascade = rules(&[("org:{id}", &["issue-of:{id}", "lists:*"]), ("issue-of:{id}", &["{id}"])]);
        assert_eq!(follow(&cascade, r"org:\*"), ["*", r"issue-of:\*", "lists:*"]);
        assert_eq!(follow(&cascade, r"org:1:\*"), [r"1:\*", r"issue-of:1:\*", "lists:*"]);
        assert_eq!(follow(&rules(&[("org:{id}", &["issue-of:{id}"])]), "org:*:*"), ["issue-of:*:*"]);
    }

    #[test]
    fn what_grows_without_end_is_said_to() {
        let cascade = rules(&[("a{x}", &["aa{x}"])]);
        assert_eq!(cascade.follow(["a1"].into_iter()), Err(Endless));
    }

    #[test]
    fn a_place_takes_as_little_as_the_whole_allows() {
        let captures = |pattern: &str, tag: &'static str| TagPattern::parse(pattern).expect("a pattern").captures(tag);
        assert_eq!(captures("p:{org}:{id}", "p:a:b:c"), Some(vec!["a", "b:c"]));
        assert_eq!(captures("{a}:b", "1:b:b"), Some(vec!["1:b"]));
        assert_eq!(captures("{a}:{b}", "::x"), Some(vec![":", "x"]));
        assert_eq!(captures("plain", "plain"), Some(vec![]));
        assert_eq!(captures("plain", "plainer"), None);
        assert_eq!(captures("p:{id}", "p:ü"), Some(vec!["ü"]));
    }

    proptest! {
        #[test]
        fn what_a_pattern_was_filled_with_makes_the_same_tag_again(
            pattern in "[a:]{0,2}\\{x\\}[a:]{1,2}\\{y\\}[a:]{0,2}", x in "[a:b]{1,3}", y in "[a:b]{1,3}",
        ) {
            let parsed = TagPattern::parse(&pattern).expect("a pattern");
            let tag = pattern.replace("{x}", &x).replace("{y}", &y);
            let captures = parsed.captures(&tag).expect("it matches what it made");
            prop_assert_eq!(pattern.replace("{x}", captures[0]).replace("{y}", captures[1]), tag);
        }
    }
}
