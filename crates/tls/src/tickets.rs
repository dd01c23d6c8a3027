//! Session tickets under keys that replicas share, so that a client resumes with one what it agreed on with another (RFC 5077, RFC 8446 §4.6.1).
//!
//! A ticket is `id (8) | hour (4) | nonce (12) | sealed session`. The key that seals it is derived from the shared one, the hour, and the
//! authorities whose client certificates count: a resumed session is not checked again, so it must not outlive them. rustls asks for nothing of
//! the age of a session, so tickets of hours that are long past are not opened.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

use crate::ClientCertificates;

const KEY: usize = 32;
const ID: usize = 8;
const HOUR: usize = 4;
const HEADER: usize = ID + HOUR;
/// Hours for which a session may be resumed.
const LIFETIME: u32 = 12;

/// Secret keys, the first of which makes new tickets. All of them open those that others have made.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKeys(Vec<[u8; KEY]>);

impl TicketKeys {
    /// `None` without a key.
    pub fn new(keys: Vec<[u8; KEY]>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self(keys))
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Makes and opens tickets of one listener.
pub(crate) struct SharedTickets {
    /// Never empty.
    keys: Vec<(hmac::Key, [u8; ID])>,
    now: fn() -> UnixTime,
}

impl SharedTickets {
    pub(crate) fn new(keys: &TicketKeys, clients: Option<&ClientCertificates>) -> Self {
        let bound = |key: &[u8; KEY]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            let mut context = hmac::Context::with_key(&key);
            context.update(b"larder tickets");
            if let Some(clients) = clients {
                context.update(&[1, u8::from(clients.required)]);
                clients.bytes().for_each(|piece| {
                    context.update(&(piece.len() as u64).to_le_bytes());
                    context.update(piece);
                });
            }
            let key = hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref());
            let mut id = [0; ID];
            id.copy_from_slice(&hmac::sign(&key, b"id").as_ref()[..ID]);
            (key, id)
        };
        Self { keys: keys.0.iter().map(bound).collect(), now: UnixTime::now }
    }

    fn hour(&self) -> u32 {
        u32::try_from((self.now)().as_secs() / 3600).unwrap_or(u32::MAX)
    }
}

/// The key of one hour. It seals few enough tickets for nonces taken at random.
fn of_hour(key: &hmac::Key, hour: [u8; HOUR]) -> Option<LessSafeKey> {
    let derived = hmac::sign(key, &[&b"hour"[..], &hour].concat());
    UnboundKey::new(&AES_256_GCM, derived.as_ref()).ok().map(LessSafeKey::new)
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME * 3600
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let (key, id) = self.keys.first()?;
        let hour = self.hour().to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = [&id[..], &hour, &nonce].concat();
        let mut sealed = plain.to_vec();
        let header = Aad::from(&ticket[..HEADER]);
        of_hour(key, hour)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), header, &mut sealed).ok()?;
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = ticket.split_first_chunk::<HEADER>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (id, hour) = header.split_first_chunk::<ID>()?;
        let hour: [u8; HOUR] = hour.try_into().ok()?;
        let (made, now) = (u32::from_be_bytes(hour), self.hour());
        // One hour ahead: the clocks of replicas differ.
        if made > now.saturating_add(1) || made < now.saturating_sub(LIFETIME) {
            return None;
        }
        let (key, _) = self.keys.iter().find(|(_, known)| known == id)?;
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = of_hour(key, hour)?.open_in_place(nonce, Aad::from(&header[..]), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl fmt::Debug for SharedTickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedTickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(hour: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(hour * 3600))
    }

    fn tickets(keys: &[u8], now: fn() -> UnixTime) -> SharedTickets {
        let keys = TicketKeys::new(keys.iter().map(|key| [*key; KEY]).collect()).expect("keys");
        SharedTickets { now, ..SharedTickets::new(&keys, None) }
    }

    #[test]
    fn replicas_open_each_others_tickets_for_twelve_hours() {
        let ticket = tickets(&[1, 2], || at(100)).encrypt(b"session").expect("a ticket");
        for (now, opens) in [
            (tickets(&[1], || at(100)), true),
            (tickets(&[3, 1], || at(112)), true),
            (tickets(&[1], || at(99)), true),
            (tickets(&[1], || at(113)), false),
            (tickets(&[1], || at(98)), false),
            (tickets(&[2], || at(100)), false),
        ] {
            assert_eq!(now.decrypt(&ticket), opens.then(|| b"session".to_vec()));
        }
    }

    #[test]
    fn a_ticket_that_was_changed_opens_nothing() {
        let tickets = tickets(&[1], || at(100));
        let ticket = tickets.encrypt(b"session").expect("a ticket");
        assert_ne!(tickets.encrypt(b"session"), Some(ticket.clone()));
        for position in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[position] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "{position}");
            assert_eq!(tickets.decrypt(&ticket[..position]), None, "cut at {position}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        assert_eq!(format!("{:?}", TicketKeys::new(vec![[7; KEY]])), "Some(***)");
        assert_eq!(TicketKeys::new(Vec::new()), None);
    }
}
