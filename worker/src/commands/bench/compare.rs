//! What `bench sigma` and `bench stopping` compare on real images and a real model.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use ddrs_common::data::{Dataset, Image};
use ddrs_common::domain::{Alpha, Certification, Choice, Outcome, Radius, SampleIndex, Sigma};
use ddrs_common::output::print;
use ddrs_common::plan::Plan;
use ddrs_common::spec::{self, ModelSource, SigmaMethod, Stopping, Sweep, Variant};
use serde_json::{Value, json};

use super::peer;
use crate::cli::{CompareArgs, OutputFormat};
use crate::engine::{Engine, Network, Sample};
use crate::exit::Refused;

/// The images of a specification, and its first model at its first sigma.
struct Bench {
    engine: Engine,
    network: Network,
    sweep: Sweep,
    images: Vec<(SampleIndex, Image)>,
}

/// The certifications of one run by position, and the seconds it took.
type Run = (BTreeMap<u64, Certification>, f64);

/// Compares the published ascent with the search: seconds, draws, and the mean radius that the same fresh draws estimate
/// at the sigmas of each.
///
/// # Errors
/// [`Refused`] where the specification, data or model does not fit.
pub(super) fn sigma(args: &CompareArgs) -> Result<()> {
    let bench = Bench::open(args)?;
    let spec = &bench.sweep.smoothing.data_dependent;
    let searches = matches!(spec.method, SigmaMethod::Search { .. });
    let (mut ascent, mut search) = (spec.clone(), spec.clone());
    if searches {
        (ascent.method, ascent.draws) = (SigmaMethod::Gradient, 1);
    } else {
        (search.method, search.draws) = (SigmaMethod::Search { rounds: 3, candidates: 5 }, 8);
    }
    let start = bench.sweep.smoothing.sigma[0];
    let mut all = vec![("start", 0, 0.0, vec![start; bench.images.len()])];
    for (name, method) in [("gradient", ascent.clone()), ("search", search)] {
        let draws = match method.method {
            SigmaMethod::Gradient => u64::from(method.iterations * method.draws),
            SigmaMethod::Search { rounds, candidates } => {
                u64::from((candidates + (rounds - 1) * (candidates - 1)) * method.draws)
            }
        };
        let mut sweep = bench.sweep.clone();
        sweep.smoothing.data_dependent = method;
        // Sigma is all that is wanted.
        (sweep.certify.n0, sweep.certify.n) = (NonZeroU64::MIN, NonZeroU64::MIN.saturating_add(1));
        (sweep.certify.alpha, sweep.certify.stopping) = (Alpha::new(0.4)?, Stopping::Fixed);
        let (found, seconds) = bench.run(&sweep, Choice::DataDependent)?;
        let sigmas = (0..bench.images.len() as u64).map(|place| found.get(&place).map_or(start, |found| found.sigma));
        all.push((name, draws, seconds, sigmas.collect()));
    }
    let radii = bench.radii(&all.iter().map(|(.., sigmas)| sigmas.as_slice()).collect::<Vec<_>>(), args.fresh)?;
    let images = bench.images.len() as f64;
    let mut rows = Vec::new();
    for ((name, draws, seconds, sigmas), radius) in all.iter().zip(radii) {
        let mean_sigma = sigmas.iter().map(|sigma| sigma.get()).sum::<f64>() / images;
        rows.push(
            json!({"method": name, "images": images, "draws_per_image": draws, "seconds_per_image": seconds / images,
            "mean_sigma": mean_sigma, "mean_estimated_radius": radius}),
        );
    }
    if let Some(python) = peer::python(args.peer_python.as_deref())?
        && let ModelSource::Safetensors(architecture) = bench.sweep.models[0].source
    {
        let device = if bench.engine.device().starts_with("cpu") { "cpu" } else { "cuda" };
        let rate = peer::rate(&python, "sigma", &architecture.to_string(), device, 500, 10.0)?;
        let draws = u64::from(ascent.iterations * ascent.draws);
        rows.push(json!({"method": "gradient, PyTorch", "draws_per_image": draws,
            "seconds_per_image": draws as f64 / rate}));
    }
    show(&rows, args.format)
}

