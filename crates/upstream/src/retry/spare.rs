//! What is needed to send a request once more, and whether its failure asks for that.

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, Response};
use larder_config::{Retry, RetryMethods};
use larder_message::client::ClientConnection;
use larder_tower::RequestBody;

use crate::balance::server::Server;
use crate::error::UpstreamError;
use crate::exchange::transport::Outgoing;
use crate::request::content::{LentBody, Progress, WatchedBody};
use crate::request::expect::Gate;

/// A request besides the one that is on its way.
pub(crate) struct Spare {
    pub(crate) parts: Parts,
    pub(crate) client: Option<ClientConnection>,
    /// Its content, if it has any: given back where nothing of it was sent.
    content: Option<LentBody>,
    gate: Option<Gate>,
}

/// What a failed request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing: it has been answered, or may not be sent again.
    Nothing,
    /// To be sent, which has not happened yet.
    Unsent,
    /// To be sent again, though it may have been received.
    Again,
}

impl Spare {
    /// Of a request whose `body` is about to be sent.
    pub(crate) fn of(parts: &Parts, client: Option<ClientConnection>, body: &mut WatchedBody, gate: Option<Gate>) -> Self {
        Self { parts: copied(parts), client, content: body.lend(), gate }
    }

    /// What this outcome asks for.
    pub(crate) fn wish<T>(&self, retry: &Retry, answer: &Result<Response<T>, UpstreamError>) -> Wish {
        let is_unsent = match answer {
            Err(
                UpstreamError::Dns(_)
                | UpstreamError::Refused(_)
                | UpstreamError::ConnectTimeout(_)
                | UpstreamError::Unroutable(_)
                | UpstreamError::Tls(_)
                | UpstreamError::Certificate(_)
                | UpstreamError::Unavailable(_),
            ) => retry.on.connect && self.content.as_ref().is_none_or(LentBody::is_untouched),
            _ => false,
        };
        let is_wanted = match answer {
            Err(UpstreamError::Reset(_)) => retry.on.reset,
            Err(UpstreamError::FirstByteTimeout) => retry.on.timeout,
            Ok(response) => retry.on.statuses.contains(&response.status()),
            Err(_) => false,
        };
        match () {
            () if is_unsent => Wish::Unsent,
            () if is_wanted && self.content.is_none() && may_repeat(retry.only, &self.parts.method) => Wish::Again,
            () => Wish::Nothing,
        }
    }

    /// The request as it goes to this server, on a fresh connection. `None` once its content is spent.
    pub(crate) fn outgoing(&mut self, server: &Server) -> Option<(Outgoing, Option<Arc<Progress>>)> {
        let body = match &self.content {
            None => RequestBody::empty(),
            Some(content) => content.take()?,
        };
        let mut body = WatchedBody::of(body, &self.parts, self.gate.clone());
        if self.content.is_some() {
            self.content = body.lend();
        }
        let progress = body.progress();
        let outgoing = server.outgoing(copied(&self.parts), body, self.client.as_ref(), self.gate.is_some());
        Some((outgoing.on_fresh_connection(), progress))
    }
}

fn may_repeat(only: RetryMethods, method: &Method) -> bool {
    match only {
        RetryMethods::Safe => method.is_safe(),
        RetryMethods::Idempotent => method.is_idempotent(),
    }
}

/// The same once more, with what routes have left in its extensions.
fn copied(parts: &Parts) -> Parts {
    let (mut copy, ()) = Request::new(()).into_parts();
    (copy.method, copy.uri, copy.version) = (parts.method.clone(), parts.uri.clone(), parts.version);
    (copy.headers, copy.extensions) = (parts.headers.clone(), parts.extensions.clone());
    copy
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::error::Phase;

    fn watched(content: &'static str) -> WatchedBody {
        WatchedBody::new(RequestBody::new(Full::new(Bytes::from_static(content.as_bytes()))), &HeaderMap::new(), None)
    }

    fn spare(method: Method, body: &mut WatchedBody) -> Spare {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = method;
        Spare::of(&parts, None, body, None)
    }

    fn status(code: u16) -> Result<Response<()>, UpstreamError> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(code).expect("a status");
        Ok(response)
    }

    #[test]
    fn rfc9110_9_2_2_only_what_may_be_repeated_is_sent_again_after_it_may_have_been_received() {
        let (safe, idempotent) = (Retry::default(), Retry { only: RetryMethods::Idempotent, ..Retry::default() });
        for (method, content, retry, wish) in [
            (Method::GET, "", &safe, Wish::Again),
            (Method::HEAD, "", &safe, Wish::Again),
            (Method::POST, "", &safe, Wish::Nothing),
            (Method::DELETE, "", &safe, Wish::Nothing),
            (Method::DELETE, "", &idempotent, Wish::Again),
            (Method::PUT, "content", &idempotent, Wish::Nothing),
            (Method::POST, "", &idempotent, Wish::Nothing),
        ] {
            let mut body = watched(content);
            let spare = spare(method.clone(), &mut body);
            for answer in [Err(UpstreamError::FirstByteTimeout), Err(UpstreamError::Reset("gone".into())), status(503)] {
                assert_eq!(spare.wish(retry, &answer), wish, "{method} {content} {answer:?}");
            }
        }
    }

    #[test]
    fn what_was_never_sent_may_be_sent_whatever_it_is() {
        for (method, content) in [(Method::GET, ""), (Method::POST, ""), (Method::POST, "content")] {
            let mut body = watched(content);
            let spare = spare(method.clone(), &mut body);
            drop(body);
            for error in [UpstreamError::Refused("no".into()), UpstreamError::ConnectTimeout(Phase::Tls)] {
                assert_eq!(spare.wish::<()>(&Retry::default(), &Err(error)), Wish::Unsent, "{method} {content}");
            }
        }
    }

    #[tokio::test]
    async fn content_that_was_begun_is_not_given_back() {
        let mut body = watched("content");
        let spare = spare(Method::POST, &mut body);
        body.frame().await.expect("a frame").expect("content");
        drop(body);
        assert_eq!(spare.wish::<()>(&Retry::default(), &Err(UpstreamError::Refused("no".into()))), Wish::Nothing);
    }

    #[test]
    fn answers_and_what_no_server_is_to_blame_for_are_left() {
        let spare = spare(Method::GET, &mut watched(""));
        let refused = UpstreamError::BreakerOpen { retry_after: 1 };
        for answer in [status(200), status(404), status(500), Err(refused), Err(UpstreamError::RequestTooLarge)] {
            assert_eq!(spare.wish(&Retry::default(), &answer), Wish::Nothing, "{answer:?}");
        }
    }
}
