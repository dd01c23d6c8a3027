//! Messages that applications which know Redis, but not Larder, publish on a channel.
//!
//! Redis keeps no message: it reaches the clients that listen at that moment. Every replica listens, so it is enough that one of them does:
//! the log tells the others, and has each message once (`log::messages`).

use std::sync::Weak;
use std::time::Duration;

use futures_util::StreamExt;
use redis::{Msg, RedisResult, ServerErrorKind};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::entry::Tier;

/// Messages that are handled together.
const BATCH: usize = 256;

/// After so long without a message it is asked whether the server is still there.
const IDLE: Duration = Duration::from_secs(5);

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// Between two attempts where the server said no: a person has to change that.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// A message that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its text.
    pub text: Vec<u8>,
    /// Tells it from others; the same on every replica that receives it.
    pub mark: u64,
}

impl Message {
    fn new(text: &[u8]) -> Self {
        let mut mark = [0; size_of::<u64>()];
        mark.copy_from_slice(&blake3::hash(text).as_bytes()[..size_of::<u64>()]);
        Self { text: text.to_vec(), mark: u64::from_le_bytes(mark) }
    }
}

/// Hands over what is published on `channel`, all that has come at a time, until the store is gone.
pub(crate) async fn listen<F: Future<Output = ()>>(store: Weak<Tier>, channel: String, handle: impl Fn(Vec<Message>) -> F) {
    while store.strong_count() > 0 {
        let received = receive(&store, &channel, &handle).await;
        if let Some(tier) = store.upgrade() {
            tier.log.replicas.set_listens(false);
        }
        let pause = match received {
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

async fn receive<F: Future<Output = ()>>(store: &Weak<Tier>, channel: &str, handle: &impl Fn(Vec<Message>) -> F) -> RedisResult<()> {
    let Some(tier) = store.upgrade() else { return Ok(()) };
    let (time_limit, moves) = (tier.link.options().connect_timeout, tier.link.moves());
    let Ok(found) = tier.link.find().await else { return Ok(()) };
    // What the log has before this replica listens, it has of messages that it does not receive.
    let connecting = timeout(time_limit, async { tokio::join!(found.subscriber(), tier.log.end(&found)) });
    let Ok((connected, end)) = connecting.await else { return Ok(()) };
    let (mut commands, messages) = connected?.split();
    tier.log.messages.listen(end?);
    drop(tier);
    let Ok(subscribed) = timeout(time_limit, commands.subscribe(channel)).await else { return Ok(()) };
    subscribed?;
    if let Some(tier) = store.upgrade() {
        tier.log.replicas.set_listens(true);
    }
    let mut messages = messages.ready_chunks(BATCH);
    while store.strong_count() > 0 {
        match timeout(IDLE, messages.next()).await {
            Ok(Some(batch)) => handle(batch.iter().map(|message: &Msg| Message::new(message.get_payload_bytes())).collect()).await,
            Ok(None) => return Ok(()),
            // The server that is there may be the old one, which nobody publishes to any more.
            Err(_) if store.upgrade().is_some_and(|tier| tier.link.moves() != moves) => return Ok(()),
            Err(_) => match timeout(time_limit, commands.ping::<()>()).await {
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
