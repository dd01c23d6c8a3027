//! Origins that are known to speak HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use larder_tower::RequestBody;
use tokio::sync::Notify;

use super::origin::{get, h2c_options, send};
use super::{failure, over_either_protocol, until};
use crate::{UpstreamError, UpstreamService};
use larder_message::forward::HostPolicy;
use larder_server::{Server, ServerOptions};

/// `requests` as an origin sees them over HTTP/2, and how many connections they took.
async fn seen_over_http2(host: HostPolicy, requests: Vec<Request<RequestBody>>) -> (Vec<String>, u64, String) {
    let answer = |request: Request<hyper::body::Incoming>, _| async move {
        let text = format!("{:?} {} {:?}", request.version(), request.uri(), request.headers().get("host"));
        http::Response::new(Full::new(Bytes::from(text)))
    };
    let [_, service] = over_either_protocol(answer);
    let mut options = service.upstream().options.clone();
    options.config.host = host;
    let service = UpstreamService::new(options).expect("service");
    let mut seen = Vec::new();
    for request in requests {
        let response = send(&service, request).await.expect("response");
        assert_eq!(response.headers()["via"], "2 larder");
        let text = response.into_body().collect().await.expect("body").to_bytes();
        seen.push(String::from_utf8(text.to_vec()).expect("UTF-8"));
    }
    let own = service.upstream().options.config.servers[0].url.authority().to_string();
    (seen, service.stats().connections_total(), own)
}

#[tokio::test]
async fn rfc9113_8_3_1_an_http2_origin_sees_the_clients_name_as_its_authority_and_no_other_host() {
    let other = Request::get("/a?b").header("host", "b.example:81").body(RequestBody::empty()).expect("request");
    let nameless = Request::get("/a?b").body(RequestBody::empty()).expect("request");
    let (seen, connections, own) = seen_over_http2(HostPolicy::Preserve, vec![get("/a?b"), other, nameless]).await;
    let shown = |authority: &str| format!("HTTP/2.0 http://{authority}/a?b None");
    assert_eq!(seen, [shown("a.example"), shown("b.example:81"), shown(&own)]);
    assert_eq!(connections, 1, "whatever names clients use");
}

#[tokio::test]
async fn rfc9113_8_3_1_an_http2_origin_sees_its_own_name_where_that_is_set() {
    let (seen, _, own) = seen_over_http2(HostPolicy::Upstream, vec![get("/a?b")]).await;
    assert_eq!(seen, [format!("HTTP/2.0 http://{own}/a?b None")]);
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_http2_connection_and_one_failure() {
    let answer = |_, _| async move { http::Response::new(Full::new(Bytes::from_static(b"ok"))) };
    let [_, service] = over_either_protocol(answer);
    let (one, two, three) = tokio::join!(send(&service, get("/")), send(&service, get("/")), send(&service, get("/")));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(service.stats().connections_total(), 1);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let gone = h2c_options(&format!("http://{}", listener.local_addr().expect("address")));
    drop(listener);
    let gone = UpstreamService::new(gone).expect("service");
    let (one, two) = tokio::join!(failure(&gone, get("/")), failure(&gone, get("/")));
    assert!(matches!((&one, &two), (UpstreamError::Refused(_), UpstreamError::Refused(_))), "{one:?} {two:?}");
}

#[tokio::test]
async fn an_unused_http2_connection_ends_after_a_while() {
    let answer = |_, _| async move { http::Response::new(Full::new(Bytes::from_static(b"ok"))) };
    let [_, service] = over_either_protocol(answer);
    let mut options = service.upstream().options.clone();
    options.config.idle_timeout = Duration::from_millis(20);
    let service = UpstreamService::new(options).expect("service");
    for round in 1..=2 {
        send(&service, get("/")).await.expect("response").into_body().collect().await.expect("body");
        until(|| service.stats().connections_open() == 0).await;
        assert_eq!(service.stats().connections_total(), round);
    }
}

/// RFC 9113 §6.8: an origin that restarts says goodbye, and what it has not taken may be sent elsewhere, whatever its method.
#[tokio::test]
async fn an_http2_connection_that_was_said_goodbye_on_is_not_used_again() {
    let stops = Arc::new(Notify::new());
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let address = server.addresses().expect("addresses")[0];
    let answer = |_, _| async move { http::Response::new(Full::new(Bytes::from_static(b"ok"))) };
    let stop = Arc::clone(&stops);
    let first = tokio::spawn(server.serve(ServerOptions::default(), answer, async move { stop.notified().await }));
    let options = h2c_options(&format!("http://{address}"));
    let service = UpstreamService::new(options).expect("service");
    send(&service, get("/")).await.expect("response").into_body().collect().await.expect("body");
    stops.notify_one();
    first.await.expect("it ended");
    let server = Server::bind(&[address]).expect("bind again");
    tokio::spawn(server.serve(ServerOptions::default(), answer, std::future::pending()));
    let mut request = get("/");
    *request.method_mut() = Method::POST;
    assert_eq!(send(&service, request).await.expect("response").status(), 200);
    assert_eq!(service.stats().connections_total(), 2);
}

/// The first connection is taken and never answered on, as by a host that is gone.
#[tokio::test]
async fn an_http2_connection_on_which_nothing_comes_any_more_is_not_used_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let answer = hyper::service::service_fn(|_| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from_static(b"ok"))))
    });
    tokio::spawn(async move {
        let (_gone, _) = listener.accept().await.expect("accept");
        let (stream, _) = listener.accept().await.expect("accept");
        let server = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
        let _ = server.serve_connection(hyper_util::rt::TokioIo::new(stream), answer).await;
    });
    let mut options = h2c_options(&format!("http://{address}"));
    options.config.first_byte_timeout = Duration::from_secs(1);
    let service = UpstreamService::new(options).expect("service");
    assert!(matches!(failure(&service, get("/")).await, UpstreamError::FirstByteTimeout));
    assert_eq!(send(&service, get("/")).await.expect("response").status(), 200);
}

