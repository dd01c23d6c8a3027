//! Tags that are invalidated together with others, directly or through others again.

use std::borrow::Cow;
use std::collections::HashSet;

use super::named_tag::NamedTag;

/// Maximum number of tags that one invalidation may lead to. Beyond it rules feed each other without end.
const MAX_TAGS: usize = 10_000;

/// Maximum length in bytes of a tag that follows from others. Longer ones have grown out of each other.
const MAX_TAG_LENGTH: usize = 4096;

/// Which tags are invalidated together with which others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagCascade {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    tag: TagPattern,
    also: Vec<Vec<TagPiece>>,
}

/// A piece of a tag that follows from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagPiece {
    /// Text as it stands. At the end of a tag, a star behind a colon names a family.
    Text(String),
    /// The capture at this position of the pattern.
    Capture(usize),
}

/// A cascade that leads to more tags than may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endless;

impl TagCascade {
    /// Adds a rule: the tags in `also` are invalidated together with every tag that matches `tag`.
    pub fn add(&mut self, tag: TagPattern, also: Vec<Vec<TagPiece>>) {
        self.rules.push(Rule { tag, also });
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The tags that are invalidated together with `tags`, directly or through others: each once, without `tags` themselves.
    ///
    /// # Errors
    /// More than 10 000 tags follow, one of them is longer than 4096 bytes, or a family ends elsewhere than at a colon.
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
    /// The tags that follow from one tag, or from a family of them.
    fn apply(&self, tag: &str) -> Result<Vec<String>, Endless> {
        match NamedTag::read(tag) {
            NamedTag::One(tag) => Ok(self.of_one(&tag)),
            NamedTag::Family(prefix) => self.of_family(prefix),
        }
    }

    fn of_one(&self, tag: &str) -> Vec<String> {
        let Some(captures) = self.tag.captures(tag) else { return Vec::new() };
        let text = |piece: &'_ TagPiece| match piece {
            TagPiece::Text(text) => text.clone(),
            TagPiece::Capture(position) => captures.get(*position).copied().unwrap_or_default().to_owned(),
        };
        self.also.iter().map(|also| target(also, also.iter().map(text).collect())).collect()
    }

    /// A capture that differs within the family makes a family of what follows too.
    fn of_family(&self, prefix: &str) -> Result<Vec<String>, Endless> {
        let Some(captures) = self.tag.captures_of_family(prefix) else { return Ok(Vec::new()) };
        let also = |also: &Vec<TagPiece>| {
            let mut begin = String::new();
            for piece in also {
                match piece {
                    TagPiece::Text(text) => begin.push_str(text),
                    TagPiece::Capture(position) => {
                        begin.push_str(captures.get(*position).copied().unwrap_or_default());
                        // No family has them all, unless it ends here.
                        return if begin.ends_with(':') { Ok(begin + "*") } else { Err(Endless) };
                    }
                }
            }
            Ok(target(also, begin))
        };
        self.also.iter().map(also).collect()
    }
}

fn target(pieces: &[TagPiece], filled: String) -> String {
    let end = pieces.last().and_then(|piece| match piece {
        TagPiece::Text(text) => Some(text.as_str()),
        TagPiece::Capture(_) => None,
    });
    NamedTag::of_template(end, filled)
}

/// The form of a tag: text, with captures between that stand for any text but none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPattern {
    /// Before the first capture, between captures, and after the last.
    literals: Vec<String>,
}

impl TagPattern {
    /// The pattern with these texts before, between and after its captures; one without captures has one text. Between two captures there is
    /// some text, or nothing would tell them apart.
    pub fn new(literals: Vec<String>) -> Self {
        Self { literals }
    }

