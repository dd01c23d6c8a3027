//! Response directives (RFC 9111 §5.2.2, RFC 5861, RFC 8246).

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::targeted;
use super::tokenizer::{Directive, Directives};

/// A directive that is about the whole response or, with field names, about those fields only (`private`, `no-cache`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scoped {
    /// Not there.
    #[default]
    Absent,
    /// About these fields only (§5.2.2.4, §5.2.2.7: the qualified form).
    Fields(SmallVec<[HeaderName; 2]>),
    /// About the whole response.
    Whole,
}

impl Scoped {
    /// Whether it is about the whole response.
    pub fn whole(&self) -> bool {
        *self == Self::Whole
    }

    /// The fields it is about.
    pub fn fields(&self) -> &[HeaderName] {
        if let Self::Fields(names) = self { names } else { &[] }
    }

    /// Adds one more occurrence. Its argument is a list of field names; an empty or broken one is read as the unqualified form, which is
    /// the safe direction.
    pub(crate) fn add(&mut self, argument: Option<&[u8]>) {
        let names = argument.and_then(field_names).filter(|names| !names.is_empty());
        match (&mut *self, names) {
            (Self::Whole, _) => {}
            (_, None) => *self = Self::Whole,
            (Self::Absent, Some(names)) => *self = Self::Fields(names),
            (Self::Fields(known), Some(names)) => known.extend(names),
        }
    }
}

fn field_names(list: &[u8]) -> Option<SmallVec<[HeaderName; 2]>> {
    let names = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
    names.map(|name| HeaderName::from_bytes(name).ok()).collect()
}

/// The directives of a response. Lifetimes are whole seconds; the first of several counts, and a broken one counts as 0: "caches are
/// encouraged to consider responses that have invalid freshness information to be stale" (RFC 9111 §4.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// §5.2.2.1.
    pub max_age: Option<u32>,
    /// §5.2.2.2.
    pub must_revalidate: bool,
    /// §5.2.2.3.
    pub must_understand: bool,
    /// §5.2.2.4.
    pub no_cache: Scoped,
    /// §5.2.2.5.
    pub no_store: bool,
    /// §5.2.2.7.
    pub private: Scoped,
    /// §5.2.2.8.
    pub proxy_revalidate: bool,
    /// §5.2.2.9.
    pub public: bool,
    /// §5.2.2.10.
    pub s_maxage: Option<u32>,
    /// RFC 5861 §3.
    pub stale_while_revalidate: Option<u32>,
    /// RFC 5861 §4.
    pub stale_if_error: Option<u32>,
    /// RFC 8246 §2.
    pub immutable: bool,
    /// Whether they came from a targeted field (RFC 9213), so that `Cache-Control` and `Expires` do not count.
    pub targeted: bool,
    /// Whether the route's lifetime stands in for all that they say of staleness.
    pub(super) overridden: bool,
    /// Whether one that forbids to share or to reuse was set aside: then `must-revalidate` beside it was no permission.
    pub(super) lifted: bool,
}

impl ResponseDirectives {
    /// Reads the directives of a response: those of the first field of `targets` with "a valid, non-empty value" (RFC 9213 §2.2), and of
    /// `Cache-Control` where there is none.
    pub fn parse(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        targets.iter().find_map(|name| targeted::parse(headers, name)).unwrap_or_else(|| Self::of_cache_control(headers))
    }

    fn of_cache_control(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for directive in headers.get_all(CACHE_CONTROL).iter().flat_map(|line| Directives::of_line(line.as_bytes())) {
            directives.add(&directive);
        }
        directives
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let lifetime = |slot: &mut Option<u32>| {
            slot.get_or_insert(directive.seconds().unwrap_or(0));
        };
        if directive.is("max-age") {
            lifetime(&mut self.max_age);
        } else if directive.is("s-maxage") {
            lifetime(&mut self.s_maxage);
        } else if directive.is("stale-while-revalidate") {
            lifetime(&mut self.stale_while_revalidate);
        } else if directive.is("stale-if-error") {
            lifetime(&mut self.stale_if_error);
        } else if directive.is("no-cache") {
            self.no_cache.add(directive.argument.as_deref().filter(|_| directive.well_formed));
        } else if directive.is("private") {
            self.private.add(directive.argument.as_deref().filter(|_| directive.well_formed));
        } else {
            self.add_flag(directive);
        }
    }

    /// Directives without an argument. One is accepted and ignored where the directive forbids; a permission has to be well formed.
    fn add_flag(&mut self, directive: &Directive<'_>) {
        let permits = directive.well_formed;
        self.no_store |= directive.is("no-store");
        self.must_revalidate |= directive.is("must-revalidate");
        self.proxy_revalidate |= directive.is("proxy-revalidate");
        self.must_understand |= permits && directive.is("must-understand");
        self.public |= permits && directive.is("public");
        self.immutable |= permits && directive.is("immutable");
    }

