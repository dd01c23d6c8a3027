//! The hit ratio by memory size: small gateways beside the whole one, which are given a sample of the keys.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use larder_semantics::Timestamp;
use larder_simulate::{Curve, CurvePoint, LogRecord, OriginAnswer, Sampler};

use super::assumed::Assumptions;
use super::replica::Replica;
use crate::active::SetupError;
use crate::config::Config;

/// Requests that are handed over together.
const BATCH: usize = 256;

/// Batches that wait: more would only take memory.
const WAITING: usize = 64;

/// A request for the small gateways.
struct Sampled {
    record: LogRecord,
    answer: OriginAnswer,
    /// Writes reach all of them, since they make old what others have asked for, and count only where they are sampled themselves.
    counts: bool,
}

/// The small gateways, on a thread of their own.
pub(super) struct CurveThread {
    sampler: Sampler,
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
        Ok(Self { sampler, batch: Vec::with_capacity(BATCH), sender, thread })
    }

    /// Hands a request over, if it is sampled: by the URL of its key, since requests with one key belong together.
    pub(super) fn add(&mut self, record: &LogRecord, answer: &OriginAnswer, url: Option<&str>, is_write: bool) {
        let counts = match url {
            Some(url) => self.sampler.takes(url),
            None => self.sampler.takes(&record.target.to_string()),
        };
        if counts || is_write {
            self.batch.push(Sampled { record: record.clone(), answer: answer.clone(), counts });
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
