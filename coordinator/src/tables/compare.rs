//! Compares the certificates of one variant by the distances of their inputs: applies Algorithm 2
//! to data-dependent sigmas, and finds contradictions where all certificates are about one
//! classifier.

use anyhow::Result;
use ddrs_common::data::Dataset;
use ddrs_common::domain::Outcome;

use super::variant_records::VariantRecords;
use crate::aggregate::{Contradiction, Entry, EntryOutcome};
use crate::memory::{self, Overlap, Point};

/// Adds the entries after Algorithm 2. Failed samples take no part, like abstentions.
pub(super) fn add_memory(records: &mut VariantRecords, dataset: &Dataset) -> Result<()> {
    let entries = &records.entries;
    let resolved = memory::resolve(&outcomes(entries), |place| point(dataset, &entries[place]))?;
    records.with_memory = Some(with_outcomes(entries, resolved));
    Ok(())
}

/// Adds the pairs of certificates of different classes whose balls overlap.
pub(super) fn add_contradictions(records: &mut VariantRecords, dataset: &Dataset) -> Result<()> {
    let entries = &records.entries;
    let overlaps = memory::overlaps(&outcomes(entries), |place| point(dataset, &entries[place]))?;
    let pairs = overlaps
        .iter()
        .map(|overlap| contradiction(entries, overlap));
    records.contradictions = pairs.collect();
    Ok(())
}

fn contradiction(entries: &[Entry], overlap: &Overlap) -> Contradiction {
    Contradiction {
        first: entries[overlap.first].index,
        second: entries[overlap.second].index,
        distance: overlap.distance,
    }
}

fn point<'a>(dataset: &Dataset, entry: &Entry) -> Result<Point<'a, f32>> {
    Ok(Point::from(dataset.image(entry.index)?))
}

fn outcomes(entries: &[Entry]) -> Vec<Outcome> {
    entries.iter().map(outcome).collect()
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
