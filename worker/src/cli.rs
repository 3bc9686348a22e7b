//! The command line as written. Nothing is opened or decided here.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ddrs_common::domain::SweepId;
use ddrs_common::queue::LoginArgs;

use crate::engine::EngineOptions;

/// Certifies samples: chooses sigma, draws noise, counts classes. One process a GPU.
#[derive(Debug, Parser)]
#[command(name = "ddrs-worker", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// How logs are written to stderr
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 complete or told to stop, 1 failed, 2 bad usage or specification, 130 training\ninterrupted and resumable.";

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pull jobs from Redis and certify them until told to stop
    ///
    /// SIGTERM, SIGINT and SIGUSR1 hand the job in progress back, uncharged, and end the worker.
    Run(RunArgs),
    /// Certify one sample without Redis; the record goes to stdout
    Certify(CertifyArgs),
    /// Train a network: `gaussian`, `smoothadv` or `macer`, with fixed or data-dependent sigma
    ///
    /// Begins where an earlier call with the same --out left off. Exit code 130: interrupted and
    /// resumable.
    Train(TrainArgs),
    /// Say what this machine offers: libtorch, devices, precisions, and why a GPU is not used
    Doctor(DoctorArgs),
}

/// Where forward passes run.
#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// auto, cpu or cuda:N; for `run` also cuda:all, one process for each GPU
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// CPU threads for forward passes [default: all cores]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub threads: Option<usize>,
}

impl DeviceArgs {
    /// Returns the settings of the engine that these arguments ask for.
    #[must_use]
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            device: self.device.clone(),
            threads: self.threads,
        }
    }
}

/// The arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where Redis is: redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH
    #[arg(
        long = "redis",
        value_name = "URL",
        env = "DDRS_REDIS",
        hide_env_values = true
    )]
    pub redis: String,
    /// Who one is to it.
    #[command(flatten)]
    pub login: LoginArgs,
    /// Where forward passes run.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Take jobs of this sweep only; may be given again
    #[arg(long = "sweep", value_name = "SWEEP")]
    pub sweeps: Vec<SweepId>,
    /// Open data and models only under this folder or file; may be given again [default: the
    /// current folder]
    #[arg(long = "root", value_name = "PATH")]
    pub roots: Vec<PathBuf>,
    /// What records call this worker, in at most 128 bytes [default: host, process and a random
    /// number]
    #[arg(long, value_parser = worker_name)]
    pub name: Option<String>,
    /// End when no sweep has a job left, instead of waiting for one
    #[arg(long)]
    pub exit_when_idle: bool,
    /// End, handing the job back, when stdin closes: for a parent that may be killed
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// The arguments of `certify`.
#[derive(Debug, Args)]
pub struct CertifyArgs {
    /// The sweep specification, TOML
    pub spec: PathBuf,
    /// The sample's index in the dataset
    #[arg(long)]
    pub index: u64,
    /// The variant, MODEL/CHOICE/SIGMA [default: every variant, a record each]
    #[arg(long)]
    pub variant: Option<String>,
    /// Where forward passes run.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// The arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The training specification, TOML
    pub spec: PathBuf,
    /// The safetensors file to write; the checkpoint and the log stand beside it
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where forward and backward passes run.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The device that must be usable.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Also send the same noise through fp32 on the CPU and every precision on the device, and
    /// count the draws whose class differs: an architecture (random weights) or a specification
    /// (its models, first image and first sigma); may be given again
    #[arg(long, value_name = "MODEL")]
    pub compare: Vec<String>,
    /// Draws to a comparison
    #[arg(long, default_value_t = 500)]
    pub draws: u32,
    /// How the output is written
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,
}

/// What `--format` offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Every record carries it, and every request.
fn worker_name(name: &str) -> Result<String, String> {
    if (1..=128).contains(&name.len()) {
        Ok(name.to_owned())
    } else {
        Err("a name has 1 to 128 bytes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_a_name_of_sensible_length() {
        assert_eq!(worker_name("gpu-7").as_deref(), Ok("gpu-7"));
        assert!(worker_name("").is_err() && worker_name(&"x".repeat(129)).is_err());
    }

    #[test]
    fn no_threads_are_no_number_of_threads() {
        let parse = |threads| {
            let train = [
                "ddrs-worker",
                "train",
                "spec.toml",
                "--out",
                "out",
                "--threads",
                threads,
            ];
            Cli::try_parse_from(train).map_err(|error| error.to_string())
        };
        assert!(parse("1").is_ok());
        for threads in ["0", "many"] {
            assert!(
                parse(threads)
                    .is_err_and(|words| words.contains("--threads") && words.contains(threads))
            );
        }
    }
}
