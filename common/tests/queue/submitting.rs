//! Tests submitting, resuming and reopening sweeps.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use ddrs_common::architecture::NetworkOptions;
use ddrs_common::domain::{Alpha, Choice, JobId, Radii, Selection, Sigma};
use ddrs_common::plan::Plan;
use ddrs_common::queue::{QueueError, Submission, Submitted, SweepQueue, SweepState};
use ddrs_common::spec::{
    CertifySpec, DataDependentSpec, DatasetFormat, DatasetSpec, ModelSource, ModelSpec, Precision,
    QueueSpec, ReportSpec, SigmaMethod, SmoothingSpec, Stopping, Sweep,
};

use crate::support::{Redis, claim, id, lines, record_all, three_samples_each};

async fn pending(redis: &Redis, queue: &SweepQueue) -> Vec<u32> {
    let key = format!("ddrs:{{{}}}:pending", queue.id());
    redis::cmd("LRANGE")
        .arg(key)
        .arg(0)
        .arg(-1)
        .query_async(&mut redis.raw().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_sweep_is_created_once_and_found_after_that() {
    let redis = Redis::start().await;
    let queue = redis.client.sweep(&id(1));
    let submission = Submission {
        spec: "the first",
        ..three_samples_each(12_500)
    };
    assert_eq!(
        queue.submitter().submit(&submission).await.unwrap(),
        Submitted::Created
    );
    let again = Submission {
        spec: "the second",
        ..submission
    };
    assert_eq!(
        queue.submitter().submit(&again).await.unwrap(),
        Submitted::Existing {
            state: SweepState::Active
        }
    );
    assert_eq!(
        queue.spec().await.unwrap().as_deref(),
        Some("the second"),
        "the new specification may name moved files"
    );
    let other_job_size = Submission {
        spec: "the third",
        job_samples: 4,
        ..submission
    };
    assert_eq!(
        queue.submitter().submit(&other_job_size).await.unwrap(),
        Submitted::Existing {
            state: SweepState::Active
        }
    );
    assert_eq!(
        queue.spec().await.unwrap().as_deref(),
        Some("the second"),
        "job numbers must keep their meaning"
    );
    assert_eq!(
        pending(&redis, &queue).await,
        (0..12_500).collect::<Vec<_>>()
    );
    assert_eq!(redis.client.sweeps().await.unwrap(), [id(1)]);
}

#[tokio::test]
async fn a_job_that_a_crash_removed_from_every_list_is_requeued_and_no_other() {
    let redis = Redis::start().await;
    let queue = redis.sweep(6).await;
    let completed = claim(&queue).await;
    record_all(&queue, &completed).await;
    queue.worker("w").complete(&completed.lease).await.unwrap();
    let leased = claim(&queue).await;
    let dead = claim(&queue).await;
    queue.worker("w").fail(&dead.lease, "broken").await.unwrap();
    assert_eq!(queue.collector("me").requeue_orphans().await.unwrap(), 0);

    // The first half of a claim: the job has left the list and has a token, but no lease.
    let mut raw = redis.raw().await;
    let key = |name: &str| format!("ddrs:{{{}}}:{name}", queue.id());
    let job: u32 = redis::cmd("LPOP")
        .arg(key("pending"))
        .query_async(&mut raw)
        .await
        .unwrap();
    let token = "0123456789abcdef";
    redis::cmd("HSET")
        .arg(key("tokens"))
        .arg(token)
        .arg(job)
        .exec_async(&mut raw)
        .await
        .unwrap();
    let before = pending(&redis, &queue).await;
    assert_eq!(queue.collector("me").requeue_orphans().await.unwrap(), 1);
    assert_eq!(pending(&redis, &queue).await, [before, vec![job]].concat());
    let tokens: Vec<String> = redis::cmd("HKEYS")
        .arg(key("tokens"))
        .query_async(&mut raw)
        .await
        .unwrap();
    assert_eq!(
        tokens,
        [leased.lease.token.to_string()],
        "a token without a lease must be removed"
    );
    assert_eq!(queue.collector("me").requeue_orphans().await.unwrap(), 0);
}

#[tokio::test]
async fn two_submissions_at_once_add_each_job_once() {
    let redis = Redis::start().await;
    // The submissions use separate connections, and have more jobs than one script plans.
    let other = ddrs_common::queue::QueueClient::connect(&redis.server.url())
        .await
        .unwrap();
    let queue = redis.client.sweep(&id(1));
    let a = queue.submitter();
    let b = other.sweep(&id(1)).submitter();
    let submission = three_samples_each(120_000);
    let (first, second) = tokio::join!(a.submit(&submission), b.submit(&submission));
    let existing = Submitted::Existing {
        state: SweepState::Active,
    };
    assert!(
        [first.unwrap(), second.unwrap()]
            .into_iter()
            .filter(|&got| got == existing)
            .count()
            == 1
    );
    assert_eq!(
        pending(&redis, &queue).await,
        (0..120_000).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_submission_that_was_killed_can_be_resumed() {
    let redis = Redis::start().await;
    let queue = redis.sweep(100).await;
    let meta = format!("ddrs:{{{}}}:meta", queue.id());
    let mut half = redis::pipe();
    half.cmd("LTRIM")
        .arg(format!("ddrs:{{{}}}:pending", queue.id()))
        .arg(0)
        .arg(39);
    half.cmd("HSET").arg(meta).arg("planned").arg(40);
    let () = half.query_async(&mut redis.raw().await).await.unwrap();
    assert_eq!(
        queue.status().progress().await.unwrap().pending,
        100,
        "jobs that are not planned yet must count as pending"
    );

    queue
        .submitter()
        .submit(&three_samples_each(100))
        .await
        .unwrap();
    assert_eq!(pending(&redis, &queue).await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_submission_without_memory_in_redis_fails_clearly_and_can_be_repeated() {
    let redis = Redis::start().await;
    let mut raw = redis.raw().await;
    let mut limit = async |bytes: u64| {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory")
            .arg(bytes)
            .exec_async(&mut raw)
            .await
            .unwrap();
    };
    let queue = redis.client.sweep(&id(1));
    let impatient = queue.with_patience(Duration::ZERO);
    limit(1).await;
    let refused = impatient
        .submitter()
        .submit(&three_samples_each(100))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("OOM") && refused.contains("raise its `maxmemory`"),
        "{refused}"
    );
    assert_eq!(
        redis.client.sweeps().await.unwrap(),
        [],
        "the refused submission must leave no sweep"
    );

    // Memory ran out after the sweep was created, but before all its jobs were planned.
    limit(0).await;
    queue
        .submitter()
        .submit(&three_samples_each(100))
        .await
        .unwrap();
    let mut half = redis::pipe();
    half.cmd("LTRIM")
        .arg(format!("ddrs:{{{}}}:pending", queue.id()))
        .arg(0)
        .arg(39);
    half.cmd("HSET")
        .arg(format!("ddrs:{{{}}}:meta", queue.id()))
        .arg("planned")
        .arg(40);
    let () = half.query_async(&mut redis.raw().await).await.unwrap();
    limit(1).await;
    assert!(
        impatient
            .submitter()
            .submit(&three_samples_each(100))
            .await
            .is_err()
    );
    limit(0).await;
    queue
        .submitter()
        .submit(&three_samples_each(100))
        .await
        .unwrap();
    assert_eq!(pending(&redis, &queue).await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_sweep_during_its_submission_is_not_finished() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let meta = format!("ddrs:{{{}}}:meta", queue.id());
    let mut unplanned = redis::pipe();
    unplanned
        .cmd("DEL")
        .arg(format!("ddrs:{{{}}}:pending", queue.id()));
    unplanned.cmd("HSET").arg(meta).arg("planned").arg(0);
    let () = unplanned.query_async(&mut redis.raw().await).await.unwrap();
    let claim = queue
        .worker("w")
        .claim(ddrs_common::queue::ClaimToken::random())
        .await
        .unwrap();
    assert_eq!(claim, ddrs_common::queue::ClaimReply::Empty);
}

#[tokio::test]
async fn submitting_a_cancelled_sweep_reactivates_it_with_the_new_lease() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    queue.admin().cancel().await.unwrap();
    let again = Submission {
        lease: Duration::from_secs(5),
        ..three_samples_each(1)
    };
    assert_eq!(
        queue.submitter().submit(&again).await.unwrap(),
        Submitted::Existing {
            state: SweepState::Cancelled
        }
    );
    assert_eq!(claim(&queue).await.lasts, Duration::from_secs(5));
}

#[tokio::test]
async fn the_same_id_with_another_plan_is_refused() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let refused = queue
        .submitter()
        .submit(&three_samples_each(3))
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            QueueError::OtherPlan {
                theirs: 6,
                ours: 9,
                ..
            }
        ),
        "{refused}"
    );
    let huge = Submission {
        variants: u64::MAX,
        ..three_samples_each(3)
    };
    assert!(matches!(
        queue.submitter().submit(&huge).await.unwrap_err(),
        QueueError::TooManySlots(_)
    ));
}

#[tokio::test]
async fn samples_with_records_on_disk_are_not_done_again() {
    let redis = Redis::start().await;
    let queue = redis.sweep(12_000).await;
    let on_disk: Vec<u64> = (0..30_000).chain([35_999, 30_001]).collect();
    queue.collector("me").mark_done(&on_disk).await.unwrap();
    queue.collector("me").mark_done(&on_disk).await.unwrap();
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (
            progress.done,
            progress.completed,
            progress.pending,
            progress.uncollected
        ),
        (30_002, 10_000, 2_000, 0)
    );
    let left = pending(&redis, &queue).await;
    assert_eq!(
        left,
        (10_000..12_000).collect::<Vec<_>>(),
        "jobs must stay in order"
    );
    assert_eq!(claim(&queue).await.done, [1]);
    assert!(
        queue
            .collector("me")
            .mark_done(&[36_000])
            .await
            .unwrap_err()
            .to_string()
            .contains("no slot 36000")
    );
}

#[tokio::test]
async fn a_dead_job_whose_records_are_found_is_completed() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    for _ in 0..2 {
        queue
            .worker("w")
            .fail(&claim(&queue).await.lease, "broken")
            .await
            .unwrap();
    }
    queue.collector("me").mark_done(&[0, 1]).await.unwrap();
    assert_eq!(queue.status().progress().await.unwrap().dead, 1);
    queue.collector("me").mark_done(&[2]).await.unwrap();
    let progress = queue.status().progress().await.unwrap();
    assert_eq!((progress.dead, progress.completed), (0, 1));
}

