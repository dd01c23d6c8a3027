//! The backend, asked with GET alone, once for each target, one request after the other.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use larder_draft::Answer;
use larder_tls::Authorities;
use tokio::time::timeout;

use crate::config::{UpstreamUrl, display_bytes};
use crate::https::{HttpsClient, USER_AGENT};

/// For one answer, to the end of what is read of it.
const ANSWERING: Duration = Duration::from_secs(5);

pub(super) struct Backend {
    client: HttpsClient,
    url: UpstreamUrl,
    answers: Cell<usize>,
}

impl Backend {
    pub(super) fn new(url: &UpstreamUrl, authorities: Option<&Authorities>) -> Result<Self, String> {
        Ok(Self { client: HttpsClient::new(authorities)?, url: url.clone(), answers: Cell::new(0) })
    }

    pub(super) fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// How many requests it has answered, well or not.
    pub(super) fn answers(&self) -> usize {
        self.answers.get()
    }

    /// An answer with the beginning of its body.
    pub(super) async fn sample(&self, target: &str, max: usize) -> Result<Answer, String> {
        within(async {
            let answer = self.ask(target).await?;
            let (head, body) = answer.into_parts();
            let is_endless = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
            let body = if is_endless { Vec::new() } else { beginning(body, max).await?.0 };
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        })
        .await
    }

    /// A body that is there, and no longer than this.
    pub(super) async fn whole(&self, target: &str, max: usize) -> Result<Vec<u8>, String> {
        within(async {
            let answer = self.ask(target).await?;
            if answer.status() != StatusCode::OK {
                return Err(format!("it answered {}", answer.status()));
            }
            match beginning(answer.into_body(), max).await? {
                (body, true) => Ok(body),
                _ => Err(format!("it is {TOO_LONG} {}, and is left alone", display_bytes(max as u64))),
            }
        })
        .await
    }

    async fn ask(&self, target: &str) -> Result<Response<Incoming>, String> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}{target}", self.url))
            .header(header::USER_AGENT, USER_AGENT)
            // A framework that has both answers with JSON rather than with its page for browsers.
            .header(header::ACCEPT, "application/json, */*;q=0.5");
        let answer = self.client.ask(request.body(Full::default()).map_err(|error| error.to_string())?).await?;
        self.answers.set(self.answers.get() + 1);
        Ok(answer)
    }
}

const TOO_LONG: &str = "longer than";

/// Whether an operator wants to know why a document in one of the usual places is of no use: most of these places are empty.
pub(super) fn is_worth_telling(error: &str) -> bool {
    error.contains(TOO_LONG) || ["401", "403", "500"].iter().any(|status| error.starts_with(&format!("it answered {status}")))
}

async fn within<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(ANSWERING, asked).await.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWERING.as_secs())))
}

/// What is read of a body, and whether that is all of it.
async fn beginning(mut body: Incoming, max: usize) -> Result<(Vec<u8>, bool), String> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        let data: &Bytes = match frame.data_ref() {
            Some(data) => data,
            None => continue,
        };
        let room = max - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((read, false));
        }
    }
    Ok((read, true))
}
