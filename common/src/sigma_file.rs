//! Reads the sigmas that a file gives for samples: a list of numbers, a column of a certification
//! log, or the records of a run folder. The content tells which.
//!
//! A list holds the sigma of sample 0 first. Logs and records name their samples.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::bounded;
use crate::data::{Dataset, read_numbers};
use crate::domain::{SampleIndex, Sigma, VariantName};
use crate::plan::Plan;
use crate::record_file;
use crate::run_folder;
use crate::spec::{SigmaFileSpec, Sweep, digest_to_hex};

/// The longest log that is read, in bytes.
const MAX_LOG: u64 = 1 << 30;

/// The columns of a log that usually hold sigmas.
const SIGMA_COLUMNS: [&str; 2] = ["sigma", "best_sigma"];

/// Reads the file of sigmas that the sweep names, and returns the sweep with them. A sweep that
/// names none stays as it is.
///
/// # Errors
/// When the file cannot be read, is of another dataset, or has no sigma for a selected sample. The
/// message names the file.
pub fn read_into(sweep: Sweep, dataset: &Dataset, plan: &Plan) -> Result<Sweep> {
    let Some(file) = sweep.sigma_file() else {
        return Ok(sweep);
    };
    let path = file.path.display().to_string();
    let sigmas = read(file, dataset)
        .and_then(|sigmas| sigmas.of_samples(plan))
        .with_context(|| format!("smoothing.file.path: {path}"))?;
    let read = sweep.with_file_sigmas(sigmas);
    read.with_context(|| format!("smoothing.file.path: {path}"))
}

/// The numbers that a file gives.
enum FileNumbers {
    /// One per sample of the dataset, or of its first samples.
    List(Vec<f64>),
    /// By the samples' indices.
    Named(HashMap<u64, f64>),
}

impl FileNumbers {
    fn of_samples(&self, plan: &Plan) -> Result<Vec<Sigma>> {
        let positions = 0..plan.samples();
        positions
            .map(|position| self.sigma(plan.index(position)))
            .collect()
    }

    fn sigma(&self, index: SampleIndex) -> Result<Sigma> {
        let number = match self {
            Self::List(numbers) => usize::try_from(index.0).ok().and_then(|i| numbers.get(i)),
            Self::Named(numbers) => numbers.get(&index.0),
        };
        let number = number.with_context(|| format!("it has no sigma for sample {index}"))?;
        let sigma = Sigma::new(*number);
        sigma.with_context(|| format!("sample {index}"))
    }
}

fn read(file: &SigmaFileSpec, dataset: &Dataset) -> Result<FileNumbers> {
    if file.path.is_dir() {
        ensure!(
            file.name.is_none(),
            "it is a run folder, so smoothing.file.name has no meaning"
        );
        return of_run(&file.path, file.variant.as_ref(), dataset);
    }
    ensure!(
        file.variant.is_none(),
        "it is not a run folder, so smoothing.file.variant has no meaning"
    );
    let name = file.name.as_deref();
    match read_numbers(&file.path, name)? {
        Some(numbers) => of_list(numbers, dataset.len()),
        None => of_log(&bounded::read_text(&file.path, MAX_LOG)?, name),
    }
}

fn of_list(numbers: Vec<f64>, samples: u64) -> Result<FileNumbers> {
    ensure!(
        numbers.len() as u64 <= samples,
        "it has {} sigmas, the dataset only {samples} samples",
        numbers.len()
    );
    Ok(FileNumbers::List(numbers))
}

/// The column of a log: a line of names separated by tabs, then one line per sample.
fn of_log(text: &str, column: Option<&str>) -> Result<FileNumbers> {
    let mut lines = text.trim_end().lines().enumerate();
    let (_, header) = lines.next().context("it is empty")?;
    let names: Vec<&str> = header.split('\t').map(str::trim).collect();
    let index = names.iter().position(|name| *name == "idx");
    let index = index.context(
        "it is not a .npy, .npz or safetensors file, a certification log with the column idx, or \
         a run folder",
    )?;
    let sigma = sigma_column(&names, column)?;
    let mut numbers = HashMap::new();
    for (line, text) in lines {
        let fields: Vec<&str> = text.split('\t').map(str::trim).collect();
        let index = number(&fields, index, line)?;
        let earlier = numbers.insert(index, number(&fields, sigma, line)?);
        ensure!(
            earlier.is_none(),
            "line {} has sample {index} again",
            line + 1
        );
    }
    Ok(FileNumbers::Named(numbers))
}

