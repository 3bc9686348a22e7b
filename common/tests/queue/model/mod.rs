//! Runs random sequences of all operations on a sweep, with the scripts and with a reference model
//! in memory. After each step the replies and the contents of Redis must equal those of the model.

mod reference;
mod snapshot;

use std::time::Duration;

use ddrs_common::domain::SweepId;
use ddrs_common::queue::{ClaimToken, CollectorLock, Lease, QueueClient, Submission, SweepQueue};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::aio::MultiplexedConnection;

use crate::support::Redis;
use reference::{JOB_SAMPLES, JOBS, LEASE, ReferenceQueue};
use snapshot::Snapshot;

const WORKERS: [&str; 2] = ["w", "v"];

/// An operation. Numbers select one of the leases handed out so far, live or not, so stale workers
/// act as often as others.
#[derive(Debug, Clone)]
enum QueueStep {
    /// A claim by one of two workers.
    Claim(usize),
    ClaimAgain(usize),
    Record(usize, u64),
    Complete(usize),
    Renew(usize),
    Release(usize),
    Fail(usize),
    /// The expiry of one lease.
    ExpireLease(usize),
    RequeueExpired(u64),
    Retry,
    Cancel,
    /// A submission with this number of attempts per job.
    Submit(u32),
    MarkDone(u64),
    Reopen(u64),
    Collect,
    Deregister(usize),
    FlushScripts,
}

fn step() -> impl Strategy<Value = QueueStep> {
    let lease = 0..20_usize;
    let slot = 0..u64::from(JOBS) * JOB_SAMPLES;
    prop_oneof![
        8 => (0..WORKERS.len()).prop_map(QueueStep::Claim),
        2 => lease.clone().prop_map(QueueStep::ClaimAgain),
        12 => (lease.clone(), 0..JOB_SAMPLES)
            .prop_map(|(lease, place)| QueueStep::Record(lease, place)),
        5 => lease.clone().prop_map(QueueStep::Complete),
        2 => lease.clone().prop_map(QueueStep::Renew),
        2 => lease.clone().prop_map(QueueStep::Release),
        2 => lease.clone().prop_map(QueueStep::Fail),
        5 => lease.prop_map(QueueStep::ExpireLease),
        3 => (1..4_u64).prop_map(QueueStep::RequeueExpired),
        1 => Just(QueueStep::Retry),
        1 => Just(QueueStep::Cancel),
        2 => (1..4_u32).prop_map(QueueStep::Submit),
        1 => slot.clone().prop_map(QueueStep::MarkDone),
        1 => slot.prop_map(QueueStep::Reopen),
        2 => Just(QueueStep::Collect),
        1 => (0..WORKERS.len()).prop_map(QueueStep::Deregister),
        1 => Just(QueueStep::FlushScripts),
    ]
}

/// A sweep in Redis and its reference model.
struct Pair {
    queue: SweepQueue,
    raw: MultiplexedConnection,
    model: ReferenceQueue,
    leases: Vec<Lease>,
    expirations: u32,
}

impl Pair {
    async fn new(client: &QueueClient, raw: MultiplexedConnection, id: SweepId) -> Self {
        let pair = Self {
            queue: client.sweep(&id),
            raw,
            model: ReferenceQueue::default(),
            leases: Vec::new(),
            expirations: 0,
        };
        pair.queue
            .submitter()
            .submit(&submission(pair.model.max_attempts))
            .await
            .unwrap();
        pair
    }

    fn lease(&self, pick: usize) -> Option<Lease> {
        (!self.leases.is_empty()).then(|| self.leases[pick % self.leases.len()])
    }

    async fn take(&mut self, step: &QueueStep) {
        match *step {
            QueueStep::Claim(worker) => self.claim(WORKERS[worker], ClaimToken::random()).await,
            QueueStep::ClaimAgain(pick) => {
                if let Some(lease) = self.lease(pick) {
                    self.claim(WORKERS[0], lease.token).await;
                }
            }
            QueueStep::RequeueExpired(limit) => {
                assert_eq!(
                    self.queue.admin().requeue_expired(limit).await.unwrap(),
                    self.model.requeue_expired(limit as usize)
                );
            }
            QueueStep::Retry => assert_eq!(
                self.queue.admin().retry().await.unwrap(),
                self.model.retry()
            ),
            QueueStep::Cancel => {
                self.queue.admin().cancel().await.unwrap();
                self.model.cancelled = true;
            }
            QueueStep::Submit(max_attempts) => {
                self.queue
                    .submitter()
                    .submit(&submission(max_attempts))
                    .await
                    .unwrap();
                self.model.cancelled = false;
                self.model.max_attempts = max_attempts;
            }
            QueueStep::MarkDone(slot) => {
                self.queue.collector("me").mark_done(&[slot]).await.unwrap();
                self.model.mark_done(slot);
            }
            QueueStep::Reopen(slot) => assert_eq!(
                self.queue.collector("me").reopen(&[slot]).await.unwrap(),
                self.model.reopen(slot)
            ),
            QueueStep::Collect => self.collect().await,
            QueueStep::Deregister(worker) => {
                self.queue
                    .worker(WORKERS[worker])
                    .deregister()
                    .await
                    .unwrap();
                self.model.seen.remove(WORKERS[worker]);
            }
            QueueStep::FlushScripts => redis::cmd("SCRIPT")
                .arg("FLUSH")
                .exec_async(&mut self.raw)
                .await
                .unwrap(),
            _ => self.work(step).await,
        }
    }