    /// The same less what a route sets aside: all that is about staleness where its lifetime is `overridden`, and `no_cache` and `no_store`
    /// where it ignores them.
    pub(crate) fn set_aside(mut self, overridden: bool, no_cache: bool, no_store: bool) -> Self {
        self.overridden = overridden;
        self.lifted = overridden || (no_cache && self.no_cache.whole()) || (no_store && self.no_store && !self.must_understand);
        if no_cache && self.no_cache.whole() {
            self.no_cache = Scoped::Absent;
        }
        self
    }

    /// Whether the origin speaks to shared caches about this response: `public`, `s-maxage`, or a targeted field.
    pub fn speaks_to_shared_caches(&self) -> bool {
        self.public || self.s_maxage.is_some() || self.targeted
    }

    /// Whether it must not be served stale: `must-revalidate` (§5.2.2.2), `proxy-revalidate` (§5.2.2.8), or `s-maxage`, which
    /// "incorporates the semantics of the proxy-revalidate response directive" (§5.2.2.10).
    pub fn forbids_stale(&self) -> bool {
        !self.overridden && (self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some())
    }

    /// Whether a response to a request with `Authorization` may be stored and shared: "must-revalidate, public, s-maxage" (§3.5). Frameworks
    /// write `no-cache, no-store, must-revalidate` to forbid all use, so the last one permits nothing where the route sets the others aside.
    pub fn allows_authorization(&self) -> bool {
        (self.must_revalidate && !self.lifted) || self.public || self.s_maxage.is_some()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(lines: &[&'static str]) -> ResponseDirectives {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        ResponseDirectives::parse(&headers, &[])
    }

    #[test]
    fn rfc9111_5_2_2_reads_every_directive() {
        let read = parse(&["Public, max-age=1, S-MaxAge=\"2\", must-revalidate", "proxy-revalidate, must-understand, no-store, IMMUTABLE"]);
        assert!(read.public && read.must_revalidate && read.proxy_revalidate && read.must_understand && read.no_store && read.immutable);
        assert_eq!((read.max_age, read.s_maxage), (Some(1), Some(2)));
    }

    #[test]
    fn rfc9111_4_2_1_the_first_of_several_lifetimes_counts() {
        assert_eq!(parse(&["max-age=5", "max-age=10"]).max_age, Some(5));
    }

    #[test]
    fn rfc9111_4_2_1_invalid_lifetimes_are_stale() {
        for line in ["max-age=1.5", "max-age=-5", "max-age=abc", "max-age", "max-age=", "max-age='60'", "max-age =60"] {
            assert_eq!(parse(&[line]).max_age, Some(0), "{line}");
        }
    }

    #[test]
    fn rfc9111_5_2_2_4_and_7_qualified_forms_name_fields() {
        let read = parse(&[r#"no-cache="Set-Cookie, X-A", private=X-B"#, r#"no-cache="x-c""#]);
        assert_eq!(read.no_cache.fields(), ["set-cookie", "x-a", "x-c"].map(HeaderName::from_static));
        assert_eq!(read.private.fields(), [HeaderName::from_static("x-b")]);
        assert!(parse(&[r#"private="x-b", private"#]).private.whole());
        for line in [r#"private="""#, r#"private="bad name""#, "private=", r#"private="open"#] {
            assert!(parse(&[line]).private.whole(), "{line}");
        }
    }

    #[test]
    fn no_store_is_found_under_every_spelling() {
        for line in [
            "no-store",
            "NO-STORE",
            "a,no-store",
            r#"ext="x" , no-store"#,
            "no-store=1",
            "no-store =",
            "\tno-store\t",
            r#"x="open, no-store"#,
        ] {
            assert!(parse(&[line]).no_store, "{line}");
        }
        assert!(!parse(&[r#"x="no-store""#]).no_store);
    }

    #[test]
    fn a_broken_directive_still_forbids() {
        for line in ["private; max-age=600", "private;", "private no-transform", "max-age=600; private", "public private", "private\u{7f}"]
        {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_bytes(line.replace('\u{7f}', "\u{a0}").as_bytes()).unwrap());
            assert!(ResponseDirectives::parse(&headers, &[]).private.whole(), "{line:?}");
        }
        for line in ["no-store;", "no-store\tmax-age=60", "no-store; max-age=60", "max-age=60 no-store", "no-store/x"] {
            assert!(parse(&[line]).no_store, "{line:?}");
        }
        let read = parse(&["public; s-maxage=600; immutable"]);
        assert_eq!((read.public, read.s_maxage, read.immutable), (false, Some(0), false));
    }

    #[test]
    fn a_broken_field_never_permits() {
        let read = parse(&[r#"x="open, public, max-age=60, immutable"#]);
        assert!(!read.public && !read.immutable);
        assert_eq!(read.max_age, Some(0));
    }
}
