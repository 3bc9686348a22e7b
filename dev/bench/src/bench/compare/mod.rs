//! `bench sigma` and `bench stopping`: comparisons on real images and a real model.

mod sigma;
mod stopping;

pub(super) use sigma::compare_sigma;
pub(super) use stopping::compare_stopping;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ddrs_common::cli::{BadInput, BlameInput, OutputFormat};
use ddrs_common::data::{Dataset, Image};
use ddrs_common::domain::{Certification, Choice, SampleIndex, Sigma};
use ddrs_common::grid::DataFacts;
use ddrs_common::output::print;
use ddrs_common::plan::Plan;
use ddrs_common::spec::{self, Sweep, Variant};
use ddrs_worker::engine::{Engine, LoadedNetwork, Sample, SweepPart};
use serde_json::Value;

use super::results::{SampleResults, certify, facts_of};
use crate::cli::CompareArgs;

/// The number of turns of each method. Each turn takes the next part of the images, so that other
/// load on the machine affects all methods alike.
const TURNS: usize = 4;

/// The images of a specification, and its first model at its first sigma.
struct ImageBench {
    engine: Engine,
    network: LoadedNetwork,
    sweep: Sweep,
    data: DataFacts,
    images: Vec<(SampleIndex, Image)>,
}

/// The certifications of one method by position, and the seconds that they took.
#[derive(Default)]
struct MethodRun {
    found: BTreeMap<u64, Certification>,
    seconds: f64,
}

impl ImageBench {
    fn open(args: &CompareArgs) -> Result<Self> {
        let sweep = read_sweep(args)?;
        let images = read_images(&sweep, args.samples)?;
        let shape = first_shape(&images)?;
        let engine = super::open_engine(&args.device)?;
        let network = engine.load(&sweep.models[0], shape).blame_input()?;
        Ok(Self {
            engine,
            network,
            sweep,
            data: facts_of(shape),
            images,
        })
    }

    fn samples(&self) -> impl Iterator<Item = Sample> + Send {
        let numbered = self.images.iter().zip(0..);
        numbered.map(|((index, image), position)| Sample {
            index: *index,
            position,
            image: image.clone(),
        })
    }

    /// Returns the parts of the images, one per turn. Parts leave no thread idle in the middle, as
    /// far as there are enough images.
    fn parts(&self) -> Result<Vec<Range<usize>>> {
        // The engine searches for this size once, which must not count for a method.
        self.engine.images_per_pass(&self.network, &self.sweep)?;
        let group = self.engine.group_size(&self.network, &self.sweep);
        Ok(parts(self.images.len(), self.engine.threads() * group))
    }

    /// Certifies a part of the images.
    fn run(
        &self,
        sweep: &Sweep,
        choice: Choice,
        part: &Range<usize>,
        run: &mut MethodRun,
    ) -> Result<()> {
        let variant = first_variant(sweep, choice)?;
        let mut samples = self.samples_of(part);
        let start = Instant::now();
        let results = certify(
            &self.engine,
            &self.network,
            part_of(sweep, &variant, &self.data),
            &mut samples,
        )?;
        run.add(start.elapsed(), &self.places(), results);
        Ok(())
    }

    fn samples_of(&self, part: &Range<usize>) -> impl Iterator<Item = Sample> + Send {
        self.samples().skip(part.start).take(part.len())
    }

    /// Returns the position of each index.
    fn places(&self) -> BTreeMap<SampleIndex, u64> {
        let numbered = self.images.iter().zip(0..);
        numbered
            .map(|((index, _), place)| (*index, place))
            .collect()
    }

    /// Returns the mean over the images of the radius that fresh draws estimate, for several lists
    /// of one sigma per image.
    fn mean_radii(&self, sigmas: &[&[Sigma]], draws: u32) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; sigmas.len()];
        for (place, sample) in self.samples().enumerate() {
            let of_image = sigmas_of_image(sigmas, place);
            add_to(&mut sums, &self.fresh_radii(&sample, &of_image, draws)?);
        }
        let images = self.images.len() as f64;
        Ok(sums.into_iter().map(|sum| sum / images).collect())
    }

    /// Estimates the radius of an image at several sigmas, by other draws than those that chose
    /// the sigmas.
    fn fresh_radii(&self, sample: &Sample, sigmas: &[Sigma], draws: u32) -> Result<Vec<f64>> {
        let mut sweep = self.sweep.clone();
        sweep.seed = sweep.seed.wrapping_add(1);
        let variant = first_variant(&sweep, Choice::DataDependent)?;
        self.engine.estimate_radii(
            &self.network,
            part_of(&sweep, &variant, &self.data),
            sample,
            sigmas,
            draws,
        )
    }
}

