//! Tests the private redis-server: starting, finding and stopping it.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use ddrs_common::queue::{PrivateServer, QueueClient};
use redis::AsyncCommands;

async fn connection(server: &PrivateServer) -> redis::aio::MultiplexedConnection {
    redis::Client::open(server.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap()
}

async fn start(dir: &Path) -> PrivateServer {
    PrivateServer::start(dir).await.unwrap()
}

#[tokio::test]
async fn data_survives_stop_and_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let () = connection(&server).await.set("key", "value").await.unwrap();
    server.stop().await.unwrap();
    assert!(!dir.path().join("redis.sock").exists());
    let server = start(dir.path()).await;
    assert_eq!(
        connection(&server).await.get("key").await,
        Ok("value".to_owned())
    );
}

#[tokio::test]
async fn a_server_that_still_runs_is_used_and_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path()).await;
    let second = start(dir.path()).await;
    assert_eq!(first.url(), second.url());
    let pid = async |server| {
        redis::cmd("INFO")
            .arg("server")
            .query_async::<redis::InfoDict>(&mut connection(server).await)
            .await
            .unwrap()
            .get::<u32>("process_id")
    };
    assert_eq!(pid(&first).await, pid(&second).await);
    drop(second);
    let () = connection(&first)
        .await
        .set("key", "still there")
        .await
        .unwrap();
    start(dir.path()).await.stop().await.unwrap();
    assert!(
        redis::Client::open(first.url())
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_running_server_is_found_and_none_is_started() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        PrivateServer::find(&dir.path().join("nowhere"))
            .unwrap()
            .is_none()
    );
    let server = start(dir.path()).await;
    let found = PrivateServer::find(dir.path()).unwrap().unwrap();
    assert_eq!((found.url(), found.is_new()), (server.url(), false));
    server.stop().await.unwrap();
    assert!(PrivateServer::find(dir.path()).unwrap().is_none());
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(dir.path().join("redis.sock")).unwrap());
    let server = start(dir.path()).await;
    let () = connection(&server).await.set("key", "value").await.unwrap();
    server.kill().unwrap();
    drop(UnixListener::bind(dir.path().join("redis.sock")).unwrap());
    let server = start(dir.path()).await;
    assert_eq!(
        connection(&server).await.get("key").await,
        Ok("value".to_owned())
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_stopped_and_keeps_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut talk = connection(&server).await;
    let () = talk.set("key", "value").await.unwrap();
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("server")
        .query_async(&mut talk)
        .await
        .unwrap();
    let pid = info.get::<u32>("process_id").unwrap();
    assert!(
        Command::new("kill")
            .args(["-STOP", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
    let other = PrivateServer::find(dir.path()).unwrap().unwrap();
    let error = other.stop().await.unwrap_err().to_string();
    assert!(
        error.contains("does not answer"),
        "a server that another process started must not be stopped: {error}"
    );
    server.stop().await.unwrap();
    assert!(PrivateServer::find(dir.path()).unwrap().is_none());
    let server = start(dir.path()).await;
    assert_eq!(
        connection(&server).await.get("key").await,
        Ok("value".to_owned())
    );
}

#[tokio::test]
async fn two_starts_at_once_share_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = tokio::join!(start(dir.path()), start(dir.path()));
    let () = connection(&a).await.set("key", "value").await.unwrap();
    assert_eq!(
        connection(&b).await.get("key").await,
        Ok("value".to_owned())
    );
}

#[tokio::test]
async fn folders_with_long_and_unusual_names_work() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        format!("deep/{}/{}", "x".repeat(60), "y".repeat(60)),
        "a b?#%'\"é".to_owned(),
    ] {
        let folder = dir.path().join(name);
        let server = start(&folder).await;
        assert!(
            QueueClient::connect(&server.url()).await.is_ok(),
            "{}",
            server.url()
        );
        let again = start(&folder).await;
        assert_eq!(again.url(), server.url());
        let socket = fs::read_link(folder.join("redis.sock"));
        server.stop().await.unwrap();
        assert!(
            socket.is_ok_and(|target| !target.parent().unwrap().exists())
                || !folder.join("redis.sock").exists()
        );
    }
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_the_end_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path()).await.stop().await.unwrap();
    let files = dir.path().join("appendonlydir");
    for entry in fs::read_dir(&files).unwrap() {
        fs::write(entry.unwrap().path(), "not an append-only file\n").unwrap();
    }
    let error = PrivateServer::start(dir.path())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("redis-server ended while it started") && error.contains("AOF"),
        "{error}"
    );
}

/// The variable must be set for the whole process, so the test runs itself in a second process.
#[tokio::test]
async fn a_missing_redis_server_names_the_package() {
    const NAME: &str = "private_server::a_missing_redis_server_names_the_package";
    if std::env::var_os("DDRS_REDIS_SERVER")
        .is_some_and(|program| program == "/nowhere/redis-server")
    {
        let dir = tempfile::tempdir().unwrap();
        let error = PrivateServer::start(dir.path())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nowhere/redis-server") && error.contains("apt install redis-server"),
            "{error}"
        );
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", NAME])
        .env("DDRS_REDIS_SERVER", "/nowhere/redis-server");
    let output = again.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}"
    );
}
