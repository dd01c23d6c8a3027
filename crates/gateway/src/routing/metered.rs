//! What answers of models cost: read from their bodies as they pass, whoever they are for. The client who has asked the origin is charged for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use larder_coding::{beginning_decoded, decoded};
use larder_semantics::content::model::{AnswerForm, Api, Judged, Meter, plain_name};

use crate::config::{Price, Prices, Route};
use crate::limits::{MissTicket, RouteLimits, Tokens};
use crate::spending::{Asked, Spending, Sum};
use crate::telemetry::metrics::{Metrics, UsageOutcome, UsageRecord};

/// Counts the tokens of a route's answers.
#[derive(Clone, Debug)]
pub(crate) struct RouteUsage {
    route: Arc<str>,
    books: UsageBooks,
    /// Of models that `[prices]` does not have: that of the first quota of the route.
    price: Option<Price>,
    /// Whether a limit counts them: then they are read from answers of APIs that are not known as well.
    is_limited: bool,
}

/// Where tokens of all routes are counted, and what they cost.
#[derive(Clone, Debug)]
pub(crate) struct UsageBooks {
    pub(crate) prices: Arc<Prices>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) spending: Arc<Spending>,
}

impl RouteUsage {
    /// `None` where a route has no answers of models, and none of its limits counts them.
    pub(crate) fn of(route: &Route, limits: Option<&RouteLimits>, books: &UsageBooks) -> Option<Self> {
        let has_models = route.settings.content.as_ref().is_some_and(|rules| rules.kind.is_model());
        let is_limited = limits.is_some_and(RouteLimits::count_models);
        (has_models || is_limited).then(|| Self {
            route: Arc::clone(&route.name),
            books: books.clone(),
            price: limits.and_then(RouteLimits::price).copied(),
            is_limited,
        })
    }

    /// Counts what an answer has cost the client who has asked for it, or saved.
    pub(crate) fn count(&self, outcome: UsageOutcome, client: Option<&str>, tokens: Tokens<'_>) {
        let Tokens { model, input, output } = tokens;
        let UsageBooks { prices, metrics, spending } = &self.books;
        let price = model.and_then(|model| prices.of(model)).or(self.price.as_ref()).map(|price| price.of_tokens(input, output));
        // What is counted by a name keeps it for as long as the process runs.
        let model = model.and_then(plain_name);
        metrics.usage(&self.route, outcome, &UsageRecord { model, input, output, price });
        spending.add(Asked { route: &self.route, client, model }, outcome, Sum::of_answer(input, output, price));
    }

    /// How the cost of an answer to a request with this path is read, and who pays for it; `None` where nothing can be read.
    pub(crate) fn metering(&self, path: &str, status: StatusCode, headers: &HeaderMap, ticket: Option<MissTicket>) -> Option<Metering> {
        let api = Api::of_path(path).or(self.is_limited.then_some(Api::Unknown)).filter(|_| status == StatusCode::OK)?;
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let form = AnswerForm::of_type(&kind.split(';').next()?.trim().to_ascii_lowercase())?;
        let coding = headers.get(CONTENT_ENCODING).map(|coding| HeaderMap::from_iter([(CONTENT_ENCODING, coding.clone())]));
        Some(Metering { meter: Meter::new(api, form), coding, ended: Ended { usage: self.clone(), ticket } })
    }
}

/// How the cost of one answer is read.
#[derive(Debug)]
pub(crate) struct Metering {
    meter: Meter,
    coding: Option<HeaderMap>,
    ended: Ended,
}

impl Metering {
    /// Reads it from this body.
    pub(crate) fn of<B>(self, body: B) -> Metered<B> {
        let Self { meter, coding, ended } = self;
        Metered { body, meter: Some(meter), coded: coding.map(|coding| (coding, Vec::new())), ended: Some(ended) }
    }
}

/// A body whose cost is read. One that breaks off has cost what it had told by then.
#[derive(Debug)]
pub(crate) struct Metered<B> {
    body: B,
    meter: Option<Meter>,
    /// The beginning of the body so far, where it has a content coding.
    coded: Option<(HeaderMap, Vec<u8>)>,
    /// Until it was counted.
    ended: Option<Ended>,
}

/// What happens at the end of a body.
#[derive(Debug)]
struct Ended {
    usage: RouteUsage,
    /// Of the client who pays for it.
    ticket: Option<MissTicket>,
}

