//! Batches of spans on their way out.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::encode::encode;
use super::span::{Attribute, Span};
use super::tracer::{SpanCounts, StopExport};

/// Spans in a batch, at most.
const BATCH: usize = 512;

/// How long a span may wait for others.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often a batch is sent, at most, where its receiver asks for patience.
const TRIES: u32 = 3;

/// The pause after the first try, which doubles.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It may be taken later: the receiver is away or has too much to do.
    Later,
    /// It never will be.
    Never,
}

/// Sends a batch.
pub trait SendBatch: Send {
    /// Sends JSON of the OpenTelemetry protocol.
    fn send(&mut self, batch: Bytes) -> impl Future<Output = Result<(), SendError>> + Send;
}

/// Gathers spans, and has them sent.
#[derive(Debug)]
pub struct Exporter {
    spans: mpsc::Receiver<Span>,
    stop: StopExport,
    counts: SpanCounts,
    resource: Vec<Attribute>,
}

impl Exporter {
    pub(super) fn new(spans: mpsc::Receiver<Span>, stop: StopExport, counts: SpanCounts, resource: Vec<Attribute>) -> Self {
        Self { spans, stop, counts, resource }
    }

    /// The next span, if one waits.
    #[cfg(test)]
    pub(super) fn next_now(&mut self) -> Option<Span> {
        self.spans.try_recv().ok()
    }

    /// Sends batches until the last tracer is gone or one stops it, and everything was sent or given up. While a batch is tried again, others wait in the queue, and what that
    /// does not hold is dropped.
    pub async fn run(mut self, mut receiver: impl SendBatch) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.gather(&mut batch).await {
            let content = Bytes::from(encode(&batch, &self.resource));
            let spans = batch.len() as u64;
            match deliver(content, &mut receiver).await {
                Ok(()) => self.counts.add_exported(spans),
                Err(_) => self.counts.add_dropped(spans),
            }
            batch.clear();
        }
    }

    /// Waits for a span, and for others for a moment. `false`: there will be no more.
    async fn gather(&mut self, batch: &mut Vec<Span>) -> bool {
        tokio::select! {
            biased;
            count = self.spans.recv_many(batch, BATCH) => if count == 0 { return false },
            // What is in the queue comes still; what is not there yet is dropped.
            () = self.stop.stopped() => {
                self.spans.close();
                return self.spans.recv_many(batch, BATCH).await > 0;
            }
        }
        let mut patience = pin!(sleep(INTERVAL));
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                biased;
                more = self.spans.recv_many(batch, room) => if more == 0 { break },
                () = self.stop.stopped() => self.spans.close(),
                () = patience.as_mut() => break,
            }
        }
        true
    }
}

async fn deliver(content: Bytes, receiver: &mut impl SendBatch) -> Result<(), SendError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match receiver.send(content.clone()).await {
            Err(SendError::Later) => sleep(pause).await,
            done => return done,
        }
        pause *= 2;
    }
    receiver.send(content).await
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::HeaderMap;
    use larder_semantics::Timestamp;
    use larder_tower::clock::monotonic;
    use serde_json::Value;

    use super::super::Tracer;
    use super::*;

    /// Answers as it was told, and keeps what it took.
    #[derive(Clone, Default)]
    struct Receiver {
        answers: Arc<Mutex<VecDeque<Result<(), SendError>>>>,
        taken: Arc<Mutex<Vec<Value>>>,
        tries: Arc<Mutex<usize>>,
    }

    impl SendBatch for Receiver {
        async fn send(&mut self, batch: Bytes) -> Result<(), SendError> {
            *self.tries.lock().unwrap() += 1;
            let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
            if answer.is_ok() {
                self.taken.lock().unwrap().push(serde_json::from_slice(&batch).unwrap());
            }
            answer
        }
    }

    fn receiver(answers: &[Result<(), SendError>]) -> Receiver {
        Receiver { answers: Arc::new(Mutex::new(answers.iter().copied().collect())), ..Receiver::default() }
    }

    fn tracer() -> (Arc<Tracer>, Exporter) {
        Tracer::new(1.0, Vec::new(), SpanCounts::default())
    }

    fn step(tracer: &Arc<Tracer>) {
        let trace = tracer.begin(&HeaderMap::new(), false, monotonic(), Timestamp::default).expect("all are traced");
        trace.step("lookup", monotonic(), Vec::new(), None);
    }

    fn spans(batch: &Value) -> usize {
        batch["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().map_or(0, Vec::len)
    }

    #[tokio::test(start_paused = true)]
    async fn spans_that_come_together_are_sent_together() {
        let (tracer, exporter) = tracer();
        let receiver = receiver(&[]);
        (0..3).for_each(|_| step(&tracer));
        let counts = tracer.counts().clone();
        drop(tracer);
        exporter.run(receiver.clone()).await;
        assert_eq!(receiver.taken.lock().unwrap().iter().map(spans).collect::<Vec<_>>(), [3]);
        assert_eq!((counts.exported(), counts.dropped()), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_asks_for_patience_gets_a_batch_again_and_one_that_refuses_does_not() {
        for (answers, exported, dropped, tries) in [
            (&[Err(SendError::Later), Ok(())][..], 1, 0, 2),
            (&[Err(SendError::Later), Err(SendError::Later), Err(SendError::Later)], 0, 1, 3),
            (&[Err(SendError::Never)], 0, 1, 1),
        ] {
            let (tracer, exporter) = tracer();
            let receiver = receiver(answers);
            step(&tracer);
            let counts = tracer.counts().clone();
            drop(tracer);
            exporter.run(receiver.clone()).await;
            assert_eq!((counts.exported(), counts.dropped()), (exported, dropped));
            assert_eq!(*receiver.tries.lock().unwrap(), tries);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_exporter_that_is_stopped_sends_what_waits_and_ends() {
        let (tracer, exporter) = tracer();
        let receiver = receiver(&[]);
        (0..BATCH + 1).for_each(|_| step(&tracer));
        tracer.stop().stop();
        exporter.run(receiver.clone()).await;
        assert_eq!(receiver.taken.lock().unwrap().iter().map(spans).collect::<Vec<_>>(), [BATCH, 1]);
        step(&tracer);
        assert_eq!((tracer.counts().exported(), tracer.counts().dropped()), (BATCH as u64 + 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn tracers_of_other_shares_have_the_same_exporter_which_ends_with_the_last() {
        let (tracer, exporter) = tracer();
        let (none, receiver) = (tracer.with_share(0.0), receiver(&[]));
        step(&tracer);
        drop(tracer);
        assert!(none.begin(&HeaderMap::new(), false, monotonic(), Timestamp::default).is_none());
        let all = none.with_share(1.0);
        step(&all);
        let counts = all.counts().clone();
        drop((none, all));
        exporter.run(receiver.clone()).await;
        assert_eq!((receiver.taken.lock().unwrap().iter().map(spans).sum::<usize>(), counts.exported()), (2, 2));
    }

    #[test]
    fn spans_beyond_the_queue_are_dropped_and_counted() {
        let (tracer, exporter) = tracer();
        let room = exporter.spans.max_capacity();
        (0..room + 5).for_each(|_| step(&tracer));
        assert_eq!((tracer.counts().dropped(), tracer.counts().exported()), (5, 0));
    }
}
