//! What answers of models cost: read from their bodies as they pass, whoever they are for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use larder_coding::decoded;
use larder_semantics::content::model::{AnswerForm, Api, Judged, Meter};

use crate::config::{Prices, Route};
use crate::telemetry::metrics::{Metrics, UsageOutcome, UsageRecord};

/// Counts the tokens of a route's answers.
#[derive(Clone, Debug)]
pub(crate) struct RouteUsage {
    route: Arc<str>,
    prices: Arc<Prices>,
    metrics: Arc<Metrics>,
}

impl RouteUsage {
    /// `None` where a route has no answers of models.
    pub(crate) fn of(route: &Route, prices: &Arc<Prices>, metrics: &Arc<Metrics>) -> Option<Self> {
        let has_models = route.settings.content.as_ref().is_some_and(|rules| rules.kind.is_model());
        has_models.then(|| Self { route: Arc::clone(&route.name), prices: Arc::clone(prices), metrics: Arc::clone(metrics) })
    }

    /// Counts what an answer has cost or saved.
    pub(crate) fn count(&self, outcome: UsageOutcome, model: Option<&str>, input: u64, output: u64) {
        let price = model.and_then(|model| self.prices.of(model)).map(|price| price.of_tokens(input, output));
        self.metrics.usage(&self.route, outcome, &UsageRecord { model, input, output, price });
    }

    /// A meter for an answer to a request with this path; `None` where nothing can be read.
    pub(crate) fn meter(&self, path: &str, status: StatusCode, headers: &HeaderMap) -> Option<Meter> {
        let api = Api::of_path(path).filter(|_| status == StatusCode::OK)?;
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let form = AnswerForm::of_type(&kind.split(';').next()?.trim().to_ascii_lowercase())?;
        Some(Meter::new(api, form))
    }
}

/// A body whose cost is read. One that breaks off has cost what it had told by then.
#[derive(Debug)]
pub(crate) struct Metered<B> {
    body: B,
    meter: Option<Meter>,
    /// The body so far, where it has a content coding.
    coded: Option<(HeaderMap, Vec<u8>)>,
    usage: RouteUsage,
}

/// Bytes of the longest body with a content coding whose cost is read, before and after it is undone.
const MAX_CODED: usize = 8 << 20;

impl<B> Metered<B> {
    /// The body of an answer with these fields.
    pub(crate) fn new(body: B, headers: &HeaderMap, meter: Meter, usage: RouteUsage) -> Self {
        let coded = headers.get(CONTENT_ENCODING).map(|coding| (HeaderMap::from_iter([(CONTENT_ENCODING, coding.clone())]), Vec::new()));
        Self { body, meter: Some(meter), coded, usage }
    }

    fn see(&mut self, data: &[u8]) {
        let Some(meter) = &mut self.meter else { return };
        match &mut self.coded {
            None => meter.see(data),
            Some((_, coded)) if coded.len() + data.len() <= MAX_CODED => coded.extend_from_slice(data),
            Some(_) => (self.meter, self.coded) = (None, None),
        }
    }

    fn count(&mut self) {
        let Some(mut meter) = self.meter.take() else { return };
        if let Some((headers, coded)) = self.coded.take() {
            let Some(whole) = decoded(&headers, &coded.into(), MAX_CODED) else { return };
            meter.see(&whole);
        }
        if let Judged { usage: Some(usage), model, .. } = meter.finish(&[]) {
            self.usage.count(UsageOutcome::Spent, model.as_deref(), usage.input, usage.output);
        }
    }
}

impl<B> Drop for Metered<B> {
    fn drop(&mut self) {
        self.count();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Metered<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let polled = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                frame.data_ref().into_iter().for_each(|data| this.see(data));
                if this.body.is_end_stream() {
                    this.count();
                }
            }
            Some(Err(_)) | None => this.count(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use larder_coding::Coded;
    use larder_semantics::Coding;

    use super::*;

    const ANSWER: &str = r#"{"model":"gpt","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;

    /// What was counted of an answer, read to its end or not.
    async fn counted(body: Vec<u8>, fields: &[(&'static str, &'static str)], is_read: bool) -> Vec<(String, u64, u64, Option<f64>)> {
        let metrics = Arc::new(Metrics::new(&["a"], &[]));
        let usage = RouteUsage { route: "a".into(), prices: Arc::default(), metrics: Arc::clone(&metrics) };
        let mut headers: HeaderMap = HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
        fields.iter().for_each(|(name, value)| _ = headers.insert(*name, http::HeaderValue::from_static(value)));
        let meter = usage.meter("/v1/chat/completions", StatusCode::OK, &headers).expect("a meter");
        let body = Metered::new(Full::new(Bytes::from(body)), &headers, meter, usage);
        if is_read {
            body.collect().await.expect("whole");
        } else {
            drop(body);
        }
        metrics.usages().into_iter().map(|one| (one.model, one.input, one.output, one.price)).collect()
    }

    #[tokio::test]
    async fn the_cost_of_an_answer_is_read_as_it_passes() {
        let expected = [("gpt".to_owned(), 8, 2, None)];
        assert_eq!(counted(ANSWER.into(), &[], true).await, expected);
        let packed = Coded::packed(Full::new(Bytes::from_static(ANSWER.as_bytes())), Coding::Gzip).collect().await.expect("packed");
        assert_eq!(counted(packed.to_bytes().to_vec(), &[("content-encoding", "gzip")], true).await, expected);
        assert!(counted(ANSWER.into(), &[], false).await.is_empty(), "nothing was said");
        assert!(counted(b"no JSON".to_vec(), &[], true).await.is_empty());
        assert!(counted(ANSWER.into(), &[("content-encoding", "br")], true).await.is_empty(), "it is not what it says");
    }
}
