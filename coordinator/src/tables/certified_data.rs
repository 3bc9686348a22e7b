//! The data that a run certified, and the checks of its records that need it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ddrs_common::data::Dataset;
use ddrs_common::domain::{Class, Record, Statement};
use ddrs_common::spec::{DatasetSpec, digest_to_hex};
use tracing::warn;

use super::compare;
use super::refusal;
use super::variant_records::VariantRecords;

/// The dataset of a run, if it can be opened and is the one that was certified.
pub(super) struct CertifiedData(Option<Dataset>);

impl CertifiedData {
    /// Opens the data. Where that fails, logs the checks that are left out.
    pub(super) fn open(spec: &DatasetSpec, digest: &str) -> Self {
        match open_certified(spec, digest) {
            Ok(dataset) => Self(Some(dataset)),
            Err(error) => {
                warn!(
                    "the labels of the records are not checked, certificates are not compared \
                     with each other, and there are no rows with memory: {error:#}"
                );
                Self(None)
            }
        }
    }

    /// Checks that each label is that of the data. Failed samples count for no class.
    ///
    /// # Errors
    /// When a record has another label; the error names its line.
    pub(super) fn check_labels(&self, file: &Path, records: &[(usize, Record)]) -> Result<()> {
        let Some(dataset) = &self.0 else {
            return Ok(());
        };
        for (line, record) in records {
            let checked = check_label(dataset, record);
            checked.map_err(|error| refusal(file, *line, record, &error))?;
        }
        Ok(())
    }

    /// Adds to each variant what follows from its samples' distances: the rows with memory, if the
    /// specification asks for them, and certificates that contradict each other.
    pub(super) fn compare(&self, variants: &mut [VariantRecords], with_memory: bool) {
        let Some(dataset) = &self.0 else { return };
        for records in variants {
            let compared = match Statement::of(records.variant.choice) {
                Statement::DataDependent | Statement::Memory if with_memory => {
                    compare::add_memory(records, dataset)
                }
                Statement::DataDependent | Statement::Memory => Ok(()),
                Statement::Fixed | Statement::Selected => {
                    compare::add_contradictions(records, dataset)
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
    if record.result.is_err() {
        return Ok(());
    }
    let Class(expected) = dataset.label(record.index).context("it has no label")?;
    let Class(found) = record.label;
    ensure!(
        found == expected,
        "its label is {found}, but the data's is {expected}"
    );
    Ok(())
}
