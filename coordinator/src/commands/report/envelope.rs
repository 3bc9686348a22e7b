//! `report --envelope`: reads the logs of an envelope.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ddrs_common::cli::{BadInput, BlameInput};

use crate::aggregate::envelope::{CertifiedNetwork, Envelope, LogName};
use crate::log_file;

/// Reads the logs and selects their envelope.
///
/// # Errors
/// [`BadInput`] when a log cannot be read, has a name of another form or other images than the
/// rest, or is given twice.
pub(super) fn read(logs: &[PathBuf]) -> Result<Envelope> {
    let networks = logs
        .iter()
        .map(|log| network(log))
        .collect::<Result<Vec<_>>>()?;
    Ok(Envelope::new(&networks).blame_input()?)
}

fn network(log: &Path) -> Result<CertifiedNetwork> {
    let name = LogName::parse(&file_name(log)).ok_or_else(|| other_form(log))?;
    let lines = log_file::read(log).blame_input()?;
    let file = log.display().to_string();
    let entries = log_file::entries(&lines);
    Ok(CertifiedNetwork::new(name, file, entries)?)
}

fn other_form(log: &Path) -> BadInput {
    BadInput::new(format!(
        "{}: its name does not have the form LOSS-CHOICE-SIGMA_CHOICE_SIGMA.tsv; \
         --envelope reads the loss, the choices and the sigma from it",
        log.display()
    ))
}

fn file_name(log: &Path) -> String {
    let name = log.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
