//! Names looked up at a name server of one's own choosing, and services (SRV, RFC 2782), which the system's resolver does not look up.
//!
//! 1. [`client`] asks over UDP, and over TCP where the answer is too long for that.
//! 2. [`message`] writes questions and reads answers: functions of bytes.

mod client;
pub(crate) mod message;

pub(crate) use client::{NameServer, ServiceRecord};
