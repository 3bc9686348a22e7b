//! A sweep as the program uses it: every number in range, every name known, every path resolved.
//!
//! Only [`super::parse`] builds one.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::architecture::Architecture;
use crate::domain::{Alpha, Choice, Radii, Selection, Sigma, VariantName};

/// One immutable specification: a dataset, models, and how to smooth and certify them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// What people call it.
    pub name: String,
    /// All noise derives from it.
    pub seed: u64,
    /// The inputs.
    pub dataset: DatasetSpec,
    /// The networks, at least one, with distinct names.
    pub models: Vec<ModelSpec>,
    /// Noise levels and how they are chosen.
    pub smoothing: SmoothingSpec,
    /// The certificate's parameters.
    pub certify: CertifySpec,
    /// How work is handed out. Changes no record.
    pub queue: QueueSpec,
    /// What tables show. Changes no record.
    pub report: ReportSpec,
}

/// Where the inputs are and which of them are taken.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetSpec {
    /// How the files are laid out.
    pub format: DatasetFormat,
    /// A folder or a file, resolved against the specification's folder.
    pub path: PathBuf,
    /// The samples that are taken.
    pub selection: Selection,
    /// Pixels of the shorter side after resizing.
    pub resize: Option<u32>,
    /// Pixels of the square cut from the centre.
    pub crop: Option<u32>,
    /// A file with the folder of each label, one a line, in label order.
    pub classes: Option<PathBuf>,
}

/// Layouts of datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetFormat {
    /// A folder a class; indices count classes sorted by name, then files sorted by name.
    ImageFolder,
    /// The binary files of CIFAR-10: a label byte, then 3 x 32 x 32 bytes, again and again.
    Cifar10,
    /// safetensors with `images` (N, C, H, W) as f32 in \[0, 1\] and `labels` (N) as i64.
    Tensors,
}

/// A network and what its scores mean.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// The first part of its variants' names.
    pub name: String,
    /// The weights, resolved against the specification's folder.
    pub path: PathBuf,
    /// How the file becomes a network.
    pub source: ModelSource,
    /// How many classes it tells apart.
    pub classes: u32,
    /// Subtracted from each channel after the noise is added.
    pub mean: Option<Vec<f64>>,
    /// Divides each channel after that.
    pub std: Option<Vec<f64>>,
    /// The arithmetic that is certified.
    pub precision: Precision,
}

/// What a model file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelSource {
    /// Weights by name, for a network built here.
    Safetensors(Architecture),
    /// A whole program, `.pt`.
    TorchScript,
}

/// The arithmetic of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// IEEE single.
    Fp32,
    /// Single with products rounded to ten bits of mantissa, on hardware that has it.
    Tf32,
    /// bfloat16.
    Bf16,
    /// IEEE half.
    Fp16,
}

/// Noise levels and the ways of choosing them.
#[derive(Debug, Clone, PartialEq)]
pub struct SmoothingSpec {
    /// Fixed values, or where the choice starts. At least one, distinct.
    pub sigma: Vec<Sigma>,
    /// At least one, distinct.
    pub choice: Vec<Choice>,
    /// Parameters of the choice.
    pub data_dependent: DataDependentSpec,
}

/// Parameters of the choice of sigma. The defaults of Algorithm 1 (Alfarra et al. 2022) are those
/// of the paper's code.
#[derive(Debug, Clone, PartialEq)]
pub struct DataDependentSpec {
    /// How the maximum is looked for.
    pub method: SigmaMethod,
    /// Steps of gradient ascent; the default where it is not the method.
    pub iterations: u32,
    /// Noise draws in a step of the ascent, or for each candidate of a search.
    pub draws: u32,
    /// How far sigma moves along the derivative; the default where the method is not the ascent.
    pub learning_rate: f64,
    /// The two largest probabilities are kept in \[clamp, 1 - clamp\].
    pub clamp: f64,
    /// Sigma never leaves it: lower and upper end.
    pub range: (Sigma, Sigma),
}

/// How the sigma with the largest estimated radius is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigmaMethod {
    /// Algorithm 1: gradient ascent from the variant's sigma.
    Gradient,
    /// The best of several candidates, round after round closer together. No derivatives: forward
    /// passes alone, at most `rounds * candidates * draws` of them.
    Search {
        /// How often the candidates close in.
        rounds: u32,
        /// Sigmas compared in a round, 3 or more, on the same noise.
        candidates: u32,
    },
}

