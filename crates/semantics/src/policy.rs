//! The settings that an operator adds to the RFCs for one route.

use http::HeaderName;

/// The settings of one route that bear on a decision. Lifetimes are whole seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// The route's lifetime; how it meets the origin's is told by `ttl_mode`. 0 means none.
    pub ttl: u32,
    /// How `ttl` meets the lifetime that the origin names.
    pub ttl_mode: TtlMode,
    /// RFC 5861 §3 where the origin names none.
    pub stale_while_revalidate: u32,
    /// RFC 5861 §4 where the origin names none.
    pub stale_if_error: u32,
    /// The longest heuristic lifetime (RFC 9111 §4.2.2); 0 turns heuristics off.
    pub heuristic_max: u32,
    /// Whom a stored response is for.
    pub scope: Scope,
    /// The meaning of a request's cookies for its answer.
    pub cookies: CookiePolicy,
    /// Whether the request's `Cache-Control` and `Pragma` count.
    pub client_directives: ClientDirectives,
    /// Which protections this route gives up.
    pub unsafe_ignore: UnsafeIgnore,
    /// Whether the answer to a PUT may be stored for later GETs, where it is the representation itself ([`crate::on_write_response`]).
    pub store_put: bool,
    /// Targeted fields (RFC 9213), the most specific first. The first valid one replaces `Cache-Control` and `Expires`.
    pub targeted: Vec<HeaderName>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ttl: 0,
            ttl_mode: TtlMode::Default,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            heuristic_max: 300,
            scope: Scope::Public,
            cookies: CookiePolicy::Private,
            client_directives: ClientDirectives::Honor,
            unsafe_ignore: UnsafeIgnore::default(),
            store_put: false,
            targeted: vec![HeaderName::from_static("cdn-cache-control")],
        }
    }
}

impl Policy {
    /// The same with some changes, for crates that cannot write all fields down:
    ///
    /// ```
    /// # use larder_semantics::Policy;
    /// let policy = Policy::default().with(|policy| policy.ttl = 60);
    /// assert_eq!(policy.ttl, 60);
    /// ```
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// How a route's `ttl` meets the origin's lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TtlMode {
    /// Only where the origin names no lifetime.
    #[default]
    Default,
    /// The origin's lifetime, but never longer than `ttl`; `ttl` where the origin names none.
    Cap,
    /// Instead of whatever lifetime the origin names.
    Override,
}

/// Whom a stored response is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Anyone: RFC 9111's shared cache.
    #[default]
    Public,
    /// One stored response per identity: the identity is part of the key, so `private` responses may be kept. A request
    /// without any identity is treated as in [`Scope::Public`].
    Identity,
}

/// The meaning of cookies that are neither part of the key nor ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookiePolicy {
    /// As `Authorization` (RFC 9111 §3.5), unless the origin names a lifetime or selects by cookies: nobody else said that the answer is for
    /// more than one client.
    #[default]
    Private,
    /// Nothing.
    Ignore,
    /// The request passes by the store, whatever the origin says.
    Pass,
}

/// Whether request directives count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    /// As RFC 9111 §5.2.1 says.
    #[default]
    Honor,
    /// A client cannot make the cache ask the origin.
    Ignore,
}

/// Protections a route gives up by `unsafe_ignore`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsafeIgnore {
    /// Store `private` responses as if they were for anyone.
    pub private: bool,
    /// Store although `no-store` forbids it.
    pub no_store: bool,
    /// Store responses with `Set-Cookie` (the field itself is still never stored).
    pub set_cookie: bool,
    /// Store responses to requests with `Authorization` without the origin's leave.
    pub authorization: bool,
}
