//! The command line as written. Nothing is opened or decided here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ddrs_common::cli::{LogFormat, OutputArgs, RedisArgs, RedisCredentialArgs};
use ddrs_common::domain::SweepId;

use crate::report::Format;

/// Certifies image classifiers with data-dependent randomized smoothing: plans sweeps, keeps their
/// queue in Redis and turns records into tables.
#[derive(Debug, Parser)]
#[command(name = "ddrs-coordinator", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct CoordinatorCli {
    /// Format of the logs on stderr
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,

    /// The command
    #[command(subcommand)]
    pub(crate) command: CoordinatorCommand,
}

const EXIT_CODES: &str = concat!(
    "Exit codes: 0 complete, 1 failed, 2 bad usage or specification, ",
    "3 finished but incomplete (dead jobs or failed samples), 130 interrupted and resumable."
);

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum CoordinatorCommand {
    /// Run a sweep from specification to table, with local workers
    ///
    /// Without --redis, a private redis-server runs on a socket under DIR and is stopped at the
    /// end. After a crash or Ctrl-C, the same command resumes the sweep.
    Run(RunArgs),
    /// Plan a sweep and put its jobs into Redis; print its id
    Submit(SubmitArgs),
    /// Show progress, rate, ETA, workers and dead jobs
    Status(StatusArgs),
    /// Append a sweep's new records to DIR/records.jsonl and write its reports; safe to repeat and
    /// to kill
    Collect(CollectArgs),
    /// Print tables of run folders and certification logs; several sources make one comparison
    Report(ReportArgs),
    /// Put a sweep's dead jobs back into the queue
    Retry(SweepArgs),
    /// Stop handing out a sweep's jobs, until submit or retry continues it
    Cancel(SweepArgs),
    /// Explain what happened to one sample
    #[command(visible_alias = "explain")]
    Why(WhyArgs),
    /// Check Redis, specification, data and model, and say what to change
    Doctor(DoctorArgs),
}

/// The arguments of `submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Sweep specification, TOML
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
}

/// The arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Sweep id [default: all sweeps]
    pub(crate) sweep: Option<SweepId>,
    /// Show the status again every two seconds until the sweep ends
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The arguments of `collect`.
#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// Sweep id
    pub(crate) sweep: SweepId,
    /// Run folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Keep collecting until the sweep ends
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
}

/// The arguments of `retry` and `cancel`.
#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// Sweep id
    pub(crate) sweep: SweepId,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
}

/// The arguments of `why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Sweep id
    pub(crate) sweep: SweepId,
    /// Variant, MODEL/CHOICE/SIGMA
    pub(crate) variant: String,
    /// Index of the sample in the dataset
    pub(crate) index: u64,
    /// Run folder of the sweep, to show the record too
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Sweep specification, TOML
    pub(crate) spec: Option<PathBuf>,
    /// Redis to check [default: the redis-server that `run` would start]
    #[arg(long, value_name = "URL", env = "DDRS_REDIS", hide_env_values = true)]
    pub(crate) redis: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: RedisCredentialArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The arguments of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Run folders, or certification logs (.tsv)
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
    /// Format of the table
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// Radii as FROM:TO:STEP, both ends included
    #[arg(long)]
    pub(crate) radii: Option<String>,
    /// Print the best accuracy over the sigmas and the gains, in Markdown
    ///
    /// The sources are certification logs named LOSS-CHOICE-SIGMA_CHOICE_SIGMA.tsv: loss, choice
    /// and sigma of the training, then choice and initial sigma of the certification. The first
    /// table has the best accuracy over the sigmas for each loss and pair of choices. The second
    /// has the gain of data-dependent over fixed sigmas at radius 0.5, with its 95 % confidence
    /// interval over the images.
    #[arg(long, conflicts_with_all = ["format", "radii"])]
    pub(crate) envelope: bool,
}

/// The arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Sweep specification, TOML
    pub(crate) spec: PathBuf,
    /// Run folder: records, manifest, report, logs
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Local workers to start [default: one per GPU, or 1 without a GPU]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u32>,
    /// Device of the workers: auto, cpu or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub(crate) device: String,
    /// Redis to use instead of a private one
    #[arg(long, value_name = "URL", env = "DDRS_REDIS", hide_env_values = true)]
    pub(crate) redis: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: RedisCredentialArgs,
}
