//! Tries every precision on a device with a small network.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use ddrs_common::architecture::Architecture;
use ddrs_common::spec::{ModelSource, ModelSpec, Precision};
use ddrs_worker::device;
use ddrs_worker::failure::brief;
use ddrs_worker::model::{self, FusionCounts};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::same_noise;
use super::temporary::DoctorFolder;

/// Every precision.
pub(super) const PRECISIONS: [Precision; 4] = [
    Precision::Fp32,
    Precision::Tf32,
    Precision::Bf16,
    Precision::Fp16,
];

/// The largest difference from fp32 that rounding explains, relative to the largest score.
const MAX_DIFFERENCE: f64 = 0.25;
const CLASSES: u32 = 10;

/// A device, and the precisions that run on it.
#[derive(Debug, Serialize)]
pub(super) struct DeviceTrial {
    /// The name of the device in records.
    pub(super) name: String,
    pub(super) precisions: Vec<PrecisionTrial>,
    /// The reason why it does not draw the noise of the CPU.
    pub(super) other_noise: Option<String>,
}

/// A precision on a device.
#[derive(Debug, Serialize)]
pub(super) struct PrecisionTrial {
    /// fp32, tf32, bf16 or fp16.
    pub(super) precision: &'static str,
    /// The reason why it does not run.
    pub(super) reason: Option<String>,
    /// The largest difference of a score from fp32 on the CPU, relative to the largest score.
    pub(super) from_fp32: Option<f64>,
    /// True if its convolutions are computed in fp32 and rounded: see [`model::emulates_bf16`].
    pub(super) wide: bool,
    /// Convolutions that run fused with the operations after them.
    pub(super) fused: usize,
    /// Convolutions that could.
    pub(super) candidates: usize,
}

impl DeviceTrial {
    /// Returns true if any precision runs on the device.
    pub(super) fn runs_any_precision(&self) -> bool {
        self.precisions.iter().any(PrecisionTrial::runs)
    }
}

impl PrecisionTrial {
    /// Returns true if the precision runs on the device.
    pub(super) fn runs(&self) -> bool {
        self.reason.is_none()
    }
}

/// Tries every precision on a device.
///
/// # Errors
/// When no temporary file can be written, or fp32 on the CPU fails.
pub(super) fn try_device(device: Device) -> Result<DeviceTrial> {
    let probe = DeviceProbe::new(device)?;
    Ok(DeviceTrial {
        name: device::name(device),
        precisions: PRECISIONS.map(|precision| probe.run(precision)).into(),
        other_noise: same_noise::difference(device),
    })
}

/// A small network with random weights, and its scores in fp32 on the CPU.
struct DeviceProbe {
    device: Device,
    model: TrialModel,
    exact: Tensor,
    largest: f64,
}

impl DeviceProbe {
    fn new(device: Device) -> Result<Self> {
        let model = TrialModel::create()?;
        let (exact, _) = model
            .scores(Precision::Fp32, Device::Cpu)
            .context("fp32 on the cpu")?;
        Ok(Self {
            device,
            model,
            largest: largest(&exact)?,
            exact,
        })
    }

    fn run(&self, precision: Precision) -> PrecisionTrial {
        let tried = self.compare(precision);
        let fusion = tried
            .as_ref()
            .map(|(_, fusion)| *fusion)
            .unwrap_or_default();
        PrecisionTrial {
            precision: precision.as_str(),
            from_fp32: tried.as_ref().ok().map(|(difference, _)| *difference),
            reason: tried.err().map(|error| error.root_cause().to_string()),
            wide: precision == Precision::Bf16 && model::emulates_bf16(Kind::BFloat16, self.device),
            fused: fusion.fused,
            candidates: fusion.candidates,
        }
    }

    /// Returns the largest difference from fp32, relative to the largest score.
    fn compare(&self, precision: Precision) -> Result<(f64, FusionCounts)> {
        let (scores, fusion) = self.model.scores(precision, self.device)?;
        let difference = largest(&scores.f_sub(&self.exact)?)? / self.largest;
        ensure!(
            difference < MAX_DIFFERENCE,
            "its scores differ from those of fp32 by {difference:.2} of the largest"
        );
        Ok((difference, fusion))
    }
}

/// Returns the largest absolute value.
fn largest(values: &Tensor) -> Result<f64> {
    Ok(values.f_abs()?.f_max()?.f_double_value(&[])?)
}

/// The file of a network with random weights.
struct TrialModel {
    architecture: Architecture,
    path: PathBuf,
    /// Removes the file when it is dropped.
    _folder: DoctorFolder,
}

impl TrialModel {
    fn create() -> Result<Self> {
        let folder = DoctorFolder::create()?;
        let path = folder.path().join("model.safetensors");
        let architecture = "cifar-resnet20".parse()?;
        model::random_weights(architecture, CLASSES, 0, &path)?;
        Ok(Self {
            architecture,
            path,
            _folder: folder,
        })
    }

    /// Returns the scores in double precision on the CPU.
    fn scores(&self, precision: Precision, device: Device) -> Result<(Tensor, FusionCounts)> {
        let network = model::load(&self.spec(precision), device)?;
        let images = images()?.f_to(device)?;
        let scores = tch::no_grad(|| network.scores(&images)).map_err(brief)?;
        let scores = scores.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?;
        Ok((scores, network.fusion_counts()))
    }

    fn spec(&self, precision: Precision) -> ModelSpec {
        ModelSpec {
            name: "trial".to_owned(),
            path: self.path.clone(),
            source: ModelSource::Safetensors(self.architecture),
            weights: None,
            classes: CLASSES,
            mean: Some(vec![0.5; 3]),
            std: Some(vec![0.25; 3]),
            precision,
            options: self.architecture.usual_options(),
        }
    }
}

/// Returns four images of a fixed pattern, in channels-last order.
fn images() -> Result<Tensor> {
    let values: Vec<f32> = (0..4 * 32 * 32 * 3_u32)
        .map(|place| (place * 37 % 101) as f32 / 100.0)
        .collect();
    let images = Tensor::f_from_slice(&values)?.f_view([4, 32, 32, 3])?;
    Ok(images.f_permute([0, 3, 1, 2])?)
}
