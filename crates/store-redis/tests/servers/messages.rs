//! Messages on the channel, which every replica hears.

use std::sync::Arc;

use larder_store::{Invalidation, InvalidationTarget};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};

use crate::support::Replica;

const CHANNEL: &str = "purges";

/// How many messages the entries of the log stand for.
const LOGGED: &str = "local count = 0 for _, entry in ipairs(redis.call('XRANGE', 'larder:{log}:s', '-', '+')) do \
                      count = count + #entry[2][4] / 8 end return count";

/// Replicas that carry out what they hear as a gateway does.
async fn listening(redis: &Redis, count: usize) -> Result<Vec<Replica>> {
    let mut replicas = Vec::new();
    for _ in 0..count {
        let replica = Replica::start(redis).await?;
        let log = replica.store.log();
        replica.store.listen(CHANNEL.to_owned(), move |messages| {
            let log = Arc::clone(&log);
            async move {
                let name = |text: &[u8]| InvalidationTarget::Tag(String::from_utf8_lossy(text).into_owned());
                let invalidation = Invalidation::hard(messages.iter().map(|message| name(&message.text)));
                log.publish_once(invalidation, messages.iter().map(|message| message.mark).collect()).await;
            }
        });
        replicas.push(replica);
    }
    let known = format!(
        "local count = 0 for _, word in ipairs(redis.call('HVALS', 'larder:{{log}}:m')) do \
         if string.match(word, ' 1$') and string.match(word, '^%d+ %d+ %d+ ') then count = count + 1 end end return count == {count} and 1 or 0"
    );
    let hears = || async { Ok((redis.count(&["EVAL", &known, "0"]).await? == 1).then_some(())) };
    eventually("waiting for all to listen", hears).await?;
    looked(&replicas).await?;
    Ok(replicas)
}

/// From now on each replica knows what stood in the registry before: between two entries that it read one after the other it looked.
async fn looked(replicas: &[Replica]) -> Result<()> {
    for _ in 0..2 {
        replicas[0].invalidate("looked").await;
        let number = replicas[0].store.stats().log_number;
        for replica in replicas {
            replica.has_read(number).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_message_is_in_the_log_once_however_many_hear_it() -> Result<()> {
    let redis = Redis::start().await?;
    let replicas = listening(&redis, 4).await?;
    let before: Vec<_> = replicas.iter().map(|replica| replica.ledger.position()).collect();
    for n in 0..40 {
        redis.command(&["PUBLISH", CHANNEL, &format!("issue:{n}")]).await?;
    }
    for (replica, before) in replicas.iter().zip(before) {
        let applied = || async { Ok((0..40).all(|n| !replica.vouches(&format!("issue:{n}"), before)).then_some(())) };
        eventually("waiting for all messages to be applied", applied).await?;
    }
    assert_eq!(redis.count(&["EVAL", LOGGED, "0"]).await?, 40);
    // Said again, it is another message.
    let before = replicas[3].ledger.position();
    redis.command(&["PUBLISH", CHANNEL, "issue:7"]).await?;
    eventually("waiting for the second one", || async { Ok((!replicas[3].vouches("issue:7", before)).then_some(())) }).await?;
    assert_eq!(redis.count(&["EVAL", LOGGED, "0"]).await?, 41);
    Ok(())
}

#[tokio::test]
async fn the_next_replica_acts_where_the_first_does_not() -> Result<()> {
    let redis = Redis::start().await?;
    let replicas = listening(&redis, 2).await?;
    // One that lives, as far as anybody knows, and comes before all others.
    let ghost = "local now = string.match(redis.call('HGET', KEYS[1], 'clock'), '^%d+') \
                 redis.call('HSET', KEYS[1], '0', '1 ' .. now .. ' 60000 1')";
    redis.command(&["EVAL", ghost, "1", "larder:{log}:m"]).await?;
    looked(&replicas).await?;
    let before = replicas[1].ledger.position();
    redis.command(&["PUBLISH", CHANNEL, "issue:7"]).await?;
    eventually("waiting for the message to be applied", || async { Ok((!replicas[1].vouches("issue:7", before)).then_some(())) }).await?;
    assert_eq!(redis.count(&["EVAL", LOGGED, "0"]).await?, 1);
    Ok(())
}

#[tokio::test]
async fn replicas_that_do_not_know_of_each_other_yet_log_a_message_once_and_the_next_equal_one_too() -> Result<()> {
    let redis = Redis::start().await?;
    let (one, other) = (Replica::start(&redis).await?, Replica::start(&redis).await?);
    let (one_log, other_log) = (one.store.log(), other.store.log());
    // Neither says that it listens, so each takes itself for the first of those that do.
    for published in 1..=2 {
        let before = one.ledger.position();
        let invalidation = Invalidation::hard([InvalidationTarget::Tag("issue:7".to_owned())]);
        let (first, second) =
            tokio::join!(one_log.publish_once(invalidation.clone(), vec![7]), other_log.publish_once(invalidation, vec![7]));
        assert_eq!(first, second, "both say the number of the one entry");
        assert_eq!(redis.count(&["EVAL", LOGGED, "0"]).await?, published);
        assert!(!one.vouches("issue:7", before));
    }
    Ok(())
}

#[tokio::test]
async fn a_message_after_a_restart_is_not_taken_for_an_equal_one_of_before() -> Result<()> {
    let redis = Redis::start().await?;
    let invalidation = Invalidation::hard([InvalidationTarget::Tag("issue:7".to_owned())]);
    let before = Replica::start(&redis).await?;
    let (received, mut messages) = tokio::sync::mpsc::unbounded_channel();
    before.store.listen(CHANNEL.to_owned(), move |batch| {
        batch.into_iter().for_each(|message| _ = received.send(message.mark));
        async {}
    });
    let hears = || async { Ok((redis.count(&["PUBLISH", CHANNEL, "issue:7"]).await? == 1).then_some(())) };
    eventually("waiting for a replica to listen", hears).await?;
    let mark = messages.recv().await.expect("it listens");
    before.store.log().publish_once(invalidation, vec![mark]).await;
    drop(before);
    let _after = listening(&redis, 1).await?;
    redis.command(&["PUBLISH", CHANNEL, "issue:7"]).await?;
    let logged = || async { Ok((redis.count(&["EVAL", LOGGED, "0"]).await? == 2).then_some(())) };
    eventually("waiting for the second message in the log", logged).await
}
