//! The command line as written. Nothing is opened or decided here.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ddrs_common::attack::AttackReach;
use ddrs_common::cli::{DeviceArgs, LogFormat, OutputArgs, RedisArgs, WorkerArgs};
use ddrs_common::domain::Radius;
use ddrs_worker::device::DeviceChoice;

/// Certifies samples: chooses sigma, draws noise, counts classes. One process per GPU.
#[derive(Debug, Parser)]
#[command(name = "ddrs-worker", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct WorkerCli {
    /// Format of the logs on stderr
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,

    /// The command
    #[command(subcommand)]
    pub(crate) command: WorkerCommand,
}

const EXIT_CODES: &str = concat!(
    "Exit codes: 0 complete or asked to stop, 1 failed, 2 bad usage or specification, ",
    "130 training\nor attack interrupted and resumable."
);

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// Pull jobs from Redis and certify them until asked to stop
    ///
    /// SIGTERM, SIGINT and SIGUSR1 end the worker. It hands its job back, which costs the job no
    /// attempt.
    Run(WorkerRunArgs),
    /// Certify one sample without Redis; the record goes to stdout
    Certify(CertifyArgs),
    /// Search for points that contradict the certificates of a run
    ///
    /// Gradient attacks inside the certified balls; each point found is certified by the whole
    /// pipeline with other noise. Results are appended to RUN/attack.jsonl, and reports show them.
    /// Attacks that the file holds already are not repeated. Exit code 130: interrupted and
    /// resumable.
    Attack(AttackArgs),
    /// Train a network: `gaussian`, `smoothadv` or `macer`, with fixed or data-dependent sigma
    ///
    /// Resumes from the checkpoint of an earlier call with the same --out. Exit code 130:
    /// interrupted and resumable.
    Train(TrainArgs),
    /// Say what is in a model file: its network, its normalisation, the lines of a specification
    Inspect(WeightsArgs),
    /// Write the network of a checkpoint of torch.save as safetensors
    Convert(ConvertArgs),
    /// Show libtorch, the devices and precisions of this machine, and why a GPU is not used
    Doctor(DoctorArgs),
}

/// The arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct WorkerRunArgs {
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
}

impl WorkerRunArgs {
    /// Returns true if `--device cuda:all` asks for one process per GPU.
    pub(crate) fn uses_all_gpus(&self) -> bool {
        let choice = self.worker.device.device.parse();
        matches!(choice, Ok(DeviceChoice::AllCuda))
    }
}

/// The arguments of `certify`.
#[derive(Debug, Args)]
pub(crate) struct CertifyArgs {
    /// Sweep specification, TOML
    pub(crate) spec: PathBuf,
    /// Index of the sample in the dataset
    #[arg(long)]
    pub(crate) index: u64,
    /// Variant, MODEL/CHOICE/SIGMA [default: every variant, one record per variant]
    #[arg(long)]
    pub(crate) variant: Option<String>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// The arguments of `attack`.
#[derive(Debug, Args)]
pub(crate) struct AttackArgs {
    /// Run folder: manifest and records
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    /// Variant, MODEL/CHOICE/SIGMA; may be repeated [default: every variant]
    #[arg(long)]
    pub(crate) variant: Vec<String>,
    /// Attack at most N certificates of each variant, evenly spread [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Steps of each gradient ascent
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) steps: u32,
    /// Gradient ascents from different starting points, for each sigma and each goal
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) starts: u32,
    /// Noise draws per step
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) draws: u32,
    /// Seed of the attack's noise and of the points' certification; another than the sweep's
    /// [default: one more than the sweep's]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// The radius of an attack.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ReachArgs {
    /// Attack the certificates of the true class that cover this radius, at this radius
    #[arg(long, value_name = "R", value_parser = positive_radius)]
    pub(crate) radius: Option<Radius>,
    /// Attack every certificate at the radius that it certifies
    #[arg(long)]
    pub(crate) at_own_radius: bool,
}

impl ReachArgs {
    /// Returns the radius.
    pub(crate) fn reach(&self) -> AttackReach {
        self.radius.map_or(AttackReach::Own, AttackReach::Radius)
    }
}

fn positive_radius(text: &str) -> Result<Radius, String> {
    let radius = text.parse().ok().and_then(|value| Radius::new(value).ok());
    radius
        .filter(|&radius| radius > Radius::ZERO)
        .ok_or_else(|| "must be a finite number above 0".to_owned())
}

/// The arguments of `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Training specification, TOML
    pub(crate) spec: PathBuf,
    /// Safetensors file to write; the checkpoint and the log go to the same folder
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// The arguments of `inspect`: a file of weights.
#[derive(Debug, Args)]
pub(crate) struct WeightsArgs {
    /// Safetensors file, checkpoint of torch.save, or TorchScript program
    pub(crate) file: PathBuf,
    /// The architecture [default: the one that fits the tensors]
    #[arg(long, value_name = "NAME")]
    pub(crate) architecture: Option<String>,
    /// Prefix of the tensors' names, where several networks in the file fit
    #[arg(long, value_name = "PREFIX")]
    pub(crate) weights: Option<String>,
}

/// The arguments of `convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) weights: WeightsArgs,
    /// Safetensors file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Also compare fp32 on the CPU with every precision on the device: classify the same noise
    /// and count the draws whose class differs. MODEL is an architecture (random weights) or a
    /// specification (its models, first image and first sigma); may be repeated
    #[arg(long, value_name = "MODEL")]
    pub(crate) compare: Vec<String>,
    /// Noise draws per comparison
    #[arg(long, default_value_t = 500)]
    pub(crate) draws: u32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_threads_are_refused() {
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
            WorkerCli::try_parse_from(train).map_err(|error| error.to_string())
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
