//! The beginning of a run: everything before its workers. All of it may be dropped at any time.

use std::path::PathBuf;

use anyhow::Result;
use ddrs_common::queue::{PrivateServer, QueueClient, ServerSettings, SweepQueue};

use super::launcher::{WorkerSettings, default_count};
use crate::cli::RunArgs;
use crate::collect::Collector;
use crate::prepare::{Prepared, prepare};
use crate::run_dir::RunDir;
use crate::stop::spawn_blocking;
use crate::submit::submit;
use ddrs_common::cli::{BadInput, LogFormat};

/// A run whose specification is checked and whose folder is open.
pub(super) struct OpenedRun {
    pub(super) prepared: Prepared,
    pub(super) dir: RunDir,
    pub(super) collector: Collector,
    /// The Redis that was connected before the folder was made.
    client: Option<QueueClient>,
}

/// A run whose jobs are in the queue.
pub(super) struct StartedRun {
    pub(super) client: QueueClient,
    pub(super) queue: SweepQueue,
    pub(super) settings: WorkerSettings,
    pub(super) workers: u32,
}

/// Checks and digests everything that the specification names, and opens the folder.
///
/// # Errors
/// [`BadInput`] when the specification, the data or a model cannot be used; otherwise the error of
/// the file system or, for a new folder, of Redis.
pub(super) async fn open(args: &RunArgs) -> Result<OpenedRun> {
    let spec = args.spec.clone();
    let dir = RunDir::new(args.out.clone());
    let held = dir.seed();
    let prepared = spawn_blocking(move || prepare(&spec, held)).await?;
    let client = connect_for_new_folder(args, &dir).await?;
    spawn_blocking(move || OpenedRun::new(prepared, dir, client)).await
}

/// Connects before a folder is made, so that no folder is made for a run that cannot begin.
async fn connect_for_new_folder(args: &RunArgs, dir: &RunDir) -> Result<Option<QueueClient>> {
    match &args.redis {
        Some(url) if !dir.path().exists() => {
            let server = args.credentials.settings(url);
            Ok(Some(QueueClient::connect(&server).await?))
        }
        _ => Ok(None),
    }
}

impl OpenedRun {
    fn new(prepared: Prepared, dir: RunDir, client: Option<QueueClient>) -> Result<Self> {
        prepared.log_notes();
        dir.claim(&prepared.message)?;
        let loss = prepared.message.loss();
        let collector = Collector::open(&dir.records(), &prepared.sweep, &prepared.plan, loss)?;
        Ok(Self {
            prepared,
            dir,
            collector,
            client,
        })
    }
}

/// Starts the private server, unless the user named a Redis, and submits the sweep. The server is
/// stored in `private` as soon as it runs.
///
/// # Errors
/// When Redis cannot be started or used.
pub(super) async fn begin(
    args: &RunArgs,
    opened: &OpenedRun,
    private: &mut Option<PrivateServer>,
    log_format: LogFormat,
) -> Result<StartedRun> {
    let workers = worker_count(args)?;
    let redis = redis(args, &opened.dir, private).await?;
    let client = match &opened.client {
        Some(client) => client.clone(),
        None => QueueClient::connect(&redis).await?,
    };
    let queue = client.sweep(&opened.prepared.message.id);
    submit(&queue, &opened.prepared).await?;
    if let Some(server) = private {
        reset_private_queue(&queue, server, opened.prepared.plan.jobs()).await?;
    }
    Ok(StartedRun {
        client,
        queue,
        settings: worker_settings(args, opened, redis, log_format),
        workers,
    })
}

fn worker_count(args: &RunArgs) -> Result<u32> {
    let default = || default_count(&args.device);
    let workers = args.workers.unwrap_or_else(default);
    if workers == 0 && args.redis.is_none() {
        let problem = "--workers 0 needs workers elsewhere, and a --redis that they reach";
        return Err(BadInput::new(problem).into());
    }
    Ok(workers)
}

async fn redis(
    args: &RunArgs,
    dir: &RunDir,
    private: &mut Option<PrivateServer>,
) -> Result<ServerSettings> {
    if let Some(url) = &args.redis {
        return Ok(args.credentials.settings(url));
    }
    let server = private.insert(PrivateServer::start(&dir.redis()).await?);
    Ok(ServerSettings {
        url: server.url(),
        ..ServerSettings::default()
    })
}

/// Returns the jobs of workers that ended with the server, and the dead jobs, to the queue: there
/// is no other way to retry the dead jobs of a private queue.
async fn reset_private_queue(queue: &SweepQueue, server: &PrivateServer, jobs: u32) -> Result<()> {
    let admin = queue.admin();
    if server.is_new() {
        admin.expire_leases(None).await?;
    }
    admin.requeue_expired(u64::from(jobs)).await?;
    admin.retry().await?;
    Ok(())
}

fn worker_settings(
    args: &RunArgs,
    opened: &OpenedRun,
    redis: ServerSettings,
    log_format: LogFormat,
) -> WorkerSettings {
    WorkerSettings {
        redis,
        sweep: opened.prepared.message.id.clone(),
        device: args.device.clone(),
        roots: roots(&opened.prepared),
        logs: opened.dir.logs(),
        log_format,
    }
}

/// Returns the paths that local workers open: the data, the targets of links in it, its lists of
/// classes and labels, and the models.
fn roots(prepared: &Prepared) -> Vec<PathBuf> {
    let dataset = &prepared.sweep.dataset;
    let models = prepared.sweep.networks().into_iter();
    let models = models.map(|model| model.path.clone());
    let data = std::iter::once(dataset.path.clone()).chain(prepared.linked.clone());
    let lists = dataset.classes.iter().chain(&dataset.labels).cloned();
    data.chain(lists).chain(models).collect()
}
