//! What `bench sigma` and `bench stopping` compare on real images and a real model.

mod sigma;
mod stopping;

pub(super) use sigma::sigma;
pub(super) use stopping::stopping;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use ddrs_common::cli::OutputFormat;
use ddrs_common::data::{Dataset, Image};
use ddrs_common::domain::{Certification, Choice, SampleIndex, Sigma};
use ddrs_common::output::print;
use ddrs_common::plan::Plan;
use ddrs_common::spec::{self, Sweep, Variant};
use serde_json::Value;

use crate::cli::CompareArgs;
use ddrs_common::cli::BadInput;
use ddrs_worker::engine::{Engine, EngineOptions, LoadedNetwork, Sample};

/// The images of a specification, and its first model at its first sigma.
struct Bench {
    engine: Engine,
    network: LoadedNetwork,
    sweep: Sweep,
    images: Vec<(SampleIndex, Image)>,
}

/// The certifications of one method by position, and the seconds that they took.
#[derive(Default)]
struct Run {
    found: BTreeMap<u64, Certification>,
    seconds: f64,
}

/// How often methods take turns, each time over the next part of the images: what else the machine
/// does meanwhile meets them alike.
const TURNS: usize = 4;

impl Bench {
    fn open(args: &CompareArgs) -> Result<Self> {
        let text = spec::read(&args.spec).with_context(|| args.spec.display().to_string());
        let parsed = spec::parse_with_models(&text.map_err(BadInput)?, &args.spec);
        let (sweep, _) = parsed.map_err(|error| BadInput(error.into()))?;
        let dataset = Dataset::open(&sweep.dataset).map_err(|error| BadInput(error.into()))?;
        let plan = Plan::new(&sweep, dataset.len()).map_err(|error| BadInput(error.into()))?;
        let indices = (0..plan.samples().min(args.samples)).map(|position| plan.index(position));
        let images = indices
            .map(|index| Ok((index, dataset.image(index)?)))
            .collect::<Result<Vec<_>>>()?;
        let shape = images
            .first()
            .map(|(_, image)| image.shape)
            .ok_or_else(|| BadInput(anyhow!("no images")))?;
        let engine = Engine::new(&EngineOptions::from(&args.device)).map_err(BadInput)?;
        let network = engine.load(&sweep.models[0], shape).map_err(BadInput)?;
        Ok(Self {
            engine,
            network,
            sweep,
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

    /// The variant of the first model and sigma.
    fn variant(sweep: &Sweep, choice: Choice) -> Result<Variant> {
        let mut sweep = sweep.clone();
        sweep.smoothing.choice = vec![choice];
        sweep
            .variants()
            .into_iter()
            .next()
            .context("a specification without variants")
    }

    /// The images in parts that leave no lane idle in the middle, as far as there are enough of
    /// them. Looks for the size of a forward pass first, which is found once and belongs to no
    /// method.
    fn parts(&self) -> Result<Vec<Range<usize>>> {
        self.engine.images_per_pass(&self.network, &self.sweep)?;
        Ok(parts(
            self.images.len(),
            self.engine.threads() * self.engine.group_size(&self.network, &self.sweep),
        ))
    }

    /// Certifies a part of the images.
    fn run(&self, sweep: &Sweep, choice: Choice, part: &Range<usize>, run: &mut Run) -> Result<()> {
        let places: BTreeMap<u64, u64> = self
            .images
            .iter()
            .zip(0..)
            .map(|((index, _), place)| (index.0, place))
            .collect();
        let found = Mutex::new(std::mem::take(&mut run.found));
        let tell = |index: SampleIndex, result: Result<Certification, String>, _| {
            if let (Ok(certification), Ok(mut found), Some(&place)) =
                (result, found.lock(), places.get(&index.0))
            {
                found.insert(place, certification);
            }
        };
        let (variant, never, start) = (
            Self::variant(sweep, choice)?,
            AtomicBool::new(false),
            Instant::now(),
        );
        let mut samples = self.samples().skip(part.start).take(part.len());
        self.engine
            .certify(&self.network, &variant, sweep, &mut samples, &never, &tell)?;
        run.seconds += start.elapsed().as_secs_f64();
        run.found = found.into_inner().map_err(|_| anyhow!("a lane panicked"))?;
        Ok(())
    }

    /// The mean over the images of the radius that fresh draws estimate at one sigma each, for
    /// several lists of sigmas.
    fn radii(&self, sigmas: &[&[Sigma]], draws: u32) -> Result<Vec<f64>> {
        let mut sweep = self.sweep.clone();
        // Other draws than those that chose.
        sweep.seed = sweep.seed.wrapping_add(1);
        let variant = Self::variant(&sweep, Choice::DataDependent)?;
        let mut sums = vec![0.0; sigmas.len()];
        for (place, sample) in self.samples().enumerate() {
            let of_this: Vec<Sigma> = sigmas.iter().map(|of_all| of_all[place]).collect();
            let radii = self.engine.estimate_radii(
                &self.network,
                &variant,
                &sweep,
                &sample,
                &of_this,
                draws,
            )?;
            sums.iter_mut()
                .zip(radii)
                .for_each(|(sum, radius)| *sum += radius);
        }
        Ok(sums
            .into_iter()
            .map(|sum| sum / self.images.len() as f64)
            .collect())
    }
}

/// At most [`TURNS`] parts of some images, all but the last of a multiple of `whole`.
fn parts(images: usize, whole: usize) -> Vec<Range<usize>> {
    let size = images.div_ceil(TURNS).next_multiple_of(whole).max(1);
    (0..images)
        .step_by(size)
        .map(|start| start..(start + size).min(images))
        .collect()
}

fn show(rows: &[Value], format: OutputFormat) -> Result<()> {
    for row in rows {
        let text = match (format, row) {
            (OutputFormat::Text, Value::Object(fields)) => fields
                .iter()
                .map(|(key, value)| format!("{key} {value}"))
                .collect::<Vec<_>>()
                .join(", "),
            _ => row.to_string(),
        };
        print(&(text + "\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn every_image_is_in_one_part() {
        for (images, whole) in [(1, 4), (8, 8), (100, 8), (500, 8), (500, 32), (501, 1)] {
            let parts = parts(images, whole);
            assert!(
                parts.len() <= 4
                    && parts[..parts.len() - 1]
                        .iter()
                        .all(|part| part.len() % whole == 0),
                "{parts:?}"
            );
            assert_eq!(
                parts.into_iter().flatten().collect::<Vec<_>>(),
                (0..images).collect::<Vec<_>>()
            );
        }
    }
}
