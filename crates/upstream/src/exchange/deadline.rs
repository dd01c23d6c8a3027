//! The time limit of an exchange up to its response's head.

use std::pin::Pin;

use crate::error::UpstreamError;
use crate::request::content::Progress;
use crate::request::pace::{CHECK_INTERVAL, HeadTimeout, Pace, Stall};

/// Waits for the head, as long as the content that the origin answers to still moves.
pub(crate) async fn within<T>(
    limits: HeadTimeout,
    progress: Option<&Progress>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, UpstreamError> {
    let Some(progress) = progress else {
        return tokio::time::timeout(limits.timeout, work).await.map_err(|_elapsed| UpstreamError::FirstByteTimeout);
    };
    let mut pace = Pace::new(limits);
    loop {
        let interval = CHECK_INTERVAL.min(limits.timeout.saturating_sub(pace.idle()));
        if let Ok(done) = tokio::time::timeout(interval, work.as_mut()).await {
            return Ok(done);
        }
        match pace.pass(interval, progress) {
            None => {}
            Some(Stall::Client) => return Err(UpstreamError::RequestStalled),
            Some(Stall::Origin) => return Err(UpstreamError::FirstByteTimeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http::HeaderMap;
    use http_body::{Body, Frame};
    use http_body_util::BodyExt;
    use larder_tower::RequestBody;

    use super::*;
    use crate::request::content::WatchedBody;

    const ANY_RATE: HeadTimeout = HeadTimeout { timeout: Duration::from_secs(30), min_rate: 0 };

    fn upload(body: impl Body<Data = Bytes, Error = std::io::Error> + Send + 'static) -> (WatchedBody, Option<Arc<Progress>>) {
        let body = WatchedBody::new(RequestBody::new(body), &HeaderMap::new(), None);
        let progress = body.progress();
        (body, progress)
    }

    /// A frame of so many bytes every twenty seconds, as often as told; then nothing more, without an end.
    struct Slow(usize, usize, std::pin::Pin<Box<tokio::time::Sleep>>);

    impl Slow {
        fn new(frames: usize) -> Self {
            Self::of(frames, 1)
        }

        fn of(frames: usize, bytes: usize) -> Self {
            Self(frames, bytes, Box::pin(tokio::time::sleep(Duration::from_secs(20))))
        }
    }

    impl Body for Slow {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            if self.0 == 0 {
                return std::task::Poll::Pending;
            }
            std::task::ready!(self.2.as_mut().poll(cx));
            let (frames, bytes) = (self.0 - 1, self.1);
            *self = Self::of(frames, bytes);
            std::task::Poll::Ready(Some(Ok(Frame::data(vec![b'x'; bytes].into()))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_upload_is_not_a_slow_response() {
        let (mut body, progress) = upload(Slow::new(10));
        let work = async {
            for _ in 0..10 {
                body.frame().await.expect("frame").expect("data");
            }
        };
        assert!(within(ANY_RATE, progress.as_deref(), pin!(work)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stops_is_the_clients_stall() {
        let (mut body, progress) = upload(Slow::new(2));
        let work = async { while body.frame().await.is_some() {} };
        let error = within(ANY_RATE, progress.as_deref(), pin!(work)).await.expect_err("stalled");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_is_silent_after_the_upload_has_timed_out() {
        let (mut body, progress) = upload(Slow::new(1));
        let work = async {
            body.frame().await.expect("frame").expect("data");
            pending::<()>().await;
        };
        let error = within(ANY_RATE, progress.as_deref(), pin!(work)).await.expect_err("silent");
        assert!(matches!(error, UpstreamError::FirstByteTimeout), "{error:?}");
    }

    const AT_LEAST_1_KIB: HeadTimeout = HeadTimeout { timeout: Duration::from_secs(30), min_rate: 1024 };

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_drips_is_the_clients_stall_however_often_it_moves() {
        let (mut body, progress) = upload(Slow::of(1000, 1024));
        let mut frames = 0;
        let work = async {
            while body.frame().await.is_some() {
                frames += 1;
            }
        };
        let error = within(AT_LEAST_1_KIB, progress.as_deref(), pin!(work)).await.expect_err("too slow");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
        assert_eq!(frames, 0, "the first frame would have come after twenty seconds, and ten are granted");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_beginning_does_not_pay_for_an_endless_end() {
        let (mut body, progress) = upload(First(Some(Bytes::from(vec![b'x'; 1 << 20])), Slow::of(1000, 1)));
        let mut frames = 0;
        let work = async {
            while body.frame().await.is_some() {
                frames += 1;
            }
        };
        let error = within(AT_LEAST_1_KIB, progress.as_deref(), pin!(work)).await.expect_err("too slow");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
        assert!((2..5).contains(&frames), "a minute was earned, not the seventeen that a mebibyte makes: {frames}");
    }

    /// A frame at once, and then others.
    struct First(Option<Bytes>, Slow);

    impl Body for First {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            match self.0.take() {
                Some(first) => std::task::Poll::Ready(Some(Ok(Frame::data(first)))),
                None => Pin::new(&mut self.1).poll_frame(cx),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_at_the_least_rate_goes_on() {
        let (mut body, progress) = upload(First(Some(Bytes::from(vec![b'x'; 20 * 1024])), Slow::of(50, 20 * 1024)));
        let work = async {
            for _ in 0..=50 {
                body.frame().await.expect("frame").expect("data");
            }
        };
        assert!(within(HeadTimeout { min_rate: 1000, ..AT_LEAST_1_KIB }, progress.as_deref(), pin!(work)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_its_origin_does_not_take_is_not_the_clients_stall() {
        let (mut body, progress) = upload(First(Some(Bytes::from_static(b"x")), Slow::of(0, 0)));
        let work = async {
            body.frame().await.expect("frame").expect("data");
            // The bytes that are there wait to be written, so no more are asked for.
            tokio::time::sleep(Duration::from_secs(25)).await;
        };
        assert!(within(AT_LEAST_1_KIB, progress.as_deref(), pin!(work)).await.is_ok());
    }
}
