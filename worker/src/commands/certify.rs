//! `certify`: certifies one sample without Redis, and prints its records.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail};
use ddrs_common::cli::BadInput;
use ddrs_common::data::{Dataset, Image};
use ddrs_common::domain::{Class, Record, SampleIndex};
use ddrs_common::grid::DataFacts;
use ddrs_common::output::print;
use ddrs_common::plan::Plan;
use ddrs_common::record_file::to_line;
use ddrs_common::sigma_file;
use ddrs_common::spec::{self, ModelSpec, Sweep, Variant};
use ddrs_worker::engine::{Engine, EngineOptions, LoadedNetwork, Sample, SampleResult, SweepPart};

use crate::cli::CertifyArgs;

/// Certifies a sample under one variant or under all, and prints one record per variant.
///
/// # Errors
/// [`BadInput`] when the specification, data or model cannot be used.
pub(crate) fn certify(args: &CertifyArgs) -> Result<()> {
    let (selected, variants) = select(args).map_err(BadInput)?;
    let engine = Engine::new(&EngineOptions::from(&args.device)).map_err(BadInput)?;
    for variant in variants {
        let record = selected.record(&engine, variant)?;
        print(&(to_line(&record) + "\n"))?;
    }
    Ok(())
}

/// A sample of a sweep.
struct SelectedSample {
    sweep: Sweep,
    dataset: Dataset,
    data: DataFacts,
    index: SampleIndex,
    /// Position in the sweep's selection.
    position: u64,
    label: Class,
}

/// A sample's result, and the seconds that it took.
type TimedResult = (SampleResult, f64);

fn select(args: &CertifyArgs) -> Result<(SelectedSample, Vec<Variant>)> {
    let (sweep, text) = read(&args.spec)?;
    let variants = select_variants(&sweep, args.variant.as_deref())?;
    let dataset = Dataset::open(&sweep.dataset)?;
    dataset.check_models(&sweep.models)?;
    let plan =
        Plan::new(&sweep, dataset.len()).map_err(|error| error.in_file(&text, &args.spec))?;
    let sweep = sigma_file::read_into(sweep, &dataset, &plan)?;
    let index = SampleIndex(args.index);
    let selected = SelectedSample {
        position: position(&plan, index)?,
        label: dataset.label(index)?,
        data: data_facts(&sweep, &dataset, &plan)?,
        sweep,
        dataset,
        index,
    };
    Ok((selected, variants))
}

/// Reads the specification; also returns its text, for errors that name a line.
fn read(path: &Path) -> Result<(Sweep, String)> {
    let text = spec::read(path)
        .with_context(|| format!("cannot read specification {}", path.display()))?;
    let (sweep, _) = spec::parse_with_models(&text, path, spec::random_seed()?)?;
    Ok((sweep, text))
}

/// Returns the facts about the data that a coordinator would find.
fn data_facts(sweep: &Sweep, dataset: &Dataset, plan: &Plan) -> Result<DataFacts> {
    let samples = (0..plan.samples()).map(|position| plan.index(position));
    Ok(DataFacts {
        len: dataset.len(),
        digest: dataset.digest()?,
        images: dataset.image_facts(&sweep.dataset, samples, sweep.widest_sigma())?,
    })
}

fn select_variants(sweep: &Sweep, name: Option<&str>) -> Result<Vec<Variant>> {
    let variants = sweep.variants();
    let Some(name) = name else {
        return Ok(variants);
    };
    let named = variants.iter().find(|each| each.name.as_str() == name);
    match named {
        Some(variant) => Ok(vec![variant.clone()]),
        None => bail!(
            "no variant {name}; the specification has {}",
            names(&variants)
        ),
    }
}

fn names(variants: &[Variant]) -> String {
    let names = variants.iter().map(|variant| variant.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn position(plan: &Plan, index: SampleIndex) -> Result<u64> {
    plan.position(index).ok_or_else(|| {
        let first = plan.index(0);
        anyhow!(
            "the sweep does not select index {index}; the first index that it selects is {first}"
        )
    })
}

impl SelectedSample {
    fn record(&self, engine: &Engine, variant: Variant) -> Result<Record> {
        let (result, seconds) = self.certify(engine, &variant)?;
        Ok(Record {
            variant: variant.name,
            index: self.index,
            label: self.label,
            result,
            seed: self.sweep.seed,
            seconds,
            worker: "certify".to_owned(),
            attempt: 1,
            device: engine.device().to_owned(),
        })
    }

    fn certify(&self, engine: &Engine, variant: &Variant) -> Result<TimedResult> {
        match self.dataset.image(self.index) {
            Ok(image) => self.certify_image(engine, variant, image),
            Err(error) => Ok((Err(error.to_string()), 0.0)),
        }
    }

    fn load(
        &self,
        engine: &Engine,
        variant: &Variant,
        shape: [usize; 3],
    ) -> Result<Vec<LoadedNetwork>, BadInput> {
        let specs = self.sweep.networks();
        let places = self.sweep.networks_of(variant).into_iter();
        places
            .map(|place| self.load_one(engine, specs[place], shape))
            .collect::<Result<_>>()
            .map_err(BadInput)
    }

    fn load_one(
        &self,
        engine: &Engine,
        spec: &ModelSpec,
        shape: [usize; 3],
    ) -> Result<LoadedNetwork> {
        let network = engine.load(spec, shape)?;
        let _ = engine.images_per_pass(&network, &self.sweep)?;
        Ok(network)
    }

    fn certify_image(
        &self,
        engine: &Engine,
        variant: &Variant,
        image: Image,
    ) -> Result<TimedResult> {
        let networks = self.load(engine, variant, image.shape)?;
        let networks: Vec<&LoadedNetwork> = networks.iter().collect();
        let sample = Sample {
            index: self.index,
            position: self.position,
            image,
        };
        let result = Mutex::new(None);
        engine.certify(
            &networks,
            SweepPart {
                sweep: &self.sweep,
                variant,
                data: &self.data,
            },
            &mut std::iter::once(sample),
            &AtomicBool::new(false),
            &|_, sample_result, seconds| store(&result, (sample_result, seconds)),
        )?;
        let result = result.into_inner().ok().flatten();
        result.with_context(|| format!("sample {} has no result", self.index))
    }
}

fn store(result: &Mutex<Option<TimedResult>>, value: TimedResult) {
    if let Ok(mut result) = result.lock() {
        *result = Some(value);
    }
}
