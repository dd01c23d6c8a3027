//! Several servers behind one upstream, over raw sockets.

mod checking;
mod choosing;
mod failing;
mod reloading;
mod resolving;
mod retrying;

use std::net::SocketAddr;

use http::{Method, Request};
use http_body_util::BodyExt;
use larder_config::{Balance, Upstream, UpstreamServer};
use larder_tower::RequestBody;
use tokio::net::TcpSocket;

use super::origin::{get, options, origin, send};
use crate::{ServerState, UpstreamOptions, UpstreamService};

/// A server that answers every request with its name.
async fn named(name: &'static str) -> SocketAddr {
    answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len())).await
}

/// A server that answers every request, as far as its head, with this.
async fn answering(response: String) -> SocketAddr {
    origin(move |_, mut connection| {
        let response = response.clone();
        async move {
            while !connection.head().await.is_empty() {
                connection.send(&response).await;
            }
        }
    })
    .await
}

/// A server that closes every connection once a request has come.
async fn resetting() -> SocketAddr {
    origin(|_, mut connection| async move {
        connection.head().await;
    })
    .await
}

/// An address where nothing listens, for as long as the socket lives.
fn dead() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().expect("socket");
    socket.bind("127.0.0.1:0".parse().expect("address")).expect("bind");
    (socket.local_addr().expect("address"), socket)
}

fn server(address: SocketAddr) -> UpstreamServer {
    UpstreamServer::new(format!("http://{address}").parse().expect("upstream URL"))
}

/// Options for these servers, one after the other.
fn over(servers: Vec<UpstreamServer>) -> UpstreamOptions {
    let config = Upstream { balance: Balance::RoundRobin, ..Upstream::over("default", servers) };
    UpstreamOptions { config, ..options("http://unused.invalid") }
}

fn addressed(addresses: impl IntoIterator<Item = SocketAddr>) -> UpstreamOptions {
    over(addresses.into_iter().map(server).collect())
}

fn service(options: UpstreamOptions) -> UpstreamService {
    UpstreamService::new(options).expect("service")
}

/// What a reload makes of a service.
fn reloaded(before: &UpstreamService, options: UpstreamOptions) -> UpstreamService {
    let after = before.reconfigured(options).expect("service");
    after.take_place();
    after
}

/// The content of the answer to a request for this path; the error's word where there is none.
async fn asked(service: &UpstreamService, path: &str) -> String {
    content(service, get(path)).await
}

async fn content(service: &UpstreamService, request: Request<RequestBody>) -> String {
    match send(service, request).await {
        Ok(response) => {
            let body = response.into_body().collect().await.expect("body").to_bytes();
            String::from_utf8(body.to_vec()).expect("UTF-8")
        }
        Err(error) => error.token().to_owned(),
    }
}

/// So many answers to requests for `/`.
async fn answers(service: &UpstreamService, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(asked(service, "/").await);
    }
    all
}

fn post(body: &'static str) -> Request<RequestBody> {
    let body = RequestBody::new(http_body_util::Full::new(bytes::Bytes::from_static(body.as_bytes())));
    let request = Request::builder().method(Method::POST).uri("/").header("host", "a.example").header("content-length", 5);
    request.body(body).expect("request")
}

fn state(service: &UpstreamService, address: SocketAddr) -> ServerState {
    let wanted = format!("http://{address}");
    service.servers().into_iter().find(|state| state.server == wanted).expect("a server")
}