#[tokio::test]
async fn samples_with_lost_records_are_done_again() {
    let redis = Redis::start().await;
    let queue = redis.sweep(3).await;
    let complete = claim(&queue).await;
    let partial = claim(&queue).await;
    record_all(&queue, &complete).await;
    queue.worker("w").complete(&complete.lease).await.unwrap();
    queue
        .worker("w")
        .record(&partial.lease, 3, "three")
        .await
        .unwrap();
    assert_eq!(
        queue
            .status()
            .done_bits()
            .await
            .unwrap()
            .iter()
            .collect::<BTreeSet<_>>(),
        BTreeSet::from([0, 1, 2, 3])
    );

    assert_eq!(
        queue.collector("me").reopen(&[0, 2, 3, 8]).await.unwrap(),
        3,
        "slot 8 was not done before"
    );
    assert_eq!(
        queue.collector("me").reopen(&[0, 2, 3, 8]).await.unwrap(),
        0
    );
    assert_eq!(
        pending(&redis, &queue).await,
        [2, 0],
        "the completed job must be pending again, the leased one must stay"
    );
    claim(&queue).await;
    assert_eq!(claim(&queue).await.done, [1]);
    assert_eq!(lines(&queue).await.len(), 4);
}

/// Returns a sweep with these counts. The plan depends on nothing else.
fn sweep(samples: u64, variants: usize, job_samples: u64) -> Sweep {
    let one = NonZeroU64::MIN;
    let sigma: Vec<Sigma> = (1..=variants)
        .map(|n| Sigma::new(n as f64).unwrap())
        .collect();
    Sweep {
        name: "s".into(),
        seed: 1,
        dataset: DatasetSpec {
            selection: Selection {
                limit: NonZeroU64::new(samples),
                ..Selection::ALL
            },
            ..DatasetSpec::whole(DatasetFormat::Cifar10, "d".as_ref())
        },
        models: vec![ModelSpec {
            name: "m".into(),
            path: "m.pt".into(),
            source: ModelSource::TorchScript,
            weights: None,
            classes: 10,
            mean: None,
            std: None,
            precision: Precision::Fp32,
            options: NetworkOptions::default(),
        }],
        smoothing: SmoothingSpec {
            data_dependent: DataDependentSpec {
                method: SigmaMethod::Gradient,
                iterations: 1,
                draws: 1,
                learning_rate: 1.0,
                clamp: 0.02,
                range: (sigma[0], sigma[0]),
            },
            selected: None,
            file: None,
            sigma,
            choice: vec![Choice::Fixed],
        },
        certify: CertifySpec {
            n0: one,
            n: one,
            alpha: Alpha::new(0.001).unwrap(),
            chunk: one,
            memory: false,
            stopping: Stopping::Fixed,
            bound: ddrs_common::spec::BoundRule::OneClass,
        },
        queue: QueueSpec {
            job_samples: NonZeroU64::new(job_samples).unwrap(),
            lease: Duration::from_secs(60),
            max_attempts: 5,
        },
        report: ReportSpec {
            radii: Radii::new(&[0.0]).unwrap(),
        },
    }
}

