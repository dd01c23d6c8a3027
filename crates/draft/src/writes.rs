//! What a write makes old: tags of routes, and rules that purge them.
//!
//! A tag stands for a place in the tree of paths: `books` for the list, `books:{id}` for a book and what is below it. A read carries the tags of the places
//! that it belongs to, as far as some write purges them; a write purges the innermost thing that it names, the list around that, and what has its own path.

use std::collections::BTreeSet;

use crate::naming::{ends_a_session, only_reads};
use crate::openapi::Operation;
use crate::template::{Segment, Template};

/// A tag, as text for the configuration, and as a form that two templates with other names for their parts share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) form: String,
    pub(crate) text: String,
}

/// A rule of `[[on_write]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) methods: Vec<String>,
    pub(crate) path: Template,
    /// The tags that it purges; none: what is stored for the client.
    pub(crate) tags: Vec<Tag>,
}

/// The name of a place: its text, without what every path begins with.
pub(crate) fn place(segments: &[Segment]) -> Vec<&str> {
    let is_version =
        |text: &str| text.strip_prefix('v').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    let is_common = |segment: &&Segment| matches!(segment, Segment::Text(text) if text == "api" || is_version(text));
    let common = segments.iter().take_while(is_common).count();
    segments[common..].iter().filter_map(|segment| if let Segment::Text(text) = segment { Some(text.as_str()) } else { None }).collect()
}

/// The tag of the place that these segments lead to. `None`: they lead to all there is.
fn tag(segments: &[Segment]) -> Option<Tag> {
    let places = place(segments);
    let proper = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
    if places.is_empty() || !places.iter().all(proper) {
        return None;
    }
    let mut tag = Tag { form: places.join("."), text: places.join(".") };
    for segment in segments {
        if let Segment::Part(name) = segment {
            tag.form.push_str(":{}");
            tag.text.push_str(&format!(":{{{name}}}"));
        }
    }
    Some(tag)
}

/// All tags that a read may carry.
fn carried(template: &Template) -> Vec<Tag> {
    let segments = template.segments();
    let belongs = |length: &usize| match (&segments[*length - 1], segments.get(*length)) {
        (_, None) | (Segment::Part(_), _) => true,
        // A list's page or report; not an item, which would be purged with every other.
        (Segment::Text(_), Some(next)) => matches!(next, Segment::Text(_)),
        (Segment::Rest, _) => false,
    };
    (1..=segments.len()).filter(belongs).filter_map(|length| tag(&segments[..length])).collect()
}