/// An origin of two connections. The first answers one request, and does `what` to the next one; the second answers everything.
async fn failing_once(what: impl Fn(h2::server::SendResponse<Bytes>) -> bool + Send + Sync + 'static) -> UpstreamService {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let what = Arc::new(what);
    tokio::spawn(async move {
        for first in [true, false] {
            let (stream, _) = listener.accept().await.expect("accept");
            let what = Arc::clone(&what);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("handshake");
                let mut answered = 0;
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    answered += 1;
                    if !first || answered == 1 {
                        let _ = respond.send_response(http::Response::new(()), true);
                    } else if !what(respond) {
                        return;
                    }
                }
            });
        }
    });
    let options = h2c_options(&format!("http://{address}"));
    let service = UpstreamService::new(options).expect("service");
    send(&service, get("/")).await.expect("response").into_body().collect().await.expect("body");
    service
}

#[tokio::test]
async fn rfc9113_8_7_a_refused_stream_is_asked_for_again_if_that_is_safe() {
    let refuse = |mut respond: h2::server::SendResponse<Bytes>| {
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        true
    };
    let service = failing_once(refuse).await;
    assert_eq!(send(&service, get("/")).await.expect("response").status(), 200);
    assert_eq!(service.stats().retries_total(), 1);
    let mut request = get("/");
    *request.method_mut() = Method::POST;
    assert!(matches!(failure(&failing_once(refuse).await, request).await, UpstreamError::Reset(_)));
}

#[tokio::test]
async fn a_stream_that_its_origin_resets_with_any_other_code_is_not_asked_for_again() {
    let reset = |mut respond: h2::server::SendResponse<Bytes>| {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        true
    };
    let service = failing_once(reset).await;
    assert!(matches!(failure(&service, get("/")).await, UpstreamError::Reset(_)));
    assert_eq!(service.stats().retries_total(), 0);
}

#[tokio::test]
async fn a_connection_that_ends_under_a_safe_request_is_made_again_once() {
    let service = failing_once(|_| false).await;
    assert_eq!(send(&service, get("/")).await.expect("response").status(), 200);
    assert_eq!((service.stats().connections_total(), service.stats().retries_total()), (2, 1));
}
