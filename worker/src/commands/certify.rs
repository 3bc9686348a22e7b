//! `certify`: one sample, no Redis, the record on stdout.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail};
use ddrs_common::data::Dataset;
use ddrs_common::domain::{Record, SampleIndex};
use ddrs_common::output::print;
use ddrs_common::plan::Plan;
use ddrs_common::record_file::to_line;
use ddrs_common::spec::{self, Sweep, Variant};

use crate::cli::CertifyArgs;
use ddrs_common::cli::BadInput;
use ddrs_worker::engine::{Engine, EngineOptions, Sample};

/// Certifies a sample under one variant, or under all, and prints a record each.
///
/// # Errors
/// [`BadInput`] when the specification, data or model does not fit.
pub(crate) fn certify(args: &CertifyArgs) -> Result<()> {
    let (sweep, text) = read(&args.spec).map_err(BadInput)?;
    let variants = chosen(&sweep, args.variant.as_deref()).map_err(BadInput)?;
    let dataset = Dataset::open(&sweep.dataset).map_err(|error| BadInput(error.into()))?;
    let index = SampleIndex(args.index);
    let plan = Plan::new(&sweep, dataset.len())
        .map_err(|error| BadInput(error.in_file(&text, &args.spec).into()))?;
    let not_taken = || {
        BadInput(anyhow!(
            "the sweep does not take index {index}; its first is {}",
            plan.index(0)
        ))
    };
    let position = plan.position(index).ok_or_else(not_taken)?;
    let label = dataset
        .label(index)
        .map_err(|error| BadInput(error.into()))?;
    let engine = Engine::new(&EngineOptions::from(&args.device)).map_err(BadInput)?;
    for variant in variants {
        let (result, seconds) = one(&engine, &sweep, &dataset, &variant, (index, position))?;
        let record = Record {
            variant: variant.name,
            index,
            label,
            result,
            seed: sweep.seed,
            seconds,
            worker: "certify".to_owned(),
            attempt: 1,
            device: engine.device().to_owned(),
        };
        print(&(to_line(&record) + "\n"))?;
    }
    Ok(())
}

/// The specification, and its text for errors that name a line.
fn read(path: &Path) -> Result<(Sweep, String)> {
    let text = spec::read(path)
        .with_context(|| format!("cannot read specification {}", path.display()))?;
    let (sweep, _) = spec::parse_with_models(&text, path)?;
    Ok((sweep, text))
}

fn chosen(sweep: &Sweep, name: Option<&str>) -> Result<Vec<Variant>> {
    let variants = sweep.variants();
    let Some(name) = name else {
        return Ok(variants);
    };
    let names = || {
        variants
            .iter()
            .map(|variant| variant.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = variants
        .iter()
        .find(|variant| variant.name.as_str() == name)
        .cloned();
    found
        .map(|variant| vec![variant])
        .ok_or_else(|| anyhow!("no variant {name}; the specification has {}", names()))
}

type Outcome = (Result<ddrs_common::domain::Certification, String>, f64);

fn one(
    engine: &Engine,
    sweep: &Sweep,
    dataset: &Dataset,
    variant: &Variant,
    (index, position): (SampleIndex, u64),
) -> Result<Outcome> {
    let image = match dataset.image(index) {
        Ok(image) => image,
        Err(error) => return Ok((Err(error.to_string()), 0.0)),
    };
    let network = engine
        .load(&sweep.models[variant.model], image.shape)
        .map_err(BadInput)?;
    let told = Mutex::new(None);
    let tell = |_, result, seconds| {
        if let Ok(mut told) = told.lock() {
            *told = Some((result, seconds));
        }
    };
    engine.certify(
        &network,
        variant,
        sweep,
        &mut std::iter::once(Sample {
            index,
            position,
            image,
        }),
        &AtomicBool::new(false),
        &tell,
    )?;
    match told.into_inner() {
        Ok(Some(outcome)) => Ok(outcome),
        _ => bail!("sample {index} came to no result"),
    }
}
