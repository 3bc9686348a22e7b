//! `run`: claim a job, certify its samples, record each, complete the job, repeat.
//!
//! Two threads. This one talks to Redis: it claims, renews, records and releases, and work on the
//! device cannot delay it. The other one ([`DeviceHandle`]) owns the networks and the device. It
//! receives one work item at a time and sends a stream of events.
//!
//! In reading order: `worker` (the loop over sweeps), `job` (one job), `device_thread`,
//! `work_item`. `sweep_cache` and `backoff` hold what is known of each sweep.

mod backoff;
mod device_thread;
pub(crate) mod fleet;
mod job;
pub(crate) mod open_sweep;
mod roots;
pub(crate) mod stop;
mod sweep_cache;
mod work_item;
mod worker;

use std::pin::Pin;
use std::time::Duration;

use anyhow::Result;
use ddrs_common::cli::BadInput;
use ddrs_common::host;
use ddrs_common::queue::{ClaimToken, QueueClient, QueueError};
use ddrs_worker::engine::EngineOptions;
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::cli::WorkerRunArgs;
use device_thread::DeviceHandle;
pub(crate) use device_thread::load as load_model;
use worker::{IDLE, PATIENCE, Worker, WorkerOptions};

/// Time for which a worker that a coordinator started waits for a Redis that does not answer.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Ends with the reason when the worker is asked to stop.
type StopRequest = Pin<Box<dyn Future<Output = &'static str>>>;

/// Works until asked to stop, or with `--exit-when-idle` until nothing is left.
///
/// # Errors
/// [`BadInput`] when every sweep was refused; otherwise when Redis cannot be reached, the device
/// cannot be used, or several jobs in a row fail.
pub(crate) async fn run(args: WorkerRunArgs) -> Result<()> {
    let mut stop: StopRequest = Box::pin(stop::stop_requested(args.worker.stop_with_stdin)?);
    let roots = roots::resolve(&args.worker.roots).map_err(BadInput)?;
    let client = tokio::select! {
        biased;
        reason = &mut stop => {
            info!(reason, "stopping");
            return Ok(());
        }
        client = connect(&args) => client?.with_patience(PATIENCE),
    };
    let device = DeviceHandle::start(EngineOptions::from(&args.worker.device)).map_err(BadInput)?;
    let options = WorkerOptions {
        name: args.worker.name.unwrap_or_else(default_name),
        roots,
        only: args.worker.sweeps,
        exit_when_idle: args.worker.exit_when_idle,
    };
    info!(worker = %options.name, device = device.device(), "ready");
    let mut worker = Worker::new(client, device, options);
    let ended = worker.work(&mut stop).await;
    worker.deregister().await;
    ended
}

/// Connects. A coordinator that started this worker has just used this Redis, so it is about to
/// return if it does not answer. Without a coordinator the address may be wrong, which is reported
/// at once.
async fn connect(args: &WorkerRunArgs) -> Result<QueueClient, QueueError> {
    let patience = if args.worker.stop_with_stdin {
        START_PATIENCE
    } else {
        Duration::ZERO
    };
    let deadline = Instant::now() + patience;
    loop {
        match QueueClient::connect(&args.redis.settings()).await {
            Err(QueueError::Connect { .. }) if Instant::now() < deadline => sleep(IDLE).await,
            connected => return connected,
        }
    }
}

/// Returns a name of host, process and a random number: no two workers share it, and it shows the
/// machine.
fn default_name() -> String {
    let random = ClaimToken::random().to_string();
    format!("{}-{}-{}", host::name(), std::process::id(), &random[..6])
}
