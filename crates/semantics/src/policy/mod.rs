//! The settings that an operator adds to the RFCs for one route.

mod lifetimes;
mod protections;
mod replay;

use http::HeaderName;

pub use lifetimes::{CdnTtl, ClientTtl, StatusTtls, Statuses, TtlMode};
pub use protections::{ClientDirectives, CookiePolicy, Scope, UnsafeIgnore};
pub use replay::Replay;

/// The settings of one route that bear on a decision. Lifetimes are whole seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// The route's lifetime; how it meets the origin's is told by `ttl_mode`. 0 means none.
    pub ttl: u32,
    /// Lifetimes for statuses that `ttl` is not for, or not in that length.
    pub status_ttls: StatusTtls,
    /// How they meet the lifetime that the origin names.
    pub ttl_mode: TtlMode,
    /// No lifetime is longer, whoever names it.
    pub max_ttl: Option<u32>,
    /// With [`TtlMode::Sliding`], the age up to which uses extend a lifetime.
    pub sliding_max: u32,
    /// The lifetime that clients are told.
    pub client_ttl: ClientTtl,
    /// The lifetime that the next cache is told; `None`: as the origin has it.
    pub cdn_ttl: Option<CdnTtl>,
    /// Only what the origin took so many milliseconds for is stored.
    pub min_origin_time: u32,
    /// Only what was asked for so many times is stored.
    pub min_hits: u32,
    /// Where entity tags come from.
    pub etag: EtagSource,
    /// The part of a lifetime, in thousandths, after which a use begins the next fetch in the background; `None`: never.
    pub refresh_ahead: Option<u16>,
    /// It does so for what has answered so many requests since it was stored. Uses are counted up to three.
    pub refresh_ahead_hits: u8,
    /// Whether that happens sooner for what takes long to fetch, and for each response at a time of its own.
    pub refresh_jitter: bool,
    /// By how much of it a lifetime of the route's may be shorter, in thousandths: at random, so that what was stored together does not expire
    /// together.
    pub ttl_jitter: u16,
    /// Milliseconds after which a stale response is served where the origin has not begun to answer, and one may be for an error; 0: never.
    pub stale_if_slow: u32,
    /// Whether a stale response is served where the inner service has no place for one more fetch, and one may be for an error.
    pub stale_if_overloaded: bool,
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
    /// Fields that are as if a response's `Vary` did not name them: what they select is given to all.
    pub ignore_vary: Vec<HeaderName>,
    /// Whether http and https have one key: then what selects by `X-Forwarded-Proto`, which the origin is told for each client, is not stored.
    pub shares_schemes: bool,
    /// Fields of responses that are not stored: they are about one request, its account, or the moment. One `*` in each stands for any text.
    pub unstored_fields: Vec<String>,
    /// Whether `text/event-stream` is stored once it has ended, instead of being taken for endless.
    pub record_streams: bool,
    /// The pace at which such a stream is given again.
    pub replay: Replay,
    /// Whether the answer to a PUT may be stored for later GETs, where it is the representation itself ([`crate::on_write_response`]).
    pub store_put: bool,
    /// Targeted fields (RFC 9213), the most specific first. The first valid one replaces `Cache-Control` and `Expires`.
    pub targeted: Vec<HeaderName>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ttl: 0,
            status_ttls: StatusTtls::default(),
            ttl_mode: TtlMode::Default,
            max_ttl: None,
            sliding_max: 24 * 3600,
            client_ttl: ClientTtl::Route,
            cdn_ttl: None,
            min_origin_time: 0,
            min_hits: 1,
            etag: EtagSource::Origin,
            refresh_ahead: None,
            refresh_ahead_hits: 1,
            refresh_jitter: false,
            ttl_jitter: 0,
            stale_if_slow: 0,
            stale_if_overloaded: false,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            heuristic_max: 300,
            scope: Scope::Public,
            cookies: CookiePolicy::Private,
            client_directives: ClientDirectives::Honor,
            unsafe_ignore: UnsafeIgnore::default(),
            ignore_vary: Vec::new(),
            shares_schemes: false,
            unstored_fields: Vec::new(),
            record_streams: false,
            replay: Replay::Fast,
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

    /// The longest lifetime that the route gives by itself, in seconds; 0: none.
    pub fn longest_ttl(&self) -> u32 {
        self.status_ttls.longest().unwrap_or(0).max(self.ttl)
    }
}

/// Where entity tags come from (RFC 9110 §8.8.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtagSource {
    /// The origin alone.
    #[default]
    Origin,
    /// Where the origin sends none, from the bytes of the body.
    Body,
}
