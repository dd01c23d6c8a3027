//! Request directives (RFC 9111 §5.2.1) and `Pragma` (§5.4).

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use super::tokenizer::{Directive, Directives};

/// The directives of a request (RFC 9111 §5.2.1, RFC 5861 §4). Lifetimes are whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// §5.2.1.1. The smallest of several; an invalid value counts as 0.
    pub max_age: Option<u32>,
    /// §5.2.1.2; `u32::MAX` where no argument was given. The smallest of several; an invalid value is ignored.
    pub max_stale: Option<u32>,
    /// §5.2.1.3. The largest of several; an invalid value is ignored.
    pub min_fresh: Option<u32>,
    /// §5.2.1.4, and `Pragma: no-cache` (§5.4).
    pub no_cache: bool,
    /// §5.2.1.5.
    pub no_store: bool,
    /// §5.2.1.7.
    pub only_if_cached: bool,
    /// RFC 5861 §4. The smallest of several; an invalid value is ignored.
    pub stale_if_error: Option<u32>,
}

impl RequestDirectives {
    /// Reads `Cache-Control`, or `Pragma` where there is no `Cache-Control`. Allocates nothing.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let mut lines = headers.get_all(CACHE_CONTROL).iter().peekable();
        if lines.peek().is_none() {
            // "[Pragma: no-cache] was defined for HTTP/1.0 caches, so that clients could specify a 'no-cache' request" (§5.4).
            let pragma = headers.get_all(PRAGMA).iter();
            directives.no_cache = pragma.flat_map(|line| Directives::of_line(line.as_bytes())).any(|directive| directive.is("no-cache"));
            return directives;
        }
        for directive in lines.flat_map(|line| Directives::of_line(line.as_bytes())) {
            directives.add(&directive);
        }
        directives
    }

    fn add(&mut self, directive: &Directive<'_>) {
        if directive.is("max-age") {
            let seconds = directive.seconds().unwrap_or(0);
            self.max_age = Some(self.max_age.map_or(seconds, |other| other.min(seconds)));
        } else if directive.is("no-cache") {
            self.no_cache = true;
        } else if directive.is("no-store") {
            self.no_store = true;
        } else if directive.is("only-if-cached") {
            self.only_if_cached = true;
        } else if directive.is("min-fresh") {
            self.min_fresh = self.min_fresh.max(directive.seconds());
        } else if directive.is("max-stale") {
            // "If no value is assigned to max-stale, then the client will accept a stale response of any age" (§5.2.1.2).
            let bare = directive.argument.is_none() && directive.well_formed;
            let seconds = if bare { Some(u32::MAX) } else { directive.seconds() };
            self.max_stale = smaller(self.max_stale, seconds);
        } else if directive.is("stale-if-error") {
            self.stale_if_error = smaller(self.stale_if_error, directive.seconds());
        }
    }
}

fn smaller(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(lines: &[&'static str]) -> RequestDirectives {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        RequestDirectives::parse(&headers)
    }

    #[test]
    fn rfc9111_5_2_1_reads_every_directive_in_any_case_and_on_any_line() {
        let read = parse(&["Max-Age=5, MAX-STALE=7", "min-fresh=\"3\", No-Cache", "no-STORE, only-if-cached, stale-if-error=9, unknown=1"]);
        let expected = RequestDirectives {
            max_age: Some(5),
            max_stale: Some(7),
            min_fresh: Some(3),
            no_cache: true,
            no_store: true,
            only_if_cached: true,
            stale_if_error: Some(9),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn rfc9111_5_2_1_2_max_stale_without_a_value_is_any_age() {
        assert_eq!(parse(&["max-stale"]).max_stale, Some(u32::MAX));
        assert_eq!(parse(&["max-stale=rubbish"]).max_stale, None);
        assert_eq!(parse(&["max-stale, max-stale=4"]).max_stale, Some(4));
    }

    #[test]
    fn an_invalid_value_is_read_so_that_the_origin_is_asked() {
        assert_eq!(parse(&["max-age=-1"]).max_age, Some(0));
        assert_eq!(parse(&["max-age"]).max_age, Some(0));
        assert_eq!(parse(&["stale-if-error=x"]).stale_if_error, None);
    }

    #[test]
    fn rfc9111_5_4_pragma_counts_only_without_cache_control() {
        let mut headers = HeaderMap::new();
        headers.insert(PRAGMA, HeaderValue::from_static("foo, No-Cache"));
        assert!(RequestDirectives::parse(&headers).no_cache);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=10"));
        assert!(!RequestDirectives::parse(&headers).no_cache);
    }
}
