//! The specification as written: its keys, their types and their defaults. [`super::check`] checks
//! the ranges.
//!
//! Every integer is an `i64`, as in TOML, so that a negative one is refused with the message of its
//! key.

mod choices;
mod mean;
mod resize;
mod stopping;

pub(super) use mean::RawMean;
pub(super) use resize::RawResize;
pub(super) use stopping::RawStopping;

use serde::Deserialize;

/// The keys that are tables.
pub(super) const TABLES: &[&str] = &["dataset", "smoothing", "certify", "queue", "report"];

/// A key without a default. [`super::check`] reports a missing one, because it knows the key's
/// whole name.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Required<T>(pub(super) Option<T>);

impl<T> Default for Required<T> {
    fn default() -> Self {
        Self(None)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSweep {
    pub(super) name: Required<String>,
    pub(super) seed: Required<i64>,
    pub(super) dataset: RawDataset,
    pub(super) model: Vec<RawModel>,
    pub(super) smoothing: RawSmoothing,
    pub(super) certify: RawCertify,
    pub(super) queue: RawQueue,
    pub(super) report: RawReport,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawDataset {
    pub(super) format: Required<RawFormat>,
    pub(super) path: Required<String>,
    pub(super) offset: i64,
    pub(super) stride: i64,
    pub(super) limit: Option<i64>,
    pub(super) resize: Option<RawResize>,
    pub(super) interpolation: Option<RawInterpolation>,
    pub(super) crop: Option<i64>,
    pub(super) classes: Option<String>,
    pub(super) labels: Option<String>,
    pub(super) names: Option<Vec<String>>,
    pub(super) split: Option<String>,
    pub(super) layout: Option<RawLayout>,
    pub(super) grid: Option<i64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawFormat {
    ImageFolder,
    Imagenet,
    Cifar10,
    Cifar100,
    Mnist,
    Npz,
    Parquet,
    Tensors,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawInterpolation {
    Bilinear,
    Bicubic,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawLayout {
    Nchw,
    Nhwc,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawModel {
    pub(super) name: Required<String>,
    pub(super) path: Required<String>,
    pub(super) architecture: Option<String>,
    pub(super) weights: Option<String>,
    pub(super) classes: Required<i64>,
    pub(super) mean: Option<RawMean>,
    pub(super) std: Option<Vec<f64>>,
    pub(super) precision: RawPrecision,
    pub(super) epsilon: Option<f64>,
    pub(super) activation: Option<RawActivation>,
    pub(super) stride_place: Option<RawStridePlace>,
    pub(super) stem_pooling: Option<RawStemPooling>,
    pub(super) pooling: Option<RawPooling>,
    pub(super) outputs: Option<RawOutputs>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawActivation {
    Relu,
    Relu6,
    LeakyRelu,
    Silu,
    Gelu,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum RawStridePlace {
    #[serde(rename = "1x1")]
    First,
    #[serde(rename = "3x3")]
    Second,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawStemPooling {
    Max,
    None,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawPooling {
    Mean,
    Max,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawOutputs {
    Scores,
    Probabilities,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawPrecision {
    #[default]
    Fp32,
    Tf32,
    Bf16,
    Fp16,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSmoothing {
    pub(super) sigma: Required<Vec<f64>>,
    #[serde(deserialize_with = "choices::choices")]
    pub(super) choice: Vec<RawChoice>,
    pub(super) data_dependent: RawDataDependent,
    pub(super) selected: Option<RawSelected>,
    pub(super) file: Option<RawSigmaFile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawChoice {
    Fixed,
    DataDependent,
    Selected,
    File,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSigmaFile {
    pub(super) path: Required<String>,
    pub(super) name: Option<String>,
    pub(super) variant: Option<String>,
    pub(super) largest: Required<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSelected {
    pub(super) tau: Required<f64>,
    pub(super) form: RawForm,
    pub(super) levels: Required<Vec<RawLevel>>,
    pub(super) selector: RawModel,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawForm {
    Simple,
    #[default]
    Strong,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLevel {
    pub(super) sigma: Required<f64>,
    pub(super) model: Required<String>,
    pub(super) classes: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawMethod {
    #[default]
    Gradient,
    Search,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawDataDependent {
    pub(super) method: RawMethod,
    pub(super) iterations: Option<i64>,
    pub(super) draws: Option<i64>,
    pub(super) learning_rate: Option<f64>,
    pub(super) rounds: Option<i64>,
    pub(super) candidates: Option<i64>,
    pub(super) clamp: f64,
    pub(super) range: Vec<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawCertify {
    pub(super) n0: Required<i64>,
    pub(super) n: Required<i64>,
    pub(super) alpha: Required<f64>,
    pub(super) chunk: i64,
    pub(super) memory: bool,
    pub(super) stopping: RawStopping,
    pub(super) bound: RawBound,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawBound {
    OneClass,
    TwoClass,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawQueue {
    pub(super) job_samples: i64,
    pub(super) lease_seconds: i64,
    pub(super) max_attempts: i64,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawReport {
    pub(super) radii: Vec<f64>,
}

impl Default for RawDataset {
    fn default() -> Self {
        Self {
            format: Required(None),
            path: Required(None),
            offset: 0,
            stride: 1,
            limit: None,
            resize: None,
            interpolation: None,
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

impl Default for RawSmoothing {
    fn default() -> Self {
        Self {
            sigma: Required(None),
            choice: vec![RawChoice::Fixed],
            data_dependent: RawDataDependent::default(),
            selected: None,
            file: None,
        }
    }
}

/// The values of the code that was published with the paper (Alfarra et al. 2022). Defaults that
/// depend on the method are in [`super::check`].
impl Default for RawDataDependent {
    fn default() -> Self {
        Self {
            method: RawMethod::Gradient,
            iterations: None,
            draws: None,
            learning_rate: None,
            rounds: None,
            candidates: None,
            clamp: 0.02,
            range: vec![0.01, 4.0],
        }
    }
}

impl Default for RawCertify {
    fn default() -> Self {
        Self {
            n0: Required(None),
            n: Required(None),
            alpha: Required(None),
            chunk: 500,
            memory: true,
            stopping: RawStopping::Fixed,
            bound: RawBound::OneClass,
        }
    }
}

impl Default for RawQueue {
    fn default() -> Self {
        Self {
            job_samples: 4,
            lease_seconds: 60,
            max_attempts: 5,
        }
    }
}

impl Default for RawReport {
    fn default() -> Self {
        Self {
            radii: vec![0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5],
        }
    }
}
