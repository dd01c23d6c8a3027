//! Clients that still send what nobody wants any more.
//!
//! To close on them, or to reset their stream, can overtake the answer that tells them why. So the rest of what they send is read and forgotten,
//! within bounds (RFC 9112 §9.6).

use std::time::Duration;

use http::{Request, Version};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::peer::Peer;

/// How long, and for how many bytes, a client that still sends is listened to after the last answer.
const TIME: Duration = Duration::from_secs(2);
const BYTES: u64 = 1024 * 1024;

/// Reads the rest of a connection. Keeps the connection's slot meanwhile.
pub(super) async fn linger_on_connection(mut stream: TcpStream, _peer: Peer) {
    let _ = tokio::time::timeout(TIME, async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(BYTES), &mut tokio::io::sink()).await
    })
    .await;
}

/// Reads the rest of a refused request where it has a stream of its own. Over HTTP/1.1 that is left to the end of the connection.
pub(crate) fn linger(request: Request<Incoming>) {
    if request.version() != Version::HTTP_2 || request.body().is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let mut rest = Limited::new(request.into_body(), BYTES as usize);
        let _ = tokio::time::timeout(TIME, async { while let Some(Ok(_)) = rest.frame().await {} }).await;
    });
}
