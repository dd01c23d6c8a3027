//! Keys of bearer tokens that cannot be fetched again and again. Those from before hold meanwhile, and a token that names a new one is not believed.

use super::alert::Alert;
use crate::config::AlertKind;
use crate::telemetry::snapshot::TokensSnapshot;

/// Fetches in a row that fail before a person is needed: an issuer that is restarted is away for one or two.
const MANY: u64 = 3;

const SUBJECT: &str = "the keys of [auth.jwt]";
const REMEDY: &str = "is `jwks_url` reachable from here, and does it answer with keys for `algorithms`? `larder doctor` asks it";

/// Whether it is known that they cannot be fetched.
#[derive(Debug, Default)]
pub(super) struct Keys(bool);

impl Keys {
    pub(super) fn look(&mut self, tokens: Option<&TokensSnapshot>) -> Option<Alert> {
        let Some((tokens, fetches)) = tokens.and_then(|tokens| Some((tokens, tokens.fetches?))) else {
            let gone = || Alert::resolved(AlertKind::Keys, SUBJECT, format!("{SUBJECT} are not fetched any more"));
            return std::mem::take(&mut self.0).then(gone);
        };
        match (self.0, fetches.failed_in_a_row) {
            (false, failed @ MANY..) => {
                self.0 = true;
                let keys = tokens.keys;
                let message = format!("{SUBJECT} could not be fetched {failed} times in a row; {keys} from before are still believed");
                Some(Alert::firing(AlertKind::Keys, SUBJECT, message, REMEDY))
            }
            (true, 0) => {
                self.0 = false;
                Some(Alert::resolved(AlertKind::Keys, SUBJECT, format!("{SUBJECT} were fetched again")))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::telemetry::snapshot::KeyFetches;

    #[test]
    fn keys_that_cannot_be_fetched_again_and_again_are_told_once_and_so_is_the_end() {
        let mut keys = Keys::default();
        let mut look = |failed_in_a_row| {
            let fetches = Some(KeyFetches { failed_in_a_row, ..KeyFetches::default() });
            keys.look(Some(&TokensSnapshot { fetches, ..TokensSnapshot::default() })).map(|alert| alert.state)
        };
        assert_eq!([0, 1, 2].map(&mut look), [None, None, None], "an issuer may be restarted");
        assert_eq!([3, 4, 9].map(&mut look), [Some(State::Firing), None, None]);
        assert_eq!([0, 0, 5].map(&mut look), [Some(State::Resolved), None, Some(State::Firing)]);
        assert_eq!([None, None].map(|gone| keys.look(gone).map(|alert| alert.state)), [Some(State::Resolved), None], "the section is gone");
        assert!(keys.look(Some(&TokensSnapshot { fetches: Some(KeyFetches::default()), ..TokensSnapshot::default() })).is_none());
    }
}
