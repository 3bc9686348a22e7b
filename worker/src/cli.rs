//! The command line as written. Nothing is opened or decided here.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ddrs_common::domain::SweepId;
use ddrs_common::queue::LoginArgs;

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
    /// Measure passes per second and the split of a run's time
    Bench(BenchArgs),
    /// Write a network with random weights, to try a cluster before the model is there
    RandomWeights {
        /// cifar-resnet20, cifar-resnet110, resnet18, resnet50, …
        architecture: String,
        /// How many classes it tells apart
        #[arg(long, default_value_t = 10)]
        classes: u32,
        /// Which random weights
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Move its last layer so that no class wins everywhere, and noise decides between them
        #[arg(long)]
        centred: bool,
        /// The safetensors file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
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

/// The arguments of `bench`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    /// Something to compare on a specification's own images, instead of random networks
    #[command(subcommand)]
    pub compare: Option<BenchCompare>,
    /// Networks with random weights, a row each: cifar-resnet20, cifar-resnet110, resnet50, …
    #[arg(long, value_delimiter = ',', default_value = "cifar-resnet20")]
    pub model: Vec<String>,
    /// fp32, tf32, bf16 or fp16, a row each
    #[arg(long, value_delimiter = ',', default_value = "fp32")]
    pub precision: Vec<String>,
    /// Draws to a chunk, a row each; on a GPU a forward pass takes as many
    #[arg(long, value_delimiter = ',', default_value = "500", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch: Vec<u64>,
    /// Draws to a sample [default: as many as the seconds allow]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: Option<u64>,
    /// Samples to certify
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    pub samples: u64,
    /// How long each measurement is to take, about
    #[arg(long, default_value_t = 8.0, value_parser = seconds)]
    pub seconds: f64,
    /// How often each row is measured, in turn with its peers; medians are printed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,
    /// Which of the loops to time
    #[arg(
        long,
        value_enum,
        value_name = "LOOP",
        value_delimiter = ',',
        default_value = "plain,tuned,sigma"
    )]
    pub peers: Vec<PeerLoop>,
    /// What users run instead.
    #[command(flatten)]
    pub peer: PeerArgs,
    /// Where forward passes run.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// How the output is written
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,
}

/// The PyTorch loops beside which is measured.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// A python that imports torch, to time the PyTorch loops that users run instead [default:
    /// python3, if it does]
    #[arg(long, value_name = "PATH")]
    pub peer_python: Option<PathBuf>,
    /// A script of those loops instead of the worker's own; is called with --mode, --model,
    /// --device, --batch, --passes and --repeats, and prints a line of JSON with
    /// `passes_per_second`
    #[arg(long, value_name = "PATH")]
    pub peer_script: Option<PathBuf>,
    /// Images to a batch of theirs; of several the fastest counts [default: on the CPU as ours, at
    /// most 64 photographs; on a GPU ours, twice and four times as many]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    pub peer_batch: Vec<u64>,
    /// Measure without them, even if python3 imports torch
    #[arg(long, conflicts_with_all = ["peer_python", "peer_script", "peer_batch"])]
    pub no_peers: bool,
}

/// A loop that users run instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PeerLoop {
    /// As published, in fp32
    Plain,
    /// The best that is known: bf16, channels-last, folded, compiled on a GPU
    Tuned,
    /// The published ascent to sigma, in fp32
    Sigma,
}

impl PeerLoop {
    /// What the scripts call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tuned => "tuned",
            Self::Sigma => "sigma",
        }
    }
}

/// What `bench` compares on real images.
#[derive(Debug, Subcommand)]
pub enum BenchCompare {
    /// Ways of choosing sigma: seconds, draws, and the radius that fresh draws estimate at what
    /// each chose
    Sigma(CompareArgs),
    /// Rules of stopping: seconds, draws, and how often each decides a radius as `fixed` does
    Stopping(CompareArgs),
}

/// The arguments of what `bench` compares.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A sweep specification: its first model and sigma, its images from the first on
    pub spec: PathBuf,
    /// Images
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    pub samples: u64,
    /// Fresh draws of noise for each image and sigma that estimate a radius
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub fresh: u32,
    /// What users run instead, to choose sigma.
    #[command(flatten)]
    pub peer: PeerArgs,
    /// Where forward passes run.
    #[command(flatten)]
    pub device: DeviceArgs,
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

/// A time that something can take.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if seconds > 0.0 && seconds <= 3600.0 {
        Ok(seconds)
    } else {
        Err("more than 0 and at most 3600".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_measured_of_no_samples_or_in_no_time() {
        for bad in [
            "--samples",
            "--batch",
            "--n",
            "--repeats",
            "--seconds",
            "--peer-batch",
        ] {
            let refused = Cli::try_parse_from(["ddrs-worker", "bench", bad, "0"])
                .map_err(|error| error.to_string());
            assert!(refused.is_err_and(|words| words.contains(bad)), "{bad}");
        }
        assert!(Cli::try_parse_from(["ddrs-worker", "bench", "--seconds", "nan"]).is_err());
        assert!(
            Cli::try_parse_from(["ddrs-worker", "bench", "--samples=1", "--seconds=0.5"]).is_ok()
        );
    }

    #[test]
    fn without_peers_none_can_be_named() {
        let both = [
            "ddrs-worker",
            "bench",
            "--no-peers",
            "--peer-python",
            "python3",
        ];
        assert!(Cli::try_parse_from(both).is_err());
    }

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