fn sigma_column(names: &[&str], wanted: Option<&str>) -> Result<usize> {
    let mut found = match wanted {
        Some(wanted) => names.iter().position(|name| *name == wanted),
        None => names.iter().position(|name| SIGMA_COLUMNS.contains(name)),
    };
    found.take().with_context(|| {
        let wanted = wanted.unwrap_or("sigma");
        format!("it has no column {wanted:?}, only {names:?}; set smoothing.file.name")
    })
}

fn number<T: std::str::FromStr>(fields: &[&str], place: usize, line: usize) -> Result<T> {
    let field = fields.get(place).copied().unwrap_or_default();
    let parsed = field.parse();
    parsed.map_err(|_| anyhow!("line {}: {field:?} is not a number", line + 1))
}

/// The sigmas of the records of one variant of a run over the same data.
fn of_run(run: &Path, variant: Option<&VariantName>, dataset: &Dataset) -> Result<FileNumbers> {
    let message = run_folder::sweep(run)?;
    ensure!(
        message.data_digest == digest_to_hex(&dataset.digest()?),
        "the run certified other data than dataset.path names"
    );
    let variant = choose_variant(&message.sweep()?, variant)?;
    let records = record_file::read(&run_folder::records(run))?;
    let of_variant = records.iter().filter(|record| record.variant == variant);
    let sigmas = of_variant.filter_map(|record| {
        let certification = record.result.as_ref().ok()?;
        Some((record.index.0, certification.sigma.get()))
    });
    Ok(FileNumbers::Named(sigmas.collect()))
}

fn choose_variant(sweep: &Sweep, wanted: Option<&VariantName>) -> Result<VariantName> {
    let names: Vec<VariantName> = sweep.variants().into_iter().map(|one| one.name).collect();
    let listed: Vec<&str> = names.iter().map(VariantName::as_str).collect();
    let listed = listed.join(", ");
    match (wanted, &names[..]) {
        (Some(wanted), _) if names.contains(wanted) => Ok(wanted.clone()),
        (Some(wanted), _) => bail!("the run has no variant {wanted}, only {listed}"),
        (None, [only]) => Ok(only.clone()),
        (None, _) => bail!("the run has several variants, {listed}: set smoothing.file.variant"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn log(text: &str, column: Option<&str>) -> Result<Vec<(u64, f64)>, String> {
        match of_log(text, column) {
            Ok(FileNumbers::Named(numbers)) => {
                let mut numbers: Vec<_> = numbers.into_iter().collect();
                numbers.sort_by_key(|(index, _)| *index);
                Ok(numbers)
            }
            Ok(FileNumbers::List(_)) => panic!("a log names its samples"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_column_of_a_log_is_found_by_its_name() {
        let text = "idx\tlabel\tbest_sigma\tother\r\n20\t1\t0.25\t0.5\r\n0\t2\t0.3\t0.6\r\n\r\n";
        assert_eq!(log(text, None).unwrap(), [(0, 0.3), (20, 0.25)]);
        assert_eq!(log(text, Some("other")).unwrap(), [(0, 0.6), (20, 0.5)]);
        assert_eq!(
            log(text, Some("sigma")).unwrap_err(),
            "it has no column \"sigma\", only [\"idx\", \"label\", \"best_sigma\", \"other\"]; \
             set smoothing.file.name"
        );
    }

    #[test]
    fn a_damaged_log_is_named_by_its_line() {
        let refused = |text: &str| log(text, None).unwrap_err();
        assert_eq!(refused("idx\tsigma\n0\tx"), "line 2: \"x\" is not a number");
        assert_eq!(refused("idx\tsigma\n0"), "line 2: \"\" is not a number");
        assert_eq!(
            refused("idx\tsigma\n0\t1\n0\t1"),
            "line 3 has sample 0 again"
        );
        assert_eq!(refused(""), "it is empty");
        assert!(refused("<html>").starts_with("it is not a .npy, .npz or safetensors file"));
    }

    #[test]
    fn a_list_may_end_after_the_last_sample_that_is_selected() {
        let numbers = of_list(vec![0.5, -1.0], 3).unwrap();
        assert_eq!(numbers.sigma(SampleIndex(0)).unwrap().get(), 0.5);
        let error = format!("{:#}", numbers.sigma(SampleIndex(1)).unwrap_err());
        assert_eq!(
            error,
            "sample 1: sigma must be a finite number above 0, not -1"
        );
        let error = numbers.sigma(SampleIndex(2)).unwrap_err().to_string();
        assert_eq!(error, "it has no sigma for sample 2");
        let error = of_list(vec![0.5; 4], 3).err().unwrap().to_string();
        assert_eq!(error, "it has 4 sigmas, the dataset only 3 samples");
    }
}
