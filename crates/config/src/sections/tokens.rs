//! `[[admin.tokens]]`: who may do what on a listener that others can reach.

use std::path::Path;

use crate::model::{Token, TokenScope};
use crate::parse::mistake::Mistake;
use crate::parse::reader::{Table, choose};
use crate::sections::cache::items;

/// Shorter ones can be guessed.
const MIN_LENGTH: usize = 16;

/// The tokens of `[admin]`. They stand in variables or files, so that no configuration has to be kept secret.
pub(crate) fn read(admin: &mut Table<'_>) -> Vec<Token> {
    admin.tables("tokens").into_iter().filter_map(token).collect()
}

fn token(mut table: Table<'_>) -> Option<Token> {
    let span = table.span();
    let variable = table.parse("env", "the name of an environment variable in quotes", from_variable);
    let file = table.parse("file", "a path in quotes", from_file);
    let given = table.has("env") || table.has("file");
    let words = [("read", TokenScope::Read), ("purge", TokenScope::Purge), ("admin", TokenScope::Admin)];
    table.require("scopes", "say what it allows: scopes = [\"purge\"]");
    let scopes = table.list("scopes", "\"read\", \"purge\" or \"admin\"", |text| choose("`scopes`", text, &words));
    let mistakes = table.mistakes();
    if let Some(scopes) = scopes.as_ref().filter(|scopes| scopes.get_ref().is_empty()) {
        mistakes.error(scopes.span(), Mistake::new("the token allows nothing").hint("like scopes = [\"purge\"]"));
    }
    if !given {
        let mistake = Mistake::new("[[admin.tokens]] does not say where the token is");
        mistakes.error(span, mistake.hint("add env = \"NAME\" of a variable, or file = \"PATH\""));
    } else if table.has("env") && table.has("file") {
        mistakes.error(span, Mistake::new("[[admin.tokens]] has both `env` and `file`").hint("write one entry for each token"));
    }
    table.finish();
    let secret = variable.or(file)?.into_inner();
    Some(Token::new(&secret, &items(scopes?)))
}

fn from_variable(name: &str) -> Result<String, Mistake> {
    let value = std::env::var(name).map_err(|_| {
        Mistake::new(format!("the variable {name} is not set")).hint("set it to the token, or name a file that holds it: file = \"PATH\"")
    })?;
    long_enough(&value, &format!("the token in {name}"))
}

fn from_file(path: &str) -> Result<String, Mistake> {
    let text = std::fs::read_to_string(Path::new(path)).map_err(|error| {
        Mistake::new(format!("cannot read the token in {path}: {error}")).hint("the user who runs larder must be able to read it")
    })?;
    long_enough(text.trim_end(), &format!("the token in {path}"))
}

fn long_enough(secret: &str, what: &str) -> Result<String, Mistake> {
    if secret.len() < MIN_LENGTH || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Mistake::new(format!("{what} is no good token"))
            .hint(format!("at least {MIN_LENGTH} characters without spaces: openssl rand -hex 32")));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_one_is_refused() {
        assert!(long_enough("0123456789abcde", "it").is_err());
        assert!(long_enough("0123456789 abcdef", "it").is_err());
        assert!(long_enough("0123456789abcdef", "it").is_ok());
    }
}
