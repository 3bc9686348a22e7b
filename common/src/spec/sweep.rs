//! A checked sweep: every number in range, every name known, every path resolved.
//!
//! Only [`super::parse`] builds one.

use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ModelSpec, SelectedSpec, SigmaFileSpec};
use crate::domain::{
    Alpha, Choice, InvalidValue, Radii, SampleIndex, Selection, Sigma, VariantName,
};
use crate::grid::Grid;

/// An immutable specification: a dataset, models, and the parameters of smoothing and certifying.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The name that people use.
    pub name: String,
    /// The seed of all noise.
    pub seed: u64,
    /// The inputs.
    pub dataset: DatasetSpec,
    /// At least one network, with distinct names.
    pub models: Vec<ModelSpec>,
    /// The noise levels and the ways of choosing them.
    pub smoothing: SmoothingSpec,
    /// The certificate's parameters.
    pub certify: CertifySpec,
    /// The size of jobs and the limits of their leases. Changes no record.
    pub queue: QueueSpec,
    /// The contents of tables. Changes no record.
    pub report: ReportSpec,
}

/// The inputs of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetSpec {
    /// The layout of the files.
    pub format: DatasetFormat,
    /// A folder or a file, resolved against the specification's folder.
    pub path: PathBuf,
    /// The samples that are taken.
    pub selection: Selection,
    /// The size after resizing.
    pub resize: Option<ResizeTo>,
    /// The filter of resizing.
    pub interpolation: Interpolation,
    /// Pixels of the square cut from the centre.
    pub crop: Option<u32>,
    /// A file with the name of each class, one per line, in label order.
    pub classes: Option<PathBuf>,
    /// A file with the label of each sample.
    pub labels: Option<PathBuf>,
    /// The names in the file of the array of images and of the array of labels.
    pub names: Option<[String; 2]>,
    /// The part of the dataset that is taken, such as `test`.
    pub split: Option<String>,
    /// The order of the images' dimensions, if it does not follow from their sizes.
    pub layout: Option<PixelLayout>,
    /// The grid on which noise is drawn, if it does not follow from the data.
    pub grid: Option<Grid>,
}

/// The size of an image after resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeTo {
    /// Pixels of the shorter side; the longer one keeps its ratio.
    Shorter(u32),
    /// Both sides, whatever the ratio was.
    Exact {
        /// The number of rows.
        height: u32,
        /// Pixels per row.
        width: u32,
    },
}

/// The filter that resizes, with antialiasing as torchvision applies it to PIL images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// torchvision's default.
    Bilinear,
    /// Catmull-Rom.
    Bicubic,
}

/// The layout of a dataset's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetFormat {
    /// One folder per class. Indices count classes sorted by name, then files sorted by name.
    ImageFolder,
    /// A folder or zip archive of images with a list of their labels.
    Imagenet,
    /// CIFAR-10 in one of its published forms: binary, pickled, or a `.tar.gz` of either.
    Cifar10,
    /// CIFAR-100 in the same forms, with its 100 fine labels.
    Cifar100,
    /// The idx files of MNIST and of datasets in the same form, with or without `.gz`.
    Mnist,
    /// NumPy's arrays of images and of labels: one `.npz`, or two `.npy`.
    Npz,
    /// Parquet as Hugging Face publishes datasets of images.
    Parquet,
    /// safetensors with the images and the labels.
    Tensors,
}

/// The order of the dimensions of an array of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelLayout {
    /// Images, channels, rows, columns, as PyTorch has them.
    ChannelsFirst,
    /// Images, rows, columns, channels, as NumPy's programs write them.
    ChannelsLast,
}

/// Noise levels and the ways of choosing them.
#[derive(Debug, Clone, PartialEq)]
pub struct SmoothingSpec {
    /// Fixed values, or starting values of the choice. Distinct; at least one, unless no choice is
    /// fixed or data-dependent.
    pub sigma: Vec<Sigma>,
    /// At least one, distinct.
    pub choice: Vec<Choice>,
    /// Parameters of the choice.
    pub data_dependent: DataDependentSpec,
    /// The levels and their selector. There are some if a choice is to select a level.
    pub selected: Option<SelectedSpec>,
    /// The file with a sigma per sample. There is one if a choice is to read it.
    pub file: Option<SigmaFileSpec>,
}