/// Compares the rules of stopping: seconds, draws, and the share of (image, radius) that each decides as `fixed` does on a
/// grid of 0.25.
///
/// # Errors
/// [`Refused`] where the specification, data or model does not fit.
pub(super) fn stopping(args: &CompareArgs) -> Result<()> {
    let bench = Bench::open(args)?;
    let grid: Vec<Radius> = (0..=16).map(|step| Radius::new(0.25 * f64::from(step))).collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    let mut fixed: Option<Run> = None;
    for (name, rule) in
        [("fixed", Stopping::Fixed), ("radii", Stopping::Radii(grid.clone())), ("loss 0.01", Stopping::Loss(0.01))]
    {
        let mut sweep = bench.sweep.clone();
        sweep.certify.stopping = rule;
        let run = bench.run(&sweep, Choice::Fixed)?;
        let reference = fixed.as_ref().unwrap_or(&run);
        let drawn = |run: &Run| run.0.values().map(|found| found.n).sum::<u64>();
        let pairs = || run.0.iter().filter_map(|(place, found)| Some((found, reference.0.get(place)?)));
        let equal =
            pairs().map(|(a, b)| grid.iter().filter(|&&r| reaches(a, r) == reaches(b, r)).count()).sum::<usize>();
        rows.push(json!({"rule": name, "images": run.0.len(), "n": bench.sweep.certify.n.get(),
            "seconds_per_image": run.1 / run.0.len() as f64, "draws_per_image": drawn(&run) / run.0.len() as u64,
            "share_of_draws": drawn(&run) as f64 / drawn(reference) as f64,
            "equal_decisions": equal as f64 / (pairs().count() * grid.len()) as f64}));
        fixed.get_or_insert(run);
    }
    show(&rows, args.format)
}

/// Whether this radius is certified.
fn reaches(found: &Certification, at: Radius) -> bool {
    matches!(found.outcome, Outcome::Certified { radius, .. } if radius >= at)
}

impl Bench {
    fn open(args: &CompareArgs) -> Result<Self> {
        let text = spec::read(&args.spec).with_context(|| args.spec.display().to_string());
        let sweep = spec::parse(&text.map_err(Refused)?, &args.spec).map_err(|error| Refused(error.into()))?;
        let dataset = Dataset::open(&sweep.dataset).map_err(|error| Refused(error.into()))?;
        let plan = Plan::new(&sweep, dataset.len()).map_err(|error| Refused(error.into()))?;
        let indices = (0..plan.samples().min(args.samples)).map(|position| plan.index(position));
        let images = indices.map(|index| Ok((index, dataset.image(index)?))).collect::<Result<Vec<_>>>()?;
        let shape = images.first().map(|(_, image)| image.shape).ok_or_else(|| Refused(anyhow!("no images")))?;
        let engine = Engine::new(&args.device).map_err(Refused)?;
        let network = engine.load(&sweep.models[0], shape).map_err(Refused)?;
        Ok(Self { engine, network, sweep, images })
    }

    fn samples(&self) -> impl Iterator<Item = Sample> + Send {
        let numbered = self.images.iter().zip(0..);
        numbered.map(|((index, image), position)| Sample { index: *index, position, image: image.clone() })
    }

    /// The variant of the first model and sigma.
    fn variant(sweep: &Sweep, choice: Choice) -> Result<Variant> {
        let mut sweep = sweep.clone();
        sweep.smoothing.choice = vec![choice];
        sweep.variants().into_iter().next().context("a specification without variants")
    }

    /// Certifies every image once.
    fn run(&self, sweep: &Sweep, choice: Choice) -> Result<Run> {
        let places: BTreeMap<u64, u64> =
            self.images.iter().zip(0..).map(|((index, _), place)| (index.0, place)).collect();
        let found = Mutex::new(BTreeMap::new());
        let tell = |index: SampleIndex, result: Result<Certification, String>, _| {
            if let (Ok(certification), Ok(mut found), Some(&place)) = (result, found.lock(), places.get(&index.0)) {
                found.insert(place, certification);
            }
        };
        let (variant, start) = (Self::variant(sweep, choice)?, Instant::now());
        let (mut samples, never) = (self.samples(), AtomicBool::new(false));
        self.engine.certify(&self.network, &variant, sweep, &mut samples, &never, &tell)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((found.into_inner().map_err(|_| anyhow!("a lane panicked"))?, seconds))
    }

    /// The mean over the images of the radius that fresh draws estimate at one sigma each, for several lists of sigmas.
    fn radii(&self, sigmas: &[&[Sigma]], draws: u32) -> Result<Vec<f64>> {
        let mut sweep = self.sweep.clone();
        // Other draws than those that chose.
        sweep.seed = sweep.seed.wrapping_add(1);
        let variant = Self::variant(&sweep, Choice::DataDependent)?;
        let mut sums = vec![0.0; sigmas.len()];
        for (place, sample) in self.samples().enumerate() {
            let of_this: Vec<Sigma> = sigmas.iter().map(|of_all| of_all[place]).collect();
            let radii = self.engine.estimate(&self.network, &variant, &sweep, &sample, &of_this, draws)?;
            sums.iter_mut().zip(radii).for_each(|(sum, radius)| *sum += radius);
        }
        Ok(sums.into_iter().map(|sum| sum / self.images.len() as f64).collect())
    }
}

fn show(rows: &[Value], format: OutputFormat) -> Result<()> {
    for row in rows {
        let text = match (format, row) {
            (OutputFormat::Text, Value::Object(fields)) => {
                fields.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
            }
            _ => row.to_string(),
        };
        print(&(text + "\n"))?;
    }
    Ok(())
}
