//! Errors in the TOML itself.

use toml::de::Error;

use crate::parse::mistake::Mistake;

const DUPLICATE: &str = "duplicate key";
const UNQUOTED: &str = "string values must be quoted";

/// The kind of value that an unquoted address or duration is taken for, by its first character.
const MISREAD: [&str; 5] = ["invalid float", "invalid integer", "invalid datetime", "invalid date", "invalid boolean"];

/// The parser's own sentence, with a hint for the most common slips.
pub(crate) fn mistake(error: &Error) -> Mistake {
    let mistake = Mistake::new(error.message());
    match error.message() {
        DUPLICATE => mistake.hint("a key, or a [table], stands once; only what is in double brackets is repeated"),
        text if text.starts_with(UNQUOTED) || MISREAD.iter().any(|kind| text.starts_with(kind)) => {
            mistake.hint("text, durations and sizes stand in quotes: ttl = \"5m\"")
        }
        _ => mistake,
    }
}

/// Whether what stands around the error was understood, so that looking for other mistakes makes sense. After any other error
/// the rest is guesswork: a broken header, for one, moves every key below it into another table.
pub(crate) fn harmless(error: &Error) -> bool {
    let message = error.message();
    let something_there = error.span().is_some_and(|span| !span.is_empty());
    message == DUPLICATE || (message.starts_with(UNQUOTED) && something_there)
}