/// The parameters of the choice of sigma. The defaults of Algorithm 1 (Alfarra et al. 2022) are
/// those of the paper's code.
#[derive(Debug, Clone, PartialEq)]
pub struct DataDependentSpec {
    /// The method of maximising the estimated radius.
    pub method: SigmaMethod,
    /// The number of steps of gradient ascent; the default value under another method.
    pub iterations: u32,
    /// The number of noise draws per step of the ascent, or per candidate of a search.
    pub draws: u32,
    /// The step size along the derivative; the default value under another method.
    pub learning_rate: f64,
    /// The two largest probabilities are clamped to \[clamp, 1 - clamp\].
    pub clamp: f64,
    /// The lower and upper end of the range in which sigma stays.
    pub range: (Sigma, Sigma),
}

/// The method of searching for the sigma with the largest estimated radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigmaMethod {
    /// Algorithm 1: gradient ascent from the variant's sigma.
    Gradient,
    /// The best of several candidates, closer together in each round. It needs no derivatives, only
    /// forward passes, at most `rounds * candidates * draws` of them.
    Search {
        /// The number of rounds.
        rounds: u32,
        /// The number of sigmas compared in a round, 3 or more, on the same noise.
        candidates: u32,
    },
}

/// The parameters of CERTIFY (Cohen et al. 2019).
#[derive(Debug, Clone, PartialEq)]
pub struct CertifySpec {
    /// The number of draws that guess the class.
    pub n0: NonZeroU64,
    /// The largest number of draws that bound its probability.
    pub n: NonZeroU64,
    /// The probability with which a certificate may be wrong.
    pub alpha: Alpha,
    /// The number of draws per seeded chunk.
    pub chunk: NonZeroU64,
    /// True if reports resolve contradictions among data-dependent certificates (Algorithm 2).
    pub memory: bool,
    /// The rule that ends the draws that bound.
    pub stopping: Stopping,
    /// The classes whose probabilities are bounded.
    pub bound: BoundRule,
}

/// The rule that ends the draws that bound a probability. Under every rule a certificate has the
/// same alpha.
#[derive(Debug, Clone, PartialEq)]
pub enum Stopping {
    /// After `n`, as published.
    Fixed,
    /// As soon as it is known which of these radii are certified.
    Radii(Radii),
    /// After a number of draws that the selection phase suggests: the smallest number that is
    /// expected to lose at most this share of the radius that `n` would give. The share is strictly
    /// between 0 and 1.
    Loss(f64),
}

/// The classes whose probabilities are bounded. Under both rules a certificate has the same alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundRule {
    /// The guess alone, from below, as published.
    OneClass,
    /// The guess from below and the others from above, for samples whose selection draws suggest
    /// that this gains.
    TwoClass,
}

/// The largest number of samples per job: a script handles them in one call.
pub const MAX_JOB_SAMPLES: u32 = 10_000;

/// The size of jobs and the limits of their leases.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSpec {
    /// The number of samples per job, at most [`MAX_JOB_SAMPLES`].
    pub job_samples: NonZeroU64,
    /// The time after which a silent worker loses its job to another.
    pub lease: Duration,
    /// The number of times that a job may fail or lose its worker before it is dead.
    pub max_attempts: u32,
}

/// The contents of tables.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportSpec {
    /// The radii at which accuracy is certified.
    pub radii: Radii,
}

/// A model at one sigma with one way of choosing sigma: a row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// `MODEL/CHOICE/SIGMA`.
    pub name: VariantName,
    /// The place of its network in [`Sweep::networks`]; that of the selector where a level is
    /// selected.
    pub model: usize,
    /// The way of choosing sigma.
    pub choice: Choice,
    /// The fixed value, the starting value of the choice, the selector's own sigma, or the largest
    /// that a file may give.
    pub sigma0: Sigma,
}

