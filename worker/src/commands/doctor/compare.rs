//! Compares two devices: sends the same noise through fp32 on the CPU and through every precision
//! on the device asked for, and counts the draws whose class differs.
//!
//! The noise is made on the CPU and copied to both, so every difference comes from arithmetic. A
//! specification gives a real model and a real image. The name of an architecture gives random
//! weights; their last layer is centred on the noisy images, so that noise decides between classes.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ddrs_common::architecture::Architecture;
use ddrs_common::cli::BadInput;
use ddrs_common::data::Dataset;
use ddrs_common::plan::Plan;
use ddrs_common::spec::{self, ModelSpec, Precision, Sweep};
use ddrs_worker::device;
use ddrs_worker::failure::brief;
use ddrs_worker::model::{self, Classifier, FusionCounts, is_finite};
use tch::{Device, Kind, Tensor};

use super::comparison::{Comparison, OVERFLOW};
use super::temporary::DoctorFolder;
use super::trial::PRECISIONS;

/// Images per forward pass on the CPU.
const CPU_IMAGES: i64 = 16;

/// Compares one model, or every model of a specification, in every precision.
///
/// # Errors
/// [`BadInput`] when `name` is neither an architecture nor a specification that can be read;
/// otherwise when the CPU fails.
pub(super) fn compare(name: &str, device: Device, draws: u32) -> Result<Vec<Comparison>> {
    let models = compared_models(name, i64::from(draws))
        .with_context(|| format!("--compare {name}"))
        .map_err(BadInput)?;
    // Nothing here is a record, so sums may be made in any order.
    tch::set_num_threads(std::thread::available_parallelism().map_or(1, usize::from) as i32);
    let mut rows = Vec::new();
    for model in &models {
        let expected = model.expected()?;
        for precision in PRECISIONS {
            rows.push(model.compare(&expected, precision, device)?);
        }
    }
    Ok(rows)
}

/// One network and the draws of one image.
struct ModelWithDraws {
    spec: ModelSpec,
    batch: Tensor,
    /// The folder of random weights.
    folder: Option<DoctorFolder>,
}

/// The result of fp32 on the CPU.
struct ExpectedScores {
    scores: Tensor,
    classes: Tensor,
    largest: f64,
}

/// The result of a precision on the device.
struct MeasuredScores {
    scores: Tensor,
    repeats: bool,
    same_in_larger_passes: Option<bool>,
    fusion: FusionCounts,
}

impl MeasuredScores {
    fn overflows(&self, precision: Precision) -> bool {
        precision == Precision::Fp16 && !is_finite(&self.scores).unwrap_or(false)
    }
}

impl ModelWithDraws {
    fn expected(&self) -> Result<ExpectedScores> {
        let network = self.load(Precision::Fp32, Device::Cpu)?;
        let scores = scores(&*network, &self.batch, Device::Cpu)?;
        Ok(ExpectedScores {
            classes: scores.f_argmax(1, false)?,
            largest: largest(&scores)?,
            scores,
        })
    }

    fn compare(
        &self,
        expected: &ExpectedScores,
        precision: Precision,
        device: Device,
    ) -> Result<Comparison> {
        let row = self.empty_row(expected, precision, device)?;
        match self.measure(precision, device, self.images_of_pass(device)) {
            Err(error) => Ok(Comparison {
                reason: Some(error.root_cause().to_string()),
                ..row
            }),
            Ok(measured) if measured.overflows(precision) => Ok(Comparison {
                reason: Some(OVERFLOW.to_owned()),
                ..row
            }),
            Ok(measured) => self.fill(row, expected, &measured, device),
        }
    }

    fn empty_row(
        &self,
        expected: &ExpectedScores,
        precision: Precision,
        device: Device,
    ) -> Result<Comparison> {
        let counts = expected.classes.f_bincount(None::<Tensor>, 0)?;
        Ok(Comparison {
            model: self.spec.name.clone(),
            device: device::name(device),
            precision: precision.as_str(),
            reason: None,
            draws: self.draws(),
            disagreements: 0,
            most_frequent: counts.f_max()?.f_int64_value(&[])?,
            largest_difference: 0.0,
            repeats: true,
            same_in_larger_passes: None,
            images_of_pass: 0,
            fused: 0,
            candidates: 0,
            random: self.folder.is_some(),
        })
    }

    fn fill(
        &self,
        row: Comparison,
        expected: &ExpectedScores,
        measured: &MeasuredScores,
        device: Device,
    ) -> Result<Comparison> {
        let difference = measured.scores.f_sub(&expected.scores)?;
        Ok(Comparison {
            disagreements: disagreements(&measured.scores, &expected.classes)?,
            largest_difference: largest(&difference)? / expected.largest,
            repeats: measured.repeats,
            same_in_larger_passes: measured.same_in_larger_passes,
            images_of_pass: self.images_of_pass(device),
            fused: measured.fusion.fused,
            candidates: measured.fusion.candidates,
            ..row
        })
    }

    fn measure(&self, precision: Precision, device: Device, images: i64) -> Result<MeasuredScores> {
        let network = self.load(precision, device)?;
        let first = scores(&*network, &self.batch, device)?;
        // Another batch in between, so that the second result is not just left over in memory.
        let _ = scores(&*network, &self.batch.f_flip([0])?, device)?;
        let second = scores(&*network, &self.batch, device)?;
        Ok(MeasuredScores {
            repeats: first.f_equal(&second)?,
            same_in_larger_passes: same_in_larger_passes(&*network, &self.batch, device, images)?,
            fusion: network.fusion_counts(),
            scores: first,
        })
    }

