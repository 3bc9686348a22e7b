//! Tests poison samples, which kill their workers. The queue must find and give up these samples
//! and no others.

use ddrs_common::domain::JobId;
use ddrs_common::queue::{
    ClaimReply, ClaimToken, Claimed, CompleteReply, CrashSuspect, EventKind, JobState, RecordReply,
    RenewReply, Submission, SweepQueue,
};

use crate::support::{Redis, claim, claim_and_crash, id, lines, three_samples_each};

/// Submits a sweep of one job with three samples.
async fn one_job(redis: &Redis, max_attempts: u32) -> SweepQueue {
    let queue = redis.client.sweep(&id(1));
    queue
        .submitter()
        .submit(&Submission {
            max_attempts,
            ..three_samples_each(1)
        })
        .await
        .unwrap();
    queue
}

/// Works on a sweep whose `poison` slots kill their worker. Each worker does the samples in the
/// order that the queue assigns. Returns the number of workers until the sweep was finished.
async fn work_until_finished(redis: &Redis, queue: &SweepQueue, poison: &[u64]) -> u32 {
    let mut workers = 1;
    while let ClaimReply::Job(claimed) =
        queue.worker("w").claim(ClaimToken::random()).await.unwrap()
    {
        if !survives(queue, &claimed, poison).await {
            workers += 1;
            redis.expire_lease(&claimed, queue).await;
        }
    }
    workers
}

