//! Compares the certificates of one variant by the distances of their inputs: applies Algorithm 2
//! to data-dependent sigmas, and finds contradictions where all certificates are about one
//! classifier.

use anyhow::Result;
use ddrs_common::data::Dataset;
use ddrs_common::domain::{Outcome, Radius};
use ddrs_common::grid::{Grid, GridImage};

use super::variant_records::VariantRecords;
use crate::aggregate::{Contradiction, Entry, EntryOutcome};
use crate::memory::{self, Point};

/// Adds the entries after Algorithm 2. Failed samples take no part, like abstentions.
pub(super) fn add_memory(records: &mut VariantRecords, dataset: &Dataset) -> Result<()> {
    let entries = &records.entries;
    let resolved = memory::resolve(&outcomes(entries), |place| point(dataset, &entries[place]))?;
    records.with_memory = Some(with_outcomes(entries, resolved));
    Ok(())
}

/// Adds the pairs of certificates of different classes whose balls certainly overlap.
///
/// Distances are in steps of the grid of the noise, in which the centres of the balls are exact.
/// Certificates without a grid are about the pixels as they are.
pub(super) fn add_contradictions(
    records: &mut VariantRecords,
    dataset: &Dataset,
    grid: Option<Grid>,
) -> Result<()> {
    let entries = &records.entries;
    let steps = grid.map_or(1.0, |grid| f64::from(grid.get()));
    let outcomes: Vec<Outcome> = entries
        .iter()
        .map(|entry| in_steps(outcome(entry), steps))
        .collect::<Result<_>>()?;
    let overlaps = memory::overlaps(&outcomes, |place| centre(dataset, &entries[place], grid))?;
    let pairs = overlaps.iter().map(|overlap| Contradiction {
        first: entries[overlap.first].index,
        second: entries[overlap.second].index,
        distance: (overlap.distance / steps).next_up(),
    });
    records.contradictions = pairs.collect();
    Ok(())
}

/// The outcome with its radius in steps, rounded down. A unit has `steps` of them.
fn in_steps(outcome: Outcome, steps: f64) -> Result<Outcome> {
    Ok(match outcome {
        Outcome::Certified { class, radius } => Outcome::Certified {
            class,
            radius: Radius::new((radius.get() * steps).next_down().max(0.0))?,
        },
        Outcome::Abstained => Outcome::Abstained,
    })
}

fn centre<'a>(dataset: &Dataset, entry: &Entry, grid: Option<Grid>) -> Result<Point<'a, f64>> {
    let image = dataset.image(entry.index)?;
    let coordinates = match grid {
        Some(grid) => GridImage::centre(grid, &image.pixels)?,
        None => image.pixels.iter().copied().map(f64::from).collect(),
    };
    Ok(Point::new(image.shape, coordinates))
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
