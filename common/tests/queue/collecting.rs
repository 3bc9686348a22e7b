//! Tests collecting: results leave Redis through one collector at a time.

use std::time::Duration;

use ddrs_common::queue::{CollectorLock, QueueError};

use crate::support::{Redis, claim, eventually, id, lines, record_all};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn results_are_read_in_order_and_a_trimmed_one_is_never_read_again() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    record_all(&queue, &claim(&queue).await).await;
    let two = queue.collector("me").records(None, 2).await.unwrap();
    assert_eq!(
        two.iter()
            .map(|(_, line)| line.as_str())
            .collect::<Vec<_>>(),
        ["record 0", "record 1"]
    );
    let rest = queue
        .collector("me")
        .records(Some(two[1].0), 2)
        .await
        .unwrap();
    assert_eq!(
        rest.iter()
            .map(|(_, line)| line.as_str())
            .collect::<Vec<_>>(),
        ["record 2"]
    );

    queue.collector("me").lock(MINUTE).await.unwrap();
    for _ in 0..2 {
        assert!(
            queue
                .collector("me")
                .trim("host:/out", two[1].0)
                .await
                .unwrap()
        );
        assert_eq!(lines(&queue).await, ["record 2"]);
    }
    assert_eq!(queue.status().progress().await.unwrap().uncollected, 1);
    let CollectorLock::Held { collected_into } = queue.collector("me").lock(MINUTE).await.unwrap()
    else {
        panic!("the lock must belong to this collector")
    };
    assert_eq!(collected_into.as_deref(), Some("host:/out"));
}

#[tokio::test]
async fn one_collector_excludes_another_until_it_unlocks_or_its_lock_expires() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let held = CollectorLock::Held {
        collected_into: None,
    };
    assert_eq!(queue.collector("a").lock(MINUTE).await.unwrap(), held);
    assert_eq!(
        queue.collector("a").lock(MINUTE).await.unwrap(),
        held,
        "the lock must be renewed"
    );
    let CollectorLock::Busy { owner, left } = queue.collector("b").lock(MINUTE).await.unwrap()
    else {
        panic!("the lock must belong to collector a")
    };
    assert!(
        owner == "a" && left <= MINUTE && left > MINUTE / 2,
        "{left:?}"
    );
    queue.collector("b").unlock().await.unwrap();
    assert!(matches!(
        queue.collector("b").lock(MINUTE).await.unwrap(),
        CollectorLock::Busy { .. }
    ));
    queue.collector("a").unlock().await.unwrap();
    assert_eq!(
        queue
            .collector("b")
            .lock(Duration::from_millis(50))
            .await
            .unwrap(),
        held
    );
    eventually(|| async {
        (queue.collector("a").lock(MINUTE).await.unwrap() == held).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_was_replaced_trims_nothing() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    record_all(&queue, &claim(&queue).await).await;
    queue.collector("a").lock(MINUTE).await.unwrap();
    let read = queue.collector("me").records(None, 10).await.unwrap();
    queue.collector("a").unlock().await.unwrap();
    queue.collector("b").lock(MINUTE).await.unwrap();
    assert!(
        !queue
            .collector("a")
            .trim("a:/out", read[2].0)
            .await
            .unwrap()
    );
    assert_eq!(lines(&queue).await.len(), 3);
}

#[tokio::test]
async fn only_sweeps_that_exist_can_be_locked() {
    let redis = Redis::start().await;
    let error = redis
        .client
        .sweep(&id(9))
        .collector("a")
        .lock(MINUTE)
        .await
        .unwrap_err();
    assert!(matches!(error, QueueError::NoSweep(_)), "{error}");
}
