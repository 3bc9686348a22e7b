//! Tests large queues. No single script may block the server for long.

use ddrs_common::queue::{ClaimReply, ClaimToken, Submission, SweepQueue};

use crate::support::{Redis, claim, id, lines, record_all, three_samples_each};

/// Returns the number of scripts that the server has run and their mean time in microseconds.
async fn scripts(redis: &Redis) -> (u64, f64) {
    let info: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut redis.raw().await)
        .await
        .unwrap();
    let line = info
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"))
        .unwrap_or_default();
    let field = |name: &str| {
        line.split([',', ':'])
            .find_map(|part| part.strip_prefix(name))
            .unwrap_or("0")
            .to_owned()
    };
    (
        field("calls=").parse().unwrap(),
        field("usec_per_call=").parse().unwrap(),
    )
}

/// Checks that the work since `before` was divided into at least `least` scripts.
async fn expect_scripts(redis: &Redis, before: (u64, f64), least: u64) {
    let now = scripts(redis).await;
    println!("{} scripts, mean time {} us", now.0 - before.0, now.1);
    assert!(
        now.0 - before.0 >= least,
        "{} scripts, fewer than {least}",
        now.0 - before.0
    );
}

/// Turns all pending jobs into leases of a worker that has ended, with this deadline.
async fn lease_all(redis: &Redis, queue: &SweepQueue, deadline: u64) {
    let script = "
        local key = 'ddrs:{' .. ARGV[1] .. '}:'
        for job = ARGV[2], ARGV[3] - 1 do
          redis.call('ZADD', key .. 'leases', ARGV[4], job)
          redis.call('HSET', key .. 'claims', job, job + 1 .. ' a' .. job .. ' live 1 - gone')
          redis.call('HSET', key .. 'tokens', 'a' .. job, job)
        end
        redis.call('DEL', key .. 'pending')";
    let jobs = queue.status().progress().await.unwrap().jobs;
    let mut raw = redis.raw().await;
    for start in (0..jobs).step_by(5000) {
        let mut eval = redis::cmd("EVAL");
        eval.arg(script)
            .arg(0)
            .arg(queue.id().as_str())
            .arg(start)
            .arg(jobs.min(start + 5000))
            .arg(deadline);
        eval.exec_async(&mut raw).await.unwrap();
    }
}

#[tokio::test]
async fn a_hundred_thousand_expired_leases_are_requeued_at_once() {
    const JOBS: u32 = 100_000;
    let redis = Redis::start().await;
    let queue = redis.sweep(JOBS).await;
    lease_all(&redis, &queue, 1).await;
    let before = scripts(&redis).await;
    // A claim requeues only 100 of them and does not wait for the rest.
    assert!(matches!(
        queue.worker("w").claim(ClaimToken::random()).await.unwrap(),
        ClaimReply::Job(_)
    ));
    assert_eq!(queue.status().progress().await.unwrap().crashes, 100);
    assert_eq!(
        queue
            .admin()
            .requeue_expired(u64::from(JOBS))
            .await
            .unwrap(),
        u64::from(JOBS) - 100
    );
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (progress.pending, progress.leased, progress.crashes),
        (u64::from(JOBS) - 1, 1, u64::from(JOBS))
    );
    expect_scripts(&redis, before, u64::from(JOBS) / 100).await;
}

#[tokio::test]
async fn the_leases_of_a_hundred_thousand_jobs_are_expired_at_once() {
    const JOBS: u32 = 100_000;
    let redis = Redis::start().await;
    let queue = redis.sweep(JOBS).await;
    let kept = claim(&queue).await;
    lease_all(&redis, &queue, 9_999_999_999_999).await;
    let before = scripts(&redis).await;
    assert_eq!(
        queue.admin().expire_leases(Some("w")).await.unwrap(),
        0,
        "the lease must belong to another worker now: {kept:?}"
    );
    assert_eq!(
        queue.admin().expire_leases(Some("gone")).await.unwrap(),
        u64::from(JOBS)
    );
    assert_eq!(
        queue.admin().expire_leases(None).await.unwrap(),
        0,
        "no lease may be left to expire"
    );
    queue.status().workers().await.unwrap();
    expect_scripts(&redis, before, u64::from(JOBS) / 500).await;
}

#[tokio::test]
async fn two_hundred_thousand_pending_jobs_are_submitted_claimed_and_marked_done() {
    const JOBS: u32 = 200_000;
    let redis = Redis::start().await;
    let before = scripts(&redis).await;
    let queue = redis.client.sweep(&id(1));
    let submission = Submission {
        job_samples: 1,
        samples: u64::from(JOBS),
        ..three_samples_each(JOBS)
    };
    queue.submitter().submit(&submission).await.unwrap();
    let claimed = claim(&queue).await;
    record_all(&queue, &claimed).await;
    queue.worker("w").complete(&claimed.lease).await.unwrap();
    assert_eq!(lines(&queue).await.len(), 1);
    let done: Vec<u64> = (1..u64::from(JOBS) - 5).collect();
    queue.collector("me").mark_done(&done).await.unwrap();
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (progress.pending, progress.completed),
        (5, u64::from(JOBS) - 5)
    );
    assert_eq!(
        claim(&queue).await.first_slot,
        u64::from(JOBS) - 5,
        "jobs must be claimed in order"
    );
    expect_scripts(&redis, before, 3 * u64::from(JOBS) / 10_000).await;
}
