//! The data that a run certified, and the checks of its records that need it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use ddrs_common::data::Dataset;
use ddrs_common::domain::{Certification, Class, Radius, Record, SampleIndex, Statement};
use ddrs_common::grid::{Grid, GridImage};
use ddrs_common::spec::{DatasetSpec, digest_to_hex};
use ddrs_common::sweep_message::SweepMessage;
use rayon::prelude::*;
use tracing::warn;

use super::compare;
use super::refusal;
use super::variant_records::VariantRecords;

/// The data of a run.
pub(super) struct CertifiedData {
    /// The dataset, if it can be opened and is the one that was certified.
    dataset: Option<Dataset>,
    /// The grid of its images; `None` for runs whose noise was not on a grid.
    grid: Option<Grid>,
}

/// The distance of each certified image from the grid, or the reason why it is not known.
type Distances = BTreeMap<SampleIndex, Result<Radius>>;

impl CertifiedData {
    /// Opens the data. Where that fails, logs the checks that are left out.
    pub(super) fn open(spec: &DatasetSpec, sweep: &SweepMessage) -> Self {
        let dataset = open_certified(spec, &sweep.data_digest).inspect_err(|error| {
            warn!(
                "the labels of the records are not checked, nor their distances to the grid; \
                 certificates are not compared with each other, and there are no rows with \
                 memory: {error:#}"
            );
        });
        Self {
            dataset: dataset.ok(),
            grid: sweep.images.map(|images| images.grid),
        }
    }

    /// Checks that each label is that of the data, and each distance to the grid that of the image.
    /// Failed samples count for no class.
    ///
    /// # Errors
    /// When a record has another label or distance; the error names its line.
    pub(super) fn check(&self, file: &Path, records: &[(usize, Record)]) -> Result<()> {
        let Some(dataset) = &self.dataset else {
            return Ok(());
        };
        let distances = self.distances(dataset, records);
        for (line, record) in records {
            let Ok(certification) = &record.result else {
                continue;
            };
            check_label(dataset, record)
                .and_then(|()| check_distance(&distances, record.index, certification))
                .map_err(|error| refusal(file, *line, record, &error))?;
        }
        Ok(())
    }

    /// Reads each image once, on all cores.
    fn distances(&self, dataset: &Dataset, records: &[(usize, Record)]) -> Distances {
        let certified = records.iter().filter(|(_, record)| record.result.is_ok());
        let indices: BTreeSet<SampleIndex> = certified.map(|(_, record)| record.index).collect();
        indices
            .into_par_iter()
            .map(|index| (index, self.distance(dataset, index)))
            .collect()
    }

    fn distance(&self, dataset: &Dataset, index: SampleIndex) -> Result<Radius> {
        let Some(grid) = self.grid else {
            return Ok(Radius::ZERO);
        };
        let image = dataset.image(index)?;
        Ok(GridImage::new(grid, &image.pixels)?.off_grid)
    }

    /// Adds to each variant what follows from its samples' distances: the rows with memory, if the
    /// specification asks for them, and certificates that contradict each other.
    pub(super) fn compare(&self, variants: &mut [VariantRecords], with_memory: bool) {
        let Some(dataset) = &self.dataset else {
            return;
        };
        for records in variants {
            let compared = match Statement::of(records.variant.choice) {
                Statement::DataDependent | Statement::Memory if with_memory => {
                    compare::add_memory(records, dataset)
                }
                Statement::DataDependent | Statement::File | Statement::Memory => Ok(()),
                Statement::Fixed | Statement::Selected => {
                    compare::add_contradictions(records, dataset, self.grid)
                }
            };
            if let Err(error) = compared {
                let name = &records.variant.name;
                warn!("the certificates of {name} are not compared: {error:#}");
            }
        }
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

fn check_label(dataset: &Dataset, record: &Record) -> Result<()> {
    let Class(expected) = dataset.label(record.index).context("it has no label")?;
    let Class(found) = record.label;
    ensure!(
        found == expected,
        "its label is {found}, but the data's is {expected}"
    );
    Ok(())
}

fn check_distance(
    distances: &Distances,
    index: SampleIndex,
    certification: &Certification,
) -> Result<()> {
    let expected = distances.get(&index).context("its image was not read")?;
    let expected = expected.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    let found = certification.off_grid;
    ensure!(
        found == *expected,
        "its off_grid is {found}, but its image and the grid give {expected}"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
