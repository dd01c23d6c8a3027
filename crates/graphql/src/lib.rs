//! GraphQL documents (<https://spec.graphql.org>), as far as a cache has to understand them: which operation a request runs, and one text for all ways of
//! writing a document.
//!
//! Apollo's parser reads them, within bounds on depth and number of tokens. A document with any error is none, for servers differ about what they
//! make of it.

mod persisted;

use std::sync::Arc;

use apollo_parser::cst::{Definition, FragmentDefinition, OperationDefinition, Selection, SelectionSet};
use apollo_parser::{Lexer, Parser, TokenKind};
use larder_semantics::content::graphql::{Document, DocumentReader};

use persisted::Persisted;

/// Selections within each other at most.
const MAX_DEPTH: usize = 128;

/// Tokens of a document at most.
const MAX_TOKENS: usize = 50_000;

/// Directives whose answers come in several parts.
const IN_PARTS: [&str; 2] = ["defer", "stream"];

/// Reads documents, and remembers those that come with their hash.
#[derive(Debug, Default)]
pub struct Documents {
    persisted: Persisted,
}

impl DocumentReader for Documents {
    fn read(&self, document: &str, operation: Option<&str>) -> Option<Document> {
        let tree = Parser::new(document).recursion_limit(MAX_DEPTH).token_limit(MAX_TOKENS).parse();
        if tree.errors().next().is_some() {
            return None;
        }
        let document_node = tree.document();
        let operations = document_node.definitions().filter_map(|definition| match definition {
            Definition::OperationDefinition(operation) => Some(operation),
            _ => None,
        });
        let operation = selected(operations, operation)?;
        // "{ a }" alone is a query (§2.3).
        let is_query = operation.operation_type().is_none_or(|kind| kind.query_token().is_some());
        let mut names: Vec<String> = operation.name().map(|name| name.text().to_string()).into_iter().collect();
        let mut fragments: Vec<FragmentDefinition> = document_node
            .definitions()
            .filter_map(|definition| match definition {
                Definition::FragmentDefinition(fragment) => Some(fragment),
                _ => None,
            })
            .collect();
        add_fields(operation.selection_set(), &mut fragments, &mut names);
        Some(Document { is_query, text: normalized(document)?, names })
    }

    fn persisted(&self, hash: &str) -> Option<Arc<str>> {
        self.persisted.get(hash)
    }

    fn remember(&self, hash: &str, document: &str) {
        self.persisted.put(hash, document);
    }
}

/// Adds the names of the fields of a selection, those of its fragments included. Each fragment is looked at once, whatever it has in it.
fn add_fields(selections: Option<SelectionSet>, fragments: &mut Vec<FragmentDefinition>, names: &mut Vec<String>) {
    for selection in selections.iter().flat_map(SelectionSet::selections) {
        match selection {
            Selection::Field(field) => names.extend(field.name().map(|name| name.text().to_string())),
            Selection::InlineFragment(fragment) => add_fields(fragment.selection_set(), fragments, names),
            Selection::FragmentSpread(spread) => {
                let wanted = spread.fragment_name().and_then(|name| name.name()).map(|name| name.text().to_string());
                let is_wanted = |fragment: &FragmentDefinition| {
                    fragment.fragment_name().and_then(|name| name.name()).map(|name| name.text().to_string()) == wanted
                };
                if let Some(place) = fragments.iter().position(is_wanted) {
                    let fragment = fragments.swap_remove(place);
                    add_fields(fragment.selection_set(), fragments, names);
                }
            }
        }
    }
}

/// The operation that is run: the one of the name, or without a name the only one (§6.1.1).
fn selected(mut operations: impl Iterator<Item = OperationDefinition>, name: Option<&str>) -> Option<OperationDefinition> {
    let Some(name) = name else {
        let only = operations.next()?;
        return operations.next().is_none().then_some(only);
    };
    let mut named = operations.filter(|operation| operation.name().is_some_and(|own| own.text() == name));
    let only = named.next()?;
    named.next().is_none().then_some(only)
}

