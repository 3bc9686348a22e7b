//! The arguments, which are options of `ddrs-dev bench` and replace those that this program gives.

use std::path::{Path, PathBuf};

use clap::{Args, Parser};

/// Measures forward passes, noise, stopping rules, choices of sigma, the queue and the programs
#[derive(Parser)]
pub(crate) struct BenchArguments {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    passes: PassOptions,
}

/// Options of every command of `ddrs-dev bench`.
#[derive(Args)]
struct CommonOptions {
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// CPU threads for forward passes
    #[arg(long)]
    threads: Option<String>,
    /// text or json
    #[arg(long)]
    format: Option<String>,
    /// A python with torch, to time PyTorch's loops
    #[arg(long)]
    peer_python: Option<PathBuf>,
    /// A script of those loops
    #[arg(long)]
    peer_script: Option<PathBuf>,
    /// Images per batch of those loops
    #[arg(long)]
    peer_batch: Option<String>,
    /// Measure without those loops
    #[arg(long)]
    no_peers: bool,
}

/// Options for forward passes alone.
#[derive(Args)]
struct PassOptions {
    /// Networks with random weights
    #[arg(long, default_value = "cifar-resnet20,cifar-resnet110,resnet50")]
    model: String,
    /// Precisions
    #[arg(long, default_value = "fp32,bf16")]
    precision: String,
    /// Draws per chunk
    #[arg(long)]
    batch: Option<String>,
    /// Draws per sample
    #[arg(long)]
    n: Option<String>,
    /// Samples to certify
    #[arg(long)]
    samples: Option<String>,
    /// Approximate time of each measurement
    #[arg(long)]
    seconds: Option<String>,
    /// Measurements of each row
    #[arg(long)]
    repeats: Option<String>,
    /// PyTorch's loops to time
    #[arg(long)]
    peers: Option<String>,
}

impl BenchArguments {
    /// Returns the options of `ddrs-dev bench`.
    pub(crate) fn of_passes(&self) -> Vec<String> {
        let passes = &self.passes;
        let mut options = self.of_images();
        add(&mut options, "--model", Some(&passes.model));
        add(&mut options, "--precision", Some(&passes.precision));
        add(&mut options, "--batch", passes.batch.as_ref());
        add(&mut options, "--n", passes.n.as_ref());
        add(&mut options, "--samples", passes.samples.as_ref());
        add(&mut options, "--seconds", passes.seconds.as_ref());
        add(&mut options, "--repeats", passes.repeats.as_ref());
        add(&mut options, "--peers", passes.peers.as_ref());
        options
    }

    /// Returns the options of `ddrs-dev bench sigma` and `ddrs-dev bench stopping`.
    pub(crate) fn of_images(&self) -> Vec<String> {
        let common = &self.common;
        let python = common.peer_python.as_deref().map(from_anywhere);
        let script = common.peer_script.as_deref().map(from_anywhere);
        let mut options = Vec::new();
        add(&mut options, "--device", Some(&common.device));
        add(&mut options, "--threads", common.threads.as_ref());
        add(&mut options, "--format", common.format.as_ref());
        add(&mut options, "--peer-python", python.as_ref());
        add(&mut options, "--peer-script", script.as_ref());
        add(&mut options, "--peer-batch", common.peer_batch.as_ref());
        options.extend(common.no_peers.then(|| "--no-peers".to_owned()));
        options
    }
}

fn add(options: &mut Vec<String>, option: &str, value: Option<&String>) {
    if let Some(value) = value {
        options.extend([option.to_owned(), value.clone()]);
    }
}

/// Makes a path absolute, because `ddrs-dev` starts in another folder. A name without a folder is
/// searched in PATH.
fn from_anywhere(path: &Path) -> String {
    let name = path.display().to_string();
    if !name.contains('/') {
        return name;
    }
    std::path::absolute(path).map_or(name, |path| path.display().to_string())
}
