//! "Did you mean": the nearest of the words that would have been right.

/// The word that `given` was probably meant to be: at most a third of its letters differ (swapped neighbours count once).
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase().replace('-', "_");
    let allowed = (given.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&given, &word.to_ascii_lowercase().replace('-', "_")), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// A hint that names the nearest word, or else every word there is.
pub(crate) fn hint<'a>(given: &str, known: impl IntoIterator<Item = &'a str> + Clone, what: &str) -> String {
    match nearest(given, known.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("{what}: {}", list(known)),
    }
}

/// Words as a list: `` `a`, `b`, `c` ``.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Values as a list: `"a", "b", "c"`.
pub(crate) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["ttl", "ttl_mode", "max_object", "scope"];

    #[test]
    fn a_slip_finds_the_key_it_was_meant_to_be() {
        for (slip, key) in
            [("tll", "ttl"), ("max-object", "max_object"), ("maxobject", "max_object"), ("Scope", "scope"), ("ttlmode", "ttl_mode")]
        {
            assert_eq!(nearest(slip, KEYS), Some(key), "{slip}");
        }
    }

    #[test]
    fn something_else_finds_nothing_and_lists_what_there_is() {
        assert_eq!(nearest("compression", KEYS), None);
        assert_eq!(hint("compression", KEYS, "keys here"), "keys here: `ttl`, `ttl_mode`, `max_object`, `scope`");
    }
}
