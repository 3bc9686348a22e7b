//! Tests a server that is killed, loses its scripts, is slow, has no memory left, or is unsuitable.

use std::time::Duration;

use ddrs_common::domain::JobId;
use ddrs_common::queue::{
    ClaimReply, ClaimToken, CompleteReply, FailReply, LastSnapshot, PolicyWatch, PrivateServer,
    QueueClient, QueueError, RecordReply, ReleaseReply, RenewReply, ServerVersion,
};
use redis::AsyncCommands;

use crate::support::{Redis, claim, lines, record_all};

#[tokio::test]
async fn state_survives_a_killed_server_and_requests_wait_for_the_next() {
    let redis = Redis::start().await;
    let queue = redis.sweep(2).await;
    let claimed = claim(&queue).await;
    queue
        .worker("w")
        .record(&claimed.lease, 0, "zero")
        .await
        .unwrap();
    let before = queue.status().progress().await.unwrap();
    redis.server.kill().unwrap();

    // This request is sent while no server runs.
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.worker("w").record(&claimed.lease, 1, "one").await }
    });
    tokio::task::yield_now().await;
    let server = PrivateServer::start(redis.dir.path()).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), RecordReply::Stored);
    let after = queue.status().progress().await.unwrap();
    assert_eq!(
        (after.pending, after.leased, after.done),
        (before.pending, before.leased, before.done + 1)
    );
    assert_eq!(lines(&queue).await, ["zero", "one"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn retries_end_after_the_time_limit() {
    let redis = Redis::start().await;
    let queue = redis
        .sweep(1)
        .await
        .with_patience(Duration::from_millis(100));
    redis.server.kill().unwrap();
    let error = queue.status().progress().await.unwrap_err();
    assert!(matches!(error, QueueError::Request { .. }), "{error}");
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let mut raw = redis.raw().await;
    let mut flush = async || {
        redis::cmd("SCRIPT")
            .arg("FLUSH")
            .exec_async(&mut raw)
            .await
            .unwrap();
    };
    flush().await;
    let claimed = claim(&queue).await;
    flush().await;
    record_all(&queue, &claimed).await;
    flush().await;
    assert_eq!(
        queue.worker("w").complete(&claimed.lease).await.unwrap(),
        CompleteReply::Completed
    );
}

#[tokio::test]
async fn the_queue_waits_for_a_slow_answer() {
    let redis = Redis::start().await;
    let queue = redis.sweep(1).await;
    let claimed = claim(&queue).await;
    let mut raw = redis.raw().await;
    let busy = tokio::spawn(async move {
        // Some versions of Redis stop the clock during a script. Then the count ends the loop.
        let script = "local start, count = redis.call('TIME'), 0 \
                      repeat local now = redis.call('TIME') count = count + 1 \
                      until (now[1] - start[1]) * 1000000 + now[2] - start[2] > 700000 \
                      or count > 2000000";
        // This connection has the default timeout of the library, and the script exceeds it.
        redis::cmd("EVAL")
            .arg(script)
            .arg(0)
            .exec_async(&mut raw)
            .await
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    // A timeout after the library's 500 ms would repeat the request, and the reply would be
    // `Duplicate`.
    assert_eq!(
        queue
            .worker("w")
            .record(&claimed.lease, 0, "zero")
            .await
            .unwrap(),
        RecordReply::Stored
    );
    assert!(busy.await.unwrap().unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_full_server_accepts_no_records_but_keeps_leases_and_can_be_emptied() {
    let redis = Redis::start().await;
    let queue = redis.sweep(4).await;
    let a = claim(&queue).await;
    let b = claim(&queue).await;
    let c = claim(&queue).await;
    record_all(&queue, &a).await;
    let mut raw = redis.raw().await;
    let mut limit = async |bytes: u64| -> String {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory")
            .arg(bytes)
            .query_async(&mut raw)
            .await
            .unwrap()
    };
    limit(1).await;

    let impatient = queue.with_patience(Duration::from_millis(50));
    let full = impatient
        .worker("w")
        .record(&b.lease, b.first_slot, "more")
        .await
        .unwrap_err();
    assert!(full.to_string().contains("OOM"), "{full}");
    assert!(
        impatient
            .worker("w")
            .claim(ClaimToken::random())
            .await
            .is_err()
    );
    assert_eq!(
        queue.worker("w").renew(&b.lease).await.unwrap(),
        RenewReply::Renewed
    );
    assert_eq!(
        queue.worker("w").complete(&a.lease).await.unwrap(),
        CompleteReply::Completed
    );
    assert_eq!(
        queue.worker("w").release(&b.lease).await.unwrap(),
        ReleaseReply::Released
    );
    assert_eq!(
        queue.worker("w").fail(&c.lease, "broken").await.unwrap(),
        FailReply::Requeued
    );
    assert_eq!(queue.status().progress().await.unwrap().done, 3);
    queue
        .collector("me")
        .lock(Duration::from_secs(60))
        .await
        .unwrap();
    let last = queue.collector("me").records(None, 10).await.unwrap()[2].0;
    assert!(queue.collector("me").trim("host:/out", last).await.unwrap());

    // A waiting claim gets its job when memory is free again.
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.worker("w").claim(ClaimToken::random()).await }
    });
    tokio::task::yield_now().await;
    limit(0).await;
    let ClaimReply::Job(claimed) = waiting.await.unwrap().unwrap() else {
        panic!("the claim must return a job")
    };
    assert_eq!(claimed.lease.job, JobId(1));
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_with_the_setting_to_change() {
    let redis = Redis::start().await;
    let mut raw = redis.raw().await;
    let mut policy = async |name: &str| -> String {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory-policy")
            .arg(name)
            .query_async(&mut raw)
            .await
            .unwrap()
    };
    policy("allkeys-lru").await;
    let refused = QueueClient::connect(&redis.server.url())
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, QueueError::Unsuitable { .. }));
    assert!(
        refused
            .to_string()
            .contains("set `maxmemory-policy noeviction`"),
        "{refused}"
    );
    policy("volatile-lru").await;
    assert!(
        QueueClient::connect(&redis.server.url()).await.is_ok(),
        "a queue has no key with an expiry"
    );
}

#[tokio::test]
async fn a_later_change_of_the_policy_is_reported_once() {
    let redis = Redis::start().await;
    let mut watch = PolicyWatch::new(&redis.client).every(Duration::ZERO);
    let mut raw = redis.raw().await;
    let mut policy = async |name: &str| -> String {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory-policy")
            .arg(name)
            .query_async(&mut raw)
            .await
            .unwrap()
    };
    assert_eq!(watch.policy_changes().await, None);
    policy("allkeys-random").await;
    let change = watch.policy_changes().await.unwrap();
    assert!(
        change.contains("allkeys-random") && change.contains("set `maxmemory-policy noeviction`"),
        "{change}"
    );
    assert_eq!(
        watch.policy_changes().await,
        None,
        "a change must be reported once"
    );
    policy("noeviction").await;
    assert!(
        watch
            .policy_changes()
            .await
            .unwrap()
            .contains("fit to hold queues again")
    );
    redis.server.kill().unwrap();
    assert_eq!(
        watch.policy_changes().await,
        None,
        "a missing server is not a change of its policy"
    );
}

#[tokio::test]
async fn the_server_is_described() {
    let redis = Redis::start().await;
    let (_, info) = redis.client.servers().await.unwrap().remove(0);
    assert!(info.version >= ServerVersion::OLDEST);
    assert_eq!(
        (info.aof_enabled, info.last_snapshot, info.cluster),
        (true, LastSnapshot::Fine, false)
    );
    let settings = info.settings.unwrap();
    assert_eq!(
        (settings.appendfsync.as_str(), settings.save.as_str()),
        ("everysec", "")
    );
    assert!(settings.stops_writes);
    assert_eq!(
        (info.maxmemory_policy.as_str(), info.maxmemory),
        ("noeviction", None)
    );
}

#[tokio::test]
async fn an_unreachable_server_is_an_error_at_once() {
    let error = QueueClient::connect("unix:///nowhere/redis.sock")
        .await
        .err()
        .unwrap();
    assert!(matches!(error, QueueError::Connect { .. }));
    assert!(
        error
            .to_string()
            .starts_with("cannot connect to unix:///nowhere/redis.sock: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_password_is_an_error_that_does_not_show_it() {
    let redis = Redis::start().await;
    let mut raw = redis.raw().await;
    let () = redis::cmd("CONFIG")
        .arg("SET")
        .arg("requirepass")
        .arg("right")
        .query_async(&mut raw)
        .await
        .unwrap();
    for (query, word) in [
        ("?pass=s3cret", "Password"),
        ("", "Authentication required"),
    ] {
        let error = QueueClient::connect(&format!("{}{query}", redis.server.url()))
            .await
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .contains("the password from DDRS_REDIS_PASSWORD or a --redis-password-file"),
            "{error}"
        );
        let text = format!("{error} {error:?}");
        assert!(text.contains(word) && !text.contains("s3cret"), "{text}");
    }
    let right = QueueClient::connect(&format!("{}?pass=right", redis.server.url()))
        .await
        .unwrap();
    assert!(!right.server().contains("right"));
    assert!(raw.exists::<_, bool>("ddrs:sweeps").await.is_ok());
}
