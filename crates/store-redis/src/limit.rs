//! Limits that replicas share: one script for all that a request is under, in Redis' own time.

use futures_util::future::try_join_all;
use larder_limits::{Algorithm, Rate};
use larder_redis_options::RedisServers;
use larder_store::RemoteError;

use crate::link::{Lane, Operation};
use crate::scripts::LIMIT;
use crate::store::RedisStore;
use crate::value::LimitKey;

/// The words that the script has for algorithms, as they stand in keys.
const ALGORITHMS: [&str; 4] = ["b", "f", "s", "c"];

/// A question for the units of one client under one limit.
#[derive(Clone, Copy, Debug)]
pub struct LimitAsk<'a> {
    /// The limit's name.
    pub limit: &'a str,
    /// What tells the client apart.
    pub client: &'a str,
    /// What clients may have.
    pub rate: Rate,
    /// Units that are wanted at least; 0: none.
    pub least: u64,
    /// Units that are taken where they are there.
    pub most: u64,
    /// Units that were used before, and count in any case.
    pub owed: u64,
    /// Microseconds that the units may be waited for.
    pub max_wait: u64,
    /// Units of which [`LimitGrant::is_reached`] tells; 0: none.
    pub told_at: u64,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitGrant {
    /// Units that were taken; 0, or as many as were wanted at least.
    pub granted: u64,
    /// Units that are left.
    pub remaining: u64,
    /// Microseconds until all are there again.
    pub reset: u64,
    /// Microseconds until the units that were wanted are there; 0: they are.
    pub retry_after: u64,
    /// Units that were used, beyond what there is as well.
    pub used: u64,
    /// Whether `told_at` is reached, which one replica is told once in each window of the calendar.
    pub is_reached: bool,
}

impl RedisStore {
    /// Asks for units of clients under limits: one round trip for all of them, and in a Cluster one for those of each client, which lie in one slot.
    /// A question whose answer was lost is asked again, so that its units may count twice.
    ///
    /// # Errors
    /// As for any operation: what was taken is not known then.
    pub async fn limit(&self, asks: &[LimitAsk<'_>]) -> Result<Vec<LimitGrant>, RemoteError> {
        if !matches!(self.link().options().servers, RedisServers::Cluster(_)) {
            return self.limit_in_one_slot(asks).await;
        }
        // In the order of the questions, so that their answers are too.
        let groups: Vec<&[LimitAsk<'_>]> = asks.chunk_by(|one, next| one.client == next.client).collect();
        Ok(try_join_all(groups.into_iter().map(|group| self.limit_in_one_slot(group))).await?.concat())
    }

    /// Forgets what a client has used under a limit.
    ///
    /// # Errors
    /// As for any operation.
    pub async fn forget_limit(&self, limit: &str, client: &str) -> Result<(), RemoteError> {
        let link = self.link();
        let key = LimitKey::new(&link.options().prefix, limit, client);
        let mut delete = redis::cmd("DEL");
        ALGORITHMS.iter().for_each(|word| _ = delete.arg(key.of_algorithm(word)));
        let delete = &delete;
        let work = |mut connection| async move { delete.query_async::<()>(&mut connection).await };
        link.run(Operation::Limit, Lane::Small, work).await
    }

    async fn limit_in_one_slot(&self, asks: &[LimitAsk<'_>]) -> Result<Vec<LimitGrant>, RemoteError> {
        let link = self.link();
        let mut call = LIMIT.call();
        for ask in asks {
            let (word, begins) = match ask.rate.algorithm {
                Algorithm::TokenBucket => (ALGORITHMS[0], 0),
                Algorithm::FixedWindow => (ALGORITHMS[1], 0),
                Algorithm::SlidingWindow => (ALGORITHMS[2], 0),
                Algorithm::Calendar { begins } => (ALGORITHMS[3], begins),
            };
            let key = LimitKey::new(&link.options().prefix, ask.limit, ask.client);
            call = call.key(key.of_algorithm(word)).arg(word).arg(ask.rate.max).arg(ask.rate.per).arg(ask.rate.burst);
            call = call.arg(ask.least).arg(ask.most).arg(ask.owed).arg(ask.max_wait).arg(begins).arg(ask.told_at);
        }
        let call = &call;
        let work = |mut connection| async move { call.invoke::<Vec<u64>>(&mut connection).await };
        let numbers = link.run(Operation::Limit, Lane::Small, work).await?;
        let grants = numbers.chunks_exact(6).map(|answer| LimitGrant {
            granted: answer[0],
            remaining: answer[1],
            reset: answer[2],
            retry_after: answer[3],
            used: answer[4],
            is_reached: answer[5] > 0,
        });
        let grants: Vec<_> = grants.collect();
        if grants.len() == asks.len() { Ok(grants) } else { Err(RemoteError::Refused) }
    }
}
