//! The same noise through two devices: counts by fp32 on the CPU, and by every precision on the
//! device asked for.
//!
//! The noise is made on the CPU and sent to both, so whatever differs is arithmetic. A
//! specification gives a real model and a real image; the name of an architecture gives random
//! weights, whose last layer is centred on the noisy images so that noise decides between classes.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ddrs_common::architecture::Architecture;
use ddrs_common::data::Dataset;
use ddrs_common::plan::Plan;
use ddrs_common::spec::{self, ModelSpec, Precision};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::trial::{PRECISIONS, TempDir};
use ddrs_common::cli::BadInput;
use ddrs_worker::device;
use ddrs_worker::model::{self, Classifier, FusionCounts, is_finite};

/// Images of a forward pass on the CPU.
const SLICE: i64 = 16;
/// Draws in which fp32 may differ between devices: only those whose two largest scores are as good
/// as equal, which are fewer than one in a hundred.
const FP32_MAY_DIFFER: f64 = 0.01;

/// What is said where scores of fp16 are not finite.
pub(super) const OVERFLOW: &str = "scores are not finite: fp16 ends at 65504";

/// One network and the draws of one image.
struct Case {
    spec: ModelSpec,
    batch: Tensor,
    /// Where random weights lie until they are compared.
    dir: Option<TempDir>,
}

/// How one precision on the device compares with fp32 on the CPU.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) model: String,
    pub(super) device: String,
    pub(super) precision: &'static str,
    /// Why there is nothing to compare.
    pub(super) reason: Option<String>,
    pub(super) draws: i64,
    /// Draws whose class is another one.
    pub(super) disagreements: i64,
    /// Draws of the most frequent class on the CPU: how much there was to disagree about.
    pub(super) most_frequent: i64,
    /// The largest difference of a score, relative to the largest score.
    pub(super) largest_difference: f64,
    /// Whether the device gave the same bits again after other work.
    pub(super) repeats: bool,
    /// Whether every image had the same bits in passes of a size and of twice that, which is what
    /// lets a worker choose between them; none where there were too few draws to tell.
    pub(super) same_in_larger_passes: Option<bool>,
    /// The smaller of these sizes.
    pub(super) images_of_pass: i64,
    pub(super) fused: usize,
    pub(super) candidates: usize,
    /// Whether the weights are nobody's.
    #[serde(skip)]
    pub(super) random: bool,
}

impl Comparison {
    /// What is wrong beyond rounding.
    pub(super) fn wrong(&self) -> Option<String> {
        let what = format!("{} {} on {}", self.model, self.precision, self.device);
        // tf32 is refused on a CPU by what it is.
        match &self.reason {
            Some(_) if self.precision == "tf32" && self.device == "cpu" => return None,
            // So are the activations of random weights, which pass 65,504 after some hundred
            // layers.
            Some(reason) if self.random && reason == OVERFLOW => return None,
            Some(reason) => return Some(format!("{what}: {reason}")),
            None => {}
        }
        let share = self.disagreements as f64 / self.draws as f64;
        if !self.repeats {
            Some(format!(
                "{what}: the same images gave other scores the second time"
            ))
        } else if self.precision == "fp32" && share > FP32_MAY_DIFFER {
            Some(format!(
                "{what}: {} of {} draws have another class than on the cpu",
                self.disagreements, self.draws
            ))
        } else {
            None
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "compare   {} {} on {}: ",
            self.model, self.precision, self.device
        )?;
        if let Some(reason) = &self.reason {
            return write!(f, "{reason}");
        }
        write!(
            f,
            "{} of {} draws have another class than fp32 on the cpu ({} of one class there); scores within {:.1e}; \
             {}; {}; {} of {} convolutions fused",
            self.disagreements,
            self.draws,
            self.most_frequent,
            self.largest_difference,
            if self.repeats {
                "the same bits again"
            } else {
                "OTHER BITS the second time"
            },
            match self.same_in_larger_passes {
                None => "too few draws to try passes of two sizes".to_owned(),
                Some(same) => format!(
                    "{} in passes of {} images and of {}",
                    if same { "the same bits" } else { "other bits" },
                    self.images_of_pass,
                    2 * self.images_of_pass
                ),
            },
            self.fused,
            self.candidates
        )
    }
}

/// Compares one model, or every model of a specification, in every precision.
///
/// # Errors
/// [`BadInput`] when `what` is neither an architecture nor a specification that can be read;
/// otherwise what fails on the CPU.
pub(super) fn compare(what: &str, device: Device, draws: u32) -> Result<Vec<Comparison>> {
    let cases = cases(what, i64::from(draws))
        .with_context(|| format!("--compare {what}"))
        .map_err(BadInput)?;
    // Nothing here is a record, so sums may be made in any order.
    tch::set_num_threads(std::thread::available_parallelism().map_or(1, usize::from) as i32);
    let mut rows = Vec::new();
    for case in cases {
        let network = load(&case.spec, Precision::Fp32, Device::Cpu)?;
        let exact = scores(&*network, &case.batch, Device::Cpu)?;
        for precision in PRECISIONS {
            rows.push(row(&case, &exact, precision, device)?);
        }
    }
    Ok(rows)
}

