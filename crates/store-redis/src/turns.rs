//! What replicas do in turn: one of them in each term, and it tells the others what came of it.

use std::time::Duration;

use larder_store::RemoteError;

use crate::link::{Lane, Operation};
use crate::store::RedisStore;
use crate::value::{TurnKey, millis};

impl RedisStore {
    /// The word that was told of `name` last, and whether it is this replica's turn now: it is one replica's in each `term`.
    ///
    /// # Errors
    /// As for any operation: each replica then has to do it by itself.
    pub async fn turn(&self, name: &str, term: Duration) -> Result<(Option<String>, bool), RemoteError> {
        let link = self.link();
        let key = TurnKey::new(&link.options().prefix, name);
        let mut look = redis::pipe();
        look.cmd("SET").arg(key.turn()).arg(1).arg("NX").arg("PX").arg(millis(term));
        look.cmd("GET").arg(key.word());
        let look = &look;
        let work = |mut connection| async move { look.query_async::<(Option<String>, Option<String>)>(&mut connection).await };
        let (taken, word) = link.run(Operation::Turn, Lane::Small, work).await?;
        Ok((word, taken.is_some()))
    }

    /// Whether this replica takes the turn of `name`, as with [`Self::turn`]. One that a replica has taken which does not live any more is taken over, as
    /// is this replica's own, and that of an earlier process under its name: what that has done died with it.
    ///
    /// # Errors
    /// As for any operation: each replica then has to do it by itself.
    pub async fn take_turn(&self, name: &str, term: Duration) -> Result<bool, RemoteError> {
        let (link, replicas) = (self.link(), self.registered());
        let key = TurnKey::new(&link.options().prefix, name);
        let mut look = redis::pipe();
        look.cmd("SET").arg(key.turn()).arg(replicas.own()).arg("NX").arg("PX").arg(millis(term));
        look.cmd("GET").arg(key.turn());
        let look = &look;
        let work = |mut connection| async move { look.query_async::<(Option<String>, Option<String>)>(&mut connection).await };
        let (taken, holder) = link.run(Operation::Turn, Lane::Small, work).await?;
        let Some(holder) = holder.filter(|_| taken.is_none()) else { return Ok(true) };
        if !replicas.is_gone(link, &holder).await? {
            return Ok(false);
        }
        let mut take_over = redis::cmd("SET");
        take_over.arg(key.turn()).arg(replicas.own()).arg("PX").arg(millis(term)).arg("GET");
        let take_over = &take_over;
        let work = |mut connection| async move { take_over.query_async::<Option<String>>(&mut connection).await };
        let before = link.run(Operation::Turn, Lane::Small, work).await?;
        // Another one may have taken it over meanwhile.
        Ok(before.is_none_or(|before| before == holder))
    }

    /// Lets the turn of `name`, which this replica has, last for another `term`.
    pub async fn keep_turn(&self, name: &str, term: Duration) {
        let link = self.link();
        let key = TurnKey::new(&link.options().prefix, name);
        let mut set = redis::cmd("SET");
        set.arg(key.turn()).arg(self.registered().own()).arg("PX").arg(millis(term));
        let set = &set;
        let work = |mut connection| async move { set.query_async::<()>(&mut connection).await };
        let _ = link.run(Operation::Turn, Lane::Small, work).await;
    }

    /// Tells the other replicas a word of `name`, which they hear for as long as `kept`. If Redis does not take it, they hear the last one.
    pub async fn tell(&self, name: &str, word: &str, kept: Duration) {
        let link = self.link();
        let key = TurnKey::new(&link.options().prefix, name);
        let mut set = redis::cmd("SET");
        set.arg(key.word()).arg(word).arg("PX").arg(millis(kept));
        let set = &set;
        let work = |mut connection| async move { set.query_async::<()>(&mut connection).await };
        let _ = link.run(Operation::Turn, Lane::Small, work).await;
    }
}
