//! `larder explain-reason`: what a word of `Cache-Status`, log or metrics means, and what to do about it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use larder_semantics::Reason;

use crate::cli::admin_client::print;
use crate::config;

/// `larder explain-reason`
#[derive(Debug, Args)]
pub struct ExplainReason {
    /// The word, as `detail` of Cache-Status and `reason` of log and metrics have it; without one, all of them
    #[arg(value_name = "WORD")]
    pub word: Option<String>,
    /// Print the table that is in docs/reasons.md
    #[arg(long, conflicts_with = "word")]
    pub markdown: bool,
}

impl ExplainReason {
    /// Prints the explanation; a word that is none is wrong usage.
    pub fn run(&self) -> ExitCode {
        match &self.word {
            None if self.markdown => print(&markdown()),
            None => {
                let line = |reason: &Reason| format!("{:<24}{}\n", reason.as_str(), reason.meaning());
                print(&Reason::ALL.iter().map(line).collect::<String>())
            }
            Some(word) => match Reason::ALL.iter().find(|reason| reason.as_str() == word) {
                Some(reason) => print(&explanation(*reason)),
                None => {
                    let words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
                    eprintln!("error: `{word}` is no reason: {}", config::nearest_hint(word, &words, "there are"));
                    ExitCode::FAILURE
                }
            },
        }
    }
}

fn explanation(reason: Reason) -> String {
    let advice = reason.advice().map_or(String::new(), |advice| format!("To change it: {advice}\n"));
    format!("{reason}: {}\n{advice}", reason.meaning())
}

/// A page with a table of all reasons.
fn markdown() -> String {
    let mut page = String::from(
        "# Reasons\n\nEvery answer has one word that says why it came from where it did, or why it was not stored: in `detail` of `Cache-Status`, as\n\
         `reason` in the access log and in `larder_requests_total`. `larder explain-reason WORD` prints a line of this table, which is printed by\n\
         `larder explain-reason --markdown`.\n\n| reason | what it means | what changes it |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{reason}` | {} | {} |", reason.meaning(), reason.advice().unwrap_or("–"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_the_one_that_is_printed() {
        let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reasons.md");
        let kept = std::fs::read_to_string(kept).expect("docs/reasons.md");
        assert!(kept == markdown(), "larder explain-reason --markdown > docs/reasons.md");
    }

    #[test]
    fn a_reason_is_explained_with_what_changes_it() {
        let text = explanation(Reason::NoStore);
        assert!(text.starts_with("no-store: The response says `no-store` (RFC 9111 §5.2.2.5).\nTo change it: "), "{text}");
        assert_eq!(explanation(Reason::Fresh).lines().count(), 1);
    }
}
