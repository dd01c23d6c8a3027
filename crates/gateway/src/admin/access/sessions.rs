//! Signed-in browsers, and the tokens that their forms carry.
//!
//! A cookie holds a random number, never an admin token; and what a session may do is asked of the configuration's tokens each time, so one that is
//! taken out of it ends its sessions.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use blake3::Hash;

use crate::config::{Token, TokenScope};
use crate::proxy::SESSION_COOKIE;

/// Its attributes, whatever connection it is sent over.
const ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Strict";

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Sessions at the same time; the oldest makes room.
const MAX_SESSIONS: usize = 64;

/// Those that are open.
pub(crate) struct Sessions {
    /// Of this process alone.
    secret: [u8; 32],
    open: Mutex<VecDeque<Session>>,
}

/// One signed-in browser.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Of the random number, so that nothing here can be sent as a cookie.
    id: Hash,
    /// Of the admin token that it was opened with.
    token: Hash,
    until: Instant,
}

impl Session {
    /// Whether the token that it was opened with still allows this.
    pub(crate) fn allows(&self, tokens: &[Token], scope: TokenScope) -> bool {
        tokens.iter().any(|token| *token.digest() == self.token && token.allows(scope))
    }
}

impl Sessions {
    /// `None` where the system has no random numbers.
    pub(crate) fn new() -> Option<Self> {
        Some(Self { secret: random()?, open: Mutex::default() })
    }

    /// Opens a session with an admin token, and returns the cookie for it; `None` where the token may not see anything. `is_secure`: the browser's
    /// connection is over TLS.
    pub(crate) fn open(&self, secret: &str, tokens: &[Token], is_secure: bool, now: Instant) -> Option<String> {
        let digest = blake3::hash(secret.as_bytes());
        // Every token is compared, so that the time tells nothing about which one it is.
        let allowed = tokens.iter().fold(false, |known, token| known | ((*token.digest() == digest) & token.allows(TokenScope::Read)));
        let number = blake3::Hash::from_bytes(random()?).to_hex();
        if !allowed {
            return None;
        }
        let session = Session { id: blake3::hash(number.as_bytes()), token: digest, until: now + LIFETIME };
        let mut open = self.lock();
        open.retain(|session| session.until > now);
        if open.len() >= MAX_SESSIONS {
            open.pop_front();
        }
        open.push_back(session);
        Some(format!("{SESSION_COOKIE}={number}; {ATTRIBUTES}; Max-Age={}{}", LIFETIME.as_secs(), secure(is_secure)))
    }

    /// The session whose cookie a request shows.
    pub(crate) fn of(&self, headers: &HeaderMap, now: Instant) -> Option<Session> {
        let id = blake3::hash(cookie(headers)?.as_bytes());
        self.lock().iter().find(|session| session.id == id && session.until > now).cloned()
    }

    /// Ends a session, and returns the cookie that says so.
    pub(crate) fn close(&self, session: &Session, is_secure: bool) -> String {
        self.lock().retain(|open| open.id != session.id);
        format!("{SESSION_COOKIE}=; {ATTRIBUTES}; Max-Age=0{}", secure(is_secure))
    }

    /// What forms of a page carry, so that no other page can send them: for a session, or for everybody on a loopback listener.
    pub(crate) fn form_token(&self, session: Option<&Session>) -> String {
        self.form_hash(session).to_hex().to_string()
    }

    /// Whether a form is of a page of this session.
    pub(crate) fn is_form_token(&self, session: Option<&Session>, shown: &str) -> bool {
        // Hashes compare in constant time.
        Hash::from_hex(shown).is_ok_and(|shown| shown == self.form_hash(session))
    }

    fn form_hash(&self, session: Option<&Session>) -> Hash {
        blake3::keyed_hash(&self.secret, session.map_or(b"loopback".as_slice(), |session| session.id.as_bytes()))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// Over TLS, browsers are not to send it without (RFC 6265 §5.2.5). In clear text they would not even keep it.
fn secure(is_secure: bool) -> &'static str {
    if is_secure { "; Secure" } else { "" }
}

/// The value of the session's cookie. Of several the first one, as browsers send the one with the longest path first.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value)
}

/// Numbers that nobody can guess.
fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use larder_tower::clock::monotonic;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn shown(cookie: &str) -> HeaderMap {
        let pair = cookie.split(';').next().expect("a pair");
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&format!("a=b; {pair}")).expect("a value"))])
    }

    #[test]
    fn a_session_may_what_its_token_may_for_as_long_as_that_is_there() {
        let (sessions, now) = (Sessions::new().expect("random numbers"), monotonic());
        let tokens = [Token::new(SECRET, &[TokenScope::Read])];
        let cookie = sessions.open(SECRET, &tokens, false, now).expect("a session");
        assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains(SECRET) && !cookie.contains("Secure"), "{cookie}");
        assert!(sessions.open(SECRET, &tokens, true, now).is_some_and(|cookie| cookie.ends_with("; Secure")));
        let session = sessions.of(&shown(&cookie), now).expect("the session");
        assert!(session.allows(&tokens, TokenScope::Read) && !session.allows(&tokens, TokenScope::Purge));
        assert!(!session.allows(&[], TokenScope::Read), "a reload took the token away");
        assert!(sessions.of(&shown(&cookie), now + LIFETIME).is_none(), "it ends by itself");
        assert!(sessions.close(&session, true).ends_with("; Max-Age=0; Secure"));
        assert!(sessions.of(&shown(&cookie), now).is_none(), "it was ended");
    }

    #[test]
    fn only_a_token_that_may_read_opens_one() {
        let (sessions, now) = (Sessions::new().expect("random numbers"), monotonic());
        let tokens = [Token::new(SECRET, &[TokenScope::Purge]), Token::new("another-0123456789", &[TokenScope::Admin])];
        for (secret, opens) in [(SECRET, false), ("", false), ("0123456789abcde", false), ("another-0123456789", true)] {
            assert_eq!(sessions.open(secret, &tokens, false, now).is_some(), opens, "{secret}");
        }
    }

    #[test]
    fn each_session_has_a_form_token_of_its_own() {
        let (sessions, now) = (Sessions::new().expect("random numbers"), monotonic());
        let tokens = [Token::new(SECRET, &[TokenScope::Read])];
        let open = || sessions.of(&shown(&sessions.open(SECRET, &tokens, false, now).expect("a session")), now).expect("the session");
        let (one, other) = (open(), open());
        let token = sessions.form_token(Some(&one));
        assert!(sessions.is_form_token(Some(&one), &token));
        assert!(!sessions.is_form_token(Some(&other), &token) && !sessions.is_form_token(None, &token));
        assert!(!sessions.is_form_token(Some(&one), "") && !sessions.is_form_token(Some(&one), "x"));
    }

    #[test]
    fn the_oldest_makes_room() {
        let (sessions, now) = (Sessions::new().expect("random numbers"), monotonic());
        let tokens = [Token::new(SECRET, &[TokenScope::Read])];
        let cookies: Vec<String> = (0..=MAX_SESSIONS).filter_map(|_| sessions.open(SECRET, &tokens, false, now)).collect();
        assert!(sessions.of(&shown(&cookies[0]), now).is_none() && sessions.of(&shown(&cookies[1]), now).is_some());
    }
}
