//! `origin PORT`: the backend of the caches under load.
//!
//! - `/BYTES` and `/BYTES/whatever?else`: a cacheable response with a body of so many bytes
//! - `/pass/BYTES/whatever`: the same, not to be stored; the body of the request is read first
//! - `/vary/BYTES/whatever`: the same, for its `Accept-Language`
//! - `/slow/MILLIS/whatever`: 1 KiB after so many milliseconds
//! - `/count`: how many requests there were besides this kind

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use larder_benches::sample;
use larder_benches::serve::{Version, drain, forever};

#[derive(Default)]
struct Origin {
    count: Cell<u64>,
    samples: RefCell<HashMap<usize, (HeaderMap, Bytes)>>,
}

/// The largest body; more would be a mistake in the scenario.
const MAX_BODY: usize = 64 << 20;

impl Origin {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if path == "/count" {
            let mut response = Response::new(Full::from(self.count.get().to_string()));
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            return response;
        }
        self.count.set(self.count.get() + 1);
        let mut segments = path.split('/').skip(1);
        let first = segments.next().unwrap_or_default();
        if first == "slow" {
            let millis = segments.next().and_then(|millis| millis.parse().ok()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(millis)).await;
            return self.sample(1024);
        }
        if matches!(first, "pass" | "vary") {
            let len = segments.next().and_then(|len| len.parse().ok()).filter(|len| *len <= MAX_BODY);
            let Some(len) = len else { return status(StatusCode::NOT_FOUND) };
            let is_passed = first == "pass";
            drain(request.into_body()).await;
            let mut response = self.sample(len);
            if is_passed {
                response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            } else {
                response.headers_mut().insert(VARY, HeaderValue::from_static("accept-language"));
            }
            return response;
        }
        match first.parse() {
            Ok(len) if len <= MAX_BODY && request.headers().contains_key(IF_NONE_MATCH) => self.not_modified(len),
            Ok(len) if len <= MAX_BODY => self.sample(len),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn sample(&self, len: usize) -> Response<Full<Bytes>> {
        let mut samples = self.samples.borrow_mut();
        let (fields, body) = samples.entry(len).or_insert_with(|| (sample::fields(len), sample::body(len)));
        let mut response = Response::new(Full::new(body.clone()));
        response.headers_mut().clone_from(fields);
        response
    }

    fn not_modified(&self, len: usize) -> Response<Full<Bytes>> {
        let (mut head, _) = self.sample(len).into_parts();
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(http::header::CONTENT_LENGTH);
        Response::from_parts(head, Full::default())
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(port) = std::env::args().nth(1) else { return Err("usage: origin PORT".into()) };
    let origin = Rc::new(Origin::default());
    forever(port.parse()?, Version::Http1, move |request| {
        let origin = Rc::clone(&origin);
        async move { origin.answer(request).await }
    })?;
    Ok(())
}
