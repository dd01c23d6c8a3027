//! What names say: whose an answer is, and what a request does.

use std::fmt;

/// A part of `identity`, as the configuration writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityPart(String);

impl IdentityPart {
    pub(crate) fn header(name: &str) -> Option<Self> {
        is_token(name).then(|| Self(format!("header:{}", name.to_ascii_lowercase())))
    }

    pub(crate) fn cookie(name: &str) -> Option<Self> {
        is_token(name).then(|| Self(format!("cookie:{name}")))
    }

    pub(crate) fn query(name: &str) -> Option<Self> {
        is_token(name).then(|| Self(format!("query:{name}")))
    }

    /// The one that counts where a route names none.
    pub(crate) fn is_default(&self) -> bool {
        self.0 == "header:authorization"
    }
}

impl fmt::Display for IdentityPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 9110 §5.6.2, without what would have to be quoted anywhere.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Words of a name: `getCurrent_user-id` has four.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        if character.is_ascii_uppercase() || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn has_word(name: &str, known: &[&str]) -> bool {
    words(name).iter().any(|word| known.contains(&word.as_str()))
}

/// Whether a field of the request tells who asks.
pub(crate) fn names_a_client(field: &str) -> bool {
    has_word(
        field,
        &["authorization", "auth", "token", "key", "apikey", "user", "session", "tenant", "account", "organization", "org", "customer"],
    )
}

/// Whether a field is about the exchange, and answers do not go by it, or say so in `Vary`.
pub(crate) fn is_about_the_exchange(field: &str) -> bool {
    let name = field.to_ascii_lowercase();
    let begins = ["if-", "accept", "content-", "sec-", "x-request", "x-correlation", "x-forwarded", "x-b3-", "prefer"];
    let named = [
        "user-agent",
        "traceparent",
        "tracestate",
        "idempotency-key",
        "range",
        "origin",
        "referer",
        "host",
        "cache-control",
        "cookie",
        "forwarded",
    ];
    begins.iter().any(|begin| name.starts_with(begin)) || named.contains(&name.as_str())
}

/// Whether a segment of a path says that what is below is one client's own.
pub(crate) fn is_private(segment: &str) -> bool {
    let alone = [
        "me", "my", "self", "current", "whoami", "account", "profile", "session", "sessions", "cart", "basket", "checkout", "wishlist",
        "inbox",
    ];
    let anywhere = [
        "login", "logout", "signin", "signout", "signup", "auth", "oauth", "oauth2", "token", "tokens", "password", "userinfo", "csrf",
        "admin",
    ];
    alone.contains(&segment.to_ascii_lowercase().as_str()) || has_word(segment, &anywhere)
}

/// Whether a GET for this may do something, as careless interfaces have it, or be much work: such a path is not asked for.
pub(crate) fn may_act(segment: &str) -> bool {
    let words = [
        "login",
        "logout",
        "signin",
        "signout",
        "delete",
        "remove",
        "destroy",
        "drop",
        "clear",
        "reset",
        "unsubscribe",
        "subscribe",
        "confirm",
        "verify",
        "activate",
        "deactivate",
        "approve",
        "reject",
        "cancel",
        "callback",
        "oauth",
        "oauth2",
        "authorize",
        "revoke",
        "run",
        "start",
        "stop",
        "restart",
        "shutdown",
        "trigger",
        "execute",
        "send",
        "sync",
        "import",
        "export",
        "download",
        "backup",
        "purge",
        "flush",
        "refresh",
        "webhook",
        "cron",
    ];
    has_word(segment, &words)
}

/// Whether a POST to this only reads, going by its last segment.
pub(crate) fn only_reads(segment: &str) -> bool {
    has_word(segment, &["search", "query", "graphql", "filter", "lookup", "preview", "validate", "calculate", "rpc"])
}

/// Whether a write to this begins or ends a session.
pub(crate) fn ends_a_session(segment: &str) -> bool {
    has_word(segment, &["logout", "signout", "login", "signin"])
}

/// Whether a path is that of a file which pages load.
pub(crate) fn is_asset(path: &str) -> bool {
    let kinds = ["css", "js", "mjs", "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "woff", "woff2", "ttf", "map", "wasm"];
    path.rsplit('/')
        .next()
        .and_then(|file| file.rsplit_once('.'))
        .is_some_and(|(_, kind)| kinds.contains(&kind.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_their_words() {
        for (segment, private, acts) in [
            ("me", true, false),
            ("Me", true, false),
            ("measurements", false, false),
            ("logout", true, true),
            ("user-login", true, true),
            ("books", false, false),
            ("runs", false, false),
            ("resetPassword", true, true),
            ("accounts", false, false),
        ] {
            assert_eq!((is_private(segment), may_act(segment)), (private, acts), "{segment}");
        }
        assert!(names_a_client("X-Api-Key") && names_a_client("X-Tenant-Id") && !names_a_client("X-Api-Version"));
        assert!(is_about_the_exchange("If-None-Match") && is_about_the_exchange("Accept-Language") && !is_about_the_exchange("X-Api-Key"));
        assert!(is_asset("/static/app.min.JS") && !is_asset("/api/v1.0/books"));
    }

    #[test]
    fn parts_of_an_identity_are_tokens() {
        assert_eq!(IdentityPart::header("X-API-Key").map(|part| part.to_string()).as_deref(), Some("header:x-api-key"));
        for name in ["", "a b", "a\"]\nx = 1", "a:b"] {
            assert_eq!(IdentityPart::cookie(name), None, "{name:?}");
        }
    }
}