    async fn claim(&mut self, worker: &'static str, token: ClaimToken) {
        let claim = self.queue.worker(worker).claim(token).await.unwrap();
        assert_eq!(claim, self.model.claim(worker, token));
        if let ddrs_common::queue::ClaimReply::Job(claimed) = claim {
            self.leases.push(claimed.lease);
        }
    }

    /// Applies an operation of a worker on a lease.
    async fn work(&mut self, step: &QueueStep) {
        let (QueueStep::Record(pick, _)
        | QueueStep::Complete(pick)
        | QueueStep::Renew(pick)
        | QueueStep::Release(pick)
        | QueueStep::Fail(pick)
        | QueueStep::ExpireLease(pick)) = *step
        else {
            unreachable!("the other steps are handled by `take`")
        };
        let Some(lease) = self.lease(pick) else {
            return;
        };
        let queue = &self.queue;
        let model = &mut self.model;
        match *step {
            QueueStep::Record(_, place) => {
                let slot = u64::from(lease.job.0) * JOB_SAMPLES + place;
                let line = format!("{slot} by {}", lease.fence.0);
                assert_eq!(
                    queue.worker("w").record(&lease, slot, &line).await.unwrap(),
                    model.record(&lease, slot, line)
                );
            }
            QueueStep::Complete(_) => assert_eq!(
                queue.worker("w").complete(&lease).await.unwrap(),
                model.complete(&lease)
            ),
            QueueStep::Renew(_) => assert_eq!(
                queue.worker("w").renew(&lease).await.unwrap(),
                model.renew(&lease)
            ),
            QueueStep::Release(_) => {
                assert_eq!(
                    queue.worker("w").release(&lease).await.unwrap(),
                    model.release(&lease)
                );
            }
            QueueStep::Fail(_) => assert_eq!(
                queue.worker("w").fail(&lease, "an error").await.unwrap(),
                model.fail(&lease)
            ),
            _ => {
                // The deadlines are long past, in the order of their expiry.
                self.expirations += 1;
                let key = format!("ddrs:{{{}}}:leases", queue.id());
                let mut command = redis::cmd("ZADD");
                command
                    .arg(key)
                    .arg("XX")
                    .arg(self.expirations)
                    .arg(lease.job.0);
                command.exec_async(&mut self.raw).await.unwrap();
                model.expire_lease(lease.job.0);
            }
        }
    }

    async fn collect(&mut self) {
        let lock = self
            .queue
            .collector("me")
            .lock(Duration::from_secs(60))
            .await
            .unwrap();
        assert!(matches!(lock, CollectorLock::Held { .. }));
        let results = self
            .queue
            .collector("me")
            .records(None, 1000)
            .await
            .unwrap();
        if let Some((last, _)) = results.last() {
            assert!(
                self.queue
                    .collector("me")
                    .trim("here", *last)
                    .await
                    .unwrap()
            );
        }
        assert!(
            results
                .into_iter()
                .map(|(_, line)| line)
                .eq(self.model.uncollected.drain(..))
        );
    }

    async fn check(&mut self) {
        let found = Snapshot::take(&mut self.raw, self.queue.id()).await;
        found.check_invariants();
        found.check_against(&self.model);
    }
}

fn submission(max_attempts: u32) -> Submission<'static> {
    Submission {
        spec: "{}",
        jobs: JOBS,
        samples: u64::from(JOBS) * JOB_SAMPLES,
        variants: 1,
        job_samples: JOB_SAMPLES,
        lease: LEASE,
        max_attempts,
    }
}

#[test]
fn the_scripts_agree_with_the_model_for_every_order_of_operations() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let redis = runtime.block_on(Redis::start());
    let cases = std::cell::Cell::new(0_u64);
    let config = Config {
        cases: 96,
        failure_persistence: None,
        ..Config::default()
    };
    let steps = proptest::collection::vec((step(), prop::bool::weighted(0.2)), 1..120);
    let result = TestRunner::new(config).run(&steps, |steps| {
        cases.set(cases.get() + 1);
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&cases.get().to_be_bytes());
        runtime.block_on(async {
            let mut pair = Pair::new(
                &redis.client,
                redis.raw().await,
                SweepId::from_digest(&digest),
            )
            .await;
            for (step, delivered_twice) in &steps {
                for _ in 0..=u8::from(*delivered_twice) {
                    pair.take(step).await;
                    pair.check().await;
                }
            }
            pair.queue.admin().delete().await.unwrap();
        });
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
