//! The failure of a fetch, as text for the replicas that waited for it: `none WORD`, `STATUS RETRY-AFTER`, `refused `, or `own ` with what the holder
//! remembers of the key.

use http::{HeaderValue, StatusCode};
use larder_store::{FetchFailure, Remembered};

const REFUSED: &str = "refused";
const OWN: &str = "own";
/// After `own`, and nothing where nothing is remembered.
const PLAIN: &str = "mark";
const OF_CREDENTIALS: &str = "mark-of-credentials";

/// Longest word or `Retry-After`, in bytes: a date has 29.
const MAX_WORD: usize = 64;

/// `None`: it cannot be told in a few words, so that others have to try for themselves.
pub(super) fn failure_text(failure: &FetchFailure) -> Option<String> {
    let (kind, word) = match failure {
        FetchFailure::NoAnswer(word) => ("none", &**word),
        FetchFailure::Refused => (REFUSED, ""),
        FetchFailure::NotShared(Remembered::No) => (OWN, ""),
        FetchFailure::NotShared(Remembered::Plain) => (OWN, PLAIN),
        FetchFailure::NotShared(Remembered::OfCredentials) => (OWN, OF_CREDENTIALS),
        FetchFailure::ServerError { status, retry_after } => {
            let after = retry_after.as_ref().map_or(Ok(""), HeaderValue::to_str).ok().filter(|after| after.len() <= MAX_WORD);
            (status.as_str(), after.unwrap_or_default())
        }
    };
    is_plain(word).then(|| format!("{kind} {word}"))
}

/// `None`: this version does not know what it means.
pub(crate) fn read_failure(text: &[u8]) -> Option<FetchFailure> {
    let (kind, word) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    if !is_plain(word) {
        return None;
    }
    match kind {
        "none" => return Some(FetchFailure::NoAnswer(word.into())),
        REFUSED => return Some(FetchFailure::Refused),
        OWN => {
            return Some(FetchFailure::NotShared(match word {
                PLAIN => Remembered::Plain,
                OF_CREDENTIALS => Remembered::OfCredentials,
                _ => Remembered::No,
            }));
        }
        _ => {}
    }
    let status: StatusCode = kind.parse().ok().filter(StatusCode::is_server_error)?;
    let retry_after = if word.is_empty() { None } else { Some(HeaderValue::from_str(word).ok()?) };
    Some(FetchFailure::ServerError { status, retry_after })
}

fn is_plain(word: &str) -> bool {
    word.len() <= MAX_WORD && word.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(retry_after: Option<&'static str>) -> FetchFailure {
        FetchFailure::ServerError { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: retry_after.map(HeaderValue::from_static) }
    }

    #[test]
    fn a_written_failure_is_read() {
        let own = [Remembered::No, Remembered::Plain, Remembered::OfCredentials].map(FetchFailure::NotShared);
        for failure in own.into_iter().chain([
            FetchFailure::Refused,
            FetchFailure::NoAnswer("dns_error".into()),
            error(None),
            error(Some("Wed, 21 Oct 2026 07:28:00 GMT")),
        ]) {
            assert_eq!(read_failure(failure_text(&failure).unwrap().as_bytes()), Some(failure));
        }
    }

    #[test]
    fn fields_that_are_too_long_are_left_out() {
        let long = "9".repeat(65);
        let retry_after = Some(HeaderValue::from_str(&long).unwrap());
        let failure = FetchFailure::ServerError { status: StatusCode::BAD_GATEWAY, retry_after };
        assert_eq!(failure_text(&failure).as_deref(), Some("502 "));
        assert_eq!(failure_text(&FetchFailure::NoAnswer(long.into())), None);
    }

    #[test]
    fn an_unreadable_value_is_no_failure() {
        for text in ["", "none", "503", "200 ", "none a\nb", "none \u{e9}", "x y", "5030 ", &format!("none {}", "x".repeat(65))] {
            assert_eq!(read_failure(text.as_bytes()), None, "{text}");
        }
    }
}