async fn survives(queue: &SweepQueue, claimed: &Claimed, poison: &[u64]) -> bool {
    let mut todo = claimed.todo.clone();
    loop {
        for place in todo {
            let slot = claimed.first_slot + place;
            if poison.contains(&slot) {
                return false;
            }
            let stored = queue
                .worker("w")
                .record(&claimed.lease, slot, &format!("record {slot}"))
                .await
                .unwrap();
            assert_eq!(stored, RecordReply::Stored);
        }
        match queue.worker("w").complete(&claimed.lease).await.unwrap() {
            CompleteReply::Continue { todo: next } => todo = next,
            CompleteReply::Completed | CompleteReply::GivenUp => return true,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_sample_that_kills_every_worker_is_the_only_dead_one() {
    for (max_attempts, workers_lost) in [(1, 2), (2, 2), (3, 3), (5, 5)] {
        let redis = Redis::start().await;
        let queue = one_job(&redis, max_attempts).await;
        let workers = work_until_finished(&redis, &queue, &[1]).await;
        assert_eq!(
            workers,
            workers_lost + 1,
            "at least the last of {max_attempts} attempts must run the sample alone"
        );
        assert_eq!(lines(&queue).await, ["record 0", "record 2"]);
        let dead = queue.status().dead_jobs().await.unwrap();
        assert_eq!(
            (
                dead.len(),
                dead[0].missing,
                dead[0].next_slot,
                dead[0].crashes
            ),
            (1, 1, 1, workers_lost)
        );
        // The first worker had all samples assigned, so its loss is charged to none of them.
        assert_eq!(
            dead[0].crash_suspects,
            [CrashSuspect {
                slot: 1,
                crashes: workers_lost - 1
            }]
        );
        // With at most two attempts the other samples are done after the last loss, else before it.
        let reasons = [
            "nothing else is left of the job; w did the rest",
            "its worker was lost; the last was w",
        ];
        assert_eq!(
            dead[0].reason,
            reasons[usize::from(max_attempts > 2)],
            "{max_attempts} attempts"
        );
    }
}

#[tokio::test]
async fn several_poison_samples_are_distinguished() {
    let redis = Redis::start().await;
    let queue = one_job(&redis, 3).await;
    work_until_finished(&redis, &queue, &[0, 2]).await;
    assert_eq!(lines(&queue).await, ["record 1"]);
    let dead = queue.status().dead_jobs().await.unwrap();
    assert_eq!(
        dead[0].crash_suspects,
        [
            CrashSuspect {
                slot: 0,
                crashes: 2
            },
            CrashSuspect {
                slot: 2,
                crashes: 2
            }
        ]
    );
}

#[tokio::test]
async fn a_job_with_only_poison_samples_becomes_dead() {
    let redis = Redis::start().await;
    let queue = one_job(&redis, 2).await;
    let workers = work_until_finished(&redis, &queue, &[0, 1, 2]).await;
    assert_eq!(
        workers, 5,
        "one worker with all three samples, three with one sample, one at the end"
    );
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (
            progress.dead,
            progress.done,
            progress.crashes,
            progress.errors
        ),
        (1, 0, 4, 0)
    );
}

#[tokio::test]
async fn a_job_of_one_sample_needs_no_isolation() {
    let redis = Redis::start().await;
    let queue = redis.client.sweep(&id(1));
    queue
        .submitter()
        .submit(&Submission {
            samples: 1,
            job_samples: 1,
            max_attempts: 1,
            ..three_samples_each(1)
        })
        .await
        .unwrap();
    assert_eq!(work_until_finished(&redis, &queue, &[0]).await, 2);
    assert_eq!(
        queue.status().dead_jobs().await.unwrap()[0].crash_suspects,
        [CrashSuspect {
            slot: 0,
            crashes: 1
        }]
    );
}

#[tokio::test]
async fn after_a_crash_a_job_continues_sample_by_sample_with_suspects_last() {
    let redis = Redis::start().await;
    let queue = one_job(&redis, 5).await;
    assert_eq!(claim_and_crash(&redis, &queue).await.todo, [0, 1, 2]);
    assert_eq!(claim_and_crash(&redis, &queue).await.todo, [0]);
    let claimed = claim(&queue).await;
    assert_eq!(claimed.todo, [1], "sample 0 must be a suspect now");
    let JobState::Leased { isolated, .. } = queue.status().job(JobId(0)).await.unwrap().state
    else {
        panic!("the job must be leased")
    };
    assert_eq!(isolated, Some(1));
    queue
        .worker("w")
        .record(&claimed.lease, 1, "one")
        .await
        .unwrap();
    for _ in 0..2 {
        let next = queue.worker("w").complete(&claimed.lease).await.unwrap();
        assert_eq!(
            next,
            CompleteReply::Continue { todo: vec![2] },
            "a repeated call must give the same answer"
        );
    }
    queue
        .worker("w")
        .record(&claimed.lease, 2, "two")
        .await
        .unwrap();
    assert_eq!(
        queue.worker("w").complete(&claimed.lease).await.unwrap(),
        CompleteReply::Continue { todo: vec![0] }
    );
    let status = queue.status().job(JobId(0)).await.unwrap();
    assert_eq!(
        (status.crashes, status.crash_suspects),
        (
            2,
            vec![CrashSuspect {
                slot: 0,
                crashes: 1
            }]
        )
    );
    let trail = queue.status().job_events(JobId(0)).await.unwrap();
    assert_eq!(
        trail
            .iter()
            .map(|event| (event.kind, event.detail.as_str()))
            .collect::<Vec<_>>(),
        [
            (EventKind::Lapsed, ""),
            (EventKind::Lapsed, "at work on sample 0 of the job alone")
        ]
    );
    // Sample 0 succeeds and is no suspect any more.
    queue
        .worker("w")
        .record(&claimed.lease, 0, "zero")
        .await
        .unwrap();
    assert_eq!(
        queue.worker("w").complete(&claimed.lease).await.unwrap(),
        CompleteReply::Completed
    );
    assert!(
        queue
            .status()
            .job(JobId(0))
            .await
            .unwrap()
            .crash_suspects
            .is_empty()
    );
}

#[tokio::test]
async fn a_worker_lost_between_two_samples_is_charged_to_neither() {
    let redis = Redis::start().await;
    let queue = one_job(&redis, 5).await;
    claim_and_crash(&redis, &queue).await;
    let claimed = claim(&queue).await;
    queue
        .worker("w")
        .record(&claimed.lease, 0, "zero")
        .await
        .unwrap();
    redis.expire_lease(&claimed, &queue).await;
    queue.admin().requeue_expired(10).await.unwrap();
    assert!(
        queue
            .status()
            .job(JobId(0))
            .await
            .unwrap()
            .crash_suspects
            .is_empty()
    );
    assert_eq!(claim(&queue).await.todo, [1]);
}

#[tokio::test]
async fn a_released_job_is_charged_to_no_sample() {
    let redis = Redis::start().await;
    let queue = one_job(&redis, 2).await;
    claim_and_crash(&redis, &queue).await;
    for _ in 0..3 {
        let claimed = claim(&queue).await;
        assert_eq!(
            (claimed.todo.as_slice(), claimed.attempt),
            ([0].as_slice(), 2)
        );
        queue.worker("w").release(&claimed.lease).await.unwrap();
    }
    let status = queue.status().job(JobId(0)).await.unwrap();
    assert_eq!((status.crashes, status.crash_suspects), (1, vec![]));
}

#[tokio::test]
async fn a_retried_job_starts_without_charges() {
    let redis = Redis::start().await;
    let queue = one_job(&redis, 2).await;
    work_until_finished(&redis, &queue, &[1, 2]).await;
    assert_eq!(queue.admin().retry().await.unwrap(), 1);
    let claimed = claim(&queue).await;
    assert_eq!(
        (
            claimed.attempt,
            claimed.todo.as_slice(),
            claimed.done.as_slice()
        ),
        (1, [1, 2].as_slice(), [0].as_slice())
    );
    assert!(
        queue
            .status()
            .job(JobId(0))
            .await
            .unwrap()
            .crash_suspects
            .is_empty()
    );
}

#[tokio::test]
async fn giving_up_is_answered_again_and_leaves_no_lease() {
    let redis = Redis::start().await;
    let queue = one_job(&redis, 2).await;
    claim_and_crash(&redis, &queue).await;
    claim_and_crash(&redis, &queue).await;
    let last = claim(&queue).await;
    for place in [1, 2] {
        queue
            .worker("w")
            .record(&last.lease, place, "fine")
            .await
            .unwrap();
    }
    for _ in 0..2 {
        assert_eq!(
            queue.worker("w").complete(&last.lease).await.unwrap(),
            CompleteReply::GivenUp
        );
    }
    assert_eq!(
        queue.worker("w").renew(&last.lease).await.unwrap(),
        RenewReply::Lost
    );
    let progress = queue.status().progress().await.unwrap();
    assert_eq!(
        (
            progress.dead,
            progress.leased,
            progress.pending,
            progress.done
        ),
        (1, 0, 0, 2)
    );
}

#[tokio::test]
async fn a_long_job_finds_its_next_sample_across_the_end_of_the_bitmap() {
    let redis = Redis::start().await;
    let queue = redis.client.sweep(&id(1));
    queue
        .submitter()
        .submit(&Submission {
            samples: 100,
            job_samples: 100,
            ..three_samples_each(1)
        })
        .await
        .unwrap();
    claim_and_crash(&redis, &queue).await;
    queue
        .collector("me")
        .mark_done(&(0..63).collect::<Vec<_>>())
        .await
        .unwrap();
    let claimed = claim(&queue).await;
    assert_eq!(
        claimed.todo,
        [63],
        "slot 63 is the last bit of the last byte"
    );
    queue
        .worker("w")
        .record(&claimed.lease, 63, "63")
        .await
        .unwrap();
    assert_eq!(
        queue.worker("w").complete(&claimed.lease).await.unwrap(),
        CompleteReply::Continue { todo: vec![64] }
    );
}