/// Bytes of a body with a content coding in which its cost is looked for, before and after it is undone.
const MAX_CODED: usize = 8 << 20;

impl<B> Metered<B> {
    fn see(&mut self, data: &[u8]) {
        let Some(meter) = &mut self.meter else { return };
        match &mut self.coded {
            None => meter.see(data),
            Some((_, coded)) => coded.extend_from_slice(&data[..data.len().min(MAX_CODED - coded.len())]),
        }
    }

    /// Counts the answer, once.
    fn count(&mut self) {
        let Some(ended) = self.ended.take() else { return };
        let Judged { usage, model, .. } = self.judged().unwrap_or_default();
        let tokens = usage.map(|usage| Tokens { model: model.as_deref(), input: usage.input, output: usage.output });
        if let Some(tokens) = tokens {
            ended.usage.count(UsageOutcome::Spent, ended.ticket.as_ref().and_then(MissTicket::spender), tokens);
        }
        if let Some(ticket) = ended.ticket {
            ticket.charge(&ended.usage.books.prices, tokens);
        }
    }

    fn judged(&mut self) -> Option<Judged> {
        let mut meter = self.meter.take()?;
        if let Some((headers, coded)) = self.coded.take() {
            let coded = coded.into();
            // Of one that breaks off, or is longer, what was told by then.
            meter.see(&decoded(&headers, &coded, MAX_CODED).or_else(|| beginning_decoded(&headers, &coded, MAX_CODED))?);
        }
        Some(meter.finish(&[]))
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
    use larder_tower::clock::Clock;

    use super::*;

    const ANSWER: &str = r#"{"model":"gpt","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;

    /// What was counted of an answer, read to its end or not.
    async fn counted(body: Vec<u8>, fields: &[(&'static str, &'static str)], is_read: bool) -> Vec<(String, u64, u64, Option<f64>)> {
        counted_at("/v1/chat/completions", body, fields, is_read).await
    }

    async fn counted_at(
        path: &str,
        body: Vec<u8>,
        fields: &[(&'static str, &'static str)],
        is_read: bool,
    ) -> Vec<(String, u64, u64, Option<f64>)> {
        let metrics = Arc::new(Metrics::new(&["a"], &[]));
        let spending = Arc::new(Spending::new(&crate::config::Spending::default(), &Clock::system()));
        let books = UsageBooks { prices: Arc::default(), metrics: Arc::clone(&metrics), spending };
        let usage = RouteUsage { route: "a".into(), books, price: None, is_limited: false };
        let mut headers: HeaderMap = HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
        fields.iter().for_each(|(name, value)| _ = headers.insert(*name, http::HeaderValue::from_static(value)));
        let metering = usage.metering(path, StatusCode::OK, &headers, None).expect("a meter");
        let body = metering.of(Full::new(Bytes::from(body)));
        if is_read {
            body.collect().await.expect("whole");
        } else {
            drop(body);
        }
        metrics.usages().into_iter().map(|one| (one.model, one.input, one.output, one.price)).collect()
    }

    #[tokio::test]
    async fn a_model_whose_name_is_too_long_or_not_plain_counts_as_other() {
        for (name, counted_as) in
            [("x".repeat(100), "x".repeat(100)), ("x".repeat(101), "other".to_owned()), ("\u{e9}".to_owned(), "other".to_owned())]
        {
            let answer = ANSWER.replace("gpt", &name);
            assert_eq!(counted(answer.into(), &[], true).await, [(counted_as, 8, 2, None)]);
        }
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

    #[tokio::test]
    async fn a_packed_answer_that_breaks_off_has_cost_what_it_had_told() {
        let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude\",\"usage\":{\"input_tokens\":8,\"output_tokens\":1}}}\n\n";
        let more = "event: ping\ndata: {\"type\":\"ping\"}\n\n".repeat(2_000);
        let stream = Bytes::from(format!("{start}{more}"));
        let packed = Coded::packed(Full::new(stream), Coding::Gzip).collect().await.expect("packed").to_bytes();
        let fields = [("content-type", "text/event-stream"), ("content-encoding", "gzip")];
        for kept in [packed.len(), packed.len() - 10] {
            assert_eq!(
                counted_at("/v1/messages", packed[..kept].to_vec(), &fields, true).await,
                [("claude".to_owned(), 8, 1, None)],
                "{kept}"
            );
        }
    }
}