impl Stopping {
    /// The part of alpha that the bound after all `n` draws may use: four fifths if looking before
    /// `n` may use one fifth.
    #[must_use]
    pub fn alpha_at_n(&self, alpha: Alpha) -> Alpha {
        match self {
            Self::Fixed | Self::Loss(_) => alpha,
            Self::Radii(_) => alpha.part(4.0 / 5.0),
        }
    }

    /// The part of alpha that looking at the counts before `n` may use, all looks together; `None`
    /// if the rule does not look.
    #[must_use]
    pub fn alpha_before_n(&self, alpha: Alpha) -> Option<Alpha> {
        match self {
            Self::Fixed | Self::Loss(_) => None,
            Self::Radii(_) => Some(alpha.part(1.0 / 5.0)),
        }
    }
}

impl BoundRule {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneClass => "one-class",
            Self::TwoClass => "two-class",
        }
    }

    /// The part of alpha of each of the three bounds of two classes.
    #[must_use]
    pub fn alpha_per_class(alpha: Alpha) -> Alpha {
        alpha.part(1.0 / 3.0)
    }
}

impl CertifySpec {
    /// Returns true if counts of the selection phase decide more than the guess: the bound, or the
    /// number of draws.
    #[must_use]
    pub fn uses_selection_counts(&self) -> bool {
        self.bound == BoundRule::TwoClass || matches!(self.stopping, Stopping::Loss(_))
    }
}

/// The rule as a specification writes it, without the quotes of a word.
impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("fixed"),
            Self::Radii(radii) => write!(f, "{{ radii = [{}] }}", comma_separated(radii)),
            Self::Loss(loss) => write!(f, "{{ loss = {loss} }}"),
        }
    }
}

fn comma_separated(radii: &Radii) -> String {
    let radii = radii.iter().map(|radius| radius.to_string());
    radii.collect::<Vec<_>>().join(", ")
}

impl DatasetSpec {
    /// All samples of a dataset, as they are.
    #[must_use]
    pub fn whole(format: DatasetFormat, path: &Path) -> Self {
        Self {
            format,
            path: path.to_owned(),
            selection: Selection::ALL,
            resize: None,
            interpolation: Interpolation::Bilinear,
            crop: None,
            classes: None,
            labels: None,
            names: None,
            split: None,
            layout: None,
            grid: None,
        }
    }
}

impl DatasetFormat {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageFolder => "image-folder",
            Self::Imagenet => "imagenet",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Mnist => "mnist",
            Self::Npz => "npz",
            Self::Parquet => "parquet",
            Self::Tensors => "tensors",
        }
    }
}

impl PixelLayout {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChannelsFirst => "nchw",
            Self::ChannelsLast => "nhwc",
        }
    }
}

impl Sweep {
    /// All networks: the models, then the selector if a variant uses it.
    #[must_use]
    pub fn networks(&self) -> Vec<&ModelSpec> {
        let selector = self.selected().map(|selected| &selected.selector);
        self.models.iter().chain(selector).collect()
    }

    /// The places in [`Self::networks`] of the networks that a variant uses. Of a variant whose
    /// level is selected, the selector comes first.
    #[must_use]
    pub fn networks_of(&self, variant: &Variant) -> Vec<usize> {
        match self.selected_by(variant) {
            Some(selected) => selected.networks(variant.model),
            None => vec![variant.model],
        }
    }

    /// The levels of a variant whose level is selected; `None` for other variants.
    #[must_use]
    pub fn selected_by(&self, variant: &Variant) -> Option<&SelectedSpec> {
        let selected = self.smoothing.selected.as_ref();
        selected.filter(|_| variant.choice == Choice::Selected)
    }

    /// The levels and their selector, if a variant uses them.
    fn selected(&self) -> Option<&SelectedSpec> {
        let is_used = self.smoothing.choice.contains(&Choice::Selected);
        self.smoothing.selected.as_ref().filter(|_| is_used)
    }

