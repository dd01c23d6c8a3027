//! Explanations as data: the JSON of `POST /explain`, which the command line reads back.

use larder_semantics::Reason;
use serde::{Deserialize, Serialize};

/// How a request would be answered, from the route to the decision.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Explanation {
    pub(crate) method: String,
    /// The URL as it is believed: scheme and host as the connection or a trusted proxy tells.
    pub(crate) url: String,
    /// The address that counts as the client's.
    pub(crate) client: String,
    /// `None`: no route is for it.
    pub(crate) route: Option<RouteReport>,
    /// The routes that come nearest to it, besides the one that it takes.
    pub(crate) not_taken: Vec<NotTaken>,
    /// `None` where none is derived.
    pub(crate) key: Option<KeyReport>,
    /// What lies under the key in memory.
    pub(crate) stored: Vec<StoredReport>,
    /// What is looked up one by one, where the request asks for several things: the elements of `input`, the calls of a batch.
    #[serde(default)]
    pub(crate) parts: Vec<PartReport>,
    /// What the tiers behind the memory say, where they would be asked.
    pub(crate) tiers: Vec<TierReport>,
    pub(crate) decision: Decision,
    /// What a write invalidates once it is answered.
    pub(crate) invalidates: Vec<String>,
    /// What else is worth knowing, a sentence each.
    pub(crate) notes: Vec<String>,
    /// What the origin has answered, where it was asked.
    pub(crate) fetched: Option<FetchReport>,
    /// What has become of the request, where it has happened.
    #[serde(default)]
    pub(crate) happened: Option<Happened>,
}

/// A request that has happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Happened {
    /// Its facts, under the names of the access log.
    pub(crate) facts: serde_json::Value,
    pub(crate) meaning: Option<String>,
    pub(crate) advice: Option<String>,
    /// The page of its trace, where there is one (`[telemetry.traces] link`).
    #[serde(default)]
    pub(crate) trace_link: Option<String>,
}

impl Happened {
    /// With the meaning of its reason.
    pub(crate) fn of(facts: serde_json::Value) -> Self {
        let reason = Reason::ALL.iter().find(|reason| facts["reason"] == reason.as_str());
        Self {
            meaning: reason.map(|reason| reason.meaning().to_owned()),
            advice: reason.and_then(|reason| reason.advice()).map(str::to_owned),
            trace_link: None,
            facts,
        }
    }

    /// A fact as text; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        match &self.facts[name] {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// A fact that is a time in microseconds, for people.
    pub(crate) fn milliseconds(&self, name: &str) -> Option<String> {
        self.facts[name].as_u64().map(|micros| format!("{:.1} ms", micros as f64 / 1000.0))
    }
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RouteReport {
    pub(crate) name: String,
    /// `None`: every host.
    pub(crate) host: Option<String>,
    pub(crate) path: String,
    /// Empty: every method.
    pub(crate) methods: Vec<String>,
    pub(crate) class: Option<String>,
    pub(crate) upstream: String,
}

/// A route that a request does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotTaken {
    pub(crate) name: String,
    pub(crate) why: String,
}

/// A key, part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyReport {
    /// The whole key.
    pub(crate) text: String,
    /// The name of what is stored under it, by `key.name`.
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) namespace: String,
    pub(crate) url: String,
    /// What stands behind the URL: cookies, or an identity as a hash.
    pub(crate) others: Vec<KeyPart>,
    /// What differs from the request as it was sent, a sentence each.
    pub(crate) changes: Vec<String>,
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyPart {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// What is stored under a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredReport {
    /// `response`, `part` of one, or `mark`: its answers cannot be shared.
    pub(crate) kind: String,
    /// The request fields that select it; empty without `Vary`.
    pub(crate) variant: String,
    /// Whether the request selects it.
    pub(crate) selected: bool,
    /// `fresh`, `stale`, `soft-purged` or `purged`.
    pub(crate) state: String,
    pub(crate) status: u16,
    /// Bytes of the body.
    pub(crate) bytes: u64,
    /// Bytes of memory, bookkeeping included.
    pub(crate) weight: u64,
    /// Seconds.
    pub(crate) age: u32,
    /// Seconds.
    pub(crate) lifetime: u32,
    /// Who named the lifetime.
    pub(crate) lifetime_from: String,
    /// Seconds of freshness left; negative: for so long it has been stale.
    pub(crate) ttl: i64,
    pub(crate) stale_while_revalidate: u32,
    pub(crate) stale_if_error: u32,
    pub(crate) must_revalidate: bool,
    pub(crate) no_cache: bool,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    /// The surrogate keys whose names are known.
    pub(crate) tags: Vec<String>,
    /// The other tags are kept as hashes: so many.
    pub(crate) hashed_tags: usize,
    /// How many requests it has answered lately: 3 stands for more as well.
    pub(crate) hits: u8,
    /// When it arrived, in seconds since 1970.
    pub(crate) stored_at: u64,
    /// When and by what it goes.
    pub(crate) goes: String,
}

/// One of several things that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartReport {
    /// The key of a request for this one alone.
    pub(crate) key: String,
    /// The age in seconds of what memory has for it; `None`: nothing that is fresh.
    pub(crate) age: Option<u32>,
}

/// What a tier behind the memory has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TierReport {
    pub(crate) tier: String,
    /// What it has for this request, in a sentence.
    pub(crate) found: String,
}

/// What is done with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It is answered from the store.
    Hit,
    /// The origin is asked, and what it answers may be stored.
    Miss,
    /// The origin is asked, past the store.
    Pass,
    /// Larder answers by itself, with an error.
    #[default]
    Refused,
    /// It is a purge.
    Purge,
    /// It becomes a tunnel.
    Tunnel,
}

/// The decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    /// One sentence.
    pub(crate) summary: String,
    /// The status of the answer, where it is known.
    pub(crate) status: Option<u16>,
    /// The word for it in `Cache-Status`, log and metrics.
    pub(crate) reason: Option<String>,
    /// What the word means, with the section of its RFC.
    pub(crate) meaning: Option<String>,
    /// What to change to get another decision.
    pub(crate) advice: Option<String>,
}

/// What the origin has answered when it was tried out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FetchReport {
    pub(crate) status: u16,
    /// Bytes of the body, where it was announced.
    pub(crate) length: Option<u64>,
    /// Until the head of the answer was there.
    pub(crate) milliseconds: u64,
    /// Whether it would be stored.
    pub(crate) stored: bool,
    pub(crate) reason: Option<String>,
    pub(crate) meaning: Option<String>,
    pub(crate) advice: Option<String>,
    /// How it would be stored.
    pub(crate) lifetime: Option<u32>,
    pub(crate) lifetime_from: Option<String>,
    pub(crate) vary: Vec<String>,
    /// The fields of the answer that bear on caching, each with what it does.
    pub(crate) fields: Vec<FieldReport>,
    /// Why there was no answer.
    pub(crate) failure: Option<String>,
}

/// One field of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FieldReport {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) effect: String,
}
