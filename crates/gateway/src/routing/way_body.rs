//! The body of an answer between an origin and a client, where its coding may change.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use larder_coding::{Coded, CodingError};
use larder_tower::{BoxError, CacheBody};

use super::metered::Metered;
use super::watched::Watched;
use crate::upstream::UpstreamBody;

/// A body on its way into the cache, or out of it.
#[derive(Debug)]
pub(crate) enum WayBody {
    /// As it comes from the origin.
    Upstream(UpstreamBody),
    /// The same, of a model: its cost is read.
    Metered(Box<Metered<UpstreamBody>>),
    /// Packed on its way into the cache.
    Packed(Box<Coded<UpstreamBody>>),
    /// Both, one after the other.
    PackedMetered(Box<Coded<Metered<UpstreamBody>>>),
    /// Unpacked for one client.
    Unpacked(Box<Coded<CacheBody<WayBody>>>),
    /// Seen by somebody else on its way to one client.
    Watched(Box<Watched>),
}

impl From<UpstreamBody> for WayBody {
    fn from(body: UpstreamBody) -> Self {
        Self::Upstream(body)
    }
}

impl Body for WayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Upstream(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Metered(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Packed(body) => Pin::new(body).poll_frame(cx).map_err(CodingError::into_boxed),
            Self::PackedMetered(body) => Pin::new(body).poll_frame(cx).map_err(CodingError::into_boxed),
            Self::Unpacked(body) => Pin::new(body).poll_frame(cx).map_err(CodingError::into_boxed),
            Self::Watched(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_end_stream(),
            Self::Metered(body) => body.is_end_stream(),
            Self::Packed(body) => body.is_end_stream(),
            Self::PackedMetered(body) => body.is_end_stream(),
            Self::Unpacked(body) => body.is_end_stream(),
            Self::Watched(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body) => body.size_hint(),
            Self::Metered(body) => body.size_hint(),
            Self::Packed(body) => body.size_hint(),
            Self::PackedMetered(body) => body.size_hint(),
            Self::Unpacked(body) => body.size_hint(),
            Self::Watched(body) => body.size_hint(),
        }
    }
}