/// The tags that a write purges, of those that some read carries.
fn purged(template: &Template, reads: &[&Template], known: &BTreeSet<String>) -> Vec<Tag> {
    let segments = template.segments();
    let is_known = |segments: &&[Segment]| tag(segments).is_some_and(|tag| known.contains(&tag.form));
    let parts = (0..segments.len()).rev().filter(|&at| matches!(segments[at], Segment::Part(_)));
    // Of `/books/{id}/stock/{number}` nothing may be read by its number: then the book is what the write is about.
    let around = |at: usize| [&segments[..=at], &segments[..at]].into_iter().filter(is_known).collect::<Vec<_>>();
    let mut places = parts.map(around).find(|places| !places.is_empty()).unwrap_or_default();
    if matches!(segments.last(), Some(Segment::Text(_))) {
        places.push(segments);
        // `POST /books/reindex` names no list: the one around it is meant.
        let shape = template.shape();
        if !reads.iter().any(|read| read.shape().starts_with(&shape)) {
            places.push(&segments[..segments.len() - 1]);
        }
    }
    let mut tags: Vec<Tag> = Vec::new();
    for tag in places.into_iter().filter(is_known).filter_map(tag) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// The rules for these operations, and the forms of all tags that they purge, where `reads` are what is stored.
pub(crate) fn rules(operations: &[Operation], reads: &[&Template], has_identities: bool) -> (Vec<Write>, BTreeSet<String>) {
    let known: BTreeSet<String> = reads.iter().flat_map(|read| carried(read)).map(|tag| tag.form).collect();
    let mut rules: Vec<Write> = Vec::new();
    for operation in operations {
        let last = operation.template.last_text().unwrap_or_default();
        let ends = ends_a_session(last);
        if (ends && !has_identities) || (operation.method == "POST" && only_reads(last)) {
            continue;
        }
        let tags: Vec<Tag> = match ends {
            true => Vec::new(),
            false => purged(&operation.template, reads, &known),
        };
        if tags.is_empty() && !ends {
            continue;
        }
        match rules.iter_mut().find(|rule| rule.path.shape() == operation.template.shape()) {
            Some(rule) => rule.methods.push(operation.method.clone()),
            None => rules.push(Write { methods: vec![operation.method.clone()], path: operation.template.clone(), tags }),
        }
    }
    let forms = rules.iter().flat_map(|rule| &rule.tags).map(|tag| tag.form.clone()).collect();
    (rules, forms)
}

/// The tags that a read carries, of those that some write purges.
pub(crate) fn tags_of(read: &Template, purged: &BTreeSet<String>) -> Vec<Tag> {
    carried(read).into_iter().filter(|tag| purged.contains(&tag.form)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(method: &str, path: &str) -> Operation {
        Operation::plain(method, Template::read(path).expect("a path"), String::new())
    }

    /// For each write its tags, and for each read the ones it carries.
    fn of(writes: &[(&str, &str)], reads: &[&str]) -> (Vec<String>, Vec<String>) {
        let reads: Vec<Template> = reads.iter().map(|path| Template::read(path).expect("a path")).collect();
        let operations: Vec<Operation> = writes.iter().map(|(method, path)| write(method, path)).collect();
        let (rules, forms) = rules(&operations, &reads.iter().collect::<Vec<_>>(), true);
        let texts = |tags: &[Tag]| tags.iter().map(|tag| tag.text.as_str()).collect::<Vec<_>>().join(" ");
        (rules.iter().map(|rule| texts(&rule.tags)).collect(), reads.iter().map(|read| texts(&tags_of(read, &forms))).collect())
    }

    #[test]
    fn a_write_to_an_item_purges_it_and_the_lists_but_no_other_item() {
        let (writes, reads) = of(
            &[("PUT", "/api/v1/books/{book_id}"), ("POST", "/api/v1/books")],
            &["/api/v1/books", "/api/v1/books/{id}", "/api/v1/books/popular", "/api/v1/authors"],
        );
        assert_eq!(writes, ["books:{book_id} books", "books"]);
        assert_eq!(reads, ["books", "books:{id}", "books", ""]);
    }

    #[test]
    fn what_is_below_an_item_goes_with_it_and_a_write_below_touches_the_item() {
        let (writes, reads) = of(
            &[("POST", "/users/{user}/posts"), ("DELETE", "/users/{user}/posts/{post}"), ("PATCH", "/users/{user}")],
            &["/users", "/users/{id}", "/users/{id}/posts", "/users/{id}/posts/{post}"],
        );
        assert_eq!(writes, ["users:{user} users users.posts:{user}", "users.posts:{user}:{post} users.posts:{user}", "users:{user} users"]);
        assert_eq!(reads, ["users", "users:{id}", "users:{id} users.posts:{id}", "users:{id} users.posts:{id}:{post}"]);
    }

    #[test]
    fn an_action_touches_what_it_is_about() {
        let actions = [("POST", "/books/{id}/publish"), ("POST", "/books/reindex"), ("PUT", "/books/{id}/stock/{number}")];
        let (writes, reads) = of(&actions, &["/books", "/books/{id}"]);
        assert_eq!(
            (writes, reads),
            (
                ["books:{id} books", "books", "books:{id} books"].map(str::to_owned).to_vec(),
                ["books", "books:{id}"].map(str::to_owned).to_vec()
            )
        );
    }

    #[test]
    fn a_search_by_post_and_a_write_that_concerns_nothing_stored_have_no_rule() {
        assert!(of(&[("POST", "/books/search"), ("POST", "/payments")], &["/books"]).0.is_empty());
        assert_eq!(of(&[("POST", "/auth/logout")], &["/books"]).0, [""]);
    }
}
