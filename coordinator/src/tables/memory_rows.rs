//! Applies Algorithm 2 to the variants with data-dependent sigma.

use anyhow::{Result, ensure};
use ddrs_common::data::Dataset;
use ddrs_common::domain::{Choice, Outcome};
use ddrs_common::spec::{DatasetSpec, digest_to_hex};
use tracing::warn;

use super::variant_records::VariantRecords;
use crate::aggregate::{Entry, EntryOutcome};
use crate::memory::{self, Point};

/// Applies Algorithm 2 to each variant with data-dependent sigma. Where the certified data cannot
/// be read, logs a warning and leaves the rows with memory out.
pub(super) fn apply(variants: &mut [VariantRecords], spec: &DatasetSpec, digest: &str) {
    if !variants.iter().any(has_chosen_sigmas) {
        return;
    }
    match open_certified(spec, digest) {
        Ok(dataset) => add_memory_to_each(variants, &dataset),
        Err(error) => warn!("no rows with memory: {error:#}"),
    }
}

fn add_memory_to_each(variants: &mut [VariantRecords], dataset: &Dataset) {
    for records in variants {
        if has_chosen_sigmas(records) {
            add_memory(records, dataset);
        }
    }
}

fn has_chosen_sigmas(records: &VariantRecords) -> bool {
    records.variant.choice == Choice::DataDependent
}

fn add_memory(records: &mut VariantRecords, dataset: &Dataset) {
    match resolve(&records.entries, dataset) {
        Ok(entries) => records.with_memory = Some(entries),
        Err(error) => warn!("no row with memory for {}: {error:#}", records.variant.name),
    }
}

/// Opens the dataset and checks that it is the one that was certified.
fn open_certified(spec: &DatasetSpec, digest: &str) -> Result<Dataset> {
    let dataset = Dataset::open(spec)?;
    ensure!(
        digest_to_hex(&dataset.digest()?) == digest,
        "{} is not the data that was certified",
        spec.path.display()
    );
    Ok(dataset)
}

/// Applies Algorithm 2 to the entries of one variant. Failed samples take no part, like
/// abstentions.
fn resolve(entries: &[Entry], dataset: &Dataset) -> Result<Vec<Entry>> {
    let outcomes: Vec<Outcome> = entries.iter().map(outcome).collect();
    let resolved = memory::resolve(&outcomes, |place| point(dataset, &entries[place]))?;
    Ok(with_outcomes(entries, resolved))
}

fn point<'a>(dataset: &Dataset, entry: &Entry) -> Result<Point<'a, f32>> {
    Ok(Point::from(dataset.image(entry.index)?))
}

fn outcome(entry: &Entry) -> Outcome {
    match entry.result {
        EntryOutcome::Certified { class, radius } => Outcome::Certified { class, radius },
        EntryOutcome::Abstained | EntryOutcome::Failed => Outcome::Abstained,
    }
}

fn with_outcomes(entries: &[Entry], outcomes: Vec<Outcome>) -> Vec<Entry> {
    let pairs = entries.iter().zip(outcomes);
    pairs
        .map(|(entry, outcome)| with_outcome(entry, outcome))
        .collect()
}

/// The entry with its outcome after Algorithm 2; a failed sample stays failed.
fn with_outcome(entry: &Entry, outcome: Outcome) -> Entry {
    match entry.result {
        EntryOutcome::Failed => *entry,
        _ => Entry {
            result: outcome.into(),
            ..*entry
        },
    }
}
