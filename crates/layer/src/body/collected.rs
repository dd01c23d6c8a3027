//! The body of an answer, read to its end before it is passed on.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use super::CacheBody;
use crate::error::BoxError;

/// What became of reading one.
pub(crate) enum Collected<B> {
    /// All of it.
    Whole(Bytes),
    /// It is too long, breaks off, or has trailers: the body as it came, from its beginning.
    Begun(CacheBody<B>),
}

/// Reads a body of at most `max_length` bytes.
pub(crate) async fn collect<B>(body: CacheBody<B>, max_length: u64) -> Collected<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (mut body, mut frames, mut length): (Pin<Box<CacheBody<B>>>, _, _) = (Box::pin(body), VecDeque::new(), 0);
    while let Some(next) = body.frame().await {
        let data = match next {
            Err(error) => return Collected::Begun(CacheBody::resumed(frames, body, Some(Err(error)))),
            Ok(frame) => match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Collected::Begun(CacheBody::resumed(frames, body, Some(Ok(trailers)))),
            },
        };
        length += data.len() as u64;
        frames.push_back(data);
        if length > max_length {
            return Collected::Begun(CacheBody::resumed(frames, body, None));
        }
    }
    Collected::Whole(match frames.len() {
        1 => frames.pop_front().unwrap_or_default(),
        _ => frames
            .into_iter()
            .fold(BytesMut::with_capacity(length as usize), |mut whole, frame| {
                whole.extend_from_slice(&frame);
                whole
            })
            .freeze(),
    })
}