#[tokio::test]
async fn the_scripts_divide_samples_into_jobs_as_the_plan_does() {
    let redis = Redis::start().await;
    let shapes = [
        (1, 1, 1),
        (10, 1, 3),
        (7, 3, 2),
        (5, 2, 100),
        (12, 2, 4),
        (9, 4, 1),
        (31, 3, 8),
        (2, 5, 3),
    ];
    for (number, (samples, variants, job_samples)) in shapes.into_iter().enumerate() {
        let plan = Plan::new(&sweep(samples, variants, job_samples), samples).unwrap();
        let queue = redis.client.sweep(&id(number as u8));
        let submission = Submission {
            jobs: plan.jobs(),
            samples: plan.samples(),
            variants: variants as u64,
            job_samples,
            ..three_samples_each(1)
        };
        queue.submitter().submit(&submission).await.unwrap();
        let done: Vec<u64> = (0..plan.slots()).filter(|slot| slot * 7 % 3 == 1).collect();
        queue.collector("me").mark_done(&done).await.unwrap();
        for number in 0..plan.jobs() {
            let job = plan.job(JobId(number)).unwrap();
            let slots: Vec<u64> = job
                .positions
                .map(|position| plan.slot(job.variant, position))
                .collect();
            let status = queue.status().job(job.id).await.unwrap();
            assert_eq!(
                (status.first_slot, status.samples),
                (slots[0], slots.len() as u64),
                "{plan:?} job {number}"
            );
            let missing: Vec<u64> = slots
                .iter()
                .filter(|slot| !done.contains(slot))
                .map(|slot| slot - slots[0])
                .collect();
            assert_eq!(status.missing, missing);
            assert!(slots.iter().all(|&slot| plan.job_of(slot) == job.id));
            queue.collector("me").reopen(&slots).await.unwrap();
            assert_eq!(
                queue.status().job(job.id).await.unwrap().missing.len(),
                slots.len()
            );
        }
    }
}
