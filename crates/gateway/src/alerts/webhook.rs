//! Sending an alert to a URL.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;

use crate::config::Webhook;
use crate::https::{HttpsClient, USER_AGENT};

/// Before each attempt but the first.
const PAUSES: [Duration; 4] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20), Duration::from_secs(60)];

const SIGNATURE: &str = "x-larder-signature";

/// Why an attempt did not succeed, and whether another one might.
struct Failure {
    why: String,
    is_final: bool,
}

/// Sends it, several times where that may help. An error says why the last attempt failed, and never the URL's path.
pub(super) async fn send(webhook: &Webhook, id: &str, body: &Bytes) -> Result<(), String> {
    let client = HttpsClient::new(webhook.authorities.as_ref())?;
    let mut pauses = PAUSES.iter();
    loop {
        let failure = match attempt(&client, webhook, id, body).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        match pauses.next().filter(|_| !failure.is_final) {
            Some(pause) => tokio::time::sleep(*pause).await,
            None => return Err(failure.why),
        }
    }
}

async fn attempt(client: &HttpsClient, webhook: &Webhook, id: &str, body: &Bytes) -> Result<(), Failure> {
    let again = |why: String| Failure { why, is_final: false };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(webhook.url.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, USER_AGENT)
        .header("x-larder-delivery", id);
    if let Some(secret) = &webhook.secret {
        request = request.header(SIGNATURE, signature(secret, body));
    }
    let request = request.body(Full::new(body.clone())).map_err(|error| Failure { why: error.to_string(), is_final: true })?;
    let answer = client.ask(request).await.map_err(again)?;
    judged(answer.status())
}

/// What a receiver refuses for good it refuses again.
fn judged(status: StatusCode) -> Result<(), Failure> {
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure { why: format!("it answered {status}"), is_final: false })
        }
        status => Err(Failure { why: format!("it answered {status}"), is_final: !status.is_server_error() }),
    }
}

/// `sha256=` and the HMAC of the body in hexadecimal, as GitHub has it.
fn signature(secret: &[u8], body: &[u8]) -> String {
    use std::fmt::Write as _;
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let mut text = "sha256=".to_owned();
    for byte in aws_lc_rs::hmac::sign(&key, body).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4231_4_3_a_body_is_signed() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(b"Jefe", b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn what_may_change_is_tried_again() {
        let is_final = |status: u16| judged(StatusCode::from_u16(status).expect("a status")).err().map(|failure| failure.is_final);
        assert_eq!(
            [200, 204, 302, 400, 404, 408, 429, 500, 503].map(is_final),
            [None, None, Some(true), Some(true), Some(true), Some(false), Some(false), Some(false), Some(false)]
        );
    }
}
