//! The tour of the code in `ARCHITECTURE.md` leads to files and functions that exist.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The tour's texts between backquotes, in order.
fn quoted(tour: &str) -> impl Iterator<Item = &str> {
    tour.split('`').skip(1).step_by(2)
}

fn is_function(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase()) && word.chars().all(|next| next.is_ascii_alphanumeric() || next == '_')
}

#[test]
fn the_tour_names_files_and_functions_that_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the document");
    let (_, tour) = text.split_once("\n## A tour of the code\n").expect("the tour");
    let tour = tour.split("\n## ").next().unwrap_or(tour);
    let (mut functions, mut file) = (0, None);
    for line in tour.lines() {
        if line.trim_start().starts_with(|first: char| first.is_ascii_digit()) {
            file = None;
        }
        for word in quoted(line) {
            if word.ends_with(".rs") {
                file = Some((word, fs::read_to_string(root().join(word)).unwrap_or_else(|error| panic!("{word}: {error}"))));
            } else if let (Some((path, code)), true) = (&file, is_function(word)) {
                let defined = [format!("fn {word}("), format!("fn {word}<")];
                assert!(defined.iter().any(|text| code.contains(text)), "{path} has no function `{word}`");
                functions += 1;
            }
        }
    }
    assert!(functions > 40, "the tour names only {functions} functions");
}

#[test]
fn a_miss_takes_ten_hops_at_most() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the document");
    let (_, miss) = text.split_once("\n**A miss**").expect("the walk of a miss");
    let miss = miss.split("\n**").next().unwrap_or(miss);
    let hops = miss.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count();
    assert!((1..=10).contains(&hops), "{hops} hops");
}
