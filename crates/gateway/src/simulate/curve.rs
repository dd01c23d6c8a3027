//! The hit ratio by memory size: small gateways beside the whole one, which are given a sample of the keys.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use http::header::{CONTENT_LOCATION, LOCATION};
use larder_semantics::Timestamp;
use larder_simulate::{Curve, CurvePoint, Decision, LogRecord, OriginAnswer, Sampler};

use super::assumed::Assumptions;
use super::replica::Replica;
use crate::active::SetupError;
use crate::config::Config;

/// Requests that are handed over together.
const BATCH: usize = 256;

/// Batches that wait: more would only take memory.
const WAITING: usize = 64;

/// Paths of sampled requests that are remembered. Where there are more, all writes are handed over.
const MAX_PATHS: usize = 200_000;

/// A request for the small gateways.
struct Sampled {
    record: LogRecord,
    answer: Arc<OriginAnswer>,
    /// Writes are handed over where they make old what others have asked for, too, and count only where they are sampled themselves.
    counts: bool,
}

/// Which writes may make old what a sample of the keys has stored.
struct SampledPaths {
    /// Hashes of the paths of what was sampled, in small letters, as a key may have them. None, where there are too many.
    paths: Option<HashSet<u64>>,
    hasher: RandomState,
}

impl Default for SampledPaths {
    fn default() -> Self {
        Self { paths: Some(HashSet::new()), hasher: RandomState::new() }
    }
}

impl SampledPaths {
    fn hash(&self, record: &LogRecord) -> u64 {
        self.hasher.hash_one(record.target.path().to_ascii_lowercase())
    }

    /// A request is sampled.
    fn add(&mut self, record: &LogRecord) {
        let path = self.hash(record);
        if let Some(paths) = &mut self.paths {
            paths.insert(path);
        }
        self.paths.take_if(|paths| paths.len() > MAX_PATHS);
    }

    /// Whether a write changes anything there: one that names its own URL alone (RFC 9111 §4.4), of which nothing was sampled, does not.
    fn concerns(&self, record: &LogRecord, answer: &OriginAnswer, decision: &Decision) -> bool {
        let names_others = || [LOCATION, CONTENT_LOCATION].iter().any(|name| answer.fields.contains_key(name));
        let is_sampled = || self.paths.as_ref().is_none_or(|paths| paths.contains(&self.hash(record)));
        decision.invalidates > 0 || decision.stored || is_sampled() || names_others()
    }
}

/// The small gateways, on a thread of their own.
pub(super) struct CurveThread {
    sampler: Sampler,
    paths: SampledPaths,
    batch: Vec<Sampled>,
    sender: SyncSender<Vec<Sampled>>,
    thread: JoinHandle<Result<Curve, SetupError>>,
}

impl CurveThread {
    /// Starts it.
    pub(super) fn start(config: Config, assumptions: Assumptions, sampler: Sampler, start: Timestamp) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(SetupError::AccessLog)?.block_on(follow(config, assumptions, sampler, start, &receiver))
        };
        let thread = std::thread::Builder::new().name("curve".to_owned()).spawn(body)?;
        Ok(Self { sampler, paths: SampledPaths::default(), batch: Vec::with_capacity(BATCH), sender, thread })
    }

    /// Hands a request over, if it is sampled: by the URL of its key, since requests with one key belong together.
    pub(super) fn add(&mut self, record: &LogRecord, answer: &Arc<OriginAnswer>, decision: &Decision) {
        let counts = match &decision.url {
            Some(url) => self.sampler.takes(url),
            None => self.sampler.takes(&record.target.to_string()),
        };
        if counts {
            self.paths.add(record);
        }
        if counts || (decision.is_write && self.paths.concerns(record, answer, decision)) {
            self.batch.push(Sampled { record: record.clone(), answer: Arc::clone(answer), counts });
        }
        if self.batch.len() >= BATCH {
            // A thread that has ended says why when it is joined.
            let _ = self.sender.send(std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH)));
        }
    }

    /// The curve, once all was handed over.
    pub(super) fn finish(self) -> Result<Curve, SetupError> {
        let Self { batch, sender, thread, .. } = self;
        let _ = sender.send(batch);
        drop(sender);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

async fn follow(
    config: Config,
    assumptions: Assumptions,
    sampler: Sampler,
    start: Timestamp,
    receiver: &Receiver<Vec<Sampled>>,
) -> Result<Curve, SetupError> {
    let configured = config.memory.capacity;
    let mut points: Vec<(CurvePoint, Replica)> = Vec::new();
    for (size, scaled) in sampler.sizes(configured) {
        points.push((CurvePoint::new(size), Replica::new(config.clone(), scaled, assumptions.clone(), start)?));
    }
    while let Ok(batch) = receiver.recv() {
        for sampled in &batch {
            for (point, replica) in &mut points {
                let decision = replica.decide(&sampled.record, &sampled.answer).await;
                if sampled.counts {
                    point.add(&sampled.record, &decision);
                }
            }
        }
    }
    Ok(Curve { share: sampler.share(), configured, points: points.into_iter().map(|(point, _)| point).collect() })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use larder_semantics::Reason;
    use larder_simulate::{Logs, Verdict};

    use super::*;

    fn record(request: &str) -> LogRecord {
        let line = format!("10.0.0.1 - - [30/Nov/2026:09:00:00 +0000] \"{request} HTTP/1.1\" 200 1\n");
        Logs::of("log", std::io::Cursor::new(line), None).ok().and_then(|mut logs| logs.next()).expect("a line of a log")
    }

    #[test]
    fn a_write_to_what_was_not_sampled_is_left_out_unless_it_may_name_something_else() {
        let written = Decision {
            route: Some(0),
            verdict: Verdict::Bypass,
            reason: Reason::Method,
            stored: false,
            stale: false,
            url: None,
            fields: Vec::new(),
            lifetime: None,
            origin_requests: 1,
            is_write: true,
            invalidates: 0,
        };
        let answer = |field: Option<(HeaderName, HeaderValue)>| OriginAnswer {
            status: http::StatusCode::OK,
            fields: HeaderMap::from_iter(field),
            size: 1,
            is_part: false,
        };
        let mut paths = SampledPaths::default();
        paths.add(&record("GET /Products/1?page=2"));
        let (own, other, plain) = (record("PUT /products/1"), record("PUT /products/2"), answer(None));
        assert!(paths.concerns(&own, &plain, &written), "a key may have the path in small letters, and the query does not matter");
        assert!(!paths.concerns(&other, &plain, &written));
        assert!(paths.concerns(&other, &answer(Some((LOCATION, HeaderValue::from_static("/products/1")))), &written));
        assert!(paths.concerns(&other, &plain, &Decision { invalidates: 1, ..written.clone() }));
        assert!(paths.concerns(&other, &plain, &Decision { stored: true, ..written.clone() }));
        paths.paths = None;
        assert!(paths.concerns(&other, &plain, &written), "there are too many to remember");
    }
}
