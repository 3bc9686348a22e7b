//! The beginning of a run: all that comes before its workers. Everything here may be dropped at any
//! time.

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

/// What a run works on, and what is done of it.
pub(super) struct Opened {
    pub(super) prepared: Prepared,
    pub(super) dir: RunDir,
    pub(super) collector: Collector,
    /// The Redis that the folder was made for.
    client: Option<QueueClient>,
}

/// A queue with the sweep's jobs, and what its workers are told.
pub(super) struct Begun {
    pub(super) client: QueueClient,
    pub(super) queue: SweepQueue,
    pub(super) settings: WorkerSettings,
    pub(super) workers: u32,
}

/// Checks and digests all that the specification names, and opens the folder.
///
/// # Errors
/// [`BadInput`] when something of that cannot be used; otherwise what the file system, or the Redis
/// for a new folder, says.
pub(super) async fn open(args: &RunArgs) -> Result<Opened> {
    let (spec, dir) = (args.spec.clone(), RunDir::new(args.out.clone()));
    let prepared = spawn_blocking(move || prepare(&spec)).await?;
    let client = match &args.redis {
        // No folder is made for a run that cannot begin.
        Some(url) if !dir.path().exists() => {
            Some(QueueClient::connect(&args.credentials.settings(url)).await?)
        }
        _ => None,
    };
    spawn_blocking(move || {
        dir.claim(&prepared.message)?;
        let collector = Collector::open(&dir.records(), &prepared.sweep, &prepared.plan)?;
        Ok(Opened {
            prepared,
            dir,
            collector,
            client,
        })
    })
    .await
}

/// Starts the private server, if there is to be one, and submits the sweep. `private` has the
/// server from when it runs.
///
/// # Errors
/// When Redis cannot be had or used.
pub(super) async fn begin(
    args: &RunArgs,
    opened: &Opened,
    private: &mut Option<PrivateServer>,
    log_format: LogFormat,
) -> Result<Begun> {
    let Opened {
        prepared,
        dir,
        client,
        ..
    } = opened;
    let workers = args.workers.unwrap_or_else(|| default_count(&args.device));
    if workers == 0 && args.redis.is_none() {
        return Err(BadInput::new(
            "--workers 0 needs workers elsewhere, and a --redis that they reach",
        )
        .into());
    }
    let redis = if let Some(url) = &args.redis {
        args.credentials.settings(url)
    } else {
        let server = private.insert(PrivateServer::start(&dir.redis()).await?);
        ServerSettings {
            url: server.url(),
            ..ServerSettings::default()
        }
    };
    let client = match client {
        Some(client) => client.clone(),
        None => QueueClient::connect(&redis).await?,
    };
    let queue = client.sweep(&prepared.message.id);
    submit(&queue, prepared).await?;
    if private.as_ref().is_some_and(PrivateServer::is_new) {
        // Whoever held a lease in its file died with it.
        queue.admin().expire_leases(None).await?;
    }
    if private.is_some() {
        // There is no other way to try the dead jobs of a private queue again.
        queue
            .admin()
            .requeue_expired(u64::from(prepared.plan.jobs()))
            .await?;
        queue.admin().retry().await?;
    }
    let settings = WorkerSettings {
        redis,
        sweep: prepared.message.id.clone(),
        device: args.device.clone(),
        roots: roots(prepared),
        logs: dir.logs(),
        log_format,
    };
    Ok(Begun {
        client,
        queue,
        settings,
        workers,
    })
}

/// What local workers must open: the data, what links in it lead to, its class list and the models.
fn roots(prepared: &Prepared) -> Vec<PathBuf> {
    let dataset = &prepared.sweep.dataset;
    let models = prepared.sweep.models.iter().map(|model| model.path.clone());
    let data = std::iter::once(dataset.path.clone()).chain(prepared.linked.clone());
    data.chain(dataset.classes.clone()).chain(models).collect()
}
