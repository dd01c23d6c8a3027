//! `bare_hyper PORT BYTES [h2]`: answers everything with one constant response, or 304 where the client has it. What a cache's hit is
//! measured against.

use std::error::Error;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, IF_NONE_MATCH};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use larder_benches::sample;
use larder_benches::serve::{Version, drain, forever};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, bytes, version) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [port, bytes] => (port.parse()?, bytes.parse()?, Version::Http1),
        [port, bytes, "h2"] => (port.parse()?, bytes.parse()?, Version::Http2),
        _ => return Err("usage: bare_hyper PORT BYTES [h2]".into()),
    };
    let body = sample::body(bytes);
    let mut fields = sample::fields(bytes);
    fields.extend(sample::hit_fields());
    let mut fields_304 = fields.clone();
    fields_304.remove(CONTENT_LENGTH);
    let answer = move |known: bool| {
        let mut response = Response::new(if known { Full::new(Bytes::new()) } else { Full::new(body.clone()) });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        *response.headers_mut() = if known { fields_304.clone() } else { fields.clone() };
        response
    };
    forever(port, version, move |request| {
        let response = answer(request.headers().contains_key(IF_NONE_MATCH));
        async move {
            if !request.body().is_end_stream() {
                drain(request.into_body()).await;
            }
            response
        }
    })?;
    Ok(())
}
