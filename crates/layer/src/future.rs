//! The future of an answer: ready at once for a hit, boxed for everything else.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Response;

use crate::body::CacheBody;
use crate::error::FetchError;
use crate::outcome::Served;
use crate::respond;
use crate::rules::RouteRules;
use crate::task::pooled::Pooled;

/// The future of [`CacheService::serve`](crate::CacheService::serve).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ServeFuture<B: 'static>(State<B>);

type Boxed<B> = Pooled<Result<Served<B>, FetchError>>;

#[expect(clippy::large_enum_variant, reason = "boxing the hit would cost it the allocation that this type is there to save")]
enum State<B: 'static> {
    /// A hit: nothing to wait for, nothing boxed. Taken when polled.
    Ready(Option<Served<B>>),
    Walking(Boxed<B>),
}

impl<B: 'static> ServeFuture<B> {
    pub(crate) fn ready(served: Served<B>) -> Self {
        Self(State::Ready(Some(served)))
    }

    /// The answer, if it is there without waiting.
    ///
    /// # Errors
    /// The future itself, if something has to be waited for.
    #[expect(clippy::result_large_err, reason = "the future is handed back as it was, not an error that travels")]
    pub fn into_ready(mut self) -> Result<Served<B>, Self> {
        match &mut self.0 {
            State::Ready(served) => served.take().ok_or(self),
            State::Walking(_) => Err(self),
        }
    }

    pub(crate) fn walking(future: impl Future<Output = Result<Served<B>, FetchError>> + Send + 'static) -> Self {
        Self(State::Walking(Pooled::new(future)))
    }
}

impl<B: Send + 'static> ServeFuture<B> {
    /// The same answer, with what the route adds to it.
    pub(crate) fn amended(self, rules: &Arc<RouteRules>) -> Self {
        match self.0 {
            State::Ready(served) => Self(State::Ready(served.map(|served| served.amended(rules)))),
            State::Walking(future) => {
                let rules = Arc::clone(rules);
                Self::walking(async move { future.await.map(|served| served.amended(&rules)) })
            }
        }
    }
}

// Nothing in it is pinned in place: the boxed future is pinned on the heap.
impl<B: 'static> Unpin for ServeFuture<B> {}

impl<B: 'static> Future for ServeFuture<B> {
    type Output = Result<Served<B>, FetchError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(served) => match served.take() {
                Some(served) => Poll::Ready(Ok(served)),
                None => Poll::Pending,
            },
            State::Walking(future) => Pin::new(future).poll(cx),
        }
    }
}

impl<B: 'static> fmt::Debug for ServeFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "ServeFuture::Ready",
            State::Walking(_) => "ServeFuture::Walking",
        })
    }
}

/// The future of the tower service's `call`. A failure is an answer too: see [`CacheService`](crate::CacheService).
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ResponseFuture<B: 'static>(pub(crate) ServeFuture<B>);

impl<B: 'static> Future for ResponseFuture<B> {
    type Output = Result<Response<CacheBody<B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let served = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(Ok(served.map_or_else(respond::failed, Served::into_response)))
    }
}
