//! Secrets, which stand in variables or files, so that no configuration has to be kept secret.

use crate::parse::mistake::Mistake;

/// The text of `env:NAME` or `file:PATH`, without the line end behind it. `None`: the text is neither.
pub(crate) fn read(text: &str, hint: &str) -> Result<Option<String>, Mistake> {
    let secret = if let Some(name) = text.strip_prefix("env:") {
        std::env::var(name).map_err(|_| Mistake::new(format!("the variable {name} is not set")).hint(hint))?
    } else if let Some(path) = text.strip_prefix("file:") {
        std::fs::read_to_string(path).map_err(|error| {
            let mistake = Mistake::new(format!("cannot read the secret in {path}: {}", error.kind()));
            mistake.hint("the user who runs larder must be able to read it")
        })?
    } else {
        return Ok(None);
    };
    Ok(Some(secret.trim().to_owned()))
}