/// Parameters of CERTIFY (Cohen et al. 2019).
#[derive(Debug, Clone, PartialEq)]
pub struct CertifySpec {
    /// Draws that guess the class.
    pub n0: NonZeroU64,
    /// Draws that bound its probability, at most.
    pub n: NonZeroU64,
    /// The probability with which a certificate may be wrong.
    pub alpha: Alpha,
    /// Draws to a seeded chunk and forward pass.
    pub chunk: NonZeroU64,
    /// Whether reports resolve contradictions among data-dependent certificates (Algorithm 2).
    pub memory: bool,
    /// When the draws that bound end.
    pub stopping: Stopping,
}

/// When the draws that bound a probability end. Every rule leaves a certificate the same alpha.
#[derive(Debug, Clone, PartialEq)]
pub enum Stopping {
    /// After `n`, as published.
    Fixed,
    /// As soon as it is known which of these radii are certified.
    Radii(Radii),
    /// After as few as the draws that guess the class suggest to lose at most this share, strictly
    /// between 0 and 1, of the radius that `n` would be expected to give.
    Loss(f64),
}

/// The most samples that a job may have: what a script goes through in one call.
pub const MAX_JOB_SAMPLES: u32 = 10_000;

/// How work is handed out.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSpec {
    /// Samples to a job, at most [`MAX_JOB_SAMPLES`].
    pub job_samples: NonZeroU64,
    /// How long a worker may stay silent before its job goes to another.
    pub lease: Duration,
    /// How often a job may fail or lose its worker before it is given up.
    pub max_attempts: u32,
}

/// What tables show.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportSpec {
    /// The radii at which accuracy is certified.
    pub radii: Radii,
}

/// One model at one sigma with one way of choosing sigma: a row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// `MODEL/CHOICE/SIGMA`.
    pub name: VariantName,
    /// Its model's place in [`Sweep::models`].
    pub model: usize,
    /// How sigma is chosen.
    pub choice: Choice,
    /// The fixed value, or where the choice starts.
    pub sigma0: Sigma,
}

impl Stopping {
    /// What of alpha the bound after all `n` draws may use: four fifths, where looking before may
    /// use one.
    #[must_use]
    pub fn alpha_at_n(&self, alpha: Alpha) -> Alpha {
        match self {
            Self::Fixed | Self::Loss(_) => alpha,
            Self::Radii(_) => part(alpha, 4.0 / 5.0),
        }
    }

    /// What of alpha looking at the counts before `n` may use, all looks together. None where
    /// nobody looks.
    #[must_use]
    pub fn alpha_before_n(&self, alpha: Alpha) -> Option<Alpha> {
        match self {
            Self::Fixed | Self::Loss(_) => None,
            Self::Radii(_) => Some(part(alpha, 1.0 / 5.0)),
        }
    }
}

/// As a specification writes it, without the quotes of a word.
impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("fixed"),
            Self::Radii(radii) => {
                let radii: Vec<String> = radii.iter().map(|radius| radius.to_string()).collect();
                write!(f, "{{ radii = [{}] }}", radii.join(", "))
            }
            Self::Loss(loss) => write!(f, "{{ loss = {loss} }}"),
        }
    }
}

/// Rounded down twice, so that the parts never make more than the whole.
fn part(alpha: Alpha, share: f64) -> Alpha {
    let part = (alpha.get() * share)
        .next_down()
        .next_down()
        .max(f64::MIN_POSITIVE);
    Alpha::new(part).expect("a part of alpha lies between 0 and alpha")
}

impl DatasetFormat {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageFolder => "image-folder",
            Self::Cifar10 => "cifar10",
            Self::Tensors => "tensors",
        }
    }
}

impl Precision {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }
}

impl Sweep {
    /// The variants in table order: model, then choice, then sigma.
    ///
    /// No two have one name, or one [`VariantName::file_stem`]: model names hold only characters
    /// that a stem keeps, and neither choices nor sigmas hold the `_` that stands for `/` there.
    #[must_use]
    pub fn variants(&self) -> Vec<Variant> {
        let mut variants = Vec::new();
        for (model, spec) in self.models.iter().enumerate() {
            for &choice in &self.smoothing.choice {
                for &sigma0 in &self.smoothing.sigma {
                    let name =
                        VariantName::new(format!("{}/{}/{sigma0}", spec.name, choice.as_str()));
                    variants.push(Variant {
                        name,
                        model,
                        choice,
                        sigma0,
                    });
                }
            }
        }
        variants
    }
}
