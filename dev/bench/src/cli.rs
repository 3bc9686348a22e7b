//! The command line as written. Nothing is opened or decided here.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ddrs_common::cli::{DeviceArgs, OutputFormat};

/// Measures ddrs and makes what measurements need.
#[derive(Debug, Parser)]
#[command(name = "ddrs-dev", version, max_term_width = 100)]
pub(crate) struct DevCli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: DevCommand,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// Measure passes per second and the split of a run's time
    Bench(BenchArgs),
    /// Write a network with random weights, to try a cluster before the model is there
    RandomWeights(RandomWeightsArgs),
    /// Measure images per second of a training step, in turn with the same step in PyTorch
    TrainSpeed(TrainSpeedArgs),
}

/// The arguments of `random-weights`.
#[derive(Debug, Args)]
pub(crate) struct RandomWeightsArgs {
    /// cifar-resnet20, cifar-resnet110, resnet18, resnet50, …
    pub(crate) architecture: String,
    /// Number of classes
    #[arg(long, default_value_t = 10)]
    pub(crate) classes: u32,
    /// Seed of the random weights
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Move the last layer so that no class wins everywhere, and noise decides between the classes
    #[arg(long)]
    pub(crate) centred: bool,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// The arguments of `train-speed`.
#[derive(Debug, Args)]
pub(crate) struct TrainSpeedArgs {
    /// A python with torch
    #[arg(long, value_name = "PATH", env = "PYTHON", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Number of rounds; the best round of each step counts
    #[arg(long, default_value = "3")]
    pub(crate) rounds: NonZeroU32,
    /// Images per step
    #[arg(long, default_value = "100")]
    pub(crate) batch: NonZeroUsize,
    /// Images per group, which share the statistics of batch normalisation
    #[arg(long, default_value = "50")]
    pub(crate) group: NonZeroUsize,
    /// Precision of forward and backward passes
    #[arg(long, value_enum, default_value = "bf16")]
    pub(crate) precision: TrainPrecision,
    /// cpu or cuda:0
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// CPU threads of each program [default: all cores]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Measure instead what the other training steps cost compared with the Gaussian one, without
    /// PyTorch
    #[arg(long)]
    pub(crate) costs: bool,
}

/// A precision of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrainPrecision {
    /// 16 bits, 8 of them for the exponent
    Bf16,
    /// 32 bits
    Fp32,
}

impl TrainPrecision {
    /// Returns the name in a specification.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp32 => "fp32",
        }
    }
}

/// The arguments of `bench`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    /// Something to compare on a specification's own images, instead of random networks
    #[command(subcommand)]
    pub(crate) compare: Option<BenchCompare>,
    /// Networks with random weights, a row each: cifar-resnet20, cifar-resnet110, resnet50, …
    #[arg(long, value_delimiter = ',', default_value = "cifar-resnet20")]
    pub(crate) model: Vec<String>,
    /// fp32, tf32, bf16 or fp16, a row each
    #[arg(long, value_delimiter = ',', default_value = "fp32")]
    pub(crate) precision: Vec<String>,
    /// Draws to a chunk, a row each; on a GPU a forward pass takes as many
    #[arg(long, value_delimiter = ',', default_value = "500", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batch: Vec<u64>,
    /// Draws to a sample [default: as many as the seconds allow]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) n: Option<u64>,
    /// Samples to certify
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) samples: u64,
    /// How long each measurement is to take, about
    #[arg(long, default_value_t = 8.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// How often each row is measured, in turn with its peers; medians are printed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeats: u32,
    /// Which of the loops to time
    #[arg(
        long,
        value_enum,
        value_name = "LOOP",
        value_delimiter = ',',
        default_value = "plain,tuned,sigma"
    )]
    pub(crate) peers: Vec<PeerLoop>,
    /// What users run instead.
    #[command(flatten)]
    pub(crate) peer: PeerArgs,
    /// Where forward passes run.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// How the output is written
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: OutputFormat,
}

/// The PyTorch loops beside which is measured.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// A python that imports torch, to time the PyTorch loops that users run instead [default:
    /// python3, if it does]
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_python: Option<PathBuf>,
    /// A script of those loops instead of the worker's own; is called with --mode, --model,
    /// --device, --batch, --passes and --repeats, and prints a line of JSON with
    /// `passes_per_second`
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_script: Option<PathBuf>,
    /// Images to a batch of theirs; of several the fastest counts [default: on the CPU as ours, at
    /// most 64 photographs; on a GPU ours, twice and four times as many]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) peer_batch: Vec<u64>,
    /// Measure without them, even if python3 imports torch
    #[arg(long, conflicts_with_all = ["peer_python", "peer_script", "peer_batch"])]
    pub(crate) no_peers: bool,
}

/// A loop that users run instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerLoop {
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
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tuned => "tuned",
            Self::Sigma => "sigma",
        }
    }
}

/// What `bench` compares on real images.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCompare {
    /// Ways of choosing sigma: seconds, draws, and the radius that fresh draws estimate at what
    /// each chose
    Sigma(CompareArgs),
    /// Rules of stopping: seconds, draws, and how often each decides a radius as `fixed` does
    Stopping(CompareArgs),
}

/// The arguments of what `bench` compares.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// A sweep specification: its first model and sigma, its images from the first on
    pub(crate) spec: PathBuf,
    /// Images
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) samples: u64,
    /// Fresh draws of noise for each image and sigma that estimate a radius
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) fresh: u32,
    /// What users run instead, to choose sigma.
    #[command(flatten)]
    pub(crate) peer: PeerArgs,
    /// Where forward passes run.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// How the output is written
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: OutputFormat,
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
            let refused = DevCli::try_parse_from(["ddrs-dev", "bench", bad, "0"])
                .map_err(|error| error.to_string());
            assert!(refused.is_err_and(|words| words.contains(bad)), "{bad}");
        }
        assert!(DevCli::try_parse_from(["ddrs-dev", "bench", "--seconds", "nan"]).is_err());
        assert!(
            DevCli::try_parse_from(["ddrs-dev", "bench", "--samples=1", "--seconds=0.5"]).is_ok()
        );
    }

    #[test]
    fn without_peers_none_can_be_named() {
        let both = [
            "ddrs-dev",
            "bench",
            "--no-peers",
            "--peer-python",
            "python3",
        ];
        assert!(DevCli::try_parse_from(both).is_err());
    }
}