    /// The captures in a tag, if it has this form: each takes as little as the whole allows.
    fn captures<'t>(&self, tag: &'t str) -> Option<Vec<&'t str>> {
        let (first, rest) = self.literals.split_first()?;
        let mut left = tag.strip_prefix(first.as_str())?;
        let Some((last, between)) = rest.split_last() else { return left.is_empty().then(Vec::new) };
        let mut captures = Vec::with_capacity(rest.len());
        for literal in between {
            let one = left.chars().next()?.len_utf8();
            let at = one + left[one..].find(literal.as_str())?;
            captures.push(&left[..at]);
            left = &left[at + literal.len()..];
        }
        captures.push(left.strip_suffix(last.as_str()).filter(|capture| !capture.is_empty())?);
        Some(captures)
    }

    /// As [`Self::captures`], for all tags that begin so: the known beginning of each capture.
    fn captures_of_family<'t>(&self, prefix: &'t str) -> Option<Vec<&'t str>> {
        let (first, rest) = self.literals.split_first()?;
        match (prefix.strip_prefix(first.as_str()), rest) {
            (_, []) => first.starts_with(prefix).then(Vec::new),
            (Some(known), [last]) if last.is_empty() => Some(vec![known]),
            (known, _) => (known.is_some() || first.starts_with(prefix)).then(|| vec![""; rest.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `{}` in a pattern is a capture, and `{0}` and `{1}` are captures of the pattern in a tag that follows.
    fn pattern(text: &str) -> TagPattern {
        TagPattern::new(text.split("{}").map(str::to_owned).collect())
    }

    fn pieces(text: &str) -> Vec<TagPiece> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (position, after) = after.split_once('}').expect("a brace");
            pieces.extend((!before.is_empty()).then(|| TagPiece::Text(before.to_owned())));
            pieces.push(TagPiece::Capture(position.parse().expect("a position")));
            rest = after;
        }
        pieces.extend((!rest.is_empty()).then(|| TagPiece::Text(rest.to_owned())));
        pieces
    }

    fn rules(rules: &[(&str, &[&str])]) -> TagCascade {
        let mut cascade = TagCascade::default();
        for (tag, also) in rules {
            cascade.add(pattern(tag), also.iter().map(|text| pieces(text)).collect());
        }
        cascade
    }

    fn follow(cascade: &TagCascade, tag: &str) -> Vec<String> {
        let mut found = cascade.follow([tag].into_iter()).expect("it ends");
        found.sort();
        found
    }

    #[test]
    fn tags_follow_through_others_and_each_once() {
        let cascade = rules(&[("org:{}", &["project-of:{0}"]), ("project-of:{}", &["issue-of:{0}", "board:{0}"])]);
        assert_eq!(follow(&cascade, "org:7"), ["board:7", "issue-of:7", "project-of:7"]);
        assert_eq!(follow(&cascade, "project-of:7"), ["board:7", "issue-of:7"]);
        assert_eq!(follow(&cascade, "organ:7"), [""; 0]);
        assert_eq!(follow(&cascade, "org:"), [""; 0]);
    }

    #[test]
    fn tags_that_bring_about_each_other_end() {
        let cascade = rules(&[("a:{}", &["b:{0}", "a:{0}"]), ("b:{}", &["a:{0}"])]);
        assert_eq!(follow(&cascade, "a:1"), ["b:1"]);
    }

    #[test]
    fn a_family_leads_to_a_family() {
        let cascade = rules(&[("org:{}", &["issue-of:{0}", "orgs"]), ("org:{}:team:{}", &["team:{1}:of:{0}"])]);
        assert_eq!(follow(&cascade, "org:*"), ["issue-of:*", "orgs", "team:*"]);
        assert_eq!(follow(&cascade, "org:1:*"), ["issue-of:1:*", "orgs", "team:*"]);
        assert_eq!(follow(&cascade, "orgs:*"), [""; 0]);
        let unnamed = rules(&[("org:{}", &["issue-of-{0}"])]);
        assert_eq!(unnamed.follow(["org:*"].into_iter()), Err(Endless));
        assert_eq!(follow(&rules(&[("org:all", &["x"])]), "org:*"), ["x"]);
    }

    #[test]
    fn a_star_in_a_tag_is_text_and_brings_about_no_family() {
        let cascade = rules(&[("org:{}", &["issue-of:{0}", "lists:*"]), ("issue-of:{}", &["{0}"])]);
        assert_eq!(follow(&cascade, r"org:\*"), ["*", r"issue-of:\*", "lists:*"]);
        assert_eq!(follow(&cascade, r"org:1:\*"), [r"1:\*", r"issue-of:1:\*", "lists:*"]);
        assert_eq!(follow(&rules(&[("org:{}", &["issue-of:{0}"])]), "org:*:*"), ["issue-of:*:*"]);
    }

    #[test]
    fn a_cascade_that_grows_without_end_is_endless() {
        let cascade = rules(&[("a{}", &["aa{0}"])]);
        assert_eq!(cascade.follow(["a1"].into_iter()), Err(Endless));
    }

    #[test]
    fn a_place_takes_as_little_as_the_whole_allows() {
        let captures = |text: &str, tag: &'static str| pattern(text).captures(tag);
        assert_eq!(captures("p:{}:{}", "p:a:b:c"), Some(vec!["a", "b:c"]));
        assert_eq!(captures("{}:b", "1:b:b"), Some(vec!["1:b"]));
        assert_eq!(captures("{}:{}", "::x"), Some(vec![":", "x"]));
        assert_eq!(captures("plain", "plain"), Some(vec![]));
        assert_eq!(captures("plain", "plainer"), None);
        assert_eq!(captures("p:{}", "p:ü"), Some(vec!["ü"]));
    }

    proptest! {
        #[test]
        fn the_captures_of_a_tag_make_the_same_tag_again(
            literals in ("[a:]{0,2}", "[a:]{1,2}", "[a:]{0,2}"), x in "[a:b]{1,3}", y in "[a:b]{1,3}",
        ) {
            let (first, between, last) = &literals;
            let pattern = TagPattern::new(vec![first.clone(), between.clone(), last.clone()]);
            let tag = format!("{first}{x}{between}{y}{last}");
            let captures = pattern.captures(&tag).expect("it matches what it made");
            prop_assert_eq!(format!("{first}{}{between}{}{last}", captures[0], captures[1]), tag);
        }
    }
}
