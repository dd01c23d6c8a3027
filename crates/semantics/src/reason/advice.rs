//! Advice for each reason, for people who want another outcome.

use super::Reason;

impl Reason {
    /// The remedy: something in the configuration, in the origin's answer or in the request. `None` where it is as it should be.
    pub const fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::Fresh | Self::Immutable | Self::Collapsed | Self::Converted | Self::Validated | Self::Refreshed | Self::Stored => {
                return None;
            }
            _ => match self.advice_about_the_response() {
                Some(advice) => advice,
                None => match self.advice_about_the_look_up() {
                    Some(advice) => advice,
                    None => return self.advice_about_the_request(),
                },
            },
        })
    }

    const fn advice_about_the_look_up(self) -> Option<&'static str> {
        Some(match self {
            Self::Absent => "The next request finds it, if this answer could be stored: `stored` and the reason of that request say so.",
            Self::VaryMiss => "The origin answers by the request fields in its `Vary`. Fewer of them, or fewer values, make more hits.",
            Self::Evicted => "Raise `capacity` in [store.memory], or store less: `max_object`, shorter lifetimes, fewer variants.",
            Self::Expired => "It was stale and made room. A longer lifetime, or `stale_while_revalidate`, keeps it useful for longer.",
            Self::Partial | Self::Range => "Ask for the whole, or keep it whole: `max_object` of the route says up to which size.",
            Self::Stale => "A longer lifetime (`max-age` from the origin, or the route's `ttl`), or `stale_while_revalidate`.",
            Self::MustRevalidate => "Leave `must-revalidate` out at the origin where a stale answer would do.",
            Self::Purged => "A purge or a write invalidated it; it is fetched again.",
            Self::HitForMiss => {
                "What this URL answers cannot be shared: the first such answer's reason says why, and asking every time is right."
            }
            Self::CollapseTimeout => "The origin took longer than `collapse.wait`: make it faster, or wait longer.",
            Self::Unvouched => {
                "Redis cannot be read now, so what another replica purged is not known. `when_cut_off = \"serve\"` trusts what is stored."
            }
            Self::MaxStale | Self::StaleWhileRevalidate | Self::SoftPurged | Self::StaleIfError => {
                "A stale answer was allowed here. `stale_while_revalidate` and `stale_if_error` say for how long."
            }
            Self::Slow => "The origin takes longer than `stale_if_slow`: make it faster, or wait longer.",
            Self::Overloaded => "As many requests are at the upstream as `max_requests` allows: raise it, or find out what takes so long.",
            Self::RateLimited => {
                "`RateLimit` of the answer names the limit, and `Retry-After` says when to come again. [[limits]] says how much a client may have."
            }
            Self::UpstreamError => {
                "The origin's log, and `problem` in the access log, say what failed. `stale_if_error` answers from the store meanwhile."
            }
            _ => return None,
        })
    }

    const fn advice_about_the_request(self) -> Option<&'static str> {
        Some(match self {
            Self::RequestNoCache | Self::RequestMaxAge | Self::RequestMinFresh | Self::RequestNoStore | Self::OnlyIfCached => {
                "The client asked for this in its `Cache-Control`. Browsers do on a reload."
            }
            Self::OriginPrecondition => "`If-Match` and `If-Unmodified-Since` are for writes; a read has `If-None-Match`.",
            Self::Authorization => {
                "Where everybody gets the same, the origin says `public` or `s-maxage`; where not, `scope = \"identity\"` stores one for each user."
            }
            Self::Cookie => {
                "Where everybody gets the same, the origin names a lifetime, or the route says `cookies = \"ignore\"`. Cookies that the origin does not \
                 look at stand in `ignore_cookies`, those that it answers by in `key.cookies`; where answers are one user's, \
                 `scope = \"identity\"` stores one for each."
            }
            Self::Shadow => {
                "`mode = \"check\"` in `verify` of the route serves what is stored; `larder verify report` says whether that is safe."
            }
            Self::LeakFound => {
                "`larder verify report` has examples. Give the route `scope = \"identity\"`, or put into the key what its answers depend on; then `larder verify resume`."
            }
            Self::NearPrivate => {
                "Write a route for the path, if it is no other spelling of a private one; or set `near_private = false` where the backend takes every \
                 path as it was sent."
            }
            Self::BypassParameter => "Leave the parameter out. `bypass` in the configuration names it and says who may use it.",
            Self::RouteNotCached => "The route says `cache = false`.",
            Self::OddPath => {
                "Ask without dot segments, double slashes and encoded slashes, or set `odd_paths` where the backend reads paths as they are."
            }
            Self::UnkeyedField => "Let what is before Larder remove the field, or put it into the key if answers depend on it.",
            Self::Reflected => {
                "Put the field or cookie that the log names into the key (`key.headers`, `key.cookies`), let the backend name it in `Vary`, or keep it \
                 from the backend (`request = { remove }`)."
            }
            Self::DiffersByClient => {
                "Set `scope = \"identity\"` on the route, so that each client has answers of its own, or put into the key what they depend on. `verify = {}` \
                 compares what is stored with what the origin says."
            }
            Self::NamesClient => "Set `scope = \"identity\"` on the route, so that each client has answers of its own.",
            Self::MisleadingPath => {
                "Let the backend answer with 404 where there is no such file. `guard = \"off\"` is for routes whose pages end like that."
            }
            Self::Method => {
                "GET and HEAD are answered from the store; a POST that only reads is with `read = true` and `key.body`, a QUERY with `key.body`."
            }
            Self::RequestBody => "Send a GET without content.",
            Self::BodyNotKeyed => {
                "`key.body` says which kind of content counts, `max_key_body` how long it may be. `bytes` takes any kind."
            }
            Self::NotDeterministic => {
                "Write `temperature: 0` or a `seed` into the request, or set `when = \"always\"` on the route, if an earlier answer will do for others."
            }
            Self::Stateful => "Send all that the answer depends on in the request itself.",
            Self::Operation => {
                "Of GraphQL queries are answered from the store, of JSON-RPC what `rpc` or the route's `ttl` gives a lifetime."
            }
            Self::Unidentified => "Send the field that `share` of the route names.",
            Self::UnverifiedToken => {
                "Metrics tell what is wrong with tokens (`larder_token_checks_total`): the signature, the issuer, the audience, the time. Compare with `[auth.jwt]`."
            }
            Self::Upgrade => "An upgraded connection is a tunnel: nothing of it is stored.",
            _ => return None,
        })
    }

    const fn advice_about_the_response(self) -> Option<&'static str> {
        Some(match self {
            Self::ResponseNoCache => {
                "The origin wants to be asked each time. With an `ETag` that costs it a 304; without `no-cache` nothing. `ttl_mode = \"override\"` \
                 with a `ttl` on the route, or `unsafe_ignore = [\"no-cache\"]`, sets it aside."
            }
            Self::NoStore => {
                "Remove `no-store` at the origin. Where it is a framework's default, `unsafe_ignore = [\"no-store\"]` on the route, with \
                 `ttl_mode = \"override\"` for the `no-cache` and `max-age=0` that mostly stand beside it."
            }
            Self::Private => {
                "The answer is for one user: `scope = \"identity\"` stores it for each. Where it is not, remove `private` at the origin."
            }
            Self::SetCookie => {
                "Let the origin set no cookie on what all may share, or say `public` or `s-maxage` there: it is stored without the cookie."
            }
            Self::VaryStar => "Name in `Vary` what the answer really depends on.",
            Self::Status => "Give a lifetime to answers of this status: `max-age` from the origin.",
            Self::MustUnderstand => "Remove `must-understand` at the origin, or answer with a status of RFC 9110.",
            Self::NoLifetime => {
                "Give it a lifetime: `max-age` from the origin, or `ttl` on the route. An `ETag` alone makes it worth storing, too."
            }
            Self::LifetimeZero => {
                "Raise `max-age` at the origin, or set `ttl_mode = \"override\"` with a `ttl` on the route, longer than the origin takes to answer. An `ETag` makes it \
                 worth storing, too."
            }
            Self::PartialContent => {
                "The range was not asked for, or is not kept: `max_object` and the validators of the answer decide, and `guard = \"refuse\"`, under which texts are \
                 stored as a whole only."
            }
            Self::NotModified => "The client has it already. Larder stores it when somebody asks without `If-None-Match`.",
            Self::ValidatorMismatch => {
                "The origin confirmed a validator that was not asked about: its 304 and its 200 should name the same `ETag`."
            }
            Self::Head => "A GET stores it; HEAD is answered from that.",
            Self::Streaming => "A stream is passed on as it comes, and not stored.",
            Self::TooLarge => "Raise `max_object` of the route; it must fit into `capacity` of [store.memory].",
            Self::TooManyTags => "Name fewer tags at the origin, or raise `most` in [tags].",
            Self::QuickOrigin => "Lower `min_origin_time` of the route, if the origin's work is worth saving all the same.",
            Self::FewRequests => "The next requests within ten minutes may reach `min_hits` of the route; lower it to store sooner.",
            Self::UnreadTags => {
                "Tags are read from JSON bodies of a bounded size and in no coding: let the origin name them in a field instead."
            }
            Self::UnfitAnswer => "The next request asks again. `finish` of the route names the ends that are kept.",
            Self::IncompleteBody => "The origin broke off: its log says why. What is incomplete is never stored.",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_means_something_and_says_what_to_do_unless_all_is_well() {
        for &reason in Reason::ALL {
            assert!(reason.meaning().ends_with('.') && reason.meaning().len() > 10, "{reason}: {:?}", reason.meaning());
            let well = matches!(
                reason,
                Reason::Fresh
                    | Reason::Immutable
                    | Reason::Collapsed
                    | Reason::Converted
                    | Reason::Validated
                    | Reason::Refreshed
                    | Reason::Stored
            );
            assert_eq!(reason.advice().is_none(), well, "{reason}");
        }
    }
}
