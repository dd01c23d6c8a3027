//! The soak as a fixed amount of work, and the checker against defects that are planted. `cargo xtask soak` runs it for minutes.

use larder_testkit::Result;
use larder_tests::soak::{Defect, Length, Options, Promise, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_keep_their_promises_while_everything_fails() -> Result<()> {
    let report = run(Options { length: Length::Work(2_000), seed: 1, defect: None }).await?;
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.results("HIT") > 0 && report.results("MISS") > 0 && report.purges() > 0, "{report}");
    Ok(())
}

/// The promise that the checker finds broken in a run with this defect.
async fn found(defect: Defect) -> Result<Option<Promise>> {
    let report = run(Options { length: Length::Calm(20_000), seed: 3, defect: Some(defect) }).await?;
    Ok(report.violations.first().map(|violation| violation.promise))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_purges_that_do_not_hold() -> Result<()> {
    assert_eq!(found(Defect::UnsentPurges).await?, Some(Promise::NeverOlder));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_a_replica_that_does_not_hear_of_purges() -> Result<()> {
    assert_eq!(found(Defect::ReplicasApart).await?, Some(Promise::NeverOlder));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_the_answer_of_another() -> Result<()> {
    assert_eq!(found(Defect::SharedPersonal).await?, Some(Promise::NeverAnothers));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_bodies_that_are_cut() -> Result<()> {
    assert_eq!(found(Defect::CutBodies).await?, Some(Promise::NeverCut));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_refusals() -> Result<()> {
    assert_eq!(found(Defect::OriginRefuses).await?, Some(Promise::AlwaysAnswered));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_memory_beyond_the_budget() -> Result<()> {
    assert_eq!(found(Defect::LargerBudget).await?, Some(Promise::WithinBudget));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_that_redis_stays_away_after_a_fault() -> Result<()> {
    let report = run(Options { length: Length::Work(u64::MAX), seed: 3, defect: Some(Defect::RedisStaysAway) }).await?;
    // A replica that stays away so long is not counted any more by the other one, whose purges it does not hear of.
    assert!(report.violations.iter().any(|violation| violation.promise == Promise::Recovers), "{report}");
    Ok(())
}

/// Nothing ends this run but its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_connections_that_are_left() -> Result<()> {
    let report = run(Options { length: Length::Calm(100), seed: 3, defect: Some(Defect::HeldConnections) }).await?;
    assert_eq!(report.violations.first().map(|violation| violation.promise), Some(Promise::NothingLeft), "{report}");
    Ok(())
}