    fn load(&self, precision: Precision, device: Device) -> Result<Box<dyn Classifier>> {
        let spec = ModelSpec {
            precision,
            ..self.spec.clone()
        };
        model::load(&spec, device)
    }

    fn draws(&self) -> i64 {
        self.batch.size()[0]
    }

    /// Returns the smaller of the two sizes of passes that are compared.
    fn images_of_pass(&self, device: Device) -> i64 {
        if device.is_cuda() {
            self.draws() / 2
        } else {
            CPU_IMAGES
        }
    }
}

/// Counts the draws whose class differs.
fn disagreements(scores: &Tensor, classes: &Tensor) -> Result<i64> {
    let differs = scores.f_argmax(1, false)?.f_ne_tensor(classes)?;
    Ok(differs.f_sum(Kind::Int64)?.f_int64_value(&[])?)
}

/// Returns the largest absolute value.
fn largest(values: &Tensor) -> Result<f64> {
    Ok(values.f_abs()?.f_max()?.f_double_value(&[])?)
}

/// Returns true if images have the same scores in passes of `images` images and of twice that
/// number. `None` if the batch does not fill the larger pass.
fn same_in_larger_passes(
    network: &dyn Classifier,
    batch: &Tensor,
    device: Device,
    images: i64,
) -> Result<Option<bool>> {
    let larger = 2 * images;
    let used = batch.size()[0] / larger.max(1) * larger;
    if used == 0 {
        return Ok(None);
    }
    let batch = batch.f_narrow(0, 0, used)?;
    // The threads of a worker use one torch thread each. With more torch threads, the two sizes
    // would be cut into different pieces.
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let same = same_scores(network, &batch, device, images);
    tch::set_num_threads(threads);
    same.map(Some)
}

fn same_scores(
    network: &dyn Classifier,
    batch: &Tensor,
    device: Device,
    images: i64,
) -> Result<bool> {
    let smaller = scores_in_passes(network, batch, device, images)?;
    Ok(smaller.f_equal(&scores_in_passes(network, batch, device, 2 * images)?)?)
}

/// Returns the scores in double precision on the CPU.
fn scores(network: &dyn Classifier, batch: &Tensor, device: Device) -> Result<Tensor> {
    let pass = if device.is_cuda() {
        batch.size()[0]
    } else {
        CPU_IMAGES
    };
    scores_in_passes(network, batch, device, pass)
}

/// Returns the scores in double precision on the CPU, computed in passes of `pass` images.
fn scores_in_passes(
    network: &dyn Classifier,
    batch: &Tensor,
    device: Device,
    pass: i64,
) -> Result<Tensor> {
    let images = batch.size()[0];
    let mut parts = Vec::new();
    for start in (0..images).step_by(pass as usize) {
        let part = batch.f_narrow(0, start, pass.min(images - start))?;
        parts.push(scores_of_pass(network, &part, device)?);
    }
    Ok(Tensor::f_cat(&parts, 0)?)
}

fn scores_of_pass(network: &dyn Classifier, images: &Tensor, device: Device) -> Result<Tensor> {
    let images = images.f_to(device)?;
    let scores = tch::no_grad(|| network.scores(&images)).map_err(brief)?;
    Ok(scores.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?)
}

fn compared_models(name: &str, draws: i64) -> Result<Vec<ModelWithDraws>> {
    ensure!(draws > 0, "--draws must be 1 or more");
    let path = Path::new(name);
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        from_specification(path, draws)
    } else {
        Ok(vec![from_architecture(name.parse()?, draws)?])
    }
}

/// Returns every model of a specification, with its first image at its first sigma.
fn from_specification(path: &Path, draws: i64) -> Result<Vec<ModelWithDraws>> {
    let text = spec::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (sweep, _) = spec::parse_with_models(&text, path, spec::random_seed()?)?;
    let batch = first_image(&sweep, draws)?;
    let models = sweep.networks().into_iter().map(|spec| ModelWithDraws {
        spec: spec.clone(),
        batch: batch.shallow_clone(),
        folder: None,
    });
    Ok(models.collect())
}

fn first_image(sweep: &Sweep, draws: i64) -> Result<Tensor> {
    let dataset = Dataset::open(&sweep.dataset)?;
    let index = Plan::new(sweep, dataset.len())?.index(0);
    let image = dataset
        .image(index)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let sigma = sweep.variants()[0].sigma0.get();
    model::noisy_images(&image.pixels, image.shape, index, sigma, draws)
}

/// Returns random weights, with an image of a fixed pattern.
fn from_architecture(architecture: Architecture, draws: i64) -> Result<ModelWithDraws> {
    let folder = DoctorFolder::create()?;
    let path = folder.path().join("model.safetensors");
    let (classes, _) = architecture.usual_size();
    model::random_weights(architecture, classes, 0, &path)?;
    let spec = model::centre(architecture, classes, &path)?;
    Ok(ModelWithDraws {
        spec,
        batch: model::noisy_pattern(architecture, draws)?,
        folder: Some(folder),
    })
}
