//! Whom responses are for, and what a route gives up.

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
    /// Serve responses without asking although `no-cache` forbids it.
    pub no_cache: bool,
    /// Give a route's lifetime to responses that say `Pragma: no-cache` and nothing else.
    pub pragma: bool,
}
