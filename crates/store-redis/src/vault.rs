//! Values of replicas that are no responses, such as certificates with their keys: sealed like those, and what is one replica's at a time.

use std::time::Duration;

use bytes::Bytes;
use larder_store::RemoteError;

use crate::link::{Lane, Operation};
use crate::scripts::UNLOCK;
use crate::store::RedisStore;
use crate::value::{VaultKey, millis, open, seal};

impl RedisStore {
    /// The value of this name, if there is one. One that was sealed with another key is none.
    ///
    /// # Errors
    /// As for any operation.
    pub async fn value(&self, name: &str) -> Result<Option<Vec<u8>>, RemoteError> {
        let link = self.link();
        let key = VaultKey::new(&link.options().prefix, name);
        let mut get = redis::cmd("GET");
        get.arg(key.value());
        let get = &get;
        let work = |mut connection| async move { get.query_async::<Option<Vec<u8>>>(&mut connection).await };
        let Some(stored) = link.run(Operation::Turn, Lane::Small, work).await? else { return Ok(None) };
        Ok(open(link.options().keys.as_ref(), key.value(), Bytes::from(stored)).map(Vec::from))
    }

    /// Keeps a value for so long.
    ///
    /// # Errors
    /// As for any operation: whether it is kept is not known then.
    pub async fn keep_value(&self, name: &str, value: &[u8], kept: Duration) -> Result<(), RemoteError> {
        let link = self.link();
        let key = VaultKey::new(&link.options().prefix, name);
        let sealed = seal(link.options().keys.as_ref(), key.value(), Bytes::copy_from_slice(value))?;
        let mut set = redis::cmd("SET");
        set.arg(key.value()).arg(&sealed[..]).arg("PX").arg(millis(kept));
        let set = &set;
        let work = |mut connection| async move { set.query_async::<()>(&mut connection).await };
        link.run(Operation::Turn, Lane::Small, work).await
    }

    /// Takes what is one replica's at a time, for `term` at most. `holder` is what this replica gives it back by; one that has it has it again.
    ///
    /// # Errors
    /// As for any operation.
    pub async fn lock(&self, name: &str, holder: &str, term: Duration) -> Result<bool, RemoteError> {
        let link = self.link();
        let key = VaultKey::new(&link.options().prefix, name);
        // Where an answer is lost and the question asked again, the lock is held by this replica already.
        let mut set = redis::pipe();
        set.cmd("SET").arg(key.lock()).arg(holder).arg("NX").arg("PX").arg(millis(term)).ignore();
        set.cmd("GET").arg(key.lock());
        let set = &set;
        let work = |mut connection| async move { set.query_async::<(Option<String>,)>(&mut connection).await };
        let (held,) = link.run(Operation::Turn, Lane::Small, work).await?;
        Ok(held.as_deref() == Some(holder))
    }

    /// Gives it back after this pause.
    ///
    /// # Errors
    /// As for any operation: it is given back at the end of its term then.
    pub async fn unlock(&self, name: &str, holder: &str, pause: Duration) -> Result<(), RemoteError> {
        let link = self.link();
        let key = VaultKey::new(&link.options().prefix, name);
        let pause = if pause.is_zero() { 0 } else { millis(pause) };
        let call = UNLOCK.call().key(key.lock()).arg(holder).arg(pause);
        let call = &call;
        let work = |mut connection| async move { call.invoke::<()>(&mut connection).await };
        link.run(Operation::Turn, Lane::Small, work).await
    }
}
