//! The command line as written. Nothing is opened or decided here.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ddrs_common::cli::{DeviceArgs, OutputFormat};

/// Measures ddrs, and makes random networks for measurements
#[derive(Debug, Parser)]
#[command(name = "ddrs-dev", version, max_term_width = 100)]
pub(crate) struct DevCli {
    /// The command
    #[command(subcommand)]
    pub(crate) command: DevCommand,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// Measure passes per second and the split of a run's time
    Bench(Box<BenchArgs>),
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
    /// A comparison on the images of a specification, instead of random networks
    #[command(subcommand)]
    pub(crate) compare: Option<BenchCompare>,
    /// Networks with random weights, one row each: cifar-resnet20, cifar-resnet110, resnet50, …
    #[arg(long, value_delimiter = ',', default_value = "cifar-resnet20")]
    pub(crate) model: Vec<String>,
    /// fp32, tf32, bf16 or fp16, one row each
    #[arg(long, value_delimiter = ',', default_value = "fp32")]
    pub(crate) precision: Vec<String>,
    /// Draws per chunk, one row each; on a GPU also the images of a forward pass
    #[arg(long, value_delimiter = ',', default_value = "500", value_parser = at_least_one())]
    pub(crate) batch: Vec<u64>,
    /// Draws per sample [default: as many as the seconds allow]
    #[arg(long, value_parser = at_least_one())]
    pub(crate) n: Option<u64>,
    /// Samples to certify
    #[arg(long, default_value_t = 4, value_parser = at_least_one())]
    pub(crate) samples: u64,
    /// Approximate time of each measurement
    #[arg(long, default_value_t = 8.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Measurements of each row, in turn with its peers; medians are printed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeats: u32,
    /// The loops to time
    #[arg(
        long,
        value_enum,
        value_name = "LOOP",
        value_delimiter = ',',
        default_value = "plain,tuned,sigma"
    )]
    pub(crate) peers: Vec<PeerLoop>,
    /// The PyTorch loops.
    #[command(flatten)]
    pub(crate) peer: PeerArgs,
    /// The device of forward passes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Format of the output
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: OutputFormat,
}

/// The PyTorch loops to compare with.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// A python that imports torch, to time the PyTorch loops that users run instead [default:
    /// python3, if it does]
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_python: Option<PathBuf>,
    /// A script of those loops instead of this program's; it is called with --mode, --model,
    /// --device, --batch, --passes and --repeats, and prints one line of JSON with
    /// `passes_per_second`
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_script: Option<PathBuf>,
    /// Images per batch of the loops; the fastest of several counts [default: on the CPU ours, at
    /// most 64 photographs; on a GPU ours, twice and four times as many]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = at_least_one())]
    pub(crate) peer_batch: Vec<u64>,
    /// Measure without the loops, even if python3 imports torch
    #[arg(long, conflicts_with_all = ["peer_python", "peer_script", "peer_batch"])]
    pub(crate) no_peers: bool,
}

/// A loop that users run otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerLoop {
    /// As published, in fp32
    Plain,
    /// The fastest known: bf16, channels-last, folded, compiled on a GPU
    Tuned,
    /// The published ascent to sigma, in fp32
    Sigma,
}

impl PeerLoop {
    /// Returns the name in the scripts.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tuned => "tuned",
            Self::Sigma => "sigma",
        }
    }
}

/// A comparison of two ways to do one thing.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCompare {
    /// Compare ways of choosing sigma: seconds, draws, and the radius that fresh draws estimate at
    /// the chosen sigma
    Sigma(CompareArgs),
    /// Compare stopping rules: seconds, draws, and the share of decisions that `fixed` makes too
    Stopping(CompareArgs),
    /// Compare noise on a grid with noise in single precision: time per value on one core
    Noise,
    /// Compare networks that ddrs builds with TorchScript programs of the same networks: forward
    /// passes on one thread of the CPU
    Script(ScriptArgs),
}

/// The arguments of `bench script`.
#[derive(Debug, Args)]
pub(crate) struct ScriptArgs {
    /// Networks, which get random weights
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "wide-resnet-40-2,vit-tiny-patch16-224"
    )]
    pub(crate) model: Vec<String>,
}

/// The arguments of a comparison.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// A sweep specification: its first model and sigma, and its first images
    pub(crate) spec: PathBuf,
    /// Number of images
    #[arg(long, default_value_t = 500, value_parser = at_least_one())]
    pub(crate) samples: u64,
    /// Fresh noise draws per image and sigma, which estimate the radius
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) fresh: u32,
    /// The PyTorch loop that chooses sigma.
    #[command(flatten)]
    pub(crate) peer: PeerArgs,
    /// The device of forward passes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Format of the output
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: OutputFormat,
}

fn at_least_one() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..)
}

/// Parses the time of a measurement.
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
