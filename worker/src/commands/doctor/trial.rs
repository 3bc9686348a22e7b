//! Every precision tried on a small network.

use anyhow::{Context, Result};
use ddrs_common::architecture::Architecture;
use ddrs_common::spec::{ModelSource, ModelSpec, Precision};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use ddrs_worker::device;
use ddrs_worker::model;

/// Every precision there is.
pub(super) const PRECISIONS: [Precision; 4] = [
    Precision::Fp32,
    Precision::Tf32,
    Precision::Bf16,
    Precision::Fp16,
];

/// A device, and what runs on it.
#[derive(Debug, Serialize)]
pub(super) struct DeviceTrial {
    /// What records call it.
    pub(super) name: String,
    /// Every precision.
    pub(super) precisions: Vec<PrecisionTrial>,
}

/// A precision on a device.
#[derive(Debug, Serialize)]
pub(super) struct PrecisionTrial {
    /// fp32, tf32, bf16 or fp16.
    pub(super) precision: &'static str,
    /// Why it does not run.
    pub(super) reason: Option<String>,
    /// The largest difference of a score from fp32 on the CPU, relative to the largest score.
    pub(super) from_fp32: Option<f64>,
    /// Whether its convolutions are computed in fp32 and rounded: see [`model::emulates_bf16`].
    pub(super) wide: bool,
    /// How many convolutions run fused with what follows them.
    pub(super) fused: usize,
    /// How many could.
    pub(super) candidates: usize,
}

impl PrecisionTrial {
    /// Whether it runs.
    pub(super) fn runs(&self) -> bool {
        self.reason.is_none()
    }
}

/// Tries every precision on a device.
///
/// # Errors
/// When there is no place for a temporary file, or fp32 on the CPU fails.
pub(super) fn try_out(device: Device) -> Result<DeviceTrial> {
    let dir = TempDir::new()?;
    let path = dir.0.join("model.safetensors");
    let architecture: Architecture = "cifar-resnet20".parse()?;
    model::random_weights(architecture, 10, 0, &path)?;
    let spec = |precision| ModelSpec {
        name: "trial".to_owned(),
        path: path.clone(),
        source: ModelSource::Safetensors(architecture),
        classes: 10,
        mean: Some(vec![0.5; 3]),
        std: Some(vec![0.25; 3]),
        precision,
    };
    let scores = |precision, device| -> Result<(Tensor, model::FusionCounts)> {
        let network = model::load(&spec(precision), device)?;
        let images = images()?.f_to(device)?;
        let scores = tch::no_grad(|| network.scores(&images)).map_err(model::brief)?;
        Ok((
            scores.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?,
            network.fusion_counts(),
        ))
    };
    let (exact, _) = scores(Precision::Fp32, Device::Cpu).context("fp32 on the cpu")?;
    let largest = exact.f_abs()?.f_max()?.f_double_value(&[])?;
    let row = |precision: Precision| {
        let tried = scores(precision, device).and_then(|(found, paths)| {
            let apart = (found - &exact).f_abs()?.f_max()?.f_double_value(&[])? / largest;
            anyhow::ensure!(
                apart < 0.25,
                "its scores differ from those of fp32 by {apart:.2} of the largest"
            );
            Ok((apart, paths))
        });
        let (reason, from_fp32, paths) = match tried {
            Ok((apart, paths)) => (None, Some(apart), paths),
            Err(error) => (
                Some(format!("{}", error.root_cause())),
                None,
                model::FusionCounts::default(),
            ),
        };
        let model::FusionCounts { candidates, fused } = paths;
        let wide = precision == Precision::Bf16 && model::emulates_bf16(Kind::BFloat16, device);
        PrecisionTrial {
            precision: precision.as_str(),
            reason,
            from_fp32,
            wide,
            fused,
            candidates,
        }
    };
    Ok(DeviceTrial {
        name: device::name(device),
        precisions: PRECISIONS.into_iter().map(row).collect(),
    })
}

/// Four images of a fixed pattern, in channels-last order.
fn images() -> Result<Tensor> {
    let values: Vec<f32> = (0..4 * 32 * 32 * 3_u32)
        .map(|place| (place * 37 % 101) as f32 / 100.0)
        .collect();
    Ok(Tensor::f_from_slice(&values)?
        .f_view([4, 32, 32, 3])?
        .f_permute([0, 3, 1, 2])?)
}

/// A folder of this process, gone at the end.
pub(super) struct TempDir(pub(super) std::path::PathBuf);

impl TempDir {
    /// Makes it.
    ///
    /// # Errors
    /// When the system does not.
    pub(super) fn new() -> Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "ddrs-doctor-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
