use std::path::PathBuf;

use super::*;

/// Lines of the longest file. Beyond it, two concepts stand in one.
const MAX_LINES: usize = 400;

/// Files of the largest folder below `src`.
const MAX_FILES: usize = 15;

#[test]
fn folders_import_each_other_one_way() {
    for folder in crates().expect("the crates") {
        let modules = read(&folder).expect("its sources");
        for (within, edges) in modules.edges() {
            for circle in circles(&edges) {
                let has_folder = circle.iter().any(|node| node.ends_with('/'));
                assert!(!has_folder, "{folder}/src/{}: {} import each other", within.join("/"), circle.join(", "));
            }
        }
    }
}

#[test]
fn no_file_is_too_long() {
    for folder in crates().expect("the crates").iter().map(String::as_str).chain(["fuzz"]) {
        for (path, text) in sources(&root().join(folder)).expect("its sources") {
            assert!(text.lines().count() <= MAX_LINES, "{folder}/{}: {} lines", path.display(), text.lines().count());
        }
    }
}

#[test]
fn no_folder_has_too_many_files() {
    for folder in crates().expect("the crates") {
        let mut counts: std::collections::BTreeMap<PathBuf, usize> = std::collections::BTreeMap::new();
        for (path, _) in sources(&root().join(&folder).join("src")).expect("its sources") {
            *counts.entry(path.parent().map(Path::to_owned).unwrap_or_default()).or_default() += 1;
        }
        assert!(!counts.is_empty(), "{folder} has no sources");
        for (within, files) in counts {
            assert!(files <= MAX_FILES, "{folder}/src/{}: {files} files", within.display());
        }
    }
}

fn drawn(files: &[(&str, &str)]) -> String {
    drawing("it", &Modules::new(files.iter().map(|(path, text)| (PathBuf::from(path), source::code(text)))))
}

#[test]
fn an_import_is_drawn_between_the_folders_of_both() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a/mod.rs", "mod deep;"),
        ("a/deep.rs", "use crate::b::{self, inner::{One, Two as Other}};\nfn f(x: super::super::c::X) {}"),
        ("b/mod.rs", "pub(crate) mod inner;"),
        ("b/inner.rs", ""),
        ("c.rs", ""),
    ];
    assert_eq!(drawn(&files), "it\n  src\n    a/ -> b/, c\n");
}

#[test]
fn a_re_export_leads_to_where_a_thing_is_defined() {
    let files = [
        ("lib.rs", "mod a; mod b; pub use b::Facade;"),
        ("a.rs", "fn f() { crate::Facade::new() }"),
        ("b/mod.rs", "mod x; mod y; pub use self::x::Thing as Facade; use y::Helper;"),
        ("b/x.rs", "use super::Helper;"),
        ("b/y.rs", ""),
    ];
    assert_eq!(drawn(&files), "it\n  src\n    a -> b/\n  b\n    x -> y\n");
}

#[test]
fn circles_are_found_over_several_steps() {
    let files =
        [("a/mod.rs", "use crate::b;"), ("a/x.rs", ""), ("b.rs", "use crate::c::C;"), ("c.rs", "use crate::a;"), ("d.rs", "use crate::a;")];
    let text = drawn(&files);
    assert!(text.contains("    circle: a/, b, c\n") && text.contains("    d -> a/\n"), "{text}");
}

#[test]
fn comments_literals_and_tests_import_nothing() {
    let text = r##"
        //! See [`crate::b`].
        /* use crate::b; */
        const A: &str = "\" crate::b::X";
        const B: &str = r#"use crate::b; ""#;
        const C: char = '"';
        fn f<'a>(x: &'a str) -> &'a str { x }
        macro_rules! m { () => { $crate::b::y() } }
        #[cfg(test)]
        mod tests { use crate::b::X; }
    "##;
    assert_eq!(drawn(&[("a.rs", text), ("b.rs", ""), ("a/tests.rs", "use crate::b::X;")]), "it\n");
}
