//! A private Redis for each test, and common first steps of the tests.

use std::future::Future;
use std::time::{Duration, Instant};

use ddrs_common::domain::SweepId;
use ddrs_common::queue::{
    ClaimReply, ClaimToken, Claimed, CompleteReply, FailReply, PrivateServer, QueueClient,
    RecordReply, ReleaseReply, RenewReply, Submission, SweepProgress, SweepQueue,
};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// A private server with a client and its folder. All are removed on drop.
pub(crate) struct Redis {
    pub(crate) client: QueueClient,
    pub(crate) server: PrivateServer,
    pub(crate) dir: TempDir,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = PrivateServer::start(dir.path()).await.unwrap();
        let client = QueueClient::connect(&server.url()).await.unwrap();
        Self {
            client,
            server,
            dir,
        }
    }

    /// Opens a connection without the code of the queue.
    pub(crate) async fn raw(&self) -> MultiplexedConnection {
        redis::Client::open(self.server.url())
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .unwrap()
    }

    /// Submits a sweep of `jobs` jobs of three samples.
    pub(crate) async fn sweep(&self, jobs: u32) -> SweepQueue {
        let queue = self.client.sweep(&id(1));
        queue
            .submitter()
            .submit(&three_samples_each(jobs))
            .await
            .unwrap();
        queue
    }

    /// Sets the deadline of a lease to a time in the past.
    pub(crate) async fn expire_lease(&self, claimed: &Claimed, queue: &SweepQueue) {
        let leases = format!("ddrs:{{{}}}:leases", queue.id());
        let mut command = redis::cmd("ZADD");
        command
            .arg(leases)
            .arg("XX")
            .arg("CH")
            .arg(1)
            .arg(claimed.lease.job.0);
        assert_eq!(
            command.query_async::<u32>(&mut self.raw().await).await,
            Ok(1)
        );
    }
}

/// Returns the sweep id for a number.
pub(crate) fn id(number: u8) -> SweepId {
    SweepId::from_digest(&[number; 32])
}

pub(crate) fn three_samples_each(jobs: u32) -> Submission<'static> {
    Submission {
        spec: "{}",
        jobs,
        samples: u64::from(jobs) * 3,
        variants: 1,
        job_samples: 3,
        lease: Duration::from_secs(60),
        max_attempts: 2,
    }
}

/// Claims a job. Panics if there is no job.
pub(crate) async fn claim(queue: &SweepQueue) -> Claimed {
    match queue.worker("w").claim(ClaimToken::random()).await.unwrap() {
        ClaimReply::Job(claimed) => claimed,
        other => panic!("expected a job, got {other:?}"),
    }
}

/// Claims a job, lets its lease expire and requeues the job, as after a crash of the worker.
pub(crate) async fn claim_and_crash(redis: &Redis, queue: &SweepQueue) -> Claimed {
    let claimed = claim(queue).await;
    redis.expire_lease(&claimed, queue).await;
    assert_eq!(queue.admin().requeue_expired(10).await.unwrap(), 1);
    claimed
}

/// Stores a record for each sample of a job that is not done.
pub(crate) async fn record_all(queue: &SweepQueue, claimed: &Claimed) {
    for place in (0..claimed.samples).filter(|place| !claimed.done.contains(place)) {
        let slot = claimed.first_slot + place;
        queue
            .worker("w")
            .record(&claimed.lease, slot, &format!("record {slot}"))
            .await
            .unwrap();
    }
}

/// Returns all records in the stream, in order.
pub(crate) async fn lines(queue: &SweepQueue) -> Vec<String> {
    queue
        .collector("me")
        .records(None, 1_000_000)
        .await
        .unwrap()
        .into_iter()
        .map(|(_, line)| line)
        .collect()
}

/// Calls `look` repeatedly until it returns a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "the condition did not hold within 20 s"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Expects every write of a lost lease to be refused, and to change nothing.
pub(crate) async fn expect_lost(queue: &SweepQueue, old: &Claimed) {
    let before = lines(queue).await;
    let counted = counts(queue).await;
    assert_eq!(
        queue
            .worker("w")
            .record(&old.lease, old.first_slot, "late")
            .await
            .unwrap(),
        RecordReply::Lost
    );
    assert_eq!(
        queue.worker("w").renew(&old.lease).await.unwrap(),
        RenewReply::Lost
    );
    assert_eq!(
        queue.worker("w").complete(&old.lease).await.unwrap(),
        CompleteReply::Lost
    );
    assert_eq!(
        queue.worker("w").release(&old.lease).await.unwrap(),
        ReleaseReply::Lost
    );
    assert_eq!(
        queue.worker("w").fail(&old.lease, "late").await.unwrap(),
        FailReply::Lost
    );
    let refused = SweepProgress {
        refused: counted.refused + 5,
        ..counted
    };
    assert_eq!((lines(queue).await, counts(queue).await), (before, refused));
}

/// Returns the progress without its age, which changes with time.
pub(crate) async fn counts(queue: &SweepQueue) -> SweepProgress {
    SweepProgress {
        age: Duration::ZERO,
        ..queue.status().progress().await.unwrap()
    }
}