/// The document without what means nothing (§2.1.7: white space, line terminators, commas, comments), with one space between tokens. `None` where it is
/// answered in parts.
fn normalized(document: &str) -> Option<String> {
    let (tokens, errors) = Lexer::new(document).with_limit(MAX_TOKENS).lex();
    if !errors.is_empty() {
        return None;
    }
    let means = |kind: TokenKind| !matches!(kind, TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof);
    let (mut text, mut is_directive) = (String::with_capacity(document.len()), false);
    for token in tokens.iter().filter(|token| means(token.kind())) {
        if is_directive && IN_PARTS.contains(&token.data()) {
            return None;
        }
        is_directive = token.kind() == TokenKind::At;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(token.data());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(document: &str, operation: Option<&str>) -> Option<(bool, String)> {
        Documents::default().read(document, operation).map(|document| (document.is_query, document.text))
    }

    #[test]
    fn an_operation_is_told_by_its_type_and_never_by_a_beginning() {
        let is_query = |document: &str| read(document, None).map(|(is_query, _)| is_query);
        for document in [
            "{ a }",
            "query { a }",
            "query Mutation { mutation }",
            "# mutation\n{ a }",
            "{ mutation: a }",
            "fragment F on T { a } { ...F }",
        ] {
            assert_eq!(is_query(document), Some(true), "{document}");
        }
        for document in
            ["mutation { a }", " \n,# query\nmutation A { query }", "subscription { a }", "fragment query on T { a } mutation { ...query }"]
        {
            assert_eq!(is_query(document), Some(false), "{document}");
        }
    }

    #[test]
    fn graphql_6_1_1_the_operation_that_is_run_is_named_or_the_only_one() {
        let document = "query A { a } mutation B { b }";
        let is_query = |name| read(document, name).map(|(is_query, _)| is_query);
        assert_eq!([is_query(Some("A")), is_query(Some("B")), is_query(None), is_query(Some("C"))], [Some(true), Some(false), None, None]);
        assert_eq!(read("query A { a } query A { b }", Some("A")), None);
        assert_eq!(read("fragment F on T { a }", None), None);
        assert_eq!(read("query A { a }", Some("")), None);
    }

    #[test]
    fn an_operation_has_its_name_and_those_of_its_root_fields() {
        let names = |document: &str| Documents::default().read(document, None).expect("a document").names;
        assert_eq!(
            names("mutation M { alias: updateIssue(id: 1) { id } ... { closeIssue } ...F } fragment F on T { a ...F }"),
            ["M", "updateIssue", "closeIssue", "a"]
        );
        assert_eq!(names("{ a { b } }"), ["a"]);
    }

    #[test]
    fn all_ways_of_writing_a_document_are_one() {
        let text = |document: &str| read(document, None).unwrap_or_else(|| panic!("{document}")).1;
        let base = text("query A($a: Int = 1) { b(c: $a, d: \"x  y\") { e f } }");
        assert_eq!(text("query A ( $a:Int=1 )\n{ b(c:$a d:\"x  y\"){e,f} # end\n}"), base);
        for other in [
            "query A($a: Int = 1) { b(c: $a, d: \"x y\") { e f } }",
            "query A($a: Int = 1) { b(c: $a, d: \"x  y\") { f e } }",
            "query A($a: Int = 1) { b(c: $a, d: \"x  y\") { ef } }",
            "query A($a: Int = 1) { b(d: \"x  y\", c: $a) { e f } }",
            "query A($a: Int) { b(c: $a, d: \"x  y\") { e f } }",
            "query B($a: Int = 1) { b(c: $a, d: \"x  y\") { e f } }",
            "query A($a: Int = 1) { b(c: $a, d: \"\"\"x  y\"\"\") { e f } }",
            "query A($a: Int = 1) { b(c: $a, d: \"x  y # end\") { e f } }",
        ] {
            assert_ne!(text(other), base, "{other}");
        }
    }

    #[test]
    fn what_servers_may_read_in_several_ways_is_no_document() {
        let deep = format!("{{ a {} {} }}", "{ a ".repeat(300), "} ".repeat(300));
        let long = format!("{{ {} }}", "a ".repeat(60_000));
        for document in ["", "{", "{ }", "{ a", "a }", "query", "{ a(b: ) }", "{ a @ }", "{ \"a\" }", "{ a \u{0} }", &deep, &long] {
            assert_eq!(read(document, None), None, "{}", &document[..document.len().min(50)]);
        }
        assert_eq!(read("{ a ... @defer { b } }", None), None, "its answer comes in parts");
        assert_eq!(read("{ a @stream(initialCount: 0) }", None), None);
        assert!(read("{ defer stream }", None).is_some());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(document in "[a-z{}()@$:.!\"#, \n\\\\]{0,60}") {
            if let Some((_, text)) = read(&document, None) {
                prop_assert_eq!(read(&text, None).map(|(_, again)| again), Some(text), "what is normal stays");
            }
        }
    }
}