fn row(case: &Case, exact: &Tensor, precision: Precision, device: Device) -> Result<Comparison> {
    let largest = exact.f_abs()?.f_max()?.f_double_value(&[])?;
    let classes = exact.f_argmax(1, false)?;
    let mut row = Comparison {
        model: case.spec.name.clone(),
        device: device::name(device),
        precision: precision.as_str(),
        reason: None,
        draws: case.batch.size()[0],
        disagreements: 0,
        most_frequent: classes
            .f_bincount(None::<Tensor>, 0)?
            .f_max()?
            .f_int64_value(&[])?,
        largest_difference: 0.0,
        repeats: true,
        same_in_larger_passes: None,
        images_of_pass: 0,
        fused: 0,
        candidates: 0,
        random: case.dir.is_some(),
    };
    let half = if device.is_cuda() {
        row.draws / 2
    } else {
        SLICE
    };
    let tried = || -> Result<(Tensor, bool, Option<bool>, FusionCounts)> {
        let network = load(&case.spec, precision, device)?;
        let first = scores(&*network, &case.batch, device)?;
        // Another batch in between, so that nothing is merely left over.
        let _ = scores(&*network, &case.batch.f_flip([0])?, device)?;
        let again = scores(&*network, &case.batch, device)?;
        let same = same_in_larger_passes(&*network, &case.batch, device, half)?;
        Ok((
            first.shallow_clone(),
            first.f_equal(&again)?,
            same,
            network.fusion_counts(),
        ))
    };
    match tried() {
        Err(error) => row.reason = Some(error.root_cause().to_string()),
        Ok((found, ..)) if precision == Precision::Fp16 && !is_finite(&found).unwrap_or(false) => {
            row.reason = Some(OVERFLOW.to_owned())
        }
        Ok((found, repeats, same, paths)) => {
            row.disagreements = found
                .f_argmax(1, false)?
                .f_ne_tensor(&classes)?
                .f_sum(Kind::Int64)?
                .f_int64_value(&[])?;
            row.largest_difference =
                found.f_sub(exact)?.f_abs()?.f_max()?.f_double_value(&[])? / largest;
            (row.repeats, row.fused, row.candidates) = (repeats, paths.fused, paths.candidates);
            (row.same_in_larger_passes, row.images_of_pass) = (same, half);
        }
    }
    Ok(row)
}

fn load(spec: &ModelSpec, precision: Precision, device: Device) -> Result<Box<dyn Classifier>> {
    model::load(
        &ModelSpec {
            precision,
            ..spec.clone()
        },
        device,
    )
}

/// Scores in double precision, brought to the CPU.
fn scores(network: &dyn Classifier, batch: &Tensor, device: Device) -> Result<Tensor> {
    let images = batch.size()[0];
    scores_in(
        network,
        batch,
        device,
        if device.is_cuda() {
            images
        } else {
            SLICE.min(images)
        },
    )
}

/// Whether images have the same scores in passes of `half` and of twice as many: as many images as
/// fill the larger.
fn same_in_larger_passes(
    network: &dyn Classifier,
    batch: &Tensor,
    device: Device,
    half: i64,
) -> Result<Option<bool>> {
    let images = batch.size()[0] / (2 * half).max(1) * 2 * half;
    if images == 0 {
        return Ok(None);
    }
    let batch = batch.f_narrow(0, 0, images)?;
    // As a worker's lanes compute. Several threads would cut the two sizes into other pieces.
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let (smaller, larger) = (
        scores_in(network, &batch, device, half),
        scores_in(network, &batch, device, 2 * half),
    );
    tch::set_num_threads(threads);
    Ok(Some(smaller?.f_equal(&larger?)?))
}

/// Scores in double precision, brought to the CPU, computed in passes of `slice` images.
fn scores_in(
    network: &dyn Classifier,
    batch: &Tensor,
    device: Device,
    slice: i64,
) -> Result<Tensor> {
    let images = batch.size()[0];
    let mut parts = Vec::new();
    for start in (0..images).step_by(slice as usize) {
        let part = batch
            .f_narrow(0, start, slice.min(images - start))?
            .f_to(device)?;
        let part = tch::no_grad(|| network.scores(&part)).map_err(model::brief)?;
        parts.push(part.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?);
    }
    Ok(Tensor::f_cat(&parts, 0)?)
}

fn cases(what: &str, draws: i64) -> Result<Vec<Case>> {
    ensure!(draws > 0, "--draws must be 1 or more");
    if Path::new(what)
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        return of_specification(Path::new(what), draws);
    }
    Ok(vec![of_architecture(what.parse()?, draws)?])
}

/// Every model of a specification on its first image, at its first sigma.
fn of_specification(path: &Path, draws: i64) -> Result<Vec<Case>> {
    let text = spec::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (sweep, _) = spec::parse_with_models(&text, path)?;
    let dataset = Dataset::open(&sweep.dataset)?;
    let index = Plan::new(&sweep, dataset.len())?.index(0);
    let image = dataset
        .image(index)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let batch = model::noisy_images(
        &image.pixels,
        image.shape,
        index,
        sweep.smoothing.sigma[0].get(),
        draws,
    )?;
    let case = |spec: &ModelSpec| Case {
        spec: spec.clone(),
        batch: batch.shallow_clone(),
        dir: None,
    };
    Ok(sweep.models.iter().map(case).collect())
}

/// Random weights on an image of a fixed pattern.
fn of_architecture(architecture: Architecture, draws: i64) -> Result<Case> {
    let dir = TempDir::new()?;
    let path = dir.0.join("model.safetensors");
    let (classes, _) = model::usual_size(architecture);
    model::random_weights(architecture, classes, 0, &path)?;
    let spec = model::centre(architecture, classes, &path)?;
    Ok(Case {
        spec,
        batch: model::noisy_pattern(architecture, draws)?,
        dir: Some(dir),
    })
}