impl MethodRun {
    /// Returns the number of images that were certified.
    fn images(&self) -> f64 {
        self.found.len() as f64
    }

    /// Adds the certifications of a part, without the samples that failed.
    fn add(&mut self, time: Duration, places: &BTreeMap<SampleIndex, u64>, results: SampleResults) {
        self.seconds += time.as_secs_f64();
        for (index, result) in results {
            if let (Some(&place), Ok(found)) = (places.get(&index), result) {
                self.found.insert(place, found);
            }
        }
    }
}

fn part_of<'a>(sweep: &'a Sweep, variant: &'a Variant, data: &'a DataFacts) -> SweepPart<'a> {
    SweepPart {
        sweep,
        variant,
        data,
    }
}

fn sigmas_of_image(sigmas: &[&[Sigma]], place: usize) -> Vec<Sigma> {
    sigmas.iter().map(|sigmas| sigmas[place]).collect()
}

fn add_to(sums: &mut [f64], values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

fn first_shape(images: &[(SampleIndex, Image)]) -> Result<[usize; 3], BadInput> {
    let first = images.first();
    let (_, image) = first.ok_or_else(|| BadInput::new("the dataset has no images"))?;
    Ok(image.shape)
}

fn read_sweep(args: &CompareArgs) -> Result<Sweep> {
    let text = spec::read(&args.spec).with_context(|| args.spec.display().to_string());
    let (sweep, _) = spec::parse_with_models(&text.blame_input()?, &args.spec, 1).blame_input()?;
    Ok(sweep)
}

/// Reads the first images of a sweep.
fn read_images(sweep: &Sweep, samples: u64) -> Result<Vec<(SampleIndex, Image)>> {
    let dataset = Dataset::open(&sweep.dataset).blame_input()?;
    let plan = Plan::new(sweep, dataset.len()).blame_input()?;
    let positions = 0..plan.samples().min(samples);
    let indices = positions.map(|position| plan.index(position));
    indices
        .map(|index| Ok((index, dataset.image(index)?)))
        .collect()
}

/// Returns the variant of the first model and sigma.
fn first_variant(sweep: &Sweep, choice: Choice) -> Result<Variant> {
    let mut sweep = sweep.clone();
    sweep.smoothing.choice = vec![choice];
    let first = sweep.variants().into_iter().next();
    first.context("the specification has no variants")
}

/// Divides images into at most [`TURNS`] parts, all but the last of a multiple of `whole`.
fn parts(images: usize, whole: usize) -> Vec<Range<usize>> {
    let size = images.div_ceil(TURNS).next_multiple_of(whole).max(1);
    let starts = (0..images).step_by(size);
    let parts = starts.map(|start| start..images.min(start + size));
    parts.collect()
}

fn print_rows(rows: &[Value], format: OutputFormat) -> Result<()> {
    for row in rows {
        print(&(line(row, format) + "\n"))?;
    }
    Ok(())
}

fn line(row: &Value, format: OutputFormat) -> String {
    match (format, row) {
        (OutputFormat::Text, Value::Object(fields)) => text(fields),
        _ => row.to_string(),
    }
}

fn text(fields: &serde_json::Map<String, Value>) -> String {
    let fields = fields.iter().map(|(key, value)| format!("{key} {value}"));
    fields.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn every_image_is_in_one_part() {
        for (images, whole) in [(1, 4), (8, 8), (100, 8), (500, 8), (500, 32), (501, 1)] {
            let parts = parts(images, whole);
            let (_, all_but_last) = parts.split_last().unwrap_or((&(0..0), &[]));
            assert!(parts.len() <= 4, "{parts:?}");
            assert!(
                all_but_last.iter().all(|part| part.len() % whole == 0),
                "{parts:?}"
            );
            let all: Vec<usize> = parts.into_iter().flatten().collect();
            assert_eq!(all, (0..images).collect::<Vec<_>>());
        }
    }
}
