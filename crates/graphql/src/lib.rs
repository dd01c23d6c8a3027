//! GraphQL documents (<https://spec.graphql.org>), as far as a cache has to understand them: which operation a request runs, and one text for all ways of
//! writing a document.
//!
//! Apollo's parser reads them, within bounds on depth and number of tokens. A document with any error is none, for servers differ about what they
//! make of it.

mod persisted;

use std::collections::HashMap;
use std::sync::Arc;

use apollo_parser::cst::{Definition, Name, OperationDefinition, Selection, SelectionSet};
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
        let names = if is_query { Vec::new() } else { names_of(&operation, document_node.definitions()) };
        Some(Document { is_query, text: normalized(document)?, names })
    }

    fn persisted(&self, hash: &str) -> Option<Arc<str>> {
        self.persisted.get(hash)
    }

    fn remember(&self, hash: &str, document: &str) -> bool {
        self.persisted.put(hash, document)
    }
}

/// The name of an operation and those of its fields, those of its fragments included. Each fragment is looked at once, and without recursion: clients say
/// how many there are, one within the other.
fn names_of(operation: &OperationDefinition, definitions: impl Iterator<Item = Definition>) -> Vec<String> {
    let text = |name: Option<Name>| name.map(|name| name.text().to_string());
    let mut fragments: HashMap<String, SelectionSet> = HashMap::new();
    for definition in definitions {
        if let Definition::FragmentDefinition(fragment) = definition
            && let (Some(name), Some(selections)) = (text(fragment.fragment_name().and_then(|name| name.name())), fragment.selection_set())
        {
            fragments.entry(name).or_insert(selections);
        }
    }
    let mut names: Vec<String> = text(operation.name()).into_iter().collect();
    let mut open: Vec<_> = operation.selection_set().map(|selections| selections.selections()).into_iter().collect();
    while let Some(selections) = open.last_mut() {
        let within = match selections.next() {
            None => {
                open.pop();
                continue;
            }
            Some(Selection::Field(field)) => {
                names.extend(text(field.name()));
                continue;
            }
            Some(Selection::InlineFragment(fragment)) => fragment.selection_set(),
            Some(Selection::FragmentSpread(spread)) => {
                text(spread.fragment_name().and_then(|name| name.name())).and_then(|name| fragments.remove(&name))
            }
        };
        open.extend(within.map(|selections| selections.selections()));
    }
    names
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
    fn a_mutation_has_its_name_and_those_of_its_root_fields() {
        let names = |document: &str| Documents::default().read(document, None).expect("a document").names;
        assert_eq!(
            names("mutation M { alias: updateIssue(id: 1) { id } ... { closeIssue } ...F } fragment F on T { a ...F }"),
            ["M", "updateIssue", "closeIssue", "a"]
        );
        assert!(names("query Q { a { b } }").is_empty(), "a query has none, for its key needs none");
    }

    #[test]
    fn fragments_within_each_other_take_no_stack_and_are_found_by_name() {
        const CHAIN: usize = 2_500;
        let chain: String = (0..CHAIN).map(|n| format!("fragment f{n} on T{{a{n} ...f{}}}", n + 1)).collect();
        let document = format!("mutation{{...f0}}{chain}fragment f{CHAIN} on T{{end}}");
        let read = move || Documents::default().read(&document, None).expect("a document").names;
        let names = std::thread::Builder::new().stack_size(256 << 10).spawn(read).expect("a thread").join().expect("names");
        assert_eq!((names.len(), names.last().map(String::as_str)), (CHAIN + 1, Some("end")));
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
