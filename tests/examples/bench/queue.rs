//! The queue: the time to claim, record and complete a job of one sample.

use std::time::{Duration, Instant};

use ddrs_common::domain::SweepId;
use ddrs_common::queue::{
    ClaimReply, ClaimToken, PrivateServer, QueueClient, Submission, SweepQueue,
};
use ddrs_tests::TestDir;

/// Empty jobs that are claimed, recorded and completed.
const JOBS: u32 = 5000;

const SUBMISSION: Submission = Submission {
    spec: "{}",
    jobs: JOBS,
    samples: JOBS as u64,
    variants: 1,
    job_samples: 1,
    lease: Duration::from_secs(60),
    max_attempts: 1,
};

/// Measures and prints the median and the 99th percentile.
pub(crate) async fn measure(dir: &TestDir) {
    println!("\n# queue: claim + record + complete of a job of one sample, local redis, socket");
    let server = PrivateServer::start(&dir.path("redis"))
        .await
        .expect("a redis-server");
    let client = QueueClient::connect(&server.url()).await;
    let queue = client
        .expect("a connection")
        .sweep(&SweepId::from_digest(&[1; 32]));
    let submitted = queue.submitter().submit(&SUBMISSION).await;
    submitted.expect("a submission");
    print_times(time_jobs(&queue).await);
    server.stop().await.expect("a stop");
}

async fn time_jobs(queue: &SweepQueue) -> Vec<Duration> {
    let line = "x".repeat(400);
    let mut times = Vec::new();
    while let Some(time) = time_job(queue, &line).await {
        times.push(time);
    }
    times
}

/// Returns the time of one job; `None` if no job is left.
async fn time_job(queue: &SweepQueue, line: &str) -> Option<Duration> {
    let start = Instant::now();
    let worker = queue.worker("bench");
    let claim = worker.claim(ClaimToken::random()).await;
    let ClaimReply::Job(claimed) = claim.expect("an answer") else {
        return None;
    };
    let slot = claimed.first_slot;
    let recorded = worker.record(&claimed.lease, slot, line).await;
    recorded.expect("an answer");
    let completed = worker.complete(&claimed.lease).await;
    completed.expect("an answer");
    Some(start.elapsed())
}

fn print_times(mut times: Vec<Duration>) {
    times.sort();
    let jobs = times.len();
    let median = milliseconds_at(&times, 0.5);
    let p99 = milliseconds_at(&times, 0.99);
    println!("{jobs} jobs: median {median:.3} ms, p99 {p99:.3} ms");
}

fn milliseconds_at(sorted: &[Duration], share: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * share;
    sorted[place as usize].as_secs_f64() * 1e3
}
