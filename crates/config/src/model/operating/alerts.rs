//! `[alerts]`: who is told of what needs a person.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use larder_tls::Authorities;

use crate::model::ReadFile;

/// `[alerts]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// The kinds that are told.
    pub on: Vec<AlertKind>,
    /// Where each is sent to.
    pub webhook: Option<Webhook>,
    /// The Redis channel on which each is published; `None`: on none.
    pub channel: Option<String>,
    /// The Redis channel for those of quotas, in place of that; `None`: on none.
    pub quota_channel: Option<String>,
}

/// A URL that takes alerts.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `http` or `https`.
    pub url: Uri,
    /// The key of signatures; `None`: they are not signed.
    pub secret: Option<Arc<[u8]>>,
    /// Who issues its certificate; `None`: one that the system knows.
    pub authorities: Option<Authorities>,
    /// The files that it was read from.
    pub files: Vec<ReadFile>,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertKind {
    /// An upstream, one of its servers, the disk or Redis is left alone because it failed.
    Breaker,
    /// The hit ratio has fallen by half.
    HitRatio,
    /// Keys of tokens could not be fetched several times in a row.
    Keys,
    /// A limit or a budget refuses requests.
    Limit,
    /// A client has used the share of a quota at which people are warned.
    Quota,
    /// A replica is not heard of any more.
    Replica,
    /// A new configuration was refused.
    Reload,
}

impl AlertKind {
    /// All of them, with the words that configuration, metrics and alerts have for them.
    pub const ALL: [(&'static str, Self); 7] = [
        ("breaker", Self::Breaker),
        ("hit-ratio", Self::HitRatio),
        ("keys", Self::Keys),
        ("limit", Self::Limit),
        ("quota", Self::Quota),
        ("replica", Self::Replica),
        ("reload", Self::Reload),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

/// The name that applications know it by.
const CHANNEL: &str = "system:health_check";
const QUOTA_CHANNEL: &str = "system:quota_warning";

impl Default for Alerts {
    fn default() -> Self {
        Self {
            on: AlertKind::ALL.iter().map(|(_, kind)| *kind).collect(),
            webhook: None,
            channel: Some(CHANNEL.to_owned()),
            quota_channel: Some(QUOTA_CHANNEL.to_owned()),
        }
    }
}

/// Its path is often all that protects it.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.authority()).finish_non_exhaustive()
    }
}
