//! Measures the time of a job without samples to certify: `cargo test --release -p ddrs-common
//! --test queue latency -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use ddrs_common::queue::Submission;

use crate::support::{Redis, claim, id, three_samples_each};

#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn latency_of_claim_record_complete() {
    const JOBS: u32 = 10_000;
    let redis = Redis::start().await;
    let queue = redis.client.sweep(&id(1));
    let one_each = Submission {
        samples: u64::from(JOBS),
        job_samples: 1,
        ..three_samples_each(JOBS)
    };
    let start = Instant::now();
    queue.submitter().submit(&one_each).await.unwrap();
    println!("submit of {JOBS} jobs: {:?}", start.elapsed());

    let line = "x".repeat(400);
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..JOBS {
        let start = Instant::now();
        let claimed = claim(&queue).await;
        let claimed_at = Instant::now();
        queue
            .worker("w")
            .record(&claimed.lease, claimed.first_slot, &line)
            .await
            .unwrap();
        let recorded_at = Instant::now();
        queue.worker("w").complete(&claimed.lease).await.unwrap();
        let end = Instant::now();
        let parts = [
            claimed_at - start,
            recorded_at - claimed_at,
            end - recorded_at,
            end - start,
        ];
        times
            .iter_mut()
            .zip(parts)
            .for_each(|(all, one)| all.push(one));
    }
    for (name, mut all) in ["claim", "record", "complete", "all three"]
        .into_iter()
        .zip(times)
    {
        all.sort();
        println!(
            "{name:>9}: median {:?}, p99 {:?}",
            all[all.len() / 2],
            all[all.len() * 99 / 100]
        );
    }
}
