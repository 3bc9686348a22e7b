//! Large queues: no single script may hold the server up for long.

use std::time::Duration;

use ddrs_common::queue::{ClaimToken, Claim, Submission, SweepQueue};

use crate::support::{Redis, claim, id, lines, record_all, three_samples_each};

/// No script takes so long here, by far; a loop over everything would.
const LONG: Duration = Duration::from_millis(250);

/// Lets the server note every command that takes longer than [`LONG`].
async fn watch_for_long_scripts(redis: &Redis) {
    let mut raw = redis.raw().await;
    redis::cmd("CONFIG")
        .arg(&["SET", "slowlog-log-slower-than"])
        .arg(LONG.as_micros() as u64)
        .exec_async(&mut raw)
        .await
        .unwrap();
}

/// The longest command that was noted, in microseconds, if any was.
async fn longest(redis: &Redis) -> Option<i64> {
    let entries: Vec<Vec<redis::Value>> =
        redis::cmd("SLOWLOG").arg("GET").arg(-1).query_async(&mut redis.raw().await).await.unwrap();
    entries.into_iter().map(|entry| redis::from_redis_value::<i64>(entry[2].clone()).unwrap()).max()
}

/// Turns all pending jobs into lapsed leases of a worker that is gone.
async fn lease_all(redis: &Redis, queue: &SweepQueue, deadline: u64) {
    let script = "
        local key = 'ddrs:{' .. ARGV[1] .. '}:'
        for job = 0, ARGV[2] - 1 do
          redis.call('ZADD', key .. 'leases', ARGV[3], job)
          redis.call('HSET', key .. 'claims', job, job + 1 .. ' a' .. job .. ' live 1 - gone')
          redis.call('HSET', key .. 'tokens', 'a' .. job, job)
        end
        redis.call('DEL', key .. 'pending')";
    let jobs = queue.progress().await.unwrap().jobs;
    let mut eval = redis::cmd("EVAL");
    eval.arg(script).arg(0).arg(queue.id().as_str()).arg(jobs).arg(deadline);
    eval.exec_async(&mut redis.raw().await).await.unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_lapsed_leases_are_reaped_at_once() {
    const JOBS: u32 = 100_000;
    let redis = Redis::start().await;
    let queue = redis.sweep(JOBS).await;
    lease_all(&redis, &queue, 1).await;
    watch_for_long_scripts(&redis).await;
    // A claim does not wait for all of them.
    assert!(matches!(queue.claim("w", ClaimToken::random()).await.unwrap(), Claim::Job(_)));
    assert_eq!(queue.progress().await.unwrap().crashes, 100);
    assert_eq!(queue.reap(u64::from(JOBS)).await.unwrap(), u64::from(JOBS) - 100);
    let progress = queue.progress().await.unwrap();
    assert_eq!((progress.pending, progress.leased, progress.crashes), (u64::from(JOBS) - 1, 1, u64::from(JOBS)));
    assert_eq!(longest(&redis).await, None, "microseconds");
}

#[tokio::test]
async fn the_leases_of_a_hundred_thousand_jobs_are_let_run_out_at_once() {
    const JOBS: u32 = 100_000;
    let redis = Redis::start().await;
    let queue = redis.sweep(JOBS).await;
    let kept = claim(&queue).await;
    lease_all(&redis, &queue, 9_999_999_999_999).await;
    watch_for_long_scripts(&redis).await;
    assert_eq!(queue.lapse(Some("w")).await.unwrap(), 0, "that one is another's now: {kept:?}");
    assert_eq!(queue.lapse(Some("gone")).await.unwrap(), u64::from(JOBS));
    assert_eq!(queue.lapse(None).await.unwrap(), 0, "nothing is left that has not run out");
    queue.workers().await.unwrap();
    assert_eq!(longest(&redis).await, None, "microseconds");
}

#[tokio::test]
async fn two_hundred_thousand_pending_jobs_are_submitted_claimed_and_settled() {
    const JOBS: u32 = 200_000;
    let redis = Redis::start().await;
    watch_for_long_scripts(&redis).await;
    let queue = redis.client.sweep(&id(1));
    let submission = Submission { job_samples: 1, samples: u64::from(JOBS), ..three_samples_each(JOBS) };
    queue.submit(&submission).await.unwrap();
    let claimed = claim(&queue).await;
    record_all(&queue, &claimed).await;
    queue.complete(&claimed.lease).await.unwrap();
    assert_eq!(lines(&queue).await.len(), 1);
    let done: Vec<u64> = (1..u64::from(JOBS) - 5).collect();
    queue.mark_done(&done).await.unwrap();
    let progress = queue.progress().await.unwrap();
    assert_eq!((progress.pending, progress.completed), (5, u64::from(JOBS) - 5));
    assert_eq!(claim(&queue).await.first_slot, u64::from(JOBS) - 5, "in order");
    assert_eq!(longest(&redis).await, None, "microseconds");
}
