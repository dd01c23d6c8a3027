//! Which responses are worth their place, where a route wants to know that before it stores one.

use crate::policy::Policy;
use crate::reason::Reason;
use crate::time::Timestamp;

/// Whether a response is stored that nothing is stored for yet: it took the origin long enough to its head, and has been asked for often enough.
/// What is stored already is renewed in any case, since it has been worth it.
pub fn worth_storing(policy: &Policy, request_time: Timestamp, response_time: Timestamp, requests: u32) -> Result<(), Reason> {
    let took = response_time.as_millis().saturating_sub(request_time.as_millis());
    if took < u64::from(policy.min_origin_time) {
        return Err(Reason::QuickOrigin);
    }
    if requests < policy.min_hits { Err(Reason::FewRequests) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_quick_or_is_rarely_asked_for_is_not_worth_it() {
        let policy = Policy { min_origin_time: 50, min_hits: 2, ..Policy::default() };
        let at = Timestamp::from_millis;
        assert_eq!(worth_storing(&policy, at(1_000), at(1_049), 9), Err(Reason::QuickOrigin));
        assert_eq!(worth_storing(&policy, at(1_000), at(1_050), 1), Err(Reason::FewRequests));
        assert_eq!(worth_storing(&policy, at(1_000), at(1_050), 2), Ok(()));
        assert_eq!(worth_storing(&Policy::default(), at(1_000), at(1_000), 0), Err(Reason::FewRequests));
        assert_eq!(worth_storing(&Policy::default(), at(1_000), at(900), 1), Ok(()), "a clock that was set back");
    }
}
