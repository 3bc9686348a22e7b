//! The command line as written. Nothing is opened or decided here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ddrs_common::domain::SweepId;
use ddrs_common::queue::{LoginArgs, ServerSettings};

use crate::report::Format;

/// Certifies image classifiers with data-dependent randomized smoothing: plans sweeps, keeps their
/// queue in Redis and turns records into tables.
#[derive(Debug, Parser)]
#[command(name = "ddrs-coordinator", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// How logs are written to stderr
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 complete, 1 failed, 2 bad usage or specification, \
                          3 finished but incomplete (dead jobs or failed samples), 130 interrupted and resumable.";

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

/// What `--format` offers where a command prints a list of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a sweep from specification to table, with local workers
    ///
    /// Without --redis a private redis-server runs on a socket under DIR and is stopped at the end.
    /// Run again after a crash or Ctrl-C, the sweep goes on where it stopped.
    Run(RunArgs),
    /// Plan a sweep and put its jobs into Redis; print its id
    Submit {
        /// The sweep specification, TOML
        spec: PathBuf,
        /// Where Redis is
        #[command(flatten)]
        redis: RedisArgs,
    },
    /// Show progress, rate, ETA, workers and dead jobs
    Status {
        /// The sweep; without it, all sweeps
        sweep: Option<SweepId>,
        /// Show it again every two seconds until the sweep ends
        #[arg(long)]
        watch: bool,
        /// Where Redis is
        #[command(flatten)]
        redis: RedisArgs,
        /// How the answer is printed
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Append a sweep's new records to DIR/records.jsonl and write its reports; safe to repeat and
    /// to kill
    Collect {
        /// The sweep
        sweep: SweepId,
        /// The folder of the run
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Keep collecting until the sweep ends
        #[arg(long)]
        follow: bool,
        /// Where Redis is
        #[command(flatten)]
        redis: RedisArgs,
    },
    /// Print tables of run folders and certification logs; several sources make one comparison
    Report {
        /// Run folders, or certification logs (.tsv)
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<PathBuf>,
        /// How the table is written
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        /// Radii as FROM:TO:STEP, both ends included
        #[arg(long)]
        radii: Option<String>,
    },
    /// Put a sweep's dead jobs back into the queue
    Retry {
        /// The sweep
        sweep: SweepId,
        /// Where Redis is
        #[command(flatten)]
        redis: RedisArgs,
    },
    /// Stop handing out a sweep's jobs; submit or retry takes it up again
    Cancel {
        /// The sweep
        sweep: SweepId,
        /// Where Redis is
        #[command(flatten)]
        redis: RedisArgs,
    },
    /// Tell what happened to one sample
    Why {
        /// The sweep
        sweep: SweepId,
        /// The variant, MODEL/CHOICE/SIGMA
        variant: String,
        /// The sample's index in the dataset
        index: u64,
        /// The folder that the sweep is collected into, to show the record too
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Where Redis is
        #[command(flatten)]
        redis: RedisArgs,
        /// How the answer is printed
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Check Redis, specification, data and model, and say what to change
    Doctor {
        /// The sweep specification, TOML
        spec: Option<PathBuf>,
        /// The Redis to check; without it, the redis-server that `run` would start
        #[arg(long, value_name = "URL", env = "DDRS_REDIS", hide_env_values = true)]
        redis: Option<String>,
        /// Who one is to it
        #[command(flatten)]
        login: LoginArgs,
        /// How the answer is printed
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// The arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The sweep specification, TOML
    pub spec: PathBuf,
    /// The folder of the run: records, manifest, report, logs
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Local workers to start [default: one a GPU, else one]
    #[arg(long, value_name = "N")]
    pub workers: Option<u32>,
    /// The device of the workers: auto, cpu or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: String,
    /// A Redis to use instead of a private one
    #[arg(long, value_name = "URL", env = "DDRS_REDIS", hide_env_values = true)]
    pub redis: Option<String>,
    /// Who one is to it.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// Where Redis is.
#[derive(Debug, Args)]
pub struct RedisArgs {
    /// Where Redis is: redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH
    #[arg(
        long = "redis",
        value_name = "URL",
        env = "DDRS_REDIS",
        hide_env_values = true
    )]
    pub url: String,
    /// Who one is to it.
    #[command(flatten)]
    pub login: LoginArgs,
}

impl RedisArgs {
    /// The whole of what is said about it.
    #[must_use]
    pub fn settings(&self) -> ServerSettings {
        self.login.settings(&self.url)
    }
}

/// How a list of facts is printed.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// How the output is written
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,
}
