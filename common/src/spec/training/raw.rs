//! The training specification as written: its keys, their types and their defaults.

use serde::Deserialize;

use crate::spec::raw::{RawChoice, RawDataset, RawPrecision, Required};

/// The keys that are tables.
pub(super) const TABLES: &[&str] = &[
    "dataset",
    "validation",
    "model",
    "loss",
    "sigma",
    "train",
    "optimiser",
    "augmentation",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawTraining {
    pub(super) name: Required<String>,
    pub(super) seed: Required<i64>,
    pub(super) dataset: RawDataset,
    pub(super) validation: RawValidation,
    pub(super) model: RawTrainedModel,
    pub(super) loss: RawLoss,
    pub(super) sigma: RawSigma,
    pub(super) train: RawTrain,
    pub(super) optimiser: RawOptimiser,
    pub(super) augmentation: RawAugmentation,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawValidation {
    pub(super) samples: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawTrainedModel {
    pub(super) architecture: Required<String>,
    pub(super) classes: Required<i64>,
    pub(super) mean: Option<Vec<f64>>,
    pub(super) std: Option<Vec<f64>>,
    pub(super) initial: Option<String>,
    pub(super) precision: RawPrecision,
}

/// The keys of all losses. Each loss refuses the keys of the others.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLoss {
    pub(super) kind: Required<RawLossKind>,
    pub(super) draws: Option<i64>,
    pub(super) steps: Option<i64>,
    pub(super) epsilon: Option<f64>,
    pub(super) warm_up: Option<i64>,
    pub(super) beta: Option<f64>,
    pub(super) gamma: Option<f64>,
    pub(super) lambda: Option<f64>,
    pub(super) levels: Option<Vec<RawLevelRecords>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLevelRecords {
    pub(super) run: Required<String>,
    pub(super) variant: Required<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawLossKind {
    Gaussian,
    SmoothAdv,
    Macer,
    Selector,
}

/// The keys of the ascent are those of `[smoothing.data-dependent]` in a sweep. `iterations` has
/// another default.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSigma {
    pub(super) initial: Required<f64>,
    pub(super) choice: RawChoice,
    pub(super) from_epoch: Option<i64>,
    pub(super) iterations: Option<i64>,
    pub(super) draws: Option<i64>,
    pub(super) learning_rate: Option<f64>,
    pub(super) clamp: Option<f64>,
    pub(super) range: Option<Vec<f64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawTrain {
    pub(super) epochs: Required<i64>,
    pub(super) batch: Required<i64>,
    pub(super) group: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawOptimiser {
    pub(super) learning_rate: Required<f64>,
    pub(super) momentum: f64,
    pub(super) weight_decay: f64,
    pub(super) schedule: RawSchedule,
    pub(super) every: Option<i64>,
    pub(super) milestones: Option<Vec<i64>>,
    pub(super) factor: Option<f64>,
    pub(super) rise: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawSchedule {
    Constant,
    Step,
    Milestones,
    Cosine,
    OneCycle,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAugmentation {
    pub(super) crop_padding: i64,
    pub(super) flip: bool,
}

impl Default for RawValidation {
    fn default() -> Self {
        Self { samples: 1000 }
    }
}

impl Default for RawSigma {
    fn default() -> Self {
        Self {
            initial: Required(None),
            choice: RawChoice::Fixed,
            from_epoch: None,
            iterations: None,
            draws: None,
            learning_rate: None,
            clamp: None,
            range: None,
        }
    }
}

impl Default for RawOptimiser {
    fn default() -> Self {
        Self {
            learning_rate: Required(None),
            momentum: 0.9,
            weight_decay: 1e-4,
            schedule: RawSchedule::Constant,
            every: None,
            milestones: None,
            factor: None,
            rise: None,
        }
    }
}

/// The augmentation of He et al. 2016 on CIFAR-10.
impl Default for RawAugmentation {
    fn default() -> Self {
        Self {
            crop_padding: 4,
            flip: true,
        }
    }
}
