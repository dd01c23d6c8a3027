//! What applications that know Redis, but not Larder, publish on a channel.
//!
//! A message reaches whoever listens at that moment and is kept for nobody. Every replica listens, so it is enough that one of them does:
//! the log tells the others.

use std::sync::Weak;
use std::time::Duration;

use futures_util::StreamExt;
use redis::{Msg, RedisResult, ServerErrorKind};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::store::Inner;

/// Messages that are handled together.
const BATCH: usize = 256;

/// After so long without a message it is asked whether the server is still there.
const IDLE: Duration = Duration::from_secs(5);

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// Between two attempts where the server said no: a person has to change that.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Hands over what is published on `channel`, all that has come at a time, until the store is gone.
pub(crate) async fn listen<F: Future<Output = ()>>(store: Weak<Inner>, channel: String, handle: impl Fn(Vec<Vec<u8>>) -> F) {
    while store.strong_count() > 0 {
        let pause = match hear(&store, &channel, &handle).await {
            Err(error) if is_refusal(&error) => {
                warn!("messages on the channel {channel} cannot be read: {error}");
                REFUSED_PAUSE
            }
            Err(error) => {
                debug!("the channel {channel} cannot be heard: {error}");
                PAUSE
            }
            Ok(()) => PAUSE,
        };
        tokio::time::sleep(pause).await;
    }
}

async fn hear<F: Future<Output = ()>>(store: &Weak<Inner>, channel: &str, handle: &impl Fn(Vec<Vec<u8>>) -> F) -> RedisResult<()> {
    let Some(inner) = store.upgrade() else { return Ok(()) };
    let patience = inner.link.options().connect_timeout;
    let Ok(found) = inner.link.find().await else { return Ok(()) };
    drop(inner);
    let Ok(connected) = timeout(patience, found.subscriber()).await else { return Ok(()) };
    let (mut commands, messages) = connected?.split();
    let Ok(subscribed) = timeout(patience, commands.subscribe(channel)).await else { return Ok(()) };
    subscribed?;
    let mut messages = messages.ready_chunks(BATCH);
    while store.strong_count() > 0 {
        match timeout(IDLE, messages.next()).await {
            Ok(Some(batch)) => handle(batch.iter().map(|message: &Msg| message.get_payload_bytes().to_vec()).collect()).await,
            Ok(None) => return Ok(()),
            Err(_) => match timeout(patience, commands.ping::<()>()).await {
                Ok(alive) => alive?,
                Err(_) => return Ok(()),
            },
        }
    }
    Ok(())
}

fn is_refusal(error: &redis::RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(ServerErrorKind::NoPerm)) || error.code() == Some("NOPERM")
}