    /// The largest sigma that any draw may have.
    #[must_use]
    pub fn widest_sigma(&self) -> Sigma {
        let SmoothingSpec {
            sigma,
            choice,
            data_dependent,
            selected: _,
            file: _,
        } = &self.smoothing;
        let is_chosen = choice.contains(&Choice::DataDependent);
        let range = is_chosen.then_some(data_dependent.range.1);
        let selected = self.selected().into_iter().flat_map(SelectedSpec::sigmas);
        let file = self.sigma_file().map(|file| file.largest);
        let all = sigma
            .iter()
            .copied()
            .chain(range)
            .chain(selected)
            .chain(file);
        let widest = all.reduce(wider);
        widest.expect("a sweep without sigmas has levels or a file")
    }

    /// The variants in table order: model, then choice, then sigma. The variant whose level is
    /// selected is the last.
    ///
    /// No two have the same name or the same [`VariantName::file_stem`]: model names contain only
    /// characters that a stem keeps, and choices and sigmas do not contain the `_` that replaces
    /// `/` there.
    #[must_use]
    pub fn variants(&self) -> Vec<Variant> {
        let models = self.models.iter().enumerate();
        models
            .flat_map(|(model, spec)| self.variants_of(model, &spec.name))
            .chain(self.selected_variant())
            .collect()
    }

    fn variants_of(&self, model: usize, name: &str) -> Vec<Variant> {
        let choices = self.smoothing.choice.iter();
        choices
            .flat_map(|&choice| {
                let sigmas = self.sigmas_of(choice);
                sigmas.map(move |sigma0| Variant::new(name, model, choice, sigma0))
            })
            .collect()
    }

    /// The sigmas of the variants of each model under a choice.
    fn sigmas_of(&self, choice: Choice) -> impl Iterator<Item = Sigma> {
        let listed: &[Sigma] = match choice {
            Choice::Fixed | Choice::DataDependent => &self.smoothing.sigma,
            // The only variant of a selector is not one of a model.
            Choice::Selected | Choice::File => &[],
        };
        let file = self.sigma_file().filter(|_| choice == Choice::File);
        listed.iter().copied().chain(file.map(|file| file.largest))
    }

    /// The file of sigmas, if a variant uses it.
    #[must_use]
    pub fn sigma_file(&self) -> Option<&SigmaFileSpec> {
        let is_used = self.smoothing.choice.contains(&Choice::File);
        self.smoothing.file.as_ref().filter(|_| is_used)
    }

    /// Returns the sweep with the sigmas of its file, one per selected sample.
    ///
    /// # Errors
    /// When it has no such file, or when a sigma is above the largest that it allows.
    pub fn with_file_sigmas(mut self, sigmas: Vec<Sigma>) -> Result<Self, InvalidValue> {
        let file = self.smoothing.file.as_mut();
        let file =
            file.ok_or_else(|| InvalidValue("sigmas belong to the choice \"file\"".into()))?;
        file.set_sigmas(sigmas)?;
        Ok(self)
    }

    /// The sigma that the file gives for a sample; `None` if the sigmas are not read yet, or the
    /// sample is not selected.
    #[must_use]
    pub fn file_sigma(&self, index: SampleIndex) -> Option<Sigma> {
        let position = self.dataset.selection.position(index)?;
        let file = self.sigma_file()?;
        file.sigmas().get(usize::try_from(position).ok()?).copied()
    }

    fn selected_variant(&self) -> Option<Variant> {
        let selected = self.selected()?;
        let name = &selected.selector.name;
        let place = self.models.len();
        Some(Variant::new(name, place, Choice::Selected, selected.tau))
    }
}

impl Variant {
    fn new(model_name: &str, model: usize, choice: Choice, sigma0: Sigma) -> Self {
        Self {
            name: variant_name(model_name, choice, sigma0),
            model,
            choice,
            sigma0,
        }
    }
}

/// The larger of two sigmas.
fn wider(a: Sigma, b: Sigma) -> Sigma {
    if b > a { b } else { a }
}

fn variant_name(model: &str, choice: Choice, sigma0: Sigma) -> VariantName {
    VariantName::new(format!("{model}/{}/{sigma0}", choice.as_str()))
}
