//! The smallest hyper server there is: one thread, one connection loop.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Which HTTP a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// HTTP/2 over cleartext, with prior knowledge.
    Http2,
}

/// Answers everything that comes to a loopback port with `answer`, on the calling thread, until the process ends.
///
/// # Errors
/// If there is no runtime or the port cannot be bound.
pub fn forever<F>(port: u16, version: Version, answer: impl Fn(Request<Incoming>) -> F + Clone + 'static) -> std::io::Result<()>
where
    F: Future<Output = Response<Full<Bytes>>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            // A connection that breaks is its client's affair.
            tokio::task::spawn_local(async move {
                let stream = TokioIo::new(stream);
                let _broken = match version {
                    Version::Http1 => http1::Builder::new().serve_connection(stream, service).await,
                    Version::Http2 => http2::Builder::new(Local).serve_connection(stream, service).await,
                };
            });
        }
    })
}

/// Reads a body to its end, and keeps nothing of it. A body that breaks ends, too: its connection tells its client.
pub async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Runs what HTTP/2 spawns on the same thread.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
